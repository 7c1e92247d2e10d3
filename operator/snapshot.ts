/** What a pass over a cluster has seen, and where its groups stand. Unknown is null, never a guess. */
import type { ConfigFacts, DrainFacts, RaftFacts, StoreFacts } from '../common/admin-contract.ts'
import type { ClusterStatus, GroupPhase } from './cluster-types.ts'
import type { ConditionReason } from './reasons.ts'
import { isRecord } from './json.ts'
import type { BrokerRegistration, KubeObject, PodEndpoint } from './ports.ts'

export interface PodFacts {
  readonly name: string
  readonly uid: string
  readonly ordinal: number
  readonly isReady: boolean
  readonly isTerminating: boolean
  /** Milliseconds since 1970. */
  readonly createdAt: number
  /** By when it should have stopped, milliseconds since 1970; null while nobody asked it to. */
  readonly dueAt: number | null
  /** No node takes it: since when, and why. */
  readonly unscheduled: { readonly since: number; readonly message: string } | null
  readonly node: string | null
  /** Revision of the template that it was made from. */
  readonly revision: string | null
  /** Hash of each configuration key that it was made with; null when the pod does not say. */
  readonly configHashes: Readonly<Record<string, string>> | null
  /** Why a container does not run, when the kubelet says so. */
  readonly problem: { readonly reason: string; readonly message: string } | null
  /** Null without an address. */
  readonly endpoint: PodEndpoint | null
}

export interface BrokerFacts {
  readonly raft: RaftFacts | null
  readonly store: StoreFacts | null
  readonly config: ConfigFacts | null
  /** Only asked of groups that leave. */
  readonly drain: DrainFacts | null
}

/** Something that went wrong lately and is not tried again before `until`. */
export interface Failure {
  /** `actKey` of an act, or the key of an object. */
  readonly key: string
  readonly reason: ConditionReason
  readonly message: string
  /** How often in a row; the first ones are expected to pass. */
  readonly count: number
  readonly until: number
}

export interface Snapshot {
  /** Milliseconds since 1970. */
  readonly now: number
  /** Everything of this cluster that has the cluster as its owner, by `objectKey`. */
  readonly owned: ReadonlyMap<string, KubeObject>
  readonly nameServerPods: readonly PodFacts[]
  /** Group -> its pods by ordinal. */
  readonly brokerPods: ReadonlyMap<number, readonly PodFacts[]>
  readonly claims: readonly KubeObject[]
  /** Name server pod -> brokerName -> registration. */
  readonly registrations: ReadonlyMap<string, ReadonlyMap<string, BrokerRegistration> | null>
  /** Broker pod -> what it says. */
  readonly brokers: ReadonlyMap<string, BrokerFacts>
  /** Joining group -> whether it has every topic and consumer group of `from`. */
  readonly metadata: ReadonlyMap<
    number,
    { readonly from: string; readonly isComplete: boolean | null }
  >
  readonly failures: readonly Failure[]
  readonly formerStatus: ClusterStatus | null
}

/**
 * A group's place, kept as an annotation of its StatefulSet:
 * start | copy -> open -> serve; serve -> rollWipe -> rollSettle -> rollReplace -> rollRestore -> serve;
 * with several voters serve -> memberTransfer -> memberReplace -> serve for each pod;
 * serve -> leaveWipe -> leaveSettle -> leaveClose -> drain -> drained -> remove, and back to `open` from all but the last.
 */
export type GroupStep =
  /** A first group of its cluster: it opens without copying. */
  | 'start'
  | 'copy'
  | 'open'
  | 'serve'
  | 'rollWipe'
  | 'rollSettle'
  | 'rollReplace'
  | 'rollRestore'
  /** The leader hands over before it is replaced. */
  | 'memberTransfer'
  | 'memberReplace'
  | 'leaveWipe'
  | 'leaveSettle'
  | 'leaveClose'
  | 'drain'
  | 'drained'
  | 'remove'

export interface GroupProgress {
  readonly step: GroupStep
  /** When the step began, and when the group began to leave or to roll; milliseconds since 1970. */
  readonly since: number
  readonly startedAt: number
  /** The pod that is being replaced. */
  readonly podUid: string | null
  /** Its ordinal, in a group of several. */
  readonly member: number | null
  /** The members that are configured; it follows the spec when that is safe. */
  readonly size: number
}

const PHASE_OF: Readonly<Record<GroupStep, GroupPhase>> = {
  start: 'Joining',
  copy: 'Joining',
  open: 'Joining',
  serve: 'Serving',
  rollWipe: 'Rolling',
  rollSettle: 'Rolling',
  rollReplace: 'Rolling',
  rollRestore: 'Rolling',
  memberTransfer: 'Rolling',
  memberReplace: 'Rolling',
  leaveWipe: 'WriteDisabled',
  leaveSettle: 'WriteDisabled',
  leaveClose: 'WriteDisabled',
  drain: 'Draining',
  drained: 'Drained',
  remove: 'Removing',
}

export function phaseOfStep(step: GroupStep): GroupPhase {
  return PHASE_OF[step]
}

/** The step to go on from when only the phase is known: the first of it, or one before, for each step checks what it needs. */
export function stepOfPhase(phase: GroupPhase): GroupStep {
  switch (phase) {
    case 'Joining':
      return 'copy'
    case 'Rolling':
      return 'rollRestore'
    case 'WriteDisabled':
      return 'leaveWipe'
    case 'Draining':
    case 'Drained':
    case 'Removing':
      return 'drain'
    case 'Pending':
    case 'Serving':
    case 'Expanding':
    case 'Unhealthy':
    case 'Lost':
      return 'serve'
  }
}

export function formatProgress(progress: GroupProgress): string {
  return JSON.stringify(progress)
}

/** Null for what we did not write. */
export function parseProgress(text: string | undefined): GroupProgress | null {
  if (text === undefined) return null
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  if (!isRecord(value)) return null
  const { step, since, startedAt, podUid, member, size } = value
  if (!isStep(step) || typeof since !== 'number' || typeof startedAt !== 'number') return null
  return {
    step,
    since,
    startedAt,
    podUid: typeof podUid === 'string' ? podUid : null,
    member: typeof member === 'number' ? member : null,
    // Groups had one member before they could have more.
    size: typeof size === 'number' ? size : 1,
  }
}

export function objectKey(object: {
  readonly kind: string
  readonly metadata: { readonly name: string }
}): string {
  return `${object.kind}/${object.metadata.name}`
}

function isStep(value: unknown): value is GroupStep {
  return typeof value === 'string' && Object.hasOwn(PHASE_OF, value)
}
