/** ACK_MESSAGE and BATCH_ACK_MESSAGE of the plain kind, from the bytes of the request to those of the answer; all else goes the ordinary way. */
import { ONEWAY_FLAG, SerializeType } from '../../remoting/command.ts'
import { handleProblem, isOrderReceipt } from '../pop/pop-rules.ts'
import { AckFrameReader } from './ack-frame.ts'
import { BatchAckReader } from './batch-ack-frame.ts'
import { askedBy, writeAnswer } from './frame-answer.ts'
import { ackOne, batchAck } from './pop-ack.ts'
import type { FrameProcessor, RequestFrame } from '../../remoting/request-frame.ts'
import type { BrokerParts } from '../parts.ts'
import type { PopService } from '../pop/pop-service.ts'

export class FastAck {
  readonly #parts: BrokerParts
  readonly #pops: PopService
  readonly #reader = new AckFrameReader()
  readonly #batchReader = new BatchAckReader()

  constructor(parts: BrokerParts, pops: PopService) {
    this.#parts = parts
    this.#pops = pops
  }

  readonly take: FrameProcessor = (connection, frame) => {
    if (!this.#isPlain(frame)) return false
    const header = this.#reader.read(frame)
    if (header === null || isOrderReceipt(header.receipt)) return false
    if (handleProblem(this.#parts, header, connection.remoteAddress, true) !== null) return false
    const asked = askedBy(frame)
    ackOne(this.#parts, this.#pops, header, (response) => writeAnswer(connection, asked, response))
    return true
  }

  readonly takeBatch: FrameProcessor = (connection, frame) => {
    if (!this.#isPlain(frame)) return false
    const acks = this.#batchReader.read(frame)
    if (acks === null) return false
    const asked = askedBy(frame)
    batchAck(this.#parts, this.#pops, acks, (response) => writeAnswer(connection, asked, response))
    return true
  }

  /** The codes of this family do not fit the binary header. */
  #isPlain({ flag, serializeType }: RequestFrame): boolean {
    return (
      (flag & ONEWAY_FLAG) === 0 && serializeType === SerializeType.JSON && this.#pops.isLeading
    )
  }
}
