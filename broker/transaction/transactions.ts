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
import { decodeRecord } from '../../common/message-codec.ts'
import { MessageSysFlag } from '../../common/message.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { CHECK_MAX_TIME_TOPIC, HALF_TOPIC, OP_HALF_TOPIC, TRANSACTION_GROUP } from '../names.ts'
import { answer, success } from '../processors/answers.ts'
import { PendingDecisions, decisionMessageOf, readDecisions } from './decisions.ts'
import {
  HALF_QUEUE_ID,
  committedMessageOf,
  expiredMessageOf,
  putBackMessageOf,
  readHalfMessage,
} from './half-message.ts'
import { OpenTransactions } from './open-transactions.ts'
import { ProducerChecks } from './producer-checks.ts'
import { isStored } from '../../store/types.ts'
import { putAnswer, putMessage, readQueue } from './store-access.ts'
import { TransactionStats } from './transaction-stats.ts'
import { topicConfig, Permission } from '../../remoting/bodies/topic-config.ts'
import type { MessageToStore } from '../../common/message.ts'
import type { Timer } from '../../common/ports.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { LeaderService } from '../leader-service.ts'
import type { BrokerParts } from '../parts.ts'
import type { HalfMessage } from './half-message.ts'
import type { OpenTransaction } from './open-transactions.ts'

/** More open transactions than this, and no half message is taken any more. */
export const MAX_OPEN_TRANSACTIONS = 100_000
/** Ends of transactions whose half messages are not readable yet. */
const MAX_WAITING = 10_000
const ROUND_MS = 1000
const FAST_ROUND_MS = 20
/** Transactions that one round checks, and how many of them at a time. */
const CHECKS_PER_ROUND = 2000
const CHECKS_AT_ONCE = 64
/** A transaction this far behind the newest half message is put back without a check, so that a new leader has little to read. */
const MAX_DISTANCE = 20_000
const HOUR_MS = 3_600_000

/** Where a half message lies. */
interface HalfPlace {
  readonly queueOffset: number
  readonly physicalOffset: number
}

/** What a producer says about a transaction; the place is that of the half message that the producer was answered, or asked about. */
export interface TransactionEnd extends HalfPlace {
  readonly producerGroup: string
  readonly isCommit: boolean
  /** An answer to a check. */
  readonly isFromCheck: boolean
}

/** A time of leading: what was begun in one goes on in no other. */
interface Leadership {
  readonly table: OpenTransactions
  readonly pending: PendingDecisions
  /** The end of the log when it began: what a predecessor has committed lies before. */
  readonly beganAt: number
  isOver: boolean
  isBuilt: boolean
  timer: Timer | null
  reading: Promise<void> | null
}

export class Transactions implements LeaderService {
  readonly stats: TransactionStats = new TransactionStats()
  readonly #parts: BrokerParts
  readonly #checks: ProducerChecks
  readonly #running = new Set<Promise<void>>()
  readonly #waiting: (() => void)[] = []
  #leadership: Leadership | null = null

  constructor(parts: BrokerParts) {
    this.#parts = parts
    this.#checks = new ProducerChecks(parts)
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
    const half = this.#readHalf(end)
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
      return this.#exclusively(transaction, () =>
        end.isCommit
          ? this.#commit(leadership, transaction, half)
          : Promise.resolve(this.#rollBack(leadership, transaction, half)),
      )
    }
  }

  /** The half message at a place that somebody names; null when it is none, or gone. */
  #readHalf({ queueOffset, physicalOffset }: HalfPlace): HalfMessage | null {
    const { store } = this.#parts
    const message = store.messageAt(physicalOffset)
    if (message !== null) return readHalfMessage(message)
    const isKept = physicalOffset >= store.status().minPhysicalOffset
    if (isKept && store.physicalOffsetAt(HALF_TOPIC, HALF_QUEUE_ID, queueOffset) === physicalOffset)
      store.noteDamaged(`offset ${queueOffset} of ${HALF_TOPIC}: no record`)
    return null
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
    if (!transaction.isInDoubt || !this.#isCommitted(transaction, half)) {
      const message = committedMessageOf(half)
      const result = await putMessage(this.#parts.store, message, 'certainly')
      if (!isStored(result.status)) {
        transaction.isInDoubt = true
        return putAnswer(result)
      }
      this.#countPut(message)
    }
    if (!leadership.isOver) this.#decided(leadership, transaction)
    this.stats.committed(half.realTopic, this.#parts.clock.now() - half.message.bornTimestamp)
    return success()
  }

  #rollBack(
    leadership: Leadership,
    transaction: OpenTransaction,
    half: HalfMessage,
  ): ResponseContent {
    this.#decided(leadership, transaction)
    this.stats.rolledBack(half.realTopic)
    return success()
  }

  /** True when the message of this transaction is in its topic already. */
  #isCommitted(transaction: OpenTransaction, half: HalfMessage): boolean {
    const { store, config } = this.#parts
    const key = half.properties.get(PropertyName.UNIQ_KEY)
    if (key === undefined) return false
    const { records } = store.queryByKey({
      topic: half.realTopic,
      key,
      maxMessages: config.values.maxMsgsNumBatch,
      beginTimestamp: 0,
      endTimestamp: Number.MAX_SAFE_INTEGER,
    })
    for (const record of records) {
      const { sysFlag, preparedTransactionOffset } = decodeRecord(record)
      const kind = sysFlag & MessageSysFlag.TRANSACTION_MASK
      if (kind !== MessageSysFlag.TRANSACTION_COMMIT) continue
      if (preparedTransactionOffset === transaction.physicalOffset) return true
      const prepared = store.messageAt(preparedTransactionOffset)
      const other = prepared === null ? null : readHalfMessage(prepared)
      if (other?.transaction === transaction.id) return true
    }
    return false
  }

  #decided(leadership: Leadership, transaction: OpenTransaction): void {
    leadership.table.end(transaction)
    leadership.pending.add(transaction.queueOffset, this.#parts.clock.now())
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

  /** One after the other for all that is done with one transaction. */
  async #exclusively<Result>(
    transaction: OpenTransaction,
    act: () => Promise<Result>,
  ): Promise<Result> {
    const acting = act()
    const busy = acting.then(
      () => undefined,
      () => undefined,
    )
    transaction.busy = busy
    try {
      return await acting
    } finally {
      if (transaction.busy === busy) transaction.busy = null
    }
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
    await this.#check(leadership)
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

  async #check(leadership: Leadership): Promise<void> {
    const due = this.#dueTransactions(leadership)
    for (let at = 0; at < due.length && !leadership.isOver; at += CHECKS_AT_ONCE) {
      const some = due.slice(at, at + CHECKS_AT_ONCE)
      await Promise.all(
        some.map((transaction) =>
          transaction.busy === null
            ? this.#exclusively(transaction, () => this.#checkOne(leadership, transaction))
            : transaction.busy,
        ),
      )
    }
  }

  #dueTransactions({ table }: Leadership): readonly OpenTransaction[] {
    const { clock, config } = this.#parts
    const { transactionTimeOut, transactionCheckInterval } = config.values
    const now = clock.now()
    const due: OpenTransaction[] = []
    for (const transaction of table.all()) {
      const { since, checkTimes, immunityMs, storeTimestamp, queueOffset } = transaction
      const wait = checkTimes > 0 ? transactionCheckInterval : (immunityMs ?? transactionTimeOut)
      const isFarBehind =
        table.halfEnd - queueOffset > MAX_DISTANCE &&
        now - storeTimestamp > transactionCheckInterval
      if (now - since < wait && !isFarBehind) continue
      due.push(transaction)
      if (due.length >= CHECKS_PER_ROUND) break
    }
    return due
  }

  async #checkOne(leadership: Leadership, transaction: OpenTransaction): Promise<void> {
    const { store, logger, clock, config } = this.#parts
    const { transactionCheckMax, transactionTimeOut, transactionCheckInterval } = config.values
    const { table } = leadership
    if (table.get(transaction.id) !== transaction) return
    const half = this.#readHalf(transaction)
    if (half === null) {
      logger.warn({ ...transaction, busy: undefined }, 'a half message is gone before its end')
      table.end(transaction)
      return
    }
    if (transaction.isInDoubt && this.#isCommitted(transaction, half)) {
      this.#decided(leadership, transaction)
      return
    }
    const { checkTimes, immunityMs, since } = transaction
    const now = clock.now()
    const wait = checkTimes > 0 ? transactionCheckInterval : (immunityMs ?? transactionTimeOut)
    const isDue = now - since >= wait
    if (isDue && (checkTimes >= transactionCheckMax || this.#isTooOld(half, since))) {
      await this.#expire(leadership, transaction, half)
      return
    }
    const times = isDue ? checkTimes + 1 : checkTimes
    const result = await putMessage(store, putBackMessageOf(half, times), 'certainly')
    if (leadership.isOver || !isStored(result.status)) return
    await this.#read(leadership)
    const copy = store.messageAt(result.physicalOffsets[0] ?? -1)
    const newest = copy === null ? null : readHalfMessage(copy)
    if (isDue && newest !== null && table.get(transaction.id) === transaction) {
      this.#checks.ask(newest)
    }
  }

  #isTooOld({ message, checkTimes }: HalfMessage, since: number): boolean {
    const { clock, config } = this.#parts
    const begin = checkTimes > 0 ? message.bornTimestamp : since
    return clock.now() - begin > config.values.fileReservedTime * HOUR_MS
  }

  async #expire(
    leadership: Leadership,
    transaction: OpenTransaction,
    half: HalfMessage,
  ): Promise<void> {
    const { topics, store, logger } = this.#parts
    const queues = { readQueueNums: 1, writeQueueNums: 1, perm: Permission.READ_WRITE }
    await topics.ensure(topicConfig(CHECK_MAX_TIME_TOPIC, queues))
    if (leadership.isOver) return
    const expired = expiredMessageOf(half)
    const result = await putMessage(store, expired, 'certainly')
    if (leadership.isOver || !isStored(result.status)) return
    this.#countPut(expired)
    this.#decided(leadership, transaction)
    const { id, topic, checkTimes } = transaction
    logger.warn(
      { transaction: id, topic, checkTimes, producerGroup: half.producerGroup },
      'nobody decided a transaction: its message is now in TRANS_CHECK_MAX_TIME_TOPIC',
    )
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

  #countPut({ topic, body, properties }: MessageToStore): void {
    const { stats, config } = this.#parts
    stats.putTotal++
    stats.add('TOPIC_PUT_NUMS', topic, 1, 1)
    stats.add('TOPIC_PUT_SIZE', topic, body.length + properties.length, 1)
    stats.add('BROKER_PUT_NUMS', config.values.brokerClusterName, 1, 1)
  }
}

function notFound(): ResponseContent {
  return answer(ResponseCode.SYSTEM_ERROR, 'Find prepared transaction message failed')
}
