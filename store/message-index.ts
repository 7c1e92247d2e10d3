/**
 * The index files of a store, oldest first; the newest takes the entries.
 *
 * Entries are gathered and added by the thousand: when so many have come, when somebody asks, and when the files are written.
 */
import { isNoRoom } from '../common/errors.ts'
import type { Clock, Disk, Timers } from '../common/ports.ts'
import { unwatched } from './disk-watch.ts'
import type { Watch } from './disk-watch.ts'
import { StoreError, finalSync } from './errors.ts'
import { IndexFile } from './index-file.ts'
import type { IndexBatch, IndexQuery } from './index-file.ts'
import type { IndexPosition } from './queue-positions.ts'

/** 80 KiB of entries, of which most messages have one or two. */
const BATCH_ENTRIES = 4096

export class MessageIndex {
  readonly #disk: Disk
  readonly #clock: Clock
  readonly #yieldTurn: () => Promise<void>
  readonly #directory: string
  readonly #slotCount: number
  readonly #maxEntries: number
  #files: IndexFile[] = []
  /** Complete files whose last bytes are not synced yet. */
  #unsealed: IndexFile[] = []
  #hasNewFile = false
  #isDirty = false
  /** Entries `[0, batched)` wait to be added to the newest file. */
  #batch = emptyBatch(BATCH_ENTRIES)
  #batched = 0

  constructor(options: {
    readonly disk: Disk
    readonly clock: Clock
    readonly timers: Timers
    readonly directory: string
    readonly slotCount: number
    readonly maxEntries: number
  }) {
    this.#disk = options.disk
    this.#clock = options.clock
    const { timers } = options
    this.#yieldTurn = () => new Promise<void>((resolve) => timers.soon(resolve))
    this.#directory = options.directory
    this.#slotCount = options.slotCount
    this.#maxEntries = options.maxEntries
  }

  /**
   * Finds the files; entries of records from `physicalEnd` on are dropped. A file that cannot be one is removed: it is derived.
   * `isClean` says that the newest file is as a clean stop left it.
   */
  load(physicalEnd: number, isClean: boolean): void {
    this.close()
    this.#batched = 0
    this.#files = []
    this.#unsealed = []
    for (const entry of this.#disk.listSync(this.#directory)) {
      if (entry.isDirectory || !/^\d{17}$/.test(entry.name)) continue
      const file = this.#fileOf(`${this.#directory}/${entry.name}`)
      const isUsable = file.load() && file.header.entryCount > 1
      if (isUsable && file.header.beginPhysicalOffset < physicalEnd) this.#files.push(file)
      else file.remove()
    }
    const newest = this.#files.at(-1)
    if (isClean && newest !== undefined && newest.header.endPhysicalOffset < physicalEnd) {
      newest.resume()
    } else {
      this.truncateToPhysical(physicalEnd)
    }
  }

  /** Drops the entries of records from `physicalEnd` on. */
  truncateToPhysical(physicalEnd: number): void {
    this.#addBatch()
    let newest = this.#files.at(-1)
    while (newest !== undefined && newest.header.beginPhysicalOffset >= physicalEnd) {
      newest.remove()
      this.#files.pop()
      newest = this.#files.at(-1)
    }
    if (newest === undefined) return
    if (newest.isWritable && newest.header.endPhysicalOffset < physicalEnd) return
    newest.writePending()
    newest.rebuild(physicalEnd)
    this.#isDirty = true
  }

  /** What the files hold, with what is not written yet. */
  positions(): readonly IndexPosition[] {
    return this.#files.map(({ path, header }) => ({
      name: nameOfPath(path),
      entryCount: header.entryCount,
      endPhysicalOffset: header.endPhysicalOffset,
    }))
  }

  /** Throws `derivedCorrupt` when a file that held something of the log from `logStart` on is missing or holds less. */
  assertHolds(positions: readonly IndexPosition[], logStart: number): void {
    for (const { name, entryCount, endPhysicalOffset } of positions) {
      if (endPhysicalOffset < logStart || entryCount <= 1) continue
      const file = this.#files.find(({ path }) => nameOfPath(path) === name)
      if (file !== undefined && file.header.entryCount >= entryCount) continue
      throw new StoreError(
        'derivedCorrupt',
        `${this.#directory}/${name}: ${entryCount - 1} entries were on disk, not all are there`,
      )
    }
  }

  get lastUpdateTimestamp(): number {
    if (this.#batched > 0) return this.#batch.storeTimestamps[this.#batched - 1] ?? 0
    return this.#files.at(-1)?.header.endTimestamp ?? 0
  }

  get lastUpdatePhysicalOffset(): number {
    if (this.#batched > 0) return this.#batch.physicalOffsets[this.#batched - 1] ?? 0
    return this.#files.at(-1)?.header.endPhysicalOffset ?? 0
  }

  get count(): number {
    return this.#files.length
  }

  put(keyHash: number, physicalOffset: number, storeTimestamp: number): void {
    const batch = this.#batch
    const at = this.#batched++
    batch.keyHashes[at] = keyHash
    batch.physicalOffsets[at] = physicalOffset
    batch.storeTimestamps[at] = storeTimestamp
    if (this.#batched === batch.keyHashes.length) this.#onBatchFull()
  }

  /** When the disk is full, entries wait in memory; soon no messages come any more. */
  #onBatchFull(): void {
    try {
      this.#addBatch()
      this.#files.at(-1)?.writePending()
    } catch (error) {
      if (!isNoRoom(error)) throw error
    }
    if (this.#batched < this.#batch.keyHashes.length) return
    const larger = emptyBatch(this.#batched * 2)
    larger.keyHashes.set(this.#batch.keyHashes)
    larger.physicalOffsets.set(this.#batch.physicalOffsets)
    larger.storeTimestamps.set(this.#batch.storeTimestamps)
    this.#batch = larger
  }

  /** Adds what was gathered to the files. What finds no room stays. */
  #addBatch(): void {
    const count = this.#batched
    let start = 0
    try {
      while (start < count) {
        let file = this.#files.at(-1)
        if (file === undefined || !file.isWritable || file.isFull) file = this.#startFile(file)
        start = file.addEntries(this.#batch, start, count)
        this.#isDirty = true
      }
    } finally {
      this.#batch.keyHashes.copyWithin(0, start, count)
      this.#batch.physicalOffsets.copyWithin(0, start, count)
      this.#batch.storeTimestamps.copyWithin(0, start, count)
      this.#batched = count - start
    }
    if (this.#batch.keyHashes.length > BATCH_ENTRIES) this.#batch = emptyBatch(BATCH_ENTRIES)
  }

  /** Physical offsets for a key hash, newest first, until `found` returns false. */
  query(query: IndexQuery, found: (physicalOffset: number) => boolean): void {
    this.#addForQuery()
    let isWanted = true
    const offer = (physicalOffset: number): boolean => {
      isWanted = found(physicalOffset)
      return isWanted
    }
    for (let at = this.#files.length - 1; at >= 0 && isWanted; at--) {
      const file = this.#files[at]
      if (file?.overlaps(query.beginTimestamp, query.endTimestamp) === true)
        file.query(query, offer)
    }
  }

  /** A reader sees everything that was put, as long as the disk has room for it. */
  #addForQuery(): void {
    try {
      this.#addBatch()
    } catch (error) {
      if (!isNoRoom(error)) throw error
    }
  }

  writePending(): void {
    this.#addBatch()
    if (this.#isDirty) this.#files.at(-1)?.writePending()
  }

  /** fdatasync of everything written. A rejection is final. */
  async flush(watch: Watch = unwatched): Promise<void> {
    if (this.#hasNewFile) {
      this.#hasNewFile = false
      await watch(finalSync(this.#directory, this.#disk.syncDirectory(this.#directory)))
    }
    const complete = this.#unsealed
    this.#unsealed = []
    for (const file of complete) {
      await file.writeAll(this.#yieldTurn)
      await watch(file.flush())
      file.seal()
    }
    if (!this.#isDirty) return
    this.#isDirty = false
    const newest = this.#files.at(-1)
    if (newest !== undefined) await watch(newest.flush())
  }

  /** Removes files whose records are all gone; the newest one stays. Returns how many. */
  removeBelow(minPhysicalOffset: number): number {
    let removed = 0
    while (this.#files.length > 1) {
      const oldest = this.#files[0]
      if (oldest === undefined || oldest.header.endPhysicalOffset >= minPhysicalOffset) break
      if (this.#unsealed.includes(oldest)) break
      oldest.remove()
      this.#files.shift()
      removed++
    }
    return removed
  }

  /** Leaves the newest file as a reader of the files alone needs it; for a clean stop, after `flush`. */
  async finish(): Promise<void> {
    this.#addBatch()
    const newest = this.#files.at(-1)
    await newest?.writeAll(this.#yieldTurn)
    await newest?.flush()
  }

  close(): void {
    for (const file of this.#files) file.close()
  }

  #startFile(complete: IndexFile | undefined): IndexFile {
    if (complete?.isWritable === true) {
      this.#unsealed.push(complete)
    }
    this.#disk.makeDirectorySync(this.#directory)
    const newestName = this.#files.at(-1)?.path.slice(-17) ?? ''
    const file = this.#fileOf(`${this.#directory}/${nextName(this.#clock.now(), newestName)}`)
    file.create()
    this.#hasNewFile = true
    this.#files.push(file)
    return file
  }

  #fileOf(path: string): IndexFile {
    return new IndexFile({
      disk: this.#disk,
      path,
      slotCount: this.#slotCount,
      maxEntries: this.#maxEntries,
    })
  }
}

function emptyBatch(entries: number): IndexBatch {
  return {
    keyHashes: new Int32Array(entries),
    physicalOffsets: new Float64Array(entries),
    storeTimestamps: new Float64Array(entries),
  }
}

function nameOfPath(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** `yyyyMMddHHmmssSSS` of the local time; later than the newest name, whatever the clock says, since readers sort by name. */
function nextName(now: number, newestName: string): string {
  const name = nameOf(now)
  return name > newestName ? name : String(BigInt(newestName) + 1n).padStart(17, '0')
}

function nameOf(timestamp: number): string {
  const date = new Date(timestamp)
  const two = (value: number): string => String(value).padStart(2, '0')
  return (
    String(date.getFullYear()).padStart(4, '0') +
    two(date.getMonth() + 1) +
    two(date.getDate()) +
    two(date.getHours()) +
    two(date.getMinutes()) +
    two(date.getSeconds()) +
    String(date.getMilliseconds()).padStart(3, '0')
  )
}
