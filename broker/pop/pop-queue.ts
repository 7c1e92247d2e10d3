/**
 * What a consumer group has popped from one queue: how far it is, and what it has not acknowledged yet.
 *
 * Every queue offset below `cursor` and in `ahead` was handed out (or passed over by a filter). Of these the messages that are neither
 * acknowledged nor copied into a retry topic are pending in a checkpoint. The group's committed offset is the first pending one.
 */
import assert from 'node:assert/strict'

/** A checkpoint's messages are the bits of a number. */
export const CHECKPOINT_MESSAGES_MAX = 32

/** Queue offsets from `start` up to `end`, which is not among them. */
export interface OffsetRange {
  readonly start: number
  readonly end: number
}

export interface CheckpointOptions {
  readonly queue: PopQueue
  readonly startOffset: number
  readonly popTime: number
  readonly invisibleTime: number
  /** Queue offsets of its messages, ascending. */
  readonly offsets: readonly number[]
}

/** Acknowledgements that will be one record. */
export interface WaitingAck {
  readonly record: {
    readonly type: 'acks'
    readonly checkpoint: Checkpoint
    readonly offsets: number[]
  }
  /** Told whether they are recorded. */
  readonly done: ((isCommitted: boolean) => void)[]
}

/** The messages that one pop took from one queue. */
export class Checkpoint {
  readonly queue: PopQueue
  readonly startOffset: number
  readonly popTime: number
  readonly invisibleTime: number
  readonly offsets: readonly number[]
  /** One bit for each message that is not finished. */
  pending: number
  /** `Clock.monotonic()` at which its pending messages come back. */
  deadline: number = 0
  /** Where it waits for its deadline; -1: nowhere. */
  tick: number = -1
  place: number = 0
  /** Its messages are being copied: acknowledgements come too late. */
  isReviving: boolean = false
  /** How often copying them has failed. */
  failures: number = 0
  /** Another one with the same start, of another time. */
  other: Checkpoint | null = null
  /** Its acknowledgements of this turn. The revive log's own. */
  waitingAck: WaitingAck | null = null

  constructor(options: CheckpointOptions) {
    this.queue = options.queue
    this.startOffset = options.startOffset
    this.popTime = options.popTime
    this.invisibleTime = options.invisibleTime
    this.offsets = options.offsets
    assert(options.offsets.length > 0 && options.offsets.length <= CHECKPOINT_MESSAGES_MAX)
    this.pending =
      options.offsets.length === CHECKPOINT_MESSAGES_MAX ? -1 : (1 << options.offsets.length) - 1
  }

  /** Queue offsets of the messages that are not finished. */
  pendingOffsets(): number[] {
    return this.offsets.filter((_offset, index) => (this.pending & (1 << index)) !== 0)
  }

  /** The bit of a message in `pending`; 0 when it is not one of this checkpoint. */
  bitOf(queueOffset: number): number {
    // As a rule the messages follow one another.
    const guess = queueOffset - (this.offsets[0] ?? 0)
    const index = this.offsets[guess] === queueOffset ? guess : this.offsets.indexOf(queueOffset)
    return index < 0 ? 0 : 1 << index
  }

  get pendingCount(): number {
    let bits = this.pending
    let count = 0
    for (; bits !== 0; bits &= bits - 1) count++
    return count
  }
}

export interface PopQueueOptions {
  readonly topic: string
  readonly consumerGroup: string
  readonly queueId: number
  readonly reviveQueueId: number
  readonly cursor: number
}

export class PopQueue {
  readonly topic: string
  readonly consumerGroup: string
  readonly queueId: number
  readonly reviveQueueId: number
  /** The next pop reads from here. */
  cursor: number
  /** Handed out beyond the cursor, ascending, apart from each other; nearly always empty. */
  ahead: OffsetRange[] = []
  /** The group's committed offset as this class last saw or set it; -1: none. */
  published: number = -1
  /** A pop reads from it: others pass it over. */
  isReading: boolean = false
  /** Messages that are pending. */
  inFlight: number = 0
  /** From here on the revive log tells of this queue; null: what the committed offset says is all. */
  recordsFrom: number | null = null
  /** `Clock.monotonic()` of when `recordsFrom` was set. */
  recordsSince: number = 0
  /** Something has changed since the offset was last published. */
  isDirty: boolean = false
  checkpointCount: number = 0
  readonly #checkpoints = new Map<number, Checkpoint>()

  constructor(options: PopQueueOptions) {
    this.topic = options.topic
    this.consumerGroup = options.consumerGroup
    this.queueId = options.queueId
    this.reviveQueueId = options.reviveQueueId
    this.cursor = options.cursor
  }

  /** Up to here a pop may read: what follows was handed out before. */
  get readableEnd(): number {
    return this.ahead[0]?.start ?? Infinity
  }

  /** The offsets from the cursor up to `end` are handed out. */
  advance(end: number): void {
    assert(end >= this.cursor && end <= this.readableEnd)
    this.cursor = end
    while (this.ahead[0] !== undefined && this.ahead[0].start <= this.cursor) {
      this.cursor = Math.max(this.cursor, this.ahead[0].end)
      this.ahead.shift()
    }
    this.isDirty = true
  }

  /** The group goes on from a later offset, which somebody else has set; what is pending stays so. */
  skipTo(queueOffset: number): void {
    this.ahead = this.ahead.flatMap((range) => without(range, { start: -1, end: queueOffset }))
    if (queueOffset > this.cursor) this.cursor = queueOffset
    this.advance(this.cursor)
  }

  /** What was handed out last could not be recorded: the next pop reads it again. */
  giveBack({ start, end }: OffsetRange): void {
    if (start >= end) return
    if (this.cursor <= start) {
      // It lies ahead of an earlier one that was given back.
      this.ahead = this.ahead.flatMap((range) => without(range, { start, end }))
    } else {
      if (this.cursor > end) this.ahead.unshift({ start: end, end: this.cursor })
      this.cursor = start
    }
    this.isDirty = true
  }

  /** Goes to an offset that somebody else has set, and forgets what was popped. */
  reset(queueOffset: number): readonly Checkpoint[] {
    const dropped = [...this.checkpoints()]
    this.#checkpoints.clear()
    this.checkpointCount = 0
    this.inFlight = 0
    this.cursor = queueOffset
    this.ahead = []
    this.isDirty = true
    return dropped
  }

  add(checkpoint: Checkpoint): void {
    checkpoint.other = this.#checkpoints.get(checkpoint.startOffset) ?? null
    this.#checkpoints.set(checkpoint.startOffset, checkpoint)
    this.checkpointCount++
    this.inFlight += checkpoint.pendingCount
    this.isDirty = true
  }

  find(startOffset: number, popTime: number): Checkpoint | null {
    let found = this.#checkpoints.get(startOffset) ?? null
    while (found !== null && found.popTime !== popTime) found = found.other
    return found
  }

  /** Finishes messages; returns those that were pending there. The checkpoint goes with its last one. */
  finish(checkpoint: Checkpoint, queueOffsets: readonly number[]): readonly number[] {
    const finished: number[] = []
    for (const queueOffset of queueOffsets) {
      const bit = checkpoint.bitOf(queueOffset)
      if ((checkpoint.pending & bit) === 0) continue
      checkpoint.pending &= ~bit
      finished.push(queueOffset)
    }
    if (finished.length === 0) return finished
    this.inFlight -= finished.length
    this.isDirty = true
    if (checkpoint.pending === 0) this.#remove(checkpoint)
    return finished
  }

  /** Makes a message pending again that `finish` has finished. */
  unfinish(checkpoint: Checkpoint, queueOffset: number): void {
    const isGone = checkpoint.pending === 0
    checkpoint.pending |= checkpoint.bitOf(queueOffset)
    if (isGone) this.add(checkpoint)
    else this.inFlight++
    this.isDirty = true
  }

  /** Takes a checkpoint out, with all that is pending in it. */
  remove(checkpoint: Checkpoint): void {
    if (this.find(checkpoint.startOffset, checkpoint.popTime) !== checkpoint) return
    this.inFlight -= checkpoint.pendingCount
    this.#remove(checkpoint)
    this.isDirty = true
  }

  *checkpoints(): Generator<Checkpoint, void> {
    for (const first of this.#checkpoints.values()) {
      for (let next: Checkpoint | null = first; next !== null; next = next.other) yield next
    }
  }

  /** The first queue offset that is not finished. */
  commitOffset(): number {
    let lowest = this.cursor
    for (const checkpoint of this.checkpoints()) {
      if ((checkpoint.offsets[0] ?? 0) >= lowest) continue
      const first = checkpoint.offsets.find((_, index) => (checkpoint.pending & (1 << index)) !== 0)
      if (first !== undefined && first < lowest) lowest = first
    }
    return lowest
  }

  /** True when a new leader would know all of it from the committed offset alone. */
  get isSettled(): boolean {
    return this.inFlight === 0 && this.ahead.length === 0 && this.published === this.cursor
  }

  /** Sets cursor and `ahead` from what the revive log says was handed out, going on from `start`. */
  restore(start: number, handedOut: readonly OffsetRange[]): void {
    this.cursor = start
    this.ahead = []
    for (const range of handedOut.toSorted((left, right) => left.start - right.start)) {
      const last = this.ahead.at(-1)
      if (range.start <= this.cursor && last === undefined) {
        this.cursor = Math.max(this.cursor, range.end)
      } else if (last !== undefined && range.start <= last.end) {
        this.ahead[this.ahead.length - 1] = {
          start: last.start,
          end: Math.max(last.end, range.end),
        }
      } else if (range.end > this.cursor) {
        this.ahead.push(range)
      }
    }
  }

  #remove(checkpoint: Checkpoint): void {
    this.checkpointCount--
    const first = this.#checkpoints.get(checkpoint.startOffset)
    if (first === checkpoint) {
      if (checkpoint.other === null) this.#checkpoints.delete(checkpoint.startOffset)
      else this.#checkpoints.set(checkpoint.startOffset, checkpoint.other)
      return
    }
    for (let before = first ?? null; before !== null; before = before.other) {
      if (before.other !== checkpoint) continue
      before.other = checkpoint.other
      return
    }
  }
}

function without(range: OffsetRange, gap: OffsetRange): OffsetRange[] {
  const left = { start: range.start, end: Math.min(range.end, gap.start) }
  const right = { start: Math.max(range.start, gap.end), end: range.end }
  return [left, right].filter(({ start, end }) => start < end)
}
