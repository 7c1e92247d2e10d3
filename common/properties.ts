/**
 * Message properties as they travel and lie on disk (protocol §5.3): `name 0x01 value 0x02 name 0x01 value 0x02 …`, UTF-8.
 *
 * Nothing here throws on hostile bytes: what is no property is skipped, as in RocketMQ's `MessageDecoder`.
 */
import { javaHashCode } from './bytes.ts'

export const NAME_VALUE_SEPARATOR = 0x01
export const PROPERTY_SEPARATOR = 0x02

/** On disk the length of the properties is an int16. */
export const MAX_PROPERTIES_SIZE = 32_767

/** RocketMQ's property names (protocol §5.4). */
export const PropertyName = {
  KEYS: 'KEYS',
  TAGS: 'TAGS',
  WAIT: 'WAIT',
  DELAY: 'DELAY',
  UNIQ_KEY: 'UNIQ_KEY',
  RETRY_TOPIC: 'RETRY_TOPIC',
  ORIGIN_MESSAGE_ID: 'ORIGIN_MESSAGE_ID',
  REAL_TOPIC: 'REAL_TOPIC',
  REAL_QID: 'REAL_QID',
  TRAN_MSG: 'TRAN_MSG',
  PGROUP: 'PGROUP',
  BORN_TIMESTAMP: 'BORN_TIMESTAMP',
  TRANSACTION_ID: '__transactionId__',
  TRAN_PREPARED_QUEUE_OFFSET: 'TRAN_PREPARED_QUEUE_OFFSET',
  TRANSACTION_CHECK_TIMES: 'TRANSACTION_CHECK_TIMES',
  CHECK_IMMUNITY_TIME_IN_SECONDS: 'CHECK_IMMUNITY_TIME_IN_SECONDS',
  MIN_OFFSET: 'MIN_OFFSET',
  MAX_OFFSET: 'MAX_OFFSET',
  MAX_RECONSUME_TIMES: 'MAX_RECONSUME_TIMES',
  RECONSUME_TIME: 'RECONSUME_TIME',
  CONSUME_START_TIME: 'CONSUME_START_TIME',
  MSG_REGION: 'MSG_REGION',
  TRACE_ON: 'TRACE_ON',
  CLUSTER: 'CLUSTER',
  INSTANCE_ID: 'INSTANCE_ID',
  INNER_MULTI_DISPATCH: 'INNER_MULTI_DISPATCH',
  INNER_MULTI_QUEUE_OFFSET: 'INNER_MULTI_QUEUE_OFFSET',
  INNER_NUM: 'INNER_NUM',
  INNER_BASE: 'INNER_BASE',
  CORRELATION_ID: 'CORRELATION_ID',
  REPLY_TO_CLIENT: 'REPLY_TO_CLIENT',
  PUSH_REPLY_TIME: 'PUSH_REPLY_TIME',
  TTL: 'TTL',
  MSG_TYPE: 'MSG_TYPE',
  POP_CK: 'POP_CK',
  SHARDING_KEY: '__SHARDINGKEY',
  START_DELIVER_TIME: '__STARTDELIVERTIME',
  TIMER_DELAY_SEC: 'TIMER_DELAY_SEC',
  TIMER_DELAY_MS: 'TIMER_DELAY_MS',
  TIMER_DELIVER_MS: 'TIMER_DELIVER_MS',
  TIMER_OUT_MS: 'TIMER_OUT_MS',
  TIMER_ENQUEUE_MS: 'TIMER_ENQUEUE_MS',
  TIMER_DEQUEUE_MS: 'TIMER_DEQUEUE_MS',
  TIMER_ROLL_TIMES: 'TIMER_ROLL_TIMES',
  TIMER_DEL_UNIQKEY: 'TIMER_DEL_UNIQKEY',
  DLQ_ORIGIN_TOPIC: 'DLQ_ORIGIN_TOPIC',
  DLQ_ORIGIN_MESSAGE_ID: 'DLQ_ORIGIN_MESSAGE_ID',
  CRC32: '__CRC32#',
} as const

/** All properties; of a repeated name the last value counts. */
export function parseProperties(properties: Buffer | string): Map<string, string> {
  const text = typeof properties === 'string' ? properties : properties.toString('utf8')
  const parsed = new Map<string, string>()
  let start = 0
  let separator = text.indexOf('\u0001')
  while (start < text.length) {
    const found = text.indexOf('\u0002', start)
    const end = found === -1 ? text.length : found
    // Looked for only when the last one lies behind, or a text of nothing but 0x02 would take quadratic time.
    if (separator !== -1 && separator < start) separator = text.indexOf('\u0001', start)
    if (separator > start && separator < end - 1) {
      parsed.set(text.slice(start, separator), text.slice(separator + 1, end))
    }
    start = end + 1
  }
  return parsed
}

/** The inverse of `parseProperties`, with the trailing 0x02. Pairs with an empty name or value are left out, since no reader sees them. */
export function encodeProperties(entries: Iterable<readonly [string, string]>): Buffer {
  return Buffer.from(formatProperties(entries), 'utf8')
}

/** Like `encodeProperties`, as the text of a request header. */
export function formatProperties(entries: Iterable<readonly [string, string]>): string {
  let text = ''
  for (const [name, value] of entries) {
    if (name !== '' && value !== '') text += `${name}\u0001${value}\u0002`
  }
  return text
}

/** One property without decoding the others; null when absent. `name` must be ASCII. */
export function propertyOf(properties: Buffer, name: string): string | null {
  return propertyIn(properties, 0, properties.length, name)
}

/** Like `propertyOf`, within `[start, end)` of a larger buffer such as a record. */
export function propertyIn(
  source: Buffer,
  start: number,
  end: number,
  name: string,
): string | null {
  let value: string | null = null
  for (let at = start; at < end;) {
    let pieceEnd = source.indexOf(PROPERTY_SEPARATOR, at)
    if (pieceEnd === -1 || pieceEnd > end) pieceEnd = end
    const valueStart = at + name.length + 1
    if (
      valueStart < pieceEnd &&
      source[valueStart - 1] === NAME_VALUE_SEPARATOR &&
      startsWith(source, at, name)
    ) {
      value = source.toString('utf8', valueStart, pieceEnd)
    }
    at = pieceEnd + 1
  }
  return value
}

/** What a ConsumeQueue entry holds for a message: Java's hash of its tag, 0 without one (protocol §16). */
export function tagsCodeOf(properties: Buffer): number {
  return tagsCodeIn(properties, 0, properties.length)
}

/** Like `tagsCodeOf`, within `[start, end)` of a larger buffer. */
export function tagsCodeIn(source: Buffer, start: number, end: number): number {
  const tags = propertyIn(source, start, end, PropertyName.TAGS)
  return tags === null ? 0 : javaHashCode(tags)
}

/** The words of the property KEYS, each of which is indexed. */
export function keyWords(keys: string): readonly string[] {
  return keys.split(' ').filter((word) => word !== '')
}

function startsWith(source: Buffer, at: number, name: string): boolean {
  for (let index = 0; index < name.length; index++) {
    if (source[at + index] !== name.charCodeAt(index)) return false
  }
  return true
}
