/** Ranges of the CommitLog between record boundaries, as one member gives them to another. */
import assert from 'node:assert/strict'
import { BLANK_HEADER_SIZE, RecordReader, isBlankAt } from '../common/message-codec.ts'
import type { CommitLog } from './commit-log.ts'
import { StoreError } from './errors.ts'

const SIZE_AND_MAGIC = 8

/**
 * End of the last whole record within `maxBytes` from `physicalOffset`, which is a record boundary below the end; one record at least.
 * The blank record that ends a segment counts with all of the bytes that it stands for. It may end earlier, where the checksum of the range is known.
 */
export function batchEnd(log: CommitLog, physicalOffset: number, maxBytes: number): number {
  assert(physicalOffset >= log.startOffset && physicalOffset < log.endOffset)
  if (log.endOffset - physicalOffset <= maxBytes) return log.endOffset
  const limit = physicalOffset + maxBytes
  const checked = log.lastChecksumIn(physicalOffset, limit)
  if (checked !== null) return checked
  const header = Buffer.allocUnsafe(SIZE_AND_MAGIC)
  let end = physicalOffset
  while (end < log.endOffset) {
    const next = end + sizeAt(log, end, header)
    if (next > limit && end > physicalOffset) break
    end = next
  }
  return end
}

/**
 * The records of `[fromOffset, toOffset)` laid end to end; of a blank record its first 8 bytes. In `space`, when they are in memory and it
 * takes them: a buffer of its own for each range would cost more than the copy.
 */
export function readRecords(
  log: CommitLog,
  fromOffset: number,
  toOffset: number,
  space: Buffer | null,
): Buffer | Promise<Buffer> {
  const pieces = piecesOf(log, fromOffset, toOffset)
  const size = pieces.reduce((sum, piece) => sum + piece.size, 0)
  const hasSpace = space !== null && space.length >= size
  const target = hasSpace ? space.subarray(0, size) : Buffer.allocUnsafe(size)
  let at = 0
  for (const piece of pieces) {
    if (!log.copyFromBuffer(piece.offset, piece.size, target, at)) {
      return readCold(log, pieces, hasSpace ? Buffer.allocUnsafe(size) : target)
    }
    at += piece.size
  }
  return target
}

interface Piece {
  readonly offset: number
  readonly size: number
}

/** One piece for each segment that the range touches. */
function piecesOf(log: CommitLog, fromOffset: number, toOffset: number): readonly Piece[] {
  const { segmentSize } = log.segments
  const pieces: Piece[] = []
  for (let offset = fromOffset; offset < toOffset;) {
    const segmentEnd = log.segments.startOf(offset) + segmentSize
    const end = segmentEnd <= toOffset ? endOfRecords(log, offset, segmentEnd) : toOffset
    pieces.push({ offset, size: end - offset })
    offset = Math.min(segmentEnd, toOffset)
  }
  return pieces
}

/** Where the header of the blank record that ends the segment ends. */
function endOfRecords(log: CommitLog, fromOffset: number, segmentEnd: number): number {
  const header = Buffer.allocUnsafe(SIZE_AND_MAGIC)
  for (let offset = fromOffset; offset < segmentEnd;) {
    const size = sizeAt(log, offset, header)
    if (isBlankAt(header, 0)) return offset + BLANK_HEADER_SIZE
    offset += size
  }
  return segmentEnd
}

/** Leaves size and magic of the record in `header`. */
function sizeAt(log: CommitLog, offset: number, header: Buffer): number {
  const isThere = log.readSync(offset, SIZE_AND_MAGIC, header, 0)
  const size = isThere ? header.readInt32BE(0) : 0
  if (size > 0) return size
  throw new StoreError('corrupt', `${log.segments.pathAt(offset)}: no record at offset ${offset}`)
}

async function readCold(log: CommitLog, pieces: readonly Piece[], target: Buffer): Promise<Buffer> {
  let at = 0
  for (const { offset, size } of pieces) {
    const count = await log.segments.read(target, at, size, offset)
    if (count !== size) {
      throw new StoreError('corrupt', `${log.segments.pathAt(offset)} ends before ${offset + size}`)
    }
    at += size
  }
  checkRecords(log, pieces, target)
  return target
}

/** What comes from the disk may have rotted there: another member is not to get it (reliability D4). */
function checkRecords(log: CommitLog, pieces: readonly Piece[], target: Buffer): void {
  const reader = new RecordReader()
  let pieceAt = 0
  for (const { offset, size } of pieces) {
    for (let at = pieceAt; at < pieceAt + size;) {
      const problem = reader.read(target, at, pieceAt + size, true)
      if (problem !== null || reader.type === 'end') {
        const place = offset + at - pieceAt
        const path = log.segments.pathAt(place)
        throw new StoreError('corrupt', `${path}: ${problem ?? 'no record'} at offset ${place}`)
      }
      at += reader.type === 'blank' ? BLANK_HEADER_SIZE : reader.size
    }
    pieceAt += size
  }
}
