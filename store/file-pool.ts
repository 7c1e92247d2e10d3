/** Open files of a store, at most so many: the least recently used are closed, and opened again when needed. */
import type { Disk, DiskFile, DiskOpenMode } from '../common/ports.ts'
import { finalSync } from './errors.ts'

interface PooledFile {
  readonly file: DiskFile
  lastUse: number
  /** Asynchronous operations under way; such a file is closed after the last of them. */
  pins: number
  isForgotten: boolean
  /** Called when a forgotten file has been closed. */
  onClosed: (() => void) | null
}

export class FilePool {
  readonly #disk: Disk
  readonly #maxOpen: number
  readonly mode: DiskOpenMode
  readonly #files = new Map<string, PooledFile>()
  #uses = 0

  constructor(disk: Disk, maxOpen: number, mode: DiskOpenMode = 'write') {
    this.#disk = disk
    this.mode = mode
    this.#maxOpen = maxOpen
  }

  /** The file, opened (and with mode 'write' created) when it is not open yet. Valid until the next call. */
  file(path: string): DiskFile {
    return this.#entry(path).file
  }

  async read(
    path: string,
    range: {
      readonly target: Buffer
      readonly targetStart: number
      readonly length: number
      readonly position: number
    },
  ): Promise<number> {
    const entry = this.#entry(path)
    entry.pins++
    try {
      return await entry.file.read(range.target, range.targetStart, range.length, range.position)
    } finally {
      unpin(entry)
    }
  }

  async datasync(path: string): Promise<void> {
    const entry = this.#entry(path)
    entry.pins++
    try {
      await finalSync(path, entry.file.datasync())
    } finally {
      unpin(entry)
    }
  }

  async write(path: string, source: Buffer, position: number): Promise<void> {
    const entry = this.#entry(path)
    entry.pins++
    try {
      await entry.file.write(source, 0, source.length, position)
    } finally {
      unpin(entry)
    }
  }

  /**
   * Removes a file off the event loop, once nobody reads it any more: the one that closes a removed file last would have to wait
   * until its blocks are freed.
   */
  async remove(path: string): Promise<void> {
    const entry = this.#files.get(path)
    if (entry !== undefined) {
      this.#files.delete(path)
      const closed = new Promise<void>((resolve) => {
        entry.onClosed = resolve
      })
      close(entry)
      await closed
    }
    await this.#disk.removeFile(path)
  }

  /** Closes the file when it is open; call it before removing the file. */
  forget(path: string): void {
    const entry = this.#files.get(path)
    if (entry === undefined) return
    this.#files.delete(path)
    close(entry)
  }

  closeAll(): void {
    for (const entry of this.#files.values()) close(entry)
    this.#files.clear()
  }

  #entry(path: string): PooledFile {
    const found = this.#files.get(path)
    if (found !== undefined) {
      found.lastUse = ++this.#uses
      return found
    }
    if (this.#files.size >= this.#maxOpen) this.#closeOldest()
    const entry = {
      file: this.#disk.openSync(path, this.mode),
      lastUse: ++this.#uses,
      pins: 0,
      isForgotten: false,
      onClosed: null,
    }
    this.#files.set(path, entry)
    return entry
  }

  /** Closes a quarter at once, so that the search costs little per file. */
  #closeOldest(): void {
    const byAge = [...this.#files]
      .filter(([, entry]) => entry.pins === 0)
      .sort(([, left], [, right]) => left.lastUse - right.lastUse)
    for (const [path, entry] of byAge.slice(0, Math.ceil(this.#maxOpen / 4))) {
      this.#files.delete(path)
      entry.file.closeSync()
    }
  }
}

function unpin(entry: PooledFile): void {
  entry.pins--
  if (entry.isForgotten) close(entry)
}

function close(entry: PooledFile): void {
  entry.isForgotten = true
  if (entry.pins > 0) return
  entry.file.closeSync()
  entry.onClosed?.()
}
