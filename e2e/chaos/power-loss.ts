/** Power cuts: what a killed process had written without a sync is taken back (`power-loss.c` has noted it). */
import fs from 'node:fs'
import path from 'node:path'
import { ROOT, run } from '../environment.ts'

const HEAD = 41
const BLOCK = 4096

interface Entry {
  readonly type: string
  readonly sequence: number
  readonly inode: number
  readonly offset: number
  readonly oldSize: number
  readonly data: Buffer
}

/** Builds the library that notes; its path. */
export async function buildJournal(folder: string): Promise<string> {
  const library = path.join(folder, 'power-loss.so')
  const source = path.join(ROOT, 'e2e', 'chaos', 'power-loss.c')
  const flags = ['-shared', '-fPIC', '-O2', '-Wno-format-truncation']
  await run('cc', [...flags, '-o', library, source, '-ldl', '-lpthread'])
  return library
}

/** What a process needs in its environment so that its writes below `root` can be taken back. */
export function journalEnvironment(
  library: string,
  journal: string,
  root: string,
): Readonly<Record<string, string>> {
  return {
    LD_PRELOAD: library,
    GANTRY_JOURNAL: journal,
    GANTRY_JOURNAL_ROOT: root,
    // The library sees what goes through the C library only.
    UV_USE_IO_URING: '0',
  }
}

export interface PowerLoss {
  readonly undoneWrites: number
  readonly undoneBytes: number
  readonly undoneNames: number
}

/**
 * Brings the files below `root` to a state in which a power cut could have left them, and forgets the journal. `survives` decides for
 * each block of 4 KiB of an unsynced write whether it had reached the disk all the same: never, for the cut that loses most.
 */
export function losePower(journal: string, root: string, survives: () => boolean): PowerLoss {
  const entries = readJournal(journal)
  const synced = new Map<string, number>()
  for (const { type, inode, offset, data } of entries) {
    if (type === 'S') synced.set(`inode ${inode}`, offset)
    if (type === 'D') synced.set(textsOf(data)[0] ?? '', offset)
  }
  const undo = new Undo(root, survives)
  for (const entry of entries.toReversed()) {
    const { type, inode, sequence } = entry
    const isSynced = (key: string) => sequence < (synced.get(key) ?? 0)
    if (type === 'W' || type === 'T') {
      if (!isSynced(`inode ${inode}`)) undo.content(entry)
    } else if (type === 'C' || type === 'R' || type === 'U') {
      const [name = ''] = textsOf(entry.data)
      if (!isSynced(path.dirname(name))) undo.name(entry)
    }
  }
  undo.close()
  const folder = path.dirname(journal)
  for (const name of fs.readdirSync(folder)) {
    if (name.startsWith(path.basename(journal))) fs.rmSync(path.join(folder, name))
  }
  return undo.done
}

/** The entries in their order; one that the kill has cut short never happened. */
function readJournal(file: string): readonly Entry[] {
  const bytes = fs.readFileSync(file)
  const entries: Entry[] = []
  for (let at = 0; at + HEAD <= bytes.length;) {
    const size = Number(bytes.readBigUInt64LE(at + 25))
    if (at + HEAD + size > bytes.length) break
    entries.push({
      type: String.fromCharCode(bytes.readUInt8(at)),
      sequence: Number(bytes.readBigUInt64LE(at + 1)),
      inode: Number(bytes.readBigUInt64LE(at + 9)),
      offset: Number(bytes.readBigUInt64LE(at + 17)),
      oldSize: Number(bytes.readBigUInt64LE(at + 33)),
      data: bytes.subarray(at + HEAD, at + HEAD + size),
    })
    at += HEAD + size
  }
  return entries
}

class Undo {
  readonly done: { undoneWrites: number; undoneBytes: number; undoneNames: number } = {
    undoneWrites: 0,
    undoneBytes: 0,
    undoneNames: 0,
  }
  readonly #survives: () => boolean
  readonly #pathOf = new Map<number, string>()
  readonly #open = new Map<number, number>()
  /** Blocks whose newest write has survived: what is older stays as well. */
  readonly #survived = new Set<string>()

  constructor(root: string, survives: () => boolean) {
    this.#survives = survives
    for (const entry of fs.readdirSync(root, { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) this.#learn(path.join(entry.parentPath, entry.name))
    }
  }

  content({ type, inode, offset, oldSize, data }: Entry): void {
    const fd = this.#descriptor(inode)
    if (fd === null) return
    this.done.undoneWrites++
    if (type === 'T') {
      fs.ftruncateSync(fd, oldSize)
      return
    }
    const size = fs.fstatSync(fd).size
    let keepsLength = false
    for (let at = offset; at < Math.max(offset + data.length, size > oldSize ? size : 0);) {
      const end = Math.min(
        (Math.floor(at / BLOCK) + 1) * BLOCK,
        Math.max(offset + data.length, size),
      )
      const block = `${inode} ${Math.floor(at / BLOCK)}`
      if (this.#survived.has(block) || this.#survives()) {
        this.#survived.add(block)
        if (end > oldSize) keepsLength = true
      } else {
        const old = Buffer.alloc(end - at)
        data.copy(old, 0, at - offset, end - offset)
        fs.writeSync(fd, old, 0, old.length, at)
        this.done.undoneBytes += end - at
      }
      at = end
    }
    if (size > oldSize && !keepsLength) fs.ftruncateSync(fd, oldSize)
  }

  name({ type, data }: Entry): void {
    const [first = '', second = '', third = ''] = textsOf(data)
    this.done.undoneNames++
    if (type === 'C') {
      fs.rmSync(first, { force: true })
    } else if (type === 'U') {
      fs.mkdirSync(path.dirname(first), { recursive: true })
      fs.renameSync(second, first)
      this.#learn(first)
    } else {
      if (fs.existsSync(second)) {
        fs.renameSync(second, first)
        this.#learn(first)
      }
      if (third !== '') {
        fs.renameSync(third, second)
        this.#learn(second)
      }
    }
  }

  close(): void {
    for (const fd of this.#open.values()) fs.closeSync(fd)
  }

  #learn(file: string): void {
    this.#pathOf.set(fs.statSync(file).ino, file)
  }

  #descriptor(inode: number): number | null {
    const open = this.#open.get(inode)
    if (open !== undefined) return open
    const file = this.#pathOf.get(inode)
    if (file === undefined || !fs.existsSync(file)) return null
    const fd = fs.openSync(file, 'r+')
    this.#open.set(inode, fd)
    return fd
  }
}

function textsOf(data: Buffer): readonly string[] {
  return data.toString('utf8').split('\0')
}
