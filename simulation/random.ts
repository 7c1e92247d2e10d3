/** Reproducible randomness from a seed (mulberry32). */
import type { Random } from '../common/ports.ts'

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
    return Math.floor(this.next() * bound)
  }

  bytes(size: number): Buffer {
    const bytes = Buffer.alloc(size)
    for (let index = 0; index < size; index++) bytes[index] = this.integer(256)
    return bytes
  }
}
