/** What a leader knows of another member's log (Raft §5.3; states as in etcd's raft). */

export type ProgressState =
  /** Where the logs agree is not known: one request at a time. */
  | 'probe'
  /** Requests follow each other without waiting for answers. */
  | 'replicate'
  /** The member needs records that this log has no more: it is being given the log's start. */
  | 'install'

export class Progress {
  state: ProgressState = 'probe'
  /** The member's log is ours and persistent up to here. */
  matchOffset = 0
  /** The next request starts here. */
  nextOffset: number
  /** Probing: a request is under way. */
  isWaiting = false
  /** Probing: `nextOffset` may lie within a record of the own log, so that requests go without records. */
  mayBeWithinRecord = false
  /** It has answered since the last look at the quorum. */
  isActive = false
  /** Ticks since its last answer. */
  ticksSinceAnswer = 0
  /** Ticks for which records have been under way and none of them has been acknowledged. */
  ticksWithoutGain = 0
  /** Installing: ticks since it was sent. */
  installTicks = 0
  /** Greatest read context that it has confirmed. */
  readContext = 0
  /** The commit offset it was told last. */
  sentCommitOffset = 0
  bootId: number | null = null
  /** Its disk took records when it answered last. */
  hasRoom = true

  constructor(nextOffset: number) {
    this.nextOffset = nextOffset
  }

  /** Bytes sent and not yet acknowledged. */
  get inFlight(): number {
    return this.nextOffset - this.matchOffset
  }

  /** Starts to look for where the logs agree. */
  probe(nextOffset: number, mayBeWithinRecord: boolean = false): void {
    this.state = 'probe'
    this.nextOffset = nextOffset
    this.mayBeWithinRecord = mayBeWithinRecord
    this.isWaiting = false
    this.ticksWithoutGain = 0
  }

  /** A tick has passed. */
  tick(): void {
    this.ticksSinceAnswer++
    this.installTicks++
    this.ticksWithoutGain = this.inFlight > 0 ? this.ticksWithoutGain + 1 : 0
  }

  install(): void {
    this.state = 'install'
    this.installTicks = 0
  }

  accepted(offset: number): void {
    if (offset > this.matchOffset) this.ticksWithoutGain = 0
    this.matchOffset = Math.max(this.matchOffset, offset)
    this.nextOffset = Math.max(this.nextOffset, this.matchOffset)
    // Where logs agree both have the end of a record; an answer to an older request does not say that they do.
    if (this.mayBeWithinRecord && this.matchOffset < this.nextOffset) return
    this.mayBeWithinRecord = false
    this.isWaiting = false
    if (this.state === 'probe') this.state = 'replicate'
  }
}
