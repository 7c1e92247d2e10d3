/** Volumes of a broker group: letting them grow, and giving a member an empty one when its own cannot be had any more. Pure. */
import type { Act } from './act.ts'
import type { Claim } from './claims.ts'
import type { GroupView } from './group-outcome.ts'
import { textAt } from './json.ts'
import { majorityOf } from './members.ts'
import { claimName } from './names.ts'
import type { KubeObject } from './ports.ts'
import { parseQuantity } from './quantity.ts'
import type { PodFacts } from './snapshot.ts'

const GIB = 1024 ** 3

/**
 * Claims grow first. Only when they all have, the StatefulSet is made anew with the new template: a crash leaves either a matching set or none,
 * which is then made around its pods.
 */
export function expandingAct(
  view: GroupView,
  statefulSet: KubeObject | null,
): Extract<Act, { type: 'expandClaims' | 'renewStatefulSet' }> | null {
  const { cluster, claims, name, members, progress } = view
  const { size } = cluster.spec.broker.storage
  const bytes = bytesOf(size)
  const small = ownClaims(view).filter(({ requestedBytes }) => requestedBytes < bytes)
  if (small.length > 0) {
    return { type: 'expandClaims', group: name, claims: small.map((claim) => claim.name), size }
  }
  const template = statefulSet === null ? null : templateSizeOf(statefulSet)
  const uid = statefulSet?.metadata.uid
  if (template === null || uid === undefined || bytesOf(template) >= bytes) return null
  const isGrown = ownClaims(view).every(({ capacityBytes }) => capacityBytes >= bytes)
  const isWhole = members.pods.length === members.size && members.pods.every(isRunning)
  if (!isGrown || claims.length < members.size || !isWhole || progress.step !== 'serve') return null
  return { type: 'renewStatefulSet', name, uid }
}

/** The size in the claim template of a StatefulSet. */
export function templateSizeOf(statefulSet: KubeObject): string | null {
  return textAt(
    statefulSet.spec,
    'volumeClaimTemplates',
    0,
    'spec',
    'resources',
    'requests',
    'storage',
  )
}

/** What a person is told of growing volumes; empty when none grows. */
export function expandingMessage(view: GroupView): string {
  const { size } = view.cluster.spec.broker.storage
  const small = ownClaims(view).filter(({ capacityBytes }) => capacityBytes < bytesOf(size))
  // A claim that is not bound yet does not grow, it comes.
  const growing = small.filter(({ capacityBytes }) => capacityBytes > 0)
  if (growing.length === 0) return ''
  const names = growing.map(({ name, capacityBytes }) => `${name} (${gibibytes(capacityBytes)})`)
  return `${names.slice(0, 5).join(', ')} grow to ${size}`
}

/**
 * A member whose volume is gone, or bound to a node that is, gets an empty one: if the spec allows it, after the time that it names, when this is the only
 * member that is away, and all others have the log.
 */
export function recoveringAct(view: GroupView): Extract<Act, { type: 'deleteClaim' }> | null {
  const { members, cluster, now, progress, name } = view
  const { enabled, nodeGoneAfterSeconds } = cluster.spec.broker.pvcRecovery
  const { leader, voters, inSync, pods, size } = members
  if (!enabled || leader === null || size < 3) return null
  const away = pods.filter((pod) => !pod.isReady)
  const [pod] = away
  if (pod === undefined || away.length > 1 || pods.length < size || pod.isTerminating) return null
  // Besides it, nothing is done to the group; or it is the very pod that does not come back from its restart.
  const isReplaced = progress.step === 'memberReplace' && progress.member === pod.ordinal
  if (progress.step !== 'serve' && !isReplaced) return null
  const waits = waitingForVolume(view, pod)
  if (waits === null || now < waits.since + nodeGoneAfterSeconds * 1000) return null
  const others = voters.filter((id) => id !== pod.ordinal)
  if (others.some((id) => !inSync.includes(id)) || others.length < majorityOf(size)) return null
  const claim = view.claims.find((one) => one.name === claimName(name, pod.ordinal))
  if (claim === undefined) return null
  const { uid } = claim
  return {
    type: 'deleteClaim',
    claim: claim.name,
    uid,
    pod: { name: pod.name, uid: pod.uid },
  }
}

/** A pod that has no node because of its volume, or whose volume is lost; null for others. */
export function waitingForVolume(
  { claims, name }: Pick<GroupView, 'claims' | 'name'>,
  pod: PodFacts,
): { readonly since: number; readonly message: string } | null {
  if (pod.unscheduled === null) return null
  const claim = claims.find((one) => one.name === claimName(name, pod.ordinal))
  if (claim === undefined) return null
  const { message } = pod.unscheduled
  // The words of the scheduler's volume checks; want of processors or memory is another matter.
  const isForVolume = /volume node affinity|persistentvolume|unbound|volume\(s\)/i.test(message)
  return claim.isLost || isForVolume ? pod.unscheduled : null
}

function ownClaims({ claims, members }: GroupView): readonly Claim[] {
  return claims.filter(({ ordinal }) => ordinal < members.size)
}

function isRunning(pod: PodFacts): boolean {
  return pod.isReady && !pod.isTerminating
}

function bytesOf(quantity: string): number {
  return parseQuantity(quantity) ?? 0
}

function gibibytes(bytes: number): string {
  return `${Math.round((bytes / GIB) * 10) / 10}Gi`
}
