/**
 * Orderly pops of one queue (protocol §8.3): while a message of the last batch is neither acknowledged nor past its time, the group
 * gets nothing more from the queue.
 */

export interface OrderBatch {
  readonly attemptId: string | null
  readonly popTime: number
  readonly invisibleTime: number
  /** Queue offsets, ascending. */
  readonly offsets: readonly number[]
  /** Wall-clock times at which messages whose time was changed come back, by queue offset. */
  readonly visibleAt: ReadonlyMap<number, number>
  /** How often a message was given out before, by queue offset; 0 is left out. */
  readonly counts: ReadonlyMap<number, number>
  /** Queue offsets that were acknowledged. */
  readonly acked: ReadonlySet<number>
}

export interface OrderQueueOptions {
  readonly topic: string
  readonly consumerGroup: string
  readonly queueId: number
  readonly reviveQueueId: number
  readonly next: number
}

export type OrderAck =
  /** The group goes on from here. */
  | { readonly type: 'committed'; readonly next: number }
  /** The handle is of an earlier pop. */
  | { readonly type: 'stale' }
  /** The batch has no such message. */
  | { readonly type: 'unknown' }

export class OrderQueue {
  readonly topic: string
  readonly consumerGroup: string
  readonly queueId: number
  readonly reviveQueueId: number
  /** The first queue offset that is not acknowledged. */
  next: number
  isReading: boolean = false
  /** See `PopQueue`. */
  recordsFrom: number | null = null
  recordsSince: number = 0
  /** `Clock.monotonic()` from which pops may read again, unless the batch is acknowledged before. */
  blockedUntil: number = 0
  /** For whoever waits until the batch comes back. */
  tick: number = -1
  place: number = 0
  #batch: OrderBatch | null = null

  constructor(options: OrderQueueOptions) {
    this.topic = options.topic
    this.consumerGroup = options.consumerGroup
    this.queueId = options.queueId
    this.reviveQueueId = options.reviveQueueId
    this.next = options.next
  }

  get deadline(): number {
    return this.blockedUntil
  }

  get batch(): OrderBatch | null {
    return this.#batch
  }

  /** True when a pop of this attempt must get nothing now. */
  isBlocked(attemptId: string | null, monotonic: number): boolean {
    const batch = this.#batch
    if (batch === null || this.isDone) return false
    if (batch.attemptId !== null && batch.attemptId === attemptId) return false
    return monotonic < this.blockedUntil
  }

  /** True when every message of the batch is acknowledged. */
  get isDone(): boolean {
    const batch = this.#batch
    return batch === null || batch.offsets.every((offset) => batch.acked.has(offset))
  }

  /** A pop takes these messages. */
  take(
    batch: Pick<OrderBatch, 'attemptId' | 'popTime' | 'invisibleTime' | 'offsets'>,
    clock: { readonly now: number; readonly monotonic: number },
  ): OrderBatch {
    const before = this.#batch
    const taken: OrderBatch = {
      ...batch,
      visibleAt: new Map<number, number>(),
      counts: before === null ? new Map<number, number>() : countsAfter(before, batch),
      acked: new Set<number>(),
    }
    this.#batch = taken
    this.#block(clock)
    return taken
  }

  ack(
    queueOffset: number,
    popTime: number,
    clock: { readonly now: number; readonly monotonic: number },
  ): OrderAck {
    const batch = this.#batch
    if (batch === null) {
      // The batch was forgotten: as in Java the word of the consumer counts, but nothing before is passed over by it.
      if (queueOffset > this.next) return { type: 'stale' }
      this.next = Math.max(this.next, queueOffset + 1)
      return { type: 'committed', next: this.next }
    }
    if (popTime !== batch.popTime) return { type: 'stale' }
    if (!batch.offsets.includes(queueOffset)) return { type: 'unknown' }
    this.#batch = { ...batch, acked: new Set([...batch.acked, queueOffset]) }
    this.next = this.#firstPending() ?? (batch.offsets.at(-1) ?? queueOffset) + 1
    this.#block(clock)
    return { type: 'committed', next: this.next }
  }

  /** Moves the time at which a message comes back; false when it is not of the batch. */
  change(
    queueOffset: number,
    popTime: number,
    visibleAt: number,
    clock: { readonly now: number; readonly monotonic: number },
  ): boolean {
    const batch = this.#batch
    if (batch === null || batch.popTime !== popTime) return false
    if (!batch.offsets.includes(queueOffset)) return false
    this.#batch = { ...batch, visibleAt: new Map([...batch.visibleAt, [queueOffset, visibleAt]]) }
    this.#block(clock)
    return true
  }

  /** Goes to an offset that somebody else has set, and forgets the batch. */
  reset(queueOffset: number): void {
    this.#batch = null
    this.next = queueOffset
    this.blockedUntil = 0
  }

  restore(batch: OrderBatch, clock: { readonly now: number; readonly monotonic: number }): void {
    this.#batch = batch
    this.#block(clock)
  }

  #firstPending(): number | undefined {
    return this.#batch?.offsets.find((offset) => this.#batch?.acked.has(offset) === false)
  }

  #block(clock: { readonly now: number; readonly monotonic: number }): void {
    const batch = this.#batch
    this.blockedUntil = 0
    for (const offset of batch?.offsets ?? []) {
      if (batch === null || batch.acked.has(offset)) continue
      const visibleAt = batch.visibleAt.get(offset) ?? batch.popTime + batch.invisibleTime
      // A wall clock that went back must not hide a message for longer than was asked.
      const longest = Math.max(batch.invisibleTime, visibleAt - batch.popTime)
      const remaining = Math.min(Math.max(0, visibleAt - clock.now), longest)
      this.blockedUntil = Math.max(this.blockedUntil, clock.monotonic + remaining)
    }
  }
}

/** A message that is given out again counts once more; a repeated attempt does not. */
function countsAfter(
  before: OrderBatch,
  batch: Pick<OrderBatch, 'attemptId' | 'offsets'>,
): ReadonlyMap<number, number> {
  if (before.attemptId !== null && before.attemptId === batch.attemptId) return before.counts
  const counts = new Map<number, number>()
  for (const offset of batch.offsets) {
    if (before.offsets.includes(offset)) counts.set(offset, (before.counts.get(offset) ?? 0) + 1)
  }
  return counts
}
