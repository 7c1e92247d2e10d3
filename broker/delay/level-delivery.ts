/**
 * Delivers the messages of the delay levels (Java: ScheduleMessageService): each level is a queue of SCHEDULE_TOPIC_XXXX whose messages
 * all wait equally long, so that its order is the order of delivery.
 *
 * What has been delivered stands in the log with the delivered messages (common/delivery-mark.ts): a level goes on behind its last mark.
 * The messages of a group are appended in one turn, so that all of them are in the log up to some point and none behind it.
 */
import { RecordReader, storedMessageOf } from '../../common/message-codec.ts'
import { PutStatus, isStored } from '../../store/types.ts'
import { SCHEDULE_TOPIC } from '../names.ts'
import { DelayOffsets, progressMessage } from './delay-offsets.ts'
import { deliveredFromLevel } from './delivered-message.ts'
import { LevelClock } from './level-clock.ts'
import { levelProgress } from './level-progress.ts'
import type { MessageToStore } from '../../common/message.ts'
import type { Timer } from '../../common/ports.ts'
import type { LeaderService } from '../leader-service.ts'
import type { BrokerParts } from '../parts.ts'
import type { GetResult, PutResult } from '../../store/types.ts'

const POLL_MS = 100
const GROUP_MESSAGES_MAX = 256
const GROUP_BYTES_MAX = 4 * 1024 * 1024
/** After a message that the store does not take. */
const BLOCKED_MS = 10_000

interface Level {
  readonly number: number
  readonly queueId: number
  readonly clock: LevelClock
  /** Queue offset of the next message to deliver. */
  next: number
  isBusy: boolean
  blockedUntil: number
  timer: Timer | null
}

/** Messages that are appended together. */
interface Group {
  /** Puts that are not answered, and the group itself while it grows. */
  open: number
  /** Queue offset of the first message that was refused. */
  refusedAt: number
  /** Queue offset of the last message that was looked at. */
  last: number
}

export class LevelDelivery implements LeaderService {
  readonly #parts: BrokerParts
  readonly #offsets: DelayOffsets
  readonly #head = new Float64Array(1)
  readonly #dueTimes = new Float64Array(GROUP_MESSAGES_MAX)
  readonly #reader = new RecordReader()
  #levels: readonly Level[] = []
  #isLeading = false
  #timer: Timer | null = null
  #caughtUpAt = 0
  /** What a Java broker has delivered is not in the log yet. */
  #isTakingOver = false
  #savedAt = 0
  #idle: (() => void)[] = []
  /** Messages that were delivered late by how much, in milliseconds: told to whoever counts. */
  onDelivered: ((lateMs: number) => void) | null = null

  constructor(parts: BrokerParts) {
    this.#parts = parts
    this.#offsets = new DelayOffsets(parts, () => this.progress)
  }

  /** delayOffset.json, which is also the answer of GET_ALL_DELAY_OFFSET. */
  encodeOffsets(): Buffer {
    return this.#offsets.encode()
  }

  /** For each level the queue offset of the next message to deliver; of a follower, what its part of the log tells. */
  get progress(): readonly number[] {
    const { delays, store } = this.#parts
    if (this.#levels.length > 0) return this.#levels.map(({ next }) => next)
    return delays.levelsMs.map((_, index) => levelProgress(store, index + 1))
  }

  /** Messages that wait. */
  get waiting(): number {
    const { store } = this.#parts
    return this.progress.reduce(
      (sum, next, index) => sum + Math.max(0, store.maxOffsetInQueue(SCHEDULE_TOPIC, index) - next),
      0,
    )
  }

  startLeading(): void {
    this.#isLeading = true
    this.#caughtUpAt = this.#parts.store.status().maxPhysicalOffset
    this.#schedule(0)
  }

  async stopLeading(): Promise<void> {
    this.#isLeading = false
    this.#timer?.cancel()
    for (const level of this.#levels) level.timer?.cancel()
    if (this.#levels.some(({ isBusy }) => isBusy)) {
      await new Promise<void>((resolve) => this.#idle.push(resolve))
    }
    if (this.#levels.length > 0 && !this.#isTakingOver) {
      await this.#offsets.save().catch(() => undefined)
    }
    this.#levels = []
  }

  #schedule(delayMs: number): void {
    this.#timer = this.#parts.timers.after(delayMs, () => this.#poll())
  }

  #poll(): void {
    if (!this.#isLeading) return
    this.#schedule(POLL_MS)
    if (this.#levels.length === 0) {
      const { maxPhysicalOffset, dispatchBehindBytes } = this.#parts.store.status()
      if (maxPhysicalOffset - dispatchBehindBytes < this.#caughtUpAt) return
      this.#begin()
    }
    const { store, clock, config } = this.#parts
    for (const level of this.#levels) {
      level.clock.sample(store.maxOffsetInQueue(SCHEDULE_TOPIC, level.queueId), level.next)
      this.#deliver(level)
    }
    const now = clock.monotonic()
    if (this.#isTakingOver || now - this.#savedAt < config.values.flushDelayOffsetInterval) return
    this.#savedAt = now
    // A failed write is logged by the file; the next one tries again.
    this.#offsets.saveIfChanged().catch(() => undefined)
  }

  #begin(): void {
    const { delays, store, clock } = this.#parts
    const java = this.#offsets.loadJava()
    this.#levels = delays.levelsMs.map((delayMs, queueId) => {
      const number = queueId + 1
      const end = store.maxOffsetInQueue(SCHEDULE_TOPIC, queueId)
      const next = Math.min(Math.max(levelProgress(store, number), java.get(number) ?? 0), end)
      return {
        number,
        queueId,
        clock: new LevelClock(clock, delayMs, end),
        next,
        isBusy: false,
        blockedUntil: 0,
        timer: null,
      }
    })
    this.#takeOver()
  }

  /** Puts into the log what only a Java broker's file tells; until that is there the file stays as it is. */
  #takeOver(): void {
    const { store, logger } = this.#parts
    const unmarked = this.#levels.filter(({ number, next }) => next > levelProgress(store, number))
    let open = unmarked.length
    this.#isTakingOver = open > 0
    for (const { number, next } of unmarked) {
      store.put([progressMessage(number, next, this.#parts)], 'inTime', (result) => {
        if (result.status !== PutStatus.OK) return
        if (--open === 0) this.#isTakingOver = false
        logger.info({ level: number, queueOffset: next }, 'took over the progress of a delay level')
      })
    }
  }

  /** Delivers what is due of a level, or sets a timer for it when that will be soon. */
  #deliver(level: Level): void {
    const { store, clock } = this.#parts
    if (!this.#isLeading || level.isBusy || clock.monotonic() < level.blockedUntil) return
    const min = store.minOffsetInQueue(SCHEDULE_TOPIC, level.queueId)
    if (level.next < min) this.#skipTo(level, min)
    if (store.tagsCodes(SCHEDULE_TOPIC, level.queueId, level.next, this.#head) === 0) return
    const remaining = level.clock.remaining(level.next, this.#head[0] ?? 0)
    if (remaining > 0) {
      level.timer?.cancel()
      level.timer = null
      if (remaining > POLL_MS) return
      level.timer = this.#parts.timers.after(remaining, () => this.#deliver(level))
      return
    }
    level.isBusy = true
    const maxMessages = this.#countDue(level)
    store.get(
      {
        topic: SCHEDULE_TOPIC,
        queueId: level.queueId,
        queueOffset: level.next,
        maxMessages,
        filter: null,
        maxBytes: GROUP_BYTES_MAX,
      },
      (result) => this.#append(level, result),
    )
  }

  #skipTo(level: Level, queueOffset: number): void {
    const { number, next } = level
    const event = { level: number, from: next, to: queueOffset }
    this.#parts.logger.error(event, 'delayed messages were deleted before they were due')
    level.next = queueOffset
  }

  #countDue(level: Level): number {
    const dueTimes = this.#dueTimes
    const { store } = this.#parts
    const count = store.tagsCodes(SCHEDULE_TOPIC, level.queueId, level.next, dueTimes)
    let due = 1
    while (due < count && level.clock.remaining(level.next + due, dueTimes[due] ?? 0) <= 0) due++
    return due
  }

  /** Appends the messages of a group, all in this turn; stops at the first one that is not taken. */
  #append(level: Level, result: GetResult): void {
    const group: Group = { open: 1, refusedAt: Infinity, last: level.next - 1 }
    const end = (): void => {
      if (--group.open > 0) return
      const hasMoved = group.last >= level.next && group.refusedAt === Infinity
      level.next = Math.min(group.refusedAt, group.last + 1)
      this.#endGroup(level, hasMoved)
    }
    if (this.#isLeading) {
      for (const record of result.records) {
        const message = this.#read(level, record)
        const { queueOffset, storeTimestamp } = this.#reader
        group.last = queueOffset
        if (message === null) continue
        if (!this.#appendOne(level, message, storeTimestamp, group, end)) break
      }
    }
    end()
  }

  #appendOne(
    level: Level,
    message: MessageToStore,
    parkedAt: number,
    group: Group,
    end: () => void,
  ): boolean {
    const { store, clock, delays } = this.#parts
    const queueOffset = group.last
    let isTaken = true
    group.open++
    store.put([message], 'written', (result) => {
      if (isStored(result.status)) {
        const dueTime = parkedAt + (delays.levelsMs[level.queueId] ?? 0)
        this.#count(message, Math.max(0, clock.now() - dueTime))
      } else {
        isTaken = false
        group.refusedAt = Math.min(group.refusedAt, queueOffset)
        this.#noteRefused(level, queueOffset, result)
      }
      end()
    })
    return isTaken
  }

  /** Null for a record that cannot be delivered anywhere: it is passed over. */
  #read(level: Level, record: Buffer): MessageToStore | null {
    const reader = this.#reader
    const problem = reader.read(record, 0, record.length, true)
    if (problem !== null) {
      this.#parts.store.noteDamaged(
        `a message behind offset ${level.next} of level ${level.number}: ${problem}`,
      )
    }
    const message =
      problem === null ? deliveredFromLevel(storedMessageOf(reader, record), level.number) : null
    if (message === null) {
      const { queueOffset, physicalOffset } = reader
      const event = { level: level.number, queueOffset, physicalOffset, problem }
      this.#parts.logger.error(event, 'a delayed message does not say where it belongs')
    }
    return message
  }

  #noteRefused(level: Level, queueOffset: number, result: PutResult): void {
    const { logger, clock } = this.#parts
    const { status, reason } = result
    // Another member leads, or the disk is full, or busy: the next round tries again.
    if (status !== PutStatus.MESSAGE_ILLEGAL) return
    level.blockedUntil = clock.monotonic() + BLOCKED_MS
    const event = { level: level.number, queueOffset, reason }
    logger.error(event, 'a delayed message is refused, and holds up its level')
  }

  #count(message: MessageToStore, lateMs: number): void {
    const { stats, config } = this.#parts
    const { topic, body, properties } = message
    stats.add('TOPIC_PUT_NUMS', topic, 1, 1)
    stats.add('TOPIC_PUT_SIZE', topic, body.length + properties.length, 1, 'delay')
    stats.add('BROKER_PUT_NUMS', config.values.brokerClusterName, 1, 1)
    this.onDelivered?.(lateMs)
  }

  #endGroup(level: Level, hasMoved: boolean): void {
    level.isBusy = false
    if (!this.#isLeading) {
      if (this.#levels.some(({ isBusy }) => isBusy)) return
      for (const resolve of this.#idle.splice(0)) resolve()
      return
    }
    // More may be due already; what was refused waits for the next round.
    if (hasMoved) this.#parts.timers.soon(() => this.#deliver(level))
  }
}
