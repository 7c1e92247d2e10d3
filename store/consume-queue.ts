/**
 * The messages of one queue in order (protocol §19.2): units of 20 bytes in files of `unitsPerFile`.
 *
 *   physicalOffset 8 · size 4 · tagsCode 8
 *
 * A queue that begins at N > 0 fills its first file up to there with units (0, 0x7FFFFFFF, 0), as Java does. The newest units stand
 * in memory and reach the file in batches: all of it can be rebuilt from the CommitLog.
 */
import assert from 'node:assert/strict'
import { isSafeInt64, javaHashCode, readInt64, writeInt64 } from '../common/bytes.ts'
import { parentOf } from '../common/durable-file.ts'
import { systemCodeOf } from '../common/errors.ts'
import type { Disk } from '../common/ports.ts'
import { StoreError } from './errors.ts'
import type { FilePool } from './file-pool.ts'
import { SegmentQueue } from './segment-queue.ts'

/** Bytes per ConsumeQueue unit. */
export const CONSUME_QUEUE_UNIT_SIZE = 20

const FILLER_SIZE = 0x7fffffff
const TAIL_UNITS_MIN = 16
const TAIL_UNITS_MAX = 4096

export interface ConsumeQueueUnit {
  readonly physicalOffset: number
  readonly size: number
  readonly tagsCode: number
}

export class ConsumeQueue {
  readonly topic: string
  readonly queueId: number
  /** Java hash of `topic#`, with which the hash of every index key begins. */
  readonly keyHashSeed: number
  /** Queue offset of the next message that is appended to the log. */
  nextOffset = 0
  /** True from `deleteTopic` until the next message. */
  isDeleted = false
  readonly #segments: SegmentQueue
  #minOffset = 0
  #maxOffset = 0
  /** Units `[tailStart, maxOffset)`. */
  #tail: Buffer = Buffer.alloc(TAIL_UNITS_MIN * CONSUME_QUEUE_UNIT_SIZE)
  #tailStart = 0
  #writtenOffset = 0
  /** Files written since the last sync, by start position. */
  readonly #unsynced = new Set<number>()
  #hasNewFile = false
  readonly #disk: Disk

  constructor(options: {
    readonly disk: Disk
    readonly files: FilePool
    readonly directory: string
    readonly fileSize: number
    readonly topic: string
    readonly queueId: number
  }) {
    const { disk, files, directory } = options
    assert.equal(options.fileSize % CONSUME_QUEUE_UNIT_SIZE, 0)
    this.topic = options.topic
    this.queueId = options.queueId
    this.keyHashSeed = javaHashCode(`${options.topic}#`)
    this.#disk = disk
    this.#segments = new SegmentQueue({ disk, files, directory, segmentSize: options.fileSize })
  }

  /** First queue offset that can still be read. */
  get minOffset(): number {
    return this.#minOffset
  }

  /** One past the last unit. */
  get maxOffset(): number {
    return this.#maxOffset
  }

  get hasUnwritten(): boolean {
    return this.#writtenOffset < this.#maxOffset
  }

  get isDirty(): boolean {
    return this.hasUnwritten || this.#unsynced.size > 0 || this.#hasNewFile
  }

  get path(): string {
    return this.#segments.directory
  }

  pathAt(queueOffset: number): string {
    return this.#segments.pathAt(queueOffset * CONSUME_QUEUE_UNIT_SIZE)
  }

  /** Reads the files; only units of records below `physicalEnd` count. */
  load(physicalEnd: number): void {
    this.#loadSegments()
    const first = this.#segments.firstOffset / CONSUME_QUEUE_UNIT_SIZE
    const end = this.#segments.endOffset / CONSUME_QUEUE_UNIT_SIZE
    this.#minOffset = first
    this.#resetTo(this.#search(first, end, (unit) => isBelow(unit, physicalEnd)))
  }

  /** Cuts the units of records from `physicalOffset` on, also in the files, whatever stands there. */
  truncateToPhysical(physicalOffset: number): void {
    const end = this.#search(this.#firstHeld, this.#maxOffset, (unit) =>
      isBelow(unit, physicalOffset),
    )
    this.#resetTo(Math.max(end, Math.min(this.#minOffset, this.#maxOffset)))
    this.clearBeyondEnd()
  }

  /** Zeroes what the files hold past the end. */
  clearBeyondEnd(): void {
    if (this.#segments.isEmpty) return
    const position = this.#writtenOffset * CONSUME_QUEUE_UNIT_SIZE
    this.#segments.zeroFrom(position, false)
    if (!this.#segments.isEmpty && position < this.#segments.endOffset) {
      this.#unsynced.add(this.#segments.startOf(position))
    }
    this.#hasNewFile = true
  }

  /** Raises the minimum to the first unit whose record is not below `minPhysicalOffset`. */
  raiseMinOffset(minPhysicalOffset: number): void {
    const start = Math.max(this.#minOffset, this.#firstHeld)
    this.#minOffset = this.#search(start, this.#maxOffset, (unit) =>
      isBelow(unit, minPhysicalOffset),
    )
  }

  /**
   * Adds the unit of a dispatched record. A unit that is there already is left alone: after a crash records are dispatched again.
   * Throws `derivedCorrupt` when the queue offset leaves a gap.
   */
  append(queueOffset: number, physicalOffset: number, size: number, tagsCode: number): void {
    if (queueOffset < this.#maxOffset) return
    if (queueOffset > this.#maxOffset) this.#startAt(queueOffset)
    this.isDeleted = false
    this.#makeTailRoom()
    const at = (queueOffset - this.#tailStart) * CONSUME_QUEUE_UNIT_SIZE
    writeInt64(this.#tail, at, physicalOffset)
    this.#tail.writeInt32BE(size, at + 8)
    writeInt64(this.#tail, at + 12, tagsCode)
    this.#maxOffset = queueOffset + 1
    if (this.nextOffset < this.#maxOffset) this.nextOffset = this.#maxOffset
  }

  /** Copies units from `queueOffset` on into `target`; returns how many. */
  readUnits(queueOffset: number, count: number, target: Buffer): number {
    const wanted = Math.min(count, this.#maxOffset - queueOffset)
    if (wanted <= 0 || queueOffset < this.#firstHeld) return 0
    const fromFile = Math.max(0, Math.min(wanted, this.#tailStart - queueOffset))
    if (fromFile > 0) {
      const size = fromFile * CONSUME_QUEUE_UNIT_SIZE
      const position = queueOffset * CONSUME_QUEUE_UNIT_SIZE
      if (this.#segments.readSync(target, 0, size, position) !== size) return 0
    }
    const start = (queueOffset + fromFile - this.#tailStart) * CONSUME_QUEUE_UNIT_SIZE
    const end = (queueOffset + wanted - this.#tailStart) * CONSUME_QUEUE_UNIT_SIZE
    if (wanted > fromFile) this.#tail.copy(target, fromFile * CONSUME_QUEUE_UNIT_SIZE, start, end)
    return wanted
  }

  /** The unit at a queue offset; null when there is none. */
  unitAt(queueOffset: number): ConsumeQueueUnit | null {
    const bytes = Buffer.allocUnsafe(CONSUME_QUEUE_UNIT_SIZE)
    if (this.readUnits(queueOffset, 1, bytes) !== 1) return null
    return decodeConsumeQueueUnit(bytes, 0)
  }

  /** Hands new units to the kernel. */
  writePending(): void {
    const unitsPerFile = this.#segments.segmentSize / CONSUME_QUEUE_UNIT_SIZE
    while (this.#writtenOffset < this.#maxOffset) {
      const fileEnd = this.#writtenOffset - (this.#writtenOffset % unitsPerFile) + unitsPerFile
      const end = Math.min(fileEnd, this.#maxOffset)
      const position = this.#writtenOffset * CONSUME_QUEUE_UNIT_SIZE
      this.#ensureFile(position)
      this.#segments.writeSync(
        this.#tail,
        (this.#writtenOffset - this.#tailStart) * CONSUME_QUEUE_UNIT_SIZE,
        (end - this.#writtenOffset) * CONSUME_QUEUE_UNIT_SIZE,
        position,
      )
      this.#unsynced.add(this.#segments.startOf(position))
      this.#writtenOffset = end
    }
  }

  /** Folders whose entries changed since the last call; sync them too before what was flushed counts as being on disk. */
  takeChangedFolders(): readonly string[] {
    if (!this.#hasNewFile) return []
    this.#hasNewFile = false
    const folder = this.#segments.directory
    this.#disk.makeDirectorySync(folder)
    const topicFolder = parentOf(folder)
    return [folder, topicFolder, parentOf(topicFolder)]
  }

  /** fdatasync of everything written. A rejection is final. */
  async flush(): Promise<void> {
    const starts = [...this.#unsynced]
    this.#unsynced.clear()
    for (const start of starts) {
      if (start >= this.#segments.firstOffset && start < this.#segments.endOffset) {
        await this.#segments.datasync(start)
      }
    }
  }

  /** Removes files all of whose units are below the minimum; the newest one stays. Returns how many. */
  removeExpiredFiles(): number {
    let removed = 0
    while (
      this.#segments.count > 1 &&
      this.#segments.firstOffset + this.#segments.segmentSize <=
        this.#minOffset * CONSUME_QUEUE_UNIT_SIZE
    ) {
      this.#segments.removeFirst()
      removed++
    }
    return removed
  }

  /**
   * Forgets all units but not the position: offsets of a queue are never used twice, even when its topic is deleted and made again,
   * because the log still holds the old records.
   */
  clear(): void {
    this.#segments.removeAll()
    this.#unsynced.clear()
    this.isDeleted = true
    this.#emptyAt(this.nextOffset)
    if (this.nextOffset > 0) this.#fillBefore(this.nextOffset)
  }

  get #firstHeld(): number {
    if (this.#segments.isEmpty) return this.#tailStart
    return Math.min(this.#tailStart, this.#segments.firstOffset / CONSUME_QUEUE_UNIT_SIZE)
  }

  /** Makes `maxOffset` the end. What the memory holds below it stays; an end beyond it says that all units are in the files. */
  #resetTo(maxOffset: number): void {
    if (maxOffset <= this.#tailStart || maxOffset > this.#maxOffset) {
      this.#tailStart = maxOffset
      this.#writtenOffset = maxOffset
    } else {
      this.#writtenOffset = Math.min(this.#writtenOffset, maxOffset)
    }
    this.#maxOffset = maxOffset
    this.nextOffset = maxOffset
    this.#minOffset = Math.min(this.#minOffset, maxOffset)
  }

  #emptyAt(queueOffset: number): void {
    this.#tailStart = queueOffset
    this.#writtenOffset = queueOffset
    this.#maxOffset = queueOffset
    this.#minOffset = queueOffset
    this.nextOffset = queueOffset
  }

  #startAt(queueOffset: number): void {
    if (this.#maxOffset > 0 && this.#maxOffset > this.#minOffset) {
      throw new StoreError(
        'derivedCorrupt',
        `${this.path}: queue offset ${queueOffset} follows ${this.#maxOffset - 1}`,
      )
    }
    this.#segments.removeAll()
    this.#unsynced.clear()
    this.#emptyAt(queueOffset)
    this.#fillBefore(queueOffset)
  }

  /** Units which say that this place of the first file was never a message. */
  #fillBefore(queueOffset: number): void {
    const position = queueOffset * CONSUME_QUEUE_UNIT_SIZE
    const fileStart = this.#segments.startOf(position)
    this.#ensureFile(fileStart)
    const filler = Buffer.alloc(position - fileStart)
    for (let at = 8; at < filler.length; at += CONSUME_QUEUE_UNIT_SIZE) {
      filler.writeInt32BE(FILLER_SIZE, at)
    }
    if (filler.length > 0) this.#segments.writeSync(filler, 0, filler.length, fileStart)
    this.#unsynced.add(fileStart)
  }

  #ensureFile(position: number): void {
    if (!this.#segments.isEmpty && position < this.#segments.endOffset) return
    this.#segments.create(this.#segments.startOf(position), false)
    this.#hasNewFile = true
  }

  #loadSegments(): void {
    try {
      this.#segments.load()
    } catch (error) {
      if (error instanceof StoreError) throw new StoreError('derivedCorrupt', error.message, error)
      throw error
    }
  }

  /** Has room for one more unit in memory: by growing, or by dropping the older half once it is in the file. */
  #makeTailRoom(): void {
    const capacity = this.#tail.length / CONSUME_QUEUE_UNIT_SIZE
    const used = this.#maxOffset - this.#tailStart
    if (used < capacity) return
    if (capacity < TAIL_UNITS_MAX || !this.#tryWritePending()) {
      const larger = Buffer.alloc(this.#tail.length * 4)
      this.#tail.copy(larger)
      this.#tail = larger
      return
    }
    const kept = Math.floor(capacity / 2)
    const from = (used - kept) * CONSUME_QUEUE_UNIT_SIZE
    this.#tail.copyWithin(0, from, used * CONSUME_QUEUE_UNIT_SIZE)
    this.#tailStart += used - kept
  }

  /** False when the disk is full: the units then wait in memory. */
  #tryWritePending(): boolean {
    try {
      this.writePending()
      return true
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOSPC') throw error
      return false
    }
  }

  /** The first offset in `[low, high)` whose unit does not satisfy the predicate, which holds for a prefix only. */
  #search(low: number, high: number, holds: (unit: ConsumeQueueUnit | null) => boolean): number {
    const bytes = Buffer.allocUnsafe(CONSUME_QUEUE_UNIT_SIZE)
    let first = low
    let last = high
    while (first < last) {
      const middle = Math.floor((first + last) / 2)
      const unit = this.#rawUnit(middle, bytes)
      if (holds(unit)) first = middle + 1
      else last = middle
    }
    return first
  }

  /** Reads a unit wherever it stands, without regard to the end. */
  #rawUnit(queueOffset: number, bytes: Buffer): ConsumeQueueUnit | null {
    if (queueOffset >= this.#tailStart && queueOffset < this.#maxOffset) {
      const at = (queueOffset - this.#tailStart) * CONSUME_QUEUE_UNIT_SIZE
      return decodeConsumeQueueUnit(this.#tail, at)
    }
    const position = queueOffset * CONSUME_QUEUE_UNIT_SIZE
    const count = this.#segments.readSync(bytes, 0, CONSUME_QUEUE_UNIT_SIZE, position)
    return count === CONSUME_QUEUE_UNIT_SIZE ? decodeConsumeQueueUnit(bytes, 0) : null
  }
}

/** Null when the bytes are no unit: never written, or damaged. */
export function decodeConsumeQueueUnit(source: Buffer, at: number): ConsumeQueueUnit | null {
  const size = source.readInt32BE(at + 8)
  if (size <= 0 || !isSafeInt64(source, at) || !isSafeInt64(source, at + 12)) return null
  const physicalOffset = readInt64(source, at)
  if (physicalOffset < 0) return null
  return { physicalOffset, size, tagsCode: readInt64(source, at + 12) }
}

/** True for a place of the first file before the queue's first message. */
export function isFiller(unit: ConsumeQueueUnit): boolean {
  return unit.size === FILLER_SIZE && unit.physicalOffset === 0
}

function isBelow(unit: ConsumeQueueUnit | null, physicalOffset: number): boolean {
  return unit !== null && (isFiller(unit) || unit.physicalOffset < physicalOffset)
}
