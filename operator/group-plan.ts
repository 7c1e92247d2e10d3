/**
 * One broker group's way: joining, serving, restarting its pod, leaving. Each pass takes at most one transition, which is durable (an annotation)
 * before anything is done that follows from it; every step checks what it needs anew, so it does not matter where a pass ended. Pure.
 */
import type { DrainFacts } from '../common/admin-contract.ts'
import type { Act } from './act.ts'
import { drainProgress } from './drain.ts'
import { act, goTo, isBroken, namesOf, notReadyMessage, stay } from './group-outcome.ts'
import type { GroupOutcome, GroupView } from './group-outcome.ts'
import {
  handingOver,
  isReplicated,
  leaderless,
  memberMessage,
  needOf,
  replacingMember,
  resizing,
  restarting,
} from './member-plan.ts'
import { CONFIRM_DATA_LOSS_ANNOTATION } from './names.ts'
import type { PodEndpoint } from './ports.ts'
import { READ_ONLY, READ_WRITE } from './resources/broker.ts'
import { differs } from './restart-need.ts'
import type { GroupStep } from './snapshot.ts'

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
    case 'memberTransfer':
    case 'memberReplace':
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
      return isReplicated(view) ? goTo(view, 'rollRestore') : makingReady(view)
    case 'rollReplace':
      return isReplicated(view) ? goTo(view, 'rollRestore') : replacing(view)
    case 'memberTransfer':
      return handingOver(view)
    case 'memberReplace':
      return replacingMember(view)
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
  if (permission !== READ_WRITE) return act(view, configure(view, broker, READ_WRITE))
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
  if (view.mayLeave) return goTo(view, 'leaveWipe')
  if (!view.isWanted) return stay(view, 'waits for its turn to leave')
  const resized = resizing(view)
  if (resized !== null) return resized
  const restarted = isReplicated(view) ? restarting(view) : restartingAlone(view)
  if (restarted !== null) return restarted
  const message = view.members.size > 1 ? memberMessage(view) : ''
  if (message !== '') return stay(view, message)
  const { isKnown, absent } = view.routes
  return stay(view, isKnown && absent.length > 0 ? `registers at ${namesOf(absent)}` : '')
}

/** The same for the only member that counts: clients are led away first. Null: it need not restart. */
function restartingAlone(view: GroupView): GroupOutcome | null {
  const { pod, wanted, members } = view
  if (pod === null) return stay(view, 'its pod is missing')
  if (!pod.isReady) {
    // It serves nobody: no client has to be led away.
    if (isBroken(view, pod) && differs(pod, wanted)) {
      return goTo(view, 'rollReplace', { podUid: pod.uid, startedAt: view.now })
    }
    return stay(view, notReadyMessage(pod))
  }
  const need = needOf(view, pod)
  if (need.type === 'none') {
    // Members that are to join may be of a wish that has changed since.
    const others = members.pods.filter(
      ({ ordinal, uid }) => ordinal < members.size && uid !== pod.uid,
    )
    return others.some((other) => isBroken(view, other) && differs(other, wanted))
      ? restarting(view)
      : null
  }
  if (need.type === 'unknown') return stay(view, 'its live keys are not known')
  if (view.rollHold !== null) return stay(view, `restart (${need.reason}) waits: ${view.rollHold}`)
  return goTo(view, 'rollWipe', { startedAt: view.now })
}

/** Leads clients away before the only member of a group restarts. */
function makingReady(view: GroupView): GroupOutcome {
  const { pod, progress, now, cluster } = view
  if (view.mayLeave) return goTo(view, 'leaveWipe')
  if (pod === null || !pod.isReady) {
    return goTo(view, 'rollReplace', { podUid: pod?.uid ?? '' })
  }
  const need = needOf(view, pod)
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
  const { pod, wanted, progress, now, cluster } = view
  const deadline = progress.since + cluster.spec.broker.rollout.podTimeoutSeconds * 1000
  const isLate = now >= deadline
  if (pod === null || pod.isTerminating) {
    return { ...stay(view, `${view.name} restarts`, deadline), isStalled: isLate }
  }
  if (pod.uid === progress.podUid) {
    const need = pod.isReady
      ? needOf(view, pod)
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
  if (permission !== READ_ONLY) return act(view, configure(view, broker, READ_ONLY))
  return goTo(view, 'drain')
}

function draining(view: GroupView): GroupOutcome {
  const { progress, now, cluster } = view
  const { settleSeconds, timeoutSeconds } = cluster.spec.broker.drain
  const broker = runningBroker(view)
  if (typeof broker === 'string') return stay(view, broker)
  const permission = permissionNow(view)
  if (permission !== null && permission !== READ_ONLY)
    return act(view, configure(view, broker, READ_ONLY))
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
function runningBroker(view: GroupView): PodEndpoint | string {
  const { pod, name, members } = view
  if (pod === null) return members.size > 1 ? leaderless(view) : `${name} has no pod yet`
  if (pod.isTerminating) return `${pod.name} is stopping`
  if (!pod.isReady || pod.endpoint === null) return notReadyMessage(pod)
  return pod.endpoint
}

function permissionNow({ facts }: GroupView): string | null {
  return facts?.config?.entries['brokerPermission']?.value ?? null
}

/** For all members: whoever leads next shall be as open or closed as the present leader. */
function configure(view: GroupView, broker: PodEndpoint, brokerPermission: string): Act {
  const others = view.members.pods.flatMap(({ isReady, name, endpoint }) => {
    const told = view.brokers.get(name)?.config?.entries['brokerPermission']?.value
    const isOther = isReady && name !== broker.pod && told !== undefined
    return isOther && told !== brokerPermission && endpoint !== null ? [endpoint] : []
  })
  const targets = [broker, ...others].map((target) => {
    return { broker: target, entries: { brokerPermission } }
  })
  return { type: 'configure', targets }
}

function setWritable(view: GroupView, writable: boolean, nameServers: readonly PodEndpoint[]): Act {
  return { type: 'setWritePermission', brokerName: view.name, writable, nameServers }
}
