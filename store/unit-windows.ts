/**
 * ConsumeQueue units that readers are going through, read ahead from the files: one read serves a thousand messages.
 *
 * A window is read at once as long as the page cache answers; after reads that were slow the next ones happen off the event loop for
 * a while. Units in a file do not change, so a window stays true until the log is cut.
 */
import { CONSUME_QUEUE_UNIT_SIZE } from './consume-queue-unit.ts'
import type { ConsumeQueue } from './consume-queue.ts'
import type { ReadPace } from './read-pace.ts'

const WINDOW_UNITS = 1024
const WINDOW_SIZE = WINDOW_UNITS * CONSUME_QUEUE_UNIT_SIZE
/** 5 MiB in all; several readers of one queue have one each. */
const MAX_WINDOWS = 256

/** What is read here of a queue. */
export type UnitSource = Pick<ConsumeQueue, 'memoryStart' | 'readUnits' | 'readFile'>

interface UnitWindow {
  readonly bytes: Buffer
  queue: UnitSource | null
  /** Queue offsets `[start, end)`. */
  start: number
  end: number
  lastUse: number
  isLoading: boolean
}

export class UnitWindows {
  readonly #pace: ReadPace
  readonly #windows: UnitWindow[] = []
  readonly #byQueue = new Map<UnitSource, UnitWindow[]>()
  #uses = 0
  #usesAtTrim = -1
  /** Counts truncations: what was read before one may not be true any more. */
  #cuts = 0
  /** Set by `find`: the bytes, where the unit lies in them, and how many units follow with it. */
  bytes: Buffer = Buffer.alloc(0)
  at = 0
  count = 0

  constructor(pace: ReadPace) {
    this.#pace = pace
  }

  /** Looks up a unit that is in a file; reads it at once unless the disk is cold. False: `load` it. */
  find(queue: UnitSource, queueOffset: number): boolean {
    const present = this.#byQueue.get(queue)
    if (present !== undefined) {
      for (let index = 0; index < present.length; index++) {
        const window = present[index]
        if (window === undefined || window.isLoading) continue
        if (queueOffset < window.start || queueOffset >= window.end) continue
        this.#use(window, queueOffset)
        return true
      }
    }
    if (this.#pace.isCold) return false
    const window = this.#take(queue, queueOffset)
    if (window === null) return false
    this.#pace.begin()
    const count = queue.readUnits(queueOffset, this.#countFrom(queue, queueOffset), window.bytes)
    this.#pace.end(count * CONSUME_QUEUE_UNIT_SIZE)
    window.start = queueOffset
    window.end = queueOffset + count
    this.#use(window, queueOffset)
    return true
  }

  /** Reads the units from `queueOffset` on off the event loop. `done` is called when that has ended, well or not. */
  load(queue: UnitSource, queueOffset: number, done: () => void): boolean {
    const window = this.#take(queue, queueOffset)
    if (window === null) return false
    const cuts = this.#cuts
    window.isLoading = true
    const ended = (count: number): void => {
      window.isLoading = false
      window.start = queueOffset
      window.end = cuts === this.#cuts ? queueOffset + count : queueOffset
      window.lastUse = ++this.#uses
      done()
    }
    const count = this.#countFrom(queue, queueOffset)
    // Why a read failed is told to the one who then reads at once.
    queue.readFile(queueOffset, count, window.bytes).then(ended, () => ended(0))
    return true
  }

  /** Forgets everything: queues were cut. */
  drop(): void {
    this.#cuts++
    for (const window of this.#windows) window.end = window.start
  }

  /** To be called now and then: gives the memory back when nothing was read since the last call. */
  trim(): void {
    const isIdle = this.#uses === this.#usesAtTrim
    this.#usesAtTrim = this.#uses
    if (!isIdle || this.#windows.some((window) => window.isLoading)) return
    this.#windows.length = 0
    this.#byQueue.clear()
    this.bytes = Buffer.alloc(0)
  }

  /** What a window may hold of the units that are in the file only. */
  #countFrom(queue: UnitSource, queueOffset: number): number {
    return Math.min(WINDOW_UNITS, queue.memoryStart - queueOffset)
  }

  #use(window: UnitWindow, queueOffset: number): void {
    window.lastUse = ++this.#uses
    this.bytes = window.bytes
    this.at = (queueOffset - window.start) * CONSUME_QUEUE_UNIT_SIZE
    this.count = window.end - queueOffset
  }

  /** A window to be read into: the one that ends here, a new one, or the one used longest ago; null when all are being read into. */
  #take(queue: UnitSource, queueOffset: number): UnitWindow | null {
    const present = this.#byQueue.get(queue)
    const before = present?.find((window) => !window.isLoading && window.end === queueOffset)
    if (before !== undefined) return before
    if (this.#windows.length < MAX_WINDOWS) {
      const bytes = Buffer.allocUnsafeSlow(WINDOW_SIZE)
      const window: UnitWindow = {
        bytes,
        queue: null,
        start: 0,
        end: 0,
        lastUse: 0,
        isLoading: false,
      }
      this.#windows.push(window)
      this.#assign(window, queue)
      return window
    }
    let oldest: UnitWindow | null = null
    for (const window of this.#windows) {
      if (window.isLoading) continue
      if (oldest === null || window.lastUse < oldest.lastUse) oldest = window
    }
    if (oldest !== null) this.#assign(oldest, queue)
    return oldest
  }

  #assign(window: UnitWindow, queue: UnitSource): void {
    const before = window.queue
    if (before !== null) {
      const others = this.#byQueue.get(before)?.filter((other) => other !== window) ?? []
      if (others.length === 0) this.#byQueue.delete(before)
      else this.#byQueue.set(before, others)
    }
    window.queue = queue
    window.start = 0
    window.end = 0
    const present = this.#byQueue.get(queue)
    if (present === undefined) this.#byQueue.set(queue, [window])
    else present.push(window)
  }
}
