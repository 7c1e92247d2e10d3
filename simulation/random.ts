/** Reproducible randomness from a seed (mulberry32). */
import assert from 'node:assert/strict'
import type { Random } from '../common/ports.ts'

/** As for the real one (`crypto.randomInt`). */
const MAX_BOUND = 2 ** 48

export class SeededRandom implements Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }

  integer(bound: number): number {
    assert(bound < MAX_BOUND, 'more than the operating system can draw')
    return Math.floor(this.next() * bound)
  }

  bytes(size: number): Buffer {
    const bytes = Buffer.alloc(size)
    for (let index = 0; index < size; index++) bytes[index] = this.integer(256)
    return bytes
  }
}
