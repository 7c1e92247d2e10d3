/**
 * Term, vote and incarnation of this member, in `raft/state` beside the store: two slots written in turn, so that a torn write
 * leaves the older one, which was superseded by nothing that has left the member (Raft §5.2; reliability D3).
 *
 * ```
 * slot (at 0 and 512): magic int32 | version int32 | sequence int64 | term int64 | votedFor int64 (-1: nobody)
 *                      | version 2: incarnation int64 | CRC32 of everything before
 * ```
 */
import { crc32 } from 'node:zlib'
import { isSafeInt64, readInt64, writeInt64 } from '../common/bytes.ts'
import { GantryError } from '../common/errors.ts'
import type { Disk, DiskFile } from '../common/ports.ts'
import type { HardState } from './node.ts'

const MAGIC = 0x47525331
const VERSION = 2
const SLOT_SIZE = 512
/** Bytes before the CRC, by version. */
const CHECKED_SIZE: Readonly<Record<number, number>> = { 1: 32, 2: 40 }
const NOBODY = -1

export class StateFileError extends GantryError<'corrupt'> {}

interface Slot {
  readonly sequence: number
  readonly hardState: HardState
  /** Which life of the disk this is; 0 when the member has not joined a group yet. */
  readonly incarnation: number
}

const BLANK: Slot = { sequence: 0, hardState: { term: 0, votedFor: null }, incarnation: 0 }

export class StateFile {
  readonly #file: DiskFile
  #slot: Slot

  private constructor(file: DiskFile, slot: Slot) {
    this.#file = file
    this.#slot = slot
  }

  /**
   * Opens or creates the file below the store's folder; what it tells then is on disk. Throws `StateFileError` when both slots are damaged,
   * or the system's error.
   */
  static open(disk: Disk, storePathRootDir: string): StateFile {
    const folder = `${storePathRootDir}/raft`
    const path = `${folder}/state`
    disk.makeDirectorySync(folder)
    const file = disk.openSync(path, 'write')
    disk.syncDirectorySync(folder)
    const slots = [readSlot(file, 0), readSlot(file, 1)].filter((slot) => slot !== null)
    if (slots.length === 0 && file.sizeSync() > 0 && !isBlank(file)) {
      file.closeSync()
      throw new StateFileError('corrupt', `${path}: neither slot is intact`)
    }
    const latest = slots.toSorted((left, right) => right.sequence - left.sequence)[0]
    const opened = new StateFile(file, latest ?? BLANK)
    // Its last sync may have failed: then it stands in the page cache only, and no sync but that of another write brings it to the disk.
    if (latest !== undefined) opened.save(latest.hardState)
    return opened
  }

  get hardState(): HardState {
    return this.#slot.hardState
  }

  get incarnation(): number {
    return this.#slot.incarnation
  }

  /** On disk when it returns. */
  save(hardState: HardState, incarnation: number = this.#slot.incarnation): void {
    const slot = { sequence: this.#slot.sequence + 1, hardState, incarnation }
    const bytes = Buffer.alloc(SLOT_SIZE)
    bytes.writeUInt32BE(MAGIC, 0)
    bytes.writeUInt32BE(VERSION, 4)
    writeInt64(bytes, 8, slot.sequence)
    writeInt64(bytes, 16, hardState.term)
    writeInt64(bytes, 24, hardState.votedFor ?? NOBODY)
    writeInt64(bytes, 32, incarnation)
    bytes.writeUInt32BE(crc32(bytes.subarray(0, 40)), 40)
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
  const length = file.readSync(bytes, 0, SLOT_SIZE, index * SLOT_SIZE)
  const version = bytes.readUInt32BE(4)
  const checked = CHECKED_SIZE[version]
  if (checked === undefined || length < checked + 4 || bytes.readUInt32BE(0) !== MAGIC) return null
  if (bytes.readUInt32BE(checked) !== crc32(bytes.subarray(0, checked))) return null
  for (let at = 8; at < checked; at += 8) if (!isSafeInt64(bytes, at)) return null
  const votedFor = readInt64(bytes, 24)
  return {
    sequence: readInt64(bytes, 8),
    hardState: { term: readInt64(bytes, 16), votedFor: votedFor === NOBODY ? null : votedFor },
    incarnation: version === 1 ? 0 : readInt64(bytes, 32),
  }
}

/** A file that was made but never written, which a crash right after the creation leaves. */
function isBlank(file: DiskFile): boolean {
  const bytes = Buffer.alloc(2 * SLOT_SIZE)
  file.readSync(bytes, 0, bytes.length, 0)
  return bytes.every((byte) => byte === 0)
}
