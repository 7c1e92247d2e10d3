/** The files of `config/`: whole JSON texts, replaced atomically, the previous one kept as `.bak` (protocol §19.6). */
import { parentOf, replaceFileDurably, replaceFileInTurns } from '../common/durable-file.ts'
import { messageOf } from '../common/errors.ts'
import type { Disk } from '../common/ports.ts'
import { StoreError } from './errors.ts'

/**
 * Parses a configuration file, or its `.bak` when it is missing, empty or rejected by `parse`; null when neither exists.
 *
 * Throws `StoreError` `corrupt` when a file is there but none can be parsed, so that state is never lost silently.
 */
export function readConfigFile<Value>(
  disk: Disk,
  path: string,
  parse: (text: string) => Value,
): Value | null {
  let firstProblem: StoreError | null = null
  for (const candidate of [path, `${path}.bak`]) {
    const bytes = disk.readFileSync(candidate)
    if (bytes === null || bytes.length === 0) continue
    try {
      return parse(bytes.toString('utf8'))
    } catch (error) {
      const reason = `${candidate} cannot be read: ${messageOf(error)}`
      firstProblem ??= new StoreError('corrupt', reason, error)
    }
  }
  if (firstProblem !== null) throw firstProblem
  return null
}

/**
 * Replaces a configuration file; creates its folder when missing. `pieces` of its text are asked for one by one; `mayReplace` as in
 * `replaceFileInTurns`.
 */
export async function writeConfigFile(
  disk: Disk,
  path: string,
  pieces: Iterable<string>,
  mayReplace: () => Promise<() => boolean> = anytime,
): Promise<boolean> {
  disk.makeDirectorySync(parentOf(path))
  return replaceFileInTurns(disk, path, pieces, { keepBackup: true, mayReplace })
}

/** Replaces a configuration file before it returns, also while `writeConfigFile` works on it. */
export function replaceConfigFile(disk: Disk, path: string, text: string): void {
  disk.makeDirectorySync(parentOf(path))
  replaceFileDurably(disk, path, text, { keepBackup: false, suffix: '.new' })
}

function anytime(): Promise<() => boolean> {
  return Promise.resolve(() => true)
}
