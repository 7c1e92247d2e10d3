/** `gantry bench`: loads on any cluster that speaks RocketMQ's remoting protocol. */
import process from 'node:process'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { ExitCode, messageOf } from '../common/errors.ts'
import { credentialsIn } from '../common/credentials.ts'
import { createRuntime } from '../common/runtime.ts'
import { ClientError } from '../client/errors.ts'
import {
  addLoadFlags,
  benchOptionsOf,
  consumeFrom,
  endProgress,
  numberIn,
} from './bench-options.ts'
import type { LoadDefaults, LoadFlags } from './bench-options.ts'
import { smoke } from './bench-smoke.ts'
import { runBacklog } from './bench/backlog.ts'
import { runConsumer } from './bench/consumer.ts'
import type { ConsumeFrom } from './bench/consumer.ts'
import { runLatency } from './bench/latency.ts'
import { runManyConnections } from './bench/many-connections.ts'
import { runManyTopics } from './bench/many-topics.ts'
import { runProducer } from './bench/producer.ts'
import type { BenchOptions, BenchResult } from './bench/scenario.ts'
import { MAX_TOPICS } from './bench/send-frames.ts'
import { formatSummary } from './bench/summary.ts'

const PULL_BATCH = 32
const MAX_PULL_BATCH = 1_024

interface SmokeFlags {
  readonly namesrv: string
  readonly count: number
  readonly timeoutMs: number
  readonly json?: boolean
}

interface PullFlags extends LoadFlags {
  readonly pullBatch: number
}

interface ConsumerFlags extends PullFlags {
  readonly from: ConsumeFrom
  readonly mode: 'pull' | 'pop'
  readonly ackEach?: boolean
  readonly loop?: boolean
  readonly follow?: boolean
}

interface BacklogFlags extends PullFlags {
  readonly fill: number
}

interface TopicsFlags extends LoadFlags {
  readonly topics: number
  readonly create: boolean
}

interface ConnectionsFlags extends LoadFlags {
  readonly idle: number
  readonly heartbeat?: boolean
}

const SEND_DEFAULTS: LoadDefaults = { connections: 8, inFlight: 32, queues: 8, rate: 0 }

/** Runs `gantry bench ARGS`; resolves with the exit code. */
export async function run(argv: readonly string[]): Promise<number> {
  let exitCode: number = ExitCode.DONE
  const program = new Command('gantry bench')
    .description('measure or smoke-test a cluster')
    .showSuggestionAfterError()
    .exitOverride()
  const end = (code: number): void => {
    exitCode = code
  }
  addSmoke(program, end)
  addSendScenarios(program, end)
  addConsumeScenarios(program, end)
  addGrowthScenarios(program, end)

  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return error.exitCode === 0 ? ExitCode.DONE : ExitCode.USAGE
  }
  return exitCode
}

function addSmoke(program: Command, end: (code: number) => void): void {
  program
    .command('smoke')
    .description('send messages to a fresh topic on every broker, and receive every one of them')
    .option('-n, --namesrv <list>', 'name servers as host:port;host:port', '127.0.0.1:9876')
    .option('--count <messages>', 'how many messages', wholeNumber, 100)
    .option('--timeout-ms <ms>', 'for all of it', wholeNumber, 60_000)
    .option('--json', 'print the result as one line of JSON')
    .action(async (flags: SmokeFlags) => {
      end(await runSmoke(flags))
    })
}

function addSendScenarios(program: Command, end: (code: number) => void): void {
  addLoadFlags(
    program.command('producer').description('send, as fast as the window allows or at a rate'),
    SEND_DEFAULTS,
  ).action(async (flags: LoadFlags) => {
    end(await runScenario(flags, runProducer))
  })

  addLoadFlags(
    program
      .command('latency')
      .description('send at a fixed rate and consume; durations count from when a send was due'),
    { ...SEND_DEFAULTS, connections: 4, inFlight: 512, rate: 1_000 },
  )
    .option('--pull-batch <count>', 'messages to a pull', numberIn(1, MAX_PULL_BATCH), PULL_BATCH)
    .action(async (flags: PullFlags) => {
      if (flags.rate === 0) return end(usage('latency', '--rate must be above 0'))
      end(await runScenario(flags, (options) => runLatency(options, flags)))
    })
}

function addConsumeScenarios(program: Command, end: (code: number) => void): void {
  addLoadFlags(
    program.command('consumer').description('pull a topic and check what comes'),
    SEND_DEFAULTS,
  )
    .option(
      '--from <where>',
      'first, last, committed, or -N for the last N messages',
      consumeFrom,
      'first',
    )
    .option('--pull-batch <count>', 'messages to a pull', numberIn(1, MAX_PULL_BATCH), PULL_BATCH)
    .addOption(
      new Option('--mode <mode>', 'pull, or pop with acknowledgements')
        .choices(['pull', 'pop'])
        .default('pull'),
    )
    .option('--ack-each', 'acknowledge popped messages one by one instead of a pop at once')
    .option('--loop', 'begin again at the end, until the duration is over')
    .option('--follow', 'go on with what comes later, until the duration is over')
    .action(async (flags: ConsumerFlags) => {
      const isEndless = flags.loop === true || flags.follow === true || flags.from === 'last'
      const timed = isEndless ? flags : { warmup: 0, duration: Infinity, ...flags }
      end(
        await runScenario(timed, (options) =>
          runConsumer(options, {
            from: flags.from,
            pullBatch: flags.pullBatch,
            loops: flags.loop === true,
            follows: flags.follow === true,
            mode: flags.mode,
            acksEach: flags.ackEach === true,
          }),
        ),
      )
    })

  addLoadFlags(
    program.command('backlog').description('fill a topic and read it to its end'),
    SEND_DEFAULTS,
  )
    .option(
      '--fill <messages>',
      'send so many first; 0: read what is there',
      numberIn(0, 1e12),
      1_000_000,
    )
    .option('--pull-batch <count>', 'messages to a pull', numberIn(1, MAX_PULL_BATCH), PULL_BATCH)
    .action(async (flags: BacklogFlags) => {
      end(await runScenario(flags, (options) => runBacklog(options, flags)))
    })
}

function addGrowthScenarios(program: Command, end: (code: number) => void): void {
  addLoadFlags(program.command('topics').description('send round robin over many topics'), {
    ...SEND_DEFAULTS,
    queues: 2,
  })
    .option('--topics <count>', 'how many, numbered', numberIn(1, MAX_TOPICS), 1_000)
    .option('--no-create', 'they are there from an earlier run')
    .action(async (flags: TopicsFlags) => {
      const growth = { topics: flags.topics, creates: flags.create }
      end(await runScenario(flags, (options) => runManyTopics(options, growth)))
    })

  addLoadFlags(
    program.command('connections').description('open many idle connections, send over some others'),
    SEND_DEFAULTS,
  )
    .option('--idle <count>', 'idle connections', numberIn(0, 1_000_000), 1_000)
    .option('--heartbeat', 'each of them announces a producer')
    .action(async (flags: ConnectionsFlags) => {
      const growth = { idle: flags.idle, heartbeats: flags.heartbeat === true }
      end(await runScenario(flags, (options) => runManyConnections(options, growth)))
    })
}

/** The first SIGINT or SIGTERM ends the measurement and prints what there is; the second ends the process. */
async function runScenario(
  flags: LoadFlags,
  scenario: (options: BenchOptions) => Promise<BenchResult>,
): Promise<number> {
  if (flags.delayMs + flags.spreadMs > 0 && (flags.batch ?? 1) > 1) {
    process.stderr.write('gantry bench: --delay-ms and --spread-ms are for single messages\n')
    return ExitCode.USAGE
  }
  let isInterrupted = false
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      isInterrupted = true
    })
  }
  try {
    const result = await scenario(benchOptionsOf(flags, () => isInterrupted))
    endProgress()
    process.stdout.write(
      flags.json === true ? `${JSON.stringify(result)}\n` : formatSummary(result),
    )
    return result.problems.length === 0 ? ExitCode.DONE : ExitCode.FAILED
  } catch (error) {
    endProgress()
    process.stderr.write(`gantry bench: ${messageOf(error)}\n`)
    return exitCodeOf(error)
  }
}

function usage(scenario: string, problem: string): number {
  process.stderr.write(`gantry bench ${scenario}: ${problem}\n`)
  return ExitCode.USAGE
}

function exitCodeOf(error: unknown): number {
  if (!(error instanceof ClientError)) return ExitCode.FAILED
  if (error.code === 'noNameServer') return ExitCode.UNAVAILABLE
  return error.code === 'noRoute' ? ExitCode.NOT_FOUND : ExitCode.FAILED
}

async function runSmoke(flags: SmokeFlags): Promise<number> {
  const nameServers = flags.namesrv.split(/[;,]/).filter((address) => address !== '')
  try {
    const result = await smoke({
      runtime: createRuntime(),
      credentials: credentialsIn(process.env),
      nameServers,
      count: flags.count,
      timeoutMs: flags.timeoutMs,
    })
    const isComplete = result.missing === 0
    process.stdout.write(
      flags.json === true
        ? `${JSON.stringify(result)}\n`
        : `sent ${result.sent}, received ${result.received}, missing ${result.missing}, duplicates ${result.duplicates}, ` +
            `brokers ${result.brokers.join(' ')}, ${result.elapsedMs} ms\n`,
    )
    return isComplete ? ExitCode.DONE : ExitCode.FAILED
  } catch (error) {
    process.stderr.write(`gantry bench smoke: ${messageOf(error)}\n`)
    const isAbsent = error instanceof ClientError && error.code === 'noNameServer'
    return isAbsent ? ExitCode.UNAVAILABLE : ExitCode.FAILED
  }
}

function wholeNumber(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < 1)
    throw new InvalidArgumentError('Not a whole number above 0.')
  return value
}
