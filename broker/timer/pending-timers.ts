/**
 * The timers that are due next, in order: a heap in typed arrays, 16 bytes each.
 *
 * When there are too many, the later half is forgotten, and `horizon` tells from where on: whoever fills the heap finds those again in
 * the ConsumeQueue of the timer topic once the nearer ones are done. So memory stays bounded, however many timers there are.
 */
import assert from 'node:assert/strict'

const FLAGS = 8
const SMALLEST = 1024

/** How many are kept when the later ones are forgotten; twice as many are held at most. */
export const PENDING_TIMERS_KEPT: number = 2 ** 20

/** Bits of a timer's flags. */
export const TimerFlag = {
  /** Recalls another message of its tick. */
  RECALL: 1,
  /** A delay was asked for, not a time of day. */
  RELATIVE: 2,
  /** A Java broker parked it, and has perhaps delivered it. */
  FROM_JAVA: 4,
} as const

export class PendingTimers {
  readonly #kept: number
  #dueTimes = new Float64Array(SMALLEST)
  /** Queue offset × 8 + flags: a timer of the same time with a smaller one comes first. */
  #keys = new Float64Array(SMALLEST)
  #size = 0
  /** Timers from here on are not held: due time, then key. */
  #horizonTime = Infinity
  #horizonKey = Infinity
  /** Timers at or behind the horizon were offered or forgotten. */
  hasFar: boolean = false
  /** Smallest queue offset of those; Infinity without any. */
  minFarOffset: number = Infinity

  constructor(kept: number = PENDING_TIMERS_KEPT) {
    this.#kept = kept
  }

  get size(): number {
    return this.#size
  }

  /** Due time of the first one; Infinity when there is none. */
  get nextDueTime(): number {
    return this.#size === 0 ? Infinity : (this.#dueTimes[0] ?? Infinity)
  }

  get nextQueueOffset(): number {
    return Math.floor((this.#keys[0] ?? 0) / FLAGS)
  }

  get nextFlags(): number {
    return (this.#keys[0] ?? 0) % FLAGS
  }

  /**
   * Everything that is added from now on is held, as far as there is room. Those that were far have to be added again: the result tells
   * which they are.
   */
  takeAll(): (dueTime: number, queueOffset: number, flags: number) => boolean {
    const time = this.#horizonTime
    const key = this.#horizonKey
    this.#horizonTime = Infinity
    this.#horizonKey = Infinity
    this.hasFar = false
    this.minFarOffset = Infinity
    return (dueTime, queueOffset, flags) =>
      !isBefore(dueTime, queueOffset * FLAGS + flags, time, key)
  }

  add(dueTime: number, queueOffset: number, flags: number): void {
    const key = queueOffset * FLAGS + flags
    if (!isBefore(dueTime, key, this.#horizonTime, this.#horizonKey)) {
      this.#noteFar(key)
      return
    }
    if (this.#size === this.#dueTimes.length) this.#grow()
    let at = this.#size++
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#isBeforeAt(dueTime, key, parent)) break
      this.#move(parent, at)
      at = parent
    }
    this.#dueTimes[at] = dueTime
    this.#keys[at] = key
    if (this.#size >= 2 * this.#kept) this.#forgetLater()
  }

  /** Removes the first one. */
  pop(): void {
    assert(this.#size > 0)
    this.#size--
    if (this.#size === 0) {
      this.#shrink()
      return
    }
    this.#sink(0, this.#dueTimes[this.#size] ?? 0, this.#keys[this.#size] ?? 0)
    if (this.#size * 8 < this.#dueTimes.length) this.#shrink()
  }

  /** Moves the due times of some: `shift` tells by how much, from queue offset and flags. */
  shiftAll(shift: (queueOffset: number, flags: number) => number): void {
    for (let at = 0; at < this.#size; at++) {
      const key = this.#keys[at] ?? 0
      this.#dueTimes[at] = (this.#dueTimes[at] ?? 0) + shift(Math.floor(key / FLAGS), key % FLAGS)
    }
    this.#heapify()
  }

  /** Forgets those which `isGone` says to be gone. */
  remove(isGone: (queueOffset: number) => boolean): void {
    let kept = 0
    for (let at = 0; at < this.#size; at++) {
      if (isGone(Math.floor((this.#keys[at] ?? 0) / FLAGS))) continue
      this.#move(at, kept++)
    }
    this.#size = kept
    this.#heapify()
  }

  /** How many are due within each of these times from `now` on, later than within the one before; `bounds` in milliseconds, ascending. */
  dueWithin(now: number, bounds: readonly number[]): number[] {
    const counts = bounds.map(() => 0)
    for (let at = 0; at < this.#size; at++) {
      const ahead = (this.#dueTimes[at] ?? 0) - now
      const index = ahead < 0 ? -1 : bounds.findIndex((bound) => ahead < bound)
      if (index >= 0) counts[index] = (counts[index] ?? 0) + 1
    }
    return counts
  }

  /** The smallest queue offset of all that wait, as far as it is known; Infinity without any. */
  minQueueOffset(): number {
    let min = this.minFarOffset
    for (let at = 0; at < this.#size; at++) {
      min = Math.min(min, Math.floor((this.#keys[at] ?? 0) / FLAGS))
    }
    return min
  }

  /** Keeps the first `#kept`, whatever order they lie in, and puts the horizon behind them. */
  #forgetLater(): void {
    const kept = this.#kept
    this.#partition(kept)
    let time = Infinity
    let key = Infinity
    for (let at = kept; at < this.#size; at++) {
      const dueTime = this.#dueTimes[at] ?? 0
      const other = this.#keys[at] ?? 0
      this.#noteFar(other)
      if (isBefore(dueTime, other, time, key)) {
        time = dueTime
        key = other
      }
    }
    this.#horizonTime = time
    this.#horizonKey = key
    this.#size = kept
    this.#heapify()
  }

  #noteFar(key: number): void {
    this.hasFar = true
    this.minFarOffset = Math.min(this.minFarOffset, Math.floor(key / FLAGS))
  }

  /** Quickselect: afterwards no entry before `middle` is behind one from `middle` on. */
  #partition(middle: number): void {
    let low = 0
    let high = this.#size - 1
    while (low < high) {
      const pivot = (low + high) >> 1
      const time = this.#dueTimes[pivot] ?? 0
      const key = this.#keys[pivot] ?? 0
      let left = low
      let right = high
      while (left <= right) {
        while (this.#isAtBefore(left, time, key)) left++
        while (this.#isBeforeAt(time, key, right)) right--
        if (left <= right) this.#swap(left++, right--)
      }
      if (middle <= right) high = right
      else if (middle >= left) low = left
      else return
    }
  }

  #heapify(): void {
    for (let at = (this.#size >> 1) - 1; at >= 0; at--) {
      this.#sink(at, this.#dueTimes[at] ?? 0, this.#keys[at] ?? 0)
    }
  }

  #sink(from: number, dueTime: number, key: number): void {
    let at = from
    for (;;) {
      let child = 2 * at + 1
      if (child >= this.#size) break
      const other = child + 1
      if (
        other < this.#size &&
        this.#isBeforeAt(this.#dueTimes[other] ?? 0, this.#keys[other] ?? 0, child)
      ) {
        child = other
      }
      if (!this.#isAtBefore(child, dueTime, key)) break
      this.#move(child, at)
      at = child
    }
    this.#dueTimes[at] = dueTime
    this.#keys[at] = key
  }

  #isBeforeAt(dueTime: number, key: number, at: number): boolean {
    return isBefore(dueTime, key, this.#dueTimes[at] ?? 0, this.#keys[at] ?? 0)
  }

  #isAtBefore(at: number, dueTime: number, key: number): boolean {
    return isBefore(this.#dueTimes[at] ?? 0, this.#keys[at] ?? 0, dueTime, key)
  }

  #move(from: number, to: number): void {
    this.#dueTimes[to] = this.#dueTimes[from] ?? 0
    this.#keys[to] = this.#keys[from] ?? 0
  }

  #swap(one: number, other: number): void {
    const dueTime = this.#dueTimes[one] ?? 0
    const key = this.#keys[one] ?? 0
    this.#move(other, one)
    this.#dueTimes[other] = dueTime
    this.#keys[other] = key
  }

  #grow(): void {
    this.#resize(this.#dueTimes.length * 2)
  }

  #shrink(): void {
    if (this.#dueTimes.length > SMALLEST) this.#resize(Math.max(SMALLEST, this.#size * 2))
  }

  #resize(capacity: number): void {
    const dueTimes = new Float64Array(capacity)
    const keys = new Float64Array(capacity)
    dueTimes.set(this.#dueTimes.subarray(0, this.#size))
    keys.set(this.#keys.subarray(0, this.#size))
    this.#dueTimes = dueTimes
    this.#keys = keys
  }
}

function isBefore(dueTime: number, key: number, otherTime: number, otherKey: number): boolean {
  return dueTime < otherTime || (dueTime === otherTime && key < otherKey)
}
