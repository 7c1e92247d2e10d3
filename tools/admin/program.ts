/** What the two forms of the command line share: where the cluster is, how a command runs, and how it ends. */
import { credentialsIn } from '../../common/credentials.ts'
import process from 'node:process'
import { createInterface } from 'node:readline/promises'
import { Command, CommanderError } from 'commander'
import { ClientError, isRefusal } from '../../client/errors.ts'
import { ExitCode, messageOf } from '../../common/errors.ts'
import { createRuntime } from '../../common/runtime.ts'
import { RemotingError } from '../../remoting/errors.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { readContexts } from './contexts.ts'
import { AdminError, Session } from './session.ts'

const DEFAULT_NAME_SERVERS = '127.0.0.1:9876'
const DEFAULT_TIMEOUT_MS = 5_000

export interface Target {
  /** As given by a flag. */
  readonly namesrv?: string | undefined
  readonly context?: string | undefined
  readonly timeoutMs?: number | undefined
}

/** Flag, then NAMESRV_ADDR, then the context, then this machine. */
export function nameServersOf({ namesrv, context }: Target): readonly string[] {
  const contexts = readContexts()
  const name = context ?? contexts.current
  const named = name === null ? undefined : contexts.contexts.get(name)
  if (context !== undefined && named === undefined) {
    throw new AdminError('notFound', `there is no context ${context}`)
  }
  const environment = process.env['NAMESRV_ADDR'] ?? ''
  const fromContext = context === undefined ? undefined : named
  const list = namesrv ?? fromContext ?? (environment === '' ? named : environment)
  return (list ?? DEFAULT_NAME_SERVERS)
    .split(/[;,]/u)
    .map((address) => address.trim())
    .filter((address) => address !== '')
}

/** Runs an act in a session of its own; SIGINT ends what repeats itself. */
export async function withSession(
  target: Target,
  act: (session: Session) => Promise<void>,
): Promise<void> {
  let isInterrupted = false
  const interrupt = () => {
    if (isInterrupted) process.exit(130)
    isInterrupted = true
  }
  process.on('SIGINT', interrupt)
  try {
    await using session = new Session({
      runtime: createRuntime(),
      nameServers: nameServersOf(target),
      timeoutMs: target.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      credentials: credentialsIn(process.env),
      print: (text) => void process.stdout.write(text),
      warn: (line) => void process.stderr.write(`${line}\n`),
      confirm: process.stdin.isTTY ? confirm : null,
      isInterrupted: () => isInterrupted,
    })
    await act(session)
  } finally {
    process.off('SIGINT', interrupt)
  }
}

async function confirm(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(?:es)?$/iu.test((await terminal.question(`${question} [y/N] `)).trim())
  } finally {
    terminal.close()
  }
}

/** Parses and runs; resolves with the exit code, and has said on standard error why it is not 0. */
export async function runProgram(program: Command, argv: readonly string[]): Promise<number> {
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return ExitCode.DONE
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? ExitCode.DONE : ExitCode.USAGE
    }
    process.stderr.write(`gantry: ${messageOf(error)}\n${hintOf(error)}`)
    return exitCodeOf(error)
  }
}

/** What is missing, for who gave no credentials where they are asked for. */
function hintOf(error: unknown): string {
  // The remark of Java's broker too.
  return messageOf(error).includes('username cannot be null.')
    ? 'gantry: the brokers ask who you are: set GANTRY_ACCESS_KEY and GANTRY_SECRET_KEY\n'
    : ''
}

const NOT_FOUND: readonly number[] = [
  ResponseCode.TOPIC_NOT_EXIST,
  ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
  ResponseCode.QUERY_NOT_FOUND,
  ResponseCode.CONSUMER_NOT_ONLINE,
]

export function exitCodeOf(error: unknown): number {
  if (error instanceof AdminError) {
    const codes = {
      usage: ExitCode.USAGE,
      notFound: ExitCode.NOT_FOUND,
      denied: ExitCode.DENIED,
      failed: ExitCode.FAILED,
    } as const
    return codes[error.code]
  }
  if (error instanceof RemotingError) {
    if (error.code === 'timeout') return ExitCode.TIMED_OUT
    return error.code === 'connectFailed' || error.code === 'closed'
      ? ExitCode.UNAVAILABLE
      : ExitCode.FAILED
  }
  if (isRefusal(error)) return ExitCode.DENIED
  if (!(error instanceof ClientError)) return ExitCode.FAILED
  if (error.code === 'noNameServer') return ExitCode.UNAVAILABLE
  if (error.code === 'noRoute') return ExitCode.NOT_FOUND
  const { responseCode } = error
  if (responseCode !== null && NOT_FOUND.includes(responseCode)) return ExitCode.NOT_FOUND
  return ExitCode.FAILED
}

/** A command that throws instead of ending the process, and proposes what may have been meant. */
export function makeCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .exitOverride()
    .showSuggestionAfterError()
    .showHelpAfterError('(--help shows the flags)')
    .helpCommand(false)
}
