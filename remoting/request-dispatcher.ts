/** Hands requests to the processors registered for their codes, and sees to it that each gets one answer at most. */
import assert from 'node:assert/strict'
import { messageOf } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Clock } from '../common/ports.ts'
import { decodeCommand } from './command-codec.ts'
import { isOneway } from './command.ts'
import type { RemotingCommand, ResponseContent } from './command.ts'
import type { Processor, RemotingRequest } from './connection.ts'
import { RemotingError } from './errors.ts'
import { FrameScanner, REQUEST_OVERHEAD_BYTES } from './frame-scanner.ts'
import type { RemotingMetrics, RpcResult } from './metrics.ts'
import { notSupportedRemark } from './not-supported.ts'
import type { PeerConnection } from './peer-connection.ts'
import type { FrameProcessor } from './request-frame.ts'
import { ResponseCode } from './response-code.ts'

/** Longest text of an exception that leaves as a remark. */
const REMARK_MAX_CHARACTERS = 4096

interface Dependencies {
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: RemotingMetrics
}

export class RequestDispatcher {
  readonly #dependencies: Dependencies
  readonly #processors = new Map<number, Processor>()
  readonly #frameProcessors = new Map<number, FrameProcessor>()
  readonly #frame = new FrameScanner()

  constructor(dependencies: Dependencies) {
    this.#dependencies = dependencies
  }

  /** Codes that have a processor. */
  get codes(): readonly number[] {
    return [...this.#processors.keys()]
  }

  register(code: number, processor: Processor): void {
    assert(!this.#processors.has(code), `request code ${code} has a processor already`)
    this.#processors.set(code, processor)
  }

  /** `processor` sees the requests of a code first; what it does not take goes to the ordinary one, which must be there. */
  registerFrameProcessor(code: number, processor: FrameProcessor): void {
    assert(this.#processors.has(code), `request code ${code} has no ordinary processor`)
    assert(!this.#frameProcessors.has(code), `request code ${code} has a frame processor already`)
    this.#frameProcessors.set(code, processor)
  }

  /** Offers the frame whose header word starts at `start` to its frame processor; false when nothing has happened. */
  dispatchFrame(connection: PeerConnection, source: Buffer, start: number, end: number): boolean {
    if (this.#frameProcessors.size === 0) return false
    const frame = this.#frame
    if (!frame.scan(source, start, end, connection.receivedAt)) return false
    const processor = this.#frameProcessors.get(frame.code)
    if (processor === undefined) return false
    const { inFlight } = connection
    const { inFlightBytes } = frame
    // Counted before, since the answer may be written within the call.
    connection.requestAccepted(inFlightBytes)
    try {
      if (processor(connection, frame)) return true
    } catch (error) {
      const { clock, metrics, logger } = this.#dependencies
      const command = decodeCommand(source, start, end)
      if (connection.inFlight > inFlight) {
        connection.requestNotTaken(inFlightBytes)
        this.#fail(new AcceptedRequest(connection, command, clock, metrics), error)
      } else {
        logger.error({ code: command.code, err: error }, 'a processor failed after its answer')
      }
      return true
    }
    connection.requestNotTaken(inFlightBytes)
    return false
  }

  dispatch(connection: PeerConnection, command: RemotingCommand): void {
    const { clock, metrics } = this.#dependencies
    const request = new AcceptedRequest(connection, command, clock, metrics)
    const processor = this.#processors.get(command.code)
    if (processor === undefined) {
      metrics.rejected('unsupportedCode')
      request.respond({
        code: ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
        remark: notSupportedRemark(command.code),
      })
      request.returned()
      return
    }
    try {
      const running = processor(request)
      if (running === undefined) request.returned()
      else
        running.then(
          () => request.returned(),
          (error: unknown) => this.#fail(request, error),
        )
    } catch (error) {
      this.#fail(request, error)
    }
  }

  #fail(request: AcceptedRequest, error: unknown): void {
    const { code } = request.command
    const { remoteAddress } = request.connection
    // What the peer got wrong is its own business; anything else is ours.
    if (!(error instanceof RemotingError)) {
      this.#dependencies.logger.error({ code, remoteAddress, err: error }, 'a processor failed')
    }
    request.fail(messageOf(error).slice(0, REMARK_MAX_CHARACTERS))
  }
}

class AcceptedRequest implements RemotingRequest {
  readonly command: RemotingCommand
  readonly connection: PeerConnection
  readonly receivedAt: number
  readonly #clock: Clock
  readonly #metrics: RemotingMetrics
  readonly #size: number
  #isAnswered = false

  constructor(
    connection: PeerConnection,
    command: RemotingCommand,
    clock: Clock,
    metrics: RemotingMetrics,
  ) {
    this.command = command
    this.connection = connection
    this.receivedAt = clock.monotonic()
    this.#clock = clock
    this.#metrics = metrics
    this.#size = command.body.length + REQUEST_OVERHEAD_BYTES
    connection.requestAccepted(this.#size)
  }

  respond(response: ResponseContent): void {
    this.#answer(response, 'success')
  }

  /** The processor has returned without an error; a one-way request is done with that. */
  returned(): void {
    if (isOneway(this.command)) this.#answer(null, 'oneway')
  }

  fail(text: string): void {
    this.#answer({ code: ResponseCode.SYSTEM_ERROR, remark: text }, 'process_request_failed')
  }

  #answer(response: ResponseContent | null, result: RpcResult): void {
    if (this.#isAnswered) return
    // Whatever is answered to a one-way request only ends it once its processor has returned.
    const isOneWay = isOneway(this.command)
    if (isOneWay && result === 'success') return
    this.#isAnswered = true
    this.connection.requestDone(this.#size)
    const isLost =
      !isOneWay && response !== null && !this.connection.writeResponse(this.command, response)
    this.#metrics.recordRpc({
      requestCode: this.command.code,
      responseCode: isOneWay || response === null ? null : response.code,
      isLongPolling: response?.isLongPolling ?? false,
      result: isLost ? 'write_channel_failed' : result,
      latencyMs: this.#clock.monotonic() - this.receivedAt,
    })
  }
}
