/**
 * Pulls of the plain case, from the bytes of the request to the bytes of the answer: about 23 us for 32 messages of 1 KiB, to which the
 * kernel adds as much and more for the socket. Records are copied from the log's memory behind the answer's header; there is no object
 * per message.
 *
 * The rules are those of the ordinary way (`PullRules`). Whatever is not plainly "here are messages" or "wait for some" goes that way.
 */
import { ONEWAY_FLAG } from '../../remoting/command.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { GetStatus } from '../../store/types.ts'
import { answeredBy, askedBy, writeAnswer } from './frame-answer.ts'
import { PULL_ANSWER_HEADER_MAX, writeFoundHeader } from './pull-answer.ts'
import { PullFrameHeader } from './pull-frame.ts'
import { Pull, pullCodeOf } from './pull.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { Connection } from '../../remoting/connection.ts'
import type { FrameProcessor, RequestFrame } from '../../remoting/request-frame.ts'
import type { FoundRecords, GetRequest, MessageFilter } from '../../store/types.ts'
import type { BrokerParts } from '../parts.ts'
import type { Asked } from './frame-answer.ts'
import type { PullHeader, PullRules } from './pull-rules.ts'
import type { PullProcessor, PullReply } from './pull.ts'

/** Larger answers go the ordinary way; so large is the scratch memory that answers are put together in. */
const ANSWER_BYTES_MAX = 1024 * 1024
const SCRATCH_MIN = 64 * 1024
/** Answers up to this size are put together where they leave from. */
const DIRECT_BYTES_MAX = 64 * 1024

export class FastPull {
  readonly #parts: BrokerParts
  readonly #rules: PullRules
  readonly #processor: PullProcessor
  readonly #header = new PullFrameHeader()
  #scratch: Buffer = Buffer.allocUnsafeSlow(SCRATCH_MIN)

  constructor(parts: BrokerParts, rules: PullRules, processor: PullProcessor) {
    this.#parts = parts
    this.#rules = rules
    this.#processor = processor
  }

  readonly take: FrameProcessor = (connection, frame) => {
    const header = this.#header
    if ((frame.flag & ONEWAY_FLAG) !== 0 || !header.read(frame)) return false
    if (this.#rules.refusalOf(header, frame.code, connection.remoteAddress) !== null) return false
    const filter = this.#rules.filterOf(header)
    if (filter !== null && ('code' in filter || filter.matchesProperties !== null)) return false
    const { offsets, store } = this.#parts
    if (offsets.hasReset(header.consumerGroup, header.topic, header.queueId)) return false
    header.filter = filter
    const found = store.find(header)
    if (found.status === GetStatus.FOUND) {
      if (found.bytes > ANSWER_BYTES_MAX) return false
      if (this.#processor.mustWait(connection)) {
        return this.#processor.defer(this.#held(connection, frame, filter))
      }
      if (this.answer(connection, frame, header, found, false)) this.#rules.commit(header)
      else this.#load(this.#held(connection, frame, filter))
      return true
    }
    const code = pullCodeOf(found.status, header.queueOffset)
    if (code !== ResponseCode.PULL_NOT_FOUND || this.#rules.holdMs(header) <= 0) return false
    const pull = this.#held(connection, frame, filter)
    this.#processor.commit(pull)
    return this.#processor.park(pull, found.maxOffset)
  }

  /** Answers a pull that was held; false when there is nothing for it in memory. */
  answerHeld(pull: Pull, connection: Connection, asked: Asked): boolean {
    if (this.#processor.mustWait(connection)) return false
    const { header, filter, isWoken } = pull
    const { offsets, store } = this.#parts
    const { consumerGroup, topic, queueId, queueOffset, maxMessages } = header
    if (offsets.hasReset(consumerGroup, topic, queueId)) return false
    const request: GetRequest = { topic, queueId, queueOffset, maxMessages, filter }
    const found = store.find(request)
    if (found.status !== GetStatus.FOUND || found.bytes > ANSWER_BYTES_MAX) return false
    return this.answer(connection, asked, header, found, isWoken)
  }

  /** Writes the answer with the records that the store has just found; false when some are not in memory. */
  answer(
    connection: Connection,
    asked: Asked,
    header: PullHeader,
    found: FoundRecords,
    isLongPolling: boolean,
  ): boolean {
    const { count, bytes } = found
    const size = bytes + PULL_ANSWER_HEADER_MAX
    // Larger ones do not fit what connections write from; they are put together here, and copied in pieces.
    const isSmall = size <= DIRECT_BYTES_MAX
    const { buffer, at } = isSmall ? connection.reserveFrames(size) : this.#scratchOf(size)
    const bodyAt = writeFoundHeader(buffer, at, asked.serializeType, bytes, {
      opaque: asked.opaque,
      nextBeginOffset: found.nextBeginOffset,
      minOffset: found.minOffset,
      maxOffset: found.maxOffset,
      topicSysFlag: this.#rules.topicSysFlag(header.topic),
      groupSysFlag: this.#rules.groupSysFlag(header.consumerGroup),
    })
    if (!this.#parts.store.copyFound(buffer, bodyAt)) return false
    const nextOffset = found.nextBeginOffset
    this.#rules.countPulled(header, { messages: count, bytes, nextOffset })
    const end = bodyAt + bytes
    const answered = answeredBy(asked, ResponseCode.SUCCESS, isLongPolling)
    if (isSmall) connection.commitFrames(end, answered)
    else connection.writeFrames(buffer, at, end, answered)
    return true
  }

  #scratchOf(size: number): { readonly buffer: Buffer; readonly at: number } {
    if (this.#scratch.length < size) this.#scratch = Buffer.allocUnsafeSlow(2 * size)
    return { buffer: this.#scratch, at: 0 }
  }

  #held(connection: Connection, frame: RequestFrame, filter: MessageFilter | null): Pull {
    const reply = new FrameReply(this, connection, frame)
    return new Pull(this.#processor, { header: this.#header.copy(), filter, reply })
  }

  /** Waits until the records that the last `find` found are in memory. What then is not the plain case goes the ordinary way. */
  #load(pull: Pull): void {
    this.#processor.commit(pull)
    const isLoading = this.#parts.store.loadFound(() => {
      if (!pull.reply.respondFast(pull)) this.#processor.pull(pull)
    })
    if (!isLoading) this.#processor.pull(pull)
  }
}

/** The answer to a request that came as a frame and could not be answered at once. */
class FrameReply implements PullReply {
  readonly #fastPull: FastPull
  readonly connection: Connection
  readonly #asked: Asked
  #isAnswered = false

  constructor(fastPull: FastPull, connection: Connection, frame: RequestFrame) {
    this.#fastPull = fastPull
    this.connection = connection
    this.#asked = askedBy(frame)
  }

  respondFast(pull: Pull): boolean {
    if (!this.#fastPull.answerHeld(pull, this.connection, this.#asked)) return false
    this.#isAnswered = true
    return true
  }

  respond(response: ResponseContent): void {
    if (this.#isAnswered) return
    this.#isAnswered = true
    writeAnswer(this.connection, this.#asked, response)
  }
}
