/**
 * The topics of this broker group: a table in the log, `config/topics.json`, and whoever asks.
 *
 * A new topic is visible only after it is committed, so that no acknowledged message lies in a topic that a crash forgets.
 */
import { isLightQueue } from '../common/light-queues.ts'
import { dataVersionRecord, nextDataVersion } from '../remoting/bodies/data-version.ts'
import { formatFastjson } from '../remoting/bodies/fastjson.ts'
import {
  asObject,
  integerMember,
  listMember,
  optionalObject,
  textEntries,
  textList,
} from '../remoting/bodies/json-members.ts'
import {
  Permission,
  topicConfig,
  topicConfigEntry,
  topicConfigOf,
  topicConfigRecord,
  topicConfigTableOf,
} from '../remoting/bodies/topic-config.ts'
import {
  BENCHMARK_TOPIC,
  DEFAULT_TOPIC,
  DLQ_PREFIX,
  HALF_TOPIC,
  OFFSET_MOVED_TOPIC,
  OP_HALF_TOPIC,
  RETRY_PREFIX,
  SCHEDULE_TOPIC,
  SELF_TEST_TOPIC,
  TIMER_TOPIC,
  isSystemTopic,
} from './names.ts'
import { inChanges } from './group-tables.ts'
import { tablePieces } from './persisted-table.ts'
import { createTimes } from './stats.ts'
import type { BrokerConfig } from './config.ts'
import type { GroupTables, TableHandle, TableRecord } from './group-tables.ts'
import type { CreateTimes } from './stats.ts'
import type { Clock } from '../common/ports.ts'
import type { JsonObject, JsonValue } from '../remoting/bodies/fastjson.ts'
import type { DataVersion } from '../remoting/bodies/data-version.ts'
import type { TopicConfig } from '../remoting/bodies/topic-config.ts'

const INHERITABLE = Permission.READ_WRITE | Permission.INHERIT
const SCHEDULE_QUEUES = 18
const BENCHMARK_QUEUES = 1024
const REVIVE_QUEUES = 8
const CLUSTER_QUEUES = 16

/** A file of a Java broker does not have it. */
const DELETIONS_MEMBER = 'gantryDeletions'
/** Of more than these the oldest are forgotten: what was in their topics may be seen again once they are made anew. */
const DELETIONS_MAX = 10_000

export interface TopicTableOptions {
  readonly config: BrokerConfig
  readonly tables: Pick<GroupTables, 'add'>
  readonly clock: Clock
  /** A deletion is applied, which stands at this place of the log: the messages before it go. */
  readonly onDelete: (topic: string, physicalOffset: number) => void
}

export class TopicTable {
  readonly #options: TopicTableOptions
  readonly #table: TableHandle
  readonly #topics = new Map<string, TopicConfig>()
  /** Not yet committed: not yet visible. */
  readonly #pending = new Map<string, Promise<TopicConfig>>()
  readonly #systemTopics = new Set<string>()
  /** Where in the log topics were deleted last; the oldest first. Queues are derived from the log, which holds what was before. */
  readonly #deletions = new Map<string, number>()
  readonly #listeners: ((topics: readonly string[] | null) => void)[] = []
  /** How long it took to create or change topics, by outcome. */
  readonly createTimes: CreateTimes = createTimes(
    'rocketmq_topic_create_execution_time_milliseconds',
    'Milliseconds to create or change a topic',
  )
  #dataVersion: DataVersion

  constructor(options: TopicTableOptions) {
    this.#options = options
    this.#dataVersion = { stateVersion: 0, timestamp: options.clock.now(), counter: 0 }
    this.#table = options.tables.add({
      name: 'topics',
      fileName: 'topics.json',
      saveAfterMs: 0,
      apply: (change, record) => this.#apply(change, record),
      repeat: (change, { physicalOffset }) => this.#repeat(change, physicalOffset),
      render: () => this.#render(),
      restore: (file, logEnd) => this.#restore(file, logEnd),
    })
  }

  get dataVersion(): DataVersion {
    return this.#dataVersion
  }

  get all(): ReadonlyMap<string, TopicConfig> {
    return this.#topics
  }

  /** Names of the topics that belong to the broker itself. */
  get systemTopics(): ReadonlySet<string> {
    return this.#systemTopics
  }

  /** Light queues are there whenever somebody asks for them, as topics with one queue. */
  get(topic: string): TopicConfig | undefined {
    return this.#topics.get(topic) ?? this.#light(topic)
  }

  #light(topic: string): TopicConfig | undefined {
    if (!this.#options.config.values.enableLmq || !isLightQueue(topic)) return undefined
    return topicConfig(topic, { readQueueNums: 1, writeQueueNums: 1, perm: Permission.READ_WRITE })
  }

  isSystem(topic: string): boolean {
    return isSystemTopic(topic) || this.#systemTopics.has(topic)
  }

  /** `listener` is called after each change of the table, with the topics that were made or changed, or null when it was something else. */
  onChange(listener: (topics: readonly string[] | null) => void): void {
    this.#listeners.push(listener)
  }

  /** Creates or changes a topic; resolves when that is committed. */
  async put(config: TopicConfig): Promise<void> {
    await this.putAll([config])
  }

  async putAll(configs: readonly TopicConfig[]): Promise<void> {
    if (configs.length === 0) return
    const startedAt = this.#options.clock.monotonic()
    let isDone = false
    try {
      const lists = inChanges(configs, (config) => topicConfigEntry(config).length)
      await Promise.all(
        lists.map((list) => this.#table.propose({ put: list.map(topicConfigRecord) })),
      )
      isDone = true
    } finally {
      const isSystem = configs.every(({ topicName }) => this.isSystem(topicName))
      const labels = {
        invocation_status: isDone ? 'success' : 'failure',
        is_system: String(isSystem),
      }
      this.createTimes.observe(labels, this.#options.clock.monotonic() - startedAt)
    }
  }

  /** Creates a topic unless it is there or on its way; resolves with it once it is committed. */
  async ensure(config: TopicConfig): Promise<TopicConfig> {
    const name = config.topicName
    const present = this.get(name)
    if (present !== undefined) return present
    let pending = this.#pending.get(name)
    if (pending === undefined) {
      pending = this.put(config).then(() => this.#topics.get(name) ?? config)
      this.#pending.set(name, pending)
    }
    try {
      return await pending
    } finally {
      this.#pending.delete(name)
    }
  }

  /** The retry topic of a group, made when there is none. */
  ensureRetryTopic(topic: string, queueNums: number): Promise<TopicConfig> {
    return this.ensure(
      topicConfig(topic, {
        readQueueNums: queueNums,
        writeQueueNums: queueNums,
        perm: Permission.READ_WRITE,
      }),
    )
  }

  /**
   * The configuration that a send to an unknown topic gives it, or null when `defaultTopic` cannot be inherited from.
   * A `%RETRY%` or `%DLQ%` topic has one queue and needs no template.
   */
  inherited(topic: string, defaultTopic: string, queueNums: number): TopicConfig | null {
    if (topic.startsWith(RETRY_PREFIX) || topic.startsWith(DLQ_PREFIX)) {
      return topicConfig(topic, { readQueueNums: 1, writeQueueNums: 1 })
    }
    const template = this.#topics.get(defaultTopic)
    if (template === undefined || (template.perm & Permission.INHERIT) === 0) return null
    if (defaultTopic === DEFAULT_TOPIC && !this.#options.config.values.autoCreateTopicEnable)
      return null
    const queues = Math.max(0, Math.min(queueNums, template.writeQueueNums))
    return topicConfig(topic, {
      readQueueNums: queues,
      writeQueueNums: queues,
      perm: template.perm & ~Permission.INHERIT,
      topicSysFlag: 0,
      topicFilterType: template.topicFilterType,
    })
  }

  /** Removes topics; resolves when that is committed. Unknown ones are passed over. */
  async delete(topics: readonly string[]): Promise<void> {
    const present = topics.filter((topic) => this.#topics.has(topic))
    await Promise.all(
      inChanges(present, (name) => name.length).map((list) =>
        this.#table.propose({ delete: list }),
      ),
    )
  }

  /** What is registered has changed although no topic has: name servers look at the version. Resolves when that is committed. */
  bumpVersion(): Promise<void> {
    return this.#table.propose({})
  }

  #apply(json: JsonValue, { physicalOffset, timestamp }: TableRecord): void {
    const change = asObject(json, 'a change of topics')
    const put = listMember(change, 'put').map((item) => topicConfigOf(asObject(item, 'put')))
    const deleted = textList(change, 'delete')
    for (const config of put) this.#topics.set(config.topicName, config)
    for (const name of deleted) this.#topics.delete(name)
    this.#noteDeleted(deleted, physicalOffset)
    for (const name of deleted) this.#options.onDelete(name, physicalOffset)
    this.#dataVersion = nextDataVersion(this.#dataVersion, timestamp)
    this.#announce(put.length > 0 ? put.map(({ topicName }) => topicName) : null)
  }

  #repeat(json: JsonValue, physicalOffset: number): void {
    const deleted = textList(asObject(json, 'a change of topics'), 'delete')
    for (const name of deleted) this.#options.onDelete(name, physicalOffset)
  }

  #noteDeleted(topics: readonly string[], physicalOffset: number): void {
    for (const topic of topics) {
      this.#deletions.delete(topic)
      this.#deletions.set(topic, physicalOffset)
    }
    for (const topic of this.#deletions.keys()) {
      if (this.#deletions.size <= DELETIONS_MAX) break
      this.#deletions.delete(topic)
    }
  }

  #restore(file: JsonObject | null, logEnd: number): void {
    const table = file === null ? null : topicConfigTableOf(file)
    const deletions = file === null ? [] : deletionsOf(file)
    this.#topics.clear()
    this.#deletions.clear()
    for (const [topic, physicalOffset] of deletions) {
      // What the log does not have must not hide what it is given in that place.
      if (physicalOffset >= logEnd) continue
      this.#noteDeleted([topic], physicalOffset)
      this.#options.onDelete(topic, physicalOffset)
    }
    if (table !== null) {
      this.#dataVersion = table.dataVersion
      for (const [name, config] of table.topics) this.#topics.set(name, config)
    }
    // The same on every member of the group: they have one configuration.
    for (const config of this.#systemTopicConfigs()) {
      this.#systemTopics.add(config.topicName)
      if (!this.#topics.has(config.topicName)) this.#topics.set(config.topicName, config)
    }
    this.#announce(null)
  }

  #announce(topics: readonly string[] | null): void {
    for (const listener of this.#listeners) listener(topics)
  }

  #render(): Iterable<string> {
    const version = formatFastjson(dataVersionRecord(this.#dataVersion)).toString()
    const deletions = formatFastjson(this.#deletions).toString()
    const noted = this.#deletions.size === 0 ? '' : `"${DELETIONS_MEMBER}":${deletions},`
    return tablePieces(
      `{"dataVersion":${version},${noted}"topicConfigTable":{`,
      this.#entries(),
      '}',
    )
  }

  *#entries(): Iterable<string> {
    for (const config of this.#topics.values()) yield topicConfigEntry(config)
  }

  /** The topics of protocol §14.2 that exist from the start. */
  #systemTopicConfigs(): readonly TopicConfig[] {
    const { values } = this.#options.config
    const list: TopicConfig[] = []
    const add = (name: string, queues: number, perm: number) =>
      list.push(topicConfig(name, { readQueueNums: queues, writeQueueNums: queues, perm }))
    const { READ_WRITE } = Permission
    add(SELF_TEST_TOPIC, 1, READ_WRITE)
    if (values.autoCreateTopicEnable) add(DEFAULT_TOPIC, values.defaultTopicQueueNums, INHERITABLE)
    add(BENCHMARK_TOPIC, BENCHMARK_QUEUES, READ_WRITE)
    add(
      values.brokerClusterName,
      CLUSTER_QUEUES,
      values.clusterTopicEnable ? INHERITABLE : READ_WRITE,
    )
    if (values.brokerName !== values.brokerClusterName) {
      add(values.brokerName, 1, values.brokerTopicEnable ? INHERITABLE : READ_WRITE)
    }
    add(OFFSET_MOVED_TOPIC, 1, READ_WRITE)
    add(SCHEDULE_TOPIC, SCHEDULE_QUEUES, READ_WRITE)
    if (values.traceTopicEnable) add(values.msgTraceTopicName, 1, READ_WRITE)
    add(`${values.brokerClusterName}_REPLY_TOPIC`, 1, READ_WRITE)
    add(`rmq_sys_REVIVE_LOG_${values.brokerClusterName}`, REVIVE_QUEUES, READ_WRITE)
    add(`rmq_sys_SYNC_BROKER_MEMBER_${values.brokerName}`, 1, Permission.INHERIT)
    add(HALF_TOPIC, 1, READ_WRITE)
    add(OP_HALF_TOPIC, 1, READ_WRITE)
    add(TIMER_TOPIC, 1, READ_WRITE)
    return list
  }
}

function deletionsOf(file: JsonObject): readonly (readonly [string, number])[] {
  const json = optionalObject(file, DELETIONS_MEMBER)
  if (json === null) return []
  return textEntries(json).map(([topic]) => [topic, integerMember(json, topic)] as const)
}
