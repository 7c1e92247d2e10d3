/** The console's configuration. */
import type { LagLimits } from '../client/health-verdicts.ts'
import {
  choice,
  environmentSource,
  nameServerSource,
  fileSource,
  flag,
  flagSource,
  integer,
  loadConfig,
  text,
} from '../common/config.ts'
import type { ConfigKey, ConfigValues, LoadedConfig } from '../common/config.ts'

type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error'

export type DashboardSchema = {
  readonly namesrvAddr: ConfigKey<string>
  readonly bindAddress: ConfigKey<string>
  readonly listenPort: ConfigKey<number>
  readonly storePathRootDir: ConfigKey<string>
  readonly pollIntervalMs: ConfigKey<number>
  readonly requestTimeoutMs: ConfigKey<number>
  readonly initialPasswordFile: ConfigKey<string>
  readonly secureCookie: ConfigKey<boolean>
  readonly sessionIdleMinutes: ConfigKey<number>
  readonly viewersSeeBodies: ConfigKey<boolean>
  readonly allowedBrokers: ConfigKey<string>
  readonly lagWarningMessages: ConfigKey<number>
  readonly lagWarningMinutes: ConfigKey<number>
  readonly alarmsFile: ConfigKey<string>
  readonly logLevel: ConfigKey<LogLevel>
}

export type DashboardValues = ConfigValues<DashboardSchema>

export const DASHBOARD_SCHEMA: DashboardSchema = {
  namesrvAddr: text('127.0.0.1:9876', {
    description: 'The name servers of the cluster: `host:port;host:port`.',
  }),
  bindAddress: text('127.0.0.1', { description: 'The address to listen on; `0.0.0.0`: all.' }),
  listenPort: integer(8080, { description: 'The port for browsers.', min: 0, max: 65_535 }),
  storePathRootDir: text('gantry-dashboard', {
    description: 'The folder of users, history and events.',
  }),
  pollIntervalMs: integer(5_000, {
    description: 'How often the brokers are asked how they are.',
    unit: 'ms',
    min: 500,
    max: 600_000,
  }),
  requestTimeoutMs: integer(5_000, {
    description: 'How long a broker may take for one answer.',
    unit: 'ms',
    min: 100,
    max: 60_000,
  }),
  initialPasswordFile: text('', {
    description:
      'A file with the first password of `admin`; empty: one is made and kept in `initial-password` of the data folder.',
  }),
  secureCookie: flag(false, {
    description: 'The session cookie is sent over TLS only: true behind a proxy that ends TLS.',
  }),
  sessionIdleMinutes: integer(30, {
    description: 'A session ends when nothing was asked for so long.',
    unit: 'min',
    min: 1,
    max: 10_080,
  }),
  viewersSeeBodies: flag(true, {
    description: 'Viewers see the bodies of messages; false: operators and administrators only.',
  }),
  allowedBrokers: text('', {
    description:
      'Hosts of brokers that may be asked, separated by commas; empty: whatever the name servers tell.',
  }),
  lagWarningMessages: integer(100_000, {
    description: 'A group that is so many messages behind is a warning.',
    unit: 'messages',
    min: 1,
    max: Number.MAX_SAFE_INTEGER,
  }),
  lagWarningMinutes: integer(60, {
    description: 'A connected group whose oldest unread message waits for so long is a warning.',
    unit: 'min',
    min: 1,
    max: 1_000_000,
  }),
  alarmsFile: text('', {
    description:
      'Who is told of alarms, and of which: a YAML file that docs/operations/console.md describes; empty: nobody.',
  }),
  logLevel: choice('info', ['trace', 'debug', 'info', 'warn', 'error'], {
    description: 'Events below this level are not logged.',
  }),
}

export interface DashboardConfigSources {
  readonly file: { readonly path: string; readonly content: string } | null
  readonly environment: Readonly<Record<string, string | undefined>>
  /** `key=value`. */
  readonly flags: readonly string[]
}

/** Merges file, environment and flags; throws `ConfigError`. */
export function loadDashboardConfig(
  sources: DashboardConfigSources,
): LoadedConfig<DashboardSchema> {
  const { file, environment, flags } = sources
  return loadConfig({
    schema: DASHBOARD_SCHEMA,
    sources: [
      nameServerSource(environment),
      ...(file === null ? [] : [fileSource(file.path, file.content)]),
      environmentSource(environment),
      flagSource(flags),
    ],
  })
}

/** From when on a group's lag is a warning, and an alarm whose rule names no number. */
export function lagLimitsOf(values: DashboardValues): LagLimits {
  const { lagWarningMessages, lagWarningMinutes } = values
  return { lagMessages: lagWarningMessages, lagMs: lagWarningMinutes * 60_000 }
}

/** `a:9876;b:9876`, also with commas. */
export function addressList(list: string): readonly string[] {
  return list
    .split(/[;,]/u)
    .map((address) => address.trim())
    .filter((address) => address !== '')
}
