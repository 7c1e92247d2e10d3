/** `gantry namesrv`: arguments, configuration, signals, exit codes. */
import { homedir, hostname } from 'node:os'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { ExitCode } from '../common/errors.ts'
import { createLogger } from '../common/log.ts'
import { createRegistry } from '../common/metrics.ts'
import { pairsOf } from '../common/otlp/config-keys.ts'
import { startMetricsPush } from '../common/otlp/receivers.ts'
import { checkFilesLimit, collectProcessMetrics } from '../common/process-metrics.ts'
import { listenProblem, nextSignal, readNamedFile, usageProblem } from '../common/role-main.ts'
import type { EndOfRole } from '../common/role-main.ts'
import { createRuntime } from '../common/runtime.ts'
import { loadNamesrvConfig } from './config.ts'
import type { NamesrvSchema } from './config.ts'
import type { LoadedConfig } from '../common/config.ts'
import { KvConfigError } from './kv-config.ts'
import { NameServer } from './name-server.ts'

const USAGE = `Usage: gantry namesrv [-c FILE] [-p key=value]... [--check-config]

  -c, --configFile FILE   key=value lines, as RocketMQ's namesrv.conf
  -p key=value            one key; stronger than the file and GANTRY_CONFIG_<key> of the environment
      --check-config      say whether the configuration is good, and end
  -h, --help              this text
`

const OPTIONS = {
  configFile: { type: 'string', short: 'c' },
  property: { type: 'string', short: 'p', multiple: true },
  'check-config': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

/** Runs until SIGTERM or SIGINT; resolves with the exit code. */
export async function run(argv: readonly string[]): Promise<number> {
  let config: LoadedConfig<NamesrvSchema>
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
    config = loadNamesrvConfig({
      file: flags.configFile === undefined ? null : readNamedFile(flags.configFile),
      environment: process.env,
      flags: flags.property ?? [],
      homeDirectory: homedir(),
    })
    if (flags['check-config'] === true) {
      for (const warning of config.warnings) process.stderr.write(`warning: ${warning}\n`)
      process.stdout.write('OK\n')
      return ExitCode.DONE
    }
  } catch (error) {
    process.stderr.write(`gantry namesrv: ${usageProblem(error, OPTIONS)}\n`)
    return ExitCode.USAGE
  }
  return serve(config)
}

async function serve(config: LoadedConfig<NamesrvSchema>): Promise<number> {
  const { values, ignored, warnings } = config
  const logger = createLogger('namesrv', values.logLevel)
  for (const warning of warnings) logger.warn({ problem: warning }, 'unknown configuration key')
  if (ignored.length > 0) logger.info({ keys: ignored }, 'configuration keys without effect here')
  const registry = createRegistry({
    cluster: '',
    nodeType: 'nameserver',
    nodeId: hostname(),
    more: Object.fromEntries(pairsOf(values.metricsLabel)),
  })
  const runtime = createRuntime()
  collectProcessMetrics(registry, runtime.disk)
  checkFilesLimit(runtime.disk, values.maxConnections, logger)

  const push = startMetricsPush({
    values,
    registry,
    instance: `${hostname()}:${values.metricsPromExporterPort}`,
    runtime,
    logger,
  })
  const stopped = nextSignal()
  try {
    const nameServer = new NameServer({ values, runtime, logger, registry })
    await nameServer.start()
    const signal = await stopped
    logger.info({ signal }, 'the name server stops')
    await push.finish()
    await nameServer.close()
    return ExitCode.DONE
  } catch (error) {
    await push.close()
    const { exitCode, sentence } = startProblem(error, config)
    logger.error({ err: error }, 'the name server cannot run')
    process.stderr.write(`gantry namesrv: ${sentence}\n`)
    return exitCode
  }
}

function startProblem(error: unknown, { values }: LoadedConfig<NamesrvSchema>): EndOfRole {
  if (error instanceof KvConfigError) {
    const exitCode = error.code === 'corrupt' ? ExitCode.FAILED : ExitCode.USAGE
    return { exitCode, sentence: error.message }
  }
  const ports = `listenPort ${values.listenPort}, metricsPromExporterPort ${values.metricsPromExporterPort}`
  return listenProblem(error, { ports, bindAddress: values.bindAddress })
}
