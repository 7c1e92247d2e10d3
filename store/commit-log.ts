/**
 * The sequence of all records, in files of one size (protocol §19.1). The log index of the broker group is the physical offset.
 *
 * Three positions move forward: `endOffset` (encoded in memory), `writtenOffset` (in the page cache: survives the process)
 * and `flushedOffset` (fdatasync returned: survives the machine). Nobody but one `CommitLog` writes the files.
 */
import assert from 'node:assert/strict'
import {
  BLANK_HEADER_SIZE,
  CRC_PROPERTY_SIZE,
  PHYSICAL_OFFSET_AT,
  RecordReader,
  encodeBlank,
  encodeDraft,
  isBlankAt,
} from '../common/message-codec.ts'
import type { RecordDraft, RecordPlace } from '../common/message-codec.ts'
import { readInt32, readInt64 } from '../common/bytes.ts'
import type { Disk } from '../common/ports.ts'
import { crc32Of } from '../common/crc32.ts'
import { unwatched } from './disk-watch.ts'
import type { Watch } from './disk-watch.ts'
import { FilePool } from './file-pool.ts'
import { LogBuffer } from './log-buffer.ts'
import { RangeChecksums } from './range-checksums.ts'
import { SegmentQueue } from './segment-queue.ts'

/** All segments of a log may be open at once: 4096 of 1 GiB. */
const MAX_OPEN_SEGMENTS = 4096

export interface CommitLogOptions {
  readonly disk: Disk
  readonly directory: string
  readonly segmentSize: number
  readonly chunkSize: number
  readonly chunkCount: number
  /** Other members get what is appended: `rangeChecksum` is asked. */
  readonly isReplicated: boolean
}

export class CommitLog {
  readonly segments: SegmentQueue
  readonly buffer: LogBuffer
  readonly #files: FilePool
  readonly #reader = new RecordReader()
  readonly #checksums: RangeChecksums | null
  #endOffset = 0
  #writtenOffset = 0
  #flushedOffset = 0
  /** What the sync under way reaches; a truncation meanwhile lowers it. */
  #syncTarget = 0
  /** Between the blank record of a roll that is not written yet and the next segment lies nothing to write; -1 when there is no such gap. */
  #gapStart = -1
  #gapEnd = -1
  /** Store timestamp of the newest record among those that were checked last; 0: there is none. */
  #newestChecked = 0
  /** Store timestamp of the newest record; the next one is not older. */
  lastStoreTimestamp = 0

  constructor(options: CommitLogOptions) {
    const { disk, directory, segmentSize, chunkSize, chunkCount, isReplicated } = options
    this.#checksums = isReplicated ? new RangeChecksums() : null
    this.#files = new FilePool(disk, MAX_OPEN_SEGMENTS)
    this.segments = new SegmentQueue({ disk, files: this.#files, directory, segmentSize })
    this.buffer = new LogBuffer({ chunkSize: Math.min(chunkSize, segmentSize), chunkCount })
  }

  get endOffset(): number {
    return this.#endOffset
  }

  get writtenOffset(): number {
    return this.#writtenOffset
  }

  get flushedOffset(): number {
    return this.#flushedOffset
  }

  get startOffset(): number {
    return this.segments.firstOffset
  }

  /** The largest record that a segment takes. */
  get maxRecordSize(): number {
    return this.segments.segmentSize - BLANK_HEADER_SIZE
  }

  /** Takes up the log where recovery found its end; everything below it is in the files. */
  resume(endOffset: number, flushedOffset: number, lastStoreTimestamp: number): void {
    this.#endOffset = endOffset
    this.#writtenOffset = endOffset
    this.#flushedOffset = Math.min(flushedOffset, endOffset)
    this.lastStoreTimestamp = lastStoreTimestamp
    this.#checksums?.reset(endOffset)
    this.#ensureSegment(endOffset)
  }

  /** True when `size` bytes of records fit behind the end without another piece of the buffer or another segment. */
  hasRoom(size: number): boolean {
    return (
      !this.#needsRoll(size) && !this.buffer.needsSwitch(size + BLANK_HEADER_SIZE, this.#endOffset)
    )
  }

  /**
   * What is pending lies in two pieces of the buffer: it must be written before anything else is appended, since the next piece may be
   * the first of them again.
   */
  get isPendingSplit(): boolean {
    return this.#writtenOffset < this.buffer.newestStart
  }

  /**
   * Encodes one record of `size` bytes at the end, in memory; sets `place.physicalOffset`. `writePending` puts it into the file.
   * Throws what the disk throws when there is no next segment, and then nothing was encoded.
   */
  append(draft: RecordDraft, size: number, place: RecordPlace): void {
    this.#makeRoom(size)
    place.physicalOffset = this.#endOffset
    const { bytes, at } = this.buffer
    const written = encodeDraft(bytes, at, draft, place)
    if (written !== size) assert.equal(written, size)
    const checkedSize = size - CRC_PROPERTY_SIZE
    this.#checksums?.addRecord(draft.checksum, checkedSize, bytes, at + checkedSize, at + size)
    this.buffer.take(size)
    this.#endOffset += size
    this.#checksums?.passed(this.#endOffset)
    this.lastStoreTimestamp = place.storeTimestamp
  }

  /**
   * Appends records that another member encoded: whole records laid end to end, the first at this log's end. A blank record
   * stands for the rest of its segment. Nothing is appended when one of them is damaged or out of place: false.
   *
   * `checksum`: the CRC-32 of all bytes that follows from those which the records' encoder reckoned. When it is theirs, that of each record is
   * too; else, and without one, each is checked by its own.
   */
  appendBytes(bytes: Buffer, checksum: number | null): boolean {
    const isIntact = checksum !== null && crc32Of(bytes, 0, bytes.length) === checksum
    if (!this.#isContinuation(bytes, isIntact)) return false
    for (let at = 0; at < bytes.length;) {
      if (this.isPendingSplit) this.writePending()
      if (isBlankAt(bytes, at)) {
        this.#roll()
        this.writePending()
        at += BLANK_HEADER_SIZE
      } else {
        at = this.#copyRecords(bytes, at)
      }
    }
    if (this.#newestChecked !== 0) this.lastStoreTimestamp = this.#newestChecked
    this.#checksums?.reset(this.#endOffset)
    return true
  }

  /** Copies as many whole records from `at` on as the same piece of the buffer takes, one at least; returns where they end. */
  #copyRecords(bytes: Buffer, at: number): number {
    this.#makeRoom(readInt32(bytes, at))
    const room = this.buffer.bytes.length - this.buffer.at - BLANK_HEADER_SIZE
    let end = at + readInt32(bytes, at)
    while (end < bytes.length && !isBlankAt(bytes, end)) {
      const next = end + readInt32(bytes, end)
      if (next - at > room) break
      end = next
    }
    bytes.copy(this.buffer.bytes, this.buffer.at, at, end)
    this.buffer.take(end - at)
    this.#endOffset += end - at
    return end
  }

  /** Hands everything appended to the kernel, in one write for each piece. Throws what the disk throws; what was not written stays pending. */
  writePending(): void {
    while (this.#writtenOffset < this.#endOffset) {
      if (this.#writtenOffset === this.#gapStart) {
        this.#writtenOffset = this.#gapEnd
        continue
      }
      const isThere = this.buffer.find(this.#writtenOffset)
      assert(isThere && this.buffer.end > this.buffer.at, 'pending bytes are in the buffer')
      const { segmentSize } = this.segments
      const length = Math.min(
        this.buffer.end - this.buffer.at,
        segmentSize - (this.#writtenOffset % segmentSize),
      )
      this.segments.writeSync(this.buffer.bytes, this.buffer.at, length, this.#writtenOffset)
      this.#writtenOffset += length
    }
    this.#gapStart = -1
    this.#checksums?.mark(this.#endOffset)
  }

  /** CRC-32 of the records of a range, which are `size` bytes, as they were encoded here; null when it is not known. */
  rangeChecksum(fromOffset: number, toOffset: number, size: number): number | null {
    return this.#checksums?.between(fromOffset, toOffset, size) ?? null
  }

  /** The last record boundary in `(fromOffset, toOffset]` up to which `rangeChecksum` may be known; null when there is none. */
  lastChecksumIn(fromOffset: number, toOffset: number): number | null {
    return this.#checksums?.lastPlace(fromOffset, toOffset) ?? null
  }

  /** fdatasync of everything written so far. One call at a time. A rejection is final (reliability D1). */
  async flush(watch: Watch = unwatched): Promise<void> {
    const target = this.#writtenOffset
    this.#syncTarget = target
    for (
      let at = this.segments.startOf(this.#flushedOffset);
      at < target;
      at += this.segments.segmentSize
    ) {
      await watch(this.segments.datasync(at))
    }
    await watch(this.segments.syncNames())
    this.#flushedOffset = Math.max(this.#flushedOffset, this.#syncTarget)
  }

  /** Cuts the log to end at a record boundary, after what is derived from the rest has been cut. */
  truncate(physicalOffset: number): void {
    assert(physicalOffset >= this.startOffset && physicalOffset <= this.#endOffset)
    this.buffer.truncate(physicalOffset)
    this.#gapStart = -1
    this.#syncTarget = Math.min(this.#syncTarget, physicalOffset)
    this.#endOffset = physicalOffset
    this.#writtenOffset = Math.min(this.#writtenOffset, physicalOffset)
    this.#flushedOffset = Math.min(this.#flushedOffset, physicalOffset)
    this.#checksums?.reset(physicalOffset)
    this.segments.zeroFrom(physicalOffset, true)
    this.#ensureSegment(physicalOffset)
  }

  /** Removes every segment; the log goes on, empty, at `startOffset`, where a segment starts. */
  restartAt(startOffset: number): void {
    assert.equal(startOffset % this.segments.segmentSize, 0)
    this.buffer.truncate(0)
    this.#gapStart = -1
    this.#syncTarget = 0
    this.segments.removeAll()
    this.segments.create(startOffset, true)
    this.#endOffset = startOffset
    this.#writtenOffset = startOffset
    this.#flushedOffset = startOffset
    this.#checksums?.reset(startOffset)
  }

  /** Copies `size` bytes from anywhere below `endOffset`; false when they are not there. */
  readSync(physicalOffset: number, size: number, target: Buffer, targetStart: number): boolean {
    if (physicalOffset < this.startOffset || physicalOffset + size > this.#endOffset) return false
    if (this.copyFromBuffer(physicalOffset, size, target, targetStart)) return true
    return this.segments.readSync(target, targetStart, size, physicalOffset) === size
  }

  /** Like `readSync`, for what is in memory only. */
  copyFromBuffer(
    physicalOffset: number,
    size: number,
    target: Buffer,
    targetStart: number,
  ): boolean {
    const buffer = this.buffer
    if (!buffer.find(physicalOffset) || buffer.at + size > buffer.end) return false
    buffer.bytes.copy(target, targetStart, buffer.at, buffer.at + size)
    return true
  }

  /** Store timestamp of the record at an offset that a ConsumeQueue names; -1 when there is no such record. */
  storeTimestampAt(physicalOffset: number): number {
    const header = Buffer.allocUnsafe(STORE_TIMESTAMP_END)
    if (!this.readSync(physicalOffset, STORE_TIMESTAMP_END, header, 0)) return -1
    if (readInt64(header, PHYSICAL_OFFSET_AT) !== physicalOffset) return -1
    const isBornHostV6 = (header.readInt32BE(36) & 0x10) !== 0
    return readInt64(header, isBornHostV6 ? 68 : 56)
  }

  close(): void {
    this.#files.closeAll()
  }

  #needsRoll(size: number): boolean {
    const { segmentSize } = this.segments
    return (this.#endOffset % segmentSize) + size + BLANK_HEADER_SIZE > segmentSize
  }

  #makeRoom(size: number): void {
    if (size > this.maxRecordSize) assert.fail('a record fits into a segment')
    if (this.#needsRoll(size)) this.#roll()
    // Room for a blank record is always left, which so never needs a piece of its own.
    if (this.buffer.needsSwitch(size + BLANK_HEADER_SIZE, this.#endOffset)) {
      assert(!this.isPendingSplit)
      this.buffer.switch(size + BLANK_HEADER_SIZE, this.#endOffset)
    }
    this.buffer.seekEnd()
  }

  /** Ends the current segment with a blank record and goes to the next. */
  #roll(): void {
    const segmentEnd = this.segments.startOf(this.#endOffset) + this.segments.segmentSize
    const blankSize = segmentEnd - this.#endOffset
    this.#ensureSegment(segmentEnd)
    if (this.buffer.needsSwitch(BLANK_HEADER_SIZE, this.#endOffset)) {
      assert.equal(this.#writtenOffset, this.#endOffset)
      this.buffer.switch(BLANK_HEADER_SIZE, this.#endOffset)
    }
    this.buffer.seekEnd()
    const { bytes, at } = this.buffer
    encodeBlank(bytes, at, blankSize)
    this.#checksums?.addBytes(bytes, at, at + BLANK_HEADER_SIZE)
    this.buffer.take(BLANK_HEADER_SIZE)
    // Without a gap, the buffer goes on in the same piece.
    this.#gapStart = blankSize === BLANK_HEADER_SIZE ? -1 : this.#endOffset + BLANK_HEADER_SIZE
    this.#gapEnd = segmentEnd
    this.#endOffset = segmentEnd
  }

  #ensureSegment(offset: number): void {
    if (this.segments.isEmpty) this.segments.create(this.segments.startOf(offset), false)
    while (this.segments.endOffset <= offset) this.segments.create(this.segments.endOffset, false)
  }

  /** Checks everything about the records, once; only where they stand when they are known to be `isIntact`. Sets `#newestChecked`. */
  #isContinuation(bytes: Buffer, isIntact: boolean): boolean {
    const { segmentSize } = this.segments
    const reader = this.#reader
    let offset = this.#endOffset
    let segmentEnd = this.segments.startOf(offset) + segmentSize
    this.#newestChecked = 0
    for (let at = 0; at < bytes.length;) {
      const isRead = isIntact
        ? reader.readPlace(bytes, at, bytes.length)
        : reader.read(bytes, at, bytes.length, true) === null
      if (!isRead) return false
      if (reader.type === 'blank') {
        if (offset + reader.size !== segmentEnd) return false
        offset = segmentEnd
        segmentEnd += segmentSize
        at += BLANK_HEADER_SIZE
      } else if (reader.type === 'message') {
        if (reader.physicalOffset !== offset) return false
        if (offset + reader.size + BLANK_HEADER_SIZE > segmentEnd) return false
        offset += reader.size
        at += reader.size
        this.#newestChecked = reader.storeTimestamp
      } else {
        return false
      }
    }
    return true
  }
}

/** The store timestamp ends here when the born host is an IPv6 address; no record is shorter. */
const STORE_TIMESTAMP_END = 76
