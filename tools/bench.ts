/** `gantry bench`: loads on any cluster that speaks RocketMQ's remoting protocol. */
import process from 'node:process'
import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { ExitCode, messageOf } from '../common/errors.ts'
import { createRuntime } from '../common/runtime.ts'
import { ClientError } from '../client/errors.ts'
import { smoke } from './bench-smoke.ts'

interface SmokeFlags {
  readonly namesrv: string
  readonly count: number
  readonly timeoutMs: number
  readonly json?: boolean
}

/** Runs `gantry bench ARGS`; resolves with the exit code. */
export async function run(argv: readonly string[]): Promise<number> {
  let exitCode: number = ExitCode.DONE
  const program = new Command('gantry bench')
    .description('measure or smoke-test a cluster')
    .showSuggestionAfterError()
    .exitOverride()

  program
    .command('smoke')
    .description('send messages to a fresh topic on every broker, and receive every one of them')
    .option('-n, --namesrv <list>', 'name servers as host:port;host:port', '127.0.0.1:9876')
    .option('--count <messages>', 'how many messages', wholeNumber, 100)
    .option('--timeout-ms <ms>', 'for all of it', wholeNumber, 60_000)
    .option('--json', 'print the result as one line of JSON')
    .action(async (flags: SmokeFlags) => {
      exitCode = await runSmoke(flags)
    })

  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return error.exitCode === 0 ? ExitCode.DONE : ExitCode.USAGE
  }
  return exitCode
}

async function runSmoke(flags: SmokeFlags): Promise<number> {
  const nameServers = flags.namesrv.split(/[;,]/).filter((address) => address !== '')
  try {
    const result = await smoke({
      runtime: createRuntime(),
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
