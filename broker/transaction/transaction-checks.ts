/**
 * The checks of transactions that stay open: their producers are asked when it is time, and what nobody decides expires.
 *
 * A half message that is checked is put back behind all others, with the number of its checks, so that the next leader has little to read
 * and goes on counting.
 */
import { CHECK_MAX_TIME_TOPIC } from '../names.ts'
import { Permission, topicConfig } from '../../remoting/bodies/topic-config.ts'
import { isStored } from '../../store/types.ts'
import { commitStateOf, readHalfAt } from './half-lookup.ts'
import { expiredMessageOf, putBackMessageOf, readHalfMessage } from './half-message.ts'
import { decide, exclusively } from './leadership.ts'
import { ProducerChecks } from './producer-checks.ts'
import { countPut, putMessage } from './store-access.ts'
import type { BrokerParts } from '../parts.ts'
import type { HalfMessage } from './half-message.ts'
import type { Leadership } from './leadership.ts'
import type { OpenTransaction } from './open-transactions.ts'

/** Transactions that one round checks, and how many of them at a time. */
const CHECKS_PER_ROUND = 2000
const CHECKS_AT_ONCE = 64
/** A transaction this far behind the newest half message is put back without a check, so that a new leader has little to read. */
const MAX_DISTANCE = 20_000
const HOUR_MS = 3_600_000

export class TransactionChecks {
  readonly #parts: BrokerParts
  readonly #producers: ProducerChecks
  readonly #readHalves: (leadership: Leadership) => Promise<void>

  /** `readHalves` takes the half messages that have come since the last time into the table. */
  constructor(parts: BrokerParts, readHalves: (leadership: Leadership) => Promise<void>) {
    this.#parts = parts
    this.#producers = new ProducerChecks(parts)
    this.#readHalves = readHalves
  }

  /** One round. */
  async run(leadership: Leadership): Promise<void> {
    const due = this.#dueTransactions(leadership)
    for (let at = 0; at < due.length && !leadership.isOver; at += CHECKS_AT_ONCE) {
      const some = due.slice(at, at + CHECKS_AT_ONCE)
      await Promise.all(
        some.map((transaction) =>
          transaction.busy === null
            ? exclusively(transaction, () => this.#checkOne(leadership, transaction))
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
    const half = readHalfAt(store, transaction)
    if (half === null) {
      logger.warn({ ...transaction, busy: undefined }, 'a half message is gone before its end')
      table.end(transaction)
      return
    }
    if (transaction.isInDoubt && commitStateOf(store, transaction, half) === 'committed') {
      decide(leadership, transaction, clock.now())
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
    await this.#readHalves(leadership)
    const copy = store.messageAt(result.physicalOffsets[0] ?? -1)
    const newest = copy === null ? null : readHalfMessage(copy)
    if (isDue && newest !== null && table.get(transaction.id) === transaction) {
      this.#producers.ask(newest)
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
    const { topics, store, logger, clock } = this.#parts
    const queues = { readQueueNums: 1, writeQueueNums: 1, perm: Permission.READ_WRITE }
    await topics.ensure(topicConfig(CHECK_MAX_TIME_TOPIC, queues))
    if (leadership.isOver) return
    const expired = expiredMessageOf(half)
    const result = await putMessage(store, expired, 'certainly')
    if (leadership.isOver || !isStored(result.status)) return
    countPut(this.#parts, expired)
    decide(leadership, transaction, clock.now())
    const { id, topic, checkTimes } = transaction
    logger.warn(
      { transaction: id, topic, checkTimes, producerGroup: half.producerGroup },
      'nobody decided a transaction: its message is now in TRANS_CHECK_MAX_TIME_TOPIC',
    )
  }
}
