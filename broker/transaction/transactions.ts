/**
 * Transactions: half messages, their end by the producer, and the checks of those that stay open (protocol §9).
 *
 * Who sends a half message is answered when it is stored, as for any message. All that is known about it here is read back from the queue
 * of half messages, so that the table is the same however it came about; see `open-transactions.ts`.
 *
 * A commit is two records: the message in its real topic, then, gathered with others, the decision. A broker that dies in between leaves
 * the transaction open, and its producer is asked again: the table marks what it found open at its start as in doubt, and such a
 * transaction is committed only when its message cannot be found by its unique id. So a message is visible once, however often it is committed.
 */
import { PropertyName } from '../../common/properties.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { HALF_TOPIC, OP_HALF_TOPIC, TRANSACTION_GROUP } from '../names.ts'
import { answer, success } from '../processors/answers.ts'
import { PendingDecisions, decisionMessageOf, readDecisions } from './decisions.ts'
import { commitStateOf, readHalfAt } from './half-lookup.ts'
import { HALF_QUEUE_ID, committedMessageOf, readHalfMessage } from './half-message.ts'
import { decide, exclusively } from './leadership.ts'
import { OpenTransactions } from './open-transactions.ts'
import { isStored } from '../../store/types.ts'
import { countPut, putAnswer, putMessage, readQueue } from './store-access.ts'
import { TransactionChecks } from './transaction-checks.ts'
import { TransactionStats } from './transaction-stats.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { LeaderService } from '../leader-service.ts'
import type { BrokerParts } from '../parts.ts'
import type { HalfPlace } from './half-lookup.ts'
import type { HalfMessage } from './half-message.ts'
import type { Leadership } from './leadership.ts'
import type { OpenTransaction } from './open-transactions.ts'

/** More open transactions than this, and no half message is taken any more. */
export const MAX_OPEN_TRANSACTIONS = 100_000
/** Ends of transactions whose half messages are not readable yet. */
const MAX_WAITING = 10_000
const ROUND_MS = 1000
const FAST_ROUND_MS = 20

/** What a producer says about a transaction; the place is that of the half message that the producer was answered, or asked about. */
export interface TransactionEnd extends HalfPlace {
  readonly producerGroup: string
  readonly isCommit: boolean
  /** An answer to a check. */
  readonly isFromCheck: boolean
}

export class Transactions implements LeaderService {
  readonly stats: TransactionStats = new TransactionStats()
  readonly #parts: BrokerParts
  readonly #checks: TransactionChecks
  readonly #running = new Set<Promise<void>>()
  readonly #waiting: (() => void)[] = []
  #leadership: Leadership | null = null

  constructor(parts: BrokerParts) {
    this.#parts = parts
    this.#checks = new TransactionChecks(parts, (leadership) => this.#read(leadership))
  }

  /** Open transactions by real topic; empty while this member does not lead. */
  get openByTopic(): ReadonlyMap<string, number> {
    return this.#leadership?.table.counts ?? new Map<string, number>()
  }

  /** False when so many transactions are open that no more are taken. */
  get takesMore(): boolean {
    return (this.#leadership?.table.size ?? 0) < MAX_OPEN_TRANSACTIONS
  }

  startLeading(): void {
    const { offsets, store } = this.#parts
    // A crash may have taken the end of a queue, and not the offsets behind it.
    const begin = (topic: string) => {
      const committed = offsets.query(TRANSACTION_GROUP, topic, HALF_QUEUE_ID) ?? 0
      const max = store.maxOffsetInQueue(topic, HALF_QUEUE_ID)
      return Math.min(max, Math.max(committed, store.minOffsetInQueue(topic, HALF_QUEUE_ID)))
    }
    const leadership: Leadership = {
      table: new OpenTransactions(begin(HALF_TOPIC), begin(OP_HALF_TOPIC)),
      pending: new PendingDecisions(),
      beganAt: store.status().commitOffset,
      isOver: false,
      isBuilt: false,
      timer: null,
      reading: null,
    }
    this.#leadership = leadership
    this.#round(leadership)
  }

  async stopLeading(): Promise<void> {
    const leadership = this.#leadership
    if (leadership === null) return
    leadership.isOver = true
    leadership.timer?.cancel()
    this.#leadership = null
    this.#wake()
    while (this.#running.size > 0) await Promise.allSettled(this.#running)
  }

  /** Commits or rolls back; resolves with the answer. */
  async end(end: TransactionEnd): Promise<ResponseContent> {
    const leadership = this.#leadership
    if (leadership === null) {
      return answer(ResponseCode.SLAVE_NOT_AVAILABLE, 'the broker does not lead its group')
    }
    return this.#tracked(() => this.#end(leadership, end))
  }

  async #end(leadership: Leadership, end: TransactionEnd): Promise<ResponseContent> {
    const half = readHalfAt(this.#parts.store, end)
    if (half === null) return notFound()
    const refusal = this.#refusalOf(half, end)
    if (refusal !== null) return refusal
    if (!(await this.#hasRead(leadership, half.message.queueOffset))) {
      return answer(ResponseCode.SYSTEM_BUSY, 'the transactions of the broker are being read')
    }
    for (;;) {
      const transaction = leadership.table.get(half.transaction)
      if (transaction === null || leadership.isOver) {
        const remark = 'The transaction has been ended already, or was given up after its checks'
        return answer(ResponseCode.SYSTEM_ERROR, remark)
      }
      if (transaction.busy !== null) {
        await transaction.busy
        continue
      }
      return exclusively(transaction, () =>
        end.isCommit
          ? this.#commit(leadership, transaction, half)
          : Promise.resolve(this.#rollBack(leadership, transaction, half)),
      )
    }
  }

  /** What Java's EndTransactionProcessor checks, in its order. */
  #refusalOf(half: HalfMessage, end: TransactionEnd): ResponseContent | null {
    const { message, immunityMs, properties } = half
    const age = this.#parts.clock.now() - message.bornTimestamp
    const { transactionTimeOut } = this.#parts.config.values
    const hasImmunity = properties.has(PropertyName.CHECK_IMMUNITY_TIME_IN_SECONDS)
    if (hasImmunity && !end.isFromCheck && age > (immunityMs ?? transactionTimeOut)) {
      const remark = `the transaction is older than its CHECK_IMMUNITY_TIME_IN_SECONDS: wait for the check`
      return answer(ResponseCode.ILLEGAL_OPERATION, remark)
    }
    const wrong = (remark: string) => answer(ResponseCode.SYSTEM_ERROR, remark)
    if (half.producerGroup !== end.producerGroup) return wrong('The producer group wrong')
    if (message.queueOffset !== end.queueOffset) {
      return wrong('The transaction state table offset wrong')
    }
    return null
  }

  async #commit(
    leadership: Leadership,
    transaction: OpenTransaction,
    half: HalfMessage,
  ): Promise<ResponseContent> {
    const { store, clock } = this.#parts
    const state = transaction.isInDoubt ? commitStateOf(store, transaction, half) : 'notCommitted'
    if (state === 'unknown') return answer(ResponseCode.SYSTEM_ERROR, UNKNOWN)
    if (state === 'notCommitted') {
      const message = committedMessageOf(half)
      const result = await putMessage(store, message, 'certainly')
      if (!isStored(result.status)) {
        transaction.isInDoubt = true
        return putAnswer(result)
      }
      countPut(this.#parts, message)
    }
    if (!leadership.isOver) decide(leadership, transaction, clock.now())
    this.stats.committed(half.realTopic, clock.now() - half.message.bornTimestamp)
    return success()
  }

  #rollBack(
    leadership: Leadership,
    transaction: OpenTransaction,
    half: HalfMessage,
  ): ResponseContent {
    decide(leadership, transaction, this.#parts.clock.now())
    this.stats.rolledBack(half.realTopic)
    return success()
  }

  /** Resolves with true when the table knows this half message; with false when there is no telling. */
  async #hasRead(leadership: Leadership, queueOffset: number): Promise<boolean> {
    while (!leadership.isOver) {
      if (leadership.isBuilt) {
        if (leadership.table.halfEnd > queueOffset) return true
        await this.#read(leadership)
        if (leadership.table.halfEnd > queueOffset) return true
      }
      if (this.#waiting.length >= MAX_WAITING) return false
      if (leadership.isBuilt) this.#schedule(leadership, FAST_ROUND_MS)
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
      })
    }
    return false
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  async #tracked<Result>(act: () => Promise<Result>): Promise<Result> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#running.add(promise)
    try {
      return await act()
    } finally {
      this.#running.delete(promise)
      resolve()
    }
  }

  #schedule(leadership: Leadership, delayMs: number): void {
    if (leadership.isOver) return
    leadership.timer?.cancel()
    leadership.timer = this.#parts.timers.after(delayMs, () => this.#round(leadership))
  }

  #round(leadership: Leadership): void {
    leadership.timer = null
    const running = this.#tracked(() => this.#work(leadership)).catch((err: unknown) => {
      this.#parts.logger.error({ err }, 'a round of the transaction checks failed')
    })
    running
      .then(() => {
        // Whoever waits has asked for the next round himself.
        if (leadership.timer === null) this.#schedule(leadership, ROUND_MS)
        this.#wake()
      })
      .catch(() => undefined)
  }

  async #work(leadership: Leadership): Promise<void> {
    if (!leadership.isBuilt) {
      const { commitOffset, dispatchBehindBytes } = this.#parts.store.status()
      if (commitOffset - dispatchBehindBytes < leadership.beganAt) {
        this.#schedule(leadership, FAST_ROUND_MS)
        return
      }
      await this.#build(leadership)
    }
    await this.#read(leadership)
    if (leadership.isOver) return
    await this.#checks.run(leadership)
    await this.#writeDecisions(leadership)
    this.#commitProgress(leadership)
  }

  async #build(leadership: Leadership): Promise<void> {
    const { table } = leadership
    const { store, logger } = this.#parts
    let decisionEnd = table.decisionOffset
    while (!leadership.isOver) {
      const { messages, nextOffset } = await readQueue(store, OP_HALF_TOPIC, decisionEnd)
      for (const message of messages)
        table.readDecision(message.queueOffset, readDecisions(message))
      if (nextOffset <= decisionEnd) break
      decisionEnd = nextOffset
    }
    await this.#read(leadership)
    if (leadership.isOver) return
    table.built()
    leadership.isBuilt = true
    const { size, halfOffset, halfEnd, decisionOffset } = table
    logger.info({ size, halfOffset, halfEnd, decisionOffset }, 'open transactions have been read')
  }

  /** Reads the half messages that have come since the last time; one reader at a time. */
  #read(leadership: Leadership): Promise<void> {
    leadership.reading ??= this.#readHalves(leadership).finally(() => {
      leadership.reading = null
    })
    return leadership.reading
  }

  async #readHalves(leadership: Leadership): Promise<void> {
    const { table } = leadership
    const { store } = this.#parts
    while (!leadership.isOver) {
      const from = table.halfEnd
      const { messages, nextOffset } = await readQueue(store, HALF_TOPIC, from)
      if (leadership.isOver) return
      for (const message of messages)
        this.#take(leadership, message.queueOffset, readHalfMessage(message))
      table.skipTo(nextOffset)
      if (table.halfEnd <= from) return
    }
  }

  #take(leadership: Leadership, queueOffset: number, half: HalfMessage | null): void {
    const { table, pending, isBuilt } = leadership
    const transaction = table.readHalf(queueOffset, half)
    if (!isBuilt || half === null || transaction !== null) return
    // A copy that came to light after its transaction was decided: the next leader must know it too.
    if (half.transaction !== queueOffset) pending.add(queueOffset, this.#parts.clock.now())
  }

  async #writeDecisions(leadership: Leadership): Promise<void> {
    const { clock, config, store } = this.#parts
    const { transactionOpMsgMaxSize: maxSize, transactionOpBatchInterval: intervalMs } =
      config.values
    const { pending, table } = leadership
    while (!leadership.isOver && pending.isDue(clock.now(), { maxSize, intervalMs })) {
      const halfOffsets = pending.take(maxSize)
      const own = {
        now: clock.now(),
        host: this.#parts.storeHost(),
        uniqueId: this.#parts.uniqueId(),
      }
      const result = await putMessage(store, decisionMessageOf(halfOffsets, own), 'written')
      if (!isStored(result.status)) {
        pending.giveBack(halfOffsets)
        return
      }
      table.addDecision(result.queueOffset, halfOffsets)
    }
  }

  #commitProgress({ table, isOver }: Leadership): void {
    if (isOver) return
    const { offsets } = this.#parts
    table.dropDecisions()
    // In this order: a decision that is forgotten must not be about half messages that are still to be read.
    offsets.commit(TRANSACTION_GROUP, HALF_TOPIC, HALF_QUEUE_ID, table.halfOffset)
    offsets.commit(TRANSACTION_GROUP, OP_HALF_TOPIC, HALF_QUEUE_ID, table.decisionOffset)
  }
}

const UNKNOWN =
  'a message that may be that of the transaction cannot be read: it is not known to be committed, and not committed again'

function notFound(): ResponseContent {
  return answer(ResponseCode.SYSTEM_ERROR, 'Find prepared transaction message failed')
}
