/**
 * Which messages of the timer topic wait, and until when: a function of the log alone.
 *
 * Each parked message has a unit in the ConsumeQueue of rmq_sys_wheel_timer, with its time as tags code (store/parked-time.ts), and each
 * delivered one a mark that names the parked one (common/delivery-mark.ts). What has no mark waits. A start reads both queues, 20 bytes
 * for each timer; nothing is written besides the log, so that no file can be ahead of it, behind it or lost.
 */
import { MARKS_TOPIC, TIMER_MARK } from '../../common/delivery-mark.ts'
import { RecordReader } from '../../common/message-codec.ts'
import { decodeTimerCode, timerCodeOf } from '../../store/parked-time.ts'
import { TIMER_TOPIC } from '../names.ts'
import { PendingTimers, TimerFlag } from './pending-timers.ts'
import { ResolvedTimers } from './resolved-timers.ts'
import type { Clock, Timers } from '../../common/ports.ts'
import type { Store } from '../../store/types.ts'

const CHUNK_UNITS = 4096
/** Records that are read in one turn, where the unit has no time. */
const RECORDS_PER_TURN = 64
const CHUNKS_PER_TURN = 8
/** Nearer timers are sought again when fewer than this share of them are left. */
const REFILL_SHARE = 4
/** How often the wall clock is set at most while a timer waits; what is older counts no more. */
const JUMPS_MAX = 1000
/** More than slewing and rounding ever make. */
const DISAGREEMENT_MS = 50

export interface TimerIndexParts {
  readonly store: Pick<
    Store,
    'tagsCodes' | 'minOffsetInQueue' | 'maxOffsetInQueue' | 'physicalOffsetAt' | 'recordAt'
  >
  readonly clock: Clock
  readonly timers: Pick<Timers, 'soon'>
}

/** The wall clock was set: timers below this queue offset that asked for a delay wait by so much longer. */
interface Jump {
  readonly queueEnd: number
  readonly shiftMs: number
}

export class TimerIndex {
  readonly #parts: TimerIndexParts
  readonly #kept: number | undefined
  readonly #codes = new Float64Array(CHUNK_UNITS)
  readonly #reader = new RecordReader()
  readonly #resolved = new ResolvedTimers()
  #pending: PendingTimers
  #jumps: Jump[] = []
  #drift: number
  #earliestShiftMs = 0
  #latestShiftMs = 0
  /** Queue offsets below are deleted. */
  #start = 0
  /** Queue offsets below are known. */
  #indexedTo = 0
  #isSearching = false
  #isReady = false
  #isClosed = false
  /** Timers that wait, those that are far included. */
  count: number = 0
  /** The wall clock was set while timers were far: `rescan` is to be called. */
  needsRescan: boolean = false
  /** Told of each timer that is found waiting. */
  onFound: ((dueTime: number) => void) | null = null

  /** `kept`: see `PendingTimers`. */
  constructor(parts: TimerIndexParts, kept?: number) {
    this.#parts = parts
    this.#kept = kept
    this.#pending = new PendingTimers(kept)
    this.#drift = this.#currentDrift()
  }

  get pending(): PendingTimers {
    return this.#pending
  }

  /** Everything that waited at the start is known. */
  get isReady(): boolean {
    return this.#isReady
  }

  get indexedTo(): number {
    return this.#indexedTo
  }

  /** By how much the earliest timer is moved at the most, because the wall clock was set; not above 0. Recalls are moved as far, to be before it. */
  get earliestShiftMs(): number {
    return this.#earliestShiftMs
  }

  /** The same for the latest timer; not below 0. */
  get latestShiftMs(): number {
    return this.#latestShiftMs
  }

  /** The first timer's time; Infinity when none waits, or the next ones are still being sought. */
  get nextDueTime(): number {
    return this.#isReady ? this.#pending.nextDueTime : Infinity
  }

  /** Reads what waits; resolves when all of it is known. */
  async load(): Promise<void> {
    const { store } = this.#parts
    this.#indexedTo = store.maxOffsetInQueue(TIMER_TOPIC, 0)
    await this.#readMarks()
    await this.rescan()
  }

  /** Looks again for everything that waits; nothing may be under way. */
  async rescan(): Promise<void> {
    this.#isReady = false
    this.needsRescan = false
    this.#pending = new PendingTimers(this.#kept)
    this.count = 0
    const start = this.#parts.store.minOffsetInQueue(TIMER_TOPIC, 0)
    await this.#eachUnit(start, this.#indexedTo, (queueOffset, code) => {
      if (!this.#resolved.has(queueOffset)) this.#find(queueOffset, code)
    })
    this.#isReady = !this.#isClosed
  }

  /** A timer that was taken out of the heap is done with. */
  resolve(queueOffset: number): void {
    this.count--
    this.#resolved.add(queueOffset)
  }

  close(): void {
    this.#isClosed = true
  }

  /** Looks for timers that have come, and for those that are not far any more. False: call again soon. */
  advance(): boolean {
    if (!this.#isReady || this.#isClosed) return true
    this.#noteClock()
    const { store } = this.#parts
    const end = store.maxOffsetInQueue(TIMER_TOPIC, 0)
    const start = store.minOffsetInQueue(TIMER_TOPIC, 0)
    if (start > this.#start) {
      this.#start = start
      this.#resolved.forgetBelow(start)
      this.#indexedTo = Math.max(this.#indexedTo, start)
    }
    for (let chunk = 0; chunk < CHUNKS_PER_TURN && this.#indexedTo < end; chunk++) {
      const count = store.tagsCodes(TIMER_TOPIC, 0, this.#indexedTo, this.#codes)
      if (count === 0) break
      for (let index = 0; index < count; index++) {
        this.#find(this.#indexedTo + index, this.#codes[index] ?? 0)
      }
      this.#indexedTo += count
    }
    this.#refill()
    return this.#indexedTo >= end
  }

  #find(queueOffset: number, code: number): void {
    const timer = this.#timerOf(queueOffset, code)
    if (timer === null) return
    this.count++
    this.#pending.add(timer.dueTime, queueOffset, timer.flags)
    this.onFound?.(timer.dueTime)
  }

  #timerOf(
    queueOffset: number,
    code: number,
  ): { readonly dueTime: number; readonly flags: number } | null {
    let timer = decodeTimerCode(code)
    let flags = 0
    if (timer === null) {
      timer = this.#timerOfRecord(queueOffset)
      if (timer === null) return null
      flags = TimerFlag.FROM_JAVA
    }
    if (timer.isRecall) flags |= TimerFlag.RECALL
    if (timer.isRelative) flags |= TimerFlag.RELATIVE
    return { dueTime: timer.dueTime + this.#shiftOf(queueOffset, flags), flags }
  }

  #timerOfRecord(queueOffset: number): ReturnType<typeof decodeTimerCode> {
    const { store } = this.#parts
    const physicalOffset = store.physicalOffsetAt(TIMER_TOPIC, 0, queueOffset)
    const record = physicalOffset === null ? null : store.recordAt(physicalOffset)
    const reader = this.#reader
    if (record === null || reader.read(record, 0, record.length, false) !== null) return null
    return decodeTimerCode(timerCodeOf(reader, record) ?? 0)
  }

  /** What was delivered has a mark. */
  async #readMarks(): Promise<void> {
    const { store } = this.#parts
    const end = store.maxOffsetInQueue(MARKS_TOPIC, TIMER_MARK)
    let at = store.minOffsetInQueue(MARKS_TOPIC, TIMER_MARK)
    for (let chunk = 1; at < end && !this.#isClosed; chunk++) {
      const count = store.tagsCodes(MARKS_TOPIC, TIMER_MARK, at, this.#codes)
      if (count === 0) break
      for (let index = 0; index < count; index++) this.#resolved.add(this.#codes[index] ?? 0)
      at += count
      if (chunk % CHUNKS_PER_TURN === 0) await this.#turn()
    }
  }

  async #eachUnit(
    start: number,
    end: number,
    visit: (queueOffset: number, code: number) => void,
  ): Promise<void> {
    const { store } = this.#parts
    // Other readings go on meanwhile.
    const codes = new Float64Array(CHUNK_UNITS)
    let cost = 0
    for (let at = start; at < end && !this.#isClosed;) {
      const count = Math.min(store.tagsCodes(TIMER_TOPIC, 0, at, codes), end - at)
      if (count === 0) break
      for (let index = 0; index < count; index++) {
        const code = codes[index] ?? 0
        visit(at + index, code)
        if (decodeTimerCode(code) !== null) continue
        cost += CHUNKS_PER_TURN / RECORDS_PER_TURN
        if (cost >= CHUNKS_PER_TURN) {
          await this.#turn()
          cost = 0
        }
      }
      at += count
      if (++cost >= CHUNKS_PER_TURN) {
        await this.#turn()
        cost = 0
      }
    }
  }

  #refill(): void {
    const pending = this.#pending
    const isLow = pending.size * REFILL_SHARE < (this.#kept ?? 2 ** 20)
    if (!pending.hasFar || this.#isSearching || !isLow) return
    this.#isSearching = true
    const start = pending.minFarOffset
    const wasFar = pending.takeAll()
    const end = this.#indexedTo
    void this.#eachUnit(start, end, (queueOffset, code) => {
      if (this.#resolved.has(queueOffset)) return
      const timer = this.#timerOf(queueOffset, code)
      if (timer === null || !wasFar(timer.dueTime, queueOffset, timer.flags)) return
      pending.add(timer.dueTime, queueOffset, timer.flags)
    }).finally(() => {
      this.#isSearching = false
    })
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#parts.timers.soon(resolve))
  }

  #currentDrift(): number {
    const { clock } = this.#parts
    return clock.now() - clock.monotonic()
  }

  /** When the wall clock was set, those that asked for a delay wait for that long all the same. */
  #noteClock(): void {
    const drift = this.#currentDrift()
    const shiftMs = Math.round(drift - this.#drift)
    if (Math.abs(shiftMs) <= DISAGREEMENT_MS) return
    this.#drift = drift
    this.#jumps.push({ queueEnd: this.#indexedTo, shiftMs })
    if (this.#jumps.length > JUMPS_MAX) this.#jumps.shift()
    if (this.#pending.hasFar || this.#isSearching) this.needsRescan = true
    const earliestBefore = this.#earliestShiftMs
    this.#earliestShiftMs = Math.min(0, earliestBefore + shiftMs)
    this.#latestShiftMs = Math.max(0, this.#latestShiftMs + shiftMs)
    const recallShiftMs = this.#earliestShiftMs - earliestBefore
    this.#pending.shiftAll((_queueOffset, flags) => {
      if ((flags & TimerFlag.RECALL) !== 0) return recallShiftMs
      return (flags & TimerFlag.RELATIVE) === 0 ? 0 : shiftMs
    })
  }

  #shiftOf(queueOffset: number, flags: number): number {
    if ((flags & TimerFlag.RECALL) !== 0) return this.#earliestShiftMs
    if ((flags & TimerFlag.RELATIVE) === 0) return 0
    let shiftMs = 0
    for (const jump of this.#jumps) if (queueOffset < jump.queueEnd) shiftMs += jump.shiftMs
    return shiftMs
  }
}
