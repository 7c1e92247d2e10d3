/**
 * The address that clients are told: `brokerIP1`; else the ClusterIP of the group's leader Service; else the first address of the machine.
 *
 * Records and offset ids hold it, so it must be known before the first message is stored, and must be one that clients can dial.
 */
import { formatHostAddress, parseHostAddress } from '../common/host-address.ts'
import type { HostAddress } from '../common/message.ts'
import type { Logger } from '../common/log.ts'
import type { Network, Timer, Timers } from '../common/ports.ts'

const RESOLVE_MS = 30_000
const RETRY_MS = 1000
const LOOPBACK = '127.0.0.1'
const UNSPECIFIED: HostAddress = { ip: Buffer.alloc(4), port: 0 }

export interface AdvertisedAddressOptions {
  readonly network: Network
  readonly timers: Timers
  readonly logger: Logger
  readonly brokerIP1: string
  readonly listenPort: number
  /** DNS name of the leader Service, or null outside Kubernetes. */
  readonly leaderService: string | null
}

export class AdvertisedAddress {
  readonly #options: AdvertisedAddressOptions
  readonly #listeners: (() => void)[] = []
  #host: HostAddress | null = null
  #text = ''
  #timer: Timer | null = null

  constructor(options: AdvertisedAddressOptions) {
    this.#options = options
  }

  /** As records hold it; only after `start`. */
  get host(): HostAddress {
    if (this.#host === null) throw new Error('the advertised address is not known yet')
    return this.#host
  }

  /** The same, or an address that says nothing while it is not known; no record is made before `start` has resolved. */
  get hostOrUnspecified(): HostAddress {
    return this.#host ?? UNSPECIFIED
  }

  /** `host:port` as name servers are told. */
  get address(): string {
    return this.#text
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** Resolves when the address is known, however long a name takes to resolve. */
  async start(signal: AbortSignal): Promise<void> {
    const { brokerIP1, leaderService, network } = this.#options
    const given = brokerIP1.trim()
    if (given !== '' && given !== '0.0.0.0' && given !== '::') {
      await this.#follow(given, signal)
    } else if (leaderService === null) {
      this.#set(network.localAddresses()[0] ?? LOOPBACK)
    } else {
      await this.#follow(leaderService, signal)
    }
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  /** Resolves a name now and every 30 s; an address stays as it is. */
  async #follow(name: string, signal: AbortSignal): Promise<void> {
    if (this.#set(name)) return
    const { logger, timers } = this.#options
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await this.#resolve(name)
        break
      } catch (error) {
        // Once is enough: until it resolves the broker is not ready, which everybody sees.
        if (attempt === 1) logger.warn({ name, err: error }, 'the advertised name does not resolve')
        await new Promise<void>((resolve) => void timers.after(RETRY_MS, resolve))
      }
    }
    if (signal.aborted) return
    this.#timer = timers.every(RESOLVE_MS, () => {
      this.#resolve(name).catch((error: unknown) => {
        logger.warn({ name, err: error }, 'the advertised name does not resolve any more')
      })
    })
  }

  async #resolve(name: string): Promise<void> {
    const addresses = await this.#options.network.resolve(name)
    // The one that is in use stays while the name still has it.
    const current = this.#host
    const kept = addresses.some((address) => {
      const parsed = parseHostAddress(address, this.#options.listenPort)
      return parsed !== null && current !== null && parsed.ip.equals(current.ip)
    })
    const first = addresses.find((address) => !address.includes(':')) ?? addresses[0]
    if (!kept && first !== undefined) this.#set(first)
  }

  /** False when this is a name and no address. */
  #set(address: string): boolean {
    const host = parseHostAddress(address, this.#options.listenPort)
    if (host === null) return false
    const isChange = this.#host !== null
    this.#host = host
    this.#text = formatHostAddress(host)
    if (isChange) {
      this.#options.logger.info({ address: this.#text }, 'the advertised address has changed')
      for (const listener of this.#listeners) listener()
    }
    return true
  }
}
