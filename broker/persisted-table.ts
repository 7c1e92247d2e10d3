/**
 * A table that lives in memory and in one JSON file below `config/` (protocol §19.6).
 *
 * The file is replaced as a whole, in pieces, so that a table of a hundred thousand entries does not stop the event loop. All saves that
 * come before the next write begins share it; one write is under way at a time.
 *
 * A change made while the file is being written may stand in it or not, entry by entry: whoever made it has asked for a save of its own,
 * which follows.
 */
import type { Logger } from '../common/log.ts'
import type { Timers } from '../common/ports.ts'

/** Where the JSON files are kept. */
export interface ConfigFolder {
  /** A file, or its backup when it is missing, empty or refused by `parse`; null when there is neither. Throws when none can be parsed. */
  read<Value>(name: string, parse: (text: string) => Value): Value | null
  /**
   * Replaces a file atomically and durably, its text asked for piece by piece; the former content becomes `.bak`. Rejects when it cannot.
   * Once the new text is on disk, `mayReplace` is waited for; what it gives is asked just before the file takes its name: false leaves
   * everything as it was, and is the result.
   */
  write(name: string, pieces: Iterable<string>, mayReplace: MayReplace): Promise<boolean>
  /** Replaces a file atomically and durably before it returns, also while it is being written. Throws when it cannot. */
  replace(name: string, text: string): void
}

export type MayReplace = () => Promise<() => boolean>

export interface PersistedFileOptions {
  readonly name: string
  readonly folder: ConfigFolder
  readonly timers: Pick<Timers, 'soon'>
  readonly logger: Logger
  /** The text of the file as the table is now, in pieces that take a few milliseconds each. */
  readonly render: () => Iterable<string>
  readonly mayReplace: MayReplace
  /** The text that `render` gave last is on disk under its name. */
  readonly written: () => void
}

/** Entries of a table in one piece. */
const PIECE_ENTRIES = 1000

export class PersistedFile {
  readonly #options: PersistedFileOptions
  /** The write that has not begun: it will hold all that has changed until now. */
  #planned: Promise<void> | null = null
  /** The write that has begun, or the last one; never rejects. */
  #running: Promise<void> = Promise.resolve()

  constructor(options: PersistedFileOptions) {
    this.#options = options
  }

  read<Value>(parse: (text: string) => Value): Value | null {
    return this.#options.folder.read(this.#options.name, parse)
  }

  /** Resolves when the table as it is now, or a later state of it, is on disk; rejects when it could not be written. */
  save(): Promise<void> {
    this.#planned ??= this.#saveNext()
    return this.#planned
  }

  /** Resolves when nothing is being written any more. */
  async settled(): Promise<void> {
    // Whoever asked for the save is told of its failure.
    await this.#planned?.catch(() => undefined)
    await this.#running
  }

  async #saveNext(): Promise<void> {
    await new Promise<void>((resolve) => this.#options.timers.soon(resolve))
    await this.#running
    this.#planned = null
    const writing = this.#write()
    this.#running = writing.catch(() => undefined)
    await writing
  }

  async #write(): Promise<void> {
    const { name, folder, render, mayReplace, written, logger } = this.#options
    try {
      if (await folder.write(name, render(), mayReplace)) written()
    } catch (error) {
      logger.error({ file: name, err: error }, 'a configuration file could not be written')
      throw error
    }
  }
}

/** `before`, the entries separated by commas, `after`: in pieces of many entries. */
export function* tablePieces(
  before: string,
  entries: Iterable<string>,
  after: string,
): Iterable<string> {
  let text = before
  let count = 0
  for (const entry of entries) {
    text += count === 0 ? entry : `,${entry}`
    count++
    if (count % PIECE_ENTRIES !== 0) continue
    yield text
    text = ''
  }
  yield text + after
}
