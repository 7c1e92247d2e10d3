/** One file for whoever helps: what Kubernetes and the pods say of a cluster, without messages and secrets. */
import { messageOf } from '../../common/errors.ts'
import { CLUSTER_LABEL } from '../names.ts'
import { valueAt } from '../json.ts'
import type { KubeObject } from '../ports.ts'
import type { ClusterAccess } from './cluster-access.ts'

const SECRET = /password|secret|accesskey|credential|token/iu
/** The manifest once more, as text in which no member has a name; and who set which member. */
const REPEATED: readonly string[] = [
  'kubectl.kubernetes.io/last-applied-configuration',
  'managedFields',
]
const LOG_LINES = 1000
/** Of each pod, whatever its log has. */
const LOG_CHARS_MAX = 2 * 1024 * 1024
const KINDS: readonly (readonly [apiVersion: string, kind: string])[] = [
  ['apps/v1', 'StatefulSet'],
  ['v1', 'Service'],
  ['v1', 'PersistentVolumeClaim'],
  ['policy/v1', 'PodDisruptionBudget'],
]
const FACTS: readonly string[] = ['raft', 'store', 'config']

/** What could not be had is in it with the reason. */
export async function clusterBundle(
  access: ClusterAccess,
  cluster: KubeObject,
  now: number,
): Promise<unknown> {
  const { name } = cluster.metadata
  const objects: Record<string, unknown> = {}
  for (const [apiVersion, kind] of KINDS) {
    objects[kind] = await attempt(() => objectsOf(access, { apiVersion, kind }, name))
  }
  const pods = await attempt(() => access.pods(name))
  const members: Record<string, unknown> = {}
  for (const pod of Array.isArray(pods) ? pods : []) {
    const podName = String(pod.metadata.name)
    members[podName] = await podFacts(access, podName)
  }
  return withoutSecrets({
    takenAt: new Date(now).toISOString(),
    cluster,
    ...objects,
    Pod: pods,
    Event: await attempt(() => eventsOf(access, name)),
    members,
  })
}

async function objectsOf(
  { api, namespace }: ClusterAccess,
  kind: { readonly apiVersion: string; readonly kind: string },
  cluster: string,
): Promise<readonly KubeObject[]> {
  const labelSelector = `${CLUSTER_LABEL}=${cluster}`
  const all = await api.list({ ...kind, namespace, labelSelector })
  return all.filter(({ metadata }) => metadata.labels?.[CLUSTER_LABEL] === cluster)
}

/** Of the cluster, and of what is named after it. */
async function eventsOf({ api, namespace }: ClusterAccess, name: string): Promise<unknown> {
  const all = await api.list({ apiVersion: 'events.k8s.io/v1', kind: 'Event', namespace })
  return all.filter((event) => {
    const about = valueAt(event, 'regarding', 'name')
    return about === name || (typeof about === 'string' && about.startsWith(`${name}-`))
  })
}

async function podFacts(access: ClusterAccess, pod: string): Promise<unknown> {
  const facts: Record<string, unknown> = {}
  for (const fact of FACTS) {
    facts[fact] = await attempt(() => access.admin(pod, `/admin/v1/${fact}`))
  }
  facts['metrics'] = await attempt(() => access.adminLines(pod, '/metrics'))
  facts['log'] = await attempt(() => tailOf(access, pod, false))
  facts['logBefore'] = await attempt(() => tailOf(access, pod, true))
  return facts
}

async function tailOf(
  access: ClusterAccess,
  pod: string,
  isPrevious: boolean,
): Promise<readonly string[]> {
  const lines: string[] = []
  let chars = 0
  await access.log(pod, {
    tailLines: LOG_LINES,
    isFollowed: false,
    isPrevious,
    signal: AbortSignal.timeout(30_000),
    onLine: (line) => {
      chars += line.length
      if (chars <= LOG_CHARS_MAX) lines.push(line)
    },
  })
  return lines
}

async function attempt<Result>(
  ask: () => Promise<Result>,
): Promise<Result | { readonly error: string }> {
  try {
    return await ask()
  } catch (error) {
    return { error: messageOf(error) }
  }
}

/** Values of members that may be secrets are left out, wherever they stand. */
export function withoutSecrets(value: unknown): unknown {
  const text = JSON.stringify(value, (name, member: unknown) => {
    if (REPEATED.includes(name)) return undefined
    return SECRET.test(name) && isPlain(member) && member !== '' ? '(left out)' : member
  })
  const clean: unknown = JSON.parse(text)
  return clean
}

/** Config of a pod's admin port has `{"key": {"value": …}}`: the name stands above. */
function isPlain(member: unknown): boolean {
  return (
    typeof member === 'string' ||
    (typeof member === 'object' && member !== null && 'value' in member)
  )
}
