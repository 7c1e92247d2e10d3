/** Elections: pre-vote, vote, check-quorum (Raft §5.2, §5.4.1; thesis §6.2, §9.6). */
import assert from 'node:assert/strict'
import type { MemberId, VoteRequest, VoteResponse } from './messages.ts'
import type { RaftNode } from './node.ts'
import { isQuorum } from './quorum.ts'
import { startLeading } from './replication.ts'

/** Time has passed for a member that does not lead. */
export function tickElection(node: RaftNode<unknown>): void {
  node.ticksSinceContact++
  if (node.ticksSinceContact < node.electionDeadline) return
  if (node.isVoter) campaign(node, { isTransfer: false })
  else if (node.leader === null) node.resetElectionDeadline()
  else node.becomeFollower(node.term, null)
}

/** Asks for votes; first whether there would be enough of them, unless the leader itself wants the change. */
export function campaign(node: RaftNode<unknown>, how: { readonly isTransfer: boolean }): void {
  assert(node.isVoter && node.role !== 'leader')
  node.resetElectionDeadline()
  // Without a leader it must not believe in one when others ask (thesis §9.6).
  node.ticksSinceContact = 0
  node.leader = null
  node.votes.clear()
  if (how.isTransfer) startElection(node, true)
  else startPreVote(node)
}

function startPreVote(node: RaftNode<unknown>): void {
  node.role = 'preCandidate'
  node.emit({ type: 'roleChanged', role: 'preCandidate', leader: null, term: node.term })
  askForVotes(node, { isPreVote: true, isTransfer: false })
}

function startElection(node: RaftNode<unknown>, isTransfer: boolean): void {
  node.role = 'candidate'
  node.votes.clear()
  node.setHardState({ term: node.term + 1, votedFor: node.options.id })
  node.emit({ type: 'roleChanged', role: 'candidate', leader: null, term: node.term })
  askForVotes(node, { isPreVote: false, isTransfer })
}

function askForVotes(
  node: RaftNode<unknown>,
  { isPreVote, isTransfer }: { readonly isPreVote: boolean; readonly isTransfer: boolean },
): void {
  for (const to of node.voters) {
    if (to === node.options.id) continue
    node.send(to, {
      type: 'voteRequest',
      term: isPreVote ? node.term + 1 : node.term,
      isPreVote,
      isTransfer,
      lastTerm: node.epochs.lastTerm,
      endOffset: node.endOffset,
    })
  }
  countVote(node, node.options.id, true)
}

/** Grants a vote to a log that is not behind the own one, once a term, and to nobody while a leader is heard. */
export function onVoteRequest(node: RaftNode<unknown>, from: MemberId, request: VoteRequest): void {
  const { isPreVote, isTransfer } = request
  const hearsLeader =
    node.role === 'leader' ||
    (node.leader !== null && node.ticksSinceContact < node.options.electionTicks)
  if (hearsLeader && !isTransfer && node.leader !== from) {
    if (request.term > node.term || isPreVote) return refuse(node, from, isPreVote)
  }
  if (request.term > node.term && !isPreVote) node.becomeFollower(request.term, null)
  const { votedFor } = node.hardState
  const isFree = isPreVote
    ? request.term > node.term
    : request.term === node.term && (votedFor === null || votedFor === from) && node.leader === null
  if (!isFree || !isUpToDate(node, request)) return refuse(node, from, isPreVote)
  if (!isPreVote) {
    node.setHardState({ term: node.term, votedFor: from })
    node.resetElectionDeadline()
  }
  node.send(from, { type: 'voteResponse', term: request.term, isPreVote, isGranted: true })
}

export function onVoteResponse(
  node: RaftNode<unknown>,
  from: MemberId,
  response: VoteResponse,
): void {
  if (response.term > node.term && !response.isGranted) {
    node.becomeFollower(response.term, null)
    return
  }
  const isAwaited = response.isPreVote
    ? node.role === 'preCandidate' && (!response.isGranted || response.term === node.term + 1)
    : node.role === 'candidate' && response.term === node.term
  if (isAwaited) countVote(node, from, response.isGranted)
}

function countVote(node: RaftNode<unknown>, from: MemberId, isGranted: boolean): void {
  const { voters, votes } = node
  votes.set(from, isGranted)
  if (isQuorum(voters, (id) => votes.get(id) === true)) {
    if (node.role === 'preCandidate') startElection(node, false)
    else if (node.role === 'candidate') startLeading(node)
    return
  }
  // A majority has refused: it waits for its time like any follower.
  const refusals = voters.filter((id) => votes.get(id) === false).length
  if (refusals * 2 >= voters.length) node.becomeFollower(node.term, null)
}

function refuse(node: RaftNode<unknown>, to: MemberId, isPreVote: boolean): void {
  node.send(to, { type: 'voteResponse', term: node.term, isPreVote, isGranted: false })
}

/** Raft §5.4.1: the later last term wins, then the longer log. */
function isUpToDate(node: RaftNode<unknown>, request: VoteRequest): boolean {
  const { lastTerm } = node.epochs
  if (request.lastTerm !== lastTerm) return request.lastTerm > lastTerm
  return request.endOffset >= node.endOffset
}
