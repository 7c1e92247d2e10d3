/** The commands of `kubectl gantry`: each takes what was given on the command line, and prints. */
import { ExitCode, messageOf } from '../../common/errors.ts'
import { KubeError } from '../kube-error.ts'
import { PAUSED_ANNOTATION, RESTART_AT_ANNOTATION, ROLE_LABEL } from '../names.ts'
import { textAt } from '../json.ts'
import { clusterBundle } from './bundle.ts'
import { clusterText, listText } from './status-text.ts'
import { viewOf } from './cluster-access.ts'
import type { Clock } from '../../common/ports.ts'
import type { KubeObject } from '../ports.ts'
import type { ClusterAccess } from './cluster-access.ts'

export interface PluginFlags {
  readonly 'all-namespaces'?: boolean | undefined
  readonly output?: string | undefined
  readonly group?: string | undefined
  readonly to?: string | undefined
  readonly role?: string | undefined
  readonly tail?: string | undefined
  readonly follow?: boolean | undefined
  readonly previous?: boolean | undefined
  readonly file?: string | undefined
  readonly yes?: boolean | undefined
  readonly 'dry-run'?: boolean | undefined
}

export interface PluginContext {
  readonly access: ClusterAccess
  readonly flags: PluginFlags
  readonly clock: Clock
  readonly print: (text: string) => void
  readonly writeFile: (path: string, text: string) => void
  /** Ends what follows for ever. */
  readonly signal: AbortSignal
}

/** Wrong usage, with the sentence for whoever typed it. */
export class PluginUsage extends Error {}

type Command = (context: PluginContext, name: string) => Promise<number>

const DEFAULT_TAIL = 100
const TAIL_MAX = 100_000

/** Those that act on one cluster, by name. */
export const CLUSTER_COMMANDS: Readonly<Record<string, Command>> = {
  restart: async (context, name) => {
    const at = new Date(context.clock.now()).toISOString()
    return await change(context, name, {
      what: 'will restart, one pod at a time, leaders last',
      act: () => context.access.annotate(name, RESTART_AT_ANNOTATION, at),
    })
  },
  pause: async (context, name) =>
    await change(context, name, {
      what: 'is paused: its operator only writes the status',
      act: () => context.access.patchSpec(name, { paused: true }),
    }),
  resume: async (context, name) =>
    await change(context, name, {
      what: 'is not paused any more',
      act: async () => {
        await context.access.patchSpec(name, { paused: false })
        await context.access.annotate(name, PAUSED_ANNOTATION, 'false')
      },
    }),
  hibernate: async (context, name) => {
    const { yes, 'dry-run': isTrial } = context.flags
    if (yes !== true && isTrial !== true) {
      throw new PluginUsage(
        `${name} takes no messages while it hibernates; its volumes stay. Say --yes`,
      )
    }
    return await change(context, name, {
      what: 'will stop all of its pods; `kubectl gantry wake` starts them again',
      act: () => context.access.patchSpec(name, { hibernate: true }),
    })
  },
  wake: async (context, name) =>
    await change(context, name, {
      what: 'will start its pods',
      act: () => context.access.patchSpec(name, { hibernate: false }),
    }),
  transfer,
  logs,
  bundle,
}

/** All clusters on a line each, or everything of one. */
export async function status(context: PluginContext, name: string | null): Promise<number> {
  const { access, flags, print } = context
  if (flags.output !== undefined && flags.output !== 'json') {
    throw new PluginUsage('-o takes json; without it text is printed')
  }
  const isJson = flags.output === 'json'
  if (name === null) {
    const clusters = await access.clusters(flags['all-namespaces'] === true)
    print(isJson ? jsonText(clusters) : listText(clusters))
    return ExitCode.DONE
  }
  const view = viewOf(await access.cluster(name))
  print(isJson ? jsonText(view) : clusterText(view))
  const ready = view.status?.conditions.find(({ type }) => type === 'Ready')
  return ready?.status === 'True' ? ExitCode.DONE : ExitCode.FAILED
}

async function change(
  { access, flags, print }: PluginContext,
  name: string,
  { what, act }: { readonly what: string; readonly act: () => Promise<void> },
): Promise<number> {
  await access.cluster(name)
  if (flags['dry-run'] === true) {
    print(`${name} ${what} (nothing was changed)\n`)
    return ExitCode.DONE
  }
  await act()
  print(`${name} ${what}\n`)
  return ExitCode.DONE
}

/** Asks the leader of a group, through the API server, to hand over. */
async function transfer(context: PluginContext, name: string): Promise<number> {
  const { access, flags, print } = context
  const { status: known } = viewOf(await access.cluster(name))
  const groups = known?.groups ?? []
  const names = groups.map((group) => group.name).join(', ')
  if (flags.group === undefined) throw new PluginUsage(`say --group, one of: ${names}`)
  const group = groups.find((one) => one.name === flags.group)
  if (group === undefined) {
    throw new KubeError('notFound', `${name} has no group ${flags.group}; there are: ${names}`)
  }
  if (group.leader === null) throw new KubeError('unavailable', `${group.name} has no leader now`)
  const member = group.members.find(({ pod }) => pod === flags.to)
  if (flags.to !== undefined && member === undefined) {
    const pods = group.members.map(({ pod }) => pod).join(', ')
    throw new KubeError('notFound', `${group.name} has no member ${flags.to}; there are: ${pods}`)
  }
  const to = flags.to ?? 'the member that is furthest'
  if (flags['dry-run'] === true) {
    print(`${group.leader} would hand over to ${to} (nothing was changed)\n`)
    return ExitCode.DONE
  }
  await access.adminPost(group.leader, '/admin/v1/raft/transfer', { to: member?.id ?? null })
  print(`${group.leader} hands over to ${to}\n`)
  return ExitCode.DONE
}

async function logs(context: PluginContext, name: string): Promise<number> {
  const { access, flags, print, signal } = context
  const tailLines = Number(flags.tail ?? DEFAULT_TAIL)
  if (!Number.isInteger(tailLines) || tailLines < 1 || tailLines > TAIL_MAX) {
    throw new PluginUsage(`--tail takes a number from 1 to ${TAIL_MAX}`)
  }
  await access.cluster(name)
  const pods = (await access.pods(name)).filter((pod) => isWanted(pod, flags))
  if (pods.length === 0) throw new KubeError('notFound', `${name} has no such pods`)
  const one = (pod: KubeObject): Promise<void> =>
    access.log(pod.metadata.name, {
      tailLines,
      isFollowed: flags.follow === true,
      isPrevious: flags.previous === true,
      signal,
      onLine: (line) => print(`${pod.metadata.name} ${line}\n`),
    })
  if (flags.follow === true) {
    await Promise.all(pods.map(one))
    return ExitCode.DONE
  }
  let failed = 0
  for (const pod of pods) {
    try {
      await one(pod)
    } catch (error) {
      failed++
      print(`${pod.metadata.name} has no log: ${messageOf(error)}\n`)
    }
  }
  return failed === pods.length ? ExitCode.FAILED : ExitCode.DONE
}

function isWanted({ metadata }: KubeObject, { group, role }: PluginFlags): boolean {
  if (role !== undefined && metadata.labels?.[ROLE_LABEL] !== role) return false
  // Pods are named after the StatefulSet, which has the name of the group.
  return group === undefined || metadata.name.replace(/-\d+$/u, '') === group
}

async function bundle(context: PluginContext, name: string): Promise<number> {
  const { access, flags, print, writeFile, clock } = context
  const cluster = await access.cluster(name)
  const content = await clusterBundle(access, cluster, clock.now())
  const file = flags.file ?? `${access.namespace}-${name}-bundle.json`
  writeFile(file, jsonText(content))
  print(`${file}: look through it before you hand it on\n`)
  return ExitCode.DONE
}

function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}

/** The exit code for what an API server or a pod refused. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof PluginUsage) return ExitCode.USAGE
  if (!(error instanceof KubeError)) return ExitCode.FAILED
  if (error.code === 'notFound') return ExitCode.NOT_FOUND
  if (error.code === 'forbidden') return ExitCode.DENIED
  return error.code === 'unavailable' ? ExitCode.UNAVAILABLE : ExitCode.FAILED
}

/** Why a pod's admin port refused, out of the API server's words. */
export function refusalOf(error: unknown): string {
  const message = messageOf(error)
  // A member's admin port answers `{"reason": SENTENCE}`, which the transport takes for the reason of a Status.
  if (error instanceof KubeError && error.reason.includes(' ')) return error.reason
  const reason = /\{"(?:reason|error)":"([^"]+)"/u.exec(message)?.[1]
  return reason ?? textAt(error, 'message') ?? message
}
