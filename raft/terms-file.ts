/**
 * Epochs and configurations of the log, in `raft/terms.json`: replaced as a whole, and on disk before the record that begins an epoch
 * or a configuration is appended. Entries that start at or after the end of the log were never appended, and are dropped.
 */
import { GantryError, messageOf } from '../common/errors.ts'
import { replaceFileDurably } from '../common/durable-file.ts'
import type { Disk } from '../common/ports.ts'
import type { Configuration, Epoch, Member } from './messages.ts'

export class TermsFileError extends GantryError<'corrupt'> {}

export interface Terms {
  readonly epochs: readonly Epoch[]
  /** Oldest first; never empty once the member has joined a group. */
  readonly configurations: readonly Configuration[]
}

const FORMAT = 1

export class TermsFile {
  readonly #disk: Disk
  readonly #path: string

  constructor(disk: Disk, storePathRootDir: string) {
    this.#disk = disk
    this.#path = termsPath(storePathRootDir)
  }

  /** Null when there is none. Throws `TermsFileError` for one that is damaged. */
  read(logEndOffset: number): Terms | null {
    const bytes = this.#disk.readFileSync(this.#path)
    if (bytes === null) return null
    const terms = this.#parse(bytes.toString('utf8'))
    return {
      epochs: terms.epochs.filter(({ startOffset }) => startOffset < logEndOffset),
      configurations: terms.configurations.filter(
        ({ offset }, index) => index === 0 || offset < logEndOffset,
      ),
    }
  }

  /** On disk when it returns; the folder exists. */
  write(terms: Terms): void {
    replaceFileDurably(
      this.#disk,
      this.#path,
      `${JSON.stringify({ format: FORMAT, ...terms }, null, 1)}\n`,
    )
  }

  #parse(text: string): Terms {
    try {
      const json: unknown = JSON.parse(text)
      if (!isObject(json) || json['format'] !== FORMAT) throw new Error(`no format ${FORMAT}`)
      return {
        epochs: listOf(json['epochs'], 'epochs').map((entry) => epochOf(entry)),
        configurations: listOf(json['configurations'], 'configurations').map((entry) => ({
          offset: integerOf(entry, 'offset'),
          members: listOf(entry['members'], 'members').map((member) => memberOf(member)),
        })),
      }
    } catch (error) {
      throw new TermsFileError('corrupt', `${this.#path}: ${messageOf(error)}`, error)
    }
  }
}

type JsonObject = Readonly<Record<string, unknown>>

function isObject(json: unknown): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}

function listOf(json: unknown, name: string): readonly JsonObject[] {
  if (!Array.isArray(json) || !json.every(isObject))
    throw new Error(`${name} is no list of objects`)
  return json
}

function integerOf(json: JsonObject, name: string): number {
  const value = json[name]
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new Error(`${name} is no natural number`)
  }
  return value
}

function epochOf(json: JsonObject): Epoch {
  return { term: integerOf(json, 'term'), startOffset: integerOf(json, 'startOffset') }
}

/** Reads a member as JSON has it, here and in configuration records; throws `Error` naming the field. */
export function memberOf(json: unknown): Member {
  if (!isObject(json)) throw new Error('a member is no object')
  const { role, address } = json
  if (role !== 'voter' && role !== 'learner') throw new Error('role is neither voter nor learner')
  if (typeof address !== 'string') throw new Error('address is no text')
  return { id: integerOf(json, 'id'), role, incarnation: integerOf(json, 'incarnation'), address }
}

/** Where the file of a member is; it is there once the member belongs to a group. */
export function termsPath(storePathRootDir: string): string {
  return `${storePathRootDir}/raft/terms.json`
}
