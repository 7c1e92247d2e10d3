/** `gantry broker`: arguments, configuration, signals, exit codes. */
import { homedir, hostname, totalmem } from 'node:os'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { ExitCode, messageOf } from '../common/errors.ts'
import { createLogger } from '../common/log.ts'
import { createRegistry } from '../common/metrics.ts'
import { pairsOf } from '../common/otlp/config-keys.ts'
import { startMetricsPush } from '../common/otlp/receivers.ts'
import { checkFilesLimit, collectProcessMetrics } from '../common/process-metrics.ts'
import { listenProblem, nextSignal, readNamedFile, usageProblem } from '../common/role-main.ts'
import { createRuntime } from '../common/runtime.ts'
import { StoreError } from '../store/errors.ts'
import { MessageStore } from '../store/message-store.ts'
import { Broker } from './broker.ts'
import { diskConfigFolder } from './config-folder.ts'
import { loadBrokerConfig } from './config.ts'
import { hasServiceAccount, inClusterRequest } from './leader-endpoint.ts'
import { StateFileError } from '../raft/state-file.ts'
import type { BrokerOptions } from './broker.ts'
import type { BrokerSchema, BrokerValues } from './config.ts'
import type { PodIdentity } from './leader-endpoint.ts'
import type { LoadedConfig } from '../common/config.ts'
import type { EndOfRole } from '../common/role-main.ts'
import type { Registry } from '../common/metrics.ts'
import type { Disk } from '../common/ports.ts'

const USAGE = `Usage: gantry broker [-c FILE] [-n LIST] [-p key=value]... [--check-config]

  -c, --configFile FILE   key=value lines, as RocketMQ's broker.conf
  -n, --namesrvAddr LIST  name servers, host:port;host:port
  -p key=value            one key; stronger than the file and GANTRY_CONFIG_<key> of the environment
      --check-config      say whether the configuration is good, and end
  -h, --help              this text
`

const OPTIONS = {
  configFile: { type: 'string', short: 'c' },
  namesrvAddr: { type: 'string', short: 'n' },
  property: { type: 'string', short: 'p', multiple: true },
  'check-config': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

const DEFAULT_API_PORT = 443

/** Runs until SIGTERM or SIGINT, or until the store fails; resolves with the exit code. */
export async function run(argv: readonly string[]): Promise<number> {
  let config: LoadedConfig<BrokerSchema>
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
    config = loadBrokerConfig({
      file: flags.configFile === undefined ? null : readNamedFile(flags.configFile),
      environment: process.env,
      flags: flags.property ?? [],
      nameServers: flags.namesrvAddr ?? null,
      defaults: { hostName: hostname(), homeDirectory: homedir() },
    })
    if (flags['check-config'] === true) {
      for (const warning of config.warnings) process.stderr.write(`warning: ${warning}\n`)
      process.stdout.write('OK\n')
      return ExitCode.DONE
    }
  } catch (error) {
    process.stderr.write(`gantry broker: ${usageProblem(error, OPTIONS)}\n`)
    return ExitCode.USAGE
  }
  return serve(config)
}

async function serve(config: LoadedConfig<BrokerSchema>): Promise<number> {
  const { values, ignored, warnings } = config
  const logger = createLogger('broker', values.logLevel)
  for (const warning of warnings) logger.warn({ problem: warning }, 'unknown configuration key')
  if (ignored.length > 0) logger.info({ keys: ignored }, 'configuration keys without effect here')

  const ended = endOfProcess()
  const runtime = createRuntime()
  const registry = createBrokerRegistry(values, runtime.disk)
  const broker = createBroker({ values, runtime, registry, logger, onFatal: ended.fail })
  const push = startMetricsPush({
    values,
    registry,
    instance: `${hostname()}:${values.metricsPromExporterPort}`,
    runtime,
    logger,
  })
  try {
    await Promise.race([broker.start(), ended.failed])
    const reason = await Promise.race([ended.signalled, ended.failed])
    logger.info({ signal: reason }, 'the broker stops')
    await push.finish()
    await broker.close()
    return ExitCode.DONE
  } catch (error) {
    void push.close()
    const { exitCode, sentence } = problemOf(error, values)
    logger.error({ err: error }, 'the broker cannot run')
    process.stderr.write(`gantry broker: ${sentence}\n`)
    await leave(broker, error)
    return exitCode
  }
}

/** So long the process may take to leave name servers and clients in order when it cannot go on. */
const LEAVE_MS = 5000

/**
 * Leaves when the broker cannot go on, within a bounded time: a thread that waits for the disk would keep the process alive for ever.
 * After a stall nothing more is tried, since the next write would wait as well.
 */
async function leave(broker: Broker, error: unknown): Promise<void> {
  const isStalled = error instanceof StoreError && error.code === 'diskStalled'
  const kill = setTimeout(() => process.kill(process.pid, 'SIGKILL'), isStalled ? 0 : LEAVE_MS)
  // What the log has not written yet goes first; else the timer ends the process only if nothing else does.
  if (isStalled) await new Promise<never>(() => undefined)
  kill.unref()
  await Promise.race([
    broker.close().catch(() => undefined),
    new Promise<void>((resolve) => setTimeout(resolve, LEAVE_MS / 2).unref()),
  ])
}

function createBrokerRegistry(values: BrokerValues, disk: Disk): Registry {
  const registry = createRegistry({
    cluster: values.brokerClusterName,
    nodeType: 'broker',
    nodeId: values.brokerName,
    more: Object.fromEntries(pairsOf(values.metricsLabel)),
  })
  collectProcessMetrics(registry, disk)
  return registry
}

function createBroker(
  options: Pick<BrokerOptions, 'values' | 'runtime' | 'registry' | 'logger' | 'onFatal'>,
): Broker {
  const { values, runtime, logger } = options
  checkFilesLimit(runtime.disk, values.maxConnections, logger)
  return new Broker({
    ...options,
    openStore: (store) => new MessageStore({ ...store, memoryBytes: memoryBytes() }),
    configFolder: (path) => diskConfigFolder(runtime.disk, path),
    ...kubernetesOf(process.env, runtime.disk),
    pid: process.pid,
  })
}

/** Of this container, or of the machine when nothing limits it. */
function memoryBytes(): number {
  const limit = process.constrainedMemory()
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem()
}

/** The Service, and what is needed to point it here; nothing outside Kubernetes. */
function kubernetesOf(
  environment: Readonly<Record<string, string | undefined>>,
  disk: Disk,
): Pick<BrokerOptions, 'kubernetes' | 'leaderService'> {
  const leaderService = environment['GANTRY_LEADER_SERVICE'] ?? ''
  if (leaderService === '') return { kubernetes: null, leaderService: null }
  const podIP = environment['GANTRY_POD_IP'] ?? ''
  const podName = environment['GANTRY_POD_NAME'] ?? ''
  const namespace = environment['GANTRY_POD_NAMESPACE'] ?? ''
  const apiHost = environment['KUBERNETES_SERVICE_HOST'] ?? ''
  const isPod = [podIP, podName, namespace, apiHost].every((value) => value !== '')
  if (!isPod || !hasServiceAccount(disk)) return { kubernetes: null, leaderService }
  const apiPort = Number(environment['KUBERNETES_SERVICE_PORT'] ?? DEFAULT_API_PORT)
  const pod: PodIdentity = { leaderService, podIP, podName, namespace, apiHost, apiPort }
  return { kubernetes: { pod, request: inClusterRequest(pod, disk) }, leaderService }
}

interface EndOfProcess {
  /** The first signal; the second ends the process at once. */
  readonly signalled: Promise<string>
  /** Rejects when the broker cannot go on. */
  readonly failed: Promise<never>
  readonly fail: (error: Error) => void
}

function endOfProcess(): EndOfProcess {
  const { promise: failed, reject: fail } = Promise.withResolvers<never>()
  // Whoever races against it handles it; until then it must not count as unhandled.
  failed.catch(() => undefined)
  return { signalled: nextSignal(), failed, fail }
}

function problemOf(error: unknown, values: BrokerValues): EndOfRole {
  const sentence = messageOf(error)
  if (error instanceof StoreError) {
    const isUsage = error.code === 'foreign' || error.code === 'unwritable'
    if (isUsage) return { exitCode: ExitCode.USAGE, sentence }
    return { exitCode: error.code === 'locked' ? ExitCode.UNAVAILABLE : ExitCode.FAILED, sentence }
  }
  if (error instanceof StateFileError) return { exitCode: ExitCode.FAILED, sentence }
  const { listenPort, metricsPromExporterPort, bindAddress } = values
  const ports = `listenPort ${listenPort} and ${listenPort - 2}, metricsPromExporterPort ${metricsPromExporterPort}`
  return listenProblem(error, { ports, bindAddress })
}
