/**
 * The queues of the records that were appended last, by their place in the log: the dispatcher meets the same records soon after, in the
 * same order, and looks here before it searches the table of all queues, which costs several cache misses where there are many.
 */
import type { ConsumeQueue } from './consume-queue.ts'

/** A power of two: some turns of sends. What does not fit is found in the table. */
const PLACES = 4096

export class AppendedQueues {
  readonly #offsets = new Float64Array(PLACES)
  readonly #queues: (ConsumeQueue | null)[] = Array.from({ length: PLACES }, () => null)
  /** Numbers of records, counted without end: those in `[taken, noted)` are here. */
  #noted = 0
  #taken = 0

  /** Places of one log, in ascending order; `clear` is called when it is cut. */
  note(queue: ConsumeQueue, physicalOffset: number): void {
    const place = this.#noted % PLACES
    this.#offsets[place] = physicalOffset
    this.#queues[place] = queue
    this.#noted++
    if (this.#noted - this.#taken > PLACES) this.#taken++
  }

  /** The queue of the record at `physicalOffset`, if it is still known; records before it are not asked for any more. */
  take(physicalOffset: number): ConsumeQueue | null {
    while (this.#taken < this.#noted) {
      const place = this.#taken % PLACES
      const offset = this.#offsets[place] ?? 0
      if (offset > physicalOffset) return null
      this.#taken++
      if (offset === physicalOffset) return this.#queues[place] ?? null
    }
    return null
  }

  clear(): void {
    this.#queues.fill(null)
    this.#noted = 0
    this.#taken = 0
  }
}
