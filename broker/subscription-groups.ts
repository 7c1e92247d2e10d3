/** The consumer groups of this broker group: a table in the log, `config/subscriptionGroup.json`, and whoever asks. */
import { isLightName } from '../common/light-queues.ts'
import {
  subscriptionGroupConfig,
  subscriptionGroupConfigOf,
  subscriptionGroupConfigRecord,
  subscriptionGroupTableOf,
} from '../remoting/bodies/subscription-group-config.ts'
import { SYSTEM_GROUPS, groupProblem, isSystemGroup } from './names.ts'
import { inChanges } from './group-tables.ts'
import { tablePieces } from './persisted-table.ts'
import { createTimes } from './stats.ts'
import type { BrokerConfig } from './config.ts'
import type { GroupTables, TableHandle } from './group-tables.ts'
import type { CreateTimes } from './stats.ts'
import type { Clock } from '../common/ports.ts'
import { dataVersionRecord, nextDataVersion } from '../remoting/bodies/data-version.ts'
import { formatFastjson } from '../remoting/bodies/fastjson.ts'
import {
  asObject,
  booleanMember,
  listMember,
  optionalObject,
  textList,
  textMember,
} from '../remoting/bodies/json-members.ts'
import type { JsonObject, JsonValue } from '../remoting/bodies/fastjson.ts'
import type { DataVersion } from '../remoting/bodies/data-version.ts'
import type {
  ForbiddenTable,
  SubscriptionGroupConfig,
} from '../remoting/bodies/subscription-group-config.ts'

export interface SubscriptionGroupOptions {
  readonly config: BrokerConfig
  readonly tables: Pick<GroupTables, 'add'>
  readonly clock: Clock
}

/** `1 << PermName.INDEX_PERM_READ`: the group may not read the topic. */
const READ_FORBIDDEN = 1 << 2

export class SubscriptionGroups {
  readonly #options: SubscriptionGroupOptions
  readonly #table: TableHandle
  readonly #groups = new Map<string, SubscriptionGroupConfig>()
  /** Bits of what a group may not do with a topic, by group and topic; nothing is kept for no bits. */
  readonly #forbidden = new Map<string, Map<string, number>>()
  /** Made by `find`, and not yet committed. */
  readonly #pending = new Map<string, SubscriptionGroupConfig>()
  /** How long it took to create or change groups, by outcome. */
  readonly createTimes: CreateTimes = createTimes(
    'rocketmq_consumer_group_create_execution_time_milliseconds',
    'Milliseconds to create or change consumer groups',
  )
  #dataVersion: DataVersion

  constructor(options: SubscriptionGroupOptions) {
    this.#options = options
    this.#dataVersion = { stateVersion: 0, timestamp: options.clock.now(), counter: 0 }
    this.#table = options.tables.add({
      name: 'subscriptionGroups',
      fileName: 'subscriptionGroup.json',
      saveAfterMs: 0,
      apply: (change, { timestamp }) => this.#apply(change, timestamp),
      render: () => this.#render(),
      restore: (file) => this.#restore(file),
    })
  }

  get dataVersion(): DataVersion {
    return this.#dataVersion
  }

  get all(): ReadonlyMap<string, SubscriptionGroupConfig> {
    return this.#pending.size === 0 ? this.#groups : new Map([...this.#pending, ...this.#groups])
  }

  get forbidden(): ForbiddenTable {
    return this.#forbidden
  }

  /** A group of a light queue has its name, and is there whenever somebody asks for it. */
  get(group: string): SubscriptionGroupConfig | undefined {
    return this.#groups.get(group) ?? this.#pending.get(group) ?? this.#light(group)
  }

  #light(group: string): SubscriptionGroupConfig | undefined {
    const { enableLmq } = this.#options.config.values
    if (!enableLmq || !isLightName(group) || groupProblem(group) !== null) return undefined
    return subscriptionGroupConfig(group)
  }

  /**
   * The group, created when it is unknown and may be; null when it may not.
   * It is written behind: a group that a crash forgets comes back with the next heartbeat.
   */
  find(group: string): SubscriptionGroupConfig | null {
    const present = this.get(group)
    if (present !== undefined) return present
    const mayCreate =
      this.#options.config.values.autoCreateSubscriptionGroup || isSystemGroup(group)
    if (!mayCreate || groupProblem(group) !== null) return null
    const created = subscriptionGroupConfig(group)
    this.#pending.set(group, created)
    this.#table
      .propose({ put: [subscriptionGroupConfigRecord(created)] })
      // The next heartbeat makes it again.
      .catch(() => undefined)
      .finally(() => this.#pending.delete(group))
    return created
  }

  async put(config: SubscriptionGroupConfig): Promise<void> {
    await this.putAll([config])
  }

  /** Creates or changes groups; resolves when that is committed. */
  async putAll(configs: readonly SubscriptionGroupConfig[]): Promise<void> {
    if (configs.length === 0) return
    const startedAt = this.#options.clock.monotonic()
    let isDone = false
    try {
      const records = configs.map(subscriptionGroupConfigRecord)
      const lists = inChanges(records, (record) => formatFastjson(record).length)
      await Promise.all(lists.map((list) => this.#table.propose({ put: list })))
      isDone = true
    } finally {
      const isSystem = configs.every(({ groupName }) => isSystemGroup(groupName))
      const labels = {
        invocation_status: isDone ? 'success' : 'failure',
        is_system: String(isSystem),
      }
      this.createTimes.observe(labels, this.#options.clock.monotonic() - startedAt)
    }
  }

  /** Resolves when that is committed; an unknown group is passed over. */
  async delete(group: string): Promise<void> {
    if (this.get(group) !== undefined) await this.#table.propose({ delete: [group] })
  }

  /** False: the group gets nothing of the topic, whatever its members subscribe to. */
  mayRead(group: string, topic: string): boolean {
    return (this.#forbiddenBits(group, topic) & READ_FORBIDDEN) === 0
  }

  /** Resolves when that is committed. */
  async setMayRead(group: string, topic: string, mayRead: boolean): Promise<void> {
    await this.#table.propose({ forbid: { group, topic, mayRead } })
  }

  #forbiddenBits(group: string, topic: string): number {
    return this.#forbidden.get(group)?.get(topic) ?? 0
  }

  #forbid(change: JsonObject): void {
    const group = textMember(change, 'group')
    const topic = textMember(change, 'topic')
    const before = this.#forbiddenBits(group, topic)
    const mayRead = booleanMember(change, 'mayRead', true)
    const bits = mayRead ? before & ~READ_FORBIDDEN : before | READ_FORBIDDEN
    const topics = this.#forbidden.get(group) ?? new Map<string, number>()
    if (bits > 0) topics.set(topic, bits)
    else topics.delete(topic)
    if (topics.size > 0) this.#forbidden.set(group, topics)
    else this.#forbidden.delete(group)
  }

  #apply(json: JsonValue, timestamp: number): void {
    const change = asObject(json, 'a change of consumer groups')
    const put = listMember(change, 'put').map((item) =>
      subscriptionGroupConfigOf(asObject(item, 'put')),
    )
    for (const config of put) this.#groups.set(config.groupName, config)
    for (const name of textList(change, 'delete')) {
      this.#groups.delete(name)
      this.#forbidden.delete(name)
    }
    const forbid = optionalObject(change, 'forbid')
    if (forbid !== null) this.#forbid(forbid)
    this.#dataVersion = nextDataVersion(this.#dataVersion, timestamp)
  }

  #restore(file: JsonObject | null): void {
    const table = file === null ? null : subscriptionGroupTableOf(file)
    this.#groups.clear()
    this.#forbidden.clear()
    if (table !== null) {
      for (const [name, topics] of table.forbidden) this.#forbidden.set(name, new Map(topics))
      this.#dataVersion = table.dataVersion
      for (const [name, config] of table.groups) this.#groups.set(name, config)
    }
    for (const name of SYSTEM_GROUPS) {
      if (this.#groups.has(name)) continue
      const consumeBroadcastEnable = name.startsWith('CID_ONS')
      this.#groups.set(
        name,
        subscriptionGroupConfig(name, consumeBroadcastEnable ? { consumeBroadcastEnable } : {}),
      )
    }
  }

  #render(): Iterable<string> {
    const version = formatFastjson(dataVersionRecord(this.#dataVersion)).toString()
    const forbidden = formatFastjson(this.#forbidden).toString()
    return tablePieces(
      `{"dataVersion":${version},"forbiddenTable":${forbidden},"subscriptionGroupTable":{`,
      this.#entries(),
      '}',
    )
  }

  *#entries(): Iterable<string> {
    for (const [name, config] of this.#groups) {
      const record = formatFastjson(subscriptionGroupConfigRecord(config)).toString()
      yield `${formatFastjson(name).toString()}:${record}`
    }
  }
}
