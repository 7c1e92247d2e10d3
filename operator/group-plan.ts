/**
 * One broker group's way: joining, serving, restarting its pod, leaving. Each pass takes at most one transition, which is durable (an annotation)
 * before anything is done that follows from it; every step checks what it needs anew, so it does not matter where a pass ended. Pure.
 */
import type { DrainFacts } from '../common/admin-contract.ts'
import type { Act } from './act.ts'
import type { Cluster } from './cluster-types.ts'
import { drainProgress } from './drain.ts'
import { CONFIRM_DATA_LOSS_ANNOTATION } from './names.ts'
import type { PodEndpoint } from './ports.ts'
import { READ_ONLY, READ_WRITE } from './resources/broker.ts'
import { differs, restartNeed } from './restart-need.ts'
import type { WantedPod } from './restart-need.ts'
import type { GroupRoutes } from './routes.ts'
import type { BrokerFacts, GroupProgress, GroupStep, PodFacts } from './snapshot.ts'

export interface GroupView {
  readonly cluster: Cluster
  readonly now: number
  readonly group: number
  readonly name: string
  readonly progress: GroupProgress
  /** False: its index is beyond `spec.broker.groups`. */
  readonly isWanted: boolean
  /** It is this group's turn to leave. */
  readonly mayLeave: boolean
  /** Whether its pod may be taken away for a restart now; if not, why. */
  readonly rollHold: string | null
  readonly pod: PodFacts | null
  readonly facts: BrokerFacts | null
  readonly wanted: WantedPod
  readonly routes: GroupRoutes
  /** Where a joining group gets its topics from, and whether it has them; null: there is no such group. */
  readonly source: { readonly endpoint: PodEndpoint; readonly isComplete: boolean | null } | null
  readonly statefulSetUid: string | null
  /** Claims still belong to the StatefulSet although they shall outlive it, or the other way round. */
  readonly claimsHold: string | null
}

export interface GroupOutcome {
  readonly progress: GroupProgress
  readonly act: Act | null
  /** What the group waits for; empty when for nothing. */
  readonly message: string
  /** The next time at which something happens by itself. */
  readonly wakeAt: number | null
  readonly isStalled: boolean
}

/** `brokerPermission` in the file of a group at this step. */
export function permissionOf(step: GroupStep): typeof READ_ONLY | typeof READ_WRITE {
  switch (step) {
    case 'copy':
    case 'leaveWipe':
    case 'leaveSettle':
    case 'leaveClose':
    case 'drain':
    case 'drained':
    case 'remove':
      return READ_ONLY
    case 'start':
    case 'open':
    case 'serve':
    case 'rollWipe':
    case 'rollSettle':
    case 'rollReplace':
    case 'rollRestore':
      return READ_WRITE
  }
}

export function planGroup(view: GroupView): GroupOutcome {
  const forced = forcedRemoval(view)
  if (forced !== null) return forced
  switch (view.progress.step) {
    case 'start':
      return view.mayLeave ? goTo(view, 'leaveWipe') : opening(view)
    case 'copy':
      return view.mayLeave ? goTo(view, 'leaveWipe') : copying(view)
    case 'open':
      return view.mayLeave ? goTo(view, 'leaveWipe') : opening(view)
    case 'serve':
      return serving(view)
    case 'rollWipe':
    case 'rollSettle':
      return makingReady(view)
    case 'rollReplace':
      return replacing(view)
    case 'rollRestore':
      return opening(view)
    case 'leaveWipe':
    case 'leaveSettle':
    case 'leaveClose':
      return view.isWanted ? goTo(view, 'open') : closing(view)
    case 'drain':
    case 'drained':
      return view.isWanted ? goTo(view, 'open') : draining(view)
    case 'remove':
      return removing(view)
  }
}

/** Lets the group take writes: its own permission first, then the routes. */
function opening(view: GroupView): GroupOutcome {
  const broker = runningBroker(view)
  if (typeof broker === 'string') return stay(view, broker)
  const permission = permissionNow(view)
  if (permission === null) return stay(view, `${view.name} does not tell its configuration`)
  if (permission !== READ_WRITE) return act(view, configure(broker, READ_WRITE))
  const { isKnown, wiped, absent } = view.routes
  if (!isKnown) return stay(view, 'name servers do not answer')
  if (absent.length > 0) return stay(view, `${view.name} registers at ${namesOf(absent)}`)
  if (wiped.length > 0) return act(view, setWritable(view, true, wiped))
  return goTo(view, 'serve')
}

/** Gives a new group what the others have, while it takes no writes. */
function copying(view: GroupView): GroupOutcome {
  const broker = runningBroker(view)
  if (typeof broker === 'string') return stay(view, broker)
  const { isKnown, absent } = view.routes
  if (!isKnown) return stay(view, 'name servers do not answer')
  if (absent.length > 0) return stay(view, `${view.name} registers at ${namesOf(absent)}`)
  if (view.source === null) return stay(view, 'no group serves from which topics could be copied')
  switch (view.source.isComplete) {
    case true:
      return goTo(view, 'open')
    case false:
      return act(view, { type: 'copyMetadata', from: view.source.endpoint, to: broker })
    case null:
      return stay(view, `topics of ${view.source.endpoint.pod} are not known`)
  }
}

function serving(view: GroupView): GroupOutcome {
  const { pod, wanted, facts } = view
  if (view.mayLeave) return goTo(view, 'leaveWipe')
  if (pod === null) return stay(view, 'its pod is missing')
  if (!view.isWanted) return stay(view, 'waits for its turn to leave')
  if (!pod.isReady) {
    // It serves nobody: no client has to be led away first.
    if (isBroken(view, pod) && differs(pod, wanted)) {
      return goTo(view, 'rollReplace', { podUid: pod.uid, startedAt: view.now })
    }
    return stay(view, notReadyMessage(pod))
  }
  const need = restartNeed(pod, wanted, facts?.config ?? null)
  if (need.type === 'none') {
    const { isKnown, absent } = view.routes
    return stay(view, isKnown && absent.length > 0 ? `registers at ${namesOf(absent)}` : '')
  }
  if (need.type === 'unknown') return stay(view, 'its live keys are not known')
  if (view.rollHold !== null) return stay(view, `restart (${need.reason}) waits: ${view.rollHold}`)
  return goTo(view, 'rollWipe', { startedAt: view.now })
}

/** Leads clients away before the only member of a group restarts. */
function makingReady(view: GroupView): GroupOutcome {
  const { pod, wanted, facts, progress, now, cluster } = view
  if (view.mayLeave) return goTo(view, 'leaveWipe')
  if (pod === null || !pod.isReady) {
    return goTo(view, 'rollReplace', { podUid: pod?.uid ?? '' })
  }
  const need = restartNeed(pod, wanted, facts?.config ?? null)
  if (need.type === 'none') return goTo(view, 'rollRestore')
  if (!view.routes.isKnown) return stay(view, 'name servers do not answer')
  if (view.routes.open.length > 0) return act(view, setWritable(view, false, view.routes.open))
  if (progress.step === 'rollWipe') return goTo(view, 'rollSettle')
  const settledAt = progress.since + cluster.spec.broker.drain.settleSeconds * 1000
  if (now < settledAt) return stay(view, 'clients leave before the restart', settledAt)
  if (need.type === 'unknown') return stay(view, 'its live keys are not known')
  if (view.rollHold !== null) return stay(view, `restart waits: ${view.rollHold}`)
  return goTo(view, 'rollReplace', { podUid: pod.uid })
}

function replacing(view: GroupView): GroupOutcome {
  const { pod, wanted, facts, progress, now, cluster } = view
  const deadline = progress.since + cluster.spec.broker.rollout.podTimeoutSeconds * 1000
  const isLate = now >= deadline
  if (pod === null || pod.isTerminating) {
    return { ...stay(view, `${view.name} restarts`, deadline), isStalled: isLate }
  }
  if (pod.uid === progress.podUid) {
    const config = facts?.config ?? null
    const need = pod.isReady
      ? restartNeed(pod, wanted, config)
      : differs(pod, wanted)
        ? ({ type: 'needed', reason: 'not ready' } as const)
        : ({ type: 'none' } as const)
    // Something else went down since this pod was chosen: then it stays up for now.
    if (need.type === 'needed' && pod.isReady && view.rollHold !== null) {
      return stay(view, `restart waits: ${view.rollHold}`)
    }
    if (need.type === 'needed') {
      return act(view, { type: 'evict', pod: pod.name, uid: pod.uid, reason: need.reason })
    }
    if (need.type === 'unknown') return stay(view, 'its live keys are not known')
    if (pod.isReady) return goTo(view, 'rollRestore')
  }
  if (pod.isReady) return goTo(view, 'rollRestore')
  // The wish has changed since, and what was started does not come up: try the new wish.
  if (differs(pod, wanted) && (pod.problem !== null || isLate) && pod.uid !== progress.podUid) {
    return goTo(view, 'rollReplace', { podUid: pod.uid })
  }
  return { ...stay(view, notReadyMessage(pod), deadline), isStalled: isLate }
}

/** No new messages: routes first, then, when clients have had time to see it, the broker itself. */
function closing(view: GroupView): GroupOutcome {
  const { progress, now, cluster, routes } = view
  if (!routes.isKnown) return stay(view, 'name servers do not answer')
  if (routes.open.length > 0) return act(view, setWritable(view, false, routes.open))
  if (progress.step === 'leaveWipe') return goTo(view, 'leaveSettle')
  if (progress.step === 'leaveSettle') {
    const settledAt = progress.since + cluster.spec.broker.drain.settleSeconds * 1000
    if (now < settledAt) return stay(view, 'clients learn that it takes no writes', settledAt)
    return goTo(view, 'leaveClose')
  }
  const broker = runningBroker(view)
  if (typeof broker === 'string') return stay(view, broker)
  const permission = permissionNow(view)
  if (permission === null) return stay(view, `${view.name} does not tell its configuration`)
  if (permission !== READ_ONLY) return act(view, configure(broker, READ_ONLY))
  return goTo(view, 'drain')
}

function draining(view: GroupView): GroupOutcome {
  const { progress, now, cluster } = view
  const { settleSeconds, timeoutSeconds } = cluster.spec.broker.drain
  const broker = runningBroker(view)
  if (typeof broker === 'string') return stay(view, broker)
  const permission = permissionNow(view)
  if (permission !== null && permission !== READ_ONLY)
    return act(view, configure(broker, READ_ONLY))
  const drain: DrainFacts | null = view.facts?.drain ?? null
  if (drain === null || permission === null) return stay(view, 'what is left in it is not known')
  const { remaining, blockedBy } = drainProgress(drain, cluster.spec.broker.drain.unconsumed)
  if (remaining > 0) {
    if (progress.step === 'drained') return goTo(view, 'drain')
    const isLate = timeoutSeconds > 0 && now >= progress.startedAt + timeoutSeconds * 1000
    return { ...stay(view, blockedBy[0] ?? `${remaining} messages`), isStalled: isLate }
  }
  if (progress.step === 'drain') return goTo(view, 'drained')
  const stableAt = progress.since + settleSeconds * 1000
  if (now < stableAt) return stay(view, 'is empty, and watched a little longer', stableAt)
  if (!view.routes.isKnown) return stay(view, 'name servers do not answer')
  return goTo(view, 'remove')
}

function removing(view: GroupView): GroupOutcome {
  const { routes, name, statefulSetUid } = view
  if (!routes.isKnown) return stay(view, 'name servers do not answer')
  if (view.claimsHold !== null) return stay(view, view.claimsHold)
  const registered = [...routes.open, ...routes.wiped]
  if (registered.length > 0) {
    return act(view, { type: 'unregister', brokerName: name, nameServers: registered })
  }
  if (statefulSetUid === null) return stay(view, 'is gone')
  return act(view, { type: 'deleteStatefulSet', name, uid: statefulSetUid })
}

/** A drain that took too long goes on to removal, if the spec says so and a person has confirmed the loss for this very group. */
function forcedRemoval(view: GroupView): GroupOutcome | null {
  const { cluster, progress, now, name } = view
  const { timeoutSeconds, onTimeout } = cluster.spec.broker.drain
  const isLeaving = ['leaveWipe', 'leaveSettle', 'leaveClose', 'drain', 'drained'].includes(
    progress.step,
  )
  if (!isLeaving || view.isWanted || onTimeout !== 'Force' || timeoutSeconds === 0) return null
  if (now < progress.startedAt + timeoutSeconds * 1000) return null
  if (cluster.annotations[CONFIRM_DATA_LOSS_ANNOTATION] !== name) return null
  return goTo(view, 'remove')
}

/** The pod's endpoint, or why it cannot be asked. */
function runningBroker({ pod, name }: GroupView): PodEndpoint | string {
  if (pod === null) return `${name} has no pod yet`
  if (pod.isTerminating) return `${pod.name} is stopping`
  if (!pod.isReady || pod.endpoint === null) return notReadyMessage(pod)
  return pod.endpoint
}

function isBroken({ now, cluster }: GroupView, pod: PodFacts): boolean {
  const lateAt = pod.createdAt + cluster.spec.broker.rollout.podTimeoutSeconds * 1000
  return !pod.isTerminating && (pod.problem !== null || now >= lateAt)
}

function notReadyMessage(pod: PodFacts): string {
  if (pod.problem === null) return `${pod.name} is not ready`
  const { reason, message } = pod.problem
  return message === '' ? `${pod.name}: ${reason}` : `${pod.name}: ${reason}: ${message}`
}

function permissionNow({ facts }: GroupView): string | null {
  return facts?.config?.entries['brokerPermission']?.value ?? null
}

function configure(broker: PodEndpoint, brokerPermission: string): Act {
  return { type: 'configure', targets: [{ broker, entries: { brokerPermission } }] }
}

function setWritable(view: GroupView, writable: boolean, nameServers: readonly PodEndpoint[]): Act {
  return { type: 'setWritePermission', brokerName: view.name, writable, nameServers }
}

function namesOf(endpoints: readonly PodEndpoint[]): string {
  return endpoints.map(({ pod }) => pod).join(', ')
}

function stay(view: GroupView, message: string, wakeAt: number | null = null): GroupOutcome {
  return { progress: view.progress, act: null, message, wakeAt, isStalled: false }
}

function act(view: GroupView, next: Act): GroupOutcome {
  return { progress: view.progress, act: next, message: '', wakeAt: null, isStalled: false }
}

function goTo(
  view: GroupView,
  step: GroupStep,
  changes: { readonly podUid?: string; readonly startedAt?: number } = {},
): GroupOutcome {
  const startedAt = step === 'leaveWipe' ? view.now : view.progress.startedAt
  const progress = { step, since: view.now, startedAt, podUid: null, ...changes }
  return { progress, act: null, message: '', wakeAt: view.now, isStalled: false }
}
