/** Hand-over of leadership, learners, and changes of the configuration (Raft thesis §3.10, §4). */
import assert from 'node:assert/strict'
import type { Configuration, Member, MemberId } from './messages.ts'
import type { RaftNode } from './node.ts'
import { Progress } from './progress.ts'
import { changeProblem, isQuorum, votersOf } from './quorum.ts'

/** Why the leader cannot do it now; null when it has begun. */
export type Refusal = string | null

/** Hands leadership to a voter once that has the whole log; meanwhile no records are taken. */
export function transferLeadership(node: RaftNode<unknown>, to: MemberId): Refusal {
  if (node.role !== 'leader') return 'this member does not lead'
  if (to === node.options.id) return 'it leads already'
  if (!node.voters.includes(to)) return 'only a voter may lead'
  if (node.transferTarget !== null) return 'another transfer is under way'
  const progress = node.progress.get(to)
  if (progress === undefined || progress.bootId === null) return 'it does not answer'
  node.transferTarget = to
  node.transferTicks = 0
  onProgressOf(node, to, progress)
  return null
}

/** The voter that may lead soonest, one whose disk takes records if there is any; null when none answers. */
export function bestSuccessor(node: RaftNode<unknown>): MemberId | null {
  const able = ableSuccessors(node)
  return (able.find(([, { hasRoom }]) => hasRoom) ?? able[0])?.[0] ?? null
}

/** Who leads better than this member, whose disk is full: one with room, when enough others have room to commit; else null. */
export function successorWithRoom(node: RaftNode<unknown>): MemberId | null {
  const roomy = ableSuccessors(node).filter(([, { hasRoom }]) => hasRoom)
  const ids = roomy.map(([id]) => id)
  return isQuorum(node.voters, (id) => ids.includes(id)) ? (ids[0] ?? null) : null
}

/** The voters that answer, the furthest first. */
function ableSuccessors(node: RaftNode<unknown>): readonly (readonly [MemberId, Progress])[] {
  const { electionTicks } = node.options
  return [...node.progress]
    .filter(
      ([id, { ticksSinceAnswer, bootId }]) =>
        node.voters.includes(id) && bootId !== null && ticksSinceAnswer <= electionTicks,
    )
    .toSorted(([, left], [, right]) => right.matchOffset - left.matchOffset)
}

/** Asks for other members; in force once it is in the log, certain once that is committed. */
export function proposeMembers(node: RaftNode<unknown>, members: readonly Member[]): Refusal {
  if (node.role !== 'leader') return 'this member does not lead'
  // Before a record of its own term is committed, another leader's change may still be (Ongaro 2015).
  if (!node.isReady) return 'the leader has not committed a record of its term yet'
  if (hasPendingChange(node)) return 'another change is not committed yet'
  if (node.transferTarget !== null) return 'leadership is being handed over'
  const problem = changeProblem(node.configuration, { offset: 0, members })
  if (problem !== null) return problem
  node.emit({ type: 'appendConfiguration', members })
  return null
}

export function hasPendingChange(node: RaftNode<unknown>): boolean {
  const { offset } = node.configuration
  return offset > 0 && offset >= node.commitOffset
}

/** A record with a configuration has been appended, here as leader or out of a leader's records. */
export function onConfigurationAppended(
  node: RaftNode<unknown>,
  configuration: Configuration,
): void {
  // A member whose machine has lost the end of its log gets records again that lie before a configuration it knows to be committed.
  if (configuration.offset <= node.configuration.offset) {
    assert(node.role !== 'leader')
    return
  }
  node.configurations.push(configuration)
  if (node.role !== 'leader') return
  for (const id of [...node.progress.keys()]) if (!node.peers.includes(id)) node.progress.delete(id)
  for (const member of configuration.members) {
    if (member.id === node.options.id) continue
    const before = node.configurations
      .at(-2)
      ?.members.find(
        ({ id, incarnation }) => id === member.id && incarnation === member.incarnation,
      )
    if (before === undefined) node.progress.set(member.id, new Progress(configuration.offset))
  }
}

/** Once committed, older configurations are history, and a leader that is no voter any more steps down (thesis §4.2.2). */
export function onConfigurationCommitted(node: RaftNode<unknown>): void {
  const { configuration } = node
  if (configuration.offset >= node.commitOffset) return
  node.configurations = [configuration]
  if (node.role === 'leader' && !node.isVoter) node.becomeFollower(node.term, null)
}

/** A member has acknowledged more: it may be the one that is to lead, or a learner that has caught up. */
export function onProgressOf(node: RaftNode<unknown>, id: MemberId, progress: Progress): void {
  // What is still to be written goes to the others too, and they refuse their votes to who lacks it.
  const isWhole = progress.matchOffset === node.endOffset && node.endOffset === node.log.endOffset
  if (node.transferTarget === id && isWhole) {
    node.send(id, { type: 'timeoutNow', term: node.term })
  }
  const member = node.configuration.members.find((candidate) => candidate.id === id)
  if (member?.role !== 'learner' || !node.isReady || hasPendingChange(node)) return
  const lag = node.endOffset - progress.matchOffset
  if (progress.state !== 'replicate' || lag > node.options.maxBatchBytes) return
  if (progress.matchOffset < node.termStartOffset || node.transferTarget !== null) return
  const members = node.configuration.members.map((other) =>
    other.id === id ? ({ ...other, role: 'voter' } as const) : other,
  )
  node.emit({ type: 'appendConfiguration', members })
}

/** Transfers are given up after an election timeout; the preferred leader gets its turn when it can lead at once. */
export function tickMembership(node: RaftNode<unknown>): void {
  const { electionTicks, preferredLeader, id } = node.options
  if (node.transferTarget !== null) {
    node.transferTicks++
    if (node.transferTicks >= electionTicks) node.transferTarget = null
    return
  }
  if (preferredLeader === null || preferredLeader === id || !node.isReady) return
  if (node.ticks % (electionTicks * 10) !== 0) return
  const progress = node.progress.get(preferredLeader)
  if (progress === undefined || progress.ticksSinceAnswer > 2) return
  if (node.endOffset - progress.matchOffset > node.options.maxBatchBytes) return
  if (votersOf(node.configuration).includes(preferredLeader))
    transferLeadership(node, preferredLeader)
}
