/** A long byte sequence in files of one size, each named by the 20-digit position at which it starts: CommitLog and ConsumeQueues. */
import assert from 'node:assert/strict'
import type { Disk } from '../common/ports.ts'
import { StoreError, finalSync } from './errors.ts'
import type { FilePool } from './file-pool.ts'

export class SegmentQueue {
  readonly directory: string
  readonly segmentSize: number
  readonly #disk: Disk
  readonly #files: FilePool
  #first = 0
  #count = 0
  /** Segments that `create` has made, and how many of them have their names on disk. */
  #created = 0
  #synced = 0
  /** Removals follow each other in order, so that a crash never leaves a gap. */
  #removals: Promise<void> = Promise.resolve()

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

  /**
   * Finds the segments on disk; throws `corrupt` for a gap or a file of the wrong size. `syncedOffset`: everything below was on disk.
   *
   * A power cut may leave segments of later short, or take the name of one and leave that of the next: what lay there was never
   * acknowledged. Short files are made whole, those behind such a gap removed.
   */
  load(syncedOffset: number | null = null): void {
    const names = this.#disk
      .listSync(this.directory)
      .filter((entry) => !entry.isDirectory && /^\d{20}$/.test(entry.name))
      .map((entry) => entry.name)
    this.#first = Number(names[0] ?? 0)
    this.#count = 0
    for (const name of names) {
      const path = `${this.directory}/${name}`
      const isNext = Number(name) === this.endOffset
      const isLost = this.endOffset >= (syncedOffset ?? Number.MAX_SAFE_INTEGER)
      if (!isNext && isLost && this.#files.mode === 'write') {
        this.#remove(Number(name))
        continue
      }
      if (!isNext) {
        throw new StoreError(
          'corrupt',
          `${path}: a file that starts at ${this.endOffset} is missing before it`,
        )
      }
      this.#checkSize(path, isLost || name === names.at(-1))
      this.#count++
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
    return this.#pathOf(this.startOf(offset))
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
    } else {
      this.#created++
    }
    this.#count++
  }

  /** Adds the segment after the newest one, full of zeroes, name and size synced, without blocking the event loop. */
  async prepareNext(): Promise<void> {
    assert(this.#count > 0)
    const startOffset = this.endOffset
    if (this.#synced < this.#created) await this.datasync(startOffset - this.segmentSize)
    await this.#disk.createFile(this.pathAt(startOffset), this.segmentSize)
    await this.#syncDirectory()
    // Whoever could not wait has made it meanwhile: then it is the same file.
    if (startOffset === this.endOffset) this.#count++
    // A truncation meanwhile has taken the place that it was made for.
    if (startOffset >= this.endOffset) await this.#disk.removeFile(this.#pathOf(startOffset))
  }

  /** Syncs the names of segments that `create` made; everything in them counts as being on disk only after it. */
  async syncNames(): Promise<void> {
    const created = this.#created
    if (this.#synced === created) return
    await this.#syncDirectory()
    this.#synced = created
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

  /** Like `writeSync`, without blocking; nobody else may write this range meanwhile. */
  write(source: Buffer, offset: number): Promise<void> {
    assert(this.#holds(offset))
    const position = offset % this.segmentSize
    assert(position + source.length <= this.segmentSize)
    return this.#files.write(this.pathAt(offset), source, position)
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

  /**
   * Takes the oldest segment away; its file goes off the event loop. Rejects when it, or one before it, could not be removed:
   * the files that are left still follow each other.
   */
  dropFirst(): Promise<void> {
    assert(this.#count > 0)
    const path = this.pathAt(this.#first)
    this.#first += this.segmentSize
    this.#count--
    this.#removals = this.#removals
      .then(() => this.#files.remove(path))
      // Else a power cut may bring this one back, and not the one after it.
      .then(() => this.#syncDirectory())
    // Told to the caller; the chain itself must not count as unhandled.
    this.#removals.catch(() => undefined)
    return this.#removals
  }

  /** Removes the oldest segment at once. */
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

  #syncDirectory(): Promise<void> {
    return finalSync(this.directory, this.#disk.syncDirectory(this.directory))
  }

  #pathOf(startOffset: number): string {
    return `${this.directory}/${String(startOffset).padStart(20, '0')}`
  }

  #remove(start: number): void {
    const path = this.pathAt(start)
    this.#files.forget(path)
    this.#disk.removeSync(path)
  }

  #checkSize(path: string, mayBeShort: boolean): void {
    const size = this.#disk.statusSync(path)?.size ?? 0
    if (size === this.segmentSize) return
    // A crash between the creation of a file and its first sync leaves it short; so does nothing else.
    if (mayBeShort && size < this.segmentSize) {
      if (this.#files.mode === 'write') this.#files.file(path).truncateSync(this.segmentSize)
      return
    }
    throw new StoreError(
      'corrupt',
      `${path} has ${size} bytes instead of ${this.segmentSize}: is the configured file size the one it was written with?`,
    )
  }
}
