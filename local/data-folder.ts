/**
 * The folder of a `gantry dev` cluster, held by one process at a time.
 *
 *     DATA/<pod>/           the volume of a pod: for a broker its store
 *     DATA/logs/<pod>.log   what its process prints; dev.log: what the controller did
 *     DATA/.gantry/         the objects of the last run, what `gantry dev status` reads, configuration files, scratch folders, the lock
 */
import path from 'node:path'
import { replaceFileDurably } from '../common/durable-file.ts'
import { GantryError, messageOf, systemCodeOf } from '../common/errors.ts'
import type { Disk, DiskLock } from '../common/ports.ts'
import { isRecord } from '../operator/json.ts'
import type { LocalKubeSnapshot } from './local-kube.ts'
import type { PodSlot } from './ports.ts'

export type DataFolderErrorCode = 'foreign' | 'inUse' | 'unwritable' | 'corrupt'

/** The folder cannot be used; nothing in it was changed. Exit code 2. */
export class DataFolderError extends GantryError<DataFolderErrorCode> {}

export interface DevState {
  /** Of this file; another number is refused. */
  readonly format: 1
  readonly kube: LocalKubeSnapshot
  readonly slots: Readonly<Record<string, PodSlot>>
}

const OWN_FOLDER = '.gantry'
const STATE_FILE = 'state.json'
const ADMINISTRATOR_FILE = 'administrator.env'
const STATUS_FILE = 'status.json'
const LOCK_FILE = 'lock'

export class DataFolder {
  readonly root: string
  readonly #disk: Disk
  readonly #lock: DiskLock

  private constructor(root: string, disk: Disk, lock: DiskLock) {
    this.root = root
    this.#disk = disk
    this.#lock = lock
  }

  /** Makes the folder when it is missing; throws `DataFolderError`. */
  static open(root: string, disk: Disk): DataFolder {
    const status = disk.statusSync(root)
    if (status !== null && !status.isDirectory) {
      throw new DataFolderError('foreign', `${root} is a file, not a folder`)
    }
    const own = path.join(root, OWN_FOLDER)
    if (status !== null && disk.statusSync(own) === null && disk.listSync(root).length > 0) {
      throw new DataFolderError(
        'foreign',
        `${root} holds files that are not of gantry dev: name another folder with --data`,
      )
    }
    try {
      disk.makeDirectorySync(own)
      disk.makeDirectorySync(path.join(root, 'logs'))
      const lock = disk.lockSync(path.join(own, LOCK_FILE))
      if (lock !== null) return new DataFolder(root, disk, lock)
    } catch (error) {
      const reason = systemCodeOf(error) === 'ERR_SQLITE_ERROR' ? 'read-only' : messageOf(error)
      throw new DataFolderError('unwritable', `${root} cannot be written: ${reason}`, error)
    }
    const pid = pidOf(readStatusFile(root, disk))
    const who = pid === null ? 'another gantry dev' : `another gantry dev (process ${pid})`
    throw new DataFolderError('inUse', `${root} is in use by ${who}`)
  }

  claimFolder(pod: string, claim: string): string {
    return path.join(this.root, claim === 'data' ? pod : `${pod}-${claim}`)
  }

  scratchFolder(pod: string, volume: string): string {
    return path.join(this.root, OWN_FOLDER, 'scratch', pod, volume)
  }

  configFolder(pod: string, volume: string): string {
    return path.join(this.root, OWN_FOLDER, 'config', pod, volume)
  }

  logFile(name: string): string {
    return path.join(this.root, 'logs', `${name}.log`)
  }

  makeFolder(folder: string): void {
    this.#disk.makeDirectorySync(folder)
  }

  /** Only what lies in this data folder. */
  removeFolder(folder: string): void {
    const relative = path.relative(this.root, folder)
    if (relative === '' || relative.startsWith('..')) {
      throw new Error(`${folder} is not in ${this.root}`)
    }
    this.#disk.removeSync(folder)
  }

  writeFile(file: string, content: string): void {
    this.#disk.makeDirectorySync(path.dirname(file))
    const before = this.#disk.readFileSync(file)
    if (before?.toString('utf8') === content) return
    replaceFileDurably(this.#disk, file, content)
  }

  /** Null in a new folder; throws `DataFolderError` (`corrupt`). */
  loadState(): DevState | null {
    const file = path.join(this.root, OWN_FOLDER, STATE_FILE)
    const bytes = this.#disk.readFileSync(file)
    if (bytes === null) return null
    try {
      const state: unknown = JSON.parse(bytes.toString('utf8'))
      if (isState(state)) return state
    } catch (error) {
      throw new DataFolderError('corrupt', `${file} is damaged: ${messageOf(error)}`, error)
    }
    throw new DataFolderError('corrupt', `${file} is of another version of gantry dev`)
  }

  saveState(state: DevState): void {
    const file = path.join(this.root, OWN_FOLDER, STATE_FILE)
    replaceFileDurably(this.#disk, file, JSON.stringify(state))
  }

  /** For a shell to read; returns its path. */
  writeAdministrator(environment: Readonly<Record<string, string>>): string {
    const file = path.join(this.root, OWN_FOLDER, ADMINISTRATOR_FILE)
    const lines = Object.entries(environment).map(([name, value]) => {
      return `export ${name}='${value.replaceAll("'", String.raw`'\''`)}'\n`
    })
    this.writeFile(file, lines.join(''))
    return file
  }

  writeStatus(status: unknown): void {
    this.writeFile(path.join(this.root, OWN_FOLDER, STATUS_FILE), JSON.stringify(status))
  }

  /** Idempotent. */
  close(): void {
    this.#disk.removeSync(path.join(this.root, OWN_FOLDER, STATUS_FILE))
    this.#lock.release()
  }

  /** For `--ephemeral`: takes the whole folder away. */
  removeAll(): void {
    this.#disk.removeSync(this.root)
  }
}

/** What the running `gantry dev` of a data folder last wrote, or null. */
export function readStatusFile(root: string, disk: Disk): unknown {
  const bytes = disk.readFileSync(path.join(root, OWN_FOLDER, STATUS_FILE))
  if (bytes === null) return null
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    // Being replaced by a crash is the only way it can be damaged; then there is nothing to tell.
    return null
  }
}

/** The process that wrote a status file. */
export function pidOf(status: unknown): number | null {
  return isRecord(status) && typeof status['pid'] === 'number' ? status['pid'] : null
}

/** Our own file, written by `saveState`: the format number vouches for the rest. */
function isState(value: unknown): value is DevState {
  return (
    isRecord(value) && value['format'] === 1 && isRecord(value['kube']) && isRecord(value['slots'])
  )
}
