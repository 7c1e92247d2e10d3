/** Walks the records of a CommitLog in order, from its files; for recovery, catching up, and `fsck`. */
import { RecordReader } from '../common/message-codec.ts'
import type { RecordProblem } from '../common/message-codec.ts'
import type { SegmentQueue } from './segment-queue.ts'

const BLOCK_SIZE = 1024 * 1024
const MAX_RECORD_SIZE = 256 * 1024 * 1024

export type ScanProblem = RecordProblem | 'misplaced'

export class LogScanner {
  readonly #segments: SegmentQueue
  readonly #checkCrc: boolean
  readonly reader: RecordReader = new RecordReader()
  /** Holds the record that `next` found, from `at` on. */
  bytes: Buffer
  at = 0
  /** Physical offset of the record that `next` found, or of what stopped it. */
  physicalOffset: number
  /** Where the next one starts. */
  nextOffset: number
  /** What stopped the scan; null at a clean end. */
  problem: ScanProblem | null = null
  #blockStart = 0
  #blockLength = 0

  constructor(segments: SegmentQueue, startOffset: number, checkCrc: boolean) {
    this.#segments = segments
    this.#checkCrc = checkCrc
    this.bytes = Buffer.alloc(0)
    this.physicalOffset = startOffset
    this.nextOffset = startOffset
  }

  /** Steps to the next message; false at the end of what is written, or at a problem. Blanks are passed over. */
  next(): boolean {
    for (;;) {
      this.physicalOffset = this.nextOffset
      this.problem = null
      if (this.physicalOffset >= this.#segments.endOffset) return false
      const segmentEnd = this.#segments.startOf(this.physicalOffset) + this.#segments.segmentSize
      this.problem = this.#readAt(this.physicalOffset, segmentEnd)
      if (this.problem !== null || this.reader.type === 'end') return false
      if (this.reader.type === 'message') {
        if (this.reader.physicalOffset !== this.physicalOffset) {
          this.problem = 'misplaced'
          return false
        }
        this.nextOffset = this.physicalOffset + this.reader.size
        return true
      }
      if (this.physicalOffset + this.reader.size !== segmentEnd) {
        this.problem = 'badSize'
        return false
      }
      this.nextOffset = segmentEnd
    }
  }

  #readAt(offset: number, segmentEnd: number): RecordProblem | null {
    if (!this.#load(offset, 8, segmentEnd)) return 'truncated'
    const size = this.bytes.readInt32BE(this.at)
    const isWhole = size > 0 && size <= segmentEnd - offset && size <= MAX_RECORD_SIZE
    // The size of a blank reaches to the end of the file; there is nothing in it to read.
    const problem = this.reader.read(this.bytes, this.at, this.#end(), this.#checkCrc)
    if (problem !== 'truncated' || !isWhole) return problem
    if (!this.#load(offset, size, segmentEnd)) return 'truncated'
    return this.reader.read(this.bytes, this.at, this.#end(), this.#checkCrc)
  }

  #end(): number {
    return this.#blockLength
  }

  /** Has at least `size` bytes from `offset` in memory. */
  #load(offset: number, size: number, segmentEnd: number): boolean {
    const inBlock = offset - this.#blockStart
    if (inBlock >= 0 && inBlock + size <= this.#blockLength) {
      this.at = inBlock
      return true
    }
    const wanted = Math.min(Math.max(BLOCK_SIZE, size), segmentEnd - offset)
    if (this.bytes.length < wanted) {
      const size = Math.min(BLOCK_SIZE, this.#segments.segmentSize)
      this.bytes = Buffer.allocUnsafe(Math.max(wanted, size))
    }
    this.#blockStart = offset
    this.#blockLength = this.#segments.readSync(this.bytes, 0, wanted, offset)
    this.at = 0
    return this.#blockLength >= size
  }
}
