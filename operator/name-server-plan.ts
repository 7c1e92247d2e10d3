/** The name servers: how many, and which one restarts next. Pure. */
import type { Act } from './act.ts'
import { valueAt } from './json.ts'
import { groupName, nameServerName } from './names.ts'
import type { KubeObject } from './ports.ts'
import {
  nameServerAddresses,
  nameServerConfig,
  nameServerObjects,
} from './resources/name-server.ts'
import type { ResourceContext } from './resources/common.ts'
import { NOTHING_IS_LIVE, restartNeed, wantedPod } from './restart-need.ts'
import type { WantedPod } from './restart-need.ts'
import { routesOf } from './routes.ts'
import type { PodFacts, Snapshot } from './snapshot.ts'

export interface NameServerPlan {
  readonly objects: readonly KubeObject[]
  readonly act: Act | null
  /** True when all are there, ready, and of the wanted revision. */
  readonly isSettled: boolean
  readonly isStalled: boolean
  readonly messages: readonly string[]
  readonly ready: number
  readonly wanted: WantedPod
}

const SETTLED_POD_MS = 10_000

export function planNameServers(context: ResourceContext, snapshot: Snapshot): NameServerPlan {
  const { cluster } = context
  const replicas = replicasNow(context, snapshot)
  const objects = nameServerObjects(context, replicas)
  const statefulSet = objects.find(({ kind }) => kind === 'StatefulSet')
  const wanted: WantedPod =
    statefulSet === undefined
      ? { revision: '', config: {}, restartAt: null }
      : wantedPod(cluster, statefulSet, nameServerConfig())
  const pods = snapshot.nameServerPods
  const notReady = pods.filter((pod) => !pod.isReady || pod.isTerminating)
  const stale = pods.filter((pod) => restartNeed(pod, wanted, NOTHING_IS_LIVE).type === 'needed')
  const ready = pods.length - notReady.length
  const base = { objects, ready, wanted }
  if (cluster.spec.hibernate) {
    return { ...base, act: null, isSettled: true, isStalled: false, messages: [] }
  }

  const messages = notReady.map((pod) => notReadyMessage(pod))
  const missing = cluster.spec.nameServer.replicas - pods.length
  if (missing > 0) messages.push(`name servers to be started: ${missing}`)
  if (missing < 0) messages.push(`name servers to be stopped: ${-missing}`)
  const next = nextRestart(context, snapshot, { stale, notReady })
  if (next.hold !== null) messages.push(next.hold)
  return {
    ...base,
    act: next.act,
    isSettled: notReady.length === 0 && missing === 0 && stale.length === 0,
    isStalled: notReady.some((pod) => isLate(context, snapshot, pod)),
    messages,
  }
}

/** Fewer only after every broker has been told, so that none asks where nobody is. */
function replicasNow({ cluster, addressing }: ResourceContext, snapshot: Snapshot): number {
  const { hibernate, nameServer } = cluster.spec
  if (hibernate) return hasBrokerPods(snapshot) ? nameServer.replicas : 0
  const present = valueAt(
    snapshot.owned.get(`StatefulSet/${nameServerName(cluster.name)}`),
    'spec',
    'replicas',
  )
  if (typeof present !== 'number' || present <= nameServer.replicas) return nameServer.replicas
  const list = nameServerAddresses(cluster, addressing).join(';')
  for (const pods of snapshot.brokerPods.values()) {
    for (const pod of pods) {
      const told = snapshot.brokers.get(pod.name)?.config?.entries['namesrvAddr']?.value
      if (pod.isReady && told !== list) return present
    }
  }
  return nameServer.replicas
}

function nextRestart(
  context: ResourceContext,
  snapshot: Snapshot,
  pods: { readonly stale: readonly PodFacts[]; readonly notReady: readonly PodFacts[] },
): { readonly act: Act | null; readonly hold: string | null } {
  const { stale, notReady } = pods
  // One that does not serve is replaced first: that harms nobody and may be what unblocks a bad rollout.
  const broken = stale.find((pod) => notReady.includes(pod) && !pod.isTerminating)
  if (broken !== undefined && (broken.problem !== null || isLate(context, snapshot, broken))) {
    return { act: restart(broken), hold: null }
  }
  const target = stale.filter((pod) => !pod.isTerminating).at(-1)
  if (target === undefined) return { act: null, hold: null }
  const hold = (why: string): { readonly act: null; readonly hold: string } => ({
    act: null,
    hold: `restart of ${target.name} waits: ${why}`,
  })
  const [waitsFor] = notReady
  if (waitsFor !== undefined) return hold(`${waitsFor.name} is not ready`)
  if (snapshot.nameServerPods.some(({ createdAt }) => snapshot.now - createdAt < SETTLED_POD_MS)) {
    return hold('another has just started')
  }
  const unregistered = brokerMissingSomewhere(context, snapshot)
  if (unregistered !== null) return hold(unregistered)
  return { act: restart(target), hold: null }
}

/** A name server that does not know every running broker yet must not be the only one that is left. */
function brokerMissingSomewhere({ cluster }: ResourceContext, snapshot: Snapshot): string | null {
  for (const [group, pods] of snapshot.brokerPods) {
    if (!pods.some(({ isReady }) => isReady)) continue
    const name = groupName(cluster.name, group)
    const { isKnown, absent } = routesOf(snapshot, name)
    if (!isKnown) return 'name servers do not answer'
    const [where] = absent
    if (where !== undefined) return `${name} is not registered at ${where.pod}`
  }
  return null
}

function restart(pod: PodFacts): Act {
  return { type: 'evict', pod: pod.name, uid: pod.uid, reason: 'name server' }
}

function isLate({ cluster }: ResourceContext, { now }: Snapshot, pod: PodFacts): boolean {
  return now >= pod.createdAt + cluster.spec.broker.rollout.podTimeoutSeconds * 1000
}

function hasBrokerPods(snapshot: Snapshot): boolean {
  return [...snapshot.brokerPods.values()].some((pods) => pods.length > 0)
}

function notReadyMessage(pod: PodFacts): string {
  const why =
    pod.problem === null ? 'is not ready' : `${pod.problem.reason}: ${pod.problem.message}`
  return `${pod.name}: ${why}`
}
