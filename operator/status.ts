/** `buildStatus`: conditions and facts for people and for automation. Pure. */
import { API_GROUP } from './crd.ts'
import { CONDITION_TYPES } from './cluster-types.ts'
import type { ClusterStatus, Condition, ConditionType, GroupStatus } from './cluster-types.ts'
import { drainProgress } from './drain.ts'
import { notReadyMessage } from './group-outcome.ts'
import { textAt } from './json.ts'
import { leaderless } from './member-plan.ts'
import { GROUP_LABEL, ROLE_LABEL } from './names.ts'
import { planLines } from './plan-lines.ts'
import type { Plan, PlannedGroup } from './plan-types.ts'
import { parseQuantity } from './quantity.ts'
import type { ConditionReason } from './reasons.ts'
import { nameServerAddresses } from './resources/name-server.ts'
import { differs, restartNeed, revisionOf, revisionOfPod } from './restart-need.ts'
import { routesOf } from './routes.ts'
import { phaseOfStep } from './snapshot.ts'
import type { PodFacts } from './snapshot.ts'
import { expandingMessage, waitingForVolume } from './volume-plan.ts'

interface Verdict {
  readonly status: Condition['status']
  readonly reason: ConditionReason
  readonly message: string
}

/** Fewer in a row are expected to pass. */
const FAILURES_TO_DEGRADE = 3
/** Schedulers and volume controllers need a moment. */
const UNSCHEDULED_MS = 30_000
/** So long after its grace period a pod of a living node would be gone. */
const STUCK_MS = 60_000
const LEAVING = ['WriteDisabled', 'Draining', 'Drained', 'Removing']

export function buildStatus(plan: Plan): ClusterStatus {
  const { context, snapshot } = plan
  const { cluster, addressing } = context
  const lines = planLines(plan)
  const groups = plan.groups
    .filter(({ name }) => snapshot.owned.has(`StatefulSet/${name}`))
    .map((planned) => groupStatus(plan, planned))
  const used = groups.flatMap(({ storage }) => storage.usedPercent ?? [])
  const verdicts: Readonly<Record<ConditionType, Verdict>> = {
    Ready: readiness(plan, lines),
    Available: availability(plan),
    Progressing: progress(plan, lines),
    Degraded: degradation(plan),
    Paused: plan.isPaused
      ? { status: 'True', reason: 'PausedBySpec', message: 'Only status is written.' }
      : { status: 'False', reason: 'NotPaused', message: '' },
    Hibernated: hibernation(plan),
    ScalingDown: scaling(plan, groups),
    StorageResizing: resizing(plan),
  }
  return {
    observedGeneration: cluster.generation,
    conditions: conditionsOf(plan, verdicts),
    version: runningVersion(plan),
    brokerGroups: groups.length,
    membersInSync: membersInSync(plan, groups),
    selector: `${API_GROUP}/cluster=${cluster.name},${ROLE_LABEL}=broker`,
    nameServers: nameServerAddresses(cluster, addressing),
    nameServersReady: `${plan.nameServers.ready}/${cluster.spec.nameServer.replicas}`,
    usedPercent: used.length === 0 ? null : Math.max(...used),
    groups,
    plan: lines,
  }
}

/** Why nothing is done about a cluster: its spec cannot be used, or what the spec points at. */
export interface Refusal {
  readonly reason: 'InvalidSpec' | 'SecretNotUsable'
  readonly message: string
}

/** The status of a cluster about which nothing is done: what was known before, and why. */
export function refusedStatus(
  former: ClusterStatus | null,
  generation: number,
  refusal: Refusal,
  now: number,
): ClusterStatus {
  const base: ClusterStatus = former ?? {
    observedGeneration: generation,
    conditions: [],
    version: null,
    brokerGroups: 0,
    membersInSync: '',
    selector: '',
    nameServers: [],
    nameServersReady: '',
    usedPercent: null,
    groups: [],
    plan: [],
  }
  const refused: Verdict = { status: 'False', ...refusal }
  const stamped = (type: ConditionType, verdict: Verdict): Condition =>
    stamp(type, verdict, base.conditions, generation, now)
  const others = base.conditions.filter(({ type }) => type !== 'Ready' && type !== 'Degraded')
  return {
    ...base,
    observedGeneration: generation,
    conditions: [
      stamped('Ready', refused),
      ...others,
      stamped('Degraded', { ...refused, status: 'True' }),
    ],
  }
}

function readiness(plan: Plan, lines: readonly string[]): Verdict {
  const { cluster } = plan.context
  const hibernated = hibernation(plan)
  if (cluster.spec.hibernate) return { ...hibernated, status: 'False' }
  const [first] = lines
  if (first !== undefined) return { status: 'False', reason: 'Steps', message: first }
  const counts = [
    counted(plan.groups.length, 'broker group'),
    ...(cluster.spec.broker.replicasPerGroup > 1
      ? [`${cluster.spec.broker.replicasPerGroup} members each`]
      : []),
    counted(plan.nameServers.ready, 'name server'),
  ]
  return { status: 'True', reason: 'AsSpecified', message: `${counts.join(' and ')}, as specified` }
}

function availability(plan: Plan): Verdict {
  const { snapshot, groups, nameServers } = plan
  const open = groups.filter(({ name, pod }) => {
    const routes = routesOf(snapshot, name)
    return pod?.isReady === true && routes.open.length > 0
  })
  if (open.length > 0 && nameServers.ready > 0) {
    return {
      status: 'True',
      reason: 'Writable',
      message: `messages are taken by ${counted(open.length, 'broker group')}`,
    }
  }
  const isUnknown =
    nameServers.ready > 0 &&
    groups.some(({ name, pod }) => pod?.isReady === true && !routesOf(snapshot, name).isKnown)
  if (isUnknown) {
    return {
      status: 'Unknown',
      reason: 'Unknown',
      message: 'name servers do not answer the operator',
    }
  }
  return {
    status: 'False',
    reason: 'NoWritableGroup',
    message: nameServers.ready === 0 ? 'no name server is ready' : 'no broker group takes messages',
  }
}

function progress(plan: Plan, lines: readonly string[]): Verdict {
  const [message = ''] = lines
  if (message === '' || plan.isPaused)
    return { status: 'False', reason: 'AsSpecified', message: '' }
  const phases = plan.groups.map(({ outcome }) => phaseOfStep(outcome.progress.step))
  const reason: ConditionReason = phases.some((phase) => LEAVING.includes(phase))
    ? 'ScalingDown'
    : phases.includes('Rolling')
      ? 'Rolling'
      : phases.includes('Joining')
        ? 'Joining'
        : 'Steps'
  return { status: 'True', reason, message }
}

function degradation(plan: Plan): Verdict {
  const { snapshot, groups, nameServers } = plan
  const bad = (reason: ConditionReason, message: string): Verdict => ({
    status: 'True',
    reason,
    message,
  })
  const conflict = snapshot.failures.find(({ reason }) => reason === 'NameConflict')
  if (conflict !== undefined) return bad('NameConflict', conflict.message)
  const pods = [...snapshot.nameServerPods, ...groups.flatMap(({ members }) => members.pods)]
  const pulling = pods.find(({ problem }) => problem !== null && isPullProblem(problem.reason))
  if (pulling !== undefined) return bad('ImagePullBackOff', problemOf(pulling))
  const stalled = groups.find(
    ({ outcome }) => outcome.isStalled && phaseOfStep(outcome.progress.step) === 'Rolling',
  )
  if (stalled !== undefined)
    return bad('RollStalled', `${stalled.name}: ${stalled.outcome.message}`)
  const headless = plan.context.cluster.spec.hibernate ? undefined : groups.find(isWithoutLeader)
  if (headless !== undefined) {
    return bad('QuorumLost', `${leaderless(headless.view)}; it takes no messages`)
  }
  const failing = pods.find(({ problem }) => problem !== null)
  if (failing !== undefined) return bad('PodFailing', problemOf(failing))
  const stuck = pods.find((pod) => isStuck(pod, snapshot.now))
  if (stuck !== undefined) return bad('NodeGone', stuckMessage(stuck))
  if (nameServers.isStalled) return bad('RollStalled', nameServers.messages[0] ?? 'a name server')
  const down = plan.context.cluster.spec.hibernate ? null : memberDown(plan)
  if (down !== null) return down
  const failure = snapshot.failures.find(({ count }) => count >= FAILURES_TO_DEGRADE)
  if (failure !== undefined) return bad(failure.reason, failure.message)
  return { status: 'False', reason: 'Healthy', message: '' }
}

/** A group that serves others, or shall, without a member that takes messages. */
function isWithoutLeader({ outcome, members }: PlannedGroup): boolean {
  const { step } = outcome.progress
  const hasServed = step !== 'start' && step !== 'copy' && step !== 'remove'
  return members.size > 1 && members.leader === null && hasServed && members.pods.length > 0
}

/** A member that is away without being restarted by us. */
function memberDown({ groups, snapshot }: Plan): Verdict | null {
  for (const { outcome, members, name, view } of groups) {
    if (outcome.progress.step !== 'serve') continue
    const { size, pods } = members
    for (let ordinal = 0; ordinal < size; ordinal += 1) {
      const pod = pods.find((one) => one.ordinal === ordinal)
      if (pod?.isReady === true) continue
      // New members copy the log first; that is no fault.
      const isJoining = members.leader !== null && !members.voters.includes(ordinal)
      const volume = pod === undefined ? null : waitingForVolume(view, pod)
      if (volume !== null && snapshot.now >= volume.since + UNSCHEDULED_MS) {
        const message = `${pod?.name ?? ''} waits for its volume: ${volume.message}`
        return { status: 'True', reason: 'VolumeLost', message }
      }
      if (isJoining) continue
      const what = pod === undefined ? `${name}-${ordinal} is missing` : notReadyMessage(pod)
      const reason = size > 1 ? 'MemberDown' : 'PodNotReady'
      return { status: 'True', reason, message: `${name}: ${what}` }
    }
  }
  return null
}

function isStuck({ dueAt }: PodFacts, now: number): boolean {
  return dueAt !== null && now >= dueAt + STUCK_MS
}

function stuckMessage({ name, node }: PodFacts): string {
  return (
    `${name} does not stop: its node ${node ?? ''} does not answer. If that machine is gone for good, delete the Node object; ` +
    `until then its pod may still be running, and no other takes its place`
  )
}

function resizing({ groups, snapshot }: Plan): Verdict {
  const failure = snapshot.failures.find(({ key }) => key.startsWith('expandClaims '))
  if (failure !== undefined) {
    return { status: 'False', reason: 'NotExpandable', message: failure.message }
  }
  const messages = groups.map(({ view }) => expandingMessage(view))
  const message = messages.filter((text) => text !== '').join('; ')
  return message === ''
    ? { status: 'False', reason: 'NotExpanding', message }
    : { status: 'True', reason: 'Expanding', message }
}

function membersInSync({ groups }: Plan, statuses: readonly GroupStatus[]): string {
  const wanted = groups.reduce((sum, { members }) => sum + members.size, 0)
  return `${statuses.reduce((sum, { caughtUp }) => sum + caughtUp, 0)}/${wanted}`
}

function hibernation({ context, snapshot }: Plan): Verdict {
  if (!context.cluster.spec.hibernate) {
    return { status: 'False', reason: 'NotHibernated', message: '' }
  }
  const pods = [...snapshot.brokerPods.values()].flat().length + snapshot.nameServerPods.length
  return pods === 0
    ? { status: 'True', reason: 'Hibernated', message: 'There are no pods; volumes are kept.' }
    : { status: 'False', reason: 'Hibernating', message: `${pods} pods are stopping` }
}

function scaling(plan: Plan, groups: readonly GroupStatus[]): Verdict {
  const leaving = plan.groups.find(({ outcome }) =>
    LEAVING.includes(phaseOfStep(outcome.progress.step)),
  )
  if (leaving === undefined) return { status: 'False', reason: 'NotScalingDown', message: '' }
  const blocked = groups.find(({ name }) => name === leaving.name)?.drain?.blockedBy[0]
  const message = `${leaving.name}: ${blocked ?? leaving.outcome.message}`
  const isBlocked = leaving.outcome.isStalled && leaving.outcome.progress.step === 'drain'
  return { status: 'True', reason: isBlocked ? 'DrainBlocked' : 'ScalingDown', message }
}

function groupStatus(plan: Plan, planned: PlannedGroup): GroupStatus {
  const { snapshot, context } = plan
  const { pod, members, outcome, wanted, name } = planned
  const { step } = outcome.progress
  const phase = phaseOfStep(step)
  const isReady = pod?.isReady === true
  const own = members.pods.filter(({ ordinal }) => ordinal < members.size)
  const oldest = own.find((one) => shownRevision(planned, one) !== revisionOf(wanted)) ?? own[0]
  const used = own.flatMap(({ name: ofPod }) => {
    const store = snapshot.brokers.get(ofPod)?.store ?? null
    if (store === null || store.capacityBytes === 0) return []
    return [Math.round((store.usedBytes / store.capacityBytes) * 100)]
  })
  const caughtUp = members.size > 1 ? members.inSync.length : isReady ? 1 : 0
  return {
    name,
    phase: isReady ? phase : step === 'start' ? 'Pending' : step === 'serve' ? 'Unhealthy' : phase,
    message: outcome.message,
    leader: members.leader?.name ?? null,
    term: members.term,
    replicas: members.pods.length,
    ready: members.pods.filter((one) => one.isReady).length,
    caughtUp,
    inSync: `${caughtUp}/${members.size}`,
    members: members.pods.map((one) => ({
      id: one.ordinal,
      pod: one.name,
      role: members.roles.get(one.ordinal) ?? null,
      ready: one.isReady,
      lagBytes: members.lags.get(one.ordinal) ?? null,
    })),
    revision: oldest === undefined ? null : shownRevision(planned, oldest),
    desiredRevision: revisionOf(wanted),
    storage: {
      requested: context.cluster.spec.broker.storage.size,
      actual: claimSize(plan, planned.group),
      usedPercent: used.length === 0 ? null : Math.max(...used),
    },
    drain: LEAVING.includes(phase) ? drainStatus(plan, planned) : null,
  }
}

function drainStatus(plan: Plan, { outcome, pod, isWanted }: PlannedGroup): GroupStatus['drain'] {
  const { snapshot, context } = plan
  const startedAt = new Date(outcome.progress.startedAt).toISOString()
  const facts = pod === null || isWanted ? null : (snapshot.brokers.get(pod.name)?.drain ?? null)
  if (facts === null) {
    return {
      startedAt,
      remainingMessages: null,
      etaSeconds: null,
      blockedBy: [],
      broadcastGroups: [],
    }
  }
  const { remaining, etaSeconds, blockedBy } = drainProgress(
    facts,
    context.cluster.spec.broker.drain.unconsumed,
  )
  return {
    startedAt,
    remainingMessages: remaining,
    etaSeconds,
    blockedBy,
    broadcastGroups: facts.broadcastGroups.slice(0, 20),
  }
}

/** A pod that only differs in live keys counts as being of the wanted revision. */
function shownRevision({ wanted, view }: PlannedGroup, pod: PodFacts): string | null {
  const config = view.brokers.get(pod.name)?.config ?? null
  const isCurrent = restartNeed(pod, wanted, config).type === 'none'
  return isCurrent ? revisionOf(wanted) : revisionOfPod(pod)
}

/** The smallest volume: what every member has. */
function claimSize({ snapshot }: Plan, group: number): string | null {
  const sizes = snapshot.claims
    .filter(({ metadata }) => metadata.labels?.[GROUP_LABEL] === String(group))
    .flatMap((claim) => textAt(claim, 'status', 'capacity', 'storage') ?? [])
    .toSorted((left, right) => (parseQuantity(left) ?? 0) - (parseQuantity(right) ?? 0))
  return sizes[0] ?? null
}

/** The version of the spec, once every pod was made from it. */
function runningVersion({ context, snapshot, nameServers, groups }: Plan): string | null {
  const { version } = context.cluster.spec
  const former = snapshot.formerStatus?.version ?? null
  const pods = [
    ...snapshot.nameServerPods.map((pod) => ({ pod, wanted: nameServers.wanted })),
    ...groups.flatMap(({ members, wanted }) => members.pods.map((pod) => ({ pod, wanted }))),
  ]
  if (pods.length === 0) return former
  const isCurrent = pods.every(
    ({ pod, wanted }) => pod.revision === wanted.revision || !differs(pod, wanted),
  )
  return isCurrent ? version : former
}

function conditionsOf(
  { context, snapshot }: Plan,
  verdicts: Readonly<Record<ConditionType, Verdict>>,
): readonly Condition[] {
  const { generation } = context.cluster
  const former = snapshot.formerStatus?.conditions ?? []
  return CONDITION_TYPES.map((type) =>
    stamp(type, verdicts[type], former, generation, snapshot.now),
  )
}

function stamp(
  type: ConditionType,
  verdict: Verdict,
  former: readonly Condition[],
  observedGeneration: number,
  now: number,
): Condition {
  const before = former.find((condition) => condition.type === type)
  const isSame = before?.status === verdict.status
  const lastTransitionTime = isSame ? before.lastTransitionTime : wholeSecond(now)
  return { type, ...verdict, observedGeneration, lastTransitionTime }
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

/** As Kubernetes writes times: to the second. */
function wholeSecond(now: number): string {
  return new Date(now).toISOString().replace(/\.\d{3}Z$/, 'Z')
}

function isPullProblem(reason: string): boolean {
  return ['ImagePullBackOff', 'ErrImagePull', 'InvalidImageName', 'ErrImageNeverPull'].includes(
    reason,
  )
}

function problemOf({ name, problem }: PodFacts): string {
  if (problem === null) return name
  return `${name}: ${problem.reason}: ${problem.message}`
}
