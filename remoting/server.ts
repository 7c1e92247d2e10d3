/** A remoting server: listens, answers requests with the processors registered for their codes, calls its clients back. */
import assert from 'node:assert/strict'
import type { Logger } from '../common/log.ts'
import type {
  Clock,
  Listener,
  Network,
  Socket,
  SocketHandler,
  Timer,
  Timers,
} from '../common/ports.ts'
import { SerializeType } from './command.ts'
import type { Processor } from './connection.ts'
import type { FrameProcessor } from './request-frame.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import type { RemotingLimits } from './limits.ts'
import { NO_METRICS } from './metrics.ts'
import type { RemotingMetrics } from './metrics.ts'
import { ChunkPool } from './output-buffer.ts'
import { hangUp, PeerConnection } from './peer-connection.ts'
import type { PeerContext } from './peer-connection.ts'
import { RequestDispatcher } from './request-dispatcher.ts'
import { TimeoutWheel } from './timeout-wheel.ts'

const CHECK_INTERVAL_MS = 1_000
/** How long an ended connection may take to close. */
const END_TIMEOUT_MS = 1_000
const ANSWERS_TIMEOUT_MS = 1_000
/** Answers reach a peer by then. */
const DELIVERY_MS = 50

export interface RemotingServerOptions {
  readonly network: Network
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
  /** `createRemotingMetrics(registry)`; servers of one role share it. */
  readonly metrics?: RemotingMetrics
  readonly limits?: Partial<RemotingLimits>
}

export class RemotingServer implements AsyncDisposable {
  readonly #network: Network
  readonly #timers: Timers
  readonly #logger: Logger
  readonly #metrics: RemotingMetrics
  readonly #limits: RemotingLimits
  readonly #dispatcher: RequestDispatcher
  readonly #context: PeerContext
  readonly #connections = new Set<PeerConnection>()
  readonly #listeners: Listener[] = []
  #nextId = 1
  #checker: Timer | null = null
  #closing: Promise<void> | null = null

  constructor(options: RemotingServerOptions) {
    const { clock, timers, logger } = options
    this.#network = options.network
    this.#timers = timers
    this.#logger = logger
    this.#metrics = options.metrics ?? NO_METRICS
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.#dispatcher = new RequestDispatcher({ clock, logger, metrics: this.#metrics })
    this.#context = {
      clock,
      timers,
      logger,
      limits: this.#limits,
      wheel: new TimeoutWheel(clock, timers),
      pool: new ChunkPool(),
      pausesWithOutput: true,
      takesProxyHeaders: true,
      metrics: this.#metrics,
      sharesInput: true,
      onFrame: (connection, source, start, end) =>
        this.#dispatcher.dispatchFrame(connection, source, start, end),
      onRequest: (connection, command) => this.#dispatcher.dispatch(connection, command),
      onClosed: (connection, reason) => {
        this.#connections.delete(connection)
        this.#metrics.connectionClosed(reason)
      },
    }
  }

  /** Codes that have a processor. */
  get codes(): readonly number[] {
    return this.#dispatcher.codes
  }

  /** Open connections. */
  get connectionCount(): number {
    return this.#connections.size
  }

  /** One processor for each code; before `listen`. */
  register(code: number, processor: Processor): void {
    this.#dispatcher.register(code, processor)
  }

  /** Offers requests of a code to `processor` before they are decoded; `register` the ordinary one first. Before `listen`. */
  registerFrameProcessor(code: number, processor: FrameProcessor): void {
    this.#dispatcher.registerFrameProcessor(code, processor)
  }

  /** Accepts connections; may be called for several addresses. Rejects with the system's error (`EADDRINUSE` …). Port 0: any. */
  async listen(
    host: string,
    port: number,
  ): Promise<{ readonly host: string; readonly port: number }> {
    assert(this.#closing === null, 'a closed server does not listen again')
    const listener = await this.#network.listen(host, port, (socket) => this.#accept(socket))
    this.#listeners.push(listener)
    this.#checker ??= this.#timers.every(CHECK_INTERVAL_MS, () => this.#checkTimeouts())
    return { host: listener.host, port: listener.port }
  }

  /**
   * Ends all connections that stand, each behind its next answer: then a client that asks one thing at a time has nothing under way. Java
   * clients before version 5 and Go's do not notice that a request of theirs is not answered any more, and wait for it. After
   * `ANSWERS_TIMEOUT_MS` a connection that is idle just ends; one that is never without a request takes none any more, has those answered that it took,
   * and is reset, which Java clients do notice.
   */
  async endConnections(): Promise<void> {
    const late = Promise.withResolvers<void>()
    const timer = this.#timers.after(ANSWERS_TIMEOUT_MS, late.resolve)
    await Promise.all(
      [...this.#connections].map((each) => this.#endBehindAnswer(each, late.promise)),
    )
    timer.cancel()
  }

  /** Accepts no more, waits for the answers to accepted requests up to `closeTimeoutMs`, closes all connections. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #accept(socket: Socket): SocketHandler {
    const id = this.#nextId++
    const connection = new PeerConnection(this.#context, socket, id, SerializeType.JSON)
    this.#connections.add(connection)
    this.#metrics.connectionOpened()
    if (this.#connections.size > this.#limits.maxConnections || this.#closing !== null) {
      const { remoteAddress } = connection
      this.#metrics.rejected('tooManyConnections')
      this.#logger.warn({ remoteAddress }, 'too many connections: closing a new one')
      connection.closeFor('tooManyConnections')
    }
    return connection.socketHandler
  }

  #checkTimeouts(): void {
    const now = this.#context.clock.monotonic()
    for (const connection of this.#connections) connection.checkTimeouts(now)
  }

  async #endBehindAnswer(connection: PeerConnection, late: Promise<void>): Promise<void> {
    await Promise.race([connection.whenNextAnswered(), late])
    if (connection.inFlight > 0) {
      connection.stopReading()
      await Promise.race([connection.whenAnswered(), this.#pause(END_TIMEOUT_MS)])
      await this.#pause(DELIVERY_MS)
    }
    await hangUp([connection], this.#timers, END_TIMEOUT_MS)
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#timers.after(ms, resolve))
  }

  async #close(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close()))
    for (const connection of this.#connections) connection.stopReading()
    await this.#answersOrTimeout()
    await hangUp(this.#connections, this.#timers, END_TIMEOUT_MS)
    this.#checker?.cancel()
  }

  async #answersOrTimeout(): Promise<void> {
    const answered = [...this.#connections].map((connection) => connection.whenAnswered())
    let deadline: Timer | null = null
    const timeout = new Promise<void>((resolve) => {
      deadline = this.#timers.after(this.#limits.closeTimeoutMs, resolve)
    })
    await Promise.race([Promise.all(answered), timeout])
    cancel(deadline)
  }
}

function cancel(timer: Timer | null): void {
  timer?.cancel()
}
