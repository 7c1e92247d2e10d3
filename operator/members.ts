/** What the members of one broker group say, taken together. Pure. */
import type { RaftMember, RaftRole } from '../common/admin-contract.ts'
import type { PodFacts, Snapshot } from './snapshot.ts'

/** A member this little behind catches up in a moment: it counts as in sync. */
const IN_SYNC_BYTES = 8 * 1024 * 1024
/** One that has not answered for longer may be gone. */
const IN_SYNC_TICKS = 50

export interface GroupMembers {
  /** The members that are configured: pods with a lower ordinal belong to the group. */
  readonly size: number
  /** All there are, by ordinal. */
  readonly pods: readonly PodFacts[]
  /** The member that takes messages, by its own word in the newest term; null: nobody, or not known. */
  readonly leader: PodFacts | null
  readonly term: number | null
  /** As the leader has it; empty without one. */
  readonly configuration: readonly RaftMember[]
  /** Ids of the members that count. */
  readonly voters: readonly number[]
  /** Voters that have the log and run, the leader among them. */
  readonly inSync: readonly number[]
  /** Member -> how far it is behind the leader's log; absent: unknown. */
  readonly lags: ReadonlyMap<number, number>
  readonly roles: ReadonlyMap<number, RaftRole>
  /** Somebody belongs to the group: nobody founds another one with other members. */
  readonly isFounded: boolean
}

export function membersOf(
  pods: readonly PodFacts[],
  brokers: Snapshot['brokers'],
  size: number,
): GroupMembers {
  const said = pods.flatMap((pod) => {
    const raft = brokers.get(pod.name)?.raft ?? null
    return raft === null ? [] : [{ pod, raft }]
  })
  const leading = said
    .filter(({ pod, raft }) => raft.role === 'leader' && raft.isReady && !pod.isTerminating)
    .toSorted((left, right) => right.raft.term - left.raft.term)[0]
  // Who leads in a term that others have left behind does not know it yet.
  const isCurrent =
    leading !== undefined && said.every(({ raft }) => raft.term <= leading.raft.term)
  const leader = isCurrent ? leading : null
  const configuration = leader?.raft.members ?? []
  const voters = configuration.filter(({ role }) => role === 'voter').map(({ id }) => id)
  const readyIds = pods.filter(({ isReady }) => isReady).map(({ ordinal }) => ordinal)
  const answering = (leader?.raft.peers ?? []).filter(
    ({ ticksSinceAnswer }) => ticksSinceAnswer !== null && ticksSinceAnswer <= IN_SYNC_TICKS,
  )
  const current = answering
    .filter(({ lagBytes }) => lagBytes !== null && lagBytes <= IN_SYNC_BYTES)
    .map(({ id }) => id)
  const inSync = voters.filter((id) => {
    return readyIds.includes(id) && (id === leader?.pod.ordinal || current.includes(id))
  })
  return {
    size,
    pods,
    leader: leader?.pod ?? null,
    term: leader?.raft.term ?? null,
    configuration,
    voters,
    inSync,
    lags: new Map([
      ...(leader?.raft.peers ?? []).flatMap(({ id, lagBytes }) =>
        lagBytes === null ? [] : [[id, lagBytes] as const],
      ),
      ...(leader === null ? [] : [[leader.pod.ordinal, 0] as const]),
    ]),
    roles: new Map(said.map(({ pod, raft }) => [pod.ordinal, raft.role])),
    isFounded: said.some(({ raft }) => raft.role !== 'joining' && raft.members.length > 0),
  }
}

/** The pod that answers for the group: its leader; of a group of one its pod, whatever that says. */
export function servingPod({ size, pods, leader }: GroupMembers): PodFacts | null {
  if (size > 1) return leader
  return leader ?? pods.find(({ ordinal }) => ordinal === 0) ?? null
}

export function majorityOf(count: number): number {
  return Math.floor(count / 2) + 1
}

/** The member to hand over to: among those in sync the one with the least lag. */
export function successorOf(
  { inSync, leader, lags }: GroupMembers,
  isEligible: (id: number) => boolean,
): number | null {
  const lag = (id: number): number => lags.get(id) ?? Number.MAX_SAFE_INTEGER
  const candidates = inSync
    .filter((id) => id !== leader?.ordinal && isEligible(id))
    .toSorted((left, right) => lag(left) - lag(right) || left - right)
  return candidates[0] ?? null
}
