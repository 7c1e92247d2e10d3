/** The modern form, noun verb: `gantry topic list`. What is common to its commands. */
import { InvalidArgumentError, Option } from 'commander'
import type { Command } from 'commander'
import { makeCommand, withSession } from './program.ts'
import { AdminError } from './session.ts'
import type { Session } from './session.ts'
import { render } from './table.ts'
import type { Answer, OutputFormat } from './table.ts'

const FORMATS: readonly OutputFormat[] = ['table', 'json', 'yaml', 'name']

export interface CommonFlags {
  readonly namesrv?: string
  readonly context?: string
  readonly timeout: number
  readonly output: OutputFormat
  readonly dryRun?: boolean
  readonly yes?: boolean
}

/** A verb with the flags that all have. */
export function verb(name: string, description: string): Command {
  return makeCommand(name, description)
    .option('-n, --namesrv <list>', 'name servers: host:port;host:port')
    .option('--context <name>', 'a cluster of `gantry context list`')
    .option('--timeout <seconds>', 'for each request', seconds, 5)
    .addOption(
      new Option('-o, --output <format>', 'how to print').choices([...FORMATS]).default('table'),
    )
}

/** The same, for what changes something. */
export function changingVerb(name: string, description: string): Command {
  return verb(name, description).option('--dry-run', 'say what would be done, and do nothing')
}

/** The same, for what cannot be taken back. */
export function destroyingVerb(name: string, description: string): Command {
  return changingVerb(name, description).option('-y, --yes', 'do not ask')
}

function seconds(text: string): number {
  const value = Number(text)
  if (!(value > 0 && value <= 3600)) throw new InvalidArgumentError('Not a number of seconds.')
  return value
}

/** Runs an act with the flags of its command. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the flags of a command are known where it is made only
export function acting<Flags extends CommonFlags>(
  command: Command,
  act: (session: Session, flags: Flags, args: readonly string[]) => Promise<void>,
): Command {
  return command.action(async () => {
    // Commander's own type of the flags: they are those that the command was made with.
    const flags = command.opts<Flags>()
    const target = {
      namesrv: flags.namesrv,
      context: flags.context,
      timeoutMs: flags.timeout * 1000,
    }
    await withSession(target, (session) => act(session, flags, command.args))
  })
}

export function show(session: Session, flags: CommonFlags, answer: Answer): void {
  session.options.print(render(answer, flags.output))
}

/** True when a change may be made: said by `--yes`, or by whoever sits at the terminal. */
export async function isAllowed(
  session: Session,
  flags: CommonFlags,
  what: string,
): Promise<boolean> {
  if (flags.dryRun === true) {
    session.options.warn(`would ${what}`)
    return false
  }
  if (flags.yes === true) return true
  const { confirm } = session.options
  if (confirm === null) throw new AdminError('usage', `would ${what}: --yes is needed`)
  if (await confirm(`${what}?`)) return true
  throw new AdminError('failed', 'nothing was done')
}

/** For changes that are not asked about: true unless this is a dry run. */
export function isMeant(session: Session, flags: CommonFlags, what: string): boolean {
  if (flags.dryRun !== true) return true
  session.options.warn(`would ${what}`)
  return false
}

/** A progress line on standard error for what takes longer than a second; nothing where nobody watches. */
export class Progress {
  readonly #session: Pick<Session, 'now'>
  readonly #what: string
  readonly #output: Pick<NodeJS.WriteStream, 'isTTY' | 'write'>
  readonly #startedAt: number
  #shownAt = 0

  constructor(
    session: Pick<Session, 'now'>,
    what: string,
    output: Pick<NodeJS.WriteStream, 'isTTY' | 'write'> = process.stderr,
  ) {
    this.#session = session
    this.#what = what
    this.#output = output
    this.#startedAt = session.now
  }

  at(done: number, total: number): void {
    const now = this.#session.now
    if (!this.#output.isTTY || now - this.#startedAt < 1000 || now - this.#shownAt < 200) return
    this.#shownAt = now
    const filled = total === 0 ? 0 : Math.round((20 * done) / total)
    const bar = '#'.repeat(filled).padEnd(20, '.')
    this.#output.write(`\r\u001b[K${this.#what} [${bar}] ${done}/${total}`)
  }

  end(): void {
    if (this.#shownAt > 0) this.#output.write('\r\u001b[K')
  }
}
