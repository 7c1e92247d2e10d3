/** The `gantry` command. Each role is loaded only when it is asked for, so that one role does not pay for another. */
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { ExitCode, messageOf } from '../common/errors.ts'

/** A role's `main.ts`: takes its own arguments, resolves with the exit code when the role has ended. */
type Run = (argv: readonly string[]) => Promise<number>

interface RoleCommand {
  readonly name: string
  readonly description: string
  readonly load: () => Promise<Run>
}

const ROLES: readonly RoleCommand[] = [
  {
    name: 'dev',
    description: 'run a RocketMQCluster manifest on this machine, without Kubernetes',
    load: async () => (await import('../local/main.ts')).run,
  },
  {
    name: 'namesrv',
    description: 'run a name server: gantry namesrv -c FILE',
    load: async () => (await import('../namesrv/main.ts')).run,
  },
  {
    name: 'broker',
    description: 'run a broker: gantry broker -c FILE [-n NAMESRV_LIST]',
    load: async () => (await import('../broker/main.ts')).run,
  },
  {
    name: 'dashboard',
    description: 'run the console, a web page for administrators: gantry dashboard -n NAMESRV_LIST',
    load: async () => (await import('../dashboard/main.ts')).run,
  },
  {
    name: 'operator',
    description: 'run the Kubernetes operator',
    load: async () => (await import('../operator/main.ts')).run,
  },
  {
    name: 'kube',
    description:
      'clusters on Kubernetes, also as kubectl gantry: status, restart, transfer, logs …',
    load: async () => (await import('../operator/plugin/main.ts')).run,
  },
  {
    name: 'hand-over',
    description: 'ask the broker of this machine to hand its leadership over (preStop hook)',
    load: async () => (await import('./hand-over.ts')).run,
  },
  {
    name: 'fsck',
    description: 'check a store folder without changing it: gantry fsck DIR',
    load: async () => (await import('../store/main.ts')).run,
  },
  {
    name: 'bench',
    description: 'measure or smoke-test a cluster: gantry bench smoke --namesrv HOST:PORT',
    load: async () => (await import('./bench.ts')).run,
  },
]

/** Commands of administrators, which share a module. */
const ADMIN_COMMANDS: Readonly<Record<string, string>> = {
  admin: "commands and flags of RocketMQ's mqadmin",
  topic: 'topics: list, describe, create, delete',
  group: 'consumer groups: list, lag, describe, create, reset, delete, dead-letters, resend',
  message: 'messages: get, tail, send, consume',
  cluster: 'the cluster: describe, health, transfer',
  user: 'users of the brokers: list, create, update, delete',
  acl: 'what users of the brokers may do: list, set, delete',
  definitions: 'topics and groups as a file: export, import',
  debug: 'for whoever helps: bundle',
  context: 'clusters by name: list, set, use, delete',
  completion: 'a completion script: bash, zsh, fish',
}

const COMMANDS: readonly RoleCommand[] = [
  ...ROLES,
  ...Object.entries(ADMIN_COMMANDS).map(([name, description]) => ({
    name,
    description,
    load: async (): Promise<Run> => {
      const admin = await import('./admin/main.ts')
      return (argv) => admin.run(name, argv, COMMANDS)
    },
  })),
]

/** Runs the command line and returns the exit code. */
async function run(argv: readonly string[]): Promise<number> {
  // A role parses its own arguments: the servers start without the parser of the whole command.
  const named = COMMANDS.find((role) => role.name === argv[0])
  if (named === undefined) return runProgram(argv)
  try {
    const runRole = await named.load()
    return await runRole(argv.slice(1))
  } catch (error) {
    process.stderr.write(`gantry: ${messageOf(error)}\n`)
    return ExitCode.FAILED
  }
}

/** `--help`, `--version`, and what is no role. */
async function runProgram(argv: readonly string[]): Promise<number> {
  const { Command, CommanderError } = await import('commander')
  const program = new Command('gantry')
    .description('RocketMQ for Kubernetes')
    .version(versionOfPackage(), '--version')
    .showSuggestionAfterError()
    .exitOverride()
  for (const { name, description } of COMMANDS) {
    program.command(`${name} [args...]`).description(description).helpOption(false)
  }

  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? ExitCode.DONE : ExitCode.USAGE
    }
    process.stderr.write(`gantry: ${messageOf(error)}\n`)
    return ExitCode.FAILED
  }
  return ExitCode.DONE
}

function versionOfPackage(): string {
  const manifest: unknown = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  )
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest) {
    return String(manifest.version)
  }
  return 'unknown'
}

process.exitCode = await run(process.argv.slice(2))
