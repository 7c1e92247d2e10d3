/**
 * The transactions that nobody has decided yet, and how far the queues of half messages and of decisions are done with.
 *
 * A function of those two queues alone: `readDecision` and `readHalf` are given their records in order, from the offsets on that the
 * group CID_RMQ_SYS_TRANS has committed. So a new leader, or a restarted broker, comes to the table that its predecessor had.
 */
import type { HalfMessage } from './half-message.ts'

/** One object for the life of a transaction; only the table and its owner change it. */
export interface OpenTransaction {
  /** Queue offset of its first half message. */
  readonly id: number
  readonly topic: string
  readonly immunityMs: number | null
  /** The newest copy. */
  queueOffset: number
  physicalOffset: number
  storeTimestamp: number
  checkTimes: number
  /** From when on its age counts, for the time of the next check. */
  since: number
  /** It may have been committed already, by somebody who could not say so any more: to be looked up before it is committed. */
  isInDoubt: boolean
  /** What is being done with it; null: nothing. */
  busy: Promise<void> | null
}

/** A record of the queue of decisions. */
interface Decision {
  readonly queueOffset: number
  readonly lastHalfOffset: number
}

export class OpenTransactions {
  /** By id, in the order of their newest copies: a copy that is put back moves its transaction to the end. */
  readonly #open = new Map<number, OpenTransaction>()
  readonly #counts = new Map<string, number>()
  /** Decided half messages at or after `#halfOffset`; only while the table is built. */
  #decided: Set<number> | null = new Set<number>()
  readonly #ended = new Set<number>()
  /** Decisions about half messages that are not all done with, in the order of their queue. */
  #decisions: Decision[] = []
  #decisionsEnd: number
  /** The next half message to be read. */
  #halfEnd: number

  constructor(halfOffset: number, decisionOffset: number) {
    this.#halfEnd = halfOffset
    this.#decisionsEnd = decisionOffset
  }

  get size(): number {
    return this.#open.size
  }

  get halfEnd(): number {
    return this.#halfEnd
  }

  /** Where whoever builds the table anew has to begin. */
  get halfOffset(): number {
    for (const { queueOffset } of this.#open.values()) return queueOffset
    return this.#halfEnd
  }

  get decisionOffset(): number {
    return this.#decisions[0]?.queueOffset ?? this.#decisionsEnd
  }

  get(id: number): OpenTransaction | null {
    return this.#open.get(id) ?? null
  }

  all(): Iterable<OpenTransaction> {
    return this.#open.values()
  }

  /** Open transactions by real topic. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts
  }

  /** Takes a record of the queue of decisions, while the table is built. */
  readDecision(queueOffset: number, halfOffsets: readonly number[]): void {
    for (const halfOffset of halfOffsets) {
      if (halfOffset >= this.#halfEnd) this.#decided?.add(halfOffset)
    }
    this.addDecision(queueOffset, halfOffsets)
  }

  /** Takes a decision that has been written. */
  addDecision(queueOffset: number, halfOffsets: readonly number[]): void {
    const lastHalfOffset = halfOffsets.reduce((last, offset) => Math.max(last, offset), -1)
    this.#decisions.push({ queueOffset, lastHalfOffset })
    this.#decisionsEnd = Math.max(this.#decisionsEnd, queueOffset + 1)
  }

  /** All that was there has been read: from now on no transaction is decided behind the table's back. */
  built(): void {
    this.#decided = null
    this.#ended.clear()
  }

  /**
   * Takes the next record of the half topic, null for one that is no half message. Returns the transaction that this copy belongs to, or
   * null when there is none that is open.
   */
  readHalf(queueOffset: number, half: HalfMessage | null): OpenTransaction | null {
    this.#halfEnd = queueOffset + 1
    if (half === null) return null
    const id = half.transaction
    const known = this.#open.get(id) ?? null
    if (this.#decided !== null) {
      if (this.#decided.has(queueOffset) || this.#decided.has(id)) this.#ended.add(id)
      if (this.#ended.has(id)) {
        if (known !== null) this.end(known)
        return null
      }
    } else if (known === null && id !== queueOffset) return null
    const { message, checkTimes } = half
    const { physicalOffset, storeTimestamp } = message
    const isStoredAsTold = id === queueOffset || checkTimes > 0
    // A producer's clock may be wrong: its word counts only where the store's own time is that of a copy.
    const since = isStoredAsTold ? storeTimestamp : Math.min(message.bornTimestamp, storeTimestamp)
    const transaction: OpenTransaction = known ?? {
      id,
      topic: half.realTopic,
      immunityMs: half.immunityMs,
      queueOffset,
      physicalOffset,
      storeTimestamp,
      checkTimes,
      since,
      isInDoubt: this.#decided !== null,
      busy: null,
    }
    if (known === null) this.#count(half.realTopic, 1)
    Object.assign(transaction, { queueOffset, physicalOffset, storeTimestamp, checkTimes, since })
    this.#open.delete(id)
    this.#open.set(id, transaction)
    return transaction
  }

  /** Goes on behind records of the half topic that are not there any more. */
  skipTo(queueOffset: number): void {
    this.#halfEnd = Math.max(this.#halfEnd, queueOffset)
  }

  /** The transaction has been decided, or given up. */
  end(transaction: OpenTransaction): void {
    if (!this.#open.delete(transaction.id)) return
    this.#count(transaction.topic, -1)
  }

  /** Forgets decisions about nothing but half messages that are done with. */
  dropDecisions(): void {
    const { halfOffset } = this
    let count = 0
    while (count < this.#decisions.length) {
      const decision = this.#decisions[count]
      if (decision === undefined || decision.lastHalfOffset >= halfOffset) break
      count++
    }
    if (count > 0) this.#decisions = this.#decisions.slice(count)
  }

  #count(topic: string, change: number): void {
    const count = (this.#counts.get(topic) ?? 0) + change
    if (count > 0) this.#counts.set(topic, count)
    else this.#counts.delete(topic)
  }
}
