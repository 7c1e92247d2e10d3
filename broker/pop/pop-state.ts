/**
 * All that consumer groups have popped and not finished, in memory, as the revive log tells it.
 *
 * The log is the truth: every change is appended to it, and a new leader reads it from the offset on that the group
 * CID_RMQ_SYS_REVIVE_GROUP has committed. What is committed for a consumer group never lies behind a message that is pending, and never
 * says more than is synced on disk: a power cut may bring messages back early, and loses none.
 */
import { Checkpoint, PopQueue } from './pop-queue.ts'
import { DueWheel } from './due-wheel.ts'
import { OrderQueue } from './order-queue.ts'
import { REVIVE_GROUP, REVIVE_QUEUES } from './revive-log.ts'
import { ToldQueue, nameOf } from './told-queue.ts'
import { RETRY_PREFIX } from '../names.ts'
import { javaHashCode } from '../../common/bytes.ts'
import type { Clock } from '../../common/ports.ts'
import type { Store } from '../../store/types.ts'
import type { BrokerConfig } from '../config.ts'
import type { ConsumerOffsets } from '../consumer-offsets.ts'
import type { OffsetRange } from './pop-queue.ts'
import type { ReviveLog } from './revive-log.ts'
import type { AckRecord, QueueName } from './revive-record.ts'

export type InitMode = 'min' | 'max'

/** The revive log may be this much longer than what is pending before it is written anew. */
const STALE_RECORDS_MAX = 50_000
const STALE_FACTOR = 4
/** No record of the log is needed for longer: retention must not take it. */
const RECORD_AGE_MAX_MS = 600_000

export interface PopStateOptions {
  readonly config: BrokerConfig
  readonly store: Store
  readonly offsets: ConsumerOffsets
  readonly clock: Clock
  readonly log: ReviveLog
}

interface Publication {
  /** Nothing of it is told before the log is synced up to here. */
  readonly logEnd: number
  readonly offsets: readonly (readonly [PopQueue, number])[]
  /** By queue of the revive log. */
  readonly scanFrom: readonly number[]
}

const NO_QUEUES: readonly undefined[] = []

type Clocks = { readonly now: number; readonly monotonic: number }

export class PopState {
  readonly #options: PopStateOptions
  readonly wheel: DueWheel<Checkpoint>
  readonly #queues = new Map<string, (PopQueue | undefined)[]>()
  readonly #orders = new Map<string, (OrderQueue | undefined)[]>()
  #publication: Publication | null = null

  constructor(options: PopStateOptions) {
    this.#options = options
    this.wheel = new DueWheel(options.clock.monotonic())
  }

  /** Forgets everything: another member leads. */
  clear(): void {
    this.#queues.clear()
    this.#orders.clear()
    this.wheel.clear()
    this.#publication = null
  }

  *queues(): Generator<PopQueue, void> {
    for (const list of this.#queues.values()) {
      for (const queue of list) if (queue !== undefined) yield queue
    }
  }

  *orders(): Generator<OrderQueue, void> {
    for (const list of this.#orders.values()) {
      for (const queue of list) if (queue !== undefined) yield queue
    }
  }

  find({ topic, consumerGroup, queueId }: QueueName): PopQueue | null {
    return this.queuesOf(topic, consumerGroup)[queueId] ?? null
  }

  /** By their numbers: those of a topic that a group has popped from, as they are now. */
  queuesOf(topic: string, consumerGroup: string): readonly (PopQueue | undefined)[] {
    return this.#queues.get(keyOf(topic, consumerGroup)) ?? NO_QUEUES
  }

  findOrder({ topic, consumerGroup, queueId }: QueueName): OrderQueue | null {
    return this.#orders.get(keyOf(topic, consumerGroup))?.[queueId] ?? null
  }

  /** The queue as a pop finds it, after what others have set since the last one. */
  queueFor(name: QueueName, initMode: InitMode): PopQueue {
    let queue = this.find(name)
    if (queue === null) {
      queue = this.#create(name, this.#committedOr(name, initMode))
      queue.published = queue.cursor
    }
    this.#observe(queue, initMode)
    return queue
  }

  /** The same for orderly pops. */
  orderFor(name: QueueName, initMode: InitMode): OrderQueue {
    const { offsets } = this.#options
    const order = this.findOrder(name) ?? this.#createOrder(name, this.#committedOr(name, initMode))
    const pinned = offsets.takeReset(name.consumerGroup, name.topic, name.queueId)
    const committed = pinned ?? offsets.query(name.consumerGroup, name.topic, name.queueId)
    if (committed !== null && (pinned !== null || committed !== order.next)) {
      order.reset(committed)
      this.recordOrder(order, () => undefined)
    }
    return order
  }

  /** Where a pop would begin to read, without a trace. */
  positionOf(name: QueueName): number {
    const { offsets, store } = this.#options
    const committed = offsets.query(name.consumerGroup, name.topic, name.queueId)
    const isPinned = offsets.hasReset(name.consumerGroup, name.topic, name.queueId)
    const known = this.find(name)?.cursor ?? this.findOrder(name)?.next ?? -1
    const cursor = isPinned ? -1 : known
    if (committed === null && cursor < 0) return store.minOffsetInQueue(name.topic, name.queueId)
    return Math.max(committed ?? 0, cursor)
  }

  /** A pop has taken messages: they are pending from now on, and `done` tells whether that is recorded. */
  take(
    checkpoint: Checkpoint,
    nextOffset: number,
    clocks: Clocks,
    done: (isCommitted: boolean) => void,
  ): void {
    const { queue } = checkpoint
    this.#needs(queue, clocks.monotonic)
    queue.add(checkpoint)
    this.schedule(checkpoint, clocks)
    this.#options.log.append(
      queue.reviveQueueId,
      {
        type: 'ck',
        topic: queue.topic,
        consumerGroup: queue.consumerGroup,
        queueId: queue.queueId,
        startOffset: checkpoint.startOffset,
        popTime: checkpoint.popTime,
        invisibleTime: checkpoint.invisibleTime,
        offsets: checkpoint.offsets,
        nextOffset,
      },
      done,
    )
  }

  /** Sets when a checkpoint is due; a wall clock that went back must not hide messages for longer than was asked. */
  schedule(checkpoint: Checkpoint, { now, monotonic }: Clocks): void {
    const remaining = checkpoint.popTime + checkpoint.invisibleTime - now
    checkpoint.deadline =
      monotonic + Math.min(Math.max(0, remaining), Math.max(0, checkpoint.invisibleTime))
    this.wheel.add(checkpoint)
  }

  /** Finishes messages; returns those that were pending. `done` is called when that is recorded, and not at all when none was. */
  finish(
    checkpoint: Checkpoint,
    queueOffsets: readonly number[],
    done: (isCommitted: boolean) => void,
  ): readonly number[] {
    const finished = checkpoint.queue.finish(checkpoint, queueOffsets)
    if (finished.length === 0) return finished
    if (checkpoint.pending === 0) this.wheel.remove(checkpoint)
    this.#options.log.appendAck(checkpoint, finished, done)
    return finished
  }

  /** That it is finished could not be recorded: it is pending again. */
  unfinish(checkpoint: Checkpoint, queueOffset: number): void {
    const { queue } = checkpoint
    if (checkpoint.isReviving || this.find(queue) !== queue) return
    queue.unfinish(checkpoint, queueOffset)
    this.wheel.add(checkpoint)
  }

  /**
   * An acknowledgement of what is not pending: calls `done` when all is answered that was to be recorded of the queue. When nothing is, the
   * acknowledgement itself is recorded, which changes nothing: this member may lead no more, and its successor have given the messages out.
   */
  confirmAck(record: Omit<AckRecord, 'type'>, done: (isCommitted: boolean) => void): void {
    const { log } = this.#options
    const reviveQueueId = reviveQueueOf(record)
    if (log.afterLast(reviveQueueId, done)) return
    log.append(reviveQueueId, { type: 'ack', ...record }, done)
  }

  /**
   * A message of one checkpoint goes on in another one. That one is recorded first, whatever was acknowledged in the same turn: a log that
   * ends in between brings the message back twice instead of never.
   */
  replace(
    old: Checkpoint,
    queueOffset: number,
    { checkpoint, clocks }: { readonly checkpoint: Checkpoint; readonly clocks: Clocks },
    done: (isCommitted: boolean) => void,
  ): void {
    this.take(checkpoint, queueOffset + 1, clocks, done)
    this.#options.log.separateAcks(old)
    this.finish(old, [queueOffset], done)
  }

  /** What a pop took could not be recorded: it is read again. */
  giveBack(checkpoint: Checkpoint, range: OffsetRange): void {
    this.wheel.remove(checkpoint)
    checkpoint.queue.remove(checkpoint)
    checkpoint.queue.giveBack(range)
  }

  recordOrder(order: OrderQueue, done: (isCommitted: boolean) => void): void {
    this.#needs(order, this.#options.clock.monotonic())
    this.#options.log.append(
      order.reviveQueueId,
      { type: 'order', ...nameOf(order), next: order.next, batch: order.batch },
      done,
    )
  }

  /** The messages up to an offset are passed over, or the queue has lost its end. */
  moveOrder(order: OrderQueue, queueOffset: number): void {
    order.reset(queueOffset)
    this.#options.offsets.commit(order.consumerGroup, order.topic, order.queueId, queueOffset)
    this.recordOrder(order, () => undefined)
  }

  /** Goes to an offset and forgets what was popped; null: the queue is gone. */
  reset(queue: PopQueue, queueOffset: number | null): void {
    this.#needs(queue, this.#options.clock.monotonic())
    for (const checkpoint of queue.reset(queueOffset ?? 0)) this.wheel.remove(checkpoint)
    this.#options.log.append(
      queue.reviveQueueId,
      { type: 'reset', ...nameOf(queue), queueOffset },
      () => undefined,
    )
    if (queueOffset === null) remove(this.#queues, queue)
    else queue.published = queueOffset
  }

  /** Forgets the queues that `isThere` does not know any more. */
  drop(isThere: (name: QueueName) => boolean): void {
    for (const queue of [...this.queues()]) if (!isThere(queue)) this.reset(queue, null)
    for (const order of [...this.orders()]) {
      if (isThere(order)) continue
      const record = { type: 'reset', ...nameOf(order), queueOffset: null } as const
      this.#options.log.append(order.reviveQueueId, record, () => undefined)
      remove(this.#orders, order)
    }
  }

  /** To be called every second: commits what is finished and synced, and keeps the revive log short. */
  publish(): void {
    const { store } = this.#options
    const { maxPhysicalOffset, flushedOffset } = store.status()
    if (this.#publication !== null && flushedOffset >= this.#publication.logEnd) {
      this.#tell(this.#publication)
      this.#publication = null
    }
    this.#publication ??= this.#prepare(maxPhysicalOffset)
    this.#shorten()
  }

  /** How many records of a queue of the revive log a new leader would read. */
  logLength(reviveQueueId: number): number {
    const { offsets, log } = this.#options
    const committed = offsets.query(REVIVE_GROUP, log.topic, reviveQueueId) ?? 0
    return Math.max(0, log.endOffset(reviveQueueId) - committed)
  }

  #prepare(logEnd: number): Publication {
    const offsets: (readonly [PopQueue, number])[] = []
    const scanFrom = Array.from({ length: REVIVE_QUEUES }, (_, queueId) =>
      this.#options.log.endOffset(queueId),
    )
    const needs = ({ reviveQueueId, recordsFrom }: PopQueue | OrderQueue): void => {
      if (recordsFrom === null) return
      scanFrom[reviveQueueId] = Math.min(scanFrom[reviveQueueId] ?? 0, recordsFrom)
    }
    for (const queue of this.queues()) {
      if (queue.isDirty) offsets.push([queue, queue.commitOffset()])
      queue.isDirty = false
      if (queue.isSettled) queue.recordsFrom = null
      needs(queue)
    }
    for (const order of this.orders()) {
      if (order.isDone) order.recordsFrom = null
      needs(order)
    }
    return { logEnd, offsets, scanFrom }
  }

  #tell({ offsets: told, scanFrom }: Publication): void {
    const { offsets, log } = this.#options
    for (const [queue, queueOffset] of told) {
      const { consumerGroup, topic, queueId } = queue
      const committed = offsets.query(consumerGroup, topic, queueId)
      // What somebody else has set since is taken over by the next pop.
      if (this.find(queue) !== queue || committed !== queue.published) continue
      if (committed !== null && queueOffset <= committed) continue
      offsets.commit(consumerGroup, topic, queueId, queueOffset)
      queue.published = queueOffset
    }
    scanFrom.forEach((queueOffset, queueId) => {
      const committed = offsets.query(REVIVE_GROUP, log.topic, queueId)
      // An offset of 0 for a log that nobody has used would only lengthen the table.
      if (queueOffset === 0 || (committed !== null && queueOffset <= committed)) return
      offsets.commit(REVIVE_GROUP, log.topic, queueId, queueOffset)
    })
  }

  /** Tells anew what is pending of queues that keep much of the log, or keep it for long. */
  #shorten(): void {
    const { log, clock } = this.#options
    const now = clock.monotonic()
    const live = Array.from({ length: REVIVE_QUEUES }, () => 0)
    const oldest = Array.from({ length: REVIVE_QUEUES }, () => Infinity)
    const needing = [...this.queues(), ...this.orders()].filter(
      ({ recordsFrom }) => recordsFrom !== null,
    )
    for (const queue of needing) {
      const id = queue.reviveQueueId
      live[id] = (live[id] ?? 0) + (queue instanceof PopQueue ? queue.checkpointCount + 1 : 1)
      oldest[id] = Math.min(oldest[id] ?? Infinity, queue.recordsFrom ?? Infinity)
    }
    for (const queue of needing) {
      const id = queue.reviveQueueId
      const end = log.endOffset(id)
      const length = end - (oldest[id] ?? end)
      const isLong = length > STALE_RECORDS_MAX + STALE_FACTOR * (live[id] ?? 0)
      const isInTheWay = isLong && (queue.recordsFrom ?? end) < end - length / 2
      if (isInTheWay || now - queue.recordsSince > RECORD_AGE_MAX_MS) this.#carry(queue)
    }
  }

  #carry(queue: PopQueue | OrderQueue): void {
    const { log, clock } = this.#options
    const from = log.endOffset(queue.reviveQueueId)
    const before = queue.recordsFrom
    queue.recordsSince = clock.monotonic()
    let missing = queue instanceof PopQueue ? queue.checkpointCount + 1 : 1
    // Only when every record is there the earlier ones are not needed any more.
    const done = (isCommitted: boolean): void => {
      if (isCommitted) missing--
      if (missing === 0 && queue.recordsFrom === before) queue.recordsFrom = from
    }
    if (queue instanceof OrderQueue) {
      const record = { type: 'order', ...nameOf(queue), next: queue.next } as const
      log.append(queue.reviveQueueId, { ...record, batch: queue.batch }, done)
      return
    }
    for (const checkpoint of queue.checkpoints()) {
      const { startOffset, popTime, invisibleTime } = checkpoint
      const offsets = checkpoint.pendingOffsets()
      const nextOffset = (offsets.at(-1) ?? startOffset) + 1
      log.append(
        queue.reviveQueueId,
        { type: 'ck', ...nameOf(queue), startOffset, popTime, invisibleTime, offsets, nextOffset },
        done,
      )
    }
    const start = Math.min(queue.published, queue.cursor)
    const handedOut = [{ start, end: queue.cursor }, ...queue.ahead]
    log.append(queue.reviveQueueId, { type: 'base', ...nameOf(queue), handedOut }, done)
  }

  /** From now on the log is needed to know this queue. */
  #needs(queue: PopQueue | OrderQueue, monotonic: number): void {
    if (queue.recordsFrom !== null) return
    queue.recordsFrom = this.#options.log.endOffset(queue.reviveQueueId)
    queue.recordsSince = monotonic
  }

  /** Takes over what an administrator, or a client that pulls, has set. */
  #observe(queue: PopQueue, initMode: InitMode): void {
    const { offsets } = this.#options
    const { consumerGroup, topic, queueId } = queue
    const pinned = offsets.takeReset(consumerGroup, topic, queueId)
    if (pinned !== null) return this.reset(queue, pinned)
    const committed = offsets.query(consumerGroup, topic, queueId)
    if (committed === queue.published) return
    if (committed === null) return this.reset(queue, this.#committedOr(queue, initMode))
    if (committed < queue.published) return this.reset(queue, committed)
    queue.skipTo(committed)
    queue.published = committed
  }

  #committedOr(name: QueueName, initMode: InitMode): number {
    const { offsets } = this.#options
    const { consumerGroup, topic, queueId } = name
    const committed = offsets.query(consumerGroup, topic, queueId)
    if (committed !== null) return committed
    const start = this.#startOf(name, initMode)
    offsets.commit(consumerGroup, topic, queueId, start)
    return start
  }

  #startOf({ topic, queueId }: QueueName, initMode: InitMode): number {
    const { store, config } = this.#options
    const minOffset = store.minOffsetInQueue(topic, queueId)
    if (initMode === 'min' || topic.startsWith(RETRY_PREFIX)) return minOffset
    const { initPopOffsetByCheckMsgInMem } = config.values
    if (initPopOffsetByCheckMsgInMem && minOffset <= 0 && store.isInMemory(topic, queueId, 0)) {
      return 0
    }
    return Math.max(0, store.maxOffsetInQueue(topic, queueId) - 1)
  }

  #create(name: QueueName, cursor: number): PopQueue {
    const queue = new PopQueue({ ...nameOf(name), reviveQueueId: reviveQueueOf(name), cursor })
    insert(this.#queues, queue)
    return queue
  }

  #createOrder(name: QueueName, next: number): OrderQueue {
    const order = new OrderQueue({ ...nameOf(name), reviveQueueId: reviveQueueOf(name), next })
    insert(this.#orders, order)
    return order
  }

  /** Reads the revive log. `isCurrent` says false once that is of no use any more. */
  async restore(isCurrent: () => boolean): Promise<void> {
    const { log, offsets } = this.#options
    for (let queueId = 0; queueId < REVIVE_QUEUES && isCurrent(); queueId++) {
      const told = new Map<string, ToldQueue>()
      const from = offsets.query(REVIVE_GROUP, log.topic, queueId) ?? 0
      await log.read(queueId, from, (record, queueOffset) => {
        const key = `${keyOf(record.topic, record.consumerGroup)}@${record.queueId}`
        let queue = told.get(key)
        if (queue === undefined) told.set(key, (queue = new ToldQueue(record, queueOffset)))
        queue.take(record)
      })
      if (!isCurrent()) return
      for (const queue of told.values()) this.#rebuild(queue)
    }
  }

  #rebuild(told: ToldQueue): void {
    const { offsets, clock, store } = this.#options
    const { topic, consumerGroup, queueId } = told.name
    const clocks = { now: clock.now(), monotonic: clock.monotonic() }
    const committed = offsets.query(consumerGroup, topic, queueId)
    const end = store.maxOffsetInQueue(topic, queueId)
    if (told.order !== null) {
      const { batch } = told.order
      const next = Math.max(told.order.next, committed ?? 0)
      if (next !== committed) offsets.commit(consumerGroup, topic, queueId, next)
      if (batch !== null && next <= (batch.offsets.at(-1) ?? -1) + 1) {
        // The committed offset may be in the log, and the record of the acknowledgement before which it was set may not.
        const acked = new Set([...batch.acked, ...batch.offsets.filter((offset) => offset < next)])
        const order = this.#createOrder(told.name, next)
        order.restore({ ...batch, acked }, clocks)
        order.recordsFrom = told.recordsFrom
        order.recordsSince = clocks.monotonic
      }
    }
    if (told.isGone || (told.handedOut.length === 0 && told.resetTo === null)) return
    const start =
      told.resetTo ?? committed ?? Math.min(...told.handedOut.map((range) => range.start))
    const queue = this.#create(told.name, start)
    queue.recordsFrom = told.recordsFrom
    queue.recordsSince = clocks.monotonic
    // Of a queue that is shorter than what was popped the messages are gone, and so is what is known of them.
    queue.restore(
      start,
      told.handedOut.flatMap((range) => (range.end > end ? [] : [range])),
    )
    queue.isDirty = true
    for (const record of told.checkpoints.values()) {
      const pending = record.offsets.filter((offset) => offset < end)
      if (pending.length === 0) continue
      const checkpoint = new Checkpoint({ ...record, queue, offsets: pending })
      queue.add(checkpoint)
      this.schedule(checkpoint, clocks)
    }
    queue.published = committed ?? -1
    if (committed !== null && told.resetTo === null) return
    queue.published = queue.commitOffset()
    offsets.commit(consumerGroup, topic, queueId, queue.published)
  }
}

function keyOf(topic: string, consumerGroup: string): string {
  return `${topic}@${consumerGroup}`
}

/** All queues of a topic are told of in one queue of the revive log, so that an acknowledgement and its checkpoint keep their order. */
function reviveQueueOf({ topic, consumerGroup }: QueueName): number {
  return (javaHashCode(keyOf(topic, consumerGroup)) >>> 0) % REVIVE_QUEUES
}

function insert<Queue extends QueueName>(
  table: Map<string, (Queue | undefined)[]>,
  queue: Queue,
): void {
  const key = keyOf(queue.topic, queue.consumerGroup)
  let list = table.get(key)
  if (list === undefined) table.set(key, (list = []))
  while (list.length <= queue.queueId) list.push(undefined)
  list[queue.queueId] = queue
}

function remove<Queue extends QueueName>(
  table: Map<string, (Queue | undefined)[]>,
  queue: Queue,
): void {
  const key = keyOf(queue.topic, queue.consumerGroup)
  const list = table.get(key)
  if (list === undefined) return
  list[queue.queueId] = undefined
  if (list.every((other) => other === undefined)) table.delete(key)
}
