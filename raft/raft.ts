/**
 * Raft for the CommitLog of one broker group, as a pure state machine: events in, effects out; no clock, socket, disk or randomness
 * of its own. The log index is the physical offset, terms are told by epochs, and replication ships raw byte ranges of the log.
 *
 * Follows "In Search of an Understandable Consensus Algorithm" (Ongaro, Ousterhout 2014) and Ongaro's thesis; comments name the
 * sections. The driver performs the effects in order, and hands in no event while it performs some.
 */
import assert from 'node:assert/strict'
import { campaign, onVoteRequest, onVoteResponse, tickElection } from './election.ts'
import {
  bestSuccessor,
  onConfigurationAppended,
  onConfigurationCommitted,
  proposeMembers,
  successorWithRoom,
  tickMembership,
  transferLeadership,
} from './membership.ts'
import type { Refusal } from './membership.ts'
import type { Configuration, Epoch, Member, MemberId, RaftMessage } from './messages.ts'
import { RaftNode } from './node.ts'
import type { Effect, HardState, RaftOptions, Restored, Role } from './node.ts'
import {
  askRead,
  onAppendRequest,
  onAppendResponse,
  onPersisted,
  replicate,
  sendAppends,
  tickLeader,
} from './replication.ts'

export interface PeerStatus {
  readonly id: MemberId
  readonly matchOffset: number
  readonly state: string
  readonly ticksSinceAnswer: number
}

/** When the first member of a group that starts asks for votes, so that the others have seen the group too, and how long after it the next. */
const FIRST_TURN_TICKS = 3
const TURN_TICKS = 6

export class Raft<Records> {
  readonly #node: RaftNode<Records>

  constructor(options: RaftOptions, restored: Restored) {
    this.#node = new RaftNode(options, restored)
  }

  get term(): number {
    return this.#node.term
  }

  get hardState(): HardState {
    return this.#node.hardState
  }

  get role(): Role {
    return this.#node.role
  }

  get leader(): MemberId | null {
    return this.#node.leader
  }

  get commitOffset(): number {
    return this.#node.commitOffset
  }

  get endOffset(): number {
    return this.#node.endOffset
  }

  get epochs(): readonly Epoch[] {
    return this.#node.epochs.list
  }

  get configuration(): Configuration {
    return this.#node.configuration
  }

  /** Those that may still be in force, oldest first. */
  get configurations(): readonly Configuration[] {
    return this.#node.configurations
  }

  get peers(): readonly PeerStatus[] {
    return [...this.#node.progress].map(([id, { matchOffset, state, ticksSinceAnswer }]) => ({
      id,
      matchOffset,
      state,
      ticksSinceAnswer,
    }))
  }

  /** How far the leader said that the log is committed; it may be further than the own log reaches. */
  get heardCommitOffset(): number {
    return this.#node.heardCommitOffset
  }

  /** True when the own log is known to be the leader's in part: it has sent what follows the records here. */
  get hasHeardLeader(): boolean {
    return this.#node.heardCommitOffset > 0
  }

  /** True while clients' records are taken: a ready leader that is not handing over, with room in the uncommitted tail. */
  get takesRecords(): boolean {
    const { role, isReady, transferTarget, endOffset, commitOffset, options } = this.#node
    if (role !== 'leader' || !isReady || transferTarget !== null) return false
    return endOffset - commitOffset < options.maxUncommittedBytes
  }

  /** To be performed in order, before the next event. */
  takeEffects(): readonly Effect<Records>[] {
    return this.#node.takeEffects()
  }

  /** One tick of the monotonic clock has passed. */
  tick(): void {
    const node = this.#node
    node.ticks++
    if (node.role === 'leader') {
      tickLeader(node)
      if (node.role === 'leader') tickMembership(node)
    } else {
      tickElection(node)
    }
  }

  receive(from: MemberId, message: RaftMessage<Records>): void {
    const node = this.#node
    switch (message.type) {
      case 'voteRequest':
        onVoteRequest(node, from, message)
        break
      case 'voteResponse':
        onVoteResponse(node, from, message)
        break
      case 'appendRequest':
        onAppendRequest(node, from, message)
        break
      case 'appendResponse':
        onAppendResponse(node, from, message)
        break
      case 'timeoutNow':
        if (message.term === node.term && node.role === 'follower' && node.isVoter) {
          campaign(node, { isTransfer: true })
        }
        break
    }
    onConfigurationCommitted(node)
  }

  /** The leader's log has grown to `endOffset` (in memory at least). */
  localAppended(endOffset: number): void {
    const node = this.#node
    assert(node.role === 'leader' && endOffset >= node.endOffset)
    node.endOffset = endOffset
    replicate(node)
  }

  configurationAppended(configuration: Configuration): void {
    onConfigurationAppended(this.#node, configuration)
  }

  /** The own log is persistent up to `offset`, as the flush mode asks; never more than is in it now. */
  persisted(offset: number): void {
    onPersisted(this.#node, offset)
    onConfigurationCommitted(this.#node)
  }

  /** The records that were to be appended from `offset` on found no room: the log ends there, as before. */
  appendRefused(offset: number): void {
    const node = this.#node
    assert(node.role !== 'leader' && offset <= node.endOffset)
    node.epochs.truncate(offset)
    node.endOffset = offset
    node.persistedOffset = Math.min(node.persistedOffset, offset)
    node.verifiedOffset = Math.min(node.verifiedOffset, offset)
    // Known of the leader's log; of the own one it is learned again.
    node.commitOffset = Math.min(node.commitOffset, offset)
  }

  /** The connection to a member broke. If it led, the election need not wait for the whole timeout. */
  unreachable(id: MemberId): void {
    const node = this.#node
    const progress = node.progress.get(id)
    if (progress?.state === 'replicate') {
      progress.probe(Math.max(progress.matchOffset, node.log.startOffset))
    }
    if (node.leader !== id || node.role === 'leader') return
    node.leader = null
    node.ticksSinceContact = 0
    // Spread, so that the others do not ask all at once and split the vote.
    node.electionDeadline =
      1 + node.options.random.integer(Math.ceil(node.options.electionTicks / 4))
  }

  /**
   * All voters are connected and nobody leads, as when a group starts: no member waits for its whole timeout then. They ask in turn, the
   * preferred leader first, so that the vote is not split; who does hear a leader refuses (pre-vote).
   */
  startTogether(): void {
    const node = this.#node
    const { id, preferredLeader } = node.options
    if (node.role !== 'follower' || node.leader !== null || !node.isVoter) return
    const first = node.voters.filter((voter) => voter === preferredLeader)
    const order = [...first, ...node.voters.filter((voter) => voter !== preferredLeader)]
    const deadline = node.ticksSinceContact + FIRST_TURN_TICKS + order.indexOf(id) * TURN_TICKS
    node.electionDeadline = Math.min(node.electionDeadline, deadline)
  }

  /** The disk does not take writes in time, or a record that this leader needs: another member shall lead. */
  diskStalled(): void {
    const node = this.#node
    if (node.role !== 'leader') return
    // What was to be appended at the end, and was not.
    node.configurations = node.configurations.filter(
      ({ offset }, index) => index === 0 || offset < node.endOffset,
    )
    const successor = bestSuccessor(node)
    if (successor !== null) node.send(successor, { type: 'timeoutNow', term: node.term })
    node.becomeFollower(node.term, null)
  }

  /** Who may lead in this leader's place and has a disk that takes records; null when that would not help. */
  get successorWithRoom(): MemberId | null {
    return successorWithRoom(this.#node)
  }

  transferLeadership(to: MemberId | null): Refusal {
    const successor = to ?? bestSuccessor(this.#node)
    return successor === null ? 'no voter answers' : transferLeadership(this.#node, successor)
  }

  proposeMembers(members: readonly Member[]): Refusal {
    return proposeMembers(this.#node, members)
  }

  /** The context that `readReady` will name, or null when this member cannot confirm reads now. */
  askRead(): number | null {
    return askRead(this.#node)
  }

  /** A member now has this log's start: what follows is sent. */
  installed(id: MemberId, startOffset: number): void {
    const progress = this.#node.progress.get(id)
    if (progress?.state !== 'install') return
    progress.probe(Math.max(startOffset, this.#node.log.startOffset))
    sendAppends(this.#node, id)
  }

  installFailed(id: MemberId): void {
    const progress = this.#node.progress.get(id)
    if (progress?.state === 'install') progress.probe(progress.nextOffset)
  }

  /** This member has been given a log that starts at `startOffset`, where `term` ended; everything below is committed. */
  restarted(startOffset: number, epochs: readonly Epoch[], configuration: Configuration): void {
    const node = this.#node
    assert(node.role !== 'leader' && startOffset >= node.commitOffset)
    node.epochs.truncate(0)
    for (const epoch of epochs) if (epoch.startOffset < startOffset) node.epochs.add(epoch)
    node.configurations = [configuration]
    node.endOffset = startOffset
    node.persistedOffset = startOffset
    node.verifiedOffset = startOffset
    node.commitOffset = startOffset
  }
}
