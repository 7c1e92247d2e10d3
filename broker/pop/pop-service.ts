/**
 * Pops (protocol §8): messages are given to whoever asks first, stay invisible to the others of the group for a while, and come back
 * unless they are acknowledged. The processors of remoting requests, and whoever else serves pops, stand on this class.
 */
import { BucketCounts } from '../../common/metrics.ts'
import { DueWheel } from './due-wheel.ts'
import { PopReviver } from './pop-reviver.ts'
import { PopState } from './pop-state.ts'
import { PopTask } from './pop-task.ts'
import { ANY_QUEUE, PopWaiters } from './pop-waiters.ts'
import { normalTopicOf, popRetryTopicV1, popRetryTopicV2 } from './receipt.ts'
import { REVIVE_QUEUES, ReviveLog } from './revive-log.ts'
import { Checkpoint } from './pop-queue.ts'
import type { Timer } from '../../common/ports.ts'
import type { LeaderService } from '../leader-service.ts'
import type { BrokerParts } from '../parts.ts'
import type { OrderQueue } from './order-queue.ts'
import type { PopQueue } from './pop-queue.ts'
import type { PopAnswer, PopRequest } from './pop-task.ts'
import type { Receipt } from './receipt.ts'
import type { ReviveCounts } from './revive-counts.ts'
import type { QueueName } from './revive-record.ts'

/** How exactly times are kept. */
const TICK_MS = 100
const TICK_ENDS_MS: readonly number[] = [1, 10, 100, 1000, 2000, 3000]
const PUBLISH_TICKS = 10
/** A broker remembers no more messages as popped than this, and no more of one queue for one group than that. */
const IN_FLIGHT_MAX = 2_000_000
const IN_FLIGHT_OF_QUEUE_MAX = 100_000
/** Requests that wait until the revive log has been read. */
const EARLY_MAX = 100_000

export type AckStatus =
  | 'OK'
  /** The message is not pending under this handle: it was acknowledged, or its time is over. */
  | 'EXPIRED'
  /** An orderly batch has no such message. */
  | 'UNKNOWN'
  /** It could not be recorded. */
  | 'FAILED'

/** What became of acknowledgements of one pop. The others were not pending: acknowledged before, or their time is over. */
export interface Acked {
  /** So many messages are finished by them. */
  readonly count: number
  /** Some could not be recorded. */
  readonly isFailed: boolean
}

export interface PopTarget extends QueueName {
  readonly receipt: Receipt
}

export interface ChangedReceipt {
  readonly status: AckStatus
  readonly popTime: number
  readonly invisibleTime: number
}

export class PopService implements LeaderService {
  readonly state: PopState
  readonly waiters: PopWaiters
  readonly reviver: PopReviver
  readonly #parts: BrokerParts
  readonly #log: ReviveLog
  /** Orderly queues, until their batches come back. */
  readonly #unlocks: DueWheel<OrderQueue>
  #mode: 'idle' | 'restoring' | 'leading' = 'idle'
  /** Counts reigns: what began in an earlier one is of no use. */
  #reign = 0
  #restored: Promise<void> = Promise.resolve()
  #early: (() => void)[] = []
  #timer: Timer | null = null
  #ticks = 0
  #pops = 0
  #inFlight = 0
  /** Milliseconds for which looking for what is due took. */
  readonly tickTimes: BucketCounts = new BucketCounts(TICK_ENDS_MS)

  constructor(parts: BrokerParts) {
    const { config, clock, timers, logger, store, offsets, longPolling, topics } = parts
    this.#parts = parts
    this.#log = new ReviveLog({
      store,
      clock,
      timers,
      logger,
      topic: `rmq_sys_REVIVE_LOG_${config.values.brokerClusterName}`,
      brokerName: config.values.brokerName,
      storeHost: () => parts.storeHost(),
    })
    this.state = new PopState({ config, store, offsets, clock, log: this.#log })
    this.waiters = new PopWaiters({
      longPolling,
      store,
      clock,
      timers,
      limits: () => ({
        ofKey: config.values.popPollingSize,
        ofAll: config.values.maxPopPollingSize,
      }),
      queuesOf: (topic) => topics.get(topic)?.readQueueNums ?? 0,
      retryTopicsOf: (topic, consumerGroup) => this.#retryTopics(topic, consumerGroup),
    })
    this.#unlocks = new DueWheel(clock.monotonic())
    this.reviver = new PopReviver({
      parts,
      state: this.state,
      counts: this.#log.counts,
      isCurrent: () => this.#mode === 'leading',
      onRevived: ({ topic, consumerGroup }) =>
        this.waiters.wake(normalTopicOf(topic, consumerGroup), consumerGroup),
    })
    topics.onChange((names) => {
      if (names === null && this.#mode === 'leading') this.#dropMissing()
    })
  }

  startLeading(): void {
    const reign = ++this.#reign
    this.#mode = 'restoring'
    this.#restored = this.state
      .restore(() => this.#reign === reign)
      .then(() => {
        if (this.#reign !== reign) return
        this.#mode = 'leading'
        this.#tick()
        for (const begin of this.#early.splice(0)) begin()
        this.waiters.wakeAll()
      })
  }

  async stopLeading(): Promise<void> {
    this.#reign++
    this.#mode = 'idle'
    this.#timer?.cancel()
    this.#timer = null
    await this.#restored
    this.waiters.close()
    for (const begin of this.#early.splice(0)) begin()
    await this.reviver.stop()
    await this.#log.settled()
    this.state.clear()
    this.#unlocks.clear()
  }

  /** True while the state is known: pops and acknowledgements are served. */
  get isLeading(): boolean {
    return this.#mode === 'leading'
  }

  /** Which reign of this member it is: what began in another one counts no more. */
  get reign(): number {
    return this.#reign
  }

  /** Calls `begin` now, or when the revive log has been read; false when too many wait for that, or this member does not lead. */
  whenReady(begin: () => void): boolean {
    if (this.#mode === 'leading') {
      begin()
      return true
    }
    if (this.#mode === 'idle' || this.#early.length >= EARLY_MAX) return false
    this.#early.push(begin)
    return true
  }

  /**
   * Takes messages for a consumer: `done` is called once, in a later turn as a rule, when it is recorded that they were popped. `read` is
   * called before, as soon as all queues have been looked at.
   */
  pop(
    request: PopRequest,
    done: (answer: PopAnswer) => void,
    read?: (found: {
      readonly count: number
      readonly restCount: number
      readonly wasHeld: boolean
    }) => void,
  ): void {
    const { store, clock } = this.#parts
    const reign = this.#reign
    new PopTask({
      request,
      targets: this.targets(request),
      state: this.state,
      store,
      clock,
      isFull: (queue) => this.isFull(queue),
      isCurrent: () => this.#reign === reign && this.#mode === 'leading',
      onRead: (task) => {
        read?.(task)
        if (read === undefined) this.taken(request, task)
        else this.#inFlight += task.count
      },
      onDone: (answer) => {
        if (request.isOrder) this.#watchLocks(answer)
        done(answer)
      },
    }).run()
  }

  /** A pop has looked into all queues; what it left is for the next who waits. */
  taken(
    { topic, consumerGroup }: Pick<PopRequest, 'topic' | 'consumerGroup'>,
    { count, restCount }: { readonly count: number; readonly restCount: number },
  ): void {
    this.#inFlight += count
    if (count > 0 && restCount > 0) this.waiters.wake(topic, consumerGroup)
  }

  /** Acknowledges messages of one pop; `done` is called once. */
  ack(target: PopTarget, queueOffsets: readonly number[], done: (acked: Acked) => void): void {
    const { startOffset, popTime } = target.receipt
    const checkpoint = this.state.find(target)?.find(startOffset, popTime) ?? null
    if (checkpoint?.isReviving === true) return done({ count: 0, isFailed: false })
    const reign = this.#reign
    let open = 1
    let count = 0
    let isFailed = false
    const settle = (): void => {
      if (--open === 0) done({ count, isFailed })
    }
    let finished: readonly number[] = []
    if (checkpoint !== null) {
      const { inFlight } = checkpoint.queue
      finished = this.state.finish(checkpoint, queueOffsets, (isCommitted) => {
        if (isCommitted) count = finished.length
        else isFailed = true
        if (!isCommitted && this.#reign === reign) {
          for (const queueOffset of finished) this.state.unfinish(checkpoint, queueOffset)
        }
        settle()
      })
      if (finished.length > 0) {
        open++
        this.#freed(checkpoint.queue, inFlight)
      }
    }
    if (finished.length < queueOffsets.length) {
      // Asked once more: the first one may be on its way, and whoever hears of success must not get the message again.
      open++
      const { topic, consumerGroup, queueId } = target
      // One is enough: it says nothing new, and a request may name any number of them.
      const offsets = queueOffsets.slice(0, 1)
      const record = { topic, consumerGroup, queueId, startOffset, popTime, offsets }
      this.state.confirmAck(record, (isCommitted) => {
        if (!isCommitted) isFailed = true
        settle()
      })
    }
    settle()
  }

  /** The same for a message of an orderly pop. */
  ackInOrder(target: PopTarget, queueOffset: number, done: (status: AckStatus) => void): void {
    const { offsets } = this.#parts
    const { consumerGroup, topic, queueId } = target
    const committed = offsets.query(consumerGroup, topic, queueId) ?? 0
    if (queueOffset < committed) return this.#ackedInOrder(target, done)
    const order = this.state.orderFor(target, 'min')
    const result = order.ack(queueOffset, target.receipt.popTime, this.#clocks())
    if (result.type === 'stale') return done('EXPIRED')
    if (result.type === 'unknown') return done('UNKNOWN')
    this.state.recordOrder(order, (isCommitted) => done(isCommitted ? 'OK' : 'FAILED'))
    if (!offsets.hasReset(consumerGroup, topic, queueId)) {
      offsets.commit(consumerGroup, topic, queueId, result.next)
    }
    if (!order.isBlocked(null, this.#parts.clock.monotonic())) this.#wake(order)
  }

  /** Acknowledged before, perhaps by a record that is under way or was refused: success is told when the log has it. */
  #ackedInOrder(target: PopTarget, done: (status: AckStatus) => void): void {
    const order = this.state.findOrder(target)
    if (order === null) return done('EXPIRED')
    this.state.recordOrder(order, (isCommitted) => done(isCommitted ? 'EXPIRED' : 'FAILED'))
  }

  /** Sets anew when a message comes back, counted from now. */
  changeInvisibleTime(
    target: PopTarget,
    queueOffset: number,
    invisibleTimeMs: number,
    done: (changed: ChangedReceipt) => void,
  ): void {
    const clocks = this.#clocks()
    const { startOffset, popTime } = target.receipt
    const queue = this.state.find(target)
    const old = queue?.find(startOffset, popTime) ?? null
    const answer = (status: AckStatus): void =>
      done({ status, popTime: clocks.now, invisibleTime: invisibleTimeMs })
    if (queue === null || old === null || old.isReviving) return answer('EXPIRED')
    if (!old.pendingOffsets().includes(queueOffset)) return answer('EXPIRED')
    const checkpoint = new Checkpoint({
      queue,
      startOffset: queueOffset,
      popTime: newPopTime(queue, queueOffset, clocks.now),
      invisibleTime: invisibleTimeMs,
      offsets: [queueOffset],
    })
    let committed = 0
    const recorded = (isCommitted: boolean): void => {
      committed += isCommitted ? 1 : Number.NaN
      if (committed === 2)
        done({ status: 'OK', popTime: checkpoint.popTime, invisibleTime: invisibleTimeMs })
      else if (Number.isNaN(committed) && !hasFailed) {
        hasFailed = true
        answer('FAILED')
      }
    }
    let hasFailed = false
    this.state.replace(old, queueOffset, { checkpoint, clocks }, recorded)
  }

  /** The same for a message of an orderly pop: it keeps its time of pop. */
  changeInvisibleTimeInOrder(
    target: PopTarget,
    queueOffset: number,
    invisibleTimeMs: number,
    done: (changed: ChangedReceipt) => void,
  ): void {
    const { popTime } = target.receipt
    const clocks = this.#clocks()
    const visibleAt = clocks.now + invisibleTimeMs
    const answer = (status: AckStatus): void =>
      done({ status, popTime, invisibleTime: visibleAt - popTime })
    const order = this.state.orderFor(target, 'min')
    if (queueOffset < order.next || !order.change(queueOffset, popTime, visibleAt, clocks)) {
      return answer('EXPIRED')
    }
    this.#unlocks.add(order)
    this.state.recordOrder(order, (isCommitted) => answer(isCommitted ? 'OK' : 'FAILED'))
  }

  /** True when a pop would find a message, as far as offsets tell. */
  hasMessage(
    request: Pick<PopRequest, 'consumerGroup' | 'topic' | 'queueId' | 'isOrder' | 'attemptId'>,
  ): boolean {
    const { store, clock } = this.#parts
    return this.targets(request).some((target) => {
      if (request.isOrder) {
        const order = this.state.findOrder(target)
        if (order?.isBlocked(request.attemptId, clock.monotonic()) === true) return false
      }
      return store.maxOffsetInQueue(target.topic, target.queueId) > this.state.positionOf(target)
    })
  }

  /** The queues that a pop looks at, in their order. */
  targets({
    consumerGroup,
    topic,
    queueId,
    isOrder,
  }: Pick<PopRequest, 'consumerGroup' | 'topic' | 'queueId' | 'isOrder'>): readonly QueueName[] {
    const { topics, random, config } = this.#parts
    const { turn } = this
    this.nextTurn()
    const ofTopic = (name: string): QueueName[] => {
      const queues = topics.get(name)?.readQueueNums ?? 0
      return Array.from({ length: queues }, (_, index) => ({
        topic: name,
        consumerGroup,
        queueId: (turn + index) % queues,
      }))
    }
    const normal = queueId === ANY_QUEUE ? ofTopic(topic) : [{ topic, consumerGroup, queueId }]
    if (isOrder) return normal
    const retries = this.#retryTopics(topic, consumerGroup).flatMap(ofTopic)
    if (retries.length === 0) return normal
    const isFirst = random.integer(100) < config.values.popFromRetryProbability
    return isFirst ? [...retries, ...normal] : [...normal, ...retries]
  }

  /** Each pop begins with the queue after that of the one before. */
  get turn(): number {
    return this.#pops
  }

  nextTurn(): void {
    this.#pops++
  }

  /** True when messages may have come back to a group: pops give them out too. */
  hasRetries({ topic, consumerGroup }: Pick<PopRequest, 'topic' | 'consumerGroup'>): boolean {
    const { topics, store } = this.#parts
    return this.#retryTopics(topic, consumerGroup).some((name) => {
      const queues = topics.get(name)?.readQueueNums ?? 0
      for (let queueId = 0; queueId < queues; queueId++) {
        const position = this.state.positionOf({ topic: name, consumerGroup, queueId })
        if (store.maxOffsetInQueue(name, queueId) > position) return true
      }
      return false
    })
  }

  #retryTopics(topic: string, consumerGroup: string): readonly string[] {
    const { topics, config } = this.#parts
    const { enableRetryTopicV2, retrieveMessageFromPopRetryTopicV1 } = config.values
    const names: string[] = []
    if (enableRetryTopicV2) names.push(popRetryTopicV2(topic, consumerGroup))
    if (!enableRetryTopicV2 || retrieveMessageFromPopRetryTopicV1) {
      names.push(popRetryTopicV1(topic, consumerGroup))
    }
    return names.filter((name) => topics.get(name) !== undefined)
  }

  /** True when a group may take no more from a queue before it acknowledges. */
  isFull({ inFlight }: PopQueue): boolean {
    const { enablePopMessageThreshold, popInflightMessageThreshold } = this.#parts.config.values
    const limit = enablePopMessageThreshold
      ? Math.min(popInflightMessageThreshold, IN_FLIGHT_OF_QUEUE_MAX)
      : IN_FLIGHT_OF_QUEUE_MAX
    return inFlight > limit || this.#inFlight > IN_FLIGHT_MAX
  }

  /** A queue that was full may have room again. */
  #freed(queue: PopQueue, before: number): void {
    const { enablePopMessageThreshold, popInflightMessageThreshold } = this.#parts.config.values
    const limit = enablePopMessageThreshold ? popInflightMessageThreshold : IN_FLIGHT_OF_QUEUE_MAX
    if (before > limit && queue.inFlight <= limit) this.#wake(queue)
  }

  #wake({ topic, consumerGroup }: QueueName): void {
    this.waiters.wake(normalTopicOf(topic, consumerGroup), consumerGroup)
  }

  #watchLocks({ parts }: PopAnswer): void {
    for (const part of parts) {
      const order = this.state.findOrder(part)
      if (order !== null) this.#unlocks.add(order)
    }
  }

  #tick(): void {
    const { timers, clock, logger } = this.#parts
    this.#timer = timers.after(TICK_MS, () => this.#tick())
    const now = clock.monotonic()
    this.reviver.take(this.state.wheel.take(now))
    for (const order of this.#unlocks.take(now)) {
      if (order.isDone) continue
      if (now >= order.blockedUntil) this.#wake(order)
      else this.#unlocks.add(order)
    }
    this.waiters.expire()
    this.tickTimes.add(clock.monotonic() - now, 1)
    if (this.#ticks++ % PUBLISH_TICKS !== 0) return
    try {
      this.state.publish()
      this.#count()
      this.#dropMissing()
    } catch (error) {
      logger.error({ err: error }, 'what was popped cannot be told on')
      throw error
    }
  }

  #count(): void {
    let inFlight = 0
    for (const queue of this.state.queues()) inFlight += queue.inFlight
    this.#inFlight = inFlight
  }

  /** Topics and groups that were deleted take with them what was popped. */
  #dropMissing(): void {
    const { topics, groups } = this.#parts
    const isThere = ({ topic, consumerGroup }: Pick<QueueName, 'topic' | 'consumerGroup'>) =>
      topics.get(topic) !== undefined && groups.get(consumerGroup) !== undefined
    this.state.drop(isThere)
    this.reviveCounts.keep(isThere)
  }

  #clocks(): { readonly now: number; readonly monotonic: number } {
    const { clock } = this.#parts
    return { now: clock.now(), monotonic: clock.monotonic() }
  }

  /** Messages that are popped and not finished, as counted within the last second. */
  get inFlight(): number {
    return this.#inFlight
  }

  /** Records of pops and of acknowledgements that the log has not taken yet. */
  get recordsUnderWay(): number {
    return this.#log.underWay
  }

  get reviveCounts(): ReviveCounts {
    return this.#log.counts
  }

  /** Records of the revive log that a new leader would read, by queue. */
  get reviveLag(): readonly number[] {
    return Array.from({ length: REVIVE_QUEUES }, (_, queueId) => this.state.logLength(queueId))
  }
}

/** Two checkpoints of one message must differ in their times, or one handle would stand for both. */
function newPopTime(queue: PopQueue, startOffset: number, now: number): number {
  let popTime = now
  while (queue.find(startOffset, popTime) !== null) popTime++
  return popTime
}
