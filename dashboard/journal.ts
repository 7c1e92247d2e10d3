/** The last entries of something that happens now and then, kept in a file of JSON lines. */
import { replaceFileDurably } from '../common/durable-file.ts'
import { messageOf } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Disk, Timer, Timers } from '../common/ports.ts'

export interface JournalOptions<Entry> {
  readonly disk: Disk
  readonly timers: Timers
  readonly logger: Logger
  readonly path: string
  /** Older ones go. */
  readonly max: number
  /** Null: a line that is none. */
  readonly entryOf: (value: unknown) => Entry | null
  readonly saveAfterMs: number
}

export class Journal<Entry> {
  readonly #options: JournalOptions<Entry>
  readonly #entries: Entry[] = []
  #timer: Timer | null = null

  constructor(options: JournalOptions<Entry>) {
    this.#options = options
    const { disk, path, max, entryOf } = options
    const lines = disk.readFileSync(path)?.toString('utf8').split('\n') ?? []
    for (const line of lines.slice(-max - 1)) {
      const entry = line === '' ? null : entryOf(parsed(line))
      if (entry !== null) this.#entries.push(entry)
    }
  }

  /** The newest first. */
  get newest(): readonly Entry[] {
    return this.#entries.toReversed()
  }

  add(entry: Entry): void {
    const { max, timers, saveAfterMs } = this.#options
    this.#entries.push(entry)
    if (this.#entries.length > max) this.#entries.splice(0, this.#entries.length - max)
    this.#timer ??= timers.after(saveAfterMs, () => this.save())
  }

  save(): void {
    const { disk, path, logger } = this.#options
    this.#timer?.cancel()
    this.#timer = null
    const content = this.#entries.map((entry) => `${JSON.stringify(entry)}\n`).join('')
    try {
      replaceFileDurably(disk, path, content)
    } catch (error) {
      logger.warn({ err: error, path }, `a journal cannot be written: ${messageOf(error)}`)
    }
  }

  /** Writes what has not been written. */
  close(): void {
    if (this.#timer !== null) this.save()
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return null
  }
}
