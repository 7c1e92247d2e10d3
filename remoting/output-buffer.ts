/**
 * What a connection writes in one turn: small pieces joined in a pooled chunk, large bodies between them as they are.
 *
 * Joining is what makes many small answers cheap: one write of 64 KiB costs a twentieth of a write for each frame.
 */
import assert from 'node:assert/strict'
import type { FrameTarget } from './command-codec.ts'

const CHUNK_SIZE = 64 * 1024
const POOL_MAX_CHUNKS = 64
/** Smaller pieces are copied: cheaper than one more entry for the kernel. */
const KEEP_MIN_SIZE = 16 * 1024

/** Chunks of a server or client that are not in use. */
export class ChunkPool {
  readonly #free: Buffer[] = []

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(CHUNK_SIZE)
  }

  /** Only chunks that neither the kernel nor anybody else reads any more. */
  giveBack(chunk: Buffer): void {
    if (chunk.length === CHUNK_SIZE && this.#free.length < POOL_MAX_CHUNKS) this.#free.push(chunk)
  }
}

export class OutputBuffer implements FrameTarget {
  readonly #pool: ChunkPool
  /** What is complete, in order. */
  #segments: Buffer[] = []
  /** Pooled chunks that the segments lie in. */
  #used: Buffer[] = []
  #chunk: Buffer | null = null
  #start = 0
  #end = 0
  #size = 0

  constructor(pool: ChunkPool) {
    this.#pool = pool
  }

  /** Bytes that wait for `take`. */
  get size(): number {
    return this.#size
  }

  reserve(size: number): { readonly buffer: Buffer; readonly at: number } {
    if (this.#chunk === null || this.#end + size > this.#chunk.length) {
      this.#seal()
      this.#dropChunk()
      this.#chunk = size <= CHUNK_SIZE ? this.#pool.take() : Buffer.allocUnsafeSlow(size)
      this.#start = 0
      this.#end = 0
    }
    return { buffer: this.#chunk, at: this.#end }
  }

  commit(end: number): void {
    assert(this.#chunk !== null && end <= this.#chunk.length)
    this.#size += end - this.#end
    this.#end = end
  }

  append(bytes: Buffer): void {
    if (bytes.length === 0) return
    if (bytes.length >= KEEP_MIN_SIZE) {
      this.#seal()
      this.#segments.push(bytes)
      this.#size += bytes.length
      return
    }
    const { buffer, at } = this.reserve(bytes.length)
    bytes.copy(buffer, at)
    this.commit(at + bytes.length)
  }

  /** Copies `source[start, end)`, in pieces when it is long. */
  appendCopy(source: Buffer, start: number, end: number): void {
    for (let from = start; from < end;) {
      const to = Math.min(end, from + CHUNK_SIZE)
      const { buffer, at } = this.reserve(to - from)
      source.copy(buffer, at, from, to)
      this.commit(at + to - from)
      from = to
    }
  }

  /** Hands out all that waits, in order. `release` must be called once, telling whether the kernel has taken everything. */
  take(): { readonly segments: readonly Buffer[]; readonly release: (isWritten: boolean) => void } {
    this.#seal()
    this.#dropChunk()
    const segments = this.#segments
    const used = this.#used
    this.#segments = []
    this.#used = []
    this.#size = 0
    return {
      segments,
      release: (isWritten) => {
        if (isWritten) for (const chunk of used) this.#pool.giveBack(chunk)
      },
    }
  }

  /** Ends the segment under construction. */
  #seal(): void {
    if (this.#chunk === null || this.#end === this.#start) return
    this.#segments.push(this.#chunk.subarray(this.#start, this.#end))
    this.#start = this.#end
  }

  #dropChunk(): void {
    if (this.#chunk !== null) this.#used.push(this.#chunk)
    this.#chunk = null
  }
}
