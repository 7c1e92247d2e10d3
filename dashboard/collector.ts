/** Takes a picture of the cluster every few seconds, in memory; pages read nothing else. One collection at a time, whatever pages are open. */
import { setImmediate as turn } from 'node:timers/promises'
import type { AdminClient } from '../client/admin.ts'
import { collectCluster } from '../client/cluster-collect.ts'
import { clusterPicture } from '../client/cluster-picture.ts'
import type { BrokerState, ClusterPicture } from '../client/cluster-picture.ts'
import type { Logger } from '../common/log.ts'
import type { Clock, Timer, Timers } from '../common/ports.ts'
import type { BrokerRates } from './api-types.ts'

export interface CollectorOptions {
  readonly admin: AdminClient
  readonly nameServers: readonly string[]
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
  readonly intervalMs: number
  /** Null: any. */
  readonly allowedHosts: ReadonlySet<string> | null
  readonly onPicture: (
    picture: ClusterPicture,
    before: ClusterPicture | null,
    rates: ReadonlyMap<string, BrokerRates>,
  ) => void
}

export class Collector {
  readonly #options: CollectorOptions
  #picture: ClusterPicture | null = null
  #rates: ReadonlyMap<string, BrokerRates> = new Map<string, BrokerRates>()
  #timer: Timer | null = null
  #running: Promise<void> | null = null
  #isClosed = false

  constructor(options: CollectorOptions) {
    this.#options = options
  }

  /** Null until the first collection is done. */
  get picture(): ClusterPicture | null {
    return this.#picture
  }

  get rates(): ReadonlyMap<string, BrokerRates> {
    return this.#rates
  }

  start(): void {
    void this.#collectAndGoOn()
  }

  /** Resolves when a collection that began after this call is done. */
  async refresh(): Promise<void> {
    await this.#running
    await this.#collectAndGoOn()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    await this.#running
  }

  #collectAndGoOn(): Promise<void> {
    this.#running ??= this.#collect().finally(() => {
      this.#running = null
    })
    return this.#running
  }

  async #collect(): Promise<void> {
    const { admin, nameServers, clock, timers, logger, intervalMs, allowedHosts } = this.#options
    if (this.#isClosed) return
    this.#timer?.cancel()
    const startedAt = clock.monotonic()
    try {
      const before = this.#picture
      const { nameServers: servers, brokers } = await collectCluster(admin, nameServers, {
        now: () => clock.now(),
        before: before?.brokers ?? [],
        ...(allowedHosts === null ? {} : { isAllowed: (at) => allowedHosts.has(hostOf(at)) }),
      })
      await turn()
      const picture = clusterPicture(clock.now(), servers, brokers)
      this.#rates = ratesOf(before?.brokers ?? [], brokers, this.#rates)
      this.#picture = picture
      this.#options.onPicture(picture, before, this.#rates)
    } catch (error) {
      logger.error({ err: error }, 'a picture of the cluster could not be taken')
    }
    if (this.#isClosed) return
    // A large cluster is asked less often, so that asking takes a fifth of the time at most.
    const tookMs = clock.monotonic() - startedAt
    this.#timer = timers.after(Math.max(intervalMs, tookMs * 4), () => this.start())
  }
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':'))
}

/** A broker that has not answered anew has no rates; one that was started anew gets them with its second answer. */
export function ratesOf(
  before: readonly BrokerState[],
  now: readonly BrokerState[],
  former: ReadonlyMap<string, BrokerRates>,
): ReadonlyMap<string, BrokerRates> {
  const rates = new Map<string, BrokerRates>()
  for (const { brokerName, picture, problem } of now) {
    if (picture === null || problem !== null) continue
    const earlier = before.find((broker) => broker.brokerName === brokerName)?.picture?.broker
    const { broker } = picture
    if (earlier === undefined) continue
    const isSame =
      earlier.bootTimestamp === broker.bootTimestamp && earlier.memberId === broker.memberId
    const elapsedMs = broker.now - earlier.now
    if (!isSame || elapsedMs < 0) continue
    const known = former.get(brokerName)
    // Two pictures of one moment, because an administrator acted, say nothing about rates.
    if (elapsedMs < 200) {
      if (known !== undefined) rates.set(brokerName, known)
      continue
    }
    const perSecond = (value: number): number => Math.max(0, (value * 1000) / elapsedMs)
    rates.set(brokerName, {
      inTps: perSecond(broker.putTotal - earlier.putTotal),
      outTps: perSecond(broker.getTotal - earlier.getTotal),
      inBytesTps: perSecond(broker.putBytesTotal - earlier.putBytesTotal),
      cpu: perSecond(broker.cpuMicros - earlier.cpuMicros) / 1_000_000,
    })
  }
  return rates
}
