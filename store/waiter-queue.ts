/** Who waits for the commit of what was appended, in the order of the log: one entry per waiter and batch. */
import type { CommitWaiter } from './types.ts'

/** The consecutive appends of one batch that name one waiter. */
export interface Waiting {
  readonly waiter: CommitWaiter
  readonly batchNumber: number
  /** `Clock.monotonic()` when the batch began. */
  readonly startedAt: number
  /** End of the last of the records. */
  endOffset: number
  messages: number
  bytes: number
  isAnswered: boolean
  /** Waits for as long as it takes to know what has become of the records. */
  isPatient: boolean
}

export class WaiterQueue {
  #entries: Waiting[] = []
  #head = 0
  /** Made last for appends. */
  #shared: Waiting | null = null

  get length(): number {
    return this.#entries.length - this.#head
  }

  /**
   * The entry that the waiter's next append of this batch belongs to: one for all of them, also when others come between, so that it is told
   * once. What came between waits until all of that is committed too.
   */
  sharedEntryOf(waiter: CommitWaiter, batchNumber: number, startedAt: number): Waiting {
    const shared = this.#shared
    const isSame = shared?.waiter === waiter && shared.batchNumber === batchNumber
    if (shared !== null && isSame && !shared.isAnswered) return shared
    this.#shared = this.add(waiter, batchNumber, startedAt)
    return this.#shared
  }

  /** An entry for a waiter that comes once. */
  add(waiter: CommitWaiter, batchNumber: number, startedAt: number): Waiting {
    const entry = {
      waiter,
      batchNumber,
      startedAt,
      endOffset: 0,
      messages: 0,
      bytes: 0,
      isAnswered: false,
      isPatient: false,
    }
    this.#entries.push(entry)
    return entry
  }

  /** Takes all entries; what `each` adds meanwhile stays. */
  takeAll(each: (entry: Waiting) => void): void {
    const entries = this.#entries
    const head = this.#head
    this.#entries = []
    this.#head = 0
    for (let index = head; index < entries.length; index++) {
      const entry = entries[index]
      if (entry !== undefined) each(entry)
    }
  }

  /** Takes the entries that lie below `commitOffset`. */
  takeBelow(commitOffset: number, each: (entry: Waiting) => void): void {
    for (;;) {
      const entry = this.#entries[this.#head]
      if (entry === undefined || entry.endOffset > commitOffset) break
      this.#head++
      each(entry)
    }
    // Half of the array is given up at a time: each entry is moved once.
    if (this.#head * 2 < this.#entries.length) return
    this.#entries = this.#entries.slice(this.#head)
    this.#head = 0
  }

  /** Takes the entries of the newest batch. */
  takeBatch(batchNumber: number): readonly Waiting[] {
    let start = this.#entries.length
    while (start > this.#head && this.#entries[start - 1]?.batchNumber === batchNumber) start--
    return this.#entries.splice(start)
  }

  /** The oldest entry that has not been answered yet, and will not wait for ever. */
  get oldestUnanswered(): Waiting | null {
    for (let index = this.#head; index < this.#entries.length; index++) {
      const entry = this.#entries[index]
      if (entry !== undefined && !entry.isAnswered && !entry.isPatient) return entry
    }
    return null
  }
}
