/**
 * One pop on its way: it looks into one queue after the other until it has as many messages as were asked for, and is answered when what it
 * took is recorded.
 */
import { readInt64 } from '../../common/bytes.ts'
import { GetStatus } from '../../store/types.ts'
import { CHECKPOINT_MESSAGES_MAX, Checkpoint } from './pop-queue.ts'
import type { Clock } from '../../common/ports.ts'
import type { GetResult, MessageFilter, Store } from '../../store/types.ts'
import type { OrderBatch, OrderQueue } from './order-queue.ts'
import type { OffsetRange, PopQueue } from './pop-queue.ts'
import type { InitMode, PopState } from './pop-state.ts'
import type { QueueName } from './revive-record.ts'

/** Where a record says its queue offset. */
const QUEUE_OFFSET_AT = 20

export interface PopRequest {
  readonly consumerGroup: string
  readonly topic: string
  /** -1: any. */
  readonly queueId: number
  /** At most 32. */
  readonly maxMessages: number
  readonly invisibleTimeMs: number
  readonly initMode: InitMode
  readonly filter: MessageFilter | null
  readonly isOrder: boolean
  /** A repeated orderly pop of the same attempt gets the same messages. */
  readonly attemptId: string | null
}

/** Which messages a pop took from one queue. */
export interface TakenPart extends QueueName {
  readonly startOffset: number
  readonly offsets: readonly number[]
  /** Of an orderly pop. */
  readonly batch: OrderBatch | null
}

/** The same, with the messages. */
export interface PoppedPart extends TakenPart {
  readonly records: readonly Buffer[]
  /** The records end to end; not set when some of what was read was left out. */
  readonly body: Buffer | null
}

export interface PopAnswer {
  readonly popTime: number
  readonly invisibleTimeMs: number
  /** Messages that the queues still hold, as far as they were looked at. */
  readonly restCount: number
  /** Messages are there which could not be recorded as popped. */
  readonly isFailed: boolean
  readonly parts: readonly PoppedPart[]
}

export interface PopTaskOptions {
  readonly request: PopRequest
  /** The queues in the order in which they are looked at. */
  readonly targets: readonly QueueName[]
  readonly state: PopState
  readonly store: Store
  readonly clock: Clock
  /** True when a group may take no more from a queue before it acknowledges. */
  readonly isFull: (queue: PopQueue) => boolean
  /** False once another member leads: nothing is recorded any more. */
  readonly isCurrent: () => boolean
  /** It has looked into all queues. */
  readonly onRead: (task: PopTask) => void
  readonly onDone: (answer: PopAnswer) => void
}

interface Taken {
  readonly part: PoppedPart
  isRecorded: boolean
}

export class PopTask {
  readonly #options: PopTaskOptions
  readonly #popTime: number
  readonly #taken: Taken[] = []
  #next = 0
  #count = 0
  #restCount = 0
  /** Records that are not answered, and one for the reading itself. */
  #open = 1
  #isFailed = false
  /** A read waited for the disk: what it did not see may have come since. */
  wasHeld = false

  constructor(options: PopTaskOptions) {
    this.#options = options
    this.#popTime = options.clock.now()
  }

  get count(): number {
    return this.#count
  }

  get restCount(): number {
    return this.#restCount
  }

  run(): void {
    const { targets, request, isCurrent } = this.#options
    while (this.#next < targets.length && isCurrent()) {
      const target = targets[this.#next++]
      if (target === undefined) break
      if (!(request.isOrder ? this.#popInOrder(target) : this.#pop(target))) return
    }
    this.#options.onRead(this)
    this.#settle()
  }

  /** False when the read goes on later, and `run` with it. */
  #pop(target: QueueName): boolean {
    const { state, request, isFull } = this.#options
    const queue = state.queueFor(target, request.initMode)
    const room = Math.min(request.maxMessages - this.#count, CHECKPOINT_MESSAGES_MAX)
    if (queue.isReading || room <= 0) {
      this.#restCount += this.#behind(target, queue.cursor)
      return true
    }
    if (isFull(queue)) return true
    queue.isReading = true
    return this.#read({
      target,
      queueOffset: queue.cursor,
      maxMessages: Math.min(room, queue.readableEnd - queue.cursor),
      onResult: (result) => {
        queue.isReading = false
        return this.#take(queue, result)
      },
    })
  }

  #read(read: {
    readonly target: QueueName
    readonly queueOffset: number
    readonly maxMessages: number
    /** Where to read again, or null. */
    readonly onResult: (result: GetResult) => number | null
  }): boolean {
    const { topic, queueId } = read.target
    const { store, request } = this.#options
    let isSync = true
    let isOver = false
    const attempt = (queueOffset: number, isSecond: boolean): void => {
      const { maxMessages } = read
      store.get({ topic, queueId, queueOffset, maxMessages, filter: request.filter }, (result) => {
        const again = read.onResult(result)
        if (again !== null && !isSecond) return attempt(again, true)
        isOver = true
        if (!isSync) this.run()
      })
    }
    attempt(read.queueOffset, false)
    isSync = false
    if (!isOver) this.wasHeld = true
    return isOver
  }

  /** Returns where to read again when the cursor lay outside of the queue, else null. */
  #take(queue: PopQueue, result: GetResult): number | null {
    const { state, isCurrent } = this.#options
    // Meanwhile it may have been reset, or another member may lead.
    if (!isCurrent() || state.find(queue) !== queue) return null
    const start = queue.cursor
    const moved = outsideOf(result)
    if (moved !== null && moved !== start) {
      if (moved > start) queue.skipTo(moved)
      else state.reset(queue, moved)
      return moved
    }
    const end = Math.min(queue.readableEnd, Math.max(start, result.nextBeginOffset))
    const records = result.records.filter((record) => {
      const queueOffset = readInt64(record, QUEUE_OFFSET_AT)
      return queueOffset >= start && queueOffset < end
    })
    queue.advance(end)
    this.#restCount += Math.max(0, result.maxOffset - queue.cursor)
    if (records.length > 0) this.#record(queue, { start, end }, { records, result })
    return null
  }

  #record(
    queue: PopQueue,
    range: OffsetRange,
    { records, result }: { readonly records: readonly Buffer[]; readonly result: GetResult },
  ): void {
    const { request, state, clock } = this.#options
    const offsets = records.map((record) => readInt64(record, QUEUE_OFFSET_AT))
    const checkpoint = new Checkpoint({
      queue,
      startOffset: range.start,
      popTime: this.#popTime,
      invisibleTime: request.invisibleTimeMs,
      offsets,
    })
    const taken = this.#add({
      ...nameOf(queue),
      startOffset: range.start,
      offsets,
      records,
      body: records.length === result.records.length ? result.body : null,
      batch: null,
    })
    const clocks = { now: this.#popTime, monotonic: clock.monotonic() }
    state.take(checkpoint, range.end, clocks, (isCommitted) => {
      if (!isCommitted && this.#options.isCurrent() && state.find(queue) === queue) {
        state.giveBack(checkpoint, range)
      }
      this.#recorded(taken, isCommitted)
    })
  }

  #popInOrder(target: QueueName): boolean {
    const { state, request, clock } = this.#options
    const order = state.orderFor(target, request.initMode)
    // A queue that is blocked does not count: who waits is woken when it is free.
    if (order.isReading || order.isBlocked(request.attemptId, clock.monotonic())) return true
    const room = request.maxMessages - this.#count
    if (room <= 0) {
      this.#restCount += this.#behind(target, order.next)
      return true
    }
    order.isReading = true
    return this.#read({
      target,
      queueOffset: order.next,
      maxMessages: Math.min(room, CHECKPOINT_MESSAGES_MAX),
      onResult: (result) => {
        order.isReading = false
        return this.#takeInOrder(order, result)
      },
    })
  }

  #takeInOrder(order: OrderQueue, result: GetResult): number | null {
    const { state, request, clock, isCurrent } = this.#options
    if (!isCurrent() || state.findOrder(order) !== order) return null
    const moved = outsideOf(result)
    if ((moved !== null && moved !== order.next) || result.records.length === 0) {
      const next = moved ?? Math.max(order.next, result.nextBeginOffset)
      if (next === order.next) return null
      state.moveOrder(order, next)
      return moved
    }
    const offsets = result.records.map((record) => readInt64(record, QUEUE_OFFSET_AT))
    this.#restCount += Math.max(0, result.maxOffset - result.nextBeginOffset)
    const { attemptId, invisibleTimeMs: invisibleTime } = request
    const clocks = { now: this.#popTime, monotonic: clock.monotonic() }
    const batch = order.take({ attemptId, popTime: this.#popTime, invisibleTime, offsets }, clocks)
    const taken = this.#add({
      ...nameOf(order),
      startOffset: order.next,
      offsets,
      records: result.records,
      body: result.body,
      batch,
    })
    state.recordOrder(order, (isCommitted) => {
      if (!isCommitted && order.batch === batch) order.reset(order.next)
      this.#recorded(taken, isCommitted)
    })
    return null
  }

  #add(part: PoppedPart): Taken {
    const taken = { part, isRecorded: false }
    this.#taken.push(taken)
    this.#count += part.records.length
    this.#open++
    return taken
  }

  #recorded(taken: Taken, isCommitted: boolean): void {
    taken.isRecorded = isCommitted
    if (!isCommitted) this.#isFailed = true
    this.#settle()
  }

  #settle(): void {
    if (--this.#open > 0) return
    this.#options.onDone({
      popTime: this.#popTime,
      invisibleTimeMs: this.#options.request.invisibleTimeMs,
      restCount: this.#restCount,
      isFailed: this.#isFailed,
      parts: this.#taken.flatMap(({ part, isRecorded }) => (isRecorded ? [part] : [])),
    })
  }

  #behind({ topic, queueId }: QueueName, cursor: number): number {
    return Math.max(0, this.#options.store.maxOffsetInQueue(topic, queueId) - cursor)
  }
}

/** Where to go on when the offset that was asked for lies outside of the queue; null when it does not. */
export function outsideOf({
  status,
  nextBeginOffset,
}: Pick<GetResult, 'status' | 'nextBeginOffset'>): number | null {
  switch (status) {
    case GetStatus.OFFSET_TOO_SMALL:
    case GetStatus.OFFSET_OVERFLOW_BADLY:
    case GetStatus.OFFSET_FOUND_NULL:
      return nextBeginOffset
    default:
      return null
  }
}

function nameOf({ topic, consumerGroup, queueId }: QueueName): QueueName {
  return { topic, consumerGroup, queueId }
}
