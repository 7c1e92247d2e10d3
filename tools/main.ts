/** The `gantry` command. Each role is loaded only when it is asked for, so that one role does not pay for another. */
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { Command, CommanderError } from 'commander'
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
    name: 'operator',
    description: 'run the Kubernetes operator',
    load: async () => (await import('../operator/main.ts')).run,
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

/** Runs the command line and returns the exit code. */
async function run(argv: readonly string[]): Promise<number> {
  const program = new Command('gantry')
    .description('RocketMQ for Kubernetes')
    .version(versionOfPackage(), '--version')
    .showSuggestionAfterError()
    .exitOverride()
  let exitCode: number = ExitCode.DONE

  for (const role of ROLES) {
    program
      .command(role.name)
      .description(role.description)
      .helpOption(false)
      .allowUnknownOption()
      .argument('[args...]')
      .action(async () => {
        const runRole = await role.load()
        exitCode = await runRole(argv.slice(1))
      })
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
  return exitCode
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
