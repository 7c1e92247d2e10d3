/**
 * A disk in memory that can lose what was not synced, tear writes, fill up and fail.
 *
 * Files are sparse pages of 4 KiB. `crash` keeps what was synced; of every page written since, each 512-byte sector is by
 * chance the new or the old one, and names that were created, renamed or removed without a sync of their directory may be
 * either. Handles opened before a crash are dead.
 */
import assert from 'node:assert/strict'
import type {
  Clock,
  Disk,
  DiskEntry,
  DiskFile,
  DiskLock,
  DiskOpenMode,
  DiskSpace,
  DiskStatus,
  Random,
  Timers,
} from '../common/ports.ts'
import {
  PAGE_SIZE,
  beginSync,
  endSync,
  failSync,
  newNode,
  pageForWrite,
  readPages,
  revertUnsynced,
  truncateNode,
  writePages,
} from './file-node.ts'
import type { FileNode } from './file-node.ts'

type DiskOperation =
  | 'write'
  | 'datasync'
  | 'truncate'
  | 'rename'
  | 'open'
  | 'syncDirectory'
  | 'remove'

const CHANGES: ReadonlySet<DiskOperation> = new Set(['write', 'truncate', 'rename', 'remove'])

/** Thrown for planned faults and for wrong use; `code` is the system's. */
class SimulatedDiskError extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(`${code}: ${message}`)
    this.code = code
  }
}

export interface SimulatedDiskOptions {
  readonly clock: Clock
  readonly totalBytes?: number
  /** How long what does not block takes; absent: until the promises of this turn have settled. */
  readonly latency?: DiskLatency
}

export interface DiskLatency {
  readonly timers: Pick<Timers, 'after'>
  /** In milliseconds. */
  readonly of: (operation: 'read' | 'write' | 'datasync' | 'other') => number
}

export class SimulatedDisk implements Disk {
  readonly #clock: Clock
  readonly #latency: DiskLatency | null
  readonly totalBytes: number
  /** Asynchronous reads wait for it. */
  slowReads: Promise<void> = Promise.resolve()
  /** Asynchronous writes wait for it. */
  slowWrites: Promise<void> = Promise.resolve()
  /** When a write went astray last. */
  strayedMs = 0
  /** Bytes that somebody else takes up. */
  foreignBytes = 0
  #names = new Map<string, FileNode>()
  #durableNames = new Map<string, FileNode>()
  #directories = new Set<string>(['/', '.'])
  #locks = new Set<string>()
  #epoch = 0
  /** Syncs that are answered and not done. */
  lies: (operation: 'datasync' | 'syncDirectory', path: string) => boolean = () => false
  /** The volume takes no writes: EROFS. */
  isReadOnly = false
  #faults: { operation: DiskOperation | 'any'; countdown: number; code: string }[] = []
  #heldSyncs: (() => void)[] | null = null
  #misdirected: { readonly pathPart: string; readonly byBytes: number } | null = null
  /** No more than this is used: counted at some time, and all that was written since. */
  #usedAtMost = 0
  /** How often each operation was called. */
  readonly counts: Record<DiskOperation, number> = {
    write: 0,
    datasync: 0,
    truncate: 0,
    rename: 0,
    open: 0,
    syncDirectory: 0,
    remove: 0,
  }

  constructor(options: SimulatedDiskOptions) {
    this.#clock = options.clock
    this.#latency = options.latency ?? null
    this.totalBytes = options.totalBytes ?? 1024 ** 4
  }

  /** The n-th next operation of a kind, or of any (1 = the next), throws `code`; a write does half of its bytes first. */
  failOn(operation: DiskOperation | 'any', nth: number, code: string): void {
    this.#faults.push({ operation, countdown: nth, code })
  }

  /** The next write to a file whose path has `pathPart` lands `byBytes` further on, where it does not belong. */
  misdirectNextWrite(pathPart: string, byBytes: number): void {
    this.#misdirected = { pathPart, byBytes }
  }

  /** From now on `datasync` promises wait until `releaseSyncs`. */
  holdSyncs(): void {
    this.#heldSyncs ??= []
  }

  releaseSyncs(): void {
    const held = this.#heldSyncs ?? []
    this.#heldSyncs = null
    for (const run of held) {
      // A process that is stopped hears of it when it goes on.
      if (this.#latency === null) run()
      else this.#latency.timers.after(0, run)
    }
  }

  /** Nothing that was planned fails any more. */
  forgetFaults(): void {
    this.#faults = []
    this.#misdirected = null
  }

  /** Kills the process: handles die, locks fall, all written bytes stay. */
  kill(): void {
    this.#epoch++
    this.#locks.clear()
    this.#heldSyncs = null
    this.#faults = []
    this.#misdirected = null
  }

  /** Cuts the power. Without `random` all that was not synced is lost. */
  crash(random: Random | null = null): void {
    this.kill()
    const names = new Map(this.#durableNames)
    if (random !== null) {
      for (const path of new Set([...this.#names.keys(), ...names.keys()])) {
        const now = this.#names.get(path)
        if (now === names.get(path) || random.integer(2) === 0) continue
        if (now === undefined) names.delete(path)
        else names.set(path, now)
      }
    }
    for (const node of new Set(names.values())) revertUnsynced(node, random)
    this.#names = names
    this.#durableNames = new Map(names)
    // A folder that had been renamed has its old name again.
    for (const path of names.keys()) this.makeDirectorySync(parentOf(path))
    // Removed files may be there again.
    this.#usedAtMost = this.totalBytes
  }

  openSync(path: string, mode: DiskOpenMode): DiskFile {
    this.#count('open', path)
    let node = this.#names.get(path)
    if (node === undefined) {
      if (mode === 'read') throw new SimulatedDiskError('ENOENT', path)
      assert(this.#directories.has(parentOf(path)), `the folder of ${path} exists`)
      node = newNode(this.#clock.now())
      this.#names.set(path, node)
    }
    return new SimulatedFile(this, path, node)
  }

  listSync(path: string): readonly DiskEntry[] {
    const prefix = path.endsWith('/') ? path : `${path}/`
    const entries = new Map<string, boolean>()
    for (const name of this.#names.keys()) addEntry(entries, prefix, name, false)
    for (const name of this.#directories) addEntry(entries, prefix, name, true)
    return [...entries]
      .map(([name, isDirectory]) => ({ name, isDirectory }))
      .sort((left, right) => (left.name < right.name ? -1 : 1))
  }

  statusSync(path: string): DiskStatus | null {
    const node = this.#names.get(path)
    if (node !== undefined) {
      return { size: node.size, modifiedMs: node.modifiedMs, isDirectory: false }
    }
    return this.#directories.has(path) ? { size: 0, modifiedMs: 0, isDirectory: true } : null
  }

  readFileSync(path: string): Buffer | null {
    const node = this.#names.get(path)
    if (node === undefined) return null
    const target = Buffer.alloc(node.size)
    readPages(node, target, 0, node.size, 0)
    return target
  }

  makeDirectorySync(path: string): void {
    for (let at = path; !this.#directories.has(at); at = parentOf(at)) this.#directories.add(at)
  }

  renameSync(from: string, to: string): void {
    this.#count('rename', from)
    if (this.#directories.has(from)) {
      this.#renameFolder(from, to)
      return
    }
    const node = this.#names.get(from)
    if (node === undefined) throw new SimulatedDiskError('ENOENT', from)
    this.#names.delete(from)
    this.#names.set(to, node)
  }

  #renameFolder(from: string, to: string): void {
    for (const [name, node] of this.#names) {
      if (!name.startsWith(`${from}/`)) continue
      this.#names.delete(name)
      this.#names.set(to + name.slice(from.length), node)
    }
    for (const name of this.#directories) {
      if (name !== from && !name.startsWith(`${from}/`)) continue
      this.#directories.delete(name)
      this.#directories.add(to + name.slice(from.length))
    }
  }

  removeSync(path: string): void {
    this.#names.delete(path)
    for (const name of this.#names.keys()) if (name.startsWith(`${path}/`)) this.#names.delete(name)
    for (const name of this.#directories) {
      if (name === path || name.startsWith(`${path}/`)) this.#directories.delete(name)
    }
  }

  syncDirectorySync(path: string): void {
    this.#count('syncDirectory', path)
    if (this.lies('syncDirectory', path)) return
    for (const [name, node] of this.#names) {
      if (isIn(path, name)) this.#durableNames.set(name, node)
    }
    for (const name of this.#durableNames.keys()) {
      if (isIn(path, name) && !this.#names.has(name)) this.#durableNames.delete(name)
    }
  }

  async syncDirectory(path: string): Promise<void> {
    await this.later('other', () => this.syncDirectorySync(path))
  }

  async createFile(path: string, size: number): Promise<void> {
    await this.later('other', () => {
      const file = this.openSync(path, 'write')
      file.truncateSync(size)
      file.datasyncSync()
    })
  }

  async removeFile(path: string): Promise<void> {
    await this.later('other', () => {
      this.#count('remove', path)
      this.#names.delete(path)
    })
  }

  async removeTree(path: string): Promise<void> {
    await this.later('other', () => {
      this.#count('remove', path)
      this.removeSync(path)
    })
  }

  spaceSync(): DiskSpace {
    const availableBytes = Math.max(0, this.totalBytes - this.foreignBytes - this.#usedBytes())
    return { totalBytes: this.totalBytes, availableBytes }
  }

  lockSync(path: string): DiskLock | null {
    if (this.#locks.has(path)) return null
    this.#locks.add(path)
    const epoch = this.#epoch
    return {
      release: () => {
        if (epoch === this.#epoch) this.#locks.delete(path)
      },
    }
  }

  /** Bytes of a file that were ever written, in whole pages. */
  writtenBytes(path: string): number {
    return (this.#names.get(path)?.pages.size ?? 0) * PAGE_SIZE
  }

  /** A write that is to land elsewhere has not come yet. */
  get isMisdirecting(): boolean {
    return this.#misdirected !== null
  }

  /** What a file would hold after a power cut that loses all that was not synced; null when it would not be there. */
  durableFileSync(path: string): Buffer | null {
    const node = this.#durableNames.get(path)
    if (node === undefined) return null
    const target = Buffer.alloc(node.durableSize)
    for (const [index, page] of node.durablePages) page.copy(target, index * PAGE_SIZE)
    return target
  }

  get epoch(): number {
    return this.#epoch
  }

  /** Flips bits of a file as rot would, past all caches. */
  corrupt(path: string, position: number, mask: number): void {
    const node = this.#names.get(path)
    assert(node !== undefined, `${path} exists`)
    const page = pageForWrite(node, Math.floor(position / PAGE_SIZE))
    const at = position % PAGE_SIZE
    page.writeUInt8(page.readUInt8(at) ^ mask, at)
  }

  write(node: FileNode, path: string, bytes: Buffer, position: number): void {
    const fault = this.#faultOf('write')
    if (this.isReadOnly) throw new SimulatedDiskError('EROFS', path)
    const writable = fault === null ? bytes : bytes.subarray(0, bytes.length >> 1)
    if (!this.#hasRoom(writable.length)) throw new SimulatedDiskError('ENOSPC', path)
    writePages(node, writable, position + this.#strayBytes(path, node, position))
    node.modifiedMs = this.#clock.now()
    if (fault !== null) throw new SimulatedDiskError(fault, path)
  }

  datasyncSync(node: FileNode, path: string): void {
    const fault = this.#faultOf('datasync')
    if (fault !== null) {
      failSync(node)
      throw new SimulatedDiskError(fault, `datasync ${path}`)
    }
    if (!this.lies('datasync', path)) endSync(node, beginSync(node))
  }

  datasync(node: FileNode, path: string): Promise<void> {
    const epoch = this.#epoch
    const snapshot = beginSync(node)
    return new Promise((resolve, reject) => {
      const run = (): void => {
        // After a crash nobody is there to hear of it.
        if (epoch !== this.#epoch) return
        const fault = this.#faultOf('datasync')
        if (fault === null) {
          if (!this.lies('datasync', path)) endSync(node, snapshot)
          resolve()
        } else {
          failSync(node)
          reject(new SimulatedDiskError(fault, `datasync ${path}`))
        }
      }
      const finish = (): void => {
        if (this.#heldSyncs === null) run()
        else this.#heldSyncs.push(run)
      }
      if (this.#latency === null && this.#heldSyncs !== null) finish()
      else this.#wait('datasync', finish)
    })
  }

  truncate(node: FileNode, path: string, size: number): void {
    this.#count('truncate', path)
    truncateNode(node, size)
    node.modifiedMs = this.#clock.now()
  }

  /** After the time that the operation takes, and not at all when the process is killed before. */
  later<Result>(operation: 'read' | 'write' | 'other', run: () => Result): Promise<Result> {
    const epoch = this.#epoch
    return new Promise((resolve, reject) => {
      this.#wait(operation, () => {
        if (epoch !== this.#epoch) return
        try {
          resolve(run())
        } catch (error) {
          reject(error)
        }
      })
    })
  }

  #wait(operation: 'read' | 'write' | 'datasync' | 'other', run: () => void): void {
    if (this.#latency === null) queueMicrotask(run)
    else this.#latency.timers.after(this.#latency.of(operation), run)
  }

  #strayBytes(path: string, node: FileNode, position: number): number {
    const stray = this.#misdirected
    if (stray === null || !path.includes(stray.pathPart)) return 0
    this.#misdirected = null
    this.strayedMs = this.#clock.monotonic()
    // A page that was to be written and is not, and one that was not to be and is.
    pageForWrite(node, Math.floor(position / PAGE_SIZE))
    return stray.byBytes
  }

  #count(operation: DiskOperation, path: string): void {
    const fault = this.#faultOf(operation)
    if (fault !== null) throw new SimulatedDiskError(fault, `${operation} ${path}`)
  }

  #faultOf(operation: DiskOperation): string | null {
    this.counts[operation]++
    for (const fault of this.#faults) {
      const isMeant = fault.operation === operation || fault.operation === 'any'
      if (isMeant && --fault.countdown === 0) return fault.code
    }
    return this.isReadOnly && CHANGES.has(operation) ? 'EROFS' : null
  }

  #usedBytes(): number {
    let pages = 0
    for (const node of this.#names.values()) pages += node.pages.size
    return pages * PAGE_SIZE
  }

  #hasRoom(bytes: number): boolean {
    if (this.totalBytes >= 1024 ** 4) return true
    // What begins and ends within a page, or lands elsewhere, takes whole pages.
    this.#usedAtMost += bytes + 3 * PAGE_SIZE
    if (this.#usedAtMost + this.foreignBytes <= this.totalBytes) return true
    const used = this.#usedBytes()
    this.#usedAtMost = used + bytes + 3 * PAGE_SIZE
    return this.totalBytes - this.foreignBytes - used >= bytes
  }
}

class SimulatedFile implements DiskFile {
  readonly path: string
  readonly #disk: SimulatedDisk
  readonly #node: FileNode
  readonly #epoch: number
  #isClosed = false

  constructor(disk: SimulatedDisk, path: string, node: FileNode) {
    this.path = path
    this.#disk = disk
    this.#node = node
    this.#epoch = disk.epoch
  }

  sizeSync(): number {
    return this.#open().size
  }

  readSync(target: Buffer, targetStart: number, length: number, position: number): number {
    return readPages(this.#open(), target, targetStart, length, position)
  }

  async read(
    target: Buffer,
    targetStart: number,
    length: number,
    position: number,
  ): Promise<number> {
    await this.#disk.slowReads
    return this.#disk.later('read', () => this.readSync(target, targetStart, length, position))
  }

  writeSync(source: Buffer, start: number, length: number, position: number): void {
    const bytes = source.subarray(start, start + length)
    this.#disk.write(this.#open(), this.path, bytes, position)
  }

  async write(source: Buffer, start: number, length: number, position: number): Promise<void> {
    await this.#disk.slowWrites
    await this.#disk.later('write', () => this.writeSync(source, start, length, position))
  }

  datasync(): Promise<void> {
    return this.#disk.datasync(this.#open(), this.path)
  }

  datasyncSync(): void {
    this.#disk.datasyncSync(this.#open(), this.path)
  }

  truncateSync(size: number): void {
    this.#disk.truncate(this.#open(), this.path, size)
  }

  closeSync(): void {
    this.#isClosed = true
  }

  #open(): FileNode {
    assert(!this.#isClosed, `${this.path} is closed`)
    if (this.#epoch !== this.#disk.epoch) throw new SimulatedDiskError('EIO', 'the process is dead')
    return this.#node
  }
}

function addEntry(
  entries: Map<string, boolean>,
  prefix: string,
  name: string,
  isDirectory: boolean,
): void {
  if (!name.startsWith(prefix) || name === prefix) return
  const rest = name.slice(prefix.length)
  const slash = rest.indexOf('/')
  if (slash === -1) entries.set(rest, isDirectory)
  else entries.set(rest.slice(0, slash), true)
}

/** Directly, not in a folder of it. */
function isIn(folder: string, path: string): boolean {
  return (folder === '.' || path.startsWith(folder)) && parentOf(path) === folder
}

function parentOf(path: string): string {
  const at = path.lastIndexOf('/')
  if (at === 0) return '/'
  return at === -1 ? '.' : path.slice(0, at)
}
