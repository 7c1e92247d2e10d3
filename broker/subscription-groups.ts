/** The consumer groups of this broker: `config/subscriptionGroup.json`, and whoever asks. */
import {
  decodeSubscriptionGroupTable,
  subscriptionGroupConfig,
  subscriptionGroupConfigRecord,
} from '../remoting/bodies/subscription-group-config.ts'
import { SYSTEM_GROUPS, groupProblem, isSystemGroup } from './names.ts'
import { PersistedFile, tablePieces } from './persisted-table.ts'
import { createTimes } from './stats.ts'
import type { BrokerConfig } from './config.ts'
import type { ConfigFolder } from './persisted-table.ts'
import type { CreateTimes } from './stats.ts'
import type { Logger } from '../common/log.ts'
import type { Clock, Timers } from '../common/ports.ts'
import { dataVersionRecord, nextDataVersion } from '../remoting/bodies/data-version.ts'
import { formatFastjson } from '../remoting/bodies/fastjson.ts'
import type { DataVersion } from '../remoting/bodies/data-version.ts'
import type { SubscriptionGroupConfig } from '../remoting/bodies/subscription-group-config.ts'

export interface SubscriptionGroupOptions {
  readonly config: BrokerConfig
  readonly folder: ConfigFolder
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
}

export class SubscriptionGroups {
  readonly #options: SubscriptionGroupOptions
  readonly #file: PersistedFile
  readonly #groups = new Map<string, SubscriptionGroupConfig>()
  /** How long it took to create or change groups, by outcome. */
  readonly createTimes: CreateTimes = createTimes(
    'rocketmq_consumer_group_create_execution_time',
    'Milliseconds to create or change consumer groups',
  )
  #dataVersion: DataVersion

  constructor(options: SubscriptionGroupOptions) {
    this.#options = options
    this.#dataVersion = { stateVersion: 0, timestamp: options.clock.now(), counter: 0 }
    this.#file = new PersistedFile({
      name: 'subscriptionGroup.json',
      folder: options.folder,
      timers: options.timers,
      logger: options.logger,
      render: () => this.#render(),
    })
  }

  get dataVersion(): DataVersion {
    return this.#dataVersion
  }

  get all(): ReadonlyMap<string, SubscriptionGroupConfig> {
    return this.#groups
  }

  /** Reads the file and adds the system groups that it lacks; throws when the file and its backup are damaged. */
  load(): void {
    const table = this.#file.read(decodeSubscriptionGroupTable)
    if (table !== null) {
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

  get(group: string): SubscriptionGroupConfig | undefined {
    return this.#groups.get(group)
  }

  /**
   * The group, created when it is unknown and may be; null when it may not.
   * The file is written behind: a group that a crash forgets comes back with the next heartbeat.
   */
  find(group: string): SubscriptionGroupConfig | null {
    const present = this.#groups.get(group)
    if (present !== undefined) return present
    const mayCreate =
      this.#options.config.values.autoCreateSubscriptionGroup || isSystemGroup(group)
    if (!mayCreate || groupProblem(group) !== null) return null
    const created = subscriptionGroupConfig(group)
    this.#groups.set(group, created)
    this.#touch()
    // A failure is logged by the file; the group stands in memory all the same.
    this.#file.save().catch(() => undefined)
    return created
  }

  async put(config: SubscriptionGroupConfig): Promise<void> {
    await this.putAll([config])
  }

  /** Creates or changes groups; resolves when that is on disk. */
  async putAll(configs: readonly SubscriptionGroupConfig[]): Promise<void> {
    if (configs.length === 0) return
    for (const config of configs) this.#groups.set(config.groupName, config)
    this.#touch()
    const startedAt = this.#options.clock.monotonic()
    let isSaved = false
    try {
      await this.#file.save()
      isSaved = true
    } finally {
      const isSystem = configs.every(({ groupName }) => isSystemGroup(groupName))
      const labels = {
        invocation_status: isSaved ? 'success' : 'failure',
        is_system: String(isSystem),
      }
      this.createTimes.observe(labels, this.#options.clock.monotonic() - startedAt)
    }
  }

  /** Resolves when that is on disk; an unknown group is passed over. */
  async delete(group: string): Promise<void> {
    if (!this.#groups.delete(group)) return
    this.#touch()
    await this.#file.save()
  }

  save(): Promise<void> {
    return this.#file.save()
  }

  /** Resolves when nothing is being written any more. */
  settled(): Promise<void> {
    return this.#file.settled()
  }

  #render(): Iterable<string> {
    const version = formatFastjson(dataVersionRecord(this.#dataVersion)).toString()
    return tablePieces(
      `{"dataVersion":${version},"forbiddenTable":{},"subscriptionGroupTable":{`,
      this.#entries(),
      '}}',
    )
  }

  *#entries(): Iterable<string> {
    for (const [name, config] of this.#groups) {
      const record = formatFastjson(subscriptionGroupConfigRecord(config)).toString()
      yield `${formatFastjson(name).toString()}:${record}`
    }
  }

  #touch(): void {
    this.#dataVersion = nextDataVersion(this.#dataVersion, this.#options.clock.now())
  }
}
