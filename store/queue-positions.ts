/**
 * The file `queuepositions`: how far each ConsumeQueue and each index file reached on disk, so that a start neither has to look into
 * every queue nor believes one whose files were taken away.
 *
 *   batch: magic 'GNQP' 4 · size 4 · flags 4 · queues 4 · derived offset 8 · log start 8 · index files 4 · entries · CRC32 of all before, 4
 *   queue: topic length 2 · topic · queue id 4 · minimum 8 · end 8
 *   index file: name 17 · entry count 4 · last physical offset 8
 *
 * Batches are appended in rounds; one with the flag WHOLE names all queues. What follows a damaged batch does not count: the offset of
 * the last good one says from where the log is read again.
 */
import { crc32 } from 'node:zlib'
import { isSafeInt64, readInt64, writeInt64 } from '../common/bytes.ts'
import { parentOf } from '../common/durable-file.ts'
import type { Disk, DiskFile } from '../common/ports.ts'
import { finalSync } from './errors.ts'

const MAGIC = 0x474e5150
const HEADER_SIZE = 36
const CRC_SIZE = 4
const ENTRY_FIXED_SIZE = 22
const INDEX_NAME_SIZE = 17
const INDEX_ENTRY_SIZE = INDEX_NAME_SIZE + 12
const FLAG_WHOLE = 1
/** A file larger than this, and than four times what it says, is written anew. */
const COMPACT_BYTES = 1024 * 1024
const COMPACT_FACTOR = 4

export interface QueuePosition {
  readonly topic: string
  readonly queueId: number
  readonly minOffset: number
  readonly maxOffset: number
}

/** An index file, all of which the records below the derived offset had put into it. */
export interface IndexPosition {
  readonly name: string
  readonly entryCount: number
  readonly endPhysicalOffset: number
}

export interface QueuePositions {
  /** ConsumeQueues held everything of the records below, on disk. */
  readonly derivedOffset: number
  /** Where the CommitLog began: minimum offsets are those of this start. */
  readonly logStart: number
  readonly queues: readonly QueuePosition[]
  readonly indexFiles: readonly IndexPosition[]
}

/** Null when there is no such file, or its beginning is damaged. */
export function readQueuePositions(disk: Disk, path: string): QueuePositions | null {
  const bytes = disk.readFileSync(path)
  if (bytes === null) return null
  const queues = new Map<string, QueuePosition>()
  let derivedOffset = -1
  let logStart = 0
  let indexFiles: readonly IndexPosition[] = []
  for (let at = 0; at < bytes.length;) {
    const size = batchSizeAt(bytes, at)
    if (size === 0) break
    const isWhole = (bytes.readUInt32BE(at + 8) & FLAG_WHOLE) !== 0
    if (at === 0 && !isWhole) break
    if (isWhole) queues.clear()
    const indexAt = readEntries(bytes, at, size, queues)
    if (indexAt === 0) break
    indexFiles = readIndexFiles(bytes, indexAt, bytes.readUInt32BE(at + 32))
    derivedOffset = readInt64(bytes, at + 16)
    logStart = readInt64(bytes, at + 24)
    at += size
  }
  if (derivedOffset < 0) return null
  return { derivedOffset, logStart, queues: [...queues.values()], indexFiles }
}

/** Writes the file of a running store. */
export class QueuePositionsFile {
  readonly #disk: Disk
  readonly #path: string
  #file: DiskFile | null = null
  /** To be closed when nothing is written any more. */
  #left: DiskFile[] = []
  #isWriting = false
  /** Counts `forget`. */
  #generation = 0
  #end = 0
  #wholeSize = 0

  constructor(disk: Disk, path: string) {
    this.#disk = disk
    this.#path = path
  }

  /** The next batch has to name all queues. */
  get needsWhole(): boolean {
    const limit = Math.max(COMPACT_BYTES, this.#wholeSize * COMPACT_FACTOR)
    return this.#file === null || this.#end > limit
  }

  /**
   * On disk when this resolves, unless it was forgotten meanwhile. Rejects with what the disk says to a write, and finally when a sync
   * fails. One call at a time.
   */
  async add(positions: QueuePositions): Promise<void> {
    this.#isWriting = true
    try {
      const file = this.#file
      if (this.needsWhole || file === null) {
        await this.#replace(positions)
        return
      }
      const bytes = encodeBatch(positions, 0)
      await file.write(bytes, 0, bytes.length, this.#end)
      await finalSync(this.#path, file.datasync())
      this.#end += bytes.length
    } finally {
      this.#isWriting = false
      this.#closeLeft()
    }
  }

  /** Forgets everything: until the next batch a start derives all anew. */
  forget(): void {
    this.#generation++
    this.close()
    if (this.#disk.statusSync(this.#path) === null) return
    this.#disk.removeSync(this.#path)
    this.#disk.syncDirectorySync(parentOf(this.#path))
  }

  close(): void {
    if (this.#file !== null) this.#left.push(this.#file)
    this.#file = null
    if (!this.#isWriting) this.#closeLeft()
  }

  /** What is being written must not be closed under the write: its number may be another file's by then. */
  #closeLeft(): void {
    for (const file of this.#left) file.closeSync()
    this.#left = []
  }

  async #replace(positions: QueuePositions): Promise<void> {
    const bytes = encodeBatch(positions, FLAG_WHOLE)
    const temporary = `${this.#path}.tmp`
    const generation = this.#generation
    this.close()
    const file = this.#disk.openSync(temporary, 'write')
    this.#left.push(file)
    file.truncateSync(0)
    await file.write(bytes, 0, bytes.length, 0)
    await finalSync(temporary, file.datasync())
    // What it tells has been cut from the log meanwhile: nobody may find it.
    if (generation !== this.#generation) return
    this.#disk.renameSync(temporary, this.#path)
    const folder = parentOf(this.#path)
    await finalSync(folder, this.#disk.syncDirectory(folder))
    if (generation !== this.#generation) return
    this.#left = this.#left.filter((other) => other !== file)
    this.#file = file
    this.#end = bytes.length
    this.#wholeSize = bytes.length
  }
}

function encodeBatch(positions: QueuePositions, flags: number): Buffer {
  const { queues, derivedOffset, logStart, indexFiles } = positions
  const topics = queues.map(({ topic }) => Buffer.from(topic))
  const entries = topics.reduce((sum, topic) => sum + ENTRY_FIXED_SIZE + topic.length, 0)
  const indexSize = indexFiles.length * INDEX_ENTRY_SIZE
  const bytes = Buffer.alloc(HEADER_SIZE + entries + indexSize + CRC_SIZE)
  bytes.writeUInt32BE(MAGIC, 0)
  bytes.writeUInt32BE(bytes.length, 4)
  bytes.writeUInt32BE(flags, 8)
  bytes.writeUInt32BE(queues.length, 12)
  writeInt64(bytes, 16, derivedOffset)
  writeInt64(bytes, 24, logStart)
  bytes.writeUInt32BE(indexFiles.length, 32)
  let at = HEADER_SIZE
  for (const [index, { queueId, minOffset, maxOffset }] of queues.entries()) {
    const topic = topics[index] ?? Buffer.alloc(0)
    bytes.writeUInt16BE(topic.length, at)
    topic.copy(bytes, at + 2)
    at += 2 + topic.length
    bytes.writeUInt32BE(queueId, at)
    writeInt64(bytes, at + 4, minOffset)
    writeInt64(bytes, at + 12, maxOffset)
    at += ENTRY_FIXED_SIZE - 2
  }
  for (const { name, entryCount, endPhysicalOffset } of indexFiles) {
    bytes.write(name, at, INDEX_NAME_SIZE, 'latin1')
    bytes.writeUInt32BE(entryCount, at + INDEX_NAME_SIZE)
    writeInt64(bytes, at + INDEX_NAME_SIZE + 4, endPhysicalOffset)
    at += INDEX_ENTRY_SIZE
  }
  bytes.writeUInt32BE(crc32(bytes.subarray(0, at)), at)
  return bytes
}

/** Size of the sound batch that begins here; 0 when there is none. */
function batchSizeAt(bytes: Buffer, at: number): number {
  if (at + HEADER_SIZE + CRC_SIZE > bytes.length || bytes.readUInt32BE(at) !== MAGIC) return 0
  const size = bytes.readUInt32BE(at + 4)
  if (size < HEADER_SIZE + CRC_SIZE || at + size > bytes.length) return 0
  const end = at + size - CRC_SIZE
  if (bytes.readUInt32BE(end) !== crc32(bytes.subarray(at, end))) return 0
  return isSafeInt64(bytes, at + 16) && isSafeInt64(bytes, at + 24) ? size : 0
}

/** Where the index files begin; 0 when the entries do not fit their batch. */
function readEntries(
  bytes: Buffer,
  batchAt: number,
  size: number,
  queues: Map<string, QueuePosition>,
): number {
  const end = batchAt + size - CRC_SIZE - bytes.readUInt32BE(batchAt + 32) * INDEX_ENTRY_SIZE
  let at = batchAt + HEADER_SIZE
  for (let left = bytes.readUInt32BE(batchAt + 12); left > 0; left--) {
    if (at + ENTRY_FIXED_SIZE > end) return 0
    const length = bytes.readUInt16BE(at)
    if (at + ENTRY_FIXED_SIZE + length > end) return 0
    const topic = bytes.toString('utf8', at + 2, at + 2 + length)
    at += 2 + length
    if (!isSafeInt64(bytes, at + 4) || !isSafeInt64(bytes, at + 12)) return 0
    const queueId = bytes.readUInt32BE(at)
    const minOffset = readInt64(bytes, at + 4)
    const maxOffset = readInt64(bytes, at + 12)
    if (minOffset < 0 || maxOffset < minOffset) return 0
    queues.set(`${topic}/${queueId}`, { topic, queueId, minOffset, maxOffset })
    at += ENTRY_FIXED_SIZE - 2
  }
  return at === end ? at : 0
}

function readIndexFiles(bytes: Buffer, start: number, count: number): readonly IndexPosition[] {
  return Array.from({ length: count }, (_, index) => {
    const at = start + index * INDEX_ENTRY_SIZE
    const nameEnd = at + INDEX_NAME_SIZE
    return {
      name: bytes.toString('latin1', at, nameEnd),
      entryCount: bytes.readUInt32BE(nameEnd),
      endPhysicalOffset: readInt64(bytes, nameEnd + 4),
    }
  })
}
