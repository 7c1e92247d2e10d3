/** The index files of a store, oldest first; the newest takes the entries. */
import type { Clock, Disk } from '../common/ports.ts'
import { IndexFile } from './index-file.ts'
import type { IndexQuery } from './index-file.ts'

export class MessageIndex {
  readonly #disk: Disk
  readonly #clock: Clock
  readonly #directory: string
  readonly #slotCount: number
  readonly #maxEntries: number
  #files: IndexFile[] = []
  /** Complete files whose last bytes are not synced yet. */
  #unsealed: IndexFile[] = []
  #hasNewFile = false
  #isDirty = false

  constructor(options: {
    readonly disk: Disk
    readonly clock: Clock
    readonly directory: string
    readonly slotCount: number
    readonly maxEntries: number
  }) {
    this.#disk = options.disk
    this.#clock = options.clock
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

  get lastUpdateTimestamp(): number {
    return this.#files.at(-1)?.header.endTimestamp ?? 0
  }

  get lastUpdatePhysicalOffset(): number {
    return this.#files.at(-1)?.header.endPhysicalOffset ?? 0
  }

  get count(): number {
    return this.#files.length
  }

  put(keyHash: number, physicalOffset: number, storeTimestamp: number): void {
    let file = this.#files.at(-1)
    if (file === undefined || !file.isWritable || file.isFull) file = this.#startFile(file)
    file.put(keyHash, physicalOffset, storeTimestamp)
    this.#isDirty = true
  }

  /** Physical offsets for a key hash, newest first, until `found` returns false. */
  query(query: IndexQuery, found: (physicalOffset: number) => boolean): void {
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

  writePending(): void {
    if (this.#isDirty) this.#files.at(-1)?.writePending()
  }

  /** fdatasync of everything written. A rejection is final. */
  async flush(): Promise<void> {
    if (this.#hasNewFile) {
      this.#hasNewFile = false
      this.#disk.syncDirectorySync(this.#directory)
    }
    const complete = this.#unsealed
    this.#unsealed = []
    for (const file of complete) {
      file.writeAll()
      await file.flush()
      file.seal()
    }
    if (!this.#isDirty) return
    this.#isDirty = false
    await this.#files.at(-1)?.flush()
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
    const newest = this.#files.at(-1)
    newest?.writeAll()
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
