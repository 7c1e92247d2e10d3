/**
 * The term of this member, in `raft/state` beside the store: two slots written in turn, so that a torn write leaves the older one.
 *
 * ```
 * slot (at 0 and 512): magic int32 | version int32 | sequence int64 | term int64 | votedFor int64 (-1: nobody) | CRC32 of the 32 bytes before
 * ```
 */
import { crc32 } from 'node:zlib'
import { readInt64, isSafeInt64, writeInt64 } from '../common/bytes.ts'
import { GantryError } from '../common/errors.ts'
import type { Disk, DiskFile } from '../common/ports.ts'

const MAGIC = 0x47525331
const VERSION = 1
const SLOT_SIZE = 512
const CHECKED_SIZE = 32
const NOBODY = -1

export class TermFileError extends GantryError<'corrupt'> {}

interface Slot {
  readonly sequence: number
  readonly term: number
}

export class TermFile {
  readonly #file: DiskFile
  #slot: Slot

  private constructor(file: DiskFile, slot: Slot) {
    this.#file = file
    this.#slot = slot
  }

  /** Opens or creates the file below the store's folder; throws `TermFileError` when both slots are damaged, or the system's error. */
  static open(disk: Disk, storePathRootDir: string): TermFile {
    const folder = `${storePathRootDir}/raft`
    const path = `${folder}/state`
    disk.makeDirectorySync(folder)
    const isNew = disk.statusSync(path) === null
    const file = disk.openSync(path, 'write')
    if (isNew) disk.syncDirectorySync(folder)
    const slots = [readSlot(file, 0), readSlot(file, 1)].filter((slot) => slot !== null)
    if (slots.length === 0 && file.sizeSync() > 0 && !isBlank(file)) {
      file.closeSync()
      throw new TermFileError('corrupt', `${path}: neither slot is intact`)
    }
    const latest = slots.toSorted((left, right) => right.sequence - left.sequence)[0]
    return new TermFile(file, latest ?? { sequence: 0, term: 0 })
  }

  get term(): number {
    return this.#slot.term
  }

  /** Makes `term` the term of this member, durably. */
  advanceTo(term: number): void {
    const slot = { sequence: this.#slot.sequence + 1, term }
    const bytes = Buffer.alloc(SLOT_SIZE)
    bytes.writeUInt32BE(MAGIC, 0)
    bytes.writeUInt32BE(VERSION, 4)
    writeInt64(bytes, 8, slot.sequence)
    writeInt64(bytes, 16, slot.term)
    writeInt64(bytes, 24, NOBODY)
    bytes.writeUInt32BE(crc32(bytes.subarray(0, CHECKED_SIZE)), CHECKED_SIZE)
    this.#file.writeSync(bytes, 0, SLOT_SIZE, (slot.sequence % 2) * SLOT_SIZE)
    this.#file.datasyncSync()
    this.#slot = slot
  }

  close(): void {
    this.#file.closeSync()
  }
}

function readSlot(file: DiskFile, index: number): Slot | null {
  const bytes = Buffer.alloc(SLOT_SIZE)
  if (file.readSync(bytes, 0, SLOT_SIZE, index * SLOT_SIZE) < CHECKED_SIZE + 4) return null
  const isIntact =
    bytes.readUInt32BE(0) === MAGIC &&
    bytes.readUInt32BE(4) === VERSION &&
    bytes.readUInt32BE(CHECKED_SIZE) === crc32(bytes.subarray(0, CHECKED_SIZE)) &&
    isSafeInt64(bytes, 8) &&
    isSafeInt64(bytes, 16)
  return isIntact ? { sequence: readInt64(bytes, 8), term: readInt64(bytes, 16) } : null
}

/** A file that was made but never written, which a crash right after the creation leaves. */
function isBlank(file: DiskFile): boolean {
  const bytes = Buffer.alloc(2 * SLOT_SIZE)
  file.readSync(bytes, 0, bytes.length, 0)
  return bytes.every((byte) => byte === 0)
}
