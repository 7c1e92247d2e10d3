/**
 * The address of a broker group on this machine, which stays while its members take turns in leading: a relay to the present leader. What the leader
 * Service and its endpoint are on Kubernetes.
 */
import net from 'node:net'
import type { Server, Socket } from 'node:net'
import { messageOf } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Timer, Timers } from '../common/ports.ts'

/** A client waits this long for a leader that takes it before it is turned away: an election takes less. */
const WAIT_MS = 3_000
/** The leader has taken no connection: until it is tried again, or the next leader is known. */
const RETRY_MS = 50
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

/** A client that no leader has taken yet. */
interface Waiting {
  readonly client: Socket
  readonly entrance: Entrance
  readonly patience: Timer
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
    for (const waiting of this.#waiting) this.#serve(waiting)
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#cutTimer?.cancel()
    for (const { client, patience } of this.#waiting) {
      patience.cancel()
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
    const waiting: Waiting = {
      client,
      entrance,
      patience: this.#options.timers.after(WAIT_MS, () => client.destroy()),
    }
    client.once('close', () => {
      waiting.patience.cancel()
      this.#waiting.delete(waiting)
    })
    this.#serve(waiting)
  }

  /** What the client says stays unread until a leader has taken it. */
  #serve(waiting: Waiting): void {
    this.#waiting.delete(waiting)
    if (this.#target === null) this.#keep(waiting)
    else this.#connect(waiting, this.#target)
  }

  #keep(waiting: Waiting): void {
    if (this.#waiting.size < MAX_WAITING) this.#waiting.add(waiting)
    else waiting.client.destroy()
  }

  /** A leader that takes no connection may be dead, and its successor not known yet. */
  #serveLater(waiting: Waiting): void {
    this.#keep(waiting)
    this.#options.timers.after(RETRY_MS, () => {
      if (this.#waiting.has(waiting)) this.#serve(waiting)
    })
  }

  /** Those that lead to another member than the present target, when there is one. */
  #formerPairs(): (readonly [Socket, Pair])[] {
    const target = this.#target
    if (target === null) return []
    return [...this.#pairs].filter(([, pair]) => !isSame(pair.target, target))
  }

  #connect(waiting: Waiting, target: RelayTarget): void {
    const { client, entrance, patience } = waiting
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
    const onClientClosed = (): void => {
      this.#pairs.delete(client)
      upstream.destroy()
    }
    client.once('close', onClientClosed)
    let isTaken = false
    upstream.once('connect', () => {
      isTaken = true
      patience.cancel()
      client.pipe(upstream)
      upstream.pipe(client, { end: false })
    })
    upstream.once('end', () => upstream.destroy())
    upstream.once('close', () => {
      // Not the leader's doing.
      if (client.destroyed || this.#isClosed) return
      if (isTaken) {
        resetAfterWrites(client)
      } else {
        client.off('close', onClientClosed)
        this.#pairs.delete(client)
        this.#serveLater(waiting)
      }
      this.#options.onLost()
    })
  }
}

/**
 * Ends a client's connection by a reset: Java clients before version 5 do not notice otherwise that requests under way are not answered any more,
 * and wait for them (`NettyRemotingClient` fails them when the channel has an error, not when the stream ends).
 */
function resetAfterWrites(client: Socket): void {
  // Its callback comes behind all writes before; 'drain' would come only after a write that was too much.
  client.write(Buffer.alloc(0), () => client.resetAndDestroy())
}

function isSame(left: RelayTarget, right: RelayTarget): boolean {
  return left.name === right.name && left.ports.remoting === right.ports.remoting
}

function cut(client: Socket, upstream: Socket): void {
  client.resetAndDestroy()
  upstream.destroy()
}
