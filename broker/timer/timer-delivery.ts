/**
 * Delivers timer messages (Java: TimerMessageStore): those whose time has come, in the order of their times, each once.
 *
 * A delivered message carries the mark of the parked one (common/delivery-mark.ts), so that what has been delivered is what the log says.
 * Recalls are messages of the timer topic too, due before everything of their tick: whoever delivers has seen them.
 */
import { RecordReader, storedMessageOf } from '../../common/message-codec.ts'
import { PropertyName, propertyOf } from '../../common/properties.ts'
import { PutStatus, isStored } from '../../store/types.ts'
import { deliveredFromTimer } from '../delay/delivered-message.ts'
import { tickBefore } from '../delay/delays.ts'
import { TIMER_TOPIC } from '../names.ts'
import { Recalled } from './recalled.ts'
import { TimerFlag } from './pending-timers.ts'
import { TimerIndex } from './timer-index.ts'
import { TimerStats } from './timer-stats.ts'
import type { MessageToStore, StoredMessage } from '../../common/message.ts'
import type { Timer } from '../../common/ports.ts'
import type { LeaderService } from '../leader-service.ts'
import type { BrokerParts } from '../parts.ts'
import type { GetResult, PutResult } from '../../store/types.ts'

const POLL_MS = 100
const GROUP_MAX = 256
const GROUP_BYTES_MAX = 4 * 1024 * 1024
/** After a message that the store does not take. */
const BLOCKED_MS = 10_000
const QUERY_MAX = 32
/** From so many messages that follow each other on they are read together. */
const RUN_MIN = 8
/** Single reads take the event loop for so long at most. */
const TURN_MS = 5
const FORGET_MS = 5000
/** Before a timer is due: its recall is told to whoever delivers, not only read from the log. */
const SOON_MS = 5000
const INT_MAX = 0x7fff_ffff

/** What the service needs of the broker. */
export type TimerParts = Pick<
  BrokerParts,
  'store' | 'clock' | 'timers' | 'config' | 'stats' | 'random' | 'logger'
>

/** A timer that is being delivered. */
interface Due {
  readonly dueTime: number
  readonly queueOffset: number
  readonly flags: number
  record: Buffer | null
}

export class TimerDelivery implements LeaderService {
  readonly #parts: TimerParts
  readonly #kept: number | undefined
  readonly #reader = new RecordReader()
  readonly #recalled: Recalled
  #index: TimerIndex | null = null
  #timer: Timer | null = null
  #precise: Timer | null = null
  #caughtUpAt = 0
  #startedAt = 0
  #isBusy = false
  #forgottenAt = 0
  /** How many timers wait for each tick; null when that is not limited. */
  #ticks: Map<number, number> | null = null
  #idle: (() => void)[] = []
  readonly stats: TimerStats = new TimerStats()
  onDelivered: ((lateMs: number) => void) | null = null

  /** `kept`: see `PendingTimers`. */
  constructor(parts: TimerParts, kept?: number) {
    this.#parts = parts
    this.#kept = kept
    this.#recalled = new Recalled()
  }

  /** Timers that wait; null while that is not known: only the leader counts. */
  get waiting(): number | null {
    return this.#index?.isReady === true ? this.#index.count : null
  }

  /** Timers that wait for each span of `bounds` (milliseconds ahead, ascending), as far as they are near; null while that is not known. */
  dueWithin(bounds: readonly number[]): number[] | null {
    const index = this.#index
    if (index?.isReady !== true) return null
    return index.pending.dueWithin(this.#parts.clock.now(), bounds)
  }

  /** When the next timer is due; null when none is, or it is not known. */
  get nextDueTime(): number | null {
    const next = this.#index?.nextDueTime ?? Infinity
    return next === Infinity ? null : next
  }

  /** Queue offset of the oldest timer that waits; null when it is not known. */
  get oldestWaiting(): number | null {
    const index = this.#index
    if (index === null || !index.isReady || this.#isBusy) return null
    return Math.min(index.pending.minQueueOffset(), index.indexedTo)
  }

  /** Messages of the timer topic that have not been looked at. */
  get behind(): number {
    const end = this.#parts.store.maxOffsetInQueue(TIMER_TOPIC, 0)
    return this.#index === null ? 0 : Math.max(0, end - this.#index.indexedTo)
  }

  /** For how many milliseconds the first of them has been stored. */
  get behindMs(): number {
    if (this.behind === 0) return 0
    const { store, clock } = this.#parts
    const storedAt = store.storeTimestampAt(TIMER_TOPIC, 0, this.indexedTo)
    return storedAt === null ? 0 : Math.max(0, clock.now() - storedAt)
  }

  get indexedTo(): number {
    return this.#index?.indexedTo ?? 0
  }

  /** Messages of this tick may be due before a recall of one of them is read from the log. */
  isSoon(tick: number): boolean {
    return tick + (this.#index?.earliestShiftMs ?? 0) - this.#parts.clock.now() < SOON_MS
  }

  /** From now on, also before its recall is read from the log, a message is not delivered. */
  recall(key: string, tick: number): void {
    this.#recalled.add(key, tick)
  }

  /** A message of the timer topic has been stored. */
  parked(message: MessageToStore, queueOffset: number): void {
    this.stats.parked(message, queueOffset)
  }

  /** A recall that could not be stored: the message is delivered after all. */
  restore(key: string): void {
    this.#recalled.delete(key)
  }

  /** Java: TimerMessageStore.isReject. */
  isCongested(tick: number): boolean {
    const { config, random } = this.#parts
    const limit = config.values.timerCongestNumEachSlot
    const count = this.#ticks?.get(tick) ?? 0
    if (count <= limit) return false
    if (count >= limit * 2) return true
    return random.integer(1000) > (1000 * (count - limit)) / (limit + 0.1)
  }

  startLeading(): void {
    const { store, clock, timers, config } = this.#parts
    this.#index = new TimerIndex({ store, clock, timers }, this.#kept)
    const isLimited = config.values.timerCongestNumEachSlot < INT_MAX
    this.#ticks = isLimited ? new Map<number, number>() : null
    this.stats.forgetWaiting()
    if (isLimited) this.#index.onFound = (dueTime) => this.#countTick(dueTime, 1)
    this.#caughtUpAt = store.status().maxPhysicalOffset
    this.#startedAt = clock.now()
    this.#timer = timers.after(0, () => this.#begin())
  }

  async stopLeading(): Promise<void> {
    this.#index?.close()
    this.#index = null
    this.#timer?.cancel()
    this.#precise?.cancel()
    this.#recalled.clear()
    if (this.#isBusy) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  /** Waits until everything that was in the log at the start can be read. */
  #begin(): void {
    if (this.#index === null) return
    if (this.#dispatchedOffset() < this.#caughtUpAt) {
      this.#timer = this.#parts.timers.after(POLL_MS, () => this.#begin())
      return
    }
    this.#find(this.#index, this.#index.load())
    this.stats.knownFrom = this.#index.indexedTo
    this.#schedule()
  }

  #find(index: TimerIndex, found: Promise<void>): void {
    const startedAt = this.#parts.clock.monotonic()
    this.#ticks?.clear()
    found.then(
      () => {
        if (index !== this.#index) return
        const elapsedMs = Math.round(this.#parts.clock.monotonic() - startedAt)
        this.#parts.logger.info({ timers: index.count, elapsedMs }, 'the waiting timers are known')
        this.#deliver()
      },
      (error: unknown) => {
        this.#parts.logger.error({ err: error }, 'the waiting timers cannot be read')
      },
    )
  }

  #dispatchedOffset(): number {
    const { maxPhysicalOffset, dispatchBehindBytes } = this.#parts.store.status()
    return maxPhysicalOffset - dispatchBehindBytes
  }

  #schedule(): void {
    this.#timer = this.#parts.timers.after(POLL_MS, () => this.#poll())
  }

  #poll(): void {
    const index = this.#index
    if (index === null) return
    this.#schedule()
    if (index.needsRescan && index.isReady && !this.#isBusy) this.#find(index, index.rescan())
    while (!index.advance()) continue
    const now = this.#parts.clock.now()
    if (index.isReady && Math.abs(now - this.#forgottenAt) > FORGET_MS) {
      this.#forgottenAt = now
      this.#recalled.forgetBefore(Math.min(index.nextDueTime, now) - index.latestShiftMs)
    }
    this.#deliver()
  }

  #deliver(): void {
    const index = this.#index
    if (index === null || !index.isReady || index.needsRescan || this.#isBusy) return
    const remaining = index.nextDueTime - this.#parts.clock.now()
    this.#precise?.cancel()
    this.#precise = null
    if (remaining > 0) {
      if (remaining > POLL_MS) return
      this.#precise = this.#parts.timers.after(remaining, () => this.#deliver())
      return
    }
    this.#isBusy = true
    const group = this.#takeDue(index)
    this.#read(
      group.toSorted((one, other) => one.queueOffset - other.queueOffset),
      0,
      () => this.#append(index, group),
    )
  }

  #takeDue({ pending }: TimerIndex): Due[] {
    const now = this.#parts.clock.now()
    const group: Due[] = []
    while (group.length < GROUP_MAX && pending.nextDueTime <= now) {
      const { nextDueTime: dueTime, nextQueueOffset: queueOffset, nextFlags: flags } = pending
      group.push({ dueTime, queueOffset, flags, record: null })
      pending.pop()
    }
    return group
  }

  /**
   * Reads the records of a group: those that follow each other in the queue together, single ones at once, for which a look into the
   * page cache is cheaper than anything else. A disk that is slow gives the event loop its turn in between.
   */
  #read(sorted: readonly Due[], start: number, done: () => void): void {
    const { store, clock, timers } = this.#parts
    const startedAt = clock.monotonic()
    for (let from = start; ;) {
      const first = sorted[from]
      if (first === undefined) {
        done()
        return
      }
      const { queueOffset } = first
      let count = 1
      while (sorted[from + count]?.queueOffset === queueOffset + count) count++
      if (count >= RUN_MIN) {
        this.#readRun(sorted, from, count, done)
        return
      }
      const physicalOffset = store.physicalOffsetAt(TIMER_TOPIC, 0, queueOffset)
      first.record = physicalOffset === null ? null : store.recordAt(physicalOffset)
      from++
      if (clock.monotonic() - startedAt > TURN_MS) {
        timers.soon(() => this.#read(sorted, from, done))
        return
      }
    }
  }

  #readRun(sorted: readonly Due[], from: number, count: number, done: () => void): void {
    const queueOffset = sorted[from]?.queueOffset ?? 0
    const request = {
      ...{ topic: TIMER_TOPIC, queueId: 0, queueOffset, maxMessages: count },
      ...{ filter: null, maxBytes: GROUP_BYTES_MAX },
    }
    this.#parts.store.get(request, (result) => {
      const taken = this.#take(sorted, from, result)
      this.#read(sorted, from + Math.max(1, taken), done)
    })
  }

  #take(sorted: readonly Due[], from: number, result: GetResult): number {
    for (const [index, record] of result.records.entries()) {
      const due = sorted[from + index]
      if (due !== undefined) due.record = record
    }
    return result.records.length
  }

  /** Appends what is to be delivered, all in this turn; from the first message that is not taken on all wait again. */
  #append(index: TimerIndex, group: readonly Due[]): void {
    let open = 1
    let hasFailed = false
    const end = (): void => {
      if (--open === 0) this.#endGroup(hasFailed)
    }
    const wait = (due: Due, dueTime: number): void => {
      hasFailed = true
      index.pending.add(dueTime, due.queueOffset, due.flags)
    }
    for (const due of group) {
      if (hasFailed || index !== this.#index) {
        wait(due, due.dueTime)
        continue
      }
      const message = this.#messageOf(index, due)
      if (message === null) {
        this.#resolve(index, due)
        continue
      }
      open++
      this.#parts.store.put([message], 'written', (result) => {
        if (isStored(result.status)) {
          this.#resolve(index, due)
          this.#count(message, due)
        } else {
          wait(due, this.#retryAt(due, result))
        }
        end()
      })
    }
    end()
  }

  #resolve(index: TimerIndex, due: Due): void {
    index.resolve(due.queueOffset)
    this.#countTick(due.dueTime, -1)
  }

  #countTick(dueTime: number, change: number): void {
    const ticks = this.#ticks
    if (ticks === null) return
    const tick = tickBefore(dueTime, this.#parts.config.values.timerPrecisionMs)
    const count = (ticks.get(tick) ?? 0) + change
    if (count > 0) ticks.set(tick, count)
    else ticks.delete(tick)
  }

  /** The message to deliver; null when there is none: it was recalled, is a recall itself, or cannot be delivered. */
  #messageOf({ earliestShiftMs }: TimerIndex, due: Due): MessageToStore | null {
    const parked = this.#parkedOf(due)
    if (parked === null) return null
    const { properties } = parked
    const recalledKey = propertyOf(properties, PropertyName.TIMER_DEL_UNIQKEY)
    if (recalledKey !== null) {
      this.#recalled.add(recalledKey, due.dueTime - earliestShiftMs)
      return null
    }
    const topic = propertyOf(properties, PropertyName.REAL_TOPIC) ?? ''
    const uniqueKey = propertyOf(properties, PropertyName.UNIQ_KEY) ?? ''
    if (this.#recalled.has(topic, uniqueKey)) {
      this.stats.recalled++
      this.stats.left(topic, due.queueOffset)
      return null
    }
    const mayBeDelivered = (due.flags & TimerFlag.FROM_JAVA) !== 0 && due.dueTime < this.#startedAt
    if (mayBeDelivered && this.#wasDeliveredByJava(parked, topic, uniqueKey)) {
      return null
    }
    const message = deliveredFromTimer(parked, this.#parts.clock.now())
    if (message === null) this.#noteLost(due, 'it does not say where it belongs')
    return message
  }

  #parkedOf(due: Due): StoredMessage | null {
    const reader = this.#reader
    const { record } = due
    if (record === null) {
      const isDamaged = this.#isKept(due)
      if (isDamaged) this.#noteDamaged(due, 'no record')
      this.#noteLost(due, isDamaged ? 'no record' : 'it was deleted before it was due')
      return null
    }
    const problem = reader.read(record, 0, record.length, true)
    if (problem === null && reader.queueOffset === due.queueOffset)
      return storedMessageOf(reader, record)
    this.#noteDamaged(due, problem ?? 'another message')
    this.#noteLost(due, problem ?? 'its unit names another message')
    return null
  }

  /** The log begins before it. */
  #isKept({ queueOffset }: Due): boolean {
    const { store } = this.#parts
    const physicalOffset = store.physicalOffsetAt(TIMER_TOPIC, 0, queueOffset)
    return physicalOffset !== null && physicalOffset >= store.status().minPhysicalOffset
  }

  /** Without it a recall would be forgotten, or a message. */
  #noteDamaged({ queueOffset }: Due, problem: string): void {
    this.#parts.store.noteDamaged(`offset ${queueOffset} of ${TIMER_TOPIC}: ${problem}`)
  }

  #noteLost({ queueOffset, dueTime }: Due, problem: string): void {
    this.#parts.logger.error(
      { queueOffset, dueTime, problem },
      'a timer message cannot be delivered',
    )
  }

  /** Java leaves no mark: what became due before this broker took over is sought by its unique id in its own topic. */
  #wasDeliveredByJava(parked: StoredMessage, topic: string, uniqueKey: string): boolean {
    if (uniqueKey === '') return false
    const { store } = this.#parts
    const { records, unreadable } = store.queryByKey({
      topic,
      key: uniqueKey,
      maxMessages: QUERY_MAX,
      beginTimestamp: parked.storeTimestamp,
      endTimestamp: Number.MAX_SAFE_INTEGER,
    })
    // Alone, it is rather delivered twice than not at all.
    if (unreadable > 0)
      store.noteDamaged(`a message of ${topic} that may have the unique id ${uniqueKey}: no record`)
    const reader = new RecordReader()
    return records.some(
      (record) =>
        reader.read(record, 0, record.length, false) === null &&
        reader.physicalOffset > parked.physicalOffset,
    )
  }

  #retryAt(due: Due, { status, reason }: PutResult): number {
    // Another member leads, or the disk is full, or busy: the next round tries again.
    if (status !== PutStatus.MESSAGE_ILLEGAL) return due.dueTime
    const { logger, clock } = this.#parts
    const event = { queueOffset: due.queueOffset, reason }
    logger.error(event, 'a timer message is refused, and will be tried again')
    return clock.now() + BLOCKED_MS
  }

  #count(message: MessageToStore, due: Due): void {
    const { stats, config, clock } = this.#parts
    const { topic, body, properties } = message
    this.stats.delivered(topic, due.queueOffset)
    this.onDelivered?.(Math.max(0, clock.now() - due.dueTime))
    stats.add('TOPIC_PUT_NUMS', topic, 1, 1)
    stats.add('TOPIC_PUT_SIZE', topic, body.length + properties.length, 1, 'delay')
    stats.add('BROKER_PUT_NUMS', config.values.brokerClusterName, 1, 1)
  }

  #endGroup(hasFailed: boolean): void {
    this.#isBusy = false
    for (const resolve of this.#idle.splice(0)) resolve()
    // More may be due already; what was refused waits for the next round.
    if (!hasFailed) this.#parts.timers.soon(() => this.#deliver())
  }
}
