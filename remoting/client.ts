/** A remoting client: one connection for each address, made when first needed; answers requests of the servers too. */
import type { Logger } from '../common/log.ts'
import type { Clock, Network, Timer, Timers } from '../common/ports.ts'
import { messageOf } from '../common/errors.ts'
import { SerializeType } from './command.ts'
import type { RemotingCommand, RequestContent } from './command.ts'
import type { Connection, Processor } from './connection.ts'
import { RemotingError } from './errors.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import type { RemotingLimits } from './limits.ts'
import { NO_METRICS } from './metrics.ts'
import { ChunkPool } from './output-buffer.ts'
import { endConnections, PeerConnection } from './peer-connection.ts'
import type { PeerContext } from './peer-connection.ts'
import { RequestDispatcher } from './request-dispatcher.ts'
import { TimeoutWheel } from './timeout-wheel.ts'
import type { Credentials } from '../common/credentials.ts'

const CHECK_INTERVAL_MS = 1_000
/** No attempt to connect takes longer, whatever the time-out of the request. */
const CONNECT_TIMEOUT_MAX_MS = 3_000
/** How long an ended connection may take to close. */
const END_TIMEOUT_MS = 1_000

export interface RemotingClientOptions {
  readonly network: Network
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
  readonly limits?: Partial<RemotingLimits>
  /** How own requests travel; JSON unless given. */
  readonly serializeType?: SerializeType
  /** Who asks; asked anew for each request, so that a secret can be replaced. Absent or null: requests bear no signature. */
  readonly credentials?: () => Credentials | null
}

export class RemotingClient implements AsyncDisposable {
  readonly #network: Network
  readonly #timers: Timers
  readonly #serializeType: SerializeType
  readonly #dispatcher: RequestDispatcher
  readonly #context: PeerContext
  /** By `host:port`; while connecting too, so that many requests make one connection. */
  readonly #connections = new Map<string, Promise<PeerConnection>>()
  readonly #open = new Set<PeerConnection>()
  #nextId = 1
  #checker: Timer | null = null
  #isClosed = false

  constructor(options: RemotingClientOptions) {
    const { clock, timers, logger } = options
    this.#network = options.network
    this.#timers = timers
    this.#serializeType = options.serializeType ?? SerializeType.JSON
    this.#dispatcher = new RequestDispatcher({ clock, logger, metrics: NO_METRICS })
    this.#context = {
      clock,
      timers,
      logger,
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      wheel: new TimeoutWheel(clock, timers),
      pool: new ChunkPool(),
      pausesWithOutput: false,
      takesProxyHeaders: false,
      metrics: NO_METRICS,
      onFrame: null,
      sharesInput: false,
      onRequest: (connection, command) => this.#dispatcher.dispatch(connection, command),
      onClosed: (connection) => {
        this.#open.delete(connection)
        if (this.#open.size > 0) return
        this.#checker?.cancel()
        this.#checker = null
      },
      ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
    }
  }

  /** Handles requests that servers send over the client's own connections. */
  register(code: number, processor: Processor): void {
    this.#dispatcher.register(code, processor)
  }

  /**
   * Sends a request to `address` (`host:port`), connecting first when necessary; the time-out covers both.
   *
   * Rejects with `RemotingError`: `connectFailed`, `timeout`, `closed`, `tooManyInFlight`. An answer with an error code is an answer.
   */
  async invoke(
    address: string,
    request: RequestContent,
    timeoutMs: number,
  ): Promise<RemotingCommand> {
    const startedAt = this.#context.clock.monotonic()
    const connection = await this.#connect(address, timeoutMs)
    const elapsedMs = this.#context.clock.monotonic() - startedAt
    return connection.invoke(request, Math.max(timeoutMs - elapsedMs, 1))
  }

  /** Sends a one-way request; false when it was dropped because the peer does not take it. Rejects with `connectFailed`, `closed`. */
  async invokeOneway(
    address: string,
    request: RequestContent,
    timeoutMs: number,
  ): Promise<boolean> {
    const connection = await this.#connect(address, timeoutMs)
    return connection.invokeOneway(request)
  }

  /** The open connection to `address`, made when there is none. */
  connection(address: string, timeoutMs: number): Promise<Connection> {
    return this.#connect(address, timeoutMs)
  }

  /** Sends what waits and closes all connections; requests without an answer reject with `closed`. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true
    const connecting = [...this.#connections.values()]
    this.#connections.clear()
    await Promise.allSettled(connecting)
    await endConnections(this.#open, this.#timers, END_TIMEOUT_MS)
    this.#checker?.cancel()
    this.#checker = null
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #connect(address: string, timeoutMs: number): Promise<PeerConnection> {
    if (this.#isClosed) {
      return Promise.reject(new RemotingError('closed', 'the remoting client is closed'))
    }
    const known = this.#connections.get(address)
    if (known !== undefined) return known
    const connecting = this.#openConnection(address, Math.min(timeoutMs, CONNECT_TIMEOUT_MAX_MS))
    this.#connections.set(address, connecting)
    const forget = () => {
      if (this.#connections.get(address) === connecting) this.#connections.delete(address)
    }
    connecting.then((connection) => connection.onClose(forget), forget)
    return connecting
  }

  async #openConnection(address: string, timeoutMs: number): Promise<PeerConnection> {
    const { host, port } = splitAddress(address)
    const id = this.#nextId++
    let made: PeerConnection | null = null
    try {
      await this.#network.connect({
        host,
        port,
        timeoutMs,
        onSocket: (socket) => {
          made = new PeerConnection(this.#context, socket, id, this.#serializeType)
          this.#open.add(made)
          return made.socketHandler
        },
      })
    } catch (error) {
      throw new RemotingError(
        'connectFailed',
        `cannot connect to ${address}: ${messageOf(error)}`,
        error,
      )
    }
    if (made === null) throw new RemotingError('connectFailed', `no socket for ${address}`)
    this.#checker ??= this.#timers.every(CHECK_INTERVAL_MS, () => this.#checkTimeouts())
    return made
  }

  #checkTimeouts(): void {
    const now = this.#context.clock.monotonic()
    for (const connection of this.#open) connection.checkTimeouts(now)
  }
}

/** `host:port`, `[ipv6]:port`; throws `RemotingError` (`connectFailed`) for anything else. */
export function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':')
  const portText = address.slice(colon + 1)
  const port = /^\d{1,5}$/.test(portText) ? Number(portText) : 0
  const host = address.slice(0, Math.max(colon, 0)).replace(/^\[(.*)\]$/, '$1')
  if (host === '' || port < 1 || port > 65_535) {
    throw new RemotingError(
      'connectFailed',
      `'${address.slice(0, 128)}' is no address of the form host:port`,
    )
  }
  return { host, port }
}
