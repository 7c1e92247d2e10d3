/**
 * The tables of a broker group (topics, consumer groups, offsets, …): state that every member has, because it stands in the log.
 *
 * A change is a control record `{"type":"table","table":NAME,"change":…}`. It is applied on every member when it is committed, in the order
 * of the log, by the same function: equal logs give equal tables. The leader's caller waits for that, and then sees it.
 *
 * The JSON files of `config/` are snapshots, in RocketMQ's own formats. Each says in its last member, `gantryLogOffset`, which part of the
 * log it holds; a start reads the file and applies the records behind that. A Java broker passes the member over and writes its files
 * without it: such a file is newer than every record in the log, since only Gantry writes records, and counts as it is.
 */
import assert from 'node:assert/strict'
import { GantryError } from '../common/errors.ts'
import { formatFastjson, parseFastjson } from '../remoting/bodies/fastjson.ts'
import { asObject, optionalInteger, textMember } from '../remoting/bodies/json-members.ts'
import { PersistedFile } from './persisted-table.ts'
import type { ConfigFolder } from './persisted-table.ts'
import type { Logger } from '../common/log.ts'
import type { Timer, Timers } from '../common/ports.ts'
import type { BodyValue, JsonObject, JsonValue } from '../remoting/bodies/fastjson.ts'
import type { ControlLog } from '../store/types.ts'

/** Changes are split to about this size: one record for each. */
const CHANGE_BYTES = 32 * 1024
/** Files are written anew when they are this far behind the log, or a segment if that is less: so much is read at a start. */
const BEHIND_BYTES = 256 * 1024 * 1024
const BEHIND_CHECK_MS = 10_000
/** So long after a file could not be written the next attempt follows. */
const RETRY_MS = 5000
/** Clients wait three seconds for an answer. */
const WAIT_MS = 2500
const OFFSET_MEMBER = 'gantryLogOffset'

/** `refused`: the change is not made, or this member was deposed meanwhile. `unknown`: it is in the log, and may be made yet. */
export class GroupTableError extends GantryError<'refused' | 'unknown'> {}

/** Where in the log a change stands. */
export interface TableRecord {
  readonly physicalOffset: number
  /** Store time, in milliseconds since 1970; never goes back. */
  readonly timestamp: number
}

/** What a table is to the log. */
export interface GroupTable {
  /** In the records; never changes. */
  readonly name: string
  /** Below `config/`. */
  readonly fileName: string
  /** How long after a change the file is written; all changes until then share the write. */
  readonly saveAfterMs: number
  /**
   * Makes a committed change. The same on every member: from the table, the change and the record alone. Throws when the change is
   * malformed, which ends the process.
   */
  apply(change: JsonValue, record: TableRecord): void
  /**
   * A committed change that the table holds already is met once more: after a crash the store derives again from records of before. What
   * follows from the change outside the table has to be done again.
   */
  repeat?(change: JsonValue, record: TableRecord): void
  /** The file's text in pieces of a few milliseconds, without the brace that ends it. What waits for its commit is no part of it. */
  render(): Iterable<string>
  /**
   * Puts the content of a file in the place of everything; null: there is none. Throws, and changes nothing, when it is malformed. The log
   * that the file belongs to reaches up to `logEnd`, or will.
   */
  restore(file: JsonObject | null, logEnd: number): void
}

/** How a table changes itself. */
export interface TableHandle {
  /** Resolves when the change is committed and applied here; rejects with `GroupTableError`. Only the leader succeeds. */
  propose(change: BodyValue): Promise<void>
}

export interface GroupTablesOptions {
  readonly log: ControlLog
  readonly folder: ConfigFolder
  readonly timers: Pick<Timers, 'soon' | 'after' | 'every'>
  readonly logger: Logger
  readonly segmentSize: number
}

interface Entry {
  readonly table: GroupTable
  readonly file: PersistedFile
  /** Records below are in the table. */
  heldOffset: number
  /** Records below are in the file, on disk. */
  savedOffset: number
  /** What the write under way will hold at least. */
  savingOffset: number
  timer: Timer | null
}

interface Waiter {
  readonly resolve: () => void
  readonly timer: Timer
}

export class GroupTables {
  readonly #options: GroupTablesOptions
  readonly #entries = new Map<string, Entry>()
  /** Proposals that are stored and not yet applied, by the offset of their record. */
  readonly #waiters = new Map<number, Waiter>()
  #timer: Timer | null = null
  #isLoaded = false
  #isClosed = false
  /** Counts the times that everything was replaced: a file of before must not come after. */
  #installs = 0

  constructor(options: GroupTablesOptions) {
    this.#options = options
  }

  /** Adds a table; before `load`. */
  add(table: GroupTable): TableHandle {
    assert(!this.#isLoaded, 'tables are added before the log is read')
    assert(!this.#entries.has(table.name))
    const { folder, timers, logger } = this.#options
    const entry: Entry = {
      table,
      file: new PersistedFile({
        name: table.fileName,
        folder,
        timers,
        logger,
        render: () => this.#render(entry),
        mayReplace: () => this.#mayReplace(),
        written: () => {
          entry.savedOffset = entry.savingOffset
        },
      }),
      heldOffset: 0,
      savedOffset: 0,
      savingOffset: 0,
      timer: null,
    }
    this.#entries.set(table.name, entry)
    return { propose: (change) => this.#propose(table.name, change) }
  }

  /**
   * Reads the files, applies the committed records behind them, and follows the log from then on. The store is open, and nothing is
   * committed meanwhile. Rejects when a file and its backup are damaged, or cannot be written at a first start.
   */
  async load(): Promise<void> {
    const { log, timers } = this.#options
    const read = [...this.#entries.values()].map((entry) => ({ entry, ...this.#readFile(entry) }))
    // Files that nobody but a Java broker, or a Gantry without records, has written: there is no record for the missing ones either.
    const isForeign =
      read.some(({ isThere }) => isThere) && read.every(({ offset }) => offset === null)
    const unsure: Entry[] = []
    for (const { entry, isThere, offset } of read) {
      const absent = isThere || isForeign ? log.endOffset : log.startOffset
      const held = Math.min(offset ?? absent, log.endOffset)
      if (held !== offset) unsure.push(entry)
      entry.heldOffset = held
      entry.savedOffset = held
    }
    const from = Math.min(log.dispatchedOffset, ...read.map(({ entry }) => entry.heldOffset))
    this.#isLoaded = true
    await log.replayControl(Math.max(from, log.startOffset), this.#apply)
    log.onControl(this.#apply)
    // Before a record is added that a file without an offset would be taken to be newer than.
    await Promise.all(unsure.map((entry) => entry.file.save()))
    for (const { entry, isThere, offset } of read) {
      if (isThere && offset !== null && offset > log.endOffset) this.#warnAhead(entry, offset)
    }
    this.#timer = timers.every(BEHIND_CHECK_MS, () => this.#saveOld())
  }

  /** No file needs the log below this offset. */
  get savedOffset(): number {
    if (!this.#isLoaded) return 0
    let lowest = this.#options.log.dispatchedOffset
    for (const { savedOffset } of this.#entries.values()) lowest = Math.min(lowest, savedOffset)
    return lowest
  }

  /** All tables with what they hold, for a member whose log starts behind that. */
  save(): Readonly<Record<string, string>> {
    const texts = [...this.#entries.values()].map((entry) => [
      entry.table.name,
      [...this.#render(entry)].join(''),
    ])
    return Object.fromEntries(texts)
  }

  /** Puts what a leader's `save` gave in the place of everything, durably, before it returns. */
  install(tables: unknown): void {
    assert(typeof tables === 'object' && tables !== null, 'tables are an object')
    this.#installs++
    for (const [name, text] of Object.entries(tables)) {
      const entry = this.#entries.get(name)
      if (entry === undefined) continue
      assert(typeof text === 'string', 'a table is its file')
      const file = asObject(parseFastjson(text), entry.table.fileName)
      const offset = optionalInteger(file, OFFSET_MEMBER)
      assert(offset !== null, 'a table says what it holds')
      entry.table.restore(file, Number.MAX_SAFE_INTEGER)
      entry.heldOffset = offset
      this.#options.folder.replace(entry.table.fileName, text)
      entry.savedOffset = offset
    }
  }

  /** Writes all files that do not hold everything; resolves when nothing is being written any more. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    // Without a timer they were not read to the end: what they hold is no state of the log.
    if (this.#timer === null) return
    this.#timer.cancel()
    const { dispatchedOffset } = this.#options.log
    for (const entry of this.#entries.values()) {
      entry.timer?.cancel()
      // Logged where it happened: the log has what the file lacks.
      if (entry.savedOffset < dispatchedOffset) {
        entry.file.save().catch(() => undefined)
      }
      await entry.file.settled()
    }
  }

  #propose(name: string, change: BodyValue): Promise<void> {
    const { log } = this.#options
    const record: [string, BodyValue][] = [
      ['type', 'table'],
      ['table', name],
      ['change', change],
    ]
    const body = formatFastjson(new Map(record))
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    log.putControl(body, ({ reason, physicalOffsets }) => {
      const offset = physicalOffsets[0]
      if (offset === undefined) {
        reject(new GroupTableError('refused', reason ?? 'the store takes no writes'))
      } else if (log.dispatchedOffset > offset) {
        resolve()
      } else {
        this.#wait(offset, resolve, reject)
      }
    })
    return promise
  }

  #wait(offset: number, resolve: () => void, reject: (error: Error) => void): void {
    const timer = this.#options.timers.after(WAIT_MS, () => {
      this.#waiters.delete(offset)
      reject(new GroupTableError('unknown', 'the change is stored, and not known to be committed'))
    })
    this.#waiters.set(offset, { resolve, timer })
  }

  readonly #apply = (physicalOffset: number, body: Buffer, timestamp: number): void => {
    // Other records of the group are none of ours, and are told apart without parsing them.
    if (!body.subarray(0, TABLE_START.length).equals(TABLE_START)) return
    const record = asObject(parseFastjson(body), 'a control record')
    const entry = this.#entries.get(textMember(record, 'table'))
    if (entry === undefined) {
      const table = record.get('table')
      this.#options.logger.error({ table, physicalOffset }, 'a record of a table that is unknown')
      return
    }
    const change = record.get('change') ?? null
    if (physicalOffset < entry.heldOffset) {
      entry.table.repeat?.(change, { physicalOffset, timestamp })
      return
    }
    entry.table.apply(change, { physicalOffset, timestamp })
    entry.heldOffset = physicalOffset + 1
    this.#saveLater(entry, entry.table.saveAfterMs)
    const waiter = this.#waiters.get(physicalOffset)
    if (waiter === undefined) return
    this.#waiters.delete(physicalOffset)
    waiter.timer.cancel()
    waiter.resolve()
  }

  #readFile(entry: Entry): { readonly isThere: boolean; readonly offset: number | null } {
    const { fileName } = entry.table
    const { log } = this.#options
    const found = this.#options.folder.read(fileName, (text) => {
      const file = asObject(parseFastjson(text), fileName)
      entry.table.restore(file, log.endOffset)
      return { isThere: true, offset: optionalInteger(file, OFFSET_MEMBER) }
    })
    if (found !== null) return found
    entry.table.restore(null, log.endOffset)
    return { isThere: false, offset: null }
  }

  *#render(entry: Entry): Iterable<string> {
    // Everything dispatched is applied. What is applied while the text is being made may stand in it or not: it is applied again.
    entry.savingOffset = Math.max(this.#options.log.dispatchedOffset, entry.heldOffset)
    const { savingOffset } = entry
    yield* entry.table.render()
    yield `,"${OFFSET_MEMBER}":${savingOffset}}`
  }

  /** What a file holds must not be lost by the log: a power cut would leave a table that no other member has. */
  async #mayReplace(): Promise<() => boolean> {
    const { log } = this.#options
    const installs = this.#installs
    await log.synced(log.dispatchedOffset)
    return () => installs === this.#installs
  }

  #saveLater(entry: Entry, delayMs: number): void {
    if (entry.timer !== null || this.#isClosed) return
    if (delayMs === 0) {
      this.#save(entry)
      return
    }
    entry.timer = this.#options.timers.after(delayMs, () => {
      entry.timer = null
      this.#save(entry)
    })
  }

  #save(entry: Entry): void {
    entry.file.save().catch(() => this.#saveLater(entry, RETRY_MS))
  }

  #saveOld(): void {
    const { log, segmentSize } = this.#options
    const oldest = log.dispatchedOffset - Math.min(BEHIND_BYTES, segmentSize)
    for (const entry of this.#entries.values()) {
      if (entry.savedOffset < oldest) this.#save(entry)
    }
  }

  #warnAhead({ table }: Entry, offset: number): void {
    const { endOffset } = this.#options.log
    this.#options.logger.warn(
      { file: table.fileName, gantryLogOffset: offset, endOffset },
      'a table holds more than the log',
    )
  }
}

const TABLE_START = Buffer.from('{"type":"table"')

/** Items in lists of about `CHANGE_BYTES`, by the size that `sizeOf` gives them. */
export function inChanges<Item>(
  items: Iterable<Item>,
  sizeOf: (item: Item) => number,
): readonly (readonly Item[])[] {
  const lists: Item[][] = []
  let list: Item[] = []
  let bytes = 0
  for (const item of items) {
    const size = sizeOf(item)
    if (list.length === 0 || bytes + size > CHANGE_BYTES) {
      lists.push((list = []))
      bytes = 0
    }
    list.push(item)
    bytes += size
  }
  return lists
}
