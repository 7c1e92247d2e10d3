/** `gantry operator`: flags and environment in, an `Operator` out, and the signals that end it. */
import { readFileSync } from 'node:fs'
import os from 'node:os'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { AdminServer, commonAdminRoutes } from '../common/admin-server.ts'
import { ExitCode, messageOf, systemCodeOf } from '../common/errors.ts'
import { createLogger } from '../common/log.ts'
import type { Logger, LogLevel } from '../common/log.ts'
import { collectProcessMetrics } from '../common/process-metrics.ts'
import { nearestName } from '../common/nearest-name.ts'
import type { Runtime } from '../common/ports.ts'
import { createRuntime } from '../common/runtime.ts'
import { createDataPlanes } from './data-plane.ts'
import { createKubeTransport, loadKubeConfig } from './kube.ts'
import { LEASE_DURATIONS } from './lease.ts'
import { Operator } from './operator.ts'
import type { OperatorOptions } from './operator.ts'

const USAGE = `Usage: gantry operator [flags]

Runs RocketMQCluster manifests on Kubernetes. Each flag may also come from the environment.

  --namespaces LIST       namespaces to watch, by comma, or 'all' (GANTRY_OPERATOR_WATCH_NAMESPACES, default all)
  --no-leader-elect       act without a Lease: only for an operator that is surely alone
  --lease-namespace NAME  namespace of the Lease (POD_NAMESPACE, default: that of the pod, else 'default')
  --lease-name NAME       name of the Lease (GANTRY_OPERATOR_LEASE, default gantry-operator)
  --operand-image IMAGE   image of pods whose cluster names none (GANTRY_OPERAND_IMAGE, GANTRY_OPERATOR_IMAGE)
  --admin-port PORT       port of /livez, /readyz, /startupz and /metrics (GANTRY_OPERATOR_ADMIN_PORT, default 5557)
  --workers COUNT         clusters worked on at the same time (default 4)
  --log-level LEVEL       trace, debug, info, warn or error (GANTRY_LOG_LEVEL, default info)
`

const FLAGS = {
  namespaces: { type: 'string' },
  'leader-elect': { type: 'boolean', default: true },
  'lease-namespace': { type: 'string' },
  'lease-name': { type: 'string' },
  'operand-image': { type: 'string' },
  'admin-port': { type: 'string' },
  workers: { type: 'string' },
  'log-level': { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const

const LOG_LEVELS: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error']
const NAMESPACE_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace'
/** A loop that stood still for this long may have outlived its Lease without knowing. */
const LOOP_LAG_LIMIT_MS = 5_000
const LOOP_CHECK_MS = 500
/** A stop that takes longer is cut: Kubernetes would kill the pod a little later. */
const STOP_LIMIT_MS = 20_000

interface Settings extends OperatorOptions {
  readonly adminPort: number
  readonly logLevel: LogLevel
}

class UsageError extends Error {}

/** Runs until SIGTERM or SIGINT (exit code 0), or until it must end at once (1). */
export async function run(argv: readonly string[]): Promise<number> {
  let settings: Settings | null
  try {
    settings = parseSettings(argv, process.env)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`gantry operator: ${error.message}\n`)
    return ExitCode.USAGE
  }
  if (settings === null) {
    process.stdout.write(USAGE)
    return ExitCode.DONE
  }
  return await serve(settings)
}

async function serve(settings: Settings): Promise<number> {
  const logger = createLogger('operator', settings.logLevel)
  const runtime = createRuntime()
  const { promise: ended, resolve: end } = Promise.withResolvers<number>()
  endOnFaults(logger, end)
  const operator = createOperator(settings, runtime, logger, end)
  if (operator === null) return ExitCode.USAGE
  collectProcessMetrics(operator.metrics.registry, runtime.disk)

  let admin: AdminServer
  try {
    const health = {
      isLive: () => true,
      notReady: () => operator.notReady(),
      notStarted: () => operator.notStarted(),
    }
    const routes = commonAdminRoutes(health, operator.metrics.registry)
    admin = await AdminServer.listen({ host: '', port: settings.adminPort, routes, logger })
  } catch (error) {
    const isBusy = systemCodeOf(error) === 'EADDRINUSE'
    const problem = isBusy ? 'another process listens on it' : messageOf(error)
    process.stderr.write(`gantry operator: admin port ${settings.adminPort}: ${problem}\n`)
    return ExitCode.UNAVAILABLE
  }

  watchLoopLag(runtime, logger, end)
  process.once('SIGTERM', () => end(ExitCode.DONE))
  process.once('SIGINT', () => end(ExitCode.DONE))
  operator.start()
  logger.info({ adminPort: admin.port, namespaces: settings.namespaces ?? 'all' }, 'started')

  const exitCode = await ended
  // After a fault nothing is tidied up: another operator may be leading already.
  if (exitCode === ExitCode.DONE) {
    runtime.timers.after(STOP_LIMIT_MS, () => process.exit(ExitCode.FAILED))
    await operator.close()
    await admin.close()
    logger.info({}, 'stopped')
  }
  // Timers and idle connections would keep the process.
  return process.exit(exitCode)
}

function createOperator(
  settings: Settings,
  runtime: Runtime,
  logger: Logger,
  end: (exitCode: number) => void,
): Operator | null {
  try {
    const config = loadKubeConfig()
    return new Operator({
      ...settings,
      runtime,
      logger,
      createTransport: (onCall) => createKubeTransport({ config, clock: runtime.clock, onCall }),
      dataPlanes: createDataPlanes({ runtime, logger }),
      onFatal: () => end(ExitCode.FAILED),
    })
  } catch (error) {
    process.stderr.write(`gantry operator: kubeconfig: ${messageOf(error)}\n`)
    return null
  }
}

function endOnFaults(logger: Logger, end: (exitCode: number) => void): void {
  const onFault = (error: unknown): void => {
    logger.error({ err: error }, 'a fault of the operator: ending')
    end(ExitCode.FAILED)
  }
  process.on('unhandledRejection', onFault)
  process.on('uncaughtException', onFault)
}

function watchLoopLag(runtime: Runtime, logger: Logger, end: (exitCode: number) => void): void {
  let last = runtime.clock.monotonic()
  runtime.timers.every(LOOP_CHECK_MS, () => {
    const now = runtime.clock.monotonic()
    const lagMs = now - last - LOOP_CHECK_MS
    last = now
    if (lagMs <= LOOP_LAG_LIMIT_MS) return
    logger.error({ lagMs }, 'the event loop stood still: ending')
    end(ExitCode.FAILED)
  })
}

/** Null: help was asked for. Throws `UsageError`. */
function parseSettings(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Settings | null {
  const values = parseFlags(argv)
  if (values.help) return null
  const operandImage =
    values['operand-image'] ??
    environment['GANTRY_OPERAND_IMAGE'] ??
    environment['GANTRY_OPERATOR_IMAGE'] ??
    ''
  if (operandImage === '') {
    throw new UsageError('no operand image: give --operand-image or GANTRY_OPERAND_IMAGE')
  }
  const logLevel = values['log-level'] ?? environment['GANTRY_LOG_LEVEL'] ?? 'info'
  const level = LOG_LEVELS.find((candidate) => candidate === logLevel)
  if (level === undefined) {
    throw new UsageError(`--log-level ${logLevel}: expected one of ${LOG_LEVELS.join(', ')}`)
  }
  const namespaces = values.namespaces ?? environment['GANTRY_OPERATOR_WATCH_NAMESPACES'] ?? 'all'
  const adminPort = values['admin-port'] ?? environment['GANTRY_OPERATOR_ADMIN_PORT'] ?? '5557'
  return {
    namespaces: parseNamespaces(namespaces),
    lease: values['leader-elect'] ? leaseOf(values, environment) : null,
    // Two containers of one pod, or a restarted one, are different holders.
    identity: `${environment['POD_NAME'] ?? os.hostname()}_${process.pid}_${Date.now().toString(36)}`,
    operandImage,
    workers: integerOf('--workers', values.workers ?? '4', 1, 64),
    adminPort: integerOf('--admin-port', adminPort, 0, 65_535),
    logLevel: level,
  }
}

interface FlagValues {
  readonly namespaces?: string
  readonly 'leader-elect': boolean
  readonly 'lease-namespace'?: string
  readonly 'lease-name'?: string
  readonly 'operand-image'?: string
  readonly 'admin-port'?: string
  readonly workers?: string
  readonly 'log-level'?: string
  readonly help: boolean
}

function parseFlags(argv: readonly string[]): FlagValues {
  try {
    return parseArgs({ args: [...argv], options: FLAGS, allowNegative: true, strict: true }).values
  } catch (error) {
    const unknown = argv.find((word) => word.startsWith('--') && !isKnown(word))
    if (unknown === undefined) throw new UsageError(messageOf(error))
    const nearest = nearestName(flagName(unknown), Object.keys(FLAGS))
    const hint = nearest === null ? '' : `; did you mean --${nearest}?`
    throw new UsageError(`unknown flag ${unknown}${hint}`)
  }
}

function isKnown(word: string): boolean {
  const name = flagName(word)
  return Object.hasOwn(FLAGS, name) || Object.hasOwn(FLAGS, name.replace(/^no-/, ''))
}

function flagName(word: string): string {
  return word.replace(/^--/, '').replace(/=.*$/, '')
}

function parseNamespaces(text: string): readonly string[] | null {
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  return names.length === 0 || names.includes('all') ? null : [...new Set(names)]
}

function leaseOf(
  values: FlagValues,
  environment: Readonly<Record<string, string | undefined>>,
): OperatorOptions['lease'] {
  const seconds = (name: string, fallbackMs: number): number => {
    const key = `GANTRY_OPERATOR_LEASE_${name}_SECONDS`
    return integerOf(key, environment[key] ?? String(fallbackMs / 1000), 1, 600) * 1000
  }
  const durations = {
    leaseMs: seconds('DURATION', LEASE_DURATIONS.leaseMs),
    renewDeadlineMs: seconds('RENEW_DEADLINE', LEASE_DURATIONS.renewDeadlineMs),
    retryMs: seconds('RETRY_PERIOD', LEASE_DURATIONS.retryMs),
  }
  if (durations.leaseMs <= durations.renewDeadlineMs) {
    throw new UsageError('the lease must last longer than its renew deadline')
  }
  if (durations.renewDeadlineMs <= durations.retryMs * 1.2) {
    throw new UsageError('the renew deadline must be longer than 1.2 retry periods')
  }
  return {
    namespace: values['lease-namespace'] ?? environment['POD_NAMESPACE'] ?? namespaceOfPod(),
    name: values['lease-name'] ?? environment['GANTRY_OPERATOR_LEASE'] ?? 'gantry-operator',
    durations,
  }
}

function namespaceOfPod(): string {
  try {
    return readFileSync(NAMESPACE_FILE, 'utf8').trim()
  } catch {
    // Outside a pod.
    return 'default'
  }
}

function integerOf(name: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= min && value <= max) return value
  throw new UsageError(`${name} ${text}: expected a whole number from ${min} to ${max}`)
}
