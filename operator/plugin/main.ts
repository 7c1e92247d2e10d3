/** `kubectl gantry`: clusters on Kubernetes for people, over a kubeconfig. */
import { writeFileSync } from 'node:fs'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { ExitCode } from '../../common/errors.ts'
import { nearestName } from '../../common/nearest-name.ts'
import { createRuntime } from '../../common/runtime.ts'
import { createKubeTransport, loadKubeConfig } from '../kube.ts'
import { CLUSTER_COMMANDS, PluginUsage, exitCodeOf, refusalOf, status } from './commands.ts'
import { ClusterAccess } from './cluster-access.ts'
import type { PluginFlags } from './commands.ts'

const USAGE = `Usage: kubectl gantry COMMAND [CLUSTER] [flags]

  status [CLUSTER]     all clusters, or one with its groups, members and plan; exit code 1 while it is not ready
  restart CLUSTER      restart its pods one at a time, leaders last
  transfer CLUSTER     hand the leadership of a group over (--group, --to)
  hibernate CLUSTER    stop all of its pods and keep its volumes (--yes)
  wake CLUSTER         start them again
  pause CLUSTER        let the operator only look
  resume CLUSTER       let it act again
  logs CLUSTER         what its pods log (--group, --role, --tail, --follow, --previous)
  bundle CLUSTER       one file for whoever helps, without messages and secrets (--file)

  -n, --namespace NAME   that of the kubeconfig's context when not given
  -A, --all-namespaces   status: of all namespaces
      --context NAME     of the kubeconfig ($KUBECONFIG, ~/.kube/config)
  -o, --output json      status: for programs
      --group GROUP      transfer, logs: a broker group, such as prod-broker-0
      --to POD           transfer: the member that shall lead; the furthest when not given
      --role ROLE        logs: broker or namesrv
      --tail COUNT       logs: lines of each pod (100)
  -f, --follow           logs: and what comes
      --previous         logs: of the container before the last restart
      --file PATH        bundle: where to write it
      --dry-run          say what would be done
      --yes              do not ask back
  -h, --help             this text
`

const FLAGS = {
  namespace: { type: 'string', short: 'n' },
  'all-namespaces': { type: 'boolean', short: 'A' },
  context: { type: 'string' },
  output: { type: 'string', short: 'o' },
  group: { type: 'string' },
  to: { type: 'string' },
  role: { type: 'string' },
  tail: { type: 'string' },
  follow: { type: 'boolean', short: 'f' },
  previous: { type: 'boolean' },
  file: { type: 'string' },
  'dry-run': { type: 'boolean' },
  yes: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

interface Given {
  readonly command: string
  readonly cluster: string | null
  readonly namespace: string | undefined
  readonly context: string | undefined
  readonly flags: PluginFlags
}

/** Runs one command; resolves with its exit code. */
export async function run(argv: readonly string[]): Promise<number> {
  try {
    const given = parse(argv)
    if (given === null) {
      process.stdout.write(USAGE)
      return ExitCode.DONE
    }
    return await perform(given)
  } catch (error) {
    process.stderr.write(`kubectl gantry: ${refusalOf(error)}\n`)
    return exitCodeOf(error)
  }
}

function parse(argv: readonly string[]): Given | null {
  const { values, positionals } = parsed(argv)
  const [command, cluster = null, ...more] = positionals
  if (values.help === true || command === undefined) return null
  const commands = ['status', ...Object.keys(CLUSTER_COMMANDS)]
  if (!commands.includes(command)) {
    const near = nearestName(command, commands)
    const hint = near === null ? '' : `; did you mean ${near}?`
    throw new PluginUsage(`there is no command ${command}${hint}`)
  }
  if (more.length > 0) throw new PluginUsage(`one cluster at a time, not also ${more.join(' ')}`)
  if (cluster === null && command !== 'status') {
    throw new PluginUsage(`${command} takes the name of a cluster`)
  }
  return { command, cluster, namespace: values.namespace, context: values.context, flags: values }
}

function parsed(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: FLAGS, allowPositionals: true })
  } catch (error) {
    throw new PluginUsage(error instanceof Error ? error.message : String(error))
  }
}

async function perform({ command, cluster, namespace, context, flags }: Given): Promise<number> {
  const config = loadKubeConfig()
  if (context !== undefined) {
    if (config.getContextObject(context) === null) {
      throw new PluginUsage(`the kubeconfig has no context ${context}`)
    }
    config.setCurrentContext(context)
  }
  const { clock } = createRuntime()
  const current = config.getContextObject(config.getCurrentContext())
  const transport = createKubeTransport({ config, clock })
  const ending = new AbortController()
  process.once('SIGINT', () => ending.abort())
  const plugin = {
    access: new ClusterAccess(transport, namespace ?? current?.namespace ?? 'default'),
    flags,
    clock,
    print: (text: string) => void process.stdout.write(text),
    writeFile: (path: string, text: string) => writeFileSync(path, text),
    signal: ending.signal,
  }
  try {
    const run = CLUSTER_COMMANDS[command]
    return run === undefined || cluster === null
      ? await status(plugin, cluster)
      : await run(plugin, cluster)
  } finally {
    transport.close()
  }
}
