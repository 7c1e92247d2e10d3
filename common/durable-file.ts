/** Small files replaced as a whole: after a crash either the old or the new content is there (reliability D2). */
import type { Disk } from './ports.ts'

/**
 * Writes a temporary file beside `path`, syncs it, keeps the old content as `.bak` when asked, renames, and syncs the directory.
 * The directory must exist; `suffix` (`.tmp`) names the temporary file. Throws what the disk throws; the old content is then still readable (at `path`, or as `.bak`).
 */
export function replaceFileDurably(
  disk: Disk,
  path: string,
  content: string | Buffer,
  options: { readonly keepBackup: boolean; readonly suffix?: string } = { keepBackup: false },
): void {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'utf8') : content
  const temporary = `${path}${options.suffix ?? '.tmp'}`
  const file = disk.openSync(temporary, 'write')
  try {
    file.truncateSync(0)
    file.writeSync(bytes, 0, bytes.length, 0)
    file.datasyncSync()
  } finally {
    file.closeSync()
  }
  // Between the two renames only the backup has a name that is read: readers fall back to it.
  if (options.keepBackup && disk.statusSync(path) !== null) disk.renameSync(path, `${path}.bak`)
  disk.renameSync(temporary, path)
  disk.syncDirectorySync(parentOf(path))
}

/**
 * `replaceFileDurably` for large content, off the event loop: `pieces` is taken piece by piece, with other work in between.
 * Rejects with what the disk says; the old content is then still readable (at `path`, or as `.bak`).
 *
 * Once the new content is on disk, `mayReplace` is waited for, and what it gives is asked just before the renames: false keeps the old
 * content, and is the result.
 */
export async function replaceFileInTurns(
  disk: Disk,
  path: string,
  pieces: Iterable<string>,
  options: {
    readonly keepBackup: boolean
    readonly mayReplace?: () => Promise<() => boolean>
  },
): Promise<boolean> {
  const temporary = `${path}.tmp`
  const file = disk.openSync(temporary, 'write')
  try {
    file.truncateSync(0)
    let position = 0
    for (const piece of pieces) {
      const bytes = Buffer.from(piece, 'utf8')
      await file.write(bytes, 0, bytes.length, position)
      position += bytes.length
    }
    await file.datasync()
  } finally {
    file.closeSync()
  }
  const mayReplace = await options.mayReplace?.()
  if (mayReplace?.() === false) return false
  if (options.keepBackup && disk.statusSync(path) !== null) disk.renameSync(path, `${path}.bak`)
  disk.renameSync(temporary, path)
  await disk.syncDirectory(parentOf(path))
  return true
}

/** The directory part of a path, `.` when there is none. */
export function parentOf(path: string): string {
  const at = path.lastIndexOf('/')
  if (at === 0) return '/'
  return at === -1 ? '.' : path.slice(0, at)
}
