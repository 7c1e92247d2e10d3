/** The log: term start, append, conflict, commit (Raft §5.3, §5.4.2; thesis §10.2.1 for pipelining). */
import assert from 'node:assert/strict'
import type { AppendRequest, AppendResponse, MemberId } from './messages.ts'
import type { RaftNode } from './node.ts'
import { Progress } from './progress.ts'
import { isQuorum, quorumOffset } from './quorum.ts'
import { onProgressOf } from './membership.ts'

/** An install that is not answered for so many election timeouts is sent again. */
const INSTALL_ELECTION_TIMEOUTS = 4

/** Won: the own log is the group's. Its first record of the term makes what is older committable (Raft §5.4.2, §8). */
export function startLeading(node: RaftNode<unknown>): void {
  node.role = 'leader'
  node.leader = node.options.id
  node.votes.clear()
  node.ticksSinceContact = 0
  node.isReady = false
  node.termStartOffset = node.endOffset
  node.epochs.add({ term: node.term, startOffset: node.endOffset })
  node.verifiedOffset = node.endOffset
  node.progress.clear()
  for (const id of node.peers) node.progress.set(id, new Progress(node.endOffset))
  node.emit({ type: 'roleChanged', role: 'leader', leader: node.options.id, term: node.term })
  node.emit({ type: 'appendTermStart', term: node.term })
}

/** The leader's log has grown, by its own records or those of clients. */
export function replicate(node: RaftNode<unknown>): void {
  if (node.role !== 'leader') return
  node.verifiedOffset = node.endOffset
  for (const id of node.peers) sendAppends(node, id)
}

/** Sends as much as the member may have under way; `isHeartbeat`: at least an empty request. */
export function sendAppends(node: RaftNode<unknown>, to: MemberId, isHeartbeat = false): void {
  const progress = node.progress.get(to)
  assert(progress !== undefined)
  let isSent = false
  while (mayHaveMore(node, progress)) {
    if (progress.nextOffset < node.log.startOffset) {
      progress.install()
      node.emit({ type: 'install', to })
      break
    }
    isSent = true
    if (progress.mayBeWithinRecord) {
      progress.isWaiting = true
      sendEmpty(node, to, progress)
    } else {
      sendRecords(node, to, progress)
    }
  }
  if (isHeartbeat && !isSent) sendEmpty(node, to, progress)
}

function mayHaveMore(node: RaftNode<unknown>, progress: Progress): boolean {
  if (progress.nextOffset >= node.endOffset) return false
  if (progress.state === 'install') return false
  if (progress.state === 'probe') return !progress.isWaiting
  return progress.inFlight < node.options.maxInFlightBytes
}

function sendRecords(node: RaftNode<unknown>, to: MemberId, progress: Progress): void {
  const previousOffset = progress.nextOffset
  // What lies in the log and is not written yet does not count.
  const batchEnd = node.log.batchEnd(previousOffset, node.options.maxBatchBytes)
  const endOffset = Math.min(batchEnd, node.endOffset)
  assert(endOffset > previousOffset)
  const message = appendRequest(node, previousOffset, endOffset)
  if (progress.state === 'probe') progress.isWaiting = true
  else progress.nextOffset = endOffset
  progress.sentCommitOffset = node.commitOffset
  node.emit({ type: 'sendRecords', to, message })
}

function sendEmpty(node: RaftNode<unknown>, to: MemberId, progress: Progress): void {
  // Where the logs are known to agree, so that a heartbeat is never refused for records that are still under way.
  const agreed = progress.state === 'replicate' ? progress.matchOffset : progress.nextOffset
  // One that lies behind the start of the log refuses this, and hears that there is a leader.
  const at = Math.max(agreed, node.log.startOffset)
  progress.sentCommitOffset = node.commitOffset
  node.send(to, appendRequest(node, at, at))
}

function appendRequest(
  node: RaftNode<unknown>,
  previousOffset: number,
  endOffset: number,
): AppendRequest<never> {
  return {
    type: 'appendRequest',
    term: node.term,
    previousOffset,
    previousTerm: node.epochs.termBefore(previousOffset),
    endOffset,
    epochs: node.epochs.startingIn(previousOffset, endOffset),
    records: null,
    checksum: null,
    commitOffset: node.commitOffset,
    readContext: node.pendingRead?.context ?? 0,
  }
}

/** A follower takes the leader's records, cutting what the leader does not have (Raft §5.3). */
export function onAppendRequest<Records>(
  node: RaftNode<Records>,
  from: MemberId,
  request: AppendRequest<Records>,
): void {
  if (request.term < node.term) {
    answer(node, from, { isAccepted: false, offset: 0, readContext: 0 })
    return
  }
  assert(node.role !== 'leader' || request.term > node.term, 'one leader per term')
  node.becomeFollower(request.term, from)
  node.ticksSinceContact = 0
  node.heardCommitOffset = request.commitOffset
  if (!agreesBefore(node, request)) {
    answer(node, from, {
      isAccepted: false,
      offset: hintFor(node, request),
      readContext: request.readContext,
    })
    return
  }
  const isNews = request.records !== null && request.endOffset > node.verifiedOffset
  const isWriting = isNews && take(node, request, request.records)
  node.verifiedOffset = Math.max(node.verifiedOffset, request.previousOffset, request.endOffset)
  node.commitTo(Math.min(request.commitOffset, node.verifiedOffset))
  node.heardReadContext = request.readContext
  if (!isWriting) acknowledge(node, from)
}

function agreesBefore(node: RaftNode<unknown>, request: AppendRequest<unknown>): boolean {
  const { previousOffset, previousTerm } = request
  if (previousOffset <= node.commitOffset) return true
  if (previousOffset > node.endOffset) return false
  return node.epochs.termBefore(previousOffset) === previousTerm
}

/** The end of the newest own records that may be the leader's: none of a later term than the one it asked about. */
function hintFor(node: RaftNode<unknown>, request: AppendRequest<unknown>): number {
  const { endOffset } = node
  if (request.previousOffset > endOffset) {
    return Math.max(node.commitOffset, node.epochs.endOfTermsUpTo(request.previousTerm, endOffset))
  }
  return Math.max(node.commitOffset, node.epochs.startOfTermBefore(request.previousOffset))
}

/** True when something is to be written: the answer follows when it is. */
function take<Records>(
  node: RaftNode<Records>,
  request: AppendRequest<Records>,
  records: Records,
): boolean {
  const conflict = conflictOffset(node, request)
  if (conflict !== null) {
    assert(conflict >= node.commitOffset, 'what is committed is never cut')
    node.epochs.truncate(conflict)
    node.configurations = node.configurations.filter(
      ({ offset }, index) => index === 0 || offset < conflict,
    )
    node.persistedOffset = Math.min(node.persistedOffset, conflict)
    node.verifiedOffset = Math.min(node.verifiedOffset, conflict)
    node.endOffset = conflict
    node.emit({ type: 'truncate', offset: conflict })
  }
  const fromOffset = node.endOffset
  if (fromOffset >= request.endOffset) return false
  node.endOffset = request.endOffset
  const epochs = request.epochs.filter(({ startOffset }) => startOffset >= fromOffset)
  for (const epoch of epochs) node.epochs.add(epoch)
  node.emit({
    type: 'appendRecords',
    records,
    recordsOffset: request.previousOffset,
    checksum: request.checksum,
    fromOffset,
    endOffset: request.endOffset,
    epochs,
  })
  return true
}

/** Where the own log leaves the leader's within the request; null when it does not. Equal terms at an offset are equal records (Raft §5.3). */
function conflictOffset(node: RaftNode<unknown>, request: AppendRequest<unknown>): number | null {
  const start = Math.max(request.previousOffset, node.commitOffset)
  const end = Math.min(node.endOffset, request.endOffset)
  const boundaries = [
    ...node.epochs.startingIn(start, end),
    ...request.epochs.filter(({ startOffset }) => startOffset >= start && startOffset < end),
  ]
    .map(({ startOffset }) => startOffset)
    .toSorted((left, right) => left - right)
  for (const offset of boundaries) {
    if (node.epochs.termBefore(offset + 1) !== termInRequest(request, offset)) return offset
  }
  return null
}

function termInRequest(request: AppendRequest<unknown>, offset: number): number {
  const within = request.epochs.filter(({ startOffset }) => startOffset <= offset)
  return within.at(-1)?.term ?? request.previousTerm
}

/**
 * Own records have become persistent. A follower tells its leader, a leader counts itself. What is written and waits for its sync is no news:
 * an answer for it would wake the leader once more for each request.
 */
export function onPersisted(node: RaftNode<unknown>, offset: number): void {
  assert(offset <= node.endOffset)
  const isNews = offset > node.persistedOffset
  node.persistedOffset = offset
  if (node.role === 'leader') advanceCommit(node)
  else if (isNews && node.leader !== null) acknowledge(node, node.leader)
}

function acknowledge(node: RaftNode<unknown>, to: MemberId): void {
  const offset = Math.min(node.verifiedOffset, node.persistedOffset)
  answer(node, to, { isAccepted: true, offset, readContext: node.heardReadContext })
}

function answer(
  node: RaftNode<unknown>,
  to: MemberId,
  outcome: { readonly isAccepted: boolean; readonly offset: number; readonly readContext: number },
): void {
  node.send(to, {
    type: 'appendResponse',
    term: node.term,
    termAtOffset: node.epochs.termBefore(outcome.offset),
    bootId: node.options.bootId,
    hasRoom: node.log.hasRoom,
    ...outcome,
  })
}

export function onAppendResponse(
  node: RaftNode<unknown>,
  from: MemberId,
  response: AppendResponse,
): void {
  if (response.term > node.term) {
    node.becomeFollower(response.term, null)
    return
  }
  const progress = node.progress.get(from)
  if (node.role !== 'leader' || response.term < node.term || progress === undefined) return
  progress.isActive = true
  progress.ticksSinceAnswer = 0
  progress.hasRoom = response.hasRoom
  if (progress.bootId !== response.bootId) {
    // It may have lost what it had acknowledged, unless that was synced: nothing is known of its log any more.
    if (progress.bootId !== null) progress.matchOffset = 0
    progress.bootId = response.bootId
    if (progress.state !== 'install') {
      progress.probe(progress.nextOffset, progress.mayBeWithinRecord)
    }
  }
  if (response.isAccepted) {
    progress.accepted(Math.min(response.offset, node.endOffset))
    onReadAnswer(node, from, progress, response.readContext)
    advanceCommit(node)
    onProgressOf(node, from, progress)
  } else if (progress.state !== 'install') {
    onRejected(node, progress, response)
  }
  // Leading may have ended with what was just counted.
  if (node.progress.has(from)) sendAppends(node, from)
}

/** Looks for the agreement from the hint down: one round trip for each term in which the logs differ at most. */
function onRejected(node: RaftNode<unknown>, progress: Progress, response: AppendResponse): void {
  const { offset, termAtOffset } = response
  const sameTerms = node.epochs.endOfTermsUpTo(termAtOffset, node.endOffset)
  const next = Math.min(offset, sameTerms, progress.nextOffset)
  // An answer to an older request says nothing new.
  if (next < progress.matchOffset) return
  // Records of another term end elsewhere than the own ones.
  const isOfOtherTerm = next === offset && node.epochs.termBefore(next) !== termAtOffset
  progress.probe(next, isOfOtherTerm)
}

function advanceCommit(node: RaftNode<unknown>): void {
  if (node.role !== 'leader') return
  const offset = quorumOffset(node.voters, (id) => node.matchOffset(id))
  // Only a record of the own term is committed by counting (Raft §5.4.2, figure 8).
  if (offset <= node.commitOffset || offset <= node.termStartOffset) return
  node.commitTo(Math.min(offset, node.endOffset))
  if (!node.isReady) {
    node.isReady = true
    node.emit({ type: 'leaderReady', term: node.term })
  }
}

/**
 * Followers learn what is committed with the next records. Those that nothing was sent to since are told with the tick: telling it at once
 * would double the messages between members under load, and only what a follower derives from its log waits for it.
 */
function tellCommit(node: RaftNode<unknown>): void {
  for (const [id, progress] of node.progress) {
    if (progress.state === 'replicate' && progress.sentCommitOffset < node.commitOffset) {
      sendEmpty(node, id, progress)
    }
  }
}

/** Heartbeats, and the look at the quorum (thesis §6.2): a leader that a majority does not answer is none. */
export function tickLeader(node: RaftNode<unknown>): void {
  const { heartbeatTicks, electionTicks } = node.options
  node.ticksSinceContact++
  for (const progress of node.progress.values()) progress.tick()
  if (node.ticksSinceContact >= electionTicks) {
    node.ticksSinceContact = 0
    const isHeard = (id: MemberId): boolean =>
      id === node.options.id || node.progress.get(id)?.isActive === true
    const hasQuorum = isQuorum(node.voters, isHeard)
    for (const progress of node.progress.values()) progress.isActive = false
    if (!hasQuorum) {
      node.becomeFollower(node.term, null)
      return
    }
  }
  tellCommit(node)
  if (node.ticks % heartbeatTicks !== 0) return
  for (const [id, progress] of node.progress) {
    // What was sent and not acknowledged for so long is lost, though the member may answer to other things.
    const waited = Math.max(progress.ticksSinceAnswer, progress.ticksWithoutGain)
    if (waited > electionTicks && progress.state === 'replicate') {
      progress.probe(Math.max(progress.matchOffset, node.log.startOffset))
    }
    const isOverdue = progress.installTicks > electionTicks * INSTALL_ELECTION_TIMEOUTS
    if (progress.state === 'install' && isOverdue) progress.probe(progress.nextOffset)
    progress.isWaiting = false
    sendAppends(node, id, true)
  }
}

/** A read that must see everything acknowledged before it: answered once a majority has confirmed this leader (thesis §6.4). */
export function askRead(node: RaftNode<unknown>): number | null {
  if (node.role !== 'leader' || !node.isReady) return null
  node.readContext++
  node.pendingRead = { context: node.readContext, offset: node.commitOffset }
  if (isQuorum(node.voters, (id) => id === node.options.id)) {
    node.emit({ type: 'readReady', ...node.pendingRead })
    node.pendingRead = null
  } else {
    for (const [id, progress] of node.progress) sendEmpty(node, id, progress)
  }
  return node.readContext
}

function onReadAnswer(
  node: RaftNode<unknown>,
  from: MemberId,
  progress: Progress,
  readContext: number,
): void {
  progress.readContext = Math.max(progress.readContext, readContext)
  const { pendingRead } = node
  if (pendingRead === null || !node.voters.includes(from)) return
  const confirms = (id: MemberId): boolean =>
    id === node.options.id || (node.progress.get(id)?.readContext ?? 0) >= pendingRead.context
  if (!isQuorum(node.voters, confirms)) return
  node.pendingRead = null
  node.emit({ type: 'readReady', ...pendingRead })
}
