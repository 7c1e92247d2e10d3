/**
 * The file `checkpoint`: one page of 4096 bytes (protocol §19.4), and behind Java's five fields Gantry's own.
 *
 *   0 physical store time · 8 queue store time · 16 index store time · 24 flushed offset · 32 confirmed offset
 *  64 'GNTY' 4 · version 4 · derived offset 8 · clean 4 · CRC32 of bytes 0 to 84, 4
 *
 * All values are lower bounds that were true when they were written. A Java broker writes its five fields and leaves the rest:
 * the CRC then no longer fits, and Gantry goes by Java's rules.
 */
import { crc32 } from 'node:zlib'
import { isSafeInt64, readInt64, writeInt64 } from '../common/bytes.ts'
import type { Disk, DiskFile } from '../common/ports.ts'

const PAGE_SIZE = 4096
const OWN_AT = 64
const OWN_MAGIC = 0x474e5459
/** From version 2 on `queuepositions` reaches as far as the derived offset. */
const OWN_VERSION = 2
const CRC_AT = OWN_AT + 20

export interface Checkpoint {
  /** Store timestamp up to which the CommitLog, the ConsumeQueues and the index are on disk. */
  readonly physicalTimestamp: number
  readonly queueTimestamp: number
  readonly indexTimestamp: number
  /** The CommitLog below is on disk. */
  readonly flushedOffset: number
  readonly confirmedOffset: number
  /** Gantry's own fields; null when a Java broker wrote last, or the page is damaged. */
  readonly own: {
    /** ConsumeQueues and index hold everything of the records below, on disk. */
    readonly derivedOffset: number
    /** The store was closed in order after this was written. */
    readonly isClean: boolean
    /** `queuepositions` reaches as far; an older Gantry wrote none. */
    readonly hasPositions: boolean
  } | null
}

/** Null when there is no such file or it is too short. */
export function readCheckpoint(disk: Disk, path: string): Checkpoint | null {
  const page = disk.readFileSync(path)
  if (page === null || page.length < 40) return null
  const field = (at: number): number => (isSafeInt64(page, at) ? readInt64(page, at) : 0)
  return {
    physicalTimestamp: field(0),
    queueTimestamp: field(8),
    indexTimestamp: field(16),
    flushedOffset: field(24),
    confirmedOffset: field(32),
    own: readOwn(page),
  }
}

export class CheckpointFile {
  readonly #file: DiskFile
  readonly #page: Buffer = Buffer.alloc(PAGE_SIZE)

  constructor(disk: Disk, path: string) {
    this.#file = disk.openSync(path, 'write')
  }

  /** Hands the values to the kernel; `flush` puts them on disk, and nothing depends on when. */
  write(checkpoint: Checkpoint): void {
    const page = this.#page
    writeInt64(page, 0, checkpoint.physicalTimestamp)
    writeInt64(page, 8, checkpoint.queueTimestamp)
    writeInt64(page, 16, checkpoint.indexTimestamp)
    writeInt64(page, 24, checkpoint.flushedOffset)
    writeInt64(page, 32, checkpoint.confirmedOffset)
    page.writeUInt32BE(OWN_MAGIC, OWN_AT)
    page.writeUInt32BE(OWN_VERSION, OWN_AT + 4)
    writeInt64(page, OWN_AT + 8, checkpoint.own?.derivedOffset ?? 0)
    page.writeUInt32BE(checkpoint.own?.isClean === true ? 1 : 0, OWN_AT + 16)
    page.writeUInt32BE(crc32(page.subarray(0, CRC_AT)), CRC_AT)
    this.#file.writeSync(page, 0, PAGE_SIZE, 0)
  }

  flush(): Promise<void> {
    return this.#file.datasync()
  }

  flushSync(): void {
    this.#file.datasyncSync()
  }

  close(): void {
    this.#file.closeSync()
  }
}

function readOwn(page: Buffer): Checkpoint['own'] {
  if (page.length < CRC_AT + 4 || page.readUInt32BE(OWN_AT) !== OWN_MAGIC) return null
  if (page.readUInt32BE(CRC_AT) !== crc32(page.subarray(0, CRC_AT))) return null
  const version = page.readUInt32BE(OWN_AT + 4)
  if (version < 1 || version > OWN_VERSION) return null
  return {
    derivedOffset: readInt64(page, OWN_AT + 8),
    isClean: page.readUInt32BE(OWN_AT + 16) === 1,
    hasPositions: version >= 2,
  }
}
