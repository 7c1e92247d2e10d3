/**
 * The sequence of all records, in files of one size (protocol §19.1). The log index of the broker group is the physical offset.
 *
 * Three positions move forward: `endOffset` (encoded in memory), `writtenOffset` (in the page cache: survives the process)
 * and `flushedOffset` (fdatasync returned: survives the machine). Nobody but one `CommitLog` writes the files.
 */
import assert from 'node:assert/strict'
import {
  BLANK_HEADER_SIZE,
  PHYSICAL_OFFSET_AT,
  RecordReader,
  encodeBlank,
  encodeRecord,
} from '../common/message-codec.ts'
import type { RecordPlace } from '../common/message-codec.ts'
import { readInt64 } from '../common/bytes.ts'
import type { MessageToStore } from '../common/message.ts'
import type { Disk } from '../common/ports.ts'
import { FilePool } from './file-pool.ts'
import { LogBuffer } from './log-buffer.ts'
import { SegmentQueue } from './segment-queue.ts'

/** All segments of a log may be open at once: 4096 of 1 GiB. */
const MAX_OPEN_SEGMENTS = 4096

export interface CommitLogOptions {
  readonly disk: Disk
  readonly directory: string
  readonly segmentSize: number
  readonly chunkSize: number
  readonly chunkCount: number
}

export class CommitLog {
  readonly segments: SegmentQueue
  readonly buffer: LogBuffer
  readonly #files: FilePool
  readonly #reader = new RecordReader()
  #endOffset = 0
  #writtenOffset = 0
  #flushedOffset = 0
  /** Store timestamp of the newest record; the next one is not older. */
  lastStoreTimestamp = 0

  constructor(options: CommitLogOptions) {
    const { disk, directory, segmentSize, chunkSize, chunkCount } = options
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
    this.#ensureSegment(endOffset)
  }

  /** Encodes one record of `size` bytes at the end, in memory; sets `place.physicalOffset`. `writePending` puts it into the file. */
  append(message: MessageToStore, size: number, place: RecordPlace): void {
    this.#makeRoom(size)
    place.physicalOffset = this.#endOffset
    const written = encodeRecord(this.buffer.bytes, this.buffer.at, message, place)
    assert.equal(written, size)
    this.#endOffset += size
    this.lastStoreTimestamp = place.storeTimestamp
  }

  /**
   * Appends records that another member encoded: whole records laid end to end, the first at this log's end. A blank record
   * stands for the rest of its segment. Nothing is appended when one of them is damaged or out of place: false.
   */
  appendBytes(bytes: Buffer): boolean {
    if (!this.#isContinuation(bytes)) return false
    for (
      let at = 0;
      at < bytes.length;
      at += this.#reader.type === 'blank' ? 8 : this.#reader.size
    ) {
      this.#reader.read(bytes, at, bytes.length, false)
      if (this.#reader.type === 'blank') {
        this.#roll()
        continue
      }
      this.#makeRoom(this.#reader.size)
      bytes.copy(this.buffer.bytes, this.buffer.at, at, at + this.#reader.size)
      this.#endOffset += this.#reader.size
      this.lastStoreTimestamp = this.#reader.storeTimestamp
    }
    return true
  }

  /** Hands everything appended to the kernel, in one write. Throws what the disk throws; what was not written stays pending. */
  writePending(): void {
    const length = this.#endOffset - this.#writtenOffset
    if (length === 0) return
    const isThere = this.buffer.find(this.#writtenOffset)
    assert(isThere && this.buffer.end - this.buffer.at === length, 'pending bytes are in one chunk')
    this.segments.writeSync(this.buffer.bytes, this.buffer.at, length, this.#writtenOffset)
    this.#writtenOffset = this.#endOffset
  }

  /** fdatasync of everything written so far. One call at a time. A rejection is final (reliability D1). */
  async flush(): Promise<void> {
    const target = this.#writtenOffset
    for (
      let at = this.segments.startOf(this.#flushedOffset);
      at < target;
      at += this.segments.segmentSize
    ) {
      await this.segments.datasync(at)
    }
    // A truncation meanwhile made the end smaller.
    this.#flushedOffset = Math.max(this.#flushedOffset, Math.min(target, this.#writtenOffset))
  }

  /** Drops what was appended but not written. */
  dropPending(): void {
    this.buffer.truncate(this.#writtenOffset)
    this.#endOffset = this.#writtenOffset
  }

  /** Cuts the log to end at a record boundary. Only `truncation.ts` calls this, after it has cut what is derived. */
  truncate(physicalOffset: number): void {
    assert(physicalOffset >= this.startOffset && physicalOffset <= this.#endOffset)
    this.buffer.truncate(physicalOffset)
    this.#endOffset = physicalOffset
    this.#writtenOffset = Math.min(this.#writtenOffset, physicalOffset)
    this.#flushedOffset = Math.min(this.#flushedOffset, physicalOffset)
    this.segments.zeroFrom(physicalOffset, true)
    this.#ensureSegment(physicalOffset)
  }

  /** Creates the segment after the current one ahead of need, once half of the current one is used. */
  prepareNextSegment(): void {
    const used = this.#endOffset % this.segments.segmentSize
    const nextStart = this.segments.startOf(this.#endOffset) + this.segments.segmentSize
    if (used * 2 < this.segments.segmentSize || this.segments.endOffset > nextStart) return
    this.segments.create(this.segments.endOffset, true)
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

  #makeRoom(size: number): void {
    assert(size <= this.maxRecordSize)
    const segmentEnd = this.segments.startOf(this.#endOffset) + this.segments.segmentSize
    if (this.#endOffset + size + BLANK_HEADER_SIZE > segmentEnd) this.#roll()
    this.#reserve(size)
  }

  #reserve(size: number): void {
    if (this.buffer.needsSwitch(size, this.#endOffset)) {
      this.writePending()
      this.buffer.switch(size, this.#endOffset)
    }
    this.buffer.reserve(size)
  }

  /** Ends the current segment with a blank record and goes to the next. */
  #roll(): void {
    const segmentEnd = this.segments.startOf(this.#endOffset) + this.segments.segmentSize
    const blankSize = segmentEnd - this.#endOffset
    this.#ensureSegment(segmentEnd)
    this.#reserve(BLANK_HEADER_SIZE)
    encodeBlank(this.buffer.bytes, this.buffer.at, blankSize)
    this.#endOffset += BLANK_HEADER_SIZE
    this.writePending()
    this.#endOffset = segmentEnd
    this.#writtenOffset = segmentEnd
  }

  #ensureSegment(offset: number): void {
    if (this.segments.isEmpty) this.segments.create(this.segments.startOf(offset), true)
    while (this.segments.endOffset <= offset) this.segments.create(this.segments.endOffset, true)
  }

  #isContinuation(bytes: Buffer): boolean {
    let offset = this.#endOffset
    for (let at = 0; at < bytes.length;) {
      if (this.#reader.read(bytes, at, bytes.length, true) !== null) return false
      const segmentEnd = this.segments.startOf(offset) + this.segments.segmentSize
      if (this.#reader.type === 'blank') {
        if (offset + this.#reader.size !== segmentEnd) return false
        offset = segmentEnd
        at += BLANK_HEADER_SIZE
      } else if (this.#reader.type === 'message') {
        if (this.#reader.physicalOffset !== offset) return false
        if (offset + this.#reader.size + BLANK_HEADER_SIZE > segmentEnd) return false
        offset += this.#reader.size
        at += this.#reader.size
      } else {
        return false
      }
    }
    return true
  }
}

/** The store timestamp ends here when the born host is an IPv6 address; no record is shorter. */
const STORE_TIMESTAMP_END = 76
