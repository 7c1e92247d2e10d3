/** Transactions: a message is there once and only when its producer has decided so, and every decision comes to be known. */
import { decodeRecord } from '../common/message-codec.ts'
import { PropertyName } from '../common/properties.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { keyOf } from './checker.ts'
import { placeOf, send } from './sender.ts'
import type { RemotingRequest } from '../remoting/connection.ts'
import type { BrokerClient } from './broker-client.ts'
import type { Feature } from './feature.ts'
import type { WorkloadOptions } from './workload.ts'

const GROUP = 'Producers'
const HEARTBEAT_MS = 1000
const COMMIT = 8
const ROLLBACK = 12
const UNKNOWN = 0

interface Transaction {
  readonly isToCommit: boolean
  /** Checks that are answered with "not known yet". */
  unknowns: number
  /** The broker may have been told to commit. */
  isTold: boolean
}

/** Where a half message lies. */
interface Half {
  readonly queueOffset: number | string
  readonly physicalOffset: number | string
}

export class TransactionFeature implements Feature {
  readonly topic = 'Bills'
  readonly counts: Record<string, number> = { acknowledged: 0, committed: 0, checks: 0 }
  readonly #options: WorkloadOptions
  readonly #transactions = new Map<string, Transaction>()
  /** Acknowledged and to be committed, and not there yet. */
  readonly #waiting = new Set<string>()
  #sequence = 0

  constructor(options: WorkloadOptions) {
    this.#options = options
  }

  join(client: BrokerClient): void {
    client.remoting.register(RequestCode.CHECK_TRANSACTION_STATE, (request) =>
      this.#onCheck(client, request),
    )
    void this.#beat(client)
  }

  async operate(client: BrokerClient): Promise<void> {
    const { random, settings, checker } = this.#options
    const key = `t${this.#sequence++}`
    const isDecidedAtOnce = random.integer(3) > 0
    const transaction = {
      isToCommit: random.integer(3) > 0,
      unknowns: random.integer(2),
      isTold: false,
    }
    this.#transactions.set(key, transaction)
    const answer = await send(client, {
      topic: this.topic,
      queueId: random.integer(2),
      key,
      properties: [
        [PropertyName.TRAN_MSG, 'true'],
        [PropertyName.PGROUP, GROUP],
      ],
      bodyBytes: random.integer(settings.bodyBytes),
      isTransaction: true,
    })
    if (answer === null) return
    this.counts['acknowledged'] = (this.counts['acknowledged'] ?? 0) + 1
    if (transaction.isToCommit && checker.byKey(key) === null) this.#waiting.add(key)
    // A check asks for the others.
    if (isDecidedAtOnce) await this.#decide(client, key, transaction, placeOf(answer), false)
  }

  committed(key: string): string | null {
    const transaction = this.#transactions.get(key)
    if (transaction === undefined) return 'nobody sent it'
    this.#waiting.delete(key)
    this.counts['committed'] = (this.counts['committed'] ?? 0) + 1
    return transaction.isTold ? null : 'nobody has committed it'
  }

  missing(): string | null {
    for (const key of this.#waiting) return `${this.#waiting.size} transactions, ${key} among them`
    return null
  }

  checkEnd(): void {
    // What is missing has been waited for.
  }

  /** Whoever leads knows the producers that it may ask. */
  async #beat(client: BrokerClient): Promise<void> {
    const heartbeat = { clientID: client.id, producerDataSet: [{ groupName: GROUP }] }
    const body = Buffer.from(JSON.stringify({ ...heartbeat, consumerDataSet: [] }))
    while (this.#options.engine.violation === null) {
      await client.askLeader({ code: RequestCode.HEART_BEAT, body })
      await client.sleep(HEARTBEAT_MS)
    }
  }

  async #onCheck(client: BrokerClient, { command }: RemotingRequest): Promise<void> {
    const { extFields, body } = command
    const key = keyOf(decodeRecord(body).body.toString('latin1'))
    const transaction = this.#transactions.get(key)
    if (transaction === undefined) return
    this.counts['checks'] = (this.counts['checks'] ?? 0) + 1
    const half = {
      queueOffset: extFields.get('tranStateTableOffset') ?? '',
      physicalOffset: extFields.get('commitLogOffset') ?? '',
    }
    await this.#decide(client, key, transaction, half, true)
  }

  async #decide(
    client: BrokerClient,
    key: string,
    transaction: Transaction,
    half: Half,
    isCheck: boolean,
  ): Promise<void> {
    let decision: number = transaction.isToCommit ? COMMIT : ROLLBACK
    if (isCheck && transaction.unknowns > 0) {
      transaction.unknowns--
      decision = UNKNOWN
    }
    if (decision === COMMIT) transaction.isTold = true
    await client.tell({
      code: RequestCode.END_TRANSACTION,
      extFields: {
        producerGroup: GROUP,
        tranStateTableOffset: String(half.queueOffset),
        commitLogOffset: String(half.physicalOffset),
        commitOrRollback: String(decision),
        fromTransactionCheck: String(isCheck),
        msgId: key,
        transactionId: key,
      },
    })
  }
}
