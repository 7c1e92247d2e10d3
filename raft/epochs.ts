/** Which term each part of the log is of. Derived from the term-start records; a small file keeps it for a quick start. */
import assert from 'node:assert/strict'
import type { Epoch } from './messages.ts'

export class Epochs {
  #list: Epoch[]

  constructor(epochs: readonly Epoch[] = []) {
    this.#list = []
    for (const epoch of epochs) this.add(epoch)
  }

  get list(): readonly Epoch[] {
    return this.#list
  }

  /** Term of the newest records; 0 for an empty log. */
  get lastTerm(): number {
    return this.#list.at(-1)?.term ?? 0
  }

  add(epoch: Epoch): void {
    const last = this.#list.at(-1)
    assert(last === undefined || epoch.term > last.term, 'terms of the log only grow')
    assert(last === undefined || epoch.startOffset > last.startOffset, 'epochs hold records')
    this.#list.push(epoch)
  }

  /** Term of the record that ends at `offset`; 0 at the start of the log. */
  termBefore(offset: number): number {
    for (let index = this.#list.length - 1; index >= 0; index--) {
      const epoch = this.#list[index]
      if (epoch !== undefined && epoch.startOffset < offset) return epoch.term
    }
    return 0
  }

  /** Where the records of `termBefore(offset)` start. */
  startOfTermBefore(offset: number): number {
    for (let index = this.#list.length - 1; index >= 0; index--) {
      const epoch = this.#list[index]
      if (epoch !== undefined && epoch.startOffset < offset) return epoch.startOffset
    }
    return 0
  }

  /** Epochs that start in `[from, to)`. */
  startingIn(from: number, to: number): readonly Epoch[] {
    return this.#list.filter(({ startOffset }) => startOffset >= from && startOffset < to)
  }

  /** End of the newest records whose term is at most `term`, given where the log ends. */
  endOfTermsUpTo(term: number, logEnd: number): number {
    const later = this.#list.find((epoch) => epoch.term > term)
    return later === undefined ? logEnd : later.startOffset
  }

  /** Forgets the epochs of records from `offset` on. */
  truncate(offset: number): void {
    this.#list = this.#list.filter(({ startOffset }) => startOffset < offset)
  }

  /** Forgets the epochs that ended before `offset`. */
  dropBelow(offset: number): void {
    while ((this.#list[1]?.startOffset ?? Number.POSITIVE_INFINITY) <= offset) this.#list.shift()
  }
}
