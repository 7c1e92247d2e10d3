/**
 * The address of a broker group on this machine, which stays while its members take turns in leading: a relay to the present leader. What the leader
 * Service and its endpoint are on Kubernetes.
 */
import net from 'node:net'
import type { Server, Socket } from 'node:net'
import { messageOf } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Timer, Timers } from '../common/ports.ts'

/** A client waits this long for a leader before it is turned away: an election takes less. */
const WAIT_MS = 3_000
/** A member that leads no more answers what it has been asked and ends its connections by then, if it lives. */
const LEAVE_MS = 3_000
/** Connections that wait; more are turned away at once. */
const MAX_WAITING = 1_000

export interface RelayTarget {
  /** The member, as it is logged. */
  readonly name: string
  readonly host: string
  readonly ports: RelayPorts
}

export interface RelayPorts {
  readonly remoting: number
  readonly vip: number
}

export interface LeaderRelayOptions {
  /** The group. */
  readonly name: string
  readonly host: string
  readonly ports: RelayPorts
  readonly timers: Timers
  readonly logger: Logger
  /** The leader has closed a connection, or takes none: it may not lead any more. */
  readonly onLost: () => void
}

interface Pair {
  readonly upstream: Socket
  readonly target: RelayTarget
}

type Entrance = keyof RelayPorts

interface Waiting {
  readonly client: Socket
  readonly entrance: Entrance
  readonly timer: Timer
}

export class LeaderRelay implements AsyncDisposable {
  readonly #options: LeaderRelayOptions
  readonly #servers: Server[] = []
  /** Client and the socket to the leader that serves it. */
  readonly #pairs: Map<Socket, Pair> = new Map()
  readonly #waiting: Set<Waiting> = new Set()
  #target: RelayTarget | null = null
  /** Cuts what leads to another member than the target. */
  #cutTimer: Timer | null = null
  #isClosed = false

  private constructor(options: LeaderRelayOptions) {
    this.#options = options
  }

  /** Rejects with the system's error when a port is in use. */
  static async listen(options: LeaderRelayOptions): Promise<LeaderRelay> {
    const relay = new LeaderRelay(options)
    try {
      await relay.#listen('remoting')
      await relay.#listen('vip')
    } catch (error) {
      await relay.close()
      throw error
    }
    return relay
  }

  /** The ports in use, also when 0 was asked for. */
  get ports(): RelayPorts {
    const [remoting, vip] = this.#servers.map((server) => {
      const address = server.address()
      return address === null || typeof address === 'string' ? 0 : address.port
    })
    return { remoting: remoting ?? 0, vip: vip ?? 0 }
  }

  /**
   * Leads new connections to `target`. Those that lead to another member have a moment to end in good order; their clients come back, and
   * find the new leader. Null: nobody is known to lead. Then clients wait, and connections that stand are left alone.
   */
  lead(target: RelayTarget | null): void {
    const former = this.#target
    this.#target = target
    if (target === null || this.#isClosed) return
    if (former?.name !== target.name) {
      const { name, logger } = this.#options
      logger.info({ group: name, leader: target.name }, 'the group is led by another member')
    }
    if (this.#cutTimer === null && this.#formerPairs().length > 0) {
      this.#cutTimer = this.#options.timers.after(LEAVE_MS, () => {
        this.#cutTimer = null
        for (const [client, { upstream }] of this.#formerPairs()) cut(client, upstream)
      })
    }
    for (const waiting of this.#waiting) {
      this.#waiting.delete(waiting)
      waiting.timer.cancel()
      this.#connect(waiting.client, waiting.entrance, target)
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#cutTimer?.cancel()
    for (const { client, timer } of this.#waiting) {
      timer.cancel()
      client.destroy()
    }
    this.#waiting.clear()
    for (const [client, { upstream }] of this.#pairs) cut(client, upstream)
    await Promise.all(
      this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #listen(entrance: Entrance): Promise<void> {
    const { host, ports } = this.#options
    // A client that waits must not be forgotten when it has sent all that it has to say.
    const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (client) =>
      this.#accept(client, entrance),
    )
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host, port: ports[entrance] }, () => {
        server.off('error', reject)
        resolve()
      })
    })
    this.#servers.push(server)
  }

  #accept(client: Socket, entrance: Entrance): void {
    // Without a listener an error would end the process; the close that follows is what counts.
    client.on('error', () => undefined)
    if (this.#target !== null) {
      this.#connect(client, entrance, this.#target)
      return
    }
    this.#wait(client, entrance)
  }

  #wait(client: Socket, entrance: Entrance): void {
    if (this.#waiting.size >= MAX_WAITING) {
      client.destroy()
      return
    }
    const waiting: Waiting = {
      client,
      entrance,
      timer: this.#options.timers.after(WAIT_MS, () => {
        this.#waiting.delete(waiting)
        client.destroy()
      }),
    }
    this.#waiting.add(waiting)
    client.once('close', () => {
      waiting.timer.cancel()
      this.#waiting.delete(waiting)
    })
  }

  /** Those that lead to another member than the present target, when there is one. */
  #formerPairs(): (readonly [Socket, Pair])[] {
    const target = this.#target
    if (target === null) return []
    return [...this.#pairs].filter(([, pair]) => !isSame(pair.target, target))
  }

  #connect(client: Socket, entrance: Entrance, target: RelayTarget): void {
    const { host, ports } = target
    const upstream = net.connect({
      host,
      port: ports[entrance],
      noDelay: true,
      allowHalfOpen: true,
    })
    this.#pairs.set(client, { upstream, target })
    upstream.on('error', (error) => {
      this.#options.logger.debug(
        { leader: target.name, err: messageOf(error) },
        'the leader is lost',
      )
    })
    upstream.once('close', () => {
      client.destroy()
      if (this.#pairs.delete(client) && !this.#isClosed) this.#options.onLost()
    })
    client.once('close', () => {
      // Not the leader's doing.
      this.#pairs.delete(client)
      upstream.destroy()
    })
    if (client.destroyed) upstream.destroy()
    client.pipe(upstream)
    upstream.pipe(client)
  }
}

function isSame(left: RelayTarget, right: RelayTarget): boolean {
  return left.name === right.name && left.ports.remoting === right.ports.remoting
}

function cut(client: Socket, upstream: Socket): void {
  client.destroy()
  upstream.destroy()
}
