/** `gantry dev`: flags in, a `Dev` out, and the signals that end it. */
import { existsSync, mkdtempSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { ExitCode, messageOf } from '../common/errors.ts'
import { nearestName } from '../common/nearest-name.ts'
import { createRuntime } from '../common/runtime.ts'
import { Console } from './console.ts'
import { DataFolder, DataFolderError } from './data-folder.ts'
import { PORT_OFFSET_MAX } from './ports.ts'
import { statusOf } from './status.ts'

const USAGE = `Usage: gantry dev [-f FILE] [--data DIR] [--host ADDRESS] [--port-offset N] [--ephemeral] [--no-dashboard]
       gantry dev status [--data DIR] [-o json]

Runs a RocketMQCluster manifest on this machine, without Kubernetes: every pod is a process. Edits to the file are followed.

  -f, --file FILE      the manifest; without it one name server and one broker
  --data DIR           where everything is kept (default ./gantry-data)
  --host ADDRESS       what to listen on, and what clients are told (default 127.0.0.1)
  --port-offset N      added to every port: name servers 9876 …, brokers 10911, 10921 …, admin 5557 …
  --no-dashboard       run without the console, which is on port 8080
  --ephemeral          keep everything in a temporary folder, and remove it at the end
`

const FLAGS = {
  file: { type: 'string', short: 'f' },
  data: { type: 'string' },
  host: { type: 'string', default: '127.0.0.1' },
  'port-offset': { type: 'string', default: '0' },
  ephemeral: { type: 'boolean', default: false },
  'no-dashboard': { type: 'boolean', default: false },
  output: { type: 'string', short: 'o' },
  help: { type: 'boolean', short: 'h', default: false },
} as const

const DEFAULT_DATA = 'gantry-data'

class UsageError extends Error {}

interface Settings {
  readonly command: 'run' | 'status' | 'help'
  readonly file: string | null
  readonly data: string | null
  readonly host: string
  readonly portOffset: number
  readonly isEphemeral: boolean
  readonly withDashboard: boolean
  readonly output: 'json' | 'text'
}

/** Runs until SIGINT, SIGTERM or SIGHUP; resolves with the exit code. */
export async function run(argv: readonly string[]): Promise<number> {
  let settings: Settings
  try {
    settings = parseSettings(argv)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    return fail(ExitCode.USAGE, error.message)
  }
  if (settings.command === 'help') {
    process.stdout.write(USAGE)
    return ExitCode.DONE
  }
  if (settings.command === 'status') return printStatus(settings)
  return await runDev(settings)
}

function printStatus({ data, output }: Settings): number {
  const { disk } = createRuntime()
  const root = path.resolve(data ?? DEFAULT_DATA)
  const { exitCode, stdout, stderr } = statusOf(root, output, disk, isAlive)
  process.stdout.write(stdout)
  process.stderr.write(stderr)
  return exitCode
}

async function runDev(settings: Settings): Promise<number> {
  const { isEphemeral, data, host } = settings
  const runtime = createRuntime()
  const stop = stopSignals()
  const root = isEphemeral
    ? mkdtempSync(path.join(os.tmpdir(), 'gantry-dev-'))
    : path.resolve(data ?? DEFAULT_DATA)
  let folder: DataFolder
  try {
    folder = DataFolder.open(root, runtime.disk)
  } catch (error) {
    if (error instanceof DataFolderError) return fail(ExitCode.USAGE, error.message)
    throw error
  }
  try {
    // The parts load while the folder is looked at; other commands do not pay for them.
    const { Dev } = await import('./dev.ts')
    const { createFileLogger } = await import('./file-logger.ts')
    const { ManifestError } = await import('./manifest.ts')
    const console = new Console(process.stdout, process.env)
    const logger = createFileLogger(folder.logFile('dev'), runtime.clock)
    try {
      const dev = await Dev.prepare({
        file: settings.file,
        folder,
        bindHost: host,
        advertisedHost: advertised(host, runtime.network.localAddresses()),
        portOffset: settings.portOffset,
        runtime,
        logger,
        console,
        shownFolder: shown(root),
        withDashboard: settings.withDashboard,
      })
      const { portInUse } = await import('./port-owner.ts')
      const busy = await portInUse(host, dev.ports)
      if (busy !== null) {
        return fail(ExitCode.UNAVAILABLE, `${busy}: stop it, or move all ports with --port-offset`)
      }
      void stop.second.then(() => {
        dev.kill()
        process.exit(ExitCode.FAILED)
      })
      try {
        await dev.start()
        await stop.first
        console.close()
        process.stdout.write('stopping\n')
      } finally {
        await dev.close()
      }
      return ExitCode.DONE
    } catch (error) {
      if (error instanceof ManifestError) return fail(ExitCode.USAGE, error.message)
      if (error instanceof DataFolderError) return fail(ExitCode.USAGE, error.message)
      throw error
    } finally {
      logger.close()
    }
  } finally {
    folder.close()
    if (isEphemeral) folder.removeAll()
    stop.forget()
  }
}

function parseSettings(argv: readonly string[]): Settings {
  const { values, positionals } = parseFlags(argv)
  const [word, ...more] = positionals
  if ((word !== undefined && word !== 'status') || more.length > 0) {
    throw new UsageError(`unexpected '${word === 'status' ? (more[0] ?? '') : word}'; see --help`)
  }
  const { file, data, output, ephemeral } = values
  if (output !== undefined && output !== 'json' && output !== 'text') {
    throw new UsageError(`-o ${output}: expected json or text`)
  }
  if (ephemeral && data !== undefined) {
    throw new UsageError('--ephemeral takes a temporary folder: leave --data out')
  }
  if (file !== undefined && !existsSync(file)) throw new UsageError(`${file} is not there`)
  return {
    command: values.help ? 'help' : word === 'status' ? 'status' : 'run',
    file: file ?? null,
    data: data ?? null,
    host: values.host,
    portOffset: portOffsetOf(values['port-offset']),
    isEphemeral: ephemeral,
    withDashboard: !values['no-dashboard'],
    output: output ?? 'text',
  }
}

interface FlagValues {
  readonly file?: string
  readonly data?: string
  readonly host: string
  readonly 'port-offset': string
  readonly ephemeral: boolean
  readonly 'no-dashboard': boolean
  readonly output?: string
  readonly help: boolean
}

function parseFlags(argv: readonly string[]): {
  readonly values: FlagValues
  readonly positionals: readonly string[]
} {
  try {
    return parseArgs({ args: [...argv], options: FLAGS, allowPositionals: true, strict: true })
  } catch (error) {
    const unknown = argv.find(
      (word) => word.startsWith('--') && !Object.hasOwn(FLAGS, nameOf(word)),
    )
    if (unknown === undefined) throw new UsageError(messageOf(error))
    const nearest = nearestName(nameOf(unknown), Object.keys(FLAGS))
    const hint = nearest === null ? '' : `; did you mean --${nearest}?`
    throw new UsageError(`unknown flag ${unknown}${hint}`)
  }
}

function nameOf(flag: string): string {
  return flag.replace(/^--/, '').replace(/=.*$/, '')
}

function portOffsetOf(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value <= PORT_OFFSET_MAX) return value
  throw new UsageError(
    `--port-offset ${text}: expected a whole number from 0 to ${PORT_OFFSET_MAX}`,
  )
}

/** Nobody can dial 0.0.0.0: the machine's own address is told then. */
function advertised(host: string, localAddresses: readonly string[]): string {
  if (host !== '0.0.0.0' && host !== '::') return host
  return localAddresses[0] ?? '127.0.0.1'
}

function shown(root: string): string {
  const relative = path.relative(process.cwd(), root)
  return relative.startsWith('..') ? root : `./${relative}`
}

function stopSignals(): {
  readonly first: Promise<void>
  readonly second: Promise<void>
  readonly forget: () => void
} {
  const first = Promise.withResolvers<void>()
  const second = Promise.withResolvers<void>()
  let count = 0
  const onSignal = (): void => {
    count += 1
    if (count === 1) first.resolve()
    else second.resolve()
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, onSignal)
  return {
    first: first.promise,
    second: second.promise,
    forget: () => {
      for (const signal of signals) process.off(signal, onSignal)
    },
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function fail(exitCode: number, message: string): number {
  process.stderr.write(`gantry dev: ${message.replaceAll('\n', '\n  ')}\n`)
  return exitCode
}
