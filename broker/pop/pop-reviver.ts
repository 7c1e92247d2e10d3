/**
 * Brings messages back that were popped and not acknowledged in time: a copy goes to the retry topic of the group, or to its dead letter
 * queue after too many attempts. A message is finished only when its copy is committed; after a crash in between it comes back twice.
 */
import { readInt64 } from '../../common/bytes.ts'
import { RecordReader, storedMessageOf } from '../../common/message-codec.ts'
import { MessageSysFlag } from '../../common/message.ts'
import { encodeOffsetMessageId } from '../../common/message-id.ts'
import { PropertyName, encodeProperties, parseProperties } from '../../common/properties.ts'
import { GetStatus, PutStatus, isStored } from '../../store/types.ts'
import { DLQ_PREFIX } from '../names.ts'
import { dropProperty, propertyPair } from '../processors/send-properties.ts'
import { deadLetterProperties } from '../retry/dead-letter.ts'
import { normalTopicOf, popRetryTopicV1, popRetryTopicV2 } from './receipt.ts'
import { REVIVE_QUEUES } from './revive-log.ts'
import type { MessageToStore, StoredMessage } from '../../common/message.ts'
import type { GetResult } from '../../store/types.ts'
import type { BrokerParts } from '../parts.ts'
import type { Checkpoint, PopQueue } from './pop-queue.ts'
import type { PopState } from './pop-state.ts'
import type { ReviveCounts } from './revive-counts.ts'

/** Checkpoints that are worked on at a time. */
const CONCURRENT_MAX = 16
const READ_MESSAGES = 32
const RETRY_MIN_MS = 1000
const RETRY_MAX_MS = 60_000
/** The property with the time of the first pop. */
const FIRST_POP_TIME = '1ST_POP_TIME'

export interface PopReviverOptions {
  readonly parts: BrokerParts
  readonly state: PopState
  readonly counts: ReviveCounts
  readonly isCurrent: () => boolean
  /** A message of this queue has come back. */
  readonly onRevived: (queue: PopQueue) => void
}

export class PopReviver {
  readonly #options: PopReviverOptions
  /** Messages that retention had taken before they could come back, since the start. */
  goneCount: number = 0
  readonly #reader = new RecordReader()
  #waiting: Checkpoint[] = []
  #head = 0
  readonly #running = new Set<Checkpoint>()
  #onIdle: (() => void)[] = []

  constructor(options: PopReviverOptions) {
    this.#options = options
  }

  /** By queue of the revive log: checkpoints whose time is over and whose messages have not all come back, and how long it has been so. */
  backlog(): readonly { readonly count: number; readonly lateMs: number }[] {
    const now = this.#options.parts.clock.monotonic()
    const queues = Array.from({ length: REVIVE_QUEUES }, () => ({ count: 0, lateMs: 0 }))
    const add = ({ queue, deadline }: Checkpoint): void => {
      const entry = queues[queue.reviveQueueId]
      if (entry === undefined) return
      entry.count++
      entry.lateMs = Math.max(entry.lateMs, Math.round(now - deadline))
    }
    for (const checkpoint of this.#running) add(checkpoint)
    for (let at = this.#head; at < this.#waiting.length; at++) {
      const checkpoint = this.#waiting[at]
      if (checkpoint !== undefined && checkpoint.pending !== 0) add(checkpoint)
    }
    return queues
  }

  take(due: readonly Checkpoint[]): void {
    for (const checkpoint of due) this.#waiting.push(checkpoint)
    this.#start()
  }

  /** Drops what has not begun; resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#waiting = []
    this.#head = 0
    if (this.#running.size > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve))
  }

  #start(): void {
    while (this.#running.size < CONCURRENT_MAX && this.#head < this.#waiting.length) {
      const checkpoint = this.#waiting[this.#head++]
      if (checkpoint === undefined) break
      if (checkpoint.pending === 0 || !this.#isKnown(checkpoint)) continue
      this.#running.add(checkpoint)
      checkpoint.isReviving = true
      this.#revive(checkpoint).then(
        () => this.#ended(checkpoint),
        (error: unknown) => {
          this.#later(checkpoint, error)
          this.#ended(checkpoint)
        },
      )
    }
    if (this.#head < this.#waiting.length) return
    this.#waiting = []
    this.#head = 0
  }

  #ended(checkpoint: Checkpoint): void {
    this.#running.delete(checkpoint)
    this.#start()
    if (this.#running.size > 0) return
    for (const resolve of this.#onIdle.splice(0)) resolve()
  }

  /** It may have been dropped with its queue. */
  #isKnown(checkpoint: Checkpoint): boolean {
    const { state, isCurrent } = this.#options
    const { queue, startOffset, popTime } = checkpoint
    return (
      isCurrent() && state.find(queue) === queue && queue.find(startOffset, popTime) === checkpoint
    )
  }

  async #revive(checkpoint: Checkpoint): Promise<void> {
    let [next] = checkpoint.pendingOffsets()
    while (next !== undefined) {
      const result = await this.#read(checkpoint.queue, next)
      if (!this.#isKnown(checkpoint)) return
      const end = this.#endOf(result, next)
      if (end === null) throw new Error(`a popped message cannot be read: ${result.status}`)
      const pending = checkpoint.pendingOffsets().filter((offset) => offset < end)
      const found = new Map(result.records.map((record) => [readInt64(record, 20), record]))
      for (const offset of pending) {
        const record = found.get(offset)
        if (record !== undefined) await this.#copy(checkpoint, this.#intact(checkpoint, record))
        else {
          // A damaged one may be it.
          for (const other of result.records) this.#intact(checkpoint, other)
          this.#gone(checkpoint, offset)
        }
        if (!this.#isKnown(checkpoint)) return
      }
      next = checkpoint.pendingOffsets().find((offset) => offset >= end)
    }
  }

  /** Up to here the result tells of all messages that are still there; null when it tells nothing. */
  #endOf({ status, records, nextBeginOffset, minOffset }: GetResult, next: number): number | null {
    if (records.length > 0) return Math.max(next + 1, nextBeginOffset)
    switch (status) {
      case GetStatus.OFFSET_TOO_SMALL:
        return Math.max(next + 1, minOffset)
      case GetStatus.OFFSET_OVERFLOW_BADLY:
      case GetStatus.OFFSET_OVERFLOW_ONE:
      case GetStatus.NO_MATCHED_LOGIC_QUEUE:
      case GetStatus.NO_MESSAGE_IN_QUEUE:
        return Infinity
      case GetStatus.MESSAGE_WAS_REMOVING:
      case GetStatus.OFFSET_FOUND_NULL:
        return next + 1
      default:
        return null
    }
  }

  /** The message of a record. Throws for one that is damaged: its copy would have a checksum that is right. */
  #intact({ queue }: Checkpoint, record: Buffer): StoredMessage {
    const reader = this.#reader
    const problem = reader.read(record, 0, record.length, true)
    if (problem === null && reader.type === 'message') return storedMessageOf(reader, record)
    const { topic, queueId } = queue
    const what = `a popped message of queue ${queueId} of ${topic}: ${problem ?? reader.type}`
    this.#options.parts.store.noteDamaged(what)
    throw new Error(`damaged: ${what}`)
  }

  #gone(checkpoint: Checkpoint, queueOffset: number): void {
    const { topic, consumerGroup, queueId } = checkpoint.queue
    this.goneCount++
    this.#options.parts.logger.warn(
      { topic, consumerGroup, queueId, queueOffset },
      'a popped message was deleted by retention before it could come back',
    )
    this.#options.state.finish(checkpoint, [queueOffset], () => undefined)
  }

  async #copy(checkpoint: Checkpoint, message: StoredMessage): Promise<void> {
    const { parts, state, onRevived } = this.#options
    const { queue } = checkpoint
    const group = parts.groups.get(queue.consumerGroup)
    const attempts = message.reconsumeTimes + 1
    const isDead = attempts > (group?.retryMaxTimes ?? attempts)
    const target = isDead ? DLQ_PREFIX + queue.consumerGroup : this.#retryTopicOf(queue)
    await parts.topics.ensureRetryTopic(target, 1)
    if (!this.#isKnown(checkpoint)) return
    const copy = isDead
      ? deadCopy(message, target, queue)
      : retryCopy(message, target, checkpoint.popTime)
    let status = await this.#put(copy)
    if (status === PutStatus.MESSAGE_ILLEGAL) {
      // No room for what a copy is told besides: as it is, it was stored before.
      const properties = Buffer.from(propertiesOf(message))
      status = await this.#put({ ...copy, properties })
    }
    this.#options.counts.retries.add(queue, status)
    if (!isStored(status)) throw new Error(`a popped message cannot be put back: ${status}`)
    if (!this.#isKnown(checkpoint)) return
    const normal = normalTopicOf(queue.topic, queue.consumerGroup)
    if (isDead) parts.stats.add('DLQ_PUT_NUMS', `${normal}@${queue.consumerGroup}`, 1, 1)
    else parts.stats.add('TOPIC_PUT_NUMS', target, 1, 1)
    state.finish(checkpoint, [message.queueOffset], () => undefined)
    onRevived(queue)
  }

  #retryTopicOf({ topic, consumerGroup }: PopQueue): string {
    const normal = normalTopicOf(topic, consumerGroup)
    if (normal !== topic) return topic
    return this.#options.parts.config.values.enableRetryTopicV2
      ? popRetryTopicV2(topic, consumerGroup)
      : popRetryTopicV1(topic, consumerGroup)
  }

  #read({ topic, queueId }: PopQueue, queueOffset: number): Promise<GetResult> {
    const request = { topic, queueId, queueOffset, maxMessages: READ_MESSAGES, filter: null }
    return new Promise((resolve) => this.#options.parts.store.get(request, resolve))
  }

  #put(message: MessageToStore): Promise<PutStatus> {
    return new Promise((resolve) =>
      this.#options.parts.store.put([message], 'written', ({ status }) => resolve(status)),
    )
  }

  /** Tries again after a while; nothing is ever given up. */
  #later(checkpoint: Checkpoint, error: unknown): void {
    const { parts, state } = this.#options
    checkpoint.isReviving = false
    if (!this.#isKnown(checkpoint) || checkpoint.pending === 0) return
    const { topic, consumerGroup, queueId } = checkpoint.queue
    checkpoint.failures++
    const waitMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(checkpoint.failures - 1, 10))
    checkpoint.deadline = parts.clock.monotonic() + waitMs
    state.wheel.add(checkpoint)
    const fields = { topic, consumerGroup, queueId, failures: checkpoint.failures, err: error }
    parts.logger.warn(fields, 'popped messages could not be brought back, will be tried again')
  }
}

function retryCopy(message: StoredMessage, topic: string, popTime: number): MessageToStore {
  let properties = propertiesOf(message)
  if (message.reconsumeTimes === 0) properties = dropProperty(properties, FIRST_POP_TIME)
  if (!properties.includes(`${FIRST_POP_TIME}\u0001`)) {
    properties += propertyPair(FIRST_POP_TIME, String(popTime))
  }
  return { ...copyOf(message, topic), properties: Buffer.from(properties) }
}

function deadCopy(message: StoredMessage, topic: string, queue: PopQueue): MessageToStore {
  const properties = parseProperties(propertiesOf(message))
  const set = (name: string, value: string): void => {
    if (!properties.has(name)) properties.set(name, value)
  }
  set(PropertyName.RETRY_TOPIC, normalTopicOf(queue.topic, queue.consumerGroup))
  const { storeHost, physicalOffset } = message
  set(PropertyName.ORIGIN_MESSAGE_ID, encodeOffsetMessageId(storeHost, physicalOffset))
  for (const [name, value] of deadLetterProperties(properties)) properties.set(name, value)
  return { ...copyOf(message, topic), properties: encodeProperties(properties) }
}

/** Without the checksum, which every record has of its own; each pair ended. */
function propertiesOf({ properties }: StoredMessage): string {
  const text = properties.toString()
  return dropProperty(
    text === '' || text.endsWith('\u0002') ? text : `${text}\u0002`,
    PropertyName.CRC32,
  )
}

function copyOf(message: StoredMessage, topic: string): Omit<MessageToStore, 'properties'> {
  const hostBits = MessageSysFlag.BORN_HOST_V6 | MessageSysFlag.STORE_HOST_V6
  return {
    topic,
    queueId: 0,
    flag: message.flag,
    sysFlag: message.sysFlag & ~hostBits,
    bornTimestamp: message.bornTimestamp,
    bornHost: message.bornHost,
    reconsumeTimes: message.reconsumeTimes + 1,
    preparedTransactionOffset: message.preparedTransactionOffset,
    body: message.body,
  }
}
