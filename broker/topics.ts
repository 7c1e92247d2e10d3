/**
 * The topics of this broker: `config/topics.json`, and whoever asks.
 *
 * A new topic is visible only after it stands on disk, so that no acknowledged message lies in a topic that a crash forgets.
 */
import { dataVersionRecord, nextDataVersion } from '../remoting/bodies/data-version.ts'
import { formatFastjson, parseFastjson } from '../remoting/bodies/fastjson.ts'
import { asObject } from '../remoting/bodies/json-members.ts'
import {
  Permission,
  topicConfig,
  topicConfigEntry,
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
import { PersistedFile, tablePieces } from './persisted-table.ts'
import { createTimes } from './stats.ts'
import type { BrokerConfig } from './config.ts'
import type { ConfigFolder } from './persisted-table.ts'
import type { CreateTimes } from './stats.ts'
import type { Logger } from '../common/log.ts'
import type { Clock, Timers } from '../common/ports.ts'
import type { DataVersion } from '../remoting/bodies/data-version.ts'
import type { TopicConfig } from '../remoting/bodies/topic-config.ts'

const INHERITABLE = Permission.READ_WRITE | Permission.INHERIT
const SCHEDULE_QUEUES = 18
const BENCHMARK_QUEUES = 1024
const REVIVE_QUEUES = 8
const CLUSTER_QUEUES = 16

export interface TopicTableOptions {
  readonly config: BrokerConfig
  readonly folder: ConfigFolder
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
}

export class TopicTable {
  readonly #options: TopicTableOptions
  readonly #file: PersistedFile
  readonly #topics = new Map<string, TopicConfig>()
  /** Being written: not yet visible. */
  readonly #pending = new Map<string, TopicConfig>()
  readonly #systemTopics = new Set<string>()
  readonly #listeners: ((topics: readonly string[] | null) => void)[] = []
  /** How long it took to create or change topics, by outcome. */
  readonly createTimes: CreateTimes = createTimes(
    'rocketmq_topic_create_execution_time',
    'Milliseconds to create or change a topic',
  )
  #dataVersion: DataVersion

  constructor(options: TopicTableOptions) {
    this.#options = options
    this.#dataVersion = { stateVersion: 0, timestamp: options.clock.now(), counter: 0 }
    this.#file = new PersistedFile({
      name: 'topics.json',
      folder: options.folder,
      timers: options.timers,
      logger: options.logger,
      render: () => this.#render(),
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

  get(topic: string): TopicConfig | undefined {
    return this.#topics.get(topic)
  }

  isSystem(topic: string): boolean {
    return isSystemTopic(topic) || this.#systemTopics.has(topic)
  }

  /** `listener` is called after each change of the table, with the topics that were made or changed, or null when it was something else. */
  onChange(listener: (topics: readonly string[] | null) => void): void {
    this.#listeners.push(listener)
  }

  /** Reads the file and adds the system topics that it lacks; throws when the file and its backup are damaged. */
  load(): void {
    const table = this.#file.read((text) =>
      topicConfigTableOf(asObject(parseFastjson(text), 'topics.json')),
    )
    if (table !== null) {
      this.#dataVersion = table.dataVersion
      for (const [name, config] of table.topics) this.#topics.set(name, config)
    }
    for (const config of this.#systemTopicConfigs()) {
      this.#systemTopics.add(config.topicName)
      if (!this.#topics.has(config.topicName)) this.#topics.set(config.topicName, config)
    }
  }

  /** Creates or changes a topic; resolves when that is on disk. */
  async put(config: TopicConfig): Promise<void> {
    await this.putAll([config])
  }

  async putAll(configs: readonly TopicConfig[]): Promise<void> {
    if (configs.length === 0) return
    for (const config of configs) {
      if (this.#topics.has(config.topicName)) this.#topics.set(config.topicName, config)
      else this.#pending.set(config.topicName, config)
    }
    this.#touch()
    const startedAt = this.#options.clock.monotonic()
    let isSaved = false
    try {
      await this.#file.save()
      isSaved = true
      for (const config of configs) {
        if (this.#pending.get(config.topicName) === config) {
          this.#topics.set(config.topicName, config)
        }
      }
    } finally {
      const isSystem = configs.every(({ topicName }) => this.isSystem(topicName))
      const labels = {
        invocation_status: isSaved ? 'success' : 'failure',
        is_system: String(isSystem),
      }
      this.createTimes.observe(labels, this.#options.clock.monotonic() - startedAt)
      for (const config of configs) {
        if (this.#pending.get(config.topicName) === config) this.#pending.delete(config.topicName)
      }
    }
    this.#announce(configs.map(({ topicName }) => topicName))
  }

  /** Creates a topic unless it is there or on its way; resolves with it once it is on disk. */
  async ensure(config: TopicConfig): Promise<TopicConfig> {
    const present = this.#topics.get(config.topicName)
    if (present !== undefined) return present
    const pending = this.#pending.get(config.topicName)
    if (pending !== undefined) {
      await this.#file.save()
      return pending
    }
    await this.put(config)
    return config
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

  /** Removes topics; resolves when that is on disk. Unknown ones are passed over. */
  async delete(topics: readonly string[]): Promise<void> {
    const present = topics.filter((topic) => this.#topics.delete(topic))
    if (present.length === 0) return
    this.#touch()
    await this.#file.save()
    this.#announce(null)
  }

  /** What is registered has changed although no topic has: name servers look at the version. Resolves when that is on disk. */
  async bumpVersion(): Promise<void> {
    this.#touch()
    this.#announce(null)
    await this.#file.save()
  }

  /** Writes the file as it is, for the system topics of a first start. */
  save(): Promise<void> {
    return this.#file.save()
  }

  /** Resolves when nothing is being written any more. */
  settled(): Promise<void> {
    return this.#file.settled()
  }

  #touch(): void {
    this.#dataVersion = nextDataVersion(this.#dataVersion, this.#options.clock.now())
  }

  #announce(topics: readonly string[] | null): void {
    for (const listener of this.#listeners) listener(topics)
  }

  #render(): Iterable<string> {
    const version = formatFastjson(dataVersionRecord(this.#dataVersion)).toString()
    return tablePieces(`{"dataVersion":${version},"topicConfigTable":{`, this.#entries(), '}}')
  }

  *#entries(): Iterable<string> {
    for (const config of this.#topics.values()) yield topicConfigEntry(config)
    for (const config of this.#pending.values()) yield topicConfigEntry(config)
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
