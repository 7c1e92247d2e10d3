/**
 * Reads messages of a queue: which units match, how many fit (protocol §7.2), and their records.
 *
 * Records come from the log's buffer while they are young, and from blocks of the files when they are not (block-cache.ts). Where a
 * queue's records lie so far apart that a block for each would be a waste, they are read one by one: at once as long as the page cache
 * answers, off the event loop once a read was slow.
 */
import assert from 'node:assert/strict'
import { isSafeInt64, readInt32, readInt64 } from '../common/bytes.ts'
import type { Clock } from '../common/ports.ts'
import { BlockCache } from './block-cache.ts'
import type { CommitLog } from './commit-log.ts'
import { CONSUME_QUEUE_UNIT_SIZE } from './consume-queue-unit.ts'
import type { ConsumeQueue } from './consume-queue.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import { StoreError } from './errors.ts'
import { PropertyReader } from './property-reader.ts'
import { queueOffsetOfRecord } from './record-check.ts'
import { ReadPace } from './read-pace.ts'
import { Selection } from './selection.ts'
import { GetStatus } from './types.ts'
import type { FoundRecords, GetRequest, GetResult, MessageFilter, StoreConfig } from './types.ts'
import { UnitWindows } from './unit-windows.ts'

/** Bytes of ConsumeQueue that one call scans at least; a sparse filter goes on with the next call. */
const SCAN_BYTES_MIN = 16_000
const SCAN_BYTES_PER_MESSAGE = 20

/** One more than one answer can hold. */
const ANSWER_BYTES_MAX = 128 * 1024 * 1024

const BLOCK_SIZE = 1024 * 1024
/** Memory for what is read from the files, shared by all queues. */
const READ_AHEAD_BYTES_MAX = 64 * 1024 * 1024
/** One thread of the pool is left for syncs of the log. */
const MAX_LOADING = 3
const BLOCKS_AHEAD = 4
/** Eight queues read side by side stay within so many blocks: 1.1 million messages a second instead of 0.6 to 0.9, and each block read once instead of three to five times. */
const FAR_BLOCKS = 8

/** Records further apart than this are read one by one: their share of a block is dearer than a read from the page cache… */
const SPARSE_BYTES_PER_RECORD = 16 * 1024
/** …or than a read from the disk, where large blocks are cheap. */
const COLD_SPARSE_BYTES_PER_RECORD = 128 * 1024
/** Fewer records say nothing about how far apart they lie… */
const DENSE_RECORDS_MIN = 4
/** …unless they are large ones, which fill that share of the way from the first to the last. */
const DENSE_BYTES_MIN = 64 * 1024
const DENSE_SHARE = 8

/** When less than this share of the last so many bytes of blocks was asked for, readers are scattered: blocks are a waste for a while. */
const WASTE_SHARE = 16
const WASTE_SAMPLE_BYTES = 32 * 1024 * 1024
const WASTE_MS = 1000

/** The units must be read from a cold disk first. */
const UNITS_MISSING = -1

/** As often a read waits for blocks; then it reads what it needs by itself. */
const LOADS_MAX = 3

/** Records that one call reads from the files, one by one, for a filter that looks at properties; it goes on with the next call. */
const FILTER_READS_MAX = 64
/** More messages than these are left to the pull itself, instead of looking at each whether it wakes one up. */
const WAKING_LOOKS_MAX = 128

type TransferConfig = Pick<
  StoreConfig,
  | 'maxTransferBytesOnMessageInMemory'
  | 'maxTransferCountOnMessageInMemory'
  | 'maxTransferBytesOnMessageInDisk'
  | 'maxTransferCountOnMessageInDisk'
>

/** The same for one answer: what may change while a broker runs costs a call to read. */
class TransferLimits {
  memoryBytes = 0
  memoryCount = 0
  diskBytes = 0
  diskCount = 0

  read(config: TransferConfig): void {
    this.memoryBytes = config.maxTransferBytesOnMessageInMemory
    this.memoryCount = config.maxTransferCountOnMessageInMemory
    this.diskBytes = config.maxTransferBytesOnMessageInDisk
    this.diskCount = config.maxTransferCountOnMessageInDisk
  }
}

export interface QueueReaderOptions {
  readonly commitLog: CommitLog
  readonly consumeQueues: ConsumeQueues
  readonly config: TransferConfig
  readonly clock: Clock
  /** What lies further behind the end than this counts as being on disk only. */
  readonly memoryBytes: number
}

export class QueueReader {
  readonly #commitLog: CommitLog
  readonly #queues: ConsumeQueues
  readonly #config: TransferConfig
  readonly #clock: Clock
  readonly #pace: ReadPace
  readonly #memoryBytes: number
  readonly #blocks: BlockCache
  readonly #found = new Selection()
  readonly #limits = new TransferLimits()
  readonly #windows: UnitWindows
  #ownUnits: Buffer = Buffer.alloc(SCAN_BYTES_MIN)
  /** What is looked at: own memory or a window, and where in it. */
  #units: Buffer = this.#ownUnits
  #unitsAt = 0
  #bypassesWindows = false
  /** Bytes of blocks that were read, and bytes taken out of blocks, since the last sample. */
  #loadedBytes = 0
  #servedBytes = 0
  #scatteredUntil = 0
  readonly #properties: PropertyReader
  /** How many records a filter has had read from the files in this call. */
  #filterReads = 0

  constructor(options: QueueReaderOptions) {
    const { commitLog } = options
    this.#commitLog = commitLog
    this.#queues = options.consumeQueues
    this.#config = options.config
    this.#clock = options.clock
    this.#pace = new ReadPace(options.clock)
    this.#memoryBytes = options.memoryBytes
    this.#windows = new UnitWindows(this.#pace)
    this.#properties = new PropertyReader((offset, size, target) =>
      this.#readForFilter(offset, size, target),
    )
    this.#blocks = new BlockCache({
      segmentSize: commitLog.segments.segmentSize,
      blockSize: BLOCK_SIZE,
      maxBlocks: READ_AHEAD_BYTES_MAX / BLOCK_SIZE,
      maxLoading: MAX_LOADING,
      blocksAhead: BLOCKS_AHEAD,
      farBlocks: FAR_BLOCKS,
      now: () => this.#clock.monotonic(),
      endOffset: () => commitLog.writtenOffset,
      read: (target, length, offset) => {
        this.#loadedBytes += length
        return commitLog.segments.read(target, 0, length, offset)
      },
    })
  }

  /** What the last `find` found. */
  get found(): FoundRecords {
    return this.#found
  }

  /** `done` is called once, at once unless records must come from the files. Throws `derivedCorrupt` when a unit points astray. */
  get(
    request: GetRequest,
    done: (result: GetResult) => void,
    onError: (error: unknown) => void,
  ): void {
    this.#attempt(request, 0, done, onError)
  }

  /**
   * Looks up which records a pull gets, and reads none of them. The answer is one object, refilled by the next call.
   * Throws `derivedCorrupt` when a unit points astray.
   */
  find(request: GetRequest): FoundRecords {
    const found = this.#found
    const queue = this.#queues.get(request.topic, request.queueId)
    found.reset(queue, request.queueOffset)
    const outside = outsideOf(queue, request.queueOffset)
    if (queue === null || outside !== null) {
      found.status = outside ?? GetStatus.NO_MATCHED_LOGIC_QUEUE
      found.nextBeginOffset = nextOutside(found)
    } else {
      this.#select(queue, request, found)
    }
    return found
  }

  /**
   * Copies the records that the last `find` found, end to end. False when some of them are not in memory: what was written to the target
   * then means nothing. Throws `derivedCorrupt` when a record is not the one that its unit names.
   */
  copyFound(target: Buffer, targetStart: number): boolean {
    const found = this.#found
    if (found.isMissingUnits) return false
    const { physicalOffsets, sizes, count } = found
    const mayRead = this.#isSparse(found) && !this.#pace.isCold
    let at = targetStart
    for (let index = 0; index < count;) {
      const start = physicalOffsets[index] ?? 0
      let end = start
      // Records that adjoin are copied together.
      while (index < count && physicalOffsets[index] === end) end += sizes[index++] ?? 0
      if (!this.#copy(start, end, target, at, mayRead)) return false
      at += end - start
    }
    this.#check(found, target, targetStart)
    return true
  }

  /**
   * Reads what the last `copyFound` missed into memory, off the event loop, then calls `done`: the caller finds and copies anew, and must
   * be ready to miss again. False, and nothing happens, when the records are better read by `get`.
   */
  load(done: () => void): boolean {
    const found = this.#found
    if (found.isMissingUnits && found.queue !== null) {
      return this.#windows.load(found.queue, found.nextBeginOffset, done)
    }
    if (this.#isSparse(found)) return false
    let missing = -1
    for (let index = 0; index < found.count; index++) {
      const start = found.physicalOffsets[index] ?? 0
      const last = start + (found.sizes[index] ?? 0) - 1
      for (const offset of [start, last]) {
        if (this.#commitLog.buffer.find(offset) || this.#blocks.has(offset)) continue
        if (missing !== -1 && this.#blocks.isSameBlock(missing, offset)) continue
        if (missing !== -1) this.#blocks.load(missing, null)
        missing = offset
      }
    }
    if (missing === -1) return false
    this.#blocks.load(missing, done)
    return true
  }

  /** See `Store.hasMatch`. */
  hasMatch(queue: ConsumeQueue, queueOffset: number, filter: MessageFilter): boolean {
    const units = this.#ownUnits
    const maxUnits = Math.floor(units.length / CONSUME_QUEUE_UNIT_SIZE)
    let looks = 0
    for (let next = Math.max(queueOffset, queue.minOffset); next < queue.maxOffset;) {
      const count = queue.readUnits(next, maxUnits, units)
      // Where the units cannot be read the answer to the pull will tell.
      if (count === 0) return true
      for (let index = 0; index < count; index++) {
        const at = index * CONSUME_QUEUE_UNIT_SIZE
        if (!filter.matchesTagsCode(readInt64(units, at + 12))) continue
        if (filter.matchesProperties === null || looks++ === WAKING_LOOKS_MAX) return true
        const size = readInt32(units, at + 8)
        if (this.#matchesProperties(filter, readInt64(units, at), size)) return true
      }
      next += count
    }
    return false
  }

  isInMemory(physicalOffset: number): boolean {
    return this.#commitLog.endOffset - physicalOffset <= this.#memoryBytes
  }

  /** Forgets what was read from `physicalOffset` on: the log was cut there. */
  truncate(physicalOffset: number): void {
    this.#blocks.drop(physicalOffset)
    this.#windows.drop()
    this.#properties.drop()
  }

  /** To be called every second or so: gives memory back that nobody uses. */
  trim(): void {
    this.#blocks.trim()
    this.#windows.trim()
  }

  #attempt(
    request: GetRequest,
    loads: number,
    done: (result: GetResult) => void,
    onError: (error: unknown) => void,
  ): void {
    const found = this.find(request)
    if (found.status !== GetStatus.FOUND) {
      done(this.#found.result(Buffer.alloc(0)))
      return
    }
    const body = Buffer.allocUnsafe(found.bytes)
    if (this.copyFound(body, 0)) {
      done(this.#found.result(body))
      return
    }
    const isLoading =
      loads < LOADS_MAX &&
      this.load(() => {
        try {
          this.#attempt(request, loads + 1, done, onError)
        } catch (error) {
          onError(error)
        }
      })
    if (isLoading) return
    if (this.#found.isMissingUnits) {
      // No window is free, or its read failed: at once then, and the queue itself tells why.
      this.#bypassesWindows = true
      try {
        this.#attempt(request, loads, done, onError)
      } finally {
        this.#bypassesWindows = false
      }
      return
    }
    const selection = this.#found.copy()
    this.#readRecords(selection, body).then(done, (error: unknown) => {
      // Retention took the file while it was read: what is left now is another answer.
      if ((selection.physicalOffsets[0] ?? 0) < this.#commitLog.startOffset) {
        this.get(request, done, onError)
      } else {
        onError(error)
      }
    })
  }

  #select(queue: ConsumeQueue, request: GetRequest, found: Selection): void {
    const scanBytes = Math.max(SCAN_BYTES_MIN, request.maxMessages * SCAN_BYTES_PER_MESSAGE)
    const maxUnits = Math.floor(scanBytes / CONSUME_QUEUE_UNIT_SIZE)
    const available = Math.min(maxUnits, queue.maxOffset - request.queueOffset)
    // Without a filter no more units are looked at than messages are wanted.
    const wanted = request.filter === null ? Math.min(available, request.maxMessages) : available
    const count = this.#readUnits(queue, request.queueOffset, wanted)
    if (count === UNITS_MISSING) {
      found.status = GetStatus.FOUND
      found.isMissingUnits = true
      return
    }
    found.status = count === 0 ? GetStatus.OFFSET_FOUND_NULL : GetStatus.NO_MATCHED_MESSAGE
    this.#filterReads = 0
    this.#limits.read(this.#config)
    for (let index = 0; index < count && this.#filterReads < FILTER_READS_MAX; index++) {
      const at = this.#unitsAt + index * CONSUME_QUEUE_UNIT_SIZE
      if (!this.#take(queue, at, request, found)) break
      found.nextBeginOffset++
    }
    if (found.count > 0) found.status = GetStatus.FOUND
  }

  /** Makes `#units` hold up to `wanted` units from `#unitsAt` on; returns how many, or `UNITS_MISSING`. */
  #readUnits(queue: ConsumeQueue, queueOffset: number, wanted: number): number {
    if (queueOffset < queue.memoryStart && !this.#bypassesWindows) {
      const windows = this.#windows
      if (!windows.find(queue, queueOffset)) return UNITS_MISSING
      if (windows.count > 0) {
        this.#units = windows.bytes
        this.#unitsAt = windows.at
        return Math.min(wanted, windows.count)
      }
    }
    const size = wanted * CONSUME_QUEUE_UNIT_SIZE
    if (this.#ownUnits.length < size) this.#ownUnits = Buffer.alloc(size)
    this.#units = this.#ownUnits
    this.#unitsAt = 0
    return queue.readUnits(queueOffset, wanted, this.#units)
  }

  /** Looks at one unit; false when the answer is full. */
  #take(queue: ConsumeQueue, at: number, request: GetRequest, found: Selection): boolean {
    const units = this.#units
    const size = readInt32(units, at + 8)
    if (size <= 0 || !isSafeInt64(units, at)) throw astray(queue, found.nextBeginOffset)
    const physicalOffset = readInt64(units, at)
    if (this.#isFull(found, size, request, !this.isInMemory(physicalOffset))) {
      return false
    }
    const { filter } = request
    if (filter !== null && !filter.matchesTagsCode(readInt64(units, at + 12))) return true
    if (physicalOffset < this.#commitLog.startOffset) {
      if (found.count === 0) found.status = GetStatus.MESSAGE_WAS_REMOVING
      return true
    }
    if (filter !== null && !this.#matchesProperties(filter, physicalOffset, size)) return true
    found.add(physicalOffset, size)
    return true
  }

  #isFull(found: Selection, size: number, request: GetRequest, isOnDisk: boolean): boolean {
    const { count } = found
    if (count >= request.maxMessages) return true
    if (count === 0) return false
    const bytes = found.bytes + size
    if (bytes > ANSWER_BYTES_MAX) return true
    if (request.maxBytes !== undefined) return bytes > request.maxBytes
    const limits = this.#limits
    if (isOnDisk) return bytes > limits.diskBytes || count >= limits.diskCount
    return bytes > limits.memoryBytes || count >= limits.memoryCount
  }

  /** A record that cannot be read is not sorted out here: what reads it tells what is wrong. */
  #matchesProperties(filter: MessageFilter, physicalOffset: number, size: number): boolean {
    if (filter.matchesProperties === null) return true
    const properties = this.#properties
    if (!properties.read(physicalOffset, size)) return true
    return filter.matchesProperties(properties.pairs)
  }

  #readForFilter(offset: number, size: number, target: Buffer): boolean {
    if (offset < this.#commitLog.startOffset || offset + size > this.#commitLog.endOffset) {
      return false
    }
    if (this.#copy(offset, offset + size, target, 0, false)) return true
    this.#filterReads++
    return this.#commitLog.segments.readSync(target, 0, size, offset) === size
  }

  /** True when blocks are a waste for these records. */
  #isSparse({ physicalOffsets, sizes, count, bytes }: Selection): boolean {
    const end = (physicalOffsets[count - 1] ?? 0) + (sizes[count - 1] ?? 0)
    const span = end - (physicalOffsets[0] ?? 0)
    if (bytes > count * BLOCK_SIZE || (this.#isScattered() && !this.#pace.isCold)) return true
    if (bytes >= DENSE_BYTES_MIN && span <= bytes * DENSE_SHARE) return false
    const limit = this.#pace.isCold ? COLD_SPARSE_BYTES_PER_RECORD : SPARSE_BYTES_PER_RECORD
    return count < DENSE_RECORDS_MIN || span > count * limit
  }

  /** True while blocks are read for few of their bytes: many readers, each at a place of its own. */
  #isScattered(): boolean {
    if (this.#loadedBytes >= WASTE_SAMPLE_BYTES) {
      const isWaste = this.#servedBytes * WASTE_SHARE < this.#loadedBytes
      if (isWaste) this.#scatteredUntil = this.#clock.monotonic() + WASTE_MS
      this.#loadedBytes = 0
      this.#servedBytes = 0
    }
    return this.#scatteredUntil > 0 && this.#clock.monotonic() < this.#scatteredUntil
  }

  /** Copies bytes `[start, end)` of the log out of memory, or with `mayRead` out of the files as long as that is quick. */
  #copy(
    start: number,
    end: number,
    target: Buffer,
    targetStart: number,
    mayRead: boolean,
  ): boolean {
    const { buffer } = this.#commitLog
    const blocks = this.#blocks
    let at = targetStart
    for (let offset = start; offset < end;) {
      const source = buffer.find(offset) ? buffer : blocks.find(offset) ? blocks : null
      if (source === null) return mayRead && this.#readNow(offset, end, target, at)
      const step = Math.min(end - offset, source.end - source.at)
      if (source === blocks) this.#servedBytes += step
      source.bytes.copy(target, at, source.at, source.at + step)
      offset += step
      at += step
    }
    return true
  }

  /** False when the disk had to be waited for, which must not happen again and again on the event loop, or when bytes are missing. */
  #readNow(start: number, end: number, target: Buffer, at: number): boolean {
    this.#pace.begin()
    const count = this.#commitLog.segments.readSync(target, at, end - start, start)
    this.#pace.end(end - start)
    return count === end - start
  }

  /** Reads from the disk without stopping the event loop, one after the other, so that syncs find a free thread. */
  async #readRecords(selection: Selection, body: Buffer): Promise<GetResult> {
    let at = 0
    for (let index = 0; index < selection.count; index++) {
      const size = selection.sizes[index] ?? 0
      const physicalOffset = selection.physicalOffsets[index] ?? 0
      if (!this.#copy(physicalOffset, physicalOffset + size, body, at, false)) {
        await this.#commitLog.segments.read(body, at, size, physicalOffset)
      }
      at += size
    }
    this.#check(selection, body, 0)
    return selection.result(body)
  }

  /** Every record says itself where it belongs: a wrong message is never handed out. */
  #check(
    { physicalOffsets, sizes, count, queue, beginOffset, nextBeginOffset }: Selection,
    body: Buffer,
    start: number,
  ): void {
    assert(queue !== null)
    let at = start
    let previous = beginOffset - 1
    for (let index = 0; index < count; index++) {
      const size = sizes[index] ?? 0
      const queueOffset = queueOffsetOfRecord(body, at, size, queue, physicalOffsets[index] ?? 0)
      // In the order of the queue, and below where the next answer begins.
      if (queueOffset <= previous || queueOffset >= nextBeginOffset) {
        throw astray(queue, nextBeginOffset)
      }
      previous = queueOffset
      at += size
    }
  }
}

/** The status of an offset that no message stands at; null when one does. */
function outsideOf(queue: ConsumeQueue | null, queueOffset: number): GetStatus | null {
  if (queue === null) return GetStatus.NO_MATCHED_LOGIC_QUEUE
  if (queue.maxOffset === 0) return GetStatus.NO_MESSAGE_IN_QUEUE
  if (queueOffset < queue.minOffset) return GetStatus.OFFSET_TOO_SMALL
  if (queueOffset === queue.maxOffset) return GetStatus.OFFSET_OVERFLOW_ONE
  return queueOffset > queue.maxOffset ? GetStatus.OFFSET_OVERFLOW_BADLY : null
}

function nextOutside(found: Selection): number {
  if (found.status === GetStatus.OFFSET_TOO_SMALL) return found.minOffset
  if (found.status === GetStatus.OFFSET_OVERFLOW_ONE) return found.nextBeginOffset
  return found.status === GetStatus.OFFSET_OVERFLOW_BADLY ? found.maxOffset : 0
}

function astray(queue: ConsumeQueue | null, queueOffset: number): StoreError {
  return new StoreError(
    'derivedCorrupt',
    `${queue?.pathAt(queueOffset) ?? 'a queue'}: the unit near queue offset ${queueOffset} does not point at its record`,
  )
}
