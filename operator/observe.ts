/** Looks at a cluster: its objects in the cache, and what its servers say of themselves. Partial answers are fine; what is missing is null. */
import type { Cluster, ClusterStatus } from './cluster-types.ts'
import { CLUSTER_STATUS_FIELD } from './cluster-status-schema.ts'
import { CLUSTER_LABEL, GROUP_LABEL, PROGRESS_ANNOTATION, ROLE_LABEL } from './names.ts'
import { membersOf, servingPod } from './members.ts'
import type { DataPlane, KubeObject, ObjectCache, PodEndpoint } from './ports.ts'
import { podFacts } from './pod-facts.ts'
import { objectKey, parseProgress } from './snapshot.ts'
import type { BrokerFacts, Failure, GroupStep, PodFacts, Snapshot } from './snapshot.ts'

/** Kinds that a cluster owns directly. */
export const OWNED_KINDS: readonly string[] = [
  'ConfigMap',
  'Service',
  'EndpointSlice',
  'ServiceAccount',
  'Role',
  'RoleBinding',
  'PodDisruptionBudget',
  'StatefulSet',
]

const LEAVING: readonly GroupStep[] = [
  'leaveWipe',
  'leaveSettle',
  'leaveClose',
  'drain',
  'drained',
  'remove',
]

export interface ObserveOptions {
  readonly cache: ObjectCache
  readonly dataPlane: DataPlane
  readonly now: number
  readonly failures: readonly Failure[]
}

/** Takes as long as the slowest server, at most the time-outs of the data plane. */
export async function observe(
  cluster: Cluster,
  object: KubeObject,
  options: ObserveOptions,
): Promise<Snapshot> {
  const { cache, now, failures } = options
  const labels = { [CLUSTER_LABEL]: cluster.name }
  const owned = new Map<string, KubeObject>()
  for (const kind of OWNED_KINDS) {
    for (const found of cache.list(kind, cluster.namespace, labels)) {
      if (isOwnedBy(found, cluster.uid)) owned.set(objectKey(found), found)
    }
  }
  const podsOf = (role: string): readonly KubeObject[] =>
    cache.list('Pod', cluster.namespace, { ...labels, [ROLE_LABEL]: role })
  const nameServerPods = byOrdinal(podsOf('namesrv'))
  const brokerPods = byGroup(podsOf('broker'))
  const places = placesOf(owned)
  const [registrations, brokers] = await Promise.all([
    askNameServers(nameServerPods, options),
    askBrokers(brokerPods, places, options),
  ])
  const metadata = await askMetadata(brokerPods, brokers, places, options)
  return {
    now,
    owned,
    nameServerPods,
    brokerPods,
    claims: cache.list('PersistentVolumeClaim', cluster.namespace, {
      ...labels,
      [ROLE_LABEL]: 'broker',
    }),
    registrations,
    brokers,
    metadata,
    failures,
    formerStatus: statusOf(object),
  }
}

export function isOwnedBy(object: KubeObject, uid: string): boolean {
  return (object.metadata.ownerReferences ?? []).some((owner) => owner.uid === uid)
}

/** The status as it was written; null when there is none that we understand. */
export function statusOf(object: KubeObject): ClusterStatus | null {
  if (object.status === undefined) return null
  return CLUSTER_STATUS_FIELD.parse(object.status, 'status', []) ?? null
}

async function askNameServers(
  pods: readonly PodFacts[],
  { dataPlane }: ObserveOptions,
): Promise<Snapshot['registrations']> {
  const answers = pods
    .filter(({ isReady }) => isReady)
    .map(async ({ name, endpoint }) => {
      const found = endpoint === null ? null : await dataPlane.registrations(endpoint)
      return [name, found] as const
    })
  return new Map(await Promise.all(answers))
}

async function askBrokers(
  brokerPods: Snapshot['brokerPods'],
  places: ReadonlyMap<number, Place>,
  { dataPlane }: ObserveOptions,
): Promise<Snapshot['brokers']> {
  const answers = [...brokerPods].flatMap(([group, pods]) =>
    pods.map(async ({ name, isReady, endpoint }) => {
      if (endpoint === null) return null
      const isLeaving = LEAVING.includes(places.get(group)?.step ?? 'serve')
      // A member that is not ready still tells what it is at.
      const [raft, store, config, drain] = await Promise.all([
        dataPlane.raft(endpoint),
        isReady ? dataPlane.store(endpoint) : null,
        isReady ? dataPlane.config(endpoint) : null,
        isReady && isLeaving ? dataPlane.drain(endpoint) : null,
      ])
      const facts: BrokerFacts = { raft, store, config, drain }
      return [name, facts] as const
    }),
  )
  return new Map((await Promise.all(answers)).filter((answer) => answer !== null))
}

/** Only joining groups are compared, with the lowest one that serves. */
async function askMetadata(
  brokerPods: Snapshot['brokerPods'],
  brokers: Snapshot['brokers'],
  places: ReadonlyMap<number, Place>,
  { dataPlane }: ObserveOptions,
): Promise<Snapshot['metadata']> {
  const readyEndpoints = (step: GroupStep): readonly (readonly [number, PodEndpoint])[] =>
    [...brokerPods].flatMap(([group, pods]) => {
      const place = places.get(group)
      if (place?.step !== step) return []
      const pod = servingPod(membersOf(pods, brokers, place.size))
      return pod?.isReady === true && pod.endpoint !== null ? [[group, pod.endpoint] as const] : []
    })
  const joining = readyEndpoints('copy')
  const serving = joining.length === 0 ? undefined : readyEndpoints('serve')[0]?.[1]
  if (serving === undefined) return new Map()
  const answers = joining.map(async ([group, endpoint]) => {
    const isComplete = await dataPlane.hasMetadataOf(serving, endpoint)
    return [group, { from: serving.pod, isComplete }] as const
  })
  return new Map(await Promise.all(answers))
}

interface Place {
  readonly step: GroupStep
  readonly size: number
}

function placesOf(owned: ReadonlyMap<string, KubeObject>): ReadonlyMap<number, Place> {
  const places = new Map<number, Place>()
  for (const { kind, metadata } of owned.values()) {
    const group = metadata.labels?.[GROUP_LABEL]
    if (kind !== 'StatefulSet' || group === undefined) continue
    const progress = parseProgress(metadata.annotations?.[PROGRESS_ANNOTATION])
    places.set(Number(group), { step: progress?.step ?? 'serve', size: progress?.size ?? 1 })
  }
  return new Map([...places].sort(([left], [right]) => left - right))
}

function byOrdinal(pods: readonly KubeObject[]): readonly PodFacts[] {
  return pods.map(podFacts).sort((left, right) => left.ordinal - right.ordinal)
}

function byGroup(pods: readonly KubeObject[]): ReadonlyMap<number, readonly PodFacts[]> {
  const groups = new Map<number, KubeObject[]>()
  for (const pod of pods) {
    const group = Number(pod.metadata.labels?.[GROUP_LABEL])
    const members = groups.get(group) ?? []
    members.push(pod)
    groups.set(group, members)
  }
  return new Map(
    [...groups]
      .sort(([left], [right]) => left - right)
      .map(([group, members]) => [group, byOrdinal(members)]),
  )
}
