/**
 * Folders of many files that are no longer wanted: out of the way at once, and removed off the event loop. 100,000 queues are 300,000
 * names, which take half a minute. What a crash leaves of them goes with the next start.
 */
import type { Disk } from '../common/ports.ts'

const REMOVED_NAME = /\.removed-\d+$/

/** Gives a folder another name, under which `removeFolders` finds it; absent is fine. */
export function putAside(disk: Disk, directory: string): void {
  if (disk.statusSync(directory) === null) return
  let number = 1
  while (disk.statusSync(`${directory}.removed-${number}`) !== null) number++
  disk.renameSync(directory, `${directory}.removed-${number}`)
}

/** True for the name of a folder that was put aside. */
export function isPutAside(name: string): boolean {
  return REMOVED_NAME.test(name)
}

/** Removes all folders in `root` that were put aside, one after the other. */
export async function removeFolders(disk: Disk, root: string): Promise<void> {
  const names = disk
    .listSync(root)
    .filter(({ name, isDirectory }) => isDirectory && isPutAside(name))
  for (const { name } of names) await disk.removeTree(`${root}/${name}`)
}
