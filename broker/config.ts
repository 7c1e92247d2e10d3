/** The broker's configuration: schema, loading, the checks across keys, and the values that change while it runs. */
import {
  ConfigError,
  environmentSource,
  fileSource,
  flagSource,
  loadConfig,
  nameServerSource,
  shownValue,
} from '../common/config.ts'
import {
  GANTRY_KEYS,
  GROUP_KEYS,
  IDENTITY_KEYS,
  REFUSED_KEYS,
  SERVICE_KEYS,
  STORE_KEYS,
} from './config-schema.ts'
import { AUTH_KEYS } from './auth/config-schema.ts'
import { initialUserIn, innerUserIn } from '../common/credentials.ts'
import { METRICS_KEYS, metricsProblem } from '../common/otlp/config-keys.ts'
import { parseDelayLevels } from '../common/delay-levels.ts'
import { DELAY_KEYS } from './delay/config-schema.ts'
import { POP_KEYS } from './pop/pop-keys.ts'
import { ROCKETMQ_KEYS } from './rocketmq-keys.ts'
import { topicProblem } from './names.ts'
import type { ConfigSchema, ConfigSource, ConfigValues, LoadedConfig } from '../common/config.ts'
import { groupProblem } from './group-config.ts'
import type { StoreConfig } from '../store/types.ts'

export type BrokerSchema = typeof IDENTITY_KEYS &
  typeof METRICS_KEYS &
  typeof SERVICE_KEYS &
  typeof POP_KEYS &
  typeof STORE_KEYS &
  typeof DELAY_KEYS &
  typeof GROUP_KEYS &
  typeof AUTH_KEYS &
  typeof REFUSED_KEYS &
  typeof GANTRY_KEYS

/** Every key of a broker, in the order in which they are shown. */
export const BROKER_SCHEMA: BrokerSchema = {
  ...IDENTITY_KEYS,
  ...METRICS_KEYS,
  ...SERVICE_KEYS,
  ...POP_KEYS,
  ...STORE_KEYS,
  ...DELAY_KEYS,
  ...GROUP_KEYS,
  ...AUTH_KEYS,
  ...REFUSED_KEYS,
  ...GANTRY_KEYS,
}

export type BrokerValues = ConfigValues<BrokerSchema>

export type BrokerConfigFile = { readonly path: string; readonly content: string }

export interface BrokerConfigSources {
  readonly file: BrokerConfigFile | null
  /** `GANTRY_CONFIG_<key>` counts, the rest is passed over. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** `-p key=value`. */
  readonly flags: readonly string[]
  /** `-n`: takes precedence over `namesrvAddr` of the file. */
  readonly nameServers: string | null
  /** What stands in for keys that are not given. */
  readonly defaults: { readonly hostName: string; readonly homeDirectory: string }
}

/** Merges file, environment and flags and checks them; throws `ConfigError`. */
export function loadBrokerConfig(sources: BrokerConfigSources): LoadedConfig<BrokerSchema> {
  const list: ConfigSource[] = [nameServerSource(sources.environment)]
  if (sources.file !== null) list.push(fileSource(sources.file.path, sources.file.content))
  list.push(environmentSource(sources.environment), flagSource(sources.flags))
  if (sources.nameServers !== null) {
    list.push({
      origin: 'flag -n',
      entries: [{ key: 'namesrvAddr', value: sources.nameServers }],
    })
  }
  const loaded = loadConfig({ schema: BROKER_SCHEMA, sources: list, rocketmqKeys: ROCKETMQ_KEYS })
  const { values } = loaded
  const rootDirectory = values.storePathRootDir || `${sources.defaults.homeDirectory}/store`
  const completed: BrokerValues = {
    ...values,
    brokerName: values.brokerName || sources.defaults.hostName,
    storePathRootDir: rootDirectory,
    storePathCommitLog: values.storePathCommitLog || `${rootDirectory}/commitlog`,
  }
  checkValues(completed, (key) => placeOf(key, list))
  return { ...loaded, values: completed }
}

/** `file:line` of the entry that decided a key; empty when it was not given. */
function placeOf(key: string, sources: readonly ConfigSource[]): string {
  for (const { origin, entries } of sources.toReversed()) {
    const found = entries.findLast((entry) => entry.key === key)
    if (found !== undefined)
      return found.line === undefined ? `${origin}: ` : `${origin}:${found.line}: `
  }
  return ''
}

function checkValues(values: BrokerValues, place: (key: string) => string): void {
  const refuse = (key: string, problem: string): never => {
    throw new ConfigError('badValue', `${place(key)}${key}: ${problem}`)
  }
  for (const key of Object.keys(REFUSED_KEYS) as (keyof typeof REFUSED_KEYS)[]) {
    if (values[key]) refuse(key, `true is not supported: ${REFUSED_KEYS[key].description}`)
  }
  if (values.brokerRole === 'SLAVE') {
    refuse('brokerRole', 'SLAVE is not supported: the members of a broker group are elected')
  }
  for (const key of ['brokerName', 'brokerClusterName'] as const) {
    const problem = topicProblem(values[key].replaceAll('.', '-'))
    if (problem !== null) refuse(key, `'${values[key]}' cannot be a topic name: ${problem}`)
  }
  const users = [
    ['initAuthenticationUser', initialUserIn(values.initAuthenticationUser)],
    [
      'innerClientAuthenticationCredentials',
      innerUserIn(values.innerClientAuthenticationCredentials),
    ],
  ] as const
  for (const [key, user] of users) if (typeof user === 'string') refuse(key, user)
  const groupIssue = groupProblem(values)
  if (groupIssue !== null) refuse(groupIssue.key, groupIssue.problem)
  const serverProblem = nameServerListProblem(values.namesrvAddr)
  if (serverProblem !== null) refuse('namesrvAddr', serverProblem)
  const metricsIssue = metricsProblem(values)
  if (metricsIssue !== null) refuse(metricsIssue.key, metricsIssue.problem)
  const ports = [values.listenPort, values.listenPort - 2]
  if (ports.includes(values.metricsPromExporterPort)) {
    refuse('metricsPromExporterPort', `${values.metricsPromExporterPort} is a port for clients`)
  }
  const levels = parseDelayLevels(values.messageDelayLevel)
  if (typeof levels === 'string') refuse('messageDelayLevel', levels)
  if (values.mappedFileSizeConsumeQueue % 20 !== 0) {
    refuse(
      'mappedFileSizeConsumeQueue',
      `${values.mappedFileSizeConsumeQueue} is not a multiple of 20`,
    )
  }
  if (values.mappedFileSizeCommitLog < values.maxMessageSize + 128 * 1024) {
    refuse(
      'mappedFileSizeCommitLog',
      `${values.mappedFileSizeCommitLog} does not hold a message of maxMessageSize ${values.maxMessageSize} with its properties`,
    )
  }
}

/** The addresses of a name server list; blanks around them and empty items are dropped. */
export function splitNameServers(list: string): readonly string[] {
  return list
    .split(';')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

/** What is wrong with a name server list, or null. */
export function nameServerListProblem(list: string): string | null {
  for (const item of splitNameServers(list)) {
    const colon = item.lastIndexOf(':')
    const port = Number(item.slice(colon + 1))
    if (colon < 1 || !Number.isInteger(port) || port < 1 || port > 65_535) {
      return `'${item}' is not host:port`
    }
  }
  return null
}

export type ConfigChange = { readonly key: string; readonly value: string }

/**
 * The values that the running broker reads. Live keys change by `update`; the others are as they were at start.
 *
 * Components keep the object and read `values` each time they need one.
 */
export class BrokerConfig {
  #values: BrokerValues
  #counter = 0
  #timestamp: number
  readonly #listeners: ((keys: readonly string[]) => void)[] = []

  constructor(values: BrokerValues, startedAt: number) {
    this.#values = values
    this.#timestamp = startedAt
  }

  get values(): BrokerValues {
    return this.#values
  }

  /** Moves with every change, as the `version` of GET_BROKER_CONFIG. */
  get dataVersion(): {
    readonly stateVersion: number
    readonly timestamp: number
    readonly counter: number
  } {
    return { stateVersion: 0, timestamp: this.#timestamp, counter: this.#counter }
  }

  /** `listener` is called after each update with the keys whose value changed. */
  onChange(listener: (keys: readonly string[]) => void): void {
    this.#listeners.push(listener)
  }

  /**
   * Takes new values for live keys, all or none; returns what is refused and why, or null when all were taken.
   * Keys that only RocketMQ knows are passed over, as a Java broker passes over unknown ones.
   */
  update(changes: readonly ConfigChange[], now: number): string | null {
    const next: Record<string, string | number | boolean> = {}
    for (const { key, value } of changes) {
      const facts = Object.hasOwn(BROKER_SCHEMA, key)
        ? (BROKER_SCHEMA as ConfigSchema)[key]
        : undefined
      if (facts === undefined) {
        if (ROCKETMQ_KEYS.has(key)) continue
        return `unknown key ${key}`
      }
      const parsed = facts.parse(value.trim())
      if ('problem' in parsed) return `${key}: ${parsed.problem}`
      if (parsed.value === this.#values[key as keyof BrokerValues]) continue
      if (facts.live !== true) return `${key} cannot be changed while the broker runs`
      if (key === 'namesrvAddr') {
        const problem = nameServerListProblem(value)
        if (problem !== null) return `${key}: ${problem}`
      }
      next[key] = parsed.value
    }
    const keys = Object.keys(next)
    if (keys.length === 0) return null
    // Each value was parsed by its own key's parser.
    this.#values = { ...this.#values, ...(next as Partial<BrokerValues>) }
    this.#counter++
    this.#timestamp = now
    for (const listener of this.#listeners) listener(keys)
    return null
  }

  /** Every key with its value as text and whether it is live, in schema order. */
  entries(): readonly {
    readonly key: string
    readonly value: string
    readonly live: boolean
    readonly default: string
  }[] {
    return Object.entries(BROKER_SCHEMA as ConfigSchema).map(([key, facts]) => ({
      key,
      value: shownValue(facts, String(this.#values[key as keyof BrokerValues])),
      live: facts.live === true,
      default: String(facts.default),
    }))
  }

  /** What the store reads; live keys of the store follow `update`. */
  storeConfig(): StoreConfig {
    return storeConfigOver(() => this.#values)
  }
}

/** A `StoreConfig` whose members are read anew each time. */
function storeConfigOver(read: () => BrokerValues): StoreConfig {
  const config = {}
  for (const key of Object.keys(STORE_KEYS) as (keyof typeof STORE_KEYS)[]) {
    Object.defineProperty(config, key, { enumerable: true, get: () => read()[key] })
  }
  // Every key of StoreConfig stands in STORE_KEYS with the same type; the assignment below would not compile otherwise.
  const proof: Pick<BrokerValues, keyof typeof STORE_KEYS> = config as BrokerValues
  return proof
}
