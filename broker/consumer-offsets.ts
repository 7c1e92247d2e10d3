/**
 * How far each consumer group has come in each queue: a table in the log, and `consumerOffset.json`.
 *
 * The leader's memory is ahead of the log: commits are gathered, and reach it once a second and before a hand-over. What a failover or a
 * crash loses of them is consumed again. What an administrator sets is in the log before it is answered.
 */
import {
  ZERO_DATA_VERSION,
  dataVersionOf,
  dataVersionRecord,
  nextDataVersion,
} from '../remoting/bodies/data-version.ts'
import { formatFastjson } from '../remoting/bodies/fastjson.ts'
import { asObject, optionalObject, textEntries, textList } from '../remoting/bodies/json-members.ts'
import { inChanges } from './group-tables.ts'
import { tablePieces } from './persisted-table.ts'
import type { GroupTables, TableHandle } from './group-tables.ts'
import type { DataVersion } from '../remoting/bodies/data-version.ts'
import type { JsonObject, JsonValue } from '../remoting/bodies/fastjson.ts'

const SEPARATOR = '@'
/** Of one offset in a record, about. */
const ENTRY_BYTES = 20

/** By `topic@group`, then queueId. */
type Table = Map<string, Map<number, number>>

interface Entry {
  readonly key: string
  readonly queueId: number
  readonly queueOffset: number
}

export class ConsumerOffsets {
  readonly #log: TableHandle
  /** What the log says. */
  readonly #table: Table = new Map()
  /** Commits that the log does not have yet. */
  readonly #ahead: Table = new Map()
  /** Keys whose offsets in `#table` are gone, which the log does not say yet. */
  readonly #gone = new Set<string>()
  /** Those of `#gone` that a record under way says. */
  readonly #going = new Set<string>()
  /** Offsets set by an administrator which the next pull of the queue takes over, as the log says. */
  readonly #resets: Table = new Map()
  /** Those of `#resets` that have been taken over, which the log does not say yet. */
  readonly #taken: Table = new Map()
  /** How far consumers have pulled. */
  readonly #pulled: Table = new Map()
  #flushing: Promise<void> | null = null
  #dataVersion: DataVersion = ZERO_DATA_VERSION

  constructor(options: {
    readonly tables: Pick<GroupTables, 'add'>
    /** Offsets change all the time: the file need not follow at once, the log has them. */
    readonly saveAfterMs: number
  }) {
    this.#log = options.tables.add({
      name: 'consumerOffsets',
      fileName: 'consumerOffset.json',
      saveAfterMs: options.saveAfterMs,
      apply: (change, { timestamp }) => this.#apply(change, timestamp),
      render: () => this.#render(),
      restore: (file) => this.#restore(file),
    })
  }

  /** The committed offset, or null. */
  query(consumerGroup: string, topic: string, queueId: number): number | null {
    return this.#get(keyOf(topic, consumerGroup), queueId)
  }

  /** Takes a client's commit; ignored while a reset of the queue waits to be taken over. Going back is allowed. */
  commit(consumerGroup: string, topic: string, queueId: number, queueOffset: number): void {
    if (this.hasReset(consumerGroup, topic, queueId)) return
    const key = keyOf(topic, consumerGroup)
    if (this.#get(key, queueId) !== queueOffset) put(this.#ahead, key, queueId, queueOffset)
  }

  /**
   * Pins new positions of queues: the next pull of each is sent there (PULL_OFFSET_MOVED), commits of older positions are ignored until then.
   * Resolves when the log has them.
   */
  async reset(
    consumerGroup: string,
    topic: string,
    positions: Iterable<readonly [queueId: number, queueOffset: number]>,
  ): Promise<void> {
    const key = keyOf(topic, consumerGroup)
    const entries = Array.from(positions, ([queueId, queueOffset]) => ({
      ...{ key, queueId, queueOffset },
    }))
    await Promise.all(this.#propose('reset', entries))
  }

  /** True when `takeReset` would find something. */
  hasReset(consumerGroup: string, topic: string, queueId: number): boolean {
    if (this.#resets.size === 0) return false
    return this.#resetOf(keyOf(topic, consumerGroup), queueId) !== null
  }

  /** The pinned position of a queue, which is thereby taken over; null when there is none. */
  takeReset(consumerGroup: string, topic: string, queueId: number): number | null {
    if (this.#resets.size === 0) return null
    const key = keyOf(topic, consumerGroup)
    const queueOffset = this.#resetOf(key, queueId)
    if (queueOffset !== null) put(this.#taken, key, queueId, queueOffset)
    return queueOffset
  }

  #resetOf(key: string, queueId: number): number | null {
    const queueOffset = this.#resets.get(key)?.get(queueId)
    if (queueOffset === undefined || this.#isHidden(key)) return null
    return this.#taken.get(key)?.has(queueId) === true ? null : queueOffset
  }

  /** A consumer was given the messages of a queue below this offset. Not kept over a start. */
  notePulled(consumerGroup: string, topic: string, queueId: number, queueOffset: number): void {
    put(this.#pulled, keyOf(topic, consumerGroup), queueId, queueOffset)
  }

  /** What `notePulled` was told last, or null. */
  pulled(consumerGroup: string, topic: string, queueId: number): number | null {
    return this.#pulled.get(keyOf(topic, consumerGroup))?.get(queueId) ?? null
  }

  deleteGroup(consumerGroup: string): void {
    this.#deleteWhere((key) => key.endsWith(SEPARATOR + consumerGroup))
  }

  deleteTopic(topic: string): void {
    this.#deleteWhere((key) => key.startsWith(topic + SEPARATOR))
  }

  /** Every topic and group between which an offset was committed. */
  *subscriptions(): Generator<readonly [topic: string, consumerGroup: string], void> {
    for (const key of this.#keys()) {
      const at = key.indexOf(SEPARATOR)
      yield [key.slice(0, at), key.slice(at + 1)]
    }
  }

  topicsOf(consumerGroup: string): readonly string[] {
    const ending = SEPARATOR + consumerGroup
    return [...this.#keys()]
      .filter((key) => key.endsWith(ending))
      .map((key) => key.slice(0, -ending.length))
  }

  groupsOf(topic: string): readonly string[] {
    const beginning = topic + SEPARATOR
    return [...this.#keys()]
      .filter((key) => key.startsWith(beginning))
      .map((key) => key.slice(beginning.length))
  }

  /** Queue and committed offset, for each queue in which the group has one. */
  queuesOf(consumerGroup: string, topic: string): readonly (readonly [number, number])[] {
    return [...this.#queuesOf(keyOf(topic, consumerGroup))]
  }

  /** The answer of GET_ALL_CONSUMER_OFFSET: consumerOffset.json as it will be. */
  encode(): Buffer {
    const offsetTable: Table = new Map()
    for (const key of this.#keys()) offsetTable.set(key, this.#queuesOf(key))
    return formatFastjson({ dataVersion: dataVersionRecord(this.#dataVersion), offsetTable })
  }

  /** The log has all that was committed before the call; rejects when it does not take it. One call at a time does the work. */
  async flush(): Promise<void> {
    // What is under way may have begun before the last commits.
    await this.#flushing?.catch(() => undefined)
    if (this.#ahead.size === 0 && this.#gone.size === 0 && this.#taken.size === 0) return
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = null
    })
    await this.#flushing
  }

  /** Another member leads: what it has not been told of will be committed there again. */
  forgetAhead(): void {
    for (const state of [this.#ahead, this.#gone, this.#going, this.#taken]) state.clear()
  }

  async #flush(): Promise<void> {
    const going = [...this.#gone]
    for (const key of going) this.#going.add(key)
    this.#gone.clear()
    const deletions = inChanges(going, (key) => key.length)
    const outcomes = await Promise.allSettled([
      ...deletions.map((list) => this.#log.propose({ delete: list })),
      // Before commits that were ignored otherwise.
      ...this.#propose('taken', entriesOf(this.#taken)),
      ...this.#propose('set', entriesOf(this.#ahead)),
    ])
    // What was refused is still ahead; so are the keys that the log was not told of.
    for (const key of going) if (this.#going.delete(key)) this.#gone.add(key)
    const refused = outcomes.find(({ status }) => status === 'rejected')
    if (refused?.status === 'rejected') throw refused.reason
  }

  #propose(what: 'set' | 'reset' | 'taken', entries: readonly Entry[]): readonly Promise<void>[] {
    return inChanges(entries, ({ key }) => key.length + ENTRY_BYTES).map((list) => {
      const offsets: Table = new Map()
      for (const { key, queueId, queueOffset } of list) put(offsets, key, queueId, queueOffset)
      return this.#log.propose({ [what]: offsets })
    })
  }

  #apply(json: JsonValue, timestamp: number): void {
    const change = asObject(json, 'a change of offsets')
    for (const key of textList(change, 'delete')) {
      for (const state of [this.#table, this.#resets, this.#going]) state.delete(key)
    }
    for (const { key, queueId, queueOffset } of entriesIn(change, 'taken')) {
      for (const table of [this.#resets, this.#taken]) {
        if (table.get(key)?.get(queueId) === queueOffset) drop(table, key, queueId)
      }
    }
    for (const { key, queueId, queueOffset } of entriesIn(change, 'set')) {
      // Proposed after the deletion that may be under way.
      this.#going.delete(key)
      // Of a consumer that does not know of the reset yet.
      if (this.#resets.get(key)?.has(queueId) === true) continue
      put(this.#table, key, queueId, queueOffset)
      if (this.#ahead.get(key)?.get(queueId) === queueOffset) drop(this.#ahead, key, queueId)
    }
    for (const { key, queueId, queueOffset } of entriesIn(change, 'reset')) {
      this.#going.delete(key)
      put(this.#table, key, queueId, queueOffset)
      put(this.#resets, key, queueId, queueOffset)
      for (const table of [this.#ahead, this.#taken]) drop(table, key, queueId)
    }
    this.#dataVersion = nextDataVersion(this.#dataVersion, timestamp)
  }

  #restore(file: JsonObject | null): void {
    const table = file === null ? [] : entriesIn(file, 'offsetTable')
    const resets = file === null ? [] : entriesIn(file, 'resetTable')
    const version = file === null ? null : optionalObject(file, 'dataVersion')
    this.#dataVersion = version === null ? ZERO_DATA_VERSION : dataVersionOf(version)
    this.forgetAhead()
    this.#table.clear()
    this.#resets.clear()
    for (const { key, queueId, queueOffset } of table) put(this.#table, key, queueId, queueOffset)
    for (const { key, queueId, queueOffset } of resets) put(this.#resets, key, queueId, queueOffset)
  }

  #render(): Iterable<string> {
    const version = formatFastjson(dataVersionRecord(this.#dataVersion)).toString()
    const resets =
      this.#resets.size === 0 ? '' : `"resetTable":${formatFastjson(this.#resets).toString()},`
    return tablePieces(`{"dataVersion":${version},${resets}"offsetTable":{`, this.#entries(), '}')
  }

  *#entries(): Iterable<string> {
    for (const [key, queues] of this.#table) {
      let text = ''
      for (const [queueId, queueOffset] of queues) {
        text += `${text === '' ? '' : ','}"${queueId}":${queueOffset}`
      }
      yield `${formatFastjson(key).toString()}:{${text}}`
    }
  }

  #isHidden(key: string): boolean {
    return this.#gone.size + this.#going.size > 0 && (this.#gone.has(key) || this.#going.has(key))
  }

  *#keys(): Iterable<string> {
    for (const key of this.#table.keys()) if (!this.#isHidden(key)) yield key
    for (const key of this.#ahead.keys()) {
      if (!this.#table.has(key) || this.#isHidden(key)) yield key
    }
  }

  #queuesOf(key: string): Map<number, number> {
    const applied = this.#isHidden(key) ? [] : (this.#table.get(key) ?? [])
    return new Map([...applied, ...(this.#ahead.get(key) ?? [])])
  }

  #get(key: string, queueId: number): number | null {
    const ahead = this.#ahead.get(key)?.get(queueId)
    if (ahead !== undefined) return ahead
    return this.#isHidden(key) ? null : (this.#table.get(key)?.get(queueId) ?? null)
  }

  #deleteWhere(matches: (key: string) => boolean): void {
    for (const key of [...this.#table.keys()].filter(matches)) this.#gone.add(key)
    for (const table of [this.#ahead, this.#taken, this.#pulled]) {
      for (const key of [...table.keys()].filter(matches)) table.delete(key)
    }
  }
}

function keyOf(topic: string, consumerGroup: string): string {
  return topic + SEPARATOR + consumerGroup
}

function put(table: Table, key: string, queueId: number, queueOffset: number): void {
  let queues = table.get(key)
  if (queues === undefined) table.set(key, (queues = new Map<number, number>()))
  queues.set(queueId, queueOffset)
}

function drop(table: Table, key: string, queueId: number): void {
  const queues = table.get(key)
  queues?.delete(queueId)
  if (queues?.size === 0) table.delete(key)
}

function entriesOf(table: Table): readonly Entry[] {
  const entries: Entry[] = []
  for (const [key, queues] of table) {
    for (const [queueId, queueOffset] of queues) entries.push({ key, queueId, queueOffset })
  }
  return entries
}

/** Of a member that is a table; none when it is absent. */
function entriesIn(json: JsonObject, name: string): readonly Entry[] {
  const table = optionalObject(json, name)
  const entries: Entry[] = []
  for (const [key, value] of table === null ? [] : textEntries(table)) {
    for (const [id, offset] of textEntries(asObject(value, `${name}.${key}`))) {
      const [queueId, queueOffset] = [Number(id), Number(offset)]
      if (Number.isSafeInteger(queueId) && Number.isSafeInteger(queueOffset)) {
        entries.push({ key, queueId, queueOffset })
      }
    }
  }
  return entries
}
