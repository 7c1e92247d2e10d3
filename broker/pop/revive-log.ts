/**
 * The revive log: queues of the topic `rmq_sys_REVIVE_LOG_<cluster>`, in which stands what was popped and acknowledged.
 *
 * All that is appended in a turn of the event loop is one batch for each queue. Acknowledgements of one checkpoint in one turn are one record.
 */
import { RecordReader } from '../../common/message-codec.ts'
import { PropertyName, encodeProperties, propertyIn } from '../../common/properties.ts'
import { RemotingError } from '../../remoting/errors.ts'
import { isStored } from '../../store/types.ts'
import { ReviveCounts } from './revive-counts.ts'
import { decodeReviveRecord, encodeReviveRecord } from './revive-record.ts'
import type { RecordProblem } from '../../common/message-codec.ts'
import type { HostAddress, MessageToStore } from '../../common/message.ts'
import type { Logger } from '../../common/log.ts'
import type { Clock, Timers } from '../../common/ports.ts'
import type { GetResult, PutResult, Store } from '../../store/types.ts'
import type { Checkpoint, WaitingAck } from './pop-queue.ts'
import type { ReviveType } from './revive-counts.ts'
import type { EncodedRecord, ReviveRecord } from './revive-record.ts'

/** RocketMQ's group whose committed offsets say from where on the revive log is needed. */
export const REVIVE_GROUP = 'CID_RMQ_SYS_REVIVE_GROUP'
export const REVIVE_QUEUES = 8

/** Records of one put. */
const BATCH_RECORDS_MAX = 512
const READ_RECORDS = 32

/** Told whether a record is committed. */
export type Appended = (isCommitted: boolean) => void

export interface ReviveLogOptions {
  readonly store: Pick<
    Store,
    'put' | 'get' | 'maxOffsetInQueue' | 'minOffsetInQueue' | 'noteDamaged'
  >
  readonly clock: Pick<Clock, 'now'>
  readonly timers: Pick<Timers, 'soon'>
  readonly logger: Logger
  readonly topic: string
  readonly brokerName: string
  readonly storeHost: () => HostAddress
}

/** Made into bytes when the batch is full. */
type Waiting = { readonly record: ReviveRecord; readonly done: Appended[] } | WaitingAck

export class ReviveLog {
  readonly topic: string
  readonly #options: ReviveLogOptions
  readonly #waiting: Waiting[][] = Array.from({ length: REVIVE_QUEUES }, () => [])
  readonly #properties = new Map<string, Buffer>()
  readonly counts: ReviveCounts = new ReviveCounts()
  /** By queue: batches that are not answered. */
  readonly #batches: (readonly Waiting[])[][] = Array.from({ length: REVIVE_QUEUES }, () => [])
  #isScheduled = false
  /** Appends that have not been answered. */
  #underWay = 0
  #onIdle: (() => void)[] = []

  constructor(options: ReviveLogOptions) {
    this.#options = options
    this.topic = options.topic
  }

  /** Appends a record, in the order of the calls for one queue; `done` is called once, in a later turn. */
  append(reviveQueueId: number, record: ReviveRecord, done: Appended): void {
    this.#add(reviveQueueId, { record, done: [done] })
  }

  /** What a checkpoint's acknowledgements of this turn were merged into is full: the next one stands behind all that was appended before. */
  separateAcks(checkpoint: Checkpoint): void {
    checkpoint.waitingAck = null
  }

  /** Appends that messages of a checkpoint are finished. */
  appendAck(checkpoint: Checkpoint, queueOffsets: readonly number[], done: Appended): void {
    const merged = checkpoint.waitingAck
    if (merged !== null) {
      merged.record.offsets.push(...queueOffsets)
      merged.done.push(done)
      return
    }
    const waiting: WaitingAck = {
      record: { type: 'acks', checkpoint, offsets: [...queueOffsets] },
      done: [done],
    }
    checkpoint.waitingAck = waiting
    this.#add(checkpoint.queue.reviveQueueId, waiting)
  }

  /** Calls `done` when what was appended to a queue last is answered; false: nothing is, and it is not called. */
  afterLast(reviveQueueId: number, done: Appended): boolean {
    const batch = this.#batches[reviveQueueId]?.at(-1)
    const last = this.#waiting[reviveQueueId]?.at(-1) ?? batch?.at(-1)
    last?.done.push(done)
    return last !== undefined
  }

  /** Appends that are not answered. */
  get underWay(): number {
    return this.#underWay
  }

  /** Where the next record of a queue will stand, or before that. */
  endOffset(reviveQueueId: number): number {
    return this.#options.store.maxOffsetInQueue(this.topic, reviveQueueId)
  }

  /** Resolves when all that was appended is answered. */
  async settled(): Promise<void> {
    this.#flush()
    if (this.#underWay === 0) return
    await new Promise<void>((resolve) => this.#onIdle.push(resolve))
  }

  /** Reads what is committed of a queue from an offset on; `visit` is called for each record with its queue offset. Resolves with the end. */
  async read(
    reviveQueueId: number,
    from: number,
    visit: (record: ReviveRecord, queueOffset: number) => void,
  ): Promise<number> {
    const { store, timers } = this.#options
    let next = Math.max(from, store.minOffsetInQueue(this.topic, reviveQueueId))
    const end = this.endOffset(reviveQueueId)
    while (next < end) {
      const result = await this.#get(reviveQueueId, next)
      for (const record of result.records) {
        const problem = this.#visit(record, (each, queueOffset) => {
          this.counts.gets[typeOf(each)].add(each, String(reviveQueueId))
          visit(each, queueOffset)
        })
        if (problem !== null) this.#noteDamaged(reviveQueueId, next, problem)
      }
      if (result.nextBeginOffset <= next && result.records.length === 0) break
      next = Math.max(result.nextBeginOffset, next + result.records.length)
      // A long log must not keep the event loop from its other work.
      await new Promise<void>((resolve) => timers.soon(resolve))
    }
    return end
  }

  /** Returns why the record is none; null when it is one, also of a kind of which nothing is known. */
  #visit(
    bytes: Buffer,
    visit: (record: ReviveRecord, queueOffset: number) => void,
  ): RecordProblem | null {
    const reader = new RecordReader()
    const problem = reader.read(bytes, 0, bytes.length, true)
    if (problem !== null) return problem
    const properties = reader.propertiesAt
    const tag = propertyIn(bytes, properties, properties + reader.propertiesSize, PropertyName.TAGS)
    const body = bytes.subarray(reader.bodyAt, reader.bodyAt + reader.bodySize)
    try {
      const record = decodeReviveRecord(tag, body)
      if (record !== null) visit(record, reader.queueOffset)
    } catch (error) {
      if (!(error instanceof RemotingError)) throw error
      const fields = { topic: this.topic, queueOffset: reader.queueOffset, err: error }
      this.#options.logger.warn(fields, 'a record of the revive log cannot be read')
    }
    return null
  }

  /** Passed over, it would let a message be lost, or come back that is finished. */
  #noteDamaged(reviveQueueId: number, queueOffset: number, problem: RecordProblem): void {
    const { store, logger } = this.#options
    store.noteDamaged(
      `a record at or behind offset ${queueOffset} of queue ${reviveQueueId} of ${this.topic}: ${problem}`,
    )
    const fields = { topic: this.topic, reviveQueueId, queueOffset, problem }
    logger.error(fields, 'a record of the revive log is damaged, and passed over')
  }

  #get(reviveQueueId: number, queueOffset: number): Promise<GetResult> {
    const request = {
      topic: this.topic,
      queueId: reviveQueueId,
      queueOffset,
      maxMessages: READ_RECORDS,
      filter: null,
    }
    return new Promise((resolve) => this.#options.store.get(request, resolve))
  }

  #add(reviveQueueId: number, waiting: Waiting): void {
    this.#waiting[reviveQueueId]?.push(waiting)
    this.#underWay++
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#options.timers.soon(() => this.#flush())
  }

  #flush(): void {
    this.#isScheduled = false
    this.#waiting.forEach((waiting, reviveQueueId) => {
      if (waiting.length === 0) return
      this.#waiting[reviveQueueId] = []
      for (let at = 0; at < waiting.length; at += BATCH_RECORDS_MAX) {
        this.#put(reviveQueueId, waiting.slice(at, at + BATCH_RECORDS_MAX))
      }
    })
  }

  #put(reviveQueueId: number, batch: readonly Waiting[]): void {
    const { store, brokerName } = this.#options
    const messages = batch.map(({ record }) =>
      this.#message(reviveQueueId, encodeReviveRecord(settledRecord(record), brokerName)),
    )
    this.#batches[reviveQueueId]?.push(batch)
    store.put(messages, 'written', (result) => this.#onPut(reviveQueueId, batch, result))
  }

  #onPut(reviveQueueId: number, batch: readonly Waiting[], { status, reason }: PutResult): void {
    const batches = this.#batches[reviveQueueId]
    // The first one, but for those that are refused at once.
    batches?.splice(batches.indexOf(batch), 1)
    const isCommitted = isStored(status)
    if (!isCommitted) {
      const fields = { topic: this.topic, records: batch.length, status, reason }
      this.#options.logger.warn(fields, 'the revive log takes no records')
    }
    for (const { record, done } of batch) {
      if (record.type === 'acks') this.counts.puts.ACK.add(record.checkpoint.queue, status)
      else this.counts.puts[typeOf(record)].add(record, status)
      this.#underWay--
      for (const tell of done) tell(isCommitted)
    }
    if (this.#underWay > 0) return
    for (const resolve of this.#onIdle.splice(0)) resolve()
  }

  #message(queueId: number, { tag, body }: EncodedRecord): MessageToStore {
    let properties = this.#properties.get(tag)
    if (properties === undefined) {
      properties = encodeProperties([[PropertyName.TAGS, tag]])
      this.#properties.set(tag, properties)
    }
    return {
      topic: this.topic,
      queueId,
      flag: 0,
      sysFlag: 0,
      bornTimestamp: this.#options.clock.now(),
      bornHost: this.#options.storeHost(),
      reconsumeTimes: 0,
      preparedTransactionOffset: 0,
      body,
      properties,
    }
  }
}

function typeOf({ type }: ReviveRecord): ReviveType {
  return type === 'ack' ? 'ACK' : 'CK'
}

/** From now on acknowledgements of the same checkpoint are another record. */
function settledRecord(record: Waiting['record']): ReviveRecord {
  if (record.type !== 'acks') return record
  record.checkpoint.waitingAck = null
  const { queue, startOffset, popTime } = record.checkpoint
  const { topic, consumerGroup, queueId } = queue
  return {
    type: 'ack',
    topic,
    consumerGroup,
    queueId,
    startOffset,
    popTime,
    offsets: record.offsets,
  }
}
