/** `gantry dashboard`: arguments, configuration, signals, exit codes. */
import { credentialsIn } from '../common/credentials.ts'
import { hostname } from 'node:os'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { ConfigError } from '../common/config.ts'
import type { LoadedConfig } from '../common/config.ts'
import { ExitCode } from '../common/errors.ts'
import { createLogger } from '../common/log.ts'
import { createRegistry } from '../common/metrics.ts'
import { collectProcessMetrics } from '../common/process-metrics.ts'
import { listenProblem, nextSignal, readNamedFile, usageProblem } from '../common/role-main.ts'
import { createRuntime } from '../common/runtime.ts'
import { defaultAlarmConfig, parseAlarmConfig } from './alarms/alarm-config.ts'
import type { AlarmConfig } from './alarms/alarm-config.ts'
import { missingFiles } from './alarms/senders.ts'
import { UsersError } from './auth/users.ts'
import { lagLimitsOf, loadDashboardConfig } from './config.ts'
import type { DashboardSchema, DashboardValues } from './config.ts'
import { Dashboard } from './dashboard.ts'

const USAGE = `Usage: gantry dashboard [-c FILE] [-n NAMESRV_LIST] [--listen HOST:PORT] [--data DIR] [-p key=value]...

The console: a web page for those who run the cluster.

  -c, --configFile FILE   key=value lines; docs/configuration.md lists the keys
  -n, --namesrv LIST      name servers, host:port;host:port (also NAMESRV_ADDR; default 127.0.0.1:9876)
      --listen HOST:PORT  where browsers come (default 127.0.0.1:8080)
      --data DIR          users, history, events (default ./gantry-dashboard)
  -p key=value            one key; stronger than the file and GANTRY_CONFIG_<key> of the environment
      --check-config      say whether the configuration is good, and end
  -h, --help              this text

The first user is admin; its password is made at the first start and stands in DIR/initial-password.
`

const OPTIONS = {
  configFile: { type: 'string', short: 'c' },
  namesrv: { type: 'string', short: 'n' },
  listen: { type: 'string' },
  data: { type: 'string' },
  property: { type: 'string', short: 'p', multiple: true },
  'check-config': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

/** Runs until SIGTERM or SIGINT; resolves with the exit code. */
export async function run(argv: readonly string[]): Promise<number> {
  let config: LoadedConfig<DashboardSchema>
  let firstPassword: string | null
  let alarms: AlarmConfig
  try {
    const { values: flags } = parseArgs({
      args: [...argv],
      options: OPTIONS,
      allowPositionals: false,
    })
    if (flags.help === true) {
      process.stdout.write(USAGE)
      return ExitCode.DONE
    }
    config = loadDashboardConfig({
      file: flags.configFile === undefined ? null : readNamedFile(flags.configFile),
      environment: process.env,
      flags: [
        ...(flags.namesrv === undefined ? [] : [`namesrvAddr=${flags.namesrv}`]),
        ...(flags.data === undefined ? [] : [`storePathRootDir=${flags.data}`]),
        ...(flags.listen === undefined ? [] : listenEntries(flags.listen)),
        ...(flags.property ?? []),
      ],
    })
    alarms = alarmsIn(config.values)
    if (flags['check-config'] === true) {
      for (const warning of config.warnings) process.stderr.write(`warning: ${warning}\n`)
      process.stdout.write('OK\n')
      return ExitCode.DONE
    }
    firstPassword = passwordIn(config.values.initialPasswordFile)
  } catch (error) {
    process.stderr.write(`gantry dashboard: ${usageProblem(error, OPTIONS)}\n`)
    return ExitCode.USAGE
  }
  return serve(config, firstPassword, alarms)
}

async function serve(
  { values, warnings }: LoadedConfig<DashboardSchema>,
  firstPassword: string | null,
  alarms: AlarmConfig,
): Promise<number> {
  const logger = createLogger('dashboard', values.logLevel)
  for (const warning of warnings) logger.warn({ problem: warning }, 'unknown configuration key')
  const runtime = createRuntime()
  const registry = createRegistry({ cluster: '', nodeType: 'dashboard', nodeId: hostname() })
  collectProcessMetrics(registry, runtime.disk)
  const stopped = nextSignal()
  try {
    const credentials = credentialsIn(process.env)
    const dashboard = new Dashboard({
      values,
      firstPassword,
      alarms,
      credentials,
      runtime,
      logger,
      registry,
    })
    const { url, passwordFile } = await dashboard.start()
    process.stdout.write(`ready dashboard=${url}\n`)
    if (passwordFile !== null) {
      process.stdout.write(`log in as admin; the first password is in ${passwordFile}\n`)
    }
    const signal = await stopped
    logger.info({ signal }, 'the console stops')
    await dashboard.close()
    return ExitCode.DONE
  } catch (error) {
    const ports = `listenPort ${values.listenPort}`
    const { exitCode, sentence } = listenProblem(error, { ports, bindAddress: values.bindAddress })
    if (!(error instanceof UsersError)) logger.error({ err: error }, 'the console cannot run')
    process.stderr.write(`gantry dashboard: ${sentence}\n`)
    return exitCode
  }
}

/** Throws `ConfigError`, also when a file that it names cannot be read. */
function alarmsIn(values: DashboardValues): AlarmConfig {
  const { alarmsFile } = values
  const thresholds = lagLimitsOf(values)
  if (alarmsFile === '') return defaultAlarmConfig(thresholds)
  const { content } = readNamedFile(alarmsFile, 'alarmsFile')
  const alarms = parseAlarmConfig(content, alarmsFile, thresholds)
  const [missing] = missingFiles(alarms.receivers, createRuntime().disk)
  if (missing !== undefined) throw new ConfigError('badValue', `${alarmsFile}: ${missing}`)
  return alarms
}

/** The first line; null: no file is named. */
function passwordIn(path: string): string | null {
  if (path === '') return null
  const [password = ''] = readNamedFile(path, 'initialPasswordFile').content.split('\n')
  if (password.trim() === '')
    throw new ConfigError('badValue', `initialPasswordFile ${path} is empty`)
  return password.trim()
}

/** `HOST:PORT`, `:PORT`, or a port. */
function listenEntries(listen: string): readonly string[] {
  const [, host = '', port = ''] = /^(?:(.*):)?(\d+)$/u.exec(listen) ?? []
  if (port === '') throw new ConfigError('badValue', `--listen ${listen}: expected HOST:PORT`)
  return [...(host === '' ? [] : [`bindAddress=${host}`]), `listenPort=${port}`]
}
