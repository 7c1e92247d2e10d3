/**
 * Checksums of the newest ranges of the log, known without reading them: that of everything appended so far is carried on from what each
 * record's encoder has reckoned, and kept where a batch ends and now and then within a long one. The checksum of the bytes between two such
 * places follows from both.
 *
 * So a leader says of what it sends what it ought to be, not what lies in its memory when it is sent.
 */
import { combineCrc32, continueCrc32 } from '../common/crc32.ts'

/** So many places of the past may a range begin or end at. */
const MARKS = 1024
/** Within a long batch there is a place at least this often, in bytes. */
const MARK_SPAN = 256 * 1024

export class RangeChecksums {
  /** Of all bytes since `reset`. */
  #running = 0
  /** A ring of places and what `#running` was there. */
  readonly #offsets = new Float64Array(MARKS)
  readonly #values = new Int32Array(MARKS)
  #newest = 0
  /** How many there are since `reset`, the newest among them. */
  #count = 0

  /** A record of which `checksum` is the CRC of all but the last bytes, which are `[at, end)` of `bytes`. */
  addRecord(checksum: number, checkedSize: number, bytes: Buffer, at: number, end: number): void {
    const running = combineCrc32(this.#running, checksum, checkedSize)
    this.#running = continueCrc32(running, bytes, at, end)
  }

  addBytes(bytes: Buffer, at: number, end: number): void {
    this.#running = continueCrc32(this.#running, bytes, at, end)
  }

  /** The record that was added last ends at this offset of the log. */
  passed(offset: number): void {
    if (offset - (this.#offsets[this.#newest] ?? 0) >= MARK_SPAN) this.mark(offset)
  }

  /** A batch ends at this offset of the log. */
  mark(offset: number): void {
    if (this.#count > 0 && this.#offsets[this.#newest] === offset) return
    if (this.#count < MARKS) this.#count++
    this.#newest = (this.#newest + 1) % MARKS
    this.#offsets[this.#newest] = offset
    this.#values[this.#newest] = this.#running
  }

  /** What comes next begins at this offset, and nothing is known of what was before. */
  reset(offset: number): void {
    this.#count = 0
    this.#running = 0
    this.mark(offset)
  }

  /** CRC-32 of the bytes that were added between two offsets, which are `size`; null when one of them is no such place, or lies long ago. */
  between(from: number, to: number, size: number): number | null {
    const start = this.#find(from)
    const end = this.#find(to)
    if (start === -1 || end === -1) return null
    return combineCrc32(this.#values[start] ?? 0, this.#values[end] ?? 0, size)
  }

  /** The last place in `(from, to]` that `between` knows; null when there is none. */
  lastPlace(from: number, to: number): number | null {
    for (let age = 0; age < this.#count; age++) {
      const offset = this.#offsets[(this.#newest - age + MARKS) % MARKS] ?? 0
      if (offset <= from) return null
      if (offset <= to) return offset
    }
    return null
  }

  #find(offset: number): number {
    for (let age = 0; age < this.#count; age++) {
      const index = (this.#newest - age + MARKS) % MARKS
      const found = this.#offsets[index] ?? -1
      if (found === offset) return index
      if (found < offset) return -1
    }
    return -1
  }
}
