/**
 * Memory for the units of all ConsumeQueues that are not in their files yet: blocks of a few units, chained per queue.
 *
 * A queue without such units has no block, so a hundred thousand idle queues take none of this, and a busy one takes a block for every
 * eight messages. The pool grows by slabs outside the JavaScript heap; what it should not exceed is the owner's to see to.
 */
import assert from 'node:assert/strict'
import { CONSUME_QUEUE_UNIT_SIZE } from './consume-queue-unit.ts'

export const UNITS_PER_BLOCK = 8
const BLOCK_SIZE = UNITS_PER_BLOCK * CONSUME_QUEUE_UNIT_SIZE
const BLOCKS_PER_SLAB = 4096

/** The end of a chain, and the name of no block. */
export const NO_BLOCK = -1

export class UnitPool {
  readonly #slabs: Buffer[] = []
  /** For each block the next of its chain, or of the free ones. */
  #next = new Int32Array(0)
  #firstFree = NO_BLOCK
  #used = 0

  /** Bytes in blocks that are in use. */
  get usedBytes(): number {
    return this.#used * BLOCK_SIZE
  }

  /** A block at the end of a chain of which `last` has been the last so far. Its bytes are not cleared. */
  append(last: number): number {
    if (this.#firstFree === NO_BLOCK) this.#grow()
    const block = this.#firstFree
    this.#firstFree = this.next(block)
    this.#next[block] = NO_BLOCK
    if (last !== NO_BLOCK) this.#next[last] = block
    this.#used++
    return block
  }

  next(block: number): number {
    return this.#next[block] ?? NO_BLOCK
  }

  /** Gives up all blocks from `first` on. */
  release(first: number): void {
    let last = NO_BLOCK
    for (let block = first; block !== NO_BLOCK; block = this.next(block)) {
      last = block
      this.#used--
    }
    if (last === NO_BLOCK) return
    this.#next[last] = this.#firstFree
    this.#firstFree = first
  }

  /** Gives up all blocks behind `last`. */
  cutAfter(last: number): void {
    const rest = this.next(last)
    this.#next[last] = NO_BLOCK
    this.release(rest)
  }

  /** The buffer that a block lies in, and where. */
  slabOf(block: number): Buffer {
    const slab = this.#slabs[Math.floor(block / BLOCKS_PER_SLAB)]
    if (slab === undefined) assert.fail('the block exists')
    return slab
  }

  positionOf(block: number): number {
    return (block % BLOCKS_PER_SLAB) * BLOCK_SIZE
  }

  #grow(): void {
    const start = this.#slabs.length * BLOCKS_PER_SLAB
    this.#slabs.push(Buffer.allocUnsafeSlow(BLOCKS_PER_SLAB * BLOCK_SIZE))
    const next = new Int32Array(start + BLOCKS_PER_SLAB)
    next.set(this.#next)
    for (let block = start; block < next.length; block++) next[block] = block + 1
    next[next.length - 1] = this.#firstFree
    this.#next = next
    this.#firstFree = start
  }
}
