/** `decide`: from what a cluster shall be and what was seen of it to the objects wanted, the next safe step and the status. Pure. */
import { actKey } from './act.ts'
import type { Act } from './act.ts'
import type { Cluster, ClusterStatus } from './cluster-types.ts'
import { claimsOf } from './claims.ts'
import { isPaused } from './crd.ts'
import type { GroupView } from './group-outcome.ts'
import { permissionOf, planGroup } from './group-plan.ts'
import { valueAt } from './json.ts'
import { membersOf, servingPod } from './members.ts'
import type { GroupMembers } from './members.ts'
import { planNameServers } from './name-server-plan.ts'
import type { NameServerPlan } from './name-server-plan.ts'
import { configMapName, GROUP_LABEL, groupName, PROGRESS_ANNOTATION, ROLE_LABEL } from './names.ts'
import type { Plan, PlannedGroup } from './plan-types.ts'
import type { Addressing, KubeObject } from './ports.ts'
import type { SuperUsers } from './super-users.ts'
import { brokerConfig, brokerObjects } from './resources/broker.ts'
import type { GroupWish } from './resources/broker.ts'
import type { ResourceContext } from './resources/common.ts'
import { liveChanges, wantedPod } from './restart-need.ts'
import type { WantedPod } from './restart-need.ts'
import { routesOf } from './routes.ts'
import { formatProgress, objectKey, parseProgress, stepOfPhase } from './snapshot.ts'
import type { GroupProgress, PodFacts, Snapshot } from './snapshot.ts'
import { buildStatus } from './status.ts'
import { expandingAct, recoveringAct, templateSizeOf } from './volume-plan.ts'

export interface Decision {
  /** In the order in which they are to be applied. */
  readonly apply: readonly KubeObject[]
  readonly delete: readonly KubeObject[]
  readonly act: Act | null
  readonly status: ClusterStatus
  /** When to look again if nothing happens before. */
  readonly requeueAfterMs: number
}

export interface DecideOptions {
  readonly addressing: Addressing
  readonly operandImage: string
  /** Null: brokers ask nobody who they are. */
  readonly superUsers: SuperUsers | null
  /** When an act was last performed, by `actKey`: those that wait longest come first, so that one without effect does not starve others. */
  readonly performedAt: ReadonlyMap<string, number>
}

/** Pods that were replaced this lately are let alone for a while. */
const SETTLED_POD_MS = 10_000
const REQUEUE_STEADY_MS = 300_000
const REQUEUE_PROGRESSING_MS = 2_000
const REQUEUE_MIN_MS = 50
/** How long a StatefulSet of which the volumes shall go may take to claim them. */
const CLAIM_OWNER_WAIT_MS = 30_000

export function decide(cluster: Cluster, snapshot: Snapshot, options: DecideOptions): Decision {
  const context: ResourceContext = { cluster, ...options }
  const nameServers = planNameServers(context, snapshot)
  const groups = planGroups(context, snapshot, nameServers)
  const acts = orderedActs(context, snapshot, { nameServers, groups }, options)
  const plan: Plan = { context, snapshot, nameServers, groups, acts, isPaused: isPaused(cluster) }
  const status = buildStatus(plan)
  if (plan.isPaused) {
    return { apply: [], delete: [], act: null, status, requeueAfterMs: REQUEUE_STEADY_MS }
  }

  const apply = [
    ...nameServers.objects,
    ...groups.flatMap((planned) => objectsOf({ context, snapshot }, planned)),
  ].map((object) => withUid(object, snapshot))
  const now = snapshot.now
  const ready = acts.filter((candidate) => !isPostponed(candidate, snapshot, now))
  return {
    apply,
    delete: surplus(apply, snapshot),
    act: ready[0] ?? null,
    status,
    requeueAfterMs: requeueAfter(plan),
  }
}

/** Groups that there are and groups that there shall be, by index. */
function planGroups(
  context: ResourceContext,
  snapshot: Snapshot,
  nameServers: NameServerPlan,
): readonly PlannedGroup[] {
  const { cluster } = context
  const existing = existingGroups(cluster, snapshot)
  const wanted = Array.from({ length: cluster.spec.broker.groups }, (_, group) => group)
  const all = [...new Set([...existing.keys(), ...wanted])].sort((left, right) => left - right)
  const isFirst = [...existing.values()].every(({ step }) => step === 'start')
  const steps = new Map<number, GroupProgress>()
  for (const group of all) {
    const step = isFirst ? 'start' : 'copy'
    const fresh: GroupProgress = {
      step,
      since: snapshot.now,
      startedAt: snapshot.now,
      podUid: null,
      member: null,
      size: cluster.spec.broker.replicasPerGroup,
    }
    steps.set(group, existing.get(group) ?? fresh)
  }
  const planned: PlannedGroup[] = []
  for (const [group, progress] of [...steps]) {
    const one = planOne({ context, snapshot, nameServers, steps, existing }, group, progress)
    // Later groups see what earlier ones have begun in this pass.
    steps.set(group, one.outcome.progress)
    planned.push(one)
  }
  return planned
}

interface Look {
  readonly context: ResourceContext
  readonly snapshot: Snapshot
}

interface Pass extends Look {
  readonly nameServers: NameServerPlan
  readonly steps: ReadonlyMap<number, GroupProgress>
  readonly existing: ReadonlyMap<number, GroupProgress>
}

function planOne(pass: Pass, group: number, progress: GroupProgress): PlannedGroup {
  const { context, snapshot, existing } = pass
  const { cluster } = context
  const name = groupName(cluster.name, group)
  const isWanted = group < cluster.spec.broker.groups
  const members = membersIn(snapshot, group, progress)
  const pod = servingPod(members)
  const present = statefulSetOf(snapshot, name)
  const wish = wishOf(pass, group, progress)
  const objects = brokerObjects(context, wish)
  const statefulSet = objects.find(({ kind }) => kind === 'StatefulSet')
  const wanted: WantedPod =
    statefulSet === undefined
      ? { revision: '', config: {}, restartAt: null }
      : wantedPod(cluster, statefulSet, brokerConfig(context, wish))
  const view: GroupView = {
    cluster,
    now: snapshot.now,
    group,
    name,
    progress,
    isWanted,
    mayLeave: !isWanted && mayLeave(pass, group),
    rollHold: rollHold(pass, group),
    members,
    pod,
    facts: pod === null ? null : (snapshot.brokers.get(pod.name) ?? null),
    brokers: snapshot.brokers,
    claims: claimsOf(snapshot.claims, group),
    wanted,
    routes: routesOf(snapshot, name),
    source: sourceOf(pass, group),
    statefulSetUid: present?.metadata.uid ?? null,
    claimsHold: claimsHold(pass, group, progress),
  }
  const frozen = cluster.spec.hibernate || present === null
  const message = existing.has(group) && present !== null ? '' : `${name} is created`
  const outcome = frozen
    ? { progress, act: null, message, wakeAt: null, isStalled: false }
    : planGroup(view)
  return { group, name, isWanted, outcome, view, members, pod, wanted }
}

/** The highest group leaves first, and only while another serves. */
function mayLeave({ existing, steps, snapshot }: Pass, group: number): boolean {
  const highest = Math.max(...existing.keys())
  if (group !== highest) return false
  return [...steps].some(
    ([other, { step }]) => other !== group && step === 'serve' && isServing(snapshot, other, steps),
  )
}

/** Why no pod of this group may be restarted now; null: it may. */
function rollHold({ context, snapshot, nameServers, steps }: Pass, group: number): string | null {
  if (!nameServers.isSettled) return 'name servers first'
  const { name } = context.cluster
  const { maxUnavailableGroups } = context.cluster.spec.broker.rollout
  const busy = [...steps].filter(([other, { step }]) => {
    if (other === group) return false
    if (step.startsWith('roll') || step.startsWith('member')) return true
    return step === 'serve' && !isWhole(snapshot, other, steps)
  })
  if (busy.length >= maxUnavailableGroups) {
    return `${busy.map(([other]) => groupName(name, other)).join(', ')} first`
  }
  for (const [other, pods] of snapshot.brokerPods) {
    const isNew = pods.some(({ createdAt }) => snapshot.now - createdAt < SETTLED_POD_MS)
    if (other !== group && isNew) return `${groupName(name, other)} has just restarted`
  }
  return null
}

/** The group that a joining one copies from: the lowest that serves. */
function sourceOf(
  { steps, snapshot }: Pass,
  group: number,
): {
  readonly endpoint: NonNullable<PodFacts['endpoint']>
  readonly isComplete: boolean | null
} | null {
  for (const [other, { step }] of steps) {
    const pod = podOf(snapshot, other, steps)
    if (other === group || step !== 'serve' || pod?.isReady !== true || pod.endpoint === null)
      continue
    const seen = snapshot.metadata.get(group)
    const isComplete = seen?.from === pod.name ? seen.isComplete : null
    return { endpoint: pod.endpoint, isComplete }
  }
  return null
}

/** Volumes follow the StatefulSet's policy, which its controller writes into the claims before the StatefulSet may go. */
function claimsHold(
  { context, snapshot }: Pass,
  group: number,
  progress: GroupProgress,
): string | null {
  if (progress.step !== 'remove') return null
  const { whenScaled } = context.cluster.spec.broker.storage.retention
  const claims = snapshot.claims.filter(
    ({ metadata }) => metadata.labels?.[GROUP_LABEL] === String(group),
  )
  const isOwned = claims.some(({ metadata }) =>
    (metadata.ownerReferences ?? []).some(({ kind }) => kind === 'StatefulSet'),
  )
  if (whenScaled === 'Retain') return isOwned ? 'its volumes are being released' : null
  const isWaiting = snapshot.now < progress.since + CLAIM_OWNER_WAIT_MS
  return claims.length > 0 && !isOwned && isWaiting ? 'its volumes are being handed over' : null
}

/**
 * Groups that there are, and where they stand. While a StatefulSet is made anew, or was deleted by hand, its group goes on from what its
 * ConfigMap says.
 */
function existingGroups(cluster: Cluster, snapshot: Snapshot): ReadonlyMap<number, GroupProgress> {
  const found = new Map<number, GroupProgress>()
  for (const { kind, metadata } of snapshot.owned.values()) {
    if (metadata.labels?.[ROLE_LABEL] !== 'broker') continue
    const group = Number(metadata.labels[GROUP_LABEL])
    const name = groupName(cluster.name, group)
    const progress = parseProgress(metadata.annotations?.[PROGRESS_ANNOTATION])
    if (kind === 'StatefulSet' && metadata.name === name) {
      found.set(group, progress ?? rebuilt(snapshot, metadata.name))
    }
    const isLeft = kind === 'ConfigMap' && metadata.name === configMapName(name)
    // What was removed is not brought back by what is still being cleaned up.
    if (!isLeft || statefulSetOf(snapshot, name) !== null || progress?.step === 'remove') continue
    if (progress !== null) found.set(group, progress)
  }
  return new Map([...found].sort(([left], [right]) => left - right))
}

/** Without the annotation the status is asked, and without that the group is taken as serving with the pods that it has. */
function rebuilt({ formerStatus, now, owned }: Snapshot, name: string): GroupProgress {
  const former = formerStatus?.groups.find((group) => group.name === name)
  const step = former === undefined ? 'serve' : stepOfPhase(former.phase)
  const replicas = valueAt(owned.get(`StatefulSet/${name}`)?.spec, 'replicas')
  const count = typeof replicas === 'number' && replicas > 0 ? replicas : 0
  const size = Math.max(1, count, former?.members.length ?? 0)
  return { step, since: now, startedAt: now, podUid: null, member: null, size }
}

function wishOf({ context, snapshot }: Look, group: number, progress: GroupProgress): GroupWish {
  const { cluster } = context
  const { retention } = cluster.spec.broker.storage
  const present = statefulSetOf(snapshot, groupName(cluster.name, group))
  return {
    group,
    permission: permissionOf(progress.step),
    size: progress.size,
    replicas: cluster.spec.hibernate ? 0 : progress.size,
    templateSize: present === null ? null : templateSizeOf(present),
    volumesWhenDeleted: progress.step === 'remove' ? retention.whenScaled : retention.whenDeleted,
    annotations: { [PROGRESS_ANNOTATION]: formatProgress(progress) },
  }
}

function statefulSetOf({ owned }: Snapshot, name: string): KubeObject | null {
  const found = owned.get(`StatefulSet/${name}`)
  return found === undefined || found.metadata.deletionTimestamp !== undefined ? null : found
}

function objectsOf(pass: Look, { group, outcome }: PlannedGroup): readonly KubeObject[] {
  return brokerObjects(pass.context, wishOf(pass, group, outcome.progress))
}

/** An object that was deleted meanwhile is not made again by an apply that means the old one. */
function withUid(object: KubeObject, snapshot: Snapshot): KubeObject {
  const uid = snapshot.owned.get(objectKey(object))?.metadata.uid
  return uid === undefined ? object : { ...object, metadata: { ...object.metadata, uid } }
}

/** What is ours and no longer wanted. StatefulSets go by an act of their own, pods and claims by their StatefulSet. */
function surplus(wanted: readonly KubeObject[], snapshot: Snapshot): readonly KubeObject[] {
  const keys = new Set(wanted.map(objectKey))
  const kept = ['StatefulSet', 'Pod', 'PersistentVolumeClaim']
  return [...snapshot.owned]
    .filter(([key, { kind }]) => !keys.has(key) && !kept.includes(kind))
    .map(([, object]) => object)
}

function orderedActs(
  context: ResourceContext,
  snapshot: Snapshot,
  plan: { readonly nameServers: NameServerPlan; readonly groups: readonly PlannedGroup[] },
  { performedAt }: DecideOptions,
): readonly Act[] {
  if (context.cluster.spec.hibernate) return []
  const acts: Act[] = [...liveConfiguration(context, snapshot, plan.groups)]
  if (plan.nameServers.act !== null) acts.push(plan.nameServers.act)
  for (const { outcome, view, name } of plan.groups) {
    if (outcome.act !== null) acts.push(outcome.act)
    const statefulSet = statefulSetOf(snapshot, name)
    const grow = statefulSet === null ? null : expandingAct(view, statefulSet)
    // Before its next pod goes, the set that makes the new one is there.
    if (grow !== null && outcome.progress.step === view.progress.step) acts.push(grow)
    const recover = outcome.act === null ? recoveringAct(view) : null
    if (recover !== null) acts.push(recover)
  }
  const last = (candidate: Act): number => performedAt.get(actKey(candidate)) ?? 0
  return acts.toSorted((left, right) => last(left) - last(right))
}

/** All live keys of all brokers together: nobody is disturbed by them. The permission follows the group's step. */
function liveConfiguration(
  context: ResourceContext,
  snapshot: Snapshot,
  groups: readonly PlannedGroup[],
): readonly Act[] {
  const targets = groups.flatMap(({ group, outcome, members }) => {
    const wish = wishOf({ context, snapshot }, group, outcome.progress)
    const config = brokerConfig(context, wish)
    return members.pods.flatMap((pod) => {
      const facts = snapshot.brokers.get(pod.name)?.config ?? null
      if (!pod.isReady || pod.endpoint === null || facts === null) return []
      const entries = liveChanges(config, pod, facts, ['brokerPermission'])
      return Object.keys(entries).length === 0 ? [] : [{ broker: pod.endpoint, entries }]
    })
  })
  return targets.length === 0 ? [] : [{ type: 'configure', targets }]
}

function isPostponed(candidate: Act, { failures }: Snapshot, now: number): boolean {
  const key = actKey(candidate)
  return failures.some((failure) => failure.key === key && failure.until > now)
}

function requeueAfter({ snapshot, groups, acts, nameServers, context }: Plan): number {
  const { now } = snapshot
  const isProgressing =
    acts.length > 0 ||
    snapshot.failures.length > 0 ||
    !nameServers.isSettled ||
    groups.some(({ outcome }) => outcome.message !== '' || outcome.progress.step !== 'serve')
  if (!isProgressing || context.cluster.spec.hibernate) return REQUEUE_STEADY_MS
  // A deadline that has passed brings nothing new.
  const wakes = groups.flatMap(({ outcome }) =>
    outcome.wakeAt === null || outcome.wakeAt < now ? [] : [outcome.wakeAt - now],
  )
  return Math.max(REQUEUE_MIN_MS, Math.min(REQUEUE_PROGRESSING_MS, ...wakes))
}

function membersIn(snapshot: Snapshot, group: number, { size }: GroupProgress): GroupMembers {
  return membersOf(snapshot.brokerPods.get(group) ?? [], snapshot.brokers, size)
}

type Steps = ReadonlyMap<number, GroupProgress>

/** The pod that answers for a group. */
function podOf(snapshot: Snapshot, group: number, steps: Steps): PodFacts | null {
  const progress = steps.get(group)
  return progress === undefined ? null : servingPod(membersIn(snapshot, group, progress))
}

function isServing(snapshot: Snapshot, group: number, steps: Steps): boolean {
  return podOf(snapshot, group, steps)?.isReady === true
}

/** It serves, and no pod of it is away. */
function isWhole(snapshot: Snapshot, group: number, steps: Steps): boolean {
  const size = steps.get(group)?.size ?? 0
  const pods = (snapshot.brokerPods.get(group) ?? []).filter(({ ordinal }) => ordinal < size)
  const isFull = pods.length === size && pods.every(({ isReady }) => isReady)
  return isFull && isServing(snapshot, group, steps)
}
