/** Compares the two ways of a request: taken as a frame, or as a command in the ordinary way. */
import { messageOf } from '../../common/errors.ts'
import { decodeCommand, encodeCommand, extFieldsOf } from '../../remoting/command-codec.ts'
import { GANTRY_VERSION, LanguageCode, NO_BODY, RESPONSE_FLAG } from '../../remoting/command.ts'
import { FrameScanner } from '../../remoting/frame-scanner.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { FakeConnection } from '../testing.ts'
import type { RemotingCommand, ResponseContent } from '../../remoting/command.ts'
import type { BrokerWorld } from '../testing-world.ts'

export interface FrameAnswer {
  readonly opaque: number
  readonly frame: Buffer
  readonly isLongPolling: boolean
}

/** A broker that is sent requests: as frames, as far as it takes them, or all in the ordinary way. */
export class FrameSubject {
  readonly world: BrokerWorld
  readonly connection: FakeConnection = new FakeConnection(1)
  readonly #isFast: boolean
  readonly #ordinary: FrameAnswer[] = []
  readonly #scanner = new FrameScanner()
  /** Requests that were taken as frames. */
  taken = 0

  constructor(world: BrokerWorld, isFast: boolean) {
    this.world = world
    this.#isFast = isFast
  }

  async call(request: RemotingCommand): Promise<void> {
    const frame = encodeCommand(request)
    if (!this.#isFast || !this.#take(frame)) this.#callOrdinary(frame)
    await this.world.time.settle()
  }

  get answers(): readonly FrameAnswer[] {
    const fast = this.connection.written.map(({ frames, answered }) => ({
      opaque: decodeCommand(frames, 4, frames.length).opaque,
      frame: frames,
      isLongPolling: answered.isLongPolling,
    }))
    return [...fast, ...this.#ordinary].toSorted((left, right) => left.opaque - right.opaque)
  }

  #take(frame: Buffer): boolean {
    if (!this.#scanner.scan(frame, 4, frame.length, 0)) return false
    const processor = this.world.processors.byFrame.get(this.#scanner.code)
    const isTaken = processor?.(this.connection, this.#scanner) === true
    if (!isTaken) return false
    // The received bytes may be overwritten once the call has returned.
    frame.fill(0xff)
    this.taken++
    return true
  }

  #callOrdinary(frame: Buffer): void {
    const command = decodeCommand(frame, 4, frame.length)
    const { opaque, serializeType } = command
    const respond = (response: ResponseContent): void => {
      const { code, remark = null, extFields, body = NO_BODY, isLongPolling = false } = response
      const answered = encodeCommand({
        code,
        language: LanguageCode.OTHER,
        version: GANTRY_VERSION,
        opaque,
        flag: RESPONSE_FLAG,
        remark,
        extFields: extFieldsOf(extFields),
        body: Buffer.isBuffer(body) ? body : Buffer.concat(body),
        serializeType,
      })
      this.#ordinary.push({ opaque, frame: answered, isLongPolling })
    }
    const { connection } = this
    try {
      void this.world.processors.byCode.get(command.code)?.({
        command,
        connection,
        receivedAt: 0,
        respond,
      })
    } catch (error) {
      // As the server does with what a processor throws.
      respond({ code: ResponseCode.SYSTEM_ERROR, remark: messageOf(error) })
    }
  }
}
