/**
 * A table that lives in memory and in one JSON file below `config/` (protocol §19.6).
 *
 * The file is replaced as a whole; all saves of one turn of the event loop share one write.
 */
import type { Logger } from '../common/log.ts'
import type { Timers } from '../common/ports.ts'

/** Where the JSON files are kept. */
export interface ConfigFolder {
  /** A file, or its backup when it is missing, empty or refused by `parse`; null when there is neither. Throws when none can be parsed. */
  read<Value>(name: string, parse: (text: string) => Value): Value | null
  /** Replaces a file atomically and durably; the former content becomes `.bak`. Throws when it cannot. */
  write(name: string, content: string): void
}

export interface PersistedFileOptions {
  readonly name: string
  readonly folder: ConfigFolder
  readonly timers: Pick<Timers, 'soon'>
  readonly logger: Logger
  readonly render: () => string
}

export class PersistedFile {
  readonly #options: PersistedFileOptions
  #scheduled: Promise<void> | null = null

  constructor(options: PersistedFileOptions) {
    this.#options = options
  }

  read<Value>(parse: (text: string) => Value): Value | null {
    return this.#options.folder.read(this.#options.name, parse)
  }

  /** Resolves when the table as it is now, or a later state of it, is on disk; rejects when it could not be written. */
  save(): Promise<void> {
    this.#scheduled ??= new Promise((resolve, reject) => {
      this.#options.timers.soon(() => {
        this.#scheduled = null
        try {
          this.saveNow()
          resolve()
        } catch (error) {
          reject(error)
        }
      })
    })
    return this.#scheduled
  }

  /** Writes at once; throws when it cannot. */
  saveNow(): void {
    const { name, folder, render, logger } = this.#options
    try {
      folder.write(name, render())
    } catch (error) {
      logger.error({ file: name, err: error }, 'a configuration file could not be written')
      throw error
    }
  }
}
