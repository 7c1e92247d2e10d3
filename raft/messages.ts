/** What the members of a broker group say to each other. Offsets are physical offsets of the CommitLog, and always record boundaries. */

/** Names a member for the life of its group; `dLegerSelfId` n0, n1 … are 0, 1 …. */
export type MemberId = number

/** A term and where its first record starts. */
export interface Epoch {
  readonly term: number
  readonly startOffset: number
}

export type MemberRole =
  /** Counts for elections and commits. */
  | 'voter'
  /** Gets the log and counts for nothing; becomes a voter once it has caught up. */
  | 'learner'

export interface Member {
  readonly id: MemberId
  readonly role: MemberRole
  /**
   * Which life of the member's disk this is. A member that comes back without what it once acknowledged has a new one: it is another
   * member to Raft, though it keeps its name (reliability §5, amnesiac member).
   */
  readonly incarnation: number
  /** `host:port` of its peer port. */
  readonly address: string
}

/** Who belongs to the group, from the record at `offset` on (Raft thesis §4.1: in force as soon as it is in the log). */
export interface Configuration {
  readonly offset: number
  readonly members: readonly Member[]
}

export interface VoteRequest {
  readonly type: 'voteRequest'
  readonly term: number
  /** Asks whether an election could be won, and changes nobody's state (Raft thesis §9.6). */
  readonly isPreVote: boolean
  /** The leader has asked for this election: that it is alive is no reason to refuse (Raft thesis §3.10). */
  readonly isTransfer: boolean
  readonly lastTerm: number
  readonly endOffset: number
}

export interface VoteResponse {
  readonly type: 'voteResponse'
  /** Of the request when granted, else the voter's own. */
  readonly term: number
  readonly isPreVote: boolean
  readonly isGranted: boolean
}

export interface AppendRequest<Records> {
  readonly type: 'appendRequest'
  readonly term: number
  /** The records follow the one that ends here, which is of `previousTerm`; 0 and 0 at the start of the log. */
  readonly previousOffset: number
  readonly previousTerm: number
  /** End of the last record; `previousOffset` when there is none. */
  readonly endOffset: number
  /** The epochs that start within the records. */
  readonly epochs: readonly Epoch[]
  /** Whole records laid end to end; null for a heartbeat. */
  readonly records: Records | null
  /** CRC-32 of the records as the leader encoded them, as a signed integer; null when it is not known any more. */
  readonly checksum: number | null
  readonly commitOffset: number
  /** Echoed; the greatest one that a read waits for (Raft thesis §6.4). */
  readonly readContext: number
}

export interface AppendResponse {
  readonly type: 'appendResponse'
  readonly term: number
  readonly isAccepted: boolean
  /** Accepted: up to here the log is the leader's and persistent as the flush mode asks. Rejected: where the leader may try next. */
  readonly offset: number
  /** Rejected: term of the record that ends at `offset`. */
  readonly termAtOffset: number
  readonly readContext: number
  /** Changes with each start of the process: what it held before, it may have lost with a power failure (ASYNC_FLUSH). */
  readonly bootId: number
  /** Its disk takes records; a member whose disk is full should not lead. */
  readonly hasRoom: boolean
}

export interface TimeoutNow {
  readonly type: 'timeoutNow'
  readonly term: number
}

export type RaftMessage<Records> =
  | VoteRequest
  | VoteResponse
  | AppendRequest<Records>
  | AppendResponse
  | TimeoutNow
