/**
 * A pop of messages that are in memory: the plain case of `PopTask`, without an object for each message. The records are copied end to
 * end into the buffer from which the answer will be sent.
 *
 * What is not plain is left to `PopTask`: pops in order, groups to which messages came back, queues of which something was given back,
 * records that must be read from a file. Nothing is taken then.
 */
import { readInt32, readInt64 } from '../../common/bytes.ts'
import { GetStatus } from '../../store/types.ts'
import { Checkpoint } from './pop-queue.ts'
import { outsideOf } from './pop-task.ts'
import { ANY_QUEUE } from './pop-waiters.ts'
import type { BrokerParts } from '../parts.ts'
import type { AnswerBuffers } from './answer-buffers.ts'
import type { OffsetRange, PopQueue } from './pop-queue.ts'
import type { PopService } from './pop-service.ts'
import type { PopRequest, TakenPart } from './pop-task.ts'

/** Where a record says its queue offset. */
const QUEUE_OFFSET_AT = 20
/** Larger answers are left to `PopTask`. */
const ANSWER_BYTES_MAX = 1024 * 1024

export interface MemoryPopOptions {
  readonly parts: BrokerParts
  readonly pops: PopService
  readonly buffers: AnswerBuffers
  readonly request: PopRequest
  /** Bytes that stay free before the records, for the answer's header. */
  readonly headerRoom: number
  /** Called once, in a later turn, when it is recorded that the messages were popped, or `isFailed`: that not all could be. */
  readonly onDone: (pop: MemoryPop) => void
}

export class MemoryPop {
  readonly popTime: number
  readonly parts: TakenPart[] = []
  /** Bytes of the records of each part. */
  readonly partBytes: number[] = []
  /** The records lie in it from `headerRoom` up to `end`. To be given back to the buffers. */
  buffer: Buffer
  end: number
  count = 0
  restCount = 0
  isFailed = false
  readonly #options: MemoryPopOptions
  readonly #reign: number
  /** Records that are not answered. */
  #open = 0

  constructor(options: MemoryPopOptions) {
    this.#options = options
    this.#reign = options.pops.reign
    this.popTime = options.parts.clock.now()
    this.buffer = options.buffers.take(0)
    this.end = options.headerRoom
  }

  /** False: nothing has happened. */
  run(): boolean {
    const { pops, parts, request, buffers } = this.#options
    const { topic, consumerGroup, queueId } = request
    if (!pops.hasRetries(request)) {
      const known = pops.state.queuesOf(topic, consumerGroup)
      const queues = parts.topics.get(topic)?.readQueueNums ?? 0
      const first = queueId === ANY_QUEUE ? pops.turn % Math.max(1, queues) : queueId
      const end = queueId === ANY_QUEUE ? first + queues : first + 1
      for (let index = first; index < end; index++) {
        const number = index % queues
        if (!this.#look(number, known[number]) && this.count === 0) break
      }
    }
    if (this.count === 0) {
      buffers.giveBack(this.buffer)
      return false
    }
    pops.nextTurn()
    pops.taken(request, this)
    return true
  }

  /** Takes what a queue has; false when that is not a plain case. `known`: as the last pop has left it. */
  #look(queueId: number, known: PopQueue | undefined): boolean {
    const { pops, parts, request } = this.#options
    const { topic, consumerGroup, maxMessages } = request
    const room = maxMessages - this.count
    if (known !== undefined && room <= 0) {
      this.#addRest(known)
      return true
    }
    const queue = pops.state.queueFor({ topic, consumerGroup, queueId }, request.initMode)
    if (queue.isReading || room <= 0) {
      this.#addRest(queue)
      return true
    }
    if (pops.isFull(queue)) return true
    if (queue.ahead.length > 0) return this.#skip(queue)
    const { store } = parts
    const start = queue.cursor
    const { filter } = request
    const found = store.find({ topic, queueId, queueOffset: start, maxMessages: room, filter })
    if (found.status !== GetStatus.FOUND) {
      const moved = outsideOf(found)
      const next = Math.max(start, found.nextBeginOffset)
      if (moved !== null && moved !== start) return this.#skip(queue)
      // Passed over once it is sure that this pop takes something; until then nothing may have happened.
      if (next > start && this.count === 0) return this.#skip(queue)
      queue.advance(next)
      this.restCount += Math.max(0, found.maxOffset - next)
      return true
    }
    const { bytes, nextBeginOffset, maxOffset } = found
    const size = this.end + bytes
    if (size > ANSWER_BYTES_MAX) return this.#skip(queue)
    if (size > this.buffer.length) this.#grow(size)
    if (!store.copyFound(this.buffer, this.end)) return this.#skip(queue)
    queue.advance(nextBeginOffset)
    this.restCount += Math.max(0, maxOffset - nextBeginOffset)
    this.partBytes.push(bytes)
    this.#record(queue, { start, end: nextBeginOffset }, this.#offsets(bytes))
    return true
  }

  /** A queue of which this pop takes nothing, since it is not a plain case. */
  #skip(queue: PopQueue): boolean {
    this.#addRest(queue)
    return false
  }

  #addRest({ topic, queueId, cursor }: PopQueue): void {
    const { store } = this.#options.parts
    this.restCount += Math.max(0, store.maxOffsetInQueue(topic, queueId) - cursor)
  }

  #grow(size: number): void {
    const { buffers, headerRoom } = this.#options
    const larger = buffers.take(size)
    this.buffer.copy(larger, headerRoom, headerRoom, this.end)
    buffers.giveBack(this.buffer)
    this.buffer = larger
  }

  /** Queue offsets of the records that were just copied, which now belong to the answer. */
  #offsets(bytes: number): readonly number[] {
    const offsets: number[] = []
    const end = this.end + bytes
    while (this.end < end) {
      offsets.push(readInt64(this.buffer, this.end + QUEUE_OFFSET_AT))
      this.end += readInt32(this.buffer, this.end)
    }
    return offsets
  }

  #record(queue: PopQueue, range: OffsetRange, offsets: readonly number[]): void {
    const { pops, parts, request } = this.#options
    const { topic, consumerGroup, queueId } = queue
    const startOffset = range.start
    this.parts.push({ topic, consumerGroup, queueId, startOffset, offsets, batch: null })
    this.count += offsets.length
    this.#open++
    const checkpoint = new Checkpoint({
      queue,
      startOffset,
      popTime: this.popTime,
      invisibleTime: request.invisibleTimeMs,
      offsets,
    })
    const clocks = { now: this.popTime, monotonic: parts.clock.monotonic() }
    pops.state.take(checkpoint, range.end, clocks, (isCommitted) => {
      if (!isCommitted) {
        this.isFailed = true
        const isCurrent = pops.isLeading && pops.reign === this.#reign
        if (isCurrent && pops.state.find(queue) === queue) pops.state.giveBack(checkpoint, range)
      }
      if (--this.#open === 0) this.#options.onDone(this)
    })
  }
}
