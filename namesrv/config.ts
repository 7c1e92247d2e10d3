/** The name server's configuration: RocketMQ's NamesrvConfig and the keys of its port, plus Gantry's admin port and log level. */
import {
  ConfigError,
  choice,
  environmentSource,
  fileSource,
  flag,
  flagSource,
  integer,
  loadConfig,
  shownValue,
  text,
} from '../common/config.ts'
import { METRICS_KEYS, metricsProblem } from '../common/otlp/config-keys.ts'
import type {
  ConfigKey,
  ConfigSchema,
  ConfigSource,
  ConfigValues,
  LoadedConfig,
} from '../common/config.ts'
import { formatJavaProperties, parseJavaProperties } from '../common/java-properties.ts'

type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error'

export type NamesrvSchema = typeof METRICS_KEYS & {
  readonly bindAddress: ConfigKey<string>
  readonly listenPort: ConfigKey<number>
  readonly kvConfigPath: ConfigKey<string>
  readonly scanNotActiveBrokerInterval: ConfigKey<number>
  readonly serverChannelMaxIdleTimeSeconds: ConfigKey<number>
  readonly orderMessageEnable: ConfigKey<boolean>
  readonly returnOrderTopicConfigToBroker: ConfigKey<boolean>
  readonly supportActingMaster: ConfigKey<boolean>
  readonly notifyMinBrokerIdChanged: ConfigKey<boolean>
  readonly enableAllTopicList: ConfigKey<boolean>
  readonly enableTopicList: ConfigKey<boolean>
  readonly needWaitForService: ConfigKey<boolean>
  readonly waitSecondsForService: ConfigKey<number>
  readonly deleteTopicWithBrokerRegistration: ConfigKey<boolean>
  readonly metricsPromExporterHost: ConfigKey<string>
  readonly metricsPromExporterPort: ConfigKey<number>
  readonly maxConnections: ConfigKey<number>
  readonly logLevel: ConfigKey<LogLevel>
}

export type NamesrvValues = ConfigValues<NamesrvSchema>

const PORT = { min: 0, max: 65_535 }

/** Keys marked `live` are the whole of what UPDATE_NAMESRV_CONFIG (318) may set; no path is among them. */
export const NAMESRV_SCHEMA: NamesrvSchema = {
  bindAddress: text('0.0.0.0', { description: 'The address to listen on.' }),
  listenPort: integer(9876, { description: 'The port for brokers, clients and tools.', ...PORT }),
  kvConfigPath: text('', {
    description: 'The file of the KV config; empty: namesrv/kvConfig.json in the home directory.',
  }),
  scanNotActiveBrokerInterval: integer(5000, {
    description: 'How often silent brokers are looked for.',
    unit: 'ms',
    min: 100,
    max: 3_600_000,
  }),
  serverChannelMaxIdleTimeSeconds: integer(120, {
    description: 'A connection without traffic is closed after this time.',
    unit: 's',
    min: 1,
    max: 86_400,
  }),
  orderMessageEnable: flag(false, {
    description: 'Routes of ordered topics carry the order config of the KV config.',
    live: true,
  }),
  returnOrderTopicConfigToBroker: flag(true, {
    description: 'Registering brokers are told the order config.',
    live: true,
  }),
  supportActingMaster: flag(false, {
    description:
      'The lowest surviving member of a group without master stands in for it in routes.',
    live: true,
  }),
  notifyMinBrokerIdChanged: flag(false, {
    description: 'The members of a group are told when its lowest broker id changes.',
    live: true,
  }),
  enableAllTopicList: flag(true, {
    description: 'The list of all topics is answered.',
    live: true,
  }),
  enableTopicList: flag(true, {
    description: 'The lists of the topics of a cluster or unit are answered.',
    live: true,
  }),
  needWaitForService: flag(false, {
    description: 'Routes are answered only some time after the start.',
    live: true,
  }),
  waitSecondsForService: integer(45, {
    description: 'How long after the start, with needWaitForService.',
    unit: 's',
    min: 0,
    max: 86_400,
    live: true,
  }),
  deleteTopicWithBrokerRegistration: flag(false, {
    description: 'Topics that a registration no longer has are removed from the routes.',
    live: true,
  }),
  metricsPromExporterHost: text('', {
    description: 'The address of the admin port; empty: all.',
  }),
  metricsPromExporterPort: integer(5557, {
    description: 'The admin port: health and metrics over HTTP.',
    ...PORT,
  }),
  ...METRICS_KEYS,
  maxConnections: integer(20_000, {
    description: 'Connections at a time; more are closed at once.',
    unit: 'connections',
    min: 1,
    max: 1_000_000,
  }),
  logLevel: choice('info', ['trace', 'debug', 'info', 'warn', 'error'], {
    description: 'Events below this level are not logged.',
  }),
}

/** Keys of RocketMQ's NamesrvConfig, NettyServerConfig and NettyClientConfig that mean nothing here. */
const ROCKETMQ_KEYS: ReadonlySet<string> = new Set([
  'rocketmqHome',
  'configStorePath',
  'productEnvName',
  'clusterTest',
  'clientRequestThreadPoolNums',
  'defaultThreadPoolNums',
  'clientRequestThreadPoolQueueCapacity',
  'defaultThreadPoolQueueCapacity',
  'unRegisterBrokerQueueCapacity',
  'enableControllerInNamesrv',
  'configBlackList',
  'serverWorkerThreads',
  'serverCallbackExecutorThreads',
  'serverSelectorThreads',
  'serverOnewaySemaphoreValue',
  'serverAsyncSemaphoreValue',
  'serverSocketSndBufSize',
  'serverSocketRcvBufSize',
  'writeBufferHighWaterMark',
  'writeBufferLowWaterMark',
  'serverSocketBacklog',
  'serverNettyWorkerGroupEnable',
  'serverPooledByteBufAllocatorEnable',
  'enableShutdownGracefully',
  'shutdownWaitTimeSeconds',
  'useEpollNativeSelector',
  'clientWorkerThreads',
  'clientCallbackExecutorThreads',
  'clientOnewaySemaphoreValue',
  'clientAsyncSemaphoreValue',
  'connectTimeoutMillis',
  'channelNotActiveInterval',
  'isScanAvailableNameSrv',
  'scanAvailableNameSrv',
  'clientChannelMaxIdleTimeSeconds',
  'clientSocketSndBufSize',
  'clientSocketRcvBufSize',
  'clientPooledByteBufAllocatorEnable',
  'clientCloseSocketIfTimeout',
  'useTLS',
  'socksProxyConfig',
  'disableCallbackExecutor',
  'disableNettyWorkerGroup',
  'maxReconnectIntervalTimeSeconds',
  'enableReconnectForGoAway',
])

/** RocketMQ's list of what 318 must not set, with its own remark. */
const PATH_KEYS: ReadonlySet<string> = new Set([
  'configBlackList',
  'configStorePath',
  'kvConfigPath',
  'rocketmqHome',
])

export interface NamesrvConfigSources {
  readonly file: { readonly path: string; readonly content: string } | null
  readonly environment: Readonly<Record<string, string | undefined>>
  /** `-p key=value`. */
  readonly flags: readonly string[]
  readonly homeDirectory: string
}

/** Merges file, environment and flags; throws `ConfigError`. */
export function loadNamesrvConfig(sources: NamesrvConfigSources): LoadedConfig<NamesrvSchema> {
  const list: ConfigSource[] = []
  if (sources.file !== null) list.push(fileSource(sources.file.path, sources.file.content))
  list.push(environmentSource(sources.environment), flagSource(sources.flags))
  const loaded = loadConfig({ schema: NAMESRV_SCHEMA, sources: list, rocketmqKeys: ROCKETMQ_KEYS })
  const problem = metricsProblem(loaded.values)
  if (problem !== null) throw new ConfigError('badValue', `${problem.key}: ${problem.problem}`)
  const kvConfigPath =
    loaded.values.kvConfigPath || `${sources.homeDirectory}/namesrv/kvConfig.json`
  return { ...loaded, values: { ...loaded.values, kvConfigPath } }
}

export type UpdateResult =
  | {
      readonly type: 'updated'
      readonly changed: readonly string[]
      readonly ignored: readonly string[]
    }
  /** A key that a running name server does not take; nothing has changed. */
  | { readonly type: 'denied'; readonly remark: string }
  | { readonly type: 'invalid'; readonly remark: string }

/** The values in force: those of the start, and over them what UPDATE_NAMESRV_CONFIG (318) has set since. */
export class NamesrvSettings {
  #values: NamesrvValues

  constructor(values: NamesrvValues) {
    this.#values = values
  }

  get values(): NamesrvValues {
    return this.#values
  }

  /**
   * Takes `key=value` lines, all or none. A key that nobody knows is ignored, as RocketMQ does; what is set here lasts until the
   * restart, for the file of the start is not ours to write.
   */
  update(lines: string): UpdateResult {
    const known: { readonly key: string; readonly value: string }[] = []
    const ignored: string[] = []
    for (const { key, value } of parseJavaProperties(lines)) {
      if (PATH_KEYS.has(key)) {
        return { type: 'denied', remark: 'Can not update config in black list.' }
      }
      const facts = Object.entries(NAMESRV_SCHEMA).find(([name]) => name === key)?.[1]
      if (facts === undefined) ignored.push(key)
      else if (facts.live === true) known.push({ key, value })
      else return { type: 'denied', remark: `${key} cannot be changed while the name server runs` }
    }
    const current = Object.entries(this.#values).map(([key, value]) => ({
      key,
      value: String(value),
    }))
    try {
      const { values } = loadConfig({
        schema: NAMESRV_SCHEMA,
        sources: [
          { origin: 'current', entries: current },
          { origin: 'update', entries: known },
        ],
      })
      this.#values = values
    } catch (error) {
      if (error instanceof ConfigError) return { type: 'invalid', remark: error.message }
      throw error
    }
    return { type: 'updated', changed: known.map(({ key }) => key), ignored }
  }

  /** `key=value` lines of everything, as GET_NAMESRV_CONFIG (319) answers. */
  format(): string {
    return formatJavaProperties(
      Object.entries(NAMESRV_SCHEMA as ConfigSchema).map(([key, facts]) => [
        key,
        shownValue(facts, String(this.#values[key as keyof NamesrvValues])),
      ]),
    )
  }
}
