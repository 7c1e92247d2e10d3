/** The folder of a store: what must hold before anything in it is touched, the lock, and the `abort` file (protocol §19.5). */
import { messageOf } from '../common/errors.ts'
import type { Disk, DiskLock } from '../common/ports.ts'
import { StoreError } from './errors.ts'
import { isPutAside } from './removed-folders.ts'

/** What RocketMQ and Gantry keep in a store folder, and what file systems do. */
const KNOWN_NAMES: ReadonlySet<string> = new Set([
  'commitlog',
  'consumequeue',
  'consumequeue_ext',
  'batchconsumequeue',
  'compaction',
  'index',
  'config',
  'timerwheel',
  'timerlog',
  'checkpoint',
  'queuepositions',
  'queuepositions.tmp',
  'abort',
  'lock',
  'raft',
  'lost+found',
  '.snapshot',
])

/**
 * Creates the folder when it is missing and locks it. Throws `StoreError` `foreign`, `unwritable` or `locked` and has then changed
 * nothing in it.
 */
export function openDataFolder(disk: Disk, root: string): DiskLock {
  assertNotForeign(disk, root)
  let lock: DiskLock | null = null
  try {
    disk.makeDirectorySync(root)
    lock = disk.lockSync(`${root}/lock`)
    if (lock !== null) probe(disk, root)
  } catch (error) {
    lock?.release()
    throw new StoreError('unwritable', `${root} cannot be written: ${messageOf(error)}`, error)
  }
  if (lock === null) {
    throw new StoreError('locked', `${root} is in use by another broker process`)
  }
  return lock
}

/** True when the store was not closed in order. */
export function wasAborted(disk: Disk, root: string): boolean {
  return disk.statusSync(`${root}/abort`) !== null
}

export function markRunning(disk: Disk, root: string): void {
  const file = disk.openSync(`${root}/abort`, 'write')
  file.closeSync()
  disk.syncDirectorySync(root)
}

export function markClosed(disk: Disk, root: string): void {
  disk.removeSync(`${root}/abort`)
  disk.syncDirectorySync(root)
}

function assertNotForeign(disk: Disk, root: string): void {
  const status = disk.statusSync(root)
  if (status === null) return
  if (!status.isDirectory) throw new StoreError('unwritable', `${root} is a file, not a folder`)
  const names = list(disk, root)
  if (names.includes('commitlog')) return
  const strange = names.find((name) => !KNOWN_NAMES.has(name) && !isPutAside(name))
  if (strange !== undefined) {
    throw new StoreError(
      'foreign',
      `${root} is no RocketMQ store: it holds ${strange} and no commitlog; give an empty folder or a store`,
    )
  }
}

function list(disk: Disk, root: string): readonly string[] {
  try {
    return disk.listSync(root).map((entry) => entry.name)
  } catch (error) {
    throw new StoreError('unwritable', `${root} cannot be read: ${messageOf(error)}`, error)
  }
}

/** Writes and removes a file of Gantry's own, so that a read-only volume is told at the start. */
function probe(disk: Disk, root: string): void {
  const path = `${root}/.gantry-probe`
  const file = disk.openSync(path, 'write')
  try {
    file.writeSync(Buffer.from('probe'), 0, 5, 0)
  } finally {
    file.closeSync()
    disk.removeSync(path)
  }
}
