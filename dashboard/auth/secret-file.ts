/** Files that only their owner may read. */
import { chmodSync, closeSync, openSync } from 'node:fs'
import { replaceFileDurably } from '../../common/durable-file.ts'
import type { Disk } from '../../common/ports.ts'

const OWNER_ONLY = 0o600

/** Replaces the file as a whole; it is never there with wider permissions. */
export function writeSecretFile(disk: Disk, path: string, content: string): void {
  const temporary = `${path}.tmp`
  disk.removeSync(temporary)
  // Made with its mode, and filled afterwards.
  closeSync(openSync(temporary, 'w', OWNER_ONLY))
  chmodSync(temporary, OWNER_ONLY)
  replaceFileDurably(disk, path, content)
}
