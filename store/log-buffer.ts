/**
 * The end of the CommitLog in memory: records are encoded straight into it, written to the file from it, and read from it
 * while they are young. A few large chunks, the oldest of which is used again for the newest bytes; a record never
 * spans two of them.
 */
import assert from 'node:assert/strict'

interface Chunk {
  bytes: Buffer
  /** Physical offset of the first byte; -1 when the chunk holds nothing. */
  start: number
  used: number
}

export class LogBuffer {
  readonly #chunkSize: number
  readonly #chunks: Chunk[]
  #newest = 0
  /** Set by `find` and `seekEnd`: the bytes, where the asked offset lies in them, and where what is valid ends. */
  bytes: Buffer = Buffer.alloc(0)
  at = 0
  end = 0

  constructor(options: { readonly chunkSize: number; readonly chunkCount: number }) {
    assert(options.chunkCount >= 2)
    this.#chunkSize = options.chunkSize
    this.#chunks = Array.from({ length: options.chunkCount }, () => ({
      bytes: Buffer.alloc(0),
      start: -1,
      used: 0,
    }))
  }

  /** Physical offset at which the newest chunk begins; -1 when it holds nothing. */
  get newestStart(): number {
    return this.#chunk(this.#newest).start
  }

  /** True when the next `size` bytes at `physicalOffset` need another chunk: what is in this one must be written first. */
  needsSwitch(size: number, physicalOffset: number): boolean {
    const chunk = this.#chunk(this.#newest)
    return (
      chunk.start === -1 ||
      chunk.start + chunk.used !== physicalOffset ||
      chunk.used + size > chunk.bytes.length
    )
  }

  /** Makes the oldest chunk the newest, to begin at `physicalOffset` with at least `size` bytes. */
  switch(size: number, physicalOffset: number): void {
    this.#newest = (this.#newest + 1) % this.#chunks.length
    const chunk = this.#chunk(this.#newest)
    if (chunk.bytes.length < size || chunk.bytes.length > Math.max(size, this.#chunkSize)) {
      chunk.bytes = Buffer.alloc(Math.max(size, this.#chunkSize))
    }
    chunk.start = physicalOffset
    chunk.used = 0
  }

  /** Sets `bytes` and `at` to the free bytes behind the end, of which `take` then takes some. */
  seekEnd(): void {
    const chunk = this.#chunk(this.#newest)
    this.bytes = chunk.bytes
    this.at = chunk.used
  }

  /** Takes the next `size` bytes. */
  take(size: number): void {
    const chunk = this.#chunk(this.#newest)
    if (chunk.used + size > chunk.bytes.length) assert.fail('there is room in the chunk')
    chunk.used += size
  }

  /** Looks an offset up; sets `bytes`, `at` and `end` when it is here. */
  find(physicalOffset: number): boolean {
    for (let age = 0; age < this.#chunks.length; age++) {
      const chunk = this.#chunk((this.#newest - age + this.#chunks.length) % this.#chunks.length)
      if (chunk.start === -1) return false
      const at = physicalOffset - chunk.start
      if (at < 0) continue
      if (at >= chunk.used) return false
      this.bytes = chunk.bytes
      this.at = at
      this.end = chunk.used
      return true
    }
    return false
  }

  /** Forgets everything from `physicalOffset` on. */
  truncate(physicalOffset: number): void {
    for (const chunk of this.#chunks) {
      if (chunk.start === -1) continue
      if (chunk.start >= physicalOffset) {
        chunk.start = -1
        chunk.used = 0
      } else {
        chunk.used = Math.min(chunk.used, physicalOffset - chunk.start)
      }
    }
  }

  #chunk(index: number): Chunk {
    const chunk = this.#chunks[index]
    if (chunk === undefined) assert.fail('the chunk exists')
    return chunk
  }
}
