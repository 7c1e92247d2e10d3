/** A file of the simulated disk: sparse pages as the processes see them, and as they would be after a power cut. */
import type { Random } from '../common/ports.ts'

export const PAGE_SIZE = 4096
const SECTOR_SIZE = 512

export interface FileNode {
  pages: Map<number, Buffer>
  size: number
  durablePages: Map<number, Buffer>
  durableSize: number
  /** Pages that a sync has to put on disk. */
  dirty: Set<number>
  /** Pages that a failed sync has given up: clean to the kernel, and not on disk. */
  abandoned: Set<number>
  /** Pages that a sync under way or the durable state holds: copied before they change. */
  shared: Set<number>
  modifiedMs: number
}

/** What a sync puts on disk: the pages as they were when it began. */
export interface SyncSnapshot {
  readonly pages: ReadonlyMap<number, Buffer | undefined>
  readonly size: number
}

export function newNode(modifiedMs: number): FileNode {
  return {
    pages: new Map(),
    size: 0,
    durablePages: new Map(),
    durableSize: 0,
    dirty: new Set(),
    abandoned: new Set(),
    shared: new Set(),
    modifiedMs,
  }
}

export function pageForWrite(node: FileNode, index: number): Buffer {
  let page = node.pages.get(index)
  if (page === undefined || node.shared.delete(index)) {
    page = page === undefined ? Buffer.alloc(PAGE_SIZE) : Buffer.from(page)
    node.pages.set(index, page)
  }
  return page
}

export function writePages(node: FileNode, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length;) {
    const at = (position + done) % PAGE_SIZE
    const index = Math.floor((position + done) / PAGE_SIZE)
    const count = Math.min(PAGE_SIZE - at, bytes.length - done)
    bytes.copy(pageForWrite(node, index), at, done, done + count)
    node.dirty.add(index)
    node.abandoned.delete(index)
    done += count
  }
  node.size = Math.max(node.size, position + bytes.length)
}

export function readPages(
  node: FileNode,
  target: Buffer,
  targetStart: number,
  length: number,
  position: number,
): number {
  const count = Math.max(0, Math.min(length, node.size - position))
  for (let done = 0; done < count;) {
    const at = (position + done) % PAGE_SIZE
    const step = Math.min(PAGE_SIZE - at, count - done)
    const page = node.pages.get(Math.floor((position + done) / PAGE_SIZE))
    if (page === undefined) target.fill(0, targetStart + done, targetStart + done + step)
    else page.copy(target, targetStart + done, at, at + step)
    done += step
  }
  return count
}

export function truncateNode(node: FileNode, size: number): void {
  const lastPage = Math.floor(size / PAGE_SIZE)
  for (const index of node.pages.keys()) {
    if (index > lastPage || (index === lastPage && size % PAGE_SIZE === 0)) {
      node.pages.delete(index)
      node.dirty.add(index)
    } else if (index === lastPage) {
      pageForWrite(node, index).fill(0, size % PAGE_SIZE)
      node.dirty.add(index)
    }
  }
  node.size = size
}

export function beginSync(node: FileNode): SyncSnapshot {
  const pages = new Map<number, Buffer | undefined>()
  for (const index of node.dirty) {
    const page = node.pages.get(index)
    if (page !== undefined) node.shared.add(index)
    pages.set(index, page)
  }
  return { pages, size: node.size }
}

export function endSync(node: FileNode, snapshot: SyncSnapshot): void {
  for (const [index, page] of snapshot.pages) {
    if (page === undefined) node.durablePages.delete(index)
    else node.durablePages.set(index, page)
    if (node.pages.get(index) !== page) continue
    node.dirty.delete(index)
    node.abandoned.delete(index)
  }
  node.durableSize = snapshot.size
}

/** The kernel forgets what it could not write: the pages are clean, and later syncs pass them over (fsyncgate). */
export function failSync(node: FileNode): void {
  for (const index of node.dirty) node.abandoned.add(index)
  node.dirty.clear()
}

export function revertUnsynced(node: FileNode, random: Random | null): void {
  for (const index of new Set([...node.dirty, ...node.abandoned])) {
    const before = node.durablePages.get(index)
    const after = node.pages.get(index)
    const torn = random === null ? before : tornPage(before, after, random)
    if (torn === undefined) node.pages.delete(index)
    else node.pages.set(index, torn)
  }
  node.size = random === null || random.integer(2) === 0 ? node.durableSize : node.size
  for (const index of node.pages.keys()) {
    if (index * PAGE_SIZE >= node.size) node.pages.delete(index)
  }
  for (const index of node.abandoned) node.dirty.add(index)
  node.abandoned.clear()
  endSync(node, beginSync(node))
}

function tornPage(before: Buffer | undefined, after: Buffer | undefined, random: Random): Buffer {
  const page = before === undefined ? Buffer.alloc(PAGE_SIZE) : Buffer.from(before)
  for (let at = 0; at < PAGE_SIZE; at += SECTOR_SIZE) {
    if (random.integer(2) === 0) continue
    if (after === undefined) page.fill(0, at, at + SECTOR_SIZE)
    else after.copy(page, at, at, at + SECTOR_SIZE)
  }
  return page
}
