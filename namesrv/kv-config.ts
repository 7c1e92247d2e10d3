/**
 * The KV config: texts by namespace and key, kept in one JSON file of RocketMQ's form (`{"configTable":{namespace:{key:value}}}`),
 * which is replaced atomically at each change. A change counts once it is on disk.
 */
import { GantryError, messageOf } from '../common/errors.ts'
import type { Disk } from '../common/ports.ts'
import { formatFastjson, parseFastjson } from '../remoting/bodies/fastjson.ts'
import { asObject, optionalObject, textEntries, textMap } from '../remoting/bodies/json-members.ts'

export const ORDER_TOPIC_CONFIG = 'ORDER_TOPIC_CONFIG'

export type KvConfigErrorCode =
  /** The file cannot be read as a KV config. */
  'corrupt' | 'unwritable' | 'full'

export class KvConfigError extends GantryError<KvConfigErrorCode> {}

/** Most entries of all namespaces together. */
const MAX_ENTRIES = 100_000

type Table = ReadonlyMap<string, ReadonlyMap<string, string>>

export class KvConfig {
  readonly #disk: Disk
  readonly #path: string
  #table: Table

  private constructor(disk: Disk, path: string, table: Table) {
    this.#disk = disk
    this.#path = path
    this.#table = table
  }

  /** Reads the file, or starts empty; throws `KvConfigError` when it is no KV config, or when its folder takes no file. */
  static open(disk: Disk, path: string): KvConfig {
    const kvConfig = new KvConfig(disk, path, read(disk, path))
    kvConfig.#probe()
    return kvConfig
  }

  get(namespace: string, key: string): string | null {
    return this.#table.get(namespace)?.get(key) ?? null
  }

  /** Null when the namespace never had an entry. */
  list(namespace: string): ReadonlyMap<string, string> | null {
    return this.#table.get(namespace) ?? null
  }

  /** Throws `KvConfigError` when it cannot be written; then nothing has changed. */
  put(namespace: string, key: string, value: string): void {
    if (this.get(namespace, key) === value) return
    const entries = [...this.#table.values()].reduce((sum, { size }) => sum + size, 0)
    if (entries >= MAX_ENTRIES && this.get(namespace, key) === null) {
      throw new KvConfigError('full', `the KV config holds no more than ${MAX_ENTRIES} entries`)
    }
    const changed = new Map(this.#table.get(namespace)).set(key, value)
    this.#replace(new Map(this.#table).set(namespace, changed))
  }

  /** Absent is fine; throws `KvConfigError` when the change cannot be written. */
  delete(namespace: string, key: string): void {
    if (this.get(namespace, key) === null) return
    const changed = new Map(this.#table.get(namespace))
    changed.delete(key)
    this.#replace(new Map(this.#table).set(namespace, changed))
  }

  #replace(table: Table): void {
    const content = formatFastjson({ configTable: table })
    try {
      const temporary = `${this.#path}.tmp`
      const file = this.#disk.openSync(temporary, 'write')
      try {
        file.truncateSync(0)
        file.writeSync(content, 0, content.length, 0)
        file.datasyncSync()
      } finally {
        file.closeSync()
      }
      this.#disk.renameSync(temporary, this.#path)
      this.#disk.syncDirectorySync(parentOf(this.#path))
    } catch (error) {
      throw unwritable(this.#path, error)
    }
    this.#table = table
  }

  /** That nothing can be written is better known at the start than at the first change. */
  #probe(): void {
    const probe = `${this.#path}.probe`
    try {
      this.#disk.makeDirectorySync(parentOf(this.#path))
      this.#disk.openSync(probe, 'write').closeSync()
      this.#disk.removeSync(probe)
    } catch (error) {
      throw unwritable(this.#path, error)
    }
  }
}

function read(disk: Disk, path: string): Table {
  try {
    const content = disk.readFileSync(path)
    if (content === null) return new Map<string, ReadonlyMap<string, string>>()
    const table = optionalObject(asObject(parseFastjson(content), 'the file'), 'configTable')
    const namespaces = table === null ? [] : textEntries(table)
    return new Map(
      namespaces.map(([namespace, entries]) => [namespace, textMap(asObject(entries, namespace))]),
    )
  } catch (error) {
    throw new KvConfigError(
      'corrupt',
      `the KV config ${path} cannot be read: ${messageOf(error)}`,
      error,
    )
  }
}

function unwritable(path: string, error: unknown): KvConfigError {
  return new KvConfigError(
    'unwritable',
    `the KV config ${path} cannot be written: ${messageOf(error)}`,
    error,
  )
}

function parentOf(path: string): string {
  const at = path.lastIndexOf('/')
  return at < 0 ? '.' : at === 0 ? '/' : path.slice(0, at)
}
