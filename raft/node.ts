/** The state of one member, and what every part of the algorithm does with it. */
import assert from 'node:assert/strict'
import type { Random } from '../common/ports.ts'
import { Epochs } from './epochs.ts'
import type { Configuration, Epoch, MemberId, RaftMessage } from './messages.ts'
import { Progress } from './progress.ts'
import { votersOf } from './quorum.ts'

/** On disk before anything that follows from it leaves the member (Raft §5.2). */
export interface HardState {
  readonly term: number
  readonly votedFor: MemberId | null
}

export type Role = 'follower' | 'preCandidate' | 'candidate' | 'leader'

/** What the core asks of the log; offsets are record boundaries. */
export interface LogView {
  /** Oldest byte there is. */
  readonly startOffset: number
  /** Of what has been taken; a leader is told with `localAppended` when that is written. */
  readonly endOffset: number
  /** End of the last whole record within `maxBytes` from `offset`, one record at least; `offset` is below `endOffset`. */
  batchEnd(offset: number, maxBytes: number): number
  /** The disk takes records. */
  readonly hasRoom: boolean
}

export interface RaftOptions {
  readonly id: MemberId
  readonly bootId: number
  readonly random: Pick<Random, 'integer'>
  readonly log: LogView
  /** A follower that hears of no leader for this many ticks, and up to as many more, asks for an election. */
  readonly electionTicks: number
  readonly heartbeatTicks: number
  /** Records of one request, and of all requests to one member that are not acknowledged. */
  readonly maxBatchBytes: number
  readonly maxInFlightBytes: number
  /** No records are taken while more than this waits for its commit. */
  readonly maxUncommittedBytes: number
  /** Leads whenever it can (`preferredLeaderId`); null for whoever is elected. */
  readonly preferredLeader: MemberId | null
}

/** What was on disk at the start. */
export interface Restored {
  readonly hardState: HardState
  readonly epochs: readonly Epoch[]
  /** Oldest first, the last one is in force. */
  readonly configurations: readonly Configuration[]
  /** At least this much of the log is known to be committed. */
  readonly commitOffset: number
  readonly endOffset: number
}

/** What the driver does, in this order; everything before it is done (and durable, where it says so) when the next one begins. */
export type Effect<Records> =
  /** Durably. */
  | { readonly type: 'persistHardState'; readonly hardState: HardState }
  | { readonly type: 'send'; readonly to: MemberId; readonly message: RaftMessage<Records> }
  /** Sends the leader's records of `[message.previousOffset, message.endOffset)` with the message. */
  | { readonly type: 'sendRecords'; readonly to: MemberId; readonly message: RaftMessage<Records> }
  /** Appends this term's first record, then tells `localAppended`. */
  | { readonly type: 'appendTermStart'; readonly term: number }
  /** Appends a record with the members, then tells `configurationAppended` and `localAppended`. */
  | { readonly type: 'appendConfiguration'; readonly members: Configuration['members'] }
  /** Durably: cuts the log and all that is derived from it. */
  | { readonly type: 'truncate'; readonly offset: number }
  /** Appends the part of `records` that starts at `fromOffset`; they start at `recordsOffset`. Then `persisted`, once they are. */
  | {
      readonly type: 'appendRecords'
      readonly records: Records
      readonly recordsOffset: number
      readonly checksum: number | null
      readonly fromOffset: number
      readonly endOffset: number
      readonly epochs: readonly Epoch[]
    }
  | { readonly type: 'commit'; readonly offset: number }
  | {
      readonly type: 'roleChanged'
      readonly role: Role
      readonly leader: MemberId | null
      readonly term: number
    }
  /** This member leads, and all that was committed before is known to it: reads and writes may begin. */
  | { readonly type: 'leaderReady'; readonly term: number }
  /** Gives the member the log's start and the tables; then `installed` or `installFailed`. */
  | { readonly type: 'install'; readonly to: MemberId }
  /** Reads with this context or an older one may be answered from what is committed up to `offset`. */
  | { readonly type: 'readReady'; readonly context: number; readonly offset: number }
  | { readonly type: 'readFailed' }

/** What follows from a configuration. */
interface Derived {
  readonly from: Configuration
  readonly voters: readonly MemberId[]
  readonly peers: readonly MemberId[]
}

export class RaftNode<Records> {
  readonly options: RaftOptions
  readonly log: LogView
  readonly epochs: Epochs
  hardState: HardState
  configurations: Configuration[]
  role: Role = 'follower'
  leader: MemberId | null = null
  commitOffset: number
  /** End of the own log, written or not. */
  endOffset: number
  /** Own log, persistent as the flush mode asks. */
  persistedOffset: number
  /** Own log up to here is the leader's of this term. */
  verifiedOffset: number
  ticks = 0
  /** Followers: ticks since the leader was heard. Leaders: since the quorum was looked at. */
  ticksSinceContact = 0
  electionDeadline = 0
  readonly votes: Map<MemberId, boolean> = new Map<MemberId, boolean>()
  readonly progress: Map<MemberId, Progress> = new Map<MemberId, Progress>()
  /** Leader: where its term starts in the log. */
  termStartOffset = 0
  isReady = false
  transferTarget: MemberId | null = null
  transferTicks = 0
  readContext = 0
  /** Follower: the read context that its leader sent last. */
  heardReadContext = 0
  /** Follower: how far its leader said last that the log is committed. */
  heardCommitOffset = 0
  pendingRead: { readonly context: number; readonly offset: number } | null = null
  #effects: Effect<Records>[] = []
  #lastDerived: Derived | null = null

  constructor(options: RaftOptions, restored: Restored) {
    this.options = options
    this.log = options.log
    this.epochs = new Epochs(restored.epochs)
    this.hardState = restored.hardState
    this.configurations = [...restored.configurations]
    this.commitOffset = restored.commitOffset
    this.endOffset = restored.endOffset
    this.persistedOffset = restored.endOffset
    this.verifiedOffset = restored.commitOffset
    assert(this.configurations.length > 0, 'a member has a configuration')
    assert(restored.commitOffset <= restored.endOffset, 'what is committed is in the log')
    assert(this.epochs.lastTerm <= this.hardState.term, 'no record is of a later term')
    this.resetElectionDeadline()
    // The only voter has nobody to wait for.
    if (this.voters.length === 1 && this.isVoter) this.electionDeadline = 0
  }

  get term(): number {
    return this.hardState.term
  }

  get configuration(): Configuration {
    const configuration = this.configurations.at(-1)
    assert(configuration !== undefined)
    return configuration
  }

  get voters(): readonly MemberId[] {
    return this.#derived.voters
  }

  get isVoter(): boolean {
    return this.voters.includes(this.options.id)
  }

  /** All others, learners too. */
  get peers(): readonly MemberId[] {
    return this.#derived.peers
  }

  /** Asked for with each message, while configurations hardly ever change. */
  get #derived(): Derived {
    const { configuration } = this
    if (this.#lastDerived?.from !== configuration) {
      const ids = configuration.members.map(({ id }) => id)
      const peers = ids.filter((id) => id !== this.options.id)
      this.#lastDerived = { from: configuration, voters: votersOf(configuration), peers }
    }
    return this.#lastDerived
  }

  /** How far a member's log is this leader's. */
  matchOffset(id: MemberId): number {
    if (id === this.options.id) return this.persistedOffset
    return this.progress.get(id)?.matchOffset ?? 0
  }

  emit(effect: Effect<Records>): void {
    this.#effects.push(effect)
  }

  send(to: MemberId, message: RaftMessage<Records>): void {
    this.emit({ type: 'send', to, message })
  }

  takeEffects(): readonly Effect<Records>[] {
    const effects = this.#effects
    this.#effects = []
    return effects
  }

  setHardState(hardState: HardState): void {
    assert(hardState.term >= this.term)
    if (hardState.term === this.term && hardState.votedFor === this.hardState.votedFor) return
    if (hardState.term > this.term) {
      // Nothing is known of the log that the new term's leader has; also when this member asked for the term itself, and another got it.
      this.verifiedOffset = this.commitOffset
      this.heardCommitOffset = 0
    }
    this.hardState = hardState
    this.emit({ type: 'persistHardState', hardState })
  }

  resetElectionDeadline(): void {
    const { electionTicks, random } = this.options
    this.ticksSinceContact = 0
    this.electionDeadline = electionTicks + random.integer(electionTicks)
  }

  /** Follows `leader` in `term`, or nobody yet. */
  becomeFollower(term: number, leader: MemberId | null): void {
    const isNewTerm = term > this.term
    const isChange = isNewTerm || this.role !== 'follower' || this.leader !== leader
    if (isNewTerm) this.setHardState({ term, votedFor: null })
    if (this.role === 'leader') this.#leaveLeadership()
    this.role = 'follower'
    this.leader = leader
    this.votes.clear()
    if (isChange) {
      this.resetElectionDeadline()
      this.emit({ type: 'roleChanged', role: 'follower', leader, term: this.term })
    }
  }

  commitTo(offset: number): void {
    if (offset <= this.commitOffset) return
    assert(offset <= this.endOffset, 'only what is in the log is committed')
    this.commitOffset = offset
    this.emit({ type: 'commit', offset })
  }

  #leaveLeadership(): void {
    // A term whose first record found no room has none.
    this.epochs.truncate(this.endOffset)
    this.progress.clear()
    this.isReady = false
    this.transferTarget = null
    if (this.pendingRead !== null) this.emit({ type: 'readFailed' })
    this.pendingRead = null
    // What it appended itself as leader is not known to be the next leader's.
    this.verifiedOffset = this.commitOffset
  }
}
