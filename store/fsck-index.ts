/** Checks index files: entries in the order of the log, chains that only go back, offsets at which records begin. */
import { isSafeInt64, readInt64 } from '../common/bytes.ts'
import { MAGIC_V1, MAGIC_V2, PHYSICAL_OFFSET_AT } from '../common/message-codec.ts'
import type { Disk, DiskFile } from '../common/ports.ts'
import type { FsckProblems } from './fsck-problems.ts'
import type { SegmentQueue } from './segment-queue.ts'

const HEADER_SIZE = 40
const ENTRY_SIZE = 20
const BLOCK_ENTRIES = 4096
/** Java's ratio: 5,000,000 slots of 4 bytes to 20,000,000 entries of 20; other sizes are told by the broker's configuration only. */
const DEFAULT_SIZE = 420_000_040
const DEFAULT_SLOTS_END = HEADER_SIZE + 5_000_000 * 4

/** Returns how many entries there are. Files of unusual dimensions are only checked for a sane header. */
export function checkIndexFiles(options: {
  readonly disk: Disk
  readonly root: string
  readonly log: SegmentQueue | null
  readonly problems: FsckProblems
  readonly endOffset: number
}): number {
  const { disk, root, problems } = options
  let entries = 0
  for (const { name, isDirectory } of disk.listSync(`${root}/index`)) {
    if (isDirectory || !/^\d{17}$/.test(name)) continue
    const path = `${root}/index/${name}`
    const file = disk.openSync(path, 'read')
    try {
      entries += checkFile({ ...options, path, file })
    } finally {
      file.closeSync()
    }
    if (problems.count > 100_000) break
  }
  return entries
}

function checkFile(options: {
  readonly path: string
  readonly file: DiskFile
  readonly log: SegmentQueue | null
  readonly problems: FsckProblems
  readonly endOffset: number
}): number {
  const { path, file, problems } = options
  const header = Buffer.alloc(HEADER_SIZE)
  file.readSync(header, 0, HEADER_SIZE, 0)
  const count = header.readInt32BE(36)
  if (count < 0 || HEADER_SIZE + count * ENTRY_SIZE > file.sizeSync()) {
    problems.add(`${path}: the header counts ${count} entries, more than the file can hold`)
    return 0
  }
  if (file.sizeSync() !== DEFAULT_SIZE) return Math.max(0, count - 1)
  const block = Buffer.alloc(BLOCK_ENTRIES * ENTRY_SIZE)
  let previousOffset = -1
  for (let first = 1; first < count; first += BLOCK_ENTRIES) {
    const wanted = Math.min(BLOCK_ENTRIES, count - first)
    file.readSync(block, 0, wanted * ENTRY_SIZE, DEFAULT_SLOTS_END + first * ENTRY_SIZE)
    for (let index = 0; index < wanted; index++) {
      const at = index * ENTRY_SIZE
      const problem = problemOf(block, at, first + index, previousOffset, options)
      if (problem !== null) problems.add(`${path}: entry ${first + index} ${problem}`)
      if (isSafeInt64(block, at + 4)) previousOffset = readInt64(block, at + 4)
    }
  }
  return Math.max(0, count - 1)
}

function problemOf(
  block: Buffer,
  at: number,
  number: number,
  previousOffset: number,
  options: { readonly log: SegmentQueue | null; readonly endOffset: number },
): string | null {
  if (block.readInt32BE(at + 16) >= number) return 'points forward in its chain'
  if (!isSafeInt64(block, at + 4)) return 'has an impossible offset'
  const physicalOffset = readInt64(block, at + 4)
  if (physicalOffset < previousOffset) return 'is not in the order of the log'
  const { log, endOffset } = options
  // Below the log's start the record has expired; above its end a crash has taken it.
  if (log === null || physicalOffset < log.firstOffset || physicalOffset >= endOffset) return null
  return isRecordAt(log, physicalOffset)
    ? null
    : `points at ${physicalOffset}, where no record begins`
}

const recordHeaderSize = PHYSICAL_OFFSET_AT + 8

function isRecordAt(log: SegmentQueue, physicalOffset: number): boolean {
  const header = Buffer.allocUnsafe(recordHeaderSize)
  if (log.readSync(header, 0, recordHeaderSize, physicalOffset) !== recordHeaderSize) return false
  const magic = header.readUInt32BE(4)
  return (
    (magic === MAGIC_V1 || magic === MAGIC_V2) &&
    readInt64(header, PHYSICAL_OFFSET_AT) === physicalOffset
  )
}
