/** How far each consumer group has come in each queue; kept in memory, written to `consumerOffset.json`, never read back but at start. */
import { dataVersionRecord } from '../remoting/bodies/data-version.ts'
import { formatFastjson, parseFastjson } from '../remoting/bodies/fastjson.ts'
import { asObject, optionalObject, textEntries } from '../remoting/bodies/json-members.ts'
import { PersistedFile, tablePieces } from './persisted-table.ts'
import type { ConfigFolder } from './persisted-table.ts'
import type { Logger } from '../common/log.ts'
import type { Clock, Timers } from '../common/ports.ts'
import type { DataVersion } from '../remoting/bodies/data-version.ts'

const SEPARATOR = '@'

export class ConsumerOffsets {
  readonly #clock: Clock
  readonly #file: PersistedFile
  /** By `topic@group`, then queueId. */
  readonly #table = new Map<string, Map<number, number>>()
  /** Offsets set by an administrator which the next pull of the queue takes over. */
  readonly #resets = new Map<string, Map<number, number>>()
  #counter = 0
  #changedAt = 0
  #isDirty = false

  constructor(options: {
    readonly folder: ConfigFolder
    readonly clock: Clock
    readonly timers: Timers
    readonly logger: Logger
  }) {
    this.#clock = options.clock
    this.#file = new PersistedFile({
      name: 'consumerOffset.json',
      folder: options.folder,
      timers: options.timers,
      logger: options.logger,
      render: () => this.#render(),
    })
  }

  /** Reads the file; throws when it and its backup are damaged. */
  load(): void {
    const table = this.#file.read(parseOffsets)
    for (const [key, queues] of table ?? []) this.#table.set(key, queues)
  }

  /** The committed offset, or null. */
  query(consumerGroup: string, topic: string, queueId: number): number | null {
    return this.#table.get(keyOf(topic, consumerGroup))?.get(queueId) ?? null
  }

  /** Takes a client's commit; ignored while a reset of the queue waits to be taken over. Going back is allowed. */
  commit(consumerGroup: string, topic: string, queueId: number, queueOffset: number): void {
    const key = keyOf(topic, consumerGroup)
    if (this.#resets.get(key)?.has(queueId) === true) return
    this.#set(key, queueId, queueOffset)
  }

  /** Pins a new position: the next pull is sent there (PULL_OFFSET_MOVED), commits of older positions are ignored until then. */
  reset(consumerGroup: string, topic: string, queueId: number, queueOffset: number): void {
    const key = keyOf(topic, consumerGroup)
    let resets = this.#resets.get(key)
    if (resets === undefined) this.#resets.set(key, (resets = new Map<number, number>()))
    resets.set(queueId, queueOffset)
    this.#set(key, queueId, queueOffset)
  }

  /** True when `takeReset` would find something. */
  hasReset(consumerGroup: string, topic: string, queueId: number): boolean {
    if (this.#resets.size === 0) return false
    return this.#resets.get(keyOf(topic, consumerGroup))?.has(queueId) === true
  }

  /** The pinned position of a queue, which is thereby taken over; null when there is none. */
  takeReset(consumerGroup: string, topic: string, queueId: number): number | null {
    if (this.#resets.size === 0) return null
    const key = keyOf(topic, consumerGroup)
    const resets = this.#resets.get(key)
    const queueOffset = resets?.get(queueId)
    if (resets === undefined || queueOffset === undefined) return null
    resets.delete(queueId)
    if (resets.size === 0) this.#resets.delete(key)
    return queueOffset
  }

  deleteGroup(consumerGroup: string): void {
    this.#deleteWhere((key) => key.endsWith(SEPARATOR + consumerGroup))
  }

  deleteTopic(topic: string): void {
    this.#deleteWhere((key) => key.startsWith(topic + SEPARATOR))
  }

  /** Every topic and group between which an offset was committed. */
  *subscriptions(): Generator<readonly [topic: string, consumerGroup: string], void> {
    for (const key of this.#table.keys()) {
      const at = key.indexOf(SEPARATOR)
      yield [key.slice(0, at), key.slice(at + 1)]
    }
  }

  topicsOf(consumerGroup: string): readonly string[] {
    const ending = SEPARATOR + consumerGroup
    return [...this.#table.keys()]
      .filter((key) => key.endsWith(ending))
      .map((key) => key.slice(0, -ending.length))
  }

  groupsOf(topic: string): readonly string[] {
    const beginning = topic + SEPARATOR
    return [...this.#table.keys()]
      .filter((key) => key.startsWith(beginning))
      .map((key) => key.slice(beginning.length))
  }

  /** Queue and committed offset, for each queue in which the group has one. */
  queuesOf(consumerGroup: string, topic: string): readonly (readonly [number, number])[] {
    return [...(this.#table.get(keyOf(topic, consumerGroup)) ?? [])]
  }

  /** consumerOffset.json, which is also the answer of GET_ALL_CONSUMER_OFFSET. */
  encode(): Buffer {
    return formatFastjson({
      dataVersion: dataVersionRecord(this.#dataVersion),
      offsetTable: this.#table,
    })
  }

  /** Writes the file when something changed since it was written; rejects when it cannot. */
  async flush(): Promise<void> {
    if (!this.#isDirty) return this.#file.settled()
    try {
      await this.#file.save()
    } catch (error) {
      this.#isDirty = true
      throw error
    }
  }

  #render(): Iterable<string> {
    this.#counter++
    this.#changedAt = this.#clock.now()
    // What changes from here on may be missed by this write.
    this.#isDirty = false
    const version = formatFastjson(dataVersionRecord(this.#dataVersion)).toString()
    return tablePieces(`{"dataVersion":${version},"offsetTable":{`, this.#entries(), '}}')
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

  get #dataVersion(): DataVersion {
    return { stateVersion: 0, timestamp: this.#changedAt, counter: this.#counter }
  }

  #set(key: string, queueId: number, queueOffset: number): void {
    let queues = this.#table.get(key)
    if (queues === undefined) this.#table.set(key, (queues = new Map<number, number>()))
    if (queues.get(queueId) === queueOffset) return
    queues.set(queueId, queueOffset)
    this.#isDirty = true
  }

  #deleteWhere(matches: (key: string) => boolean): void {
    for (const table of [this.#table, this.#resets]) {
      for (const key of [...table.keys()].filter(matches)) {
        table.delete(key)
        this.#isDirty = true
      }
    }
  }
}

function keyOf(topic: string, consumerGroup: string): string {
  return topic + SEPARATOR + consumerGroup
}

function parseOffsets(text: string): ReadonlyMap<string, Map<number, number>> {
  const parsed = new Map<string, Map<number, number>>()
  const json = asObject(parseFastjson(text), 'consumerOffset.json')
  const table = optionalObject(json, 'offsetTable')
  for (const [key, value] of table === null ? [] : textEntries(table)) {
    const queues = new Map<number, number>()
    for (const [queueId, queueOffset] of textEntries(asObject(value, `offsetTable.${key}`))) {
      const entry = [Number(queueId), Number(queueOffset)] as const
      if (entry.every(Number.isSafeInteger)) queues.set(...entry)
    }
    parsed.set(key, queues)
  }
  return parsed
}
