/** One connection of a server or client: framing, matching of answers, batching of output, back-pressure, limits. */
import assert from 'node:assert/strict'
import { systemCodeOf } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Clock, Socket, SocketHandler, Timer, Timers } from '../common/ports.ts'
import { decodeCommand, encodeFrame, extFieldsOf } from './command-codec.ts'
import {
  GANTRY_VERSION,
  isResponse,
  LanguageCode,
  NO_BODY,
  NO_FIELDS,
  ONEWAY_FLAG,
  RESPONSE_FLAG,
  SerializeType,
} from './command.ts'
import type { RemotingCommand, RequestContent, ResponseContent } from './command.ts'
import type { Connection } from './connection.ts'
import { RemotingError } from './errors.ts'
import { FrameDecoder } from './frame-decoder.ts'
import type { RemotingLimits } from './limits.ts'
import type { CloseReason, RemotingMetrics } from './metrics.ts'
import { OutputBuffer } from './output-buffer.ts'
import { mayBeginProxyHeader, readProxyHeader } from './proxy-protocol.ts'
import type { ChunkPool } from './output-buffer.ts'
import type { AnsweredRequests } from './request-frame.ts'
import { signed } from './signature.ts'
import type { Credentials } from '../common/credentials.ts'
import type { TimeoutWheel } from './timeout-wheel.ts'

const OPAQUE_MAX = 0x7fff_ffff
/** The first byte of a TLS handshake, which no frame can start with. */
const TLS_HANDSHAKE = 0x16

/** What the connections of one server or client share. */
export interface PeerContext {
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
  readonly limits: RemotingLimits
  readonly wheel: TimeoutWheel
  readonly pool: ChunkPool
  /** Servers stop reading from a peer that does not take its answers. A client must not: both would wait for each other. */
  readonly pausesWithOutput: boolean
  readonly metrics: RemotingMetrics
  /** Offers the frame whose header word starts at `start`; true when it is taken. Null: nobody takes frames. */
  readonly onFrame:
    | ((connection: PeerConnection, source: Buffer, start: number, end: number) => boolean)
    | null
  /** A connection may begin with a PROXY protocol header. */
  readonly takesProxyHeaders: boolean
  /** Received bytes are valid only while they are handed over (`Network.listen`). */
  readonly sharesInput: boolean
  readonly onRequest: (connection: PeerConnection, command: RemotingCommand) => void
  readonly onClosed: (connection: PeerConnection, reason: CloseReason) => void
  /** What own requests are signed with; they are not while it is absent or gives null. */
  readonly credentials?: () => Credentials | null
}

interface Pending {
  readonly resolve: (answer: RemotingCommand) => void
  readonly reject: (error: RemotingError) => void
  readonly timer: Timer
}

export class PeerConnection implements Connection {
  readonly id: number
  readonly socketHost: string
  readonly localHost: string
  #remoteHost: string
  #remotePort: number
  #remoteAddress: string
  readonly #context: PeerContext
  readonly #socket: Socket
  readonly #decoder: FrameDecoder
  readonly #output: OutputBuffer
  readonly #pending = new Map<number, Pending>()
  readonly #closeListeners: (() => void)[] = []
  readonly #idleListeners: (() => void)[] = []
  #serializeType: SerializeType
  #nextOpaque = 1
  #isOpen = true
  #closeReason: CloseReason | null = null
  #isFlushPlanned = false
  #isEarlyFlushPlanned = false
  #isDraining = true
  #isPaused = false
  #isReadingStopped = false
  #isEnding = false
  /** What is being read, when it is overwritten by the next read: commands outlive that. */
  #shared: Buffer | null = null
  #hasReceived = false
  /** The beginning of a PROXY protocol header that is not whole yet. */
  #preface: Buffer | null = null
  #inFlight = 0
  #inFlightBytes = 0
  #lastActivity: number
  /** When the first byte of an unfinished frame came; null between frames. */
  #frameStartedAt: number | null = null

  /** `serializeType` is what own requests use until the peer has shown what it speaks. */
  constructor(context: PeerContext, socket: Socket, id: number, serializeType: SerializeType) {
    this.id = id
    this.socketHost = socket.remoteHost
    this.#remoteHost = socket.remoteHost
    this.#remotePort = socket.remotePort
    this.#remoteAddress = `${socket.remoteHost}:${socket.remotePort}`
    this.localHost = socket.localHost
    this.#context = context
    this.#socket = socket
    this.#serializeType = serializeType
    this.#output = new OutputBuffer(context.pool)
    this.#lastActivity = context.clock.monotonic()
    this.#decoder = new FrameDecoder(context.limits.frameMaxLength, (source, start, end) =>
      this.#onFrame(source, start, end),
    )
  }

  /** What the network calls. */
  get socketHandler(): SocketHandler {
    return {
      onData: (bytes) => this.#onData(bytes),
      onDrain: () => this.#onDrain(),
      onClose: (error) => this.#onSocketClose(error),
    }
  }

  get remoteHost(): string {
    return this.#remoteHost
  }

  get remotePort(): number {
    return this.#remotePort
  }

  get remoteAddress(): string {
    return this.#remoteAddress
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  get outputBytes(): number {
    return this.#output.size + this.#socket.pendingBytes
  }

  /** Accepted requests that wait for their answer. */
  get inFlight(): number {
    return this.#inFlight
  }

  /** When the frames at hand were read, `Clock.monotonic()`. */
  get receivedAt(): number {
    return this.#lastActivity
  }

  invoke(request: RequestContent, timeoutMs: number): Promise<RemotingCommand> {
    return new Promise((resolve, reject) => {
      if (!this.#isOpen) {
        reject(this.#closedError())
        return
      }
      if (this.#pending.size >= this.#context.limits.maxPendingInvocations) {
        reject(
          new RemotingError('tooManyInFlight', `too many requests wait for ${this.remoteAddress}`),
        )
        return
      }
      const opaque = this.#takeOpaque()
      const timer = this.#context.wheel.after(timeoutMs, () => {
        this.#pending.delete(opaque)
        const what = `request ${request.code} in ${timeoutMs} ms`
        reject(new RemotingError('timeout', `${this.remoteAddress} has not answered ${what}`))
      })
      this.#pending.set(opaque, { resolve, reject, timer })
      this.#writeRequest(request, opaque, 0)
    })
  }

  invokeOneway(request: RequestContent): boolean {
    if (!this.#isOpen || !this.#isDraining) return false
    this.#writeRequest(request, this.#takeOpaque(), ONEWAY_FLAG)
    return this.#isOpen
  }

  onClose(listener: () => void): void {
    if (this.#isOpen) this.#closeListeners.push(listener)
    else listener()
  }

  close(): void {
    this.closeFor('local')
  }

  /** Drops the connection, keeping the first reason; what is written but not sent is lost. */
  closeFor(reason: CloseReason): void {
    if (!this.#isOpen) return
    this.#closeReason ??= reason
    this.#socket.destroy()
    this.#finish()
  }

  /** Sends what waits, then ends the connection; what still comes in is dropped, the peer's end of the stream completes it. */
  end(): void {
    if (!this.#isOpen) return
    this.#flush()
    this.#closeReason ??= 'local'
    this.#isEnding = true
    this.#socket.end()
    this.#updateReading()
  }

  /**
   * Sends what waits and closes the connection without waiting for the peer. When something has come that nobody will read, the system
   * resets the connection instead of ending its stream: the peer's requests under way fail at once.
   */
  hangUp(): void {
    if (!this.#isOpen) return
    this.#flush()
    if (this.#socket.pendingBytes > 0) this.end()
    else this.close()
  }

  /** Resolves when no accepted request waits for its answer any more, or the connection has closed. */
  whenAnswered(): Promise<void> {
    if (!this.#isOpen || this.#inFlight === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#idleListeners.push(resolve)
    })
  }

  /** Like `whenAnswered`, but a connection where nothing waits has to be asked something first. */
  whenNextAnswered(): Promise<void> {
    if (!this.#isOpen) return Promise.resolve()
    return new Promise((resolve) => {
      this.#idleListeners.push(resolve)
    })
  }

  /** Takes no further requests; answers to accepted ones still leave. */
  stopReading(): void {
    this.#isReadingStopped = true
    this.#updateReading()
  }

  /** Called by the owner every second or so. */
  checkTimeouts(now: number): void {
    const { idleTimeoutMs, halfFrameTimeoutMs } = this.#context.limits
    if (this.#frameStartedAt !== null && now - this.#frameStartedAt > halfFrameTimeoutMs) {
      // While reading is paused by us the rest cannot come.
      if (!this.#isPaused) this.closeFor('halfFrame')
    } else if (now - this.#lastActivity > idleTimeoutMs) {
      this.closeFor('idle')
    }
  }

  /** An accepted request of `size` frame bytes begins to wait for its answer. */
  requestAccepted(size: number): void {
    this.#inFlight++
    this.#inFlightBytes += size
    this.#updateReading()
  }

  /** Takes `requestAccepted` back: the request goes another way, and is accepted there before anything else happens. */
  requestNotTaken(size: number): void {
    assert(this.#inFlight > 0)
    this.#inFlight--
    this.#inFlightBytes -= size
  }

  /** `count` requests of together `size` bytes have been answered. */
  requestDone(size: number, count: number = 1): void {
    assert(this.#inFlight >= count)
    this.#inFlight -= count
    this.#inFlightBytes -= size
    this.#updateReading()
    if (this.#inFlight === 0) for (const listener of this.#idleListeners.splice(0)) listener()
  }

  /** Writes an answer; false when the connection is closed. */
  writeResponse(request: RemotingCommand, response: ResponseContent): boolean {
    if (!this.#isOpen) return false
    encodeFrame(
      {
        code: response.code,
        language: LanguageCode.OTHER,
        version: GANTRY_VERSION,
        opaque: request.opaque,
        flag: RESPONSE_FLAG,
        remark: response.remark ?? null,
        extFields: extFieldsOf(response.extFields),
      },
      request.serializeType,
      response.body ?? NO_BODY,
      this.#output,
    )
    this.#planFlush()
    return this.#isOpen
  }

  writeFrames(source: Buffer, start: number, end: number, answered: AnsweredRequests): boolean {
    this.requestDone(answered.bytes, answered.count)
    if (this.#isOpen && end > start) {
      this.#output.appendCopy(source, start, end)
      this.#planEarlyFlush()
    }
    return this.#answered(answered)
  }

  reserveFrames(size: number): { readonly buffer: Buffer; readonly at: number } {
    return this.#output.reserve(size)
  }

  commitFrames(end: number, answered: AnsweredRequests): boolean {
    this.requestDone(answered.bytes, answered.count)
    if (this.#isOpen) {
      this.#output.commit(end)
      this.#planEarlyFlush()
    }
    return this.#answered(answered)
  }

  #answered(answered: AnsweredRequests): boolean {
    const { requestCode, responseCode, count, isLongPolling } = answered
    const written = this.#isOpen ? 'success' : 'write_channel_failed'
    const { metrics, clock } = this.#context
    metrics.recordRpc(
      {
        requestCode,
        responseCode,
        isLongPolling,
        result: responseCode === null ? 'oneway' : written,
        latencyMs: clock.monotonic() - answered.receivedAt,
      },
      count,
    )
    return this.#isOpen
  }

  #onData(bytes: Buffer): void {
    if (!this.#isOpen || this.#isEnding) return
    this.#lastActivity = this.#context.clock.monotonic()
    const frames = this.#hasReceived ? bytes : this.#readPreface(bytes)
    if (frames === null) return
    this.#hasReceived = true
    try {
      if (this.#context.sharesInput) this.#shared = frames
      this.#decoder.push(frames)
    } catch (error) {
      if (!(error instanceof RemotingError)) throw error
      const reason = error.code === 'tooLarge' ? 'tooLarge' : 'malformed'
      const { remoteAddress } = this
      this.#context.logger.warn({ remoteAddress, reason, err: error }, 'closing a broken peer')
      this.closeFor(reason)
      return
    }
    if (this.#decoder.pendingBytes === 0) this.#frameStartedAt = null
    else this.#frameStartedAt ??= this.#lastActivity
  }

  #onDrain(): void {
    this.#isDraining = true
    this.#lastActivity = this.#context.clock.monotonic()
    this.#updateReading()
  }

  #onSocketClose(error: Error | null): void {
    this.#closeReason ??= error === null ? 'peer' : 'error'
    if (error !== null) {
      const { remoteAddress } = this
      const code = systemCodeOf(error)
      this.#context.logger.debug({ remoteAddress, code, err: error }, 'connection failed')
    }
    this.#finish()
  }

  /**
   * The first frames of a connection, behind a PROXY protocol header if it has one; null when there are none yet. TLS is told apart from
   * broken frames, since its counter tells what is missing.
   */
  #readPreface(bytes: Buffer): Buffer | null {
    const first = this.#preface?.[0] ?? bytes[0]
    if (first === TLS_HANDSHAKE) {
      this.closeFor('tls')
      return null
    }
    if (!mayBeginProxyHeader(first)) return bytes
    if (!this.#context.takesProxyHeaders) {
      this.closeFor('proxyProtocol')
      return null
    }
    const received = this.#preface === null ? bytes : Buffer.concat([this.#preface, bytes])
    try {
      const header = readProxyHeader(received)
      if (header === null) {
        // Copied: received bytes live for this call. Its size is bounded by that of a header.
        this.#preface = Buffer.from(received)
        this.#frameStartedAt ??= this.#lastActivity
        return null
      }
      this.#preface = null
      this.#frameStartedAt = null
      if (header.source !== null) this.#setRemote(header.source)
      return received.subarray(header.end)
    } catch (error) {
      if (!(error instanceof RemotingError)) throw error
      const { remoteAddress } = this
      this.#context.logger.warn({ remoteAddress, err: error }, 'closing a broken peer')
      this.closeFor('proxyProtocol')
      return null
    }
  }

  /** The peer is a load balancer: from now on the connection is that of its client. */
  #setRemote({ host, port }: { readonly host: string; readonly port: number }): void {
    this.#remoteHost = host
    this.#remotePort = port
    this.#remoteAddress = `${host}:${port}`
  }

  /** True when nobody looks at the bytes any more. */
  #onFrame(source: Buffer, start: number, end: number): boolean {
    this.#frameStartedAt = null
    // An earlier frame of the same chunk may have closed the connection.
    if (!this.#isOpen) return true
    const { onFrame } = this.#context
    if (onFrame !== null && onFrame(this, source, start, end)) {
      const isBinary = source[start] === SerializeType.ROCKETMQ
      this.#serializeType = isBinary ? SerializeType.ROCKETMQ : SerializeType.JSON
      return true
    }
    if (source === this.#shared) {
      const own = Buffer.from(source.subarray(start, end))
      this.#onCommand(decodeCommand(own, 0, own.length))
    } else {
      this.#onCommand(decodeCommand(source, start, end))
    }
    return false
  }

  #onCommand(command: RemotingCommand): void {
    if (!isResponse(command)) {
      this.#serializeType = command.serializeType
      this.#context.onRequest(this, command)
      return
    }
    const pending = this.#pending.get(command.opaque)
    if (pending === undefined) {
      const { remoteAddress } = this
      const { opaque, code } = command
      this.#context.logger.debug({ remoteAddress, opaque, code }, 'nobody waits for this answer')
      return
    }
    this.#pending.delete(command.opaque)
    pending.timer.cancel()
    pending.resolve(command)
  }

  #writeRequest(given: RequestContent, opaque: number, flag: number): void {
    const credentials = this.#context.credentials?.() ?? null
    const request = credentials === null ? given : signed(given, credentials)
    encodeFrame(
      {
        code: request.code,
        language: LanguageCode.OTHER,
        version: GANTRY_VERSION,
        opaque,
        flag,
        remark: request.remark ?? null,
        extFields: request.extFields === undefined ? NO_FIELDS : extFieldsOf(request.extFields),
      },
      this.#serializeType,
      request.body ?? NO_BODY,
      this.#output,
    )
    this.#planFlush()
  }

  #takeOpaque(): number {
    let opaque = this.#nextOpaque
    while (this.#pending.has(opaque)) opaque = opaque === OPAQUE_MAX ? 1 : opaque + 1
    this.#nextOpaque = opaque === OPAQUE_MAX ? 1 : opaque + 1
    return opaque
  }

  #planFlush(): void {
    if (this.#isOverOutputLimit()) return
    if (this.#isFlushPlanned) return
    this.#isFlushPlanned = true
    this.#context.timers.soon(() => {
      this.#isFlushPlanned = false
      this.#flush()
    })
  }

  /** Sends what waits when the callback under way is over: all answers that it brings leave in one write. */
  #planEarlyFlush(): void {
    if (this.#isOverOutputLimit() || this.#isEarlyFlushPlanned) return
    this.#isEarlyFlushPlanned = true
    queueMicrotask(() => {
      this.#isEarlyFlushPlanned = false
      this.#flush()
    })
  }

  #isOverOutputLimit(): boolean {
    if (this.outputBytes <= this.#context.limits.maxOutputBytes) return false
    this.closeFor('outputLimit')
    return true
  }

  #flush(): void {
    if (!this.#isOpen || this.#output.size === 0) return
    const { segments, release } = this.#output.take()
    const [first] = segments
    this.#isDraining =
      segments.length === 1 && first !== undefined
        ? this.#socket.write(first)
        : this.#socket.writeAll(segments)
    const isWritten = this.#socket.pendingBytes === 0
    release(isWritten)
    if (isWritten) {
      this.#isDraining = true
      this.#lastActivity = this.#context.clock.monotonic()
    }
    this.#updateReading()
  }

  /** Reading pauses while the peer does not take its answers, or too many of its requests wait. */
  #updateReading(): void {
    if (!this.#isOpen) return
    const { maxInFlightPerConnection, maxInFlightBytesPerConnection } = this.#context.limits
    // With a gap between the two bounds, so that a busy connection does not flap.
    const share = this.#isPaused ? 0.75 : 1
    const isOverLimit =
      this.#isReadingStopped ||
      (this.#context.pausesWithOutput && !this.#isDraining) ||
      this.#inFlight >= maxInFlightPerConnection * share ||
      this.#inFlightBytes >= maxInFlightBytesPerConnection * share
    // An ending connection reads on, or it would never see the peer's end.
    const shouldPause = isOverLimit && !this.#isEnding
    if (shouldPause === this.#isPaused) return
    this.#isPaused = shouldPause
    if (shouldPause) this.#socket.pause()
    else this.#socket.resume()
  }

  #finish(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#output.take().release(true)
    const error = this.#closedError()
    for (const pending of this.#pending.values()) {
      pending.timer.cancel()
      pending.reject(error)
    }
    this.#pending.clear()
    this.#context.onClosed(this, this.#closeReason ?? 'local')
    for (const listener of this.#idleListeners.splice(0)) listener()
    for (const listener of this.#closeListeners.splice(0)) listener()
  }

  #closedError(): RemotingError {
    return new RemotingError('closed', `the connection to ${this.remoteAddress} is closed`)
  }
}

/** Ends all connections in good order; those that have not closed after `timeoutMs` are dropped. */
export function endConnections(
  connections: Iterable<PeerConnection>,
  timers: Timers,
  timeoutMs: number,
): Promise<void> {
  return allClosed(connections, timers, timeoutMs, (connection) => connection.end())
}

/** Closes all connections as `PeerConnection.hangUp` does; those whose peers have not taken all after `timeoutMs` are dropped. */
export function hangUp(
  connections: Iterable<PeerConnection>,
  timers: Timers,
  timeoutMs: number,
): Promise<void> {
  return allClosed(connections, timers, timeoutMs, (connection) => connection.hangUp())
}

async function allClosed(
  connections: Iterable<PeerConnection>,
  timers: Timers,
  timeoutMs: number,
  end: (connection: PeerConnection) => void,
): Promise<void> {
  const ending = [...connections]
  const deadline = timers.after(timeoutMs, () => {
    for (const connection of ending) connection.close()
  })
  const closed = ending.map(
    (connection) =>
      new Promise<void>((resolve) => {
        connection.onClose(resolve)
        end(connection)
      }),
  )
  await Promise.all(closed)
  deadline.cancel()
}
