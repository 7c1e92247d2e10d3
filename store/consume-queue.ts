/**
 * The messages of one queue in order (protocol §19.2): units of 20 bytes in files of `unitsPerFile`.
 *
 *   physicalOffset 8 · size 4 · tagsCode 8
 *
 * A queue that begins at N > 0 fills its first file up to there with units (0, 0x7FFFFFFF, 0), as Java does. The newest units stand
 * in memory, in blocks of a pool that all queues share, and reach the file in batches: all of it can be rebuilt from the CommitLog.
 */
import assert from 'node:assert/strict'
import { javaHashCode, readInt64, writeInt32, writeInt64 } from '../common/bytes.ts'
import { parentOf } from '../common/durable-file.ts'
import { isNoRoom } from '../common/errors.ts'
import { LIGHT_QUEUE_ID, isLightName } from '../common/light-queues.ts'
import type { Disk } from '../common/ports.ts'
import {
  CONSUME_QUEUE_UNIT_SIZE,
  FILLER_SIZE,
  decodeConsumeQueueUnit,
  isBelow,
} from './consume-queue-unit.ts'
import type { ConsumeQueueUnit } from './consume-queue-unit.ts'
import { unwatched } from './disk-watch.ts'
import type { Watch } from './disk-watch.ts'
import { StoreError } from './errors.ts'
import type { FilePool } from './file-pool.ts'
import { SegmentQueue } from './segment-queue.ts'
import type { AppendQueue, QueueWatcher } from './types.ts'
import { NO_BLOCK, UNITS_PER_BLOCK } from './unit-pool.ts'
import type { UnitPool } from './unit-pool.ts'

/** So many units of one queue wait in memory at most; then they are written in one call. */
const MAX_UNWRITTEN_UNITS = 1024

/** What all queues of a store have in common. */
export interface ConsumeQueueContext {
  readonly disk: Disk
  readonly files: FilePool
  readonly fileSize: number
  readonly pool: UnitPool
  /** Told when a queue that had nothing to write or to sync has something. */
  readonly onDirty: (queue: ConsumeQueue) => void
  /** Told before a queue takes a block of the pool. */
  readonly onGrow: () => void
}

export class ConsumeQueue implements AppendQueue {
  // What a message asks and changes comes first, to lie together: where many queues take turns each line costs a cache miss.
  readonly queueId: number
  readonly topicBytes: Buffer
  /** Java hash of `topic#`, with which the hash of every index key begins. */
  readonly keyHashSeed: number
  /** Queue offset of the next message that is appended to the log. */
  nextOffset = 0
  batchNumber = -1
  offsetBeforeBatch = 0
  #maxOffset = 0
  /** The chain of blocks holds the units `[chainStart, maxOffset)`, the file those below `writtenOffset`. */
  #chainStart = 0
  #lastBlock = NO_BLOCK
  readonly #context: ConsumeQueueContext
  /** Whom the dispatcher tells of new units, and whether it is going to. */
  watcher: QueueWatcher | null = null
  /** True from `deleteTopic` until the next message. */
  isDeleted = false
  isTelling = false
  /** True while the owner has this queue on its list of those to be written and synced. */
  isListed = false
  readonly topic: string
  /** Messages of other queues stand in it. */
  readonly isLight: boolean
  /** The end that `queuepositions` tells, or is being told; -1: none since the start. */
  recordedEnd = -1
  readonly #files: SegmentQueue
  /** The end is known from elsewhere, and the files have not been looked at; then units of lost records may stand behind the end. */
  #isUnopened = false
  #mayHoldStale = false
  #minOffset = 0
  #firstBlock = NO_BLOCK
  #writtenOffset = 0
  /** Positions written since the last sync lie in `[unsyncedStart, unsyncedEnd)`. */
  #unsyncedStart = 0
  #unsyncedEnd = 0
  #hasNewFile = false

  constructor(
    context: ConsumeQueueContext,
    options: {
      readonly directory: string
      readonly topic: string
      readonly topicBytes: Buffer
      readonly queueId: number
    },
  ) {
    const { disk, files, fileSize } = context
    assert.equal(fileSize % CONSUME_QUEUE_UNIT_SIZE, 0)
    this.#context = context
    this.topic = options.topic
    this.queueId = options.queueId
    this.topicBytes = options.topicBytes
    this.isLight = isLightName(options.topic) && options.queueId === LIGHT_QUEUE_ID
    this.keyHashSeed = javaHashCode(`${options.topic}#`)
    const { directory } = options
    this.#files = new SegmentQueue({ disk, files, directory, segmentSize: fileSize })
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
    return this.hasUnwritten || this.#unsyncedEnd > this.#unsyncedStart || this.#hasNewFile
  }

  get path(): string {
    return this.#files.directory
  }

  /** Its files have not been looked at since the start. */
  get isUnopened(): boolean {
    return this.#isUnopened
  }

  pathAt(queueOffset: number): string {
    return this.#files.pathAt(queueOffset * CONSUME_QUEUE_UNIT_SIZE)
  }

  /**
   * Takes the end as it was on disk; the files are looked at when they are needed, and must hold it then: else `derivedCorrupt`.
   * `mayHoldStale`: behind the end they may hold units of records that a crash took.
   */
  restore(minOffset: number, maxOffset: number, mayHoldStale: boolean): void {
    this.#emptyAt(maxOffset)
    this.#minOffset = minOffset
    this.#isUnopened = true
    this.#mayHoldStale = mayHoldStale
  }

  /** Looks at the files, unless that was done. Throws `derivedCorrupt` when they do not hold what they held. */
  open(): void {
    if (!this.#isUnopened) return
    this.#isUnopened = false
    this.#loadSegments()
    const files = this.#files
    const end = this.#writtenOffset
    const first = files.firstOffset / CONSUME_QUEUE_UNIT_SIZE
    if (files.isEmpty ? this.#minOffset < end : first > this.#minOffset || !this.#endsAt(end)) {
      throw new StoreError('derivedCorrupt', `${this.path}: files that held units are missing`)
    }
    if (files.isEmpty && end > 0) this.#fillBefore(end)
    else if (this.#mayHoldStale) this.clearBeyondEnd()
    this.#mayHoldStale = false
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
    if (this.#isUnopened || this.#segments.isEmpty) return
    const position = this.#writtenOffset * CONSUME_QUEUE_UNIT_SIZE
    this.#segments.zeroFrom(position, false)
    if (!this.#segments.isEmpty && position < this.#segments.endOffset) {
      this.#noteUnsynced(position, position + 1)
    }
    this.#noteNewFile()
  }

  /** Raises the minimum to a queue offset, at most to the end. */
  raiseMinTo(queueOffset: number): void {
    this.#minOffset = Math.max(this.#minOffset, Math.min(queueOffset, this.#maxOffset))
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
    if (queueOffset !== this.#maxOffset) {
      if (queueOffset < this.#maxOffset) return
      this.#startAt(queueOffset)
    }
    const index = (queueOffset - this.#chainStart) % UNITS_PER_BLOCK
    if (index === 0) this.#extendChain()
    const { pool } = this.#context
    const bytes = pool.slabOf(this.#lastBlock)
    const at = pool.positionOf(this.#lastBlock) + index * CONSUME_QUEUE_UNIT_SIZE
    writeInt64(bytes, at, physicalOffset)
    writeInt32(bytes, at + 8, size)
    writeInt64(bytes, at + 12, tagsCode)
    this.#maxOffset = queueOffset + 1
    if (this.nextOffset < this.#maxOffset) this.nextOffset = this.#maxOffset
    this.isDeleted = false
  }

  /** Copies units from `queueOffset` on into `target`; returns how many. */
  readUnits(queueOffset: number, count: number, target: Buffer): number {
    const wanted = Math.min(count, this.#maxOffset - queueOffset)
    if (wanted <= 0 || queueOffset < this.#firstHeld) return 0
    const fromFile = Math.max(0, Math.min(wanted, this.#chainStart - queueOffset))
    if (fromFile > 0) {
      const size = fromFile * CONSUME_QUEUE_UNIT_SIZE
      const position = queueOffset * CONSUME_QUEUE_UNIT_SIZE
      if (this.#segments.readSync(target, 0, size, position) !== size) return 0
    }
    const rest = wanted - fromFile
    if (rest > 0) {
      const at = fromFile * CONSUME_QUEUE_UNIT_SIZE
      this.#copyFromChain(queueOffset + fromFile, rest, target, at)
    }
    return wanted
  }

  /** Reads the tags codes of units from `queueOffset` on into `target`; returns how many. */
  readTagsCodes(queueOffset: number, target: Float64Array): number {
    const wanted = Math.min(target.length, Math.max(0, this.#maxOffset - queueOffset))
    const units = Buffer.allocUnsafe(wanted * CONSUME_QUEUE_UNIT_SIZE)
    const count = this.readUnits(queueOffset, wanted, units)
    for (let index = 0; index < count; index++) {
      target[index] = readInt64(units, index * CONSUME_QUEUE_UNIT_SIZE + 12)
    }
    return count
  }

  /** Units from here on are in memory, those before in the files only. */
  get memoryStart(): number {
    return this.#chainStart
  }

  /** Like `readUnits` for units below `memoryStart`, off the event loop; fewer at the end of a file. */
  async readFile(queueOffset: number, count: number, target: Buffer): Promise<number> {
    const segments = this.#segments
    const unitsPerFile = segments.segmentSize / CONSUME_QUEUE_UNIT_SIZE
    const wanted = Math.min(count, unitsPerFile - (queueOffset % unitsPerFile))
    const size = wanted * CONSUME_QUEUE_UNIT_SIZE
    const read = await segments.read(target, 0, size, queueOffset * CONSUME_QUEUE_UNIT_SIZE)
    return read === size ? wanted : 0
  }

  /** The unit at a queue offset; null when there is none. */
  unitAt(queueOffset: number): ConsumeQueueUnit | null {
    const bytes = Buffer.allocUnsafe(CONSUME_QUEUE_UNIT_SIZE)
    if (this.readUnits(queueOffset, 1, bytes) !== 1) return null
    return decodeConsumeQueueUnit(bytes, 0)
  }

  /** Hands new units to the kernel, and their memory back to the pool. */
  writePending(): void {
    const unitsPerFile = this.#segments.segmentSize / CONSUME_QUEUE_UNIT_SIZE
    while (this.#writtenOffset < this.#maxOffset) {
      const fileEnd = this.#writtenOffset - (this.#writtenOffset % unitsPerFile) + unitsPerFile
      const count = Math.min(fileEnd, this.#maxOffset) - this.#writtenOffset
      const position = this.#writtenOffset * CONSUME_QUEUE_UNIT_SIZE
      const size = count * CONSUME_QUEUE_UNIT_SIZE
      this.#ensureFile(position)
      const units = Buffer.allocUnsafe(size)
      this.#copyFromChain(this.#writtenOffset, count, units, 0)
      this.#segments.writeSync(units, 0, size, position)
      this.#noteUnsynced(position, position + size)
      this.#writtenOffset += count
    }
    this.#releaseChain()
  }

  /** Folders whose entries changed since the last call; sync them too before what was flushed counts as being on disk. */
  takeChangedFolders(): readonly string[] {
    if (!this.#hasNewFile) return []
    this.#hasNewFile = false
    const folder = this.#files.directory
    this.#context.disk.makeDirectorySync(folder)
    const topicFolder = parentOf(folder)
    return [folder, topicFolder, parentOf(topicFolder)]
  }

  /** fdatasync of everything written. A rejection is final. */
  async flush(watch: Watch = unwatched): Promise<void> {
    const end = this.#unsyncedEnd
    let start = this.#segments.startOf(this.#unsyncedStart)
    this.#unsyncedStart = 0
    this.#unsyncedEnd = 0
    for (; start < end; start += this.#segments.segmentSize) {
      if (start >= this.#segments.firstOffset && start < this.#segments.endOffset) {
        await watch(this.#segments.datasync(start))
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
    this.isDeleted = true
    this.#isUnopened = false
    this.#files.removeAll()
    const position = this.#maxOffset
    this.#emptyAt(position)
    if (position > 0) this.#fillBefore(position)
  }

  get #segments(): SegmentQueue {
    if (this.#isUnopened) this.open()
    return this.#files
  }

  /** The unit before `end` is there, when the first file begins before it. */
  #endsAt(end: number): boolean {
    const first = this.#files.firstOffset / CONSUME_QUEUE_UNIT_SIZE
    const bytes = Buffer.allocUnsafe(CONSUME_QUEUE_UNIT_SIZE)
    return end === first || (end > first && this.#readFile(end - 1, bytes) !== null)
  }

  /** Gives the memory back; the queue is not used any more. */
  forget(): void {
    this.#context.pool.release(this.#firstBlock)
    this.#firstBlock = NO_BLOCK
  }

  get #firstHeld(): number {
    if (this.#segments.isEmpty) return this.#chainStart
    return Math.min(this.#chainStart, this.#segments.firstOffset / CONSUME_QUEUE_UNIT_SIZE)
  }

  /** Makes `maxOffset` the end. What the memory holds below it stays; an end beyond it says that all units are in the files. */
  #resetTo(maxOffset: number): void {
    if (maxOffset <= this.#chainStart || maxOffset > this.#maxOffset) {
      this.#maxOffset = maxOffset
      this.#writtenOffset = maxOffset
      this.#releaseChain()
    } else {
      this.#maxOffset = maxOffset
      this.#writtenOffset = Math.min(this.#writtenOffset, maxOffset)
      this.#cutChain()
    }
    this.nextOffset = maxOffset
    this.#minOffset = Math.min(this.#minOffset, maxOffset)
  }

  /** The caller has removed the files, or has not looked at them. */
  #emptyAt(queueOffset: number): void {
    this.#unsyncedStart = 0
    this.#unsyncedEnd = 0
    this.#writtenOffset = queueOffset
    this.#maxOffset = queueOffset
    this.#minOffset = queueOffset
    this.nextOffset = queueOffset
    this.#releaseChain()
  }

  #startAt(queueOffset: number): void {
    if (this.#maxOffset > 0 && this.#maxOffset > this.#minOffset) {
      throw new StoreError(
        'derivedCorrupt',
        `${this.path}: queue offset ${queueOffset} follows ${this.#maxOffset - 1}`,
      )
    }
    this.#segments.removeAll()
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
    this.#noteUnsynced(fileStart, position + 1)
  }

  #ensureFile(position: number): void {
    if (!this.#segments.isEmpty && position < this.#segments.endOffset) return
    this.#segments.create(this.#segments.startOf(position), false)
    this.#noteNewFile()
  }

  #noteNewFile(): void {
    this.#hasNewFile = true
    if (!this.isListed) this.#context.onDirty(this)
  }

  #noteUnsynced(start: number, end: number): void {
    const isEmpty = this.#unsyncedEnd === this.#unsyncedStart
    this.#unsyncedStart = isEmpty ? start : Math.min(this.#unsyncedStart, start)
    this.#unsyncedEnd = isEmpty ? end : Math.max(this.#unsyncedEnd, end)
    if (!this.isListed) this.#context.onDirty(this)
  }

  #loadSegments(): void {
    try {
      this.#files.load()
    } catch (error) {
      if (error instanceof StoreError) throw new StoreError('derivedCorrupt', error.message, error)
      throw error
    }
  }

  /** Makes room for one more unit in memory, where the last block is full. */
  #extendChain(): void {
    if (this.#maxOffset - this.#chainStart >= MAX_UNWRITTEN_UNITS) this.#tryWritePending()
    const { pool, onDirty, onGrow } = this.#context
    onGrow()
    if (!this.isListed) onDirty(this)
    this.#lastBlock = pool.append(this.#lastBlock)
    if (this.#firstBlock === NO_BLOCK) this.#firstBlock = this.#lastBlock
  }

  #releaseChain(): void {
    this.#context.pool.release(this.#firstBlock)
    this.#firstBlock = NO_BLOCK
    this.#lastBlock = NO_BLOCK
    this.#chainStart = this.#maxOffset
  }

  /** Gives up the blocks behind the end. */
  #cutChain(): void {
    const { pool } = this.#context
    if (this.#maxOffset === this.#chainStart) {
      this.#releaseChain()
      return
    }
    this.#lastBlock = this.#blockAt(this.#maxOffset - 1)
    pool.cutAfter(this.#lastBlock)
  }

  #blockAt(queueOffset: number): number {
    let block = this.#firstBlock
    for (let end = this.#chainStart + UNITS_PER_BLOCK; end <= queueOffset; end += UNITS_PER_BLOCK) {
      block = this.#context.pool.next(block)
    }
    return block
  }

  #copyFromChain(queueOffset: number, count: number, target: Buffer, targetStart: number): void {
    const { pool } = this.#context
    let block = this.#blockAt(queueOffset)
    let index = (queueOffset - this.#chainStart) % UNITS_PER_BLOCK
    for (let done = 0; done < count;) {
      const step = Math.min(UNITS_PER_BLOCK - index, count - done)
      const from = pool.positionOf(block) + index * CONSUME_QUEUE_UNIT_SIZE
      const at = targetStart + done * CONSUME_QUEUE_UNIT_SIZE
      pool.slabOf(block).copy(target, at, from, from + step * CONSUME_QUEUE_UNIT_SIZE)
      done += step
      index = 0
      block = pool.next(block)
    }
  }

  /** When the disk is full the units wait in memory. */
  #tryWritePending(): void {
    try {
      this.writePending()
    } catch (error) {
      if (!isNoRoom(error)) throw error
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
    if (queueOffset >= this.#chainStart && queueOffset < this.#maxOffset) {
      this.#copyFromChain(queueOffset, 1, bytes, 0)
      return decodeConsumeQueueUnit(bytes, 0)
    }
    return this.#readFile(queueOffset, bytes)
  }

  #readFile(queueOffset: number, bytes: Buffer): ConsumeQueueUnit | null {
    const position = queueOffset * CONSUME_QUEUE_UNIT_SIZE
    const count = this.#segments.readSync(bytes, 0, CONSUME_QUEUE_UNIT_SIZE, position)
    return count === CONSUME_QUEUE_UNIT_SIZE ? decodeConsumeQueueUnit(bytes, 0) : null
  }
}
