/** Compares one ConsumeQueue with the records of its queue, met in the order of the log. */
import type { RecordReader } from '../common/message-codec.ts'
import { CONSUME_QUEUE_UNIT_SIZE, decodeConsumeQueueUnit, isFiller } from './consume-queue-unit.ts'
import type { ConsumeQueueUnit } from './consume-queue-unit.ts'
import type { FsckProblems } from './fsck-problems.ts'
import type { SegmentQueue } from './segment-queue.ts'

const BLOCK_UNITS = 4096

export class QueueChecker {
  readonly #directory: string
  readonly #segments: SegmentQueue | null
  readonly #problems: FsckProblems
  readonly #derivedOffset: number
  readonly #block: Buffer = Buffer.alloc(BLOCK_UNITS * CONSUME_QUEUE_UNIT_SIZE)
  #blockStart = -1
  #blockCount = 0
  #firstOffset = -1
  #nextOffset = -1
  /** Units that point at their record. */
  units = 0
  /** Records above the watermark without a unit. */
  pending = 0
  /** Records whose units went with a deleted topic, or by retention. */
  dropped = 0

  constructor(options: {
    readonly directory: string
    readonly segments: SegmentQueue | null
    readonly problems: FsckProblems
    /** Every record below has its unit. */
    readonly derivedOffset: number
  }) {
    this.#directory = options.directory
    this.#segments = options.segments
    this.#problems = options.problems
    this.#derivedOffset = options.derivedOffset
  }

  /** `tagsCode` is null when it cannot be known. */
  record(reader: RecordReader, tagsCode: number | null): void {
    this.recordAt(reader.queueOffset, reader, tagsCode)
  }

  /** A record that stands at `queueOffset` of this queue, its own or a light one. */
  recordAt(queueOffset: number, reader: RecordReader, tagsCode: number | null): void {
    const { physicalOffset } = reader
    if (this.#nextOffset === -1) this.#firstOffset = queueOffset
    else if (queueOffset !== this.#nextOffset) {
      this.#add(
        `the record at ${physicalOffset} has queue offset ${queueOffset} instead of ${this.#nextOffset}`,
      )
    }
    this.#nextOffset = queueOffset + 1
    this.#compare(queueOffset, reader, tagsCode)
  }

  /** A unit that a record has besides the one in its own queue; those follow each other in the order of the log. */
  extraUnit(reader: RecordReader, tagsCode: number): void {
    if (this.#nextOffset === -1) {
      this.#firstOffset = this.#firstUnitFrom(reader.physicalOffset)
      this.#nextOffset = this.#firstOffset
    }
    this.#compare(this.#nextOffset++, reader, tagsCode)
  }

  #firstUnitFrom(physicalOffset: number): number {
    let queueOffset = (this.#segments?.firstOffset ?? 0) / CONSUME_QUEUE_UNIT_SIZE
    for (;;) {
      const unit = this.#unitAt(queueOffset)
      if (unit === null) return queueOffset
      if (!isFiller(unit) && unit.physicalOffset >= physicalOffset) return queueOffset
      queueOffset++
    }
  }

  #compare(queueOffset: number, reader: RecordReader, tagsCode: number | null): void {
    const { physicalOffset, size } = reader
    const unit = this.#unitAt(queueOffset)
    if (this.#wasDropped(queueOffset, unit)) {
      this.dropped++
      return
    }
    if (unit === null) {
      if (physicalOffset >= this.#derivedOffset) this.pending++
      else this.#add(`no unit ${queueOffset} for the record at ${physicalOffset}`)
      return
    }
    if (unit.physicalOffset !== physicalOffset || unit.size !== size) {
      this.#add(
        `unit ${queueOffset} points at ${unit.physicalOffset} (${unit.size} bytes) instead of ${physicalOffset} (${size} bytes)`,
      )
    } else if (tagsCode !== null && unit.tagsCode !== tagsCode) {
      this.#add(`unit ${queueOffset} has tags code ${unit.tagsCode} instead of ${tagsCode}`)
    } else {
      this.units++
    }
  }

  /** Looks at the units that no record claimed. */
  finish(logStart: number, logEnd: number): void {
    const segments = this.#segments
    if (segments === null) return
    const first = segments.firstOffset / CONSUME_QUEUE_UNIT_SIZE
    const end = segments.endOffset / CONSUME_QUEUE_UNIT_SIZE
    const claimedFrom = this.#nextOffset === -1 ? end : this.#firstOffset
    for (let queueOffset = first; queueOffset < Math.min(claimedFrom, end); queueOffset++) {
      const unit = this.#unitAt(queueOffset)
      if (unit === null || isFiller(unit) || unit.physicalOffset < logStart) continue
      if (!this.#isStale(unit, logEnd)) this.#addStray(queueOffset, unit)
    }
    if (this.#nextOffset === -1) return
    for (let queueOffset = this.#nextOffset; queueOffset < end; queueOffset++) {
      const unit = this.#unitAt(queueOffset)
      if (unit !== null && !this.#isStale(unit, logEnd)) this.#addStray(queueOffset, unit)
    }
  }

  #wasDropped(queueOffset: number, unit: ConsumeQueueUnit | null): boolean {
    if (unit !== null) return isFiller(unit)
    const segments = this.#segments
    return segments !== null && queueOffset * CONSUME_QUEUE_UNIT_SIZE < segments.firstOffset
  }

  /** Units of records that a crash took; the next start cuts them. */
  #isStale(unit: ConsumeQueueUnit, logEnd: number): boolean {
    return unit.physicalOffset >= logEnd && unit.physicalOffset >= this.#derivedOffset
  }

  #unitAt(queueOffset: number): ConsumeQueueUnit | null {
    if (this.#segments === null) return null
    const isInBlock =
      this.#blockStart !== -1 &&
      queueOffset >= this.#blockStart &&
      queueOffset < this.#blockStart + this.#blockCount
    if (!isInBlock) {
      const position = queueOffset * CONSUME_QUEUE_UNIT_SIZE
      const size = this.#segments.readSync(this.#block, 0, this.#block.length, position)
      this.#blockStart = queueOffset
      this.#blockCount = Math.floor(size / CONSUME_QUEUE_UNIT_SIZE)
      if (this.#blockCount === 0) return null
    }
    const at = (queueOffset - this.#blockStart) * CONSUME_QUEUE_UNIT_SIZE
    return decodeConsumeQueueUnit(this.#block, at)
  }

  #addStray(queueOffset: number, unit: ConsumeQueueUnit): void {
    this.#add(
      `unit ${queueOffset} points at ${unit.physicalOffset}, where no record of this queue is`,
    )
  }

  #add(sentence: string): void {
    this.#problems.add(`${this.#directory}: ${sentence}`)
  }
}
