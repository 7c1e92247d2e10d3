/** What is seen of one broker group, what follows from it, and the words to say it with. Pure. */
import type { Act } from './act.ts'
import type { Claim } from './claims.ts'
import type { Cluster } from './cluster-types.ts'
import type { GroupMembers } from './members.ts'
import type { PodEndpoint } from './ports.ts'
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
  /** Whether one of its pods may be taken away for a restart now; if not, why. */
  readonly rollHold: string | null
  readonly members: GroupMembers
  /** The pod that answers for the group: its leader. */
  readonly pod: PodFacts | null
  /** What that pod says. */
  readonly facts: BrokerFacts | null
  /** Pod -> what it says. */
  readonly brokers: ReadonlyMap<string, BrokerFacts>
  readonly claims: readonly Claim[]
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

export function stay(view: GroupView, message: string, wakeAt: number | null = null): GroupOutcome {
  return { progress: view.progress, act: null, message, wakeAt, isStalled: false }
}

export function act(view: GroupView, next: Act): GroupOutcome {
  return { progress: view.progress, act: next, message: '', wakeAt: null, isStalled: false }
}

export function goTo(
  view: GroupView,
  step: GroupStep,
  changes: {
    readonly podUid?: string
    readonly startedAt?: number
    readonly member?: number
    readonly size?: number
  } = {},
): GroupOutcome {
  const { now, progress: former } = view
  const startedAt = step === 'leaveWipe' ? now : former.startedAt
  const { size } = former
  const progress = { step, since: now, startedAt, podUid: null, member: null, size, ...changes }
  const isResized = progress.size !== size
  // It may have more to do than what is done now: only the next look can say that it is as the spec wants.
  const message =
    step !== 'serve' ? '' : isResized ? `gets ${progress.size} members` : 'is looked at once more'
  return { progress, act: null, message, wakeAt: now, isStalled: false }
}

/** A pod that does not get ready by itself, as far as one can tell. */
export function isBroken({ now, cluster }: GroupView, pod: PodFacts): boolean {
  if (pod.isReady || pod.isTerminating) return false
  if (pod.problem !== null || pod.unscheduled !== null) return true
  return now >= pod.createdAt + cluster.spec.broker.rollout.podTimeoutSeconds * 1000
}

export function notReadyMessage(pod: PodFacts): string {
  if (pod.isTerminating) return `${pod.name} is stopping`
  if (pod.problem === null) {
    if (pod.unscheduled !== null) return `${pod.name} has no node: ${pod.unscheduled.message}`
    return `${pod.name} is not ready`
  }
  const { reason, message } = pod.problem
  return message === '' ? `${pod.name}: ${reason}` : `${pod.name}: ${reason}: ${message}`
}

export function namesOf(endpoints: readonly PodEndpoint[]): string {
  return endpoints.map(({ pod }) => pod).join(', ')
}
