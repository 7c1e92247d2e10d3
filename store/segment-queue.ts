/** A long byte sequence in files of one size, each named by the 20-digit position at which it starts: CommitLog and ConsumeQueues. */
import assert from 'node:assert/strict'
import type { Disk } from '../common/ports.ts'
import { StoreError } from './errors.ts'
import type { FilePool } from './file-pool.ts'

export class SegmentQueue {
  readonly directory: string
  readonly segmentSize: number
  readonly #disk: Disk
  readonly #files: FilePool
  #first = 0
  #count = 0

  constructor(options: {
    readonly disk: Disk
    readonly files: FilePool
    readonly directory: string
    readonly segmentSize: number
  }) {
    this.directory = options.directory
    this.segmentSize = options.segmentSize
    this.#disk = options.disk
    this.#files = options.files
  }

  /** Finds the segments on disk; throws `corrupt` for a gap or a file of the wrong size. Short last files are made whole. */
  load(): void {
    const names = this.#disk
      .listSync(this.directory)
      .filter((entry) => !entry.isDirectory && /^\d{20}$/.test(entry.name))
      .map((entry) => entry.name)
    this.#first = Number(names[0] ?? 0)
    this.#count = names.length
    for (const [index, name] of names.entries()) {
      const path = `${this.directory}/${name}`
      const expected = this.#first + index * this.segmentSize
      if (Number(name) !== expected) {
        throw new StoreError(
          'corrupt',
          `${path}: a file that starts at ${expected} is missing before it`,
        )
      }
      this.#checkSize(path, index === names.length - 1)
    }
  }

  get isEmpty(): boolean {
    return this.#count === 0
  }

  get count(): number {
    return this.#count
  }

  /** Where the oldest segment starts; 0 when there is none. */
  get firstOffset(): number {
    return this.#first
  }

  /** Where the segment after the newest one would start. */
  get endOffset(): number {
    return this.#first + this.#count * this.segmentSize
  }

  /** Start of the segment that holds an offset. */
  startOf(offset: number): number {
    return offset - (offset % this.segmentSize)
  }

  pathAt(offset: number): string {
    return `${this.directory}/${String(this.startOf(offset)).padStart(20, '0')}`
  }

  /** Adds the segment that starts at `startOffset`, full of zeroes, and syncs its name and size when `durable`. */
  create(startOffset: number, durable: boolean): void {
    assert.equal(startOffset % this.segmentSize, 0)
    if (this.#count === 0) this.#first = startOffset
    assert.equal(startOffset, this.endOffset)
    this.#disk.makeDirectorySync(this.directory)
    const file = this.#files.file(this.pathAt(startOffset))
    file.truncateSync(this.segmentSize)
    if (durable) {
      file.datasyncSync()
      this.#disk.syncDirectorySync(this.directory)
    }
    this.#count++
  }

  /** Reads across segments; short only at the end of the newest one. */
  readSync(target: Buffer, targetStart: number, length: number, offset: number): number {
    let done = 0
    while (done < length && this.#holds(offset + done)) {
      const at = offset + done
      const step = Math.min(length - done, this.startOf(at) + this.segmentSize - at)
      const file = this.#files.file(this.pathAt(at))
      const count = file.readSync(target, targetStart + done, step, at % this.segmentSize)
      done += count
      if (count < step) break
    }
    return done
  }

  /** Like `readSync` without blocking; the range lies in one segment. */
  read(target: Buffer, targetStart: number, length: number, offset: number): Promise<number> {
    if (!this.#holds(offset)) return Promise.resolve(0)
    const position = offset % this.segmentSize
    return this.#files.read(this.pathAt(offset), { target, targetStart, length, position })
  }

  /** The range lies in one existing segment. */
  writeSync(source: Buffer, start: number, length: number, offset: number): void {
    assert(this.#holds(offset), `${this.directory} has a segment for ${offset}`)
    const position = offset % this.segmentSize
    assert(position + length <= this.segmentSize)
    this.#files.file(this.pathAt(offset)).writeSync(source, start, length, position)
  }

  /** Syncs the segment that holds an offset. */
  datasync(offset: number): Promise<void> {
    return this.#files.datasync(this.pathAt(offset))
  }

  /** Turns everything from `offset` on into zeroes: later segments go, the rest of its own is emptied; synced when `durable`. */
  zeroFrom(offset: number, durable: boolean): void {
    while (this.#count > 0 && this.endOffset - this.segmentSize >= offset) {
      this.#remove(this.endOffset - this.segmentSize)
      this.#count--
    }
    if (this.#holds(offset)) {
      const file = this.#files.file(this.pathAt(offset))
      file.truncateSync(offset % this.segmentSize)
      file.truncateSync(this.segmentSize)
      if (durable) file.datasyncSync()
    }
    if (durable && this.#disk.statusSync(this.directory) !== null) {
      this.#disk.syncDirectorySync(this.directory)
    }
  }

  /** Removes the oldest segment. */
  removeFirst(): void {
    assert(this.#count > 0)
    this.#remove(this.#first)
    this.#first += this.segmentSize
    this.#count--
  }

  removeAll(): void {
    while (this.#count > 0) this.removeFirst()
    this.#disk.removeSync(this.directory)
  }

  #holds(offset: number): boolean {
    return this.#count > 0 && offset >= this.#first && offset < this.endOffset
  }

  #remove(start: number): void {
    const path = this.pathAt(start)
    this.#files.forget(path)
    this.#disk.removeSync(path)
  }

  #checkSize(path: string, isLast: boolean): void {
    const size = this.#disk.statusSync(path)?.size ?? 0
    if (size === this.segmentSize) return
    // A crash between the creation of a file and its first sync leaves it short; so does nothing else.
    if (isLast && size < this.segmentSize) {
      if (this.#files.mode === 'write') this.#files.file(path).truncateSync(this.segmentSize)
      return
    }
    throw new StoreError(
      'corrupt',
      `${path} has ${size} bytes instead of ${this.segmentSize}: is the configured file size the one it was written with?`,
    )
  }
}
