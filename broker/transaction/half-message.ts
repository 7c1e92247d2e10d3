/**
 * The forms of a message in a transaction, as functions of records (protocol §9.1).
 *
 *   half       in RMQ_SYS_TRANS_HALF_TOPIC, with REAL_TOPIC and REAL_QID: no consumer sees it
 *   put back   another copy of a half message that had to be checked, behind all others; TRAN_PREPARED_QUEUE_OFFSET says whose copy it is
 *   committed  in its real topic, with the commit bits in `sysFlag` and `preparedTransactionOffset` pointing at the half message
 *   expired    in TRANS_CHECK_MAX_TIME_TOPIC, after too many checks
 *
 * A transaction is known by the queue offset of its first half message, which all its copies carry or are.
 */
import { encodeRecord, recordSize } from '../../common/message-codec.ts'
import { CRC_PROPERTY_SIZE } from '../../common/message-codec.ts'
import { MessageSysFlag } from '../../common/message.ts'
import {
  MAX_PROPERTIES_SIZE,
  PropertyName,
  encodeProperties,
  parseProperties,
} from '../../common/properties.ts'
import { CHECK_MAX_TIME_TOPIC, HALF_TOPIC } from '../names.ts'
import type { MessageToStore, StoredMessage } from '../../common/message.ts'

export const HALF_QUEUE_ID = 0

/** What putting a message back adds to its properties at most: two names and two numbers. */
const PUT_BACK_SPACE = 128
const HOST_BITS = MessageSysFlag.BORN_HOST_V6 | MessageSysFlag.STORE_HOST_V6

/** A copy of a half message, read from the log. */
export interface HalfMessage {
  readonly message: StoredMessage
  readonly properties: ReadonlyMap<string, string>
  /** The queue offset of its transaction's first copy. */
  readonly transaction: number
  readonly realTopic: string
  readonly realQueueId: number
  readonly producerGroup: string
  /** How often the producers were asked. */
  readonly checkTimes: number
  /** How long the producers are not asked, from CHECK_IMMUNITY_TIME_IN_SECONDS; null: the broker's time-out. */
  readonly immunityMs: number | null
}

/** The half message for one that a producer sent, or null when its properties leave no room for what the broker adds to them. */
export function halfMessageOf(message: MessageToStore): MessageToStore | null {
  const properties = parseProperties(message.properties)
  const uniqueKey = properties.get(PropertyName.UNIQ_KEY)
  if (uniqueKey !== undefined) properties.set(PropertyName.TRANSACTION_ID, uniqueKey)
  properties.set(PropertyName.REAL_TOPIC, message.topic)
  properties.set(PropertyName.REAL_QID, String(message.queueId))
  // What only the broker may say: a producer that forwards a message has them from a transaction of the past.
  properties.delete(PropertyName.TRAN_PREPARED_QUEUE_OFFSET)
  properties.delete(PropertyName.TRANSACTION_CHECK_TIMES)
  const encoded = encodeProperties(properties)
  if (encoded.length > MAX_PROPERTIES_SIZE - CRC_PROPERTY_SIZE - PUT_BACK_SPACE) return null
  return {
    ...message,
    topic: HALF_TOPIC,
    queueId: HALF_QUEUE_ID,
    sysFlag: message.sysFlag & ~MessageSysFlag.TRANSACTION_MASK,
    properties: encoded,
  }
}

/** What a record says as a half message; null when it is none. */
export function readHalfMessage(message: StoredMessage): HalfMessage | null {
  if (message.topic !== HALF_TOPIC) return null
  const properties = parseProperties(message.properties)
  const realTopic = properties.get(PropertyName.REAL_TOPIC)
  const realQueueId = numberOf(properties.get(PropertyName.REAL_QID))
  if (realTopic === undefined || realQueueId === null) return null
  return {
    message,
    properties,
    transaction:
      numberOf(properties.get(PropertyName.TRAN_PREPARED_QUEUE_OFFSET)) ?? message.queueOffset,
    realTopic,
    realQueueId,
    producerGroup: properties.get(PropertyName.PGROUP) ?? '',
    checkTimes: numberOf(properties.get(PropertyName.TRANSACTION_CHECK_TIMES)) ?? 0,
    immunityMs: immunityMsOf(properties.get(PropertyName.CHECK_IMMUNITY_TIME_IN_SECONDS)),
  }
}

/** The message that consumers get. */
export function committedMessageOf(half: HalfMessage): MessageToStore {
  const { message } = half
  return copyOf(half, {
    topic: half.realTopic,
    queueId: half.realQueueId,
    sysFlag:
      (message.sysFlag & ~MessageSysFlag.TRANSACTION_MASK) | MessageSysFlag.TRANSACTION_COMMIT,
    preparedTransactionOffset: message.physicalOffset,
  })
}

/** The next copy of a half message that is still open, checked `checkTimes` times. */
export function putBackMessageOf(half: HalfMessage, checkTimes: number): MessageToStore {
  return copyOf(half, {
    topic: HALF_TOPIC,
    queueId: HALF_QUEUE_ID,
    properties: [
      [PropertyName.TRANSACTION_CHECK_TIMES, checkTimes === 0 ? '' : String(checkTimes)],
      [PropertyName.TRAN_PREPARED_QUEUE_OFFSET, String(half.transaction)],
    ],
  })
}

/** What is kept of a transaction that nobody decided. */
export function expiredMessageOf(half: HalfMessage): MessageToStore {
  return copyOf(half, {
    topic: CHECK_MAX_TIME_TOPIC,
    queueId: 0,
    preparedTransactionOffset: half.message.physicalOffset,
  })
}

/** A new half message from an expired one (RESUME_CHECK_HALF_MESSAGE); null when the record is none. */
export function resumedMessageOf(expired: StoredMessage): MessageToStore | null {
  if (expired.topic !== CHECK_MAX_TIME_TOPIC) return null
  const half = readHalfMessage({ ...expired, topic: HALF_TOPIC })
  if (half === null) return null
  return copyOf(half, {
    topic: HALF_TOPIC,
    queueId: HALF_QUEUE_ID,
    properties: [
      [PropertyName.TRANSACTION_CHECK_TIMES, '0'],
      [PropertyName.TRAN_PREPARED_QUEUE_OFFSET, ''],
    ],
  })
}

/** The record in the body of CHECK_TRANSACTION_STATE: the half message under its real topic and queue. */
export function checkBodyOf(half: HalfMessage): Buffer {
  const { message } = half
  const shown = copyOf(half, { topic: half.realTopic, queueId: half.realQueueId })
  const body = Buffer.alloc(recordSize(shown, message.storeHost))
  encodeRecord(body, 0, shown, message)
  return body
}

/** A half message with some of it changed; a property with an empty value is left out. */
function copyOf(
  half: HalfMessage,
  changes: Partial<Omit<MessageToStore, 'properties'>> & {
    readonly properties?: readonly (readonly [string, string])[]
  },
): MessageToStore {
  const { message } = half
  const properties = new Map(half.properties)
  properties.delete(PropertyName.CRC32)
  for (const [name, value] of changes.properties ?? []) properties.set(name, value)
  return {
    topic: message.topic,
    queueId: message.queueId,
    flag: message.flag,
    sysFlag: message.sysFlag & ~HOST_BITS,
    bornTimestamp: message.bornTimestamp,
    bornHost: message.bornHost,
    reconsumeTimes: message.reconsumeTimes,
    preparedTransactionOffset: message.preparedTransactionOffset,
    body: message.body,
    ...changes,
    properties: encodeProperties(properties),
  }
}

/** As in Java, what is no number, or -1, means the broker's own time. */
function immunityMsOf(text: string | undefined): number | null {
  const seconds = numberOf(text)
  return seconds === null ? null : seconds * 1000
}

function numberOf(text: string | undefined): number | null {
  if (text === undefined || !/^\d{1,15}$/.test(text)) return null
  return Number(text)
}
