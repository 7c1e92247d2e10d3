/** Dead letters of a consumer group, and how one goes back to that group. */
import type { StoredMessage } from '../common/message.ts'
import { PropertyName, parseProperties } from '../common/properties.ts'
import { messageBody } from './message-body.ts'
import type { OutgoingMessage } from './producer.ts'

type DeadLetter = Pick<StoredMessage, 'topic' | 'flag' | 'sysFlag' | 'body' | 'properties'>

/** Where a group's messages go when they failed for the last time. */
export function deadLetterTopic(group: string): string {
  return `%DLQ%${group}`
}

/** What a group reads besides its topics: messages that come again to it alone. */
export function retryTopic(group: string): string {
  return `%RETRY%${group}`
}

/** Of the former sending: a producer or broker gives new ones, or they would count for the new one. */
const LEFT_BEHIND: ReadonlySet<string> = new Set([
  PropertyName.UNIQ_KEY,
  PropertyName.WAIT,
  PropertyName.KEYS,
  PropertyName.TAGS,
  'DELAY',
  'REAL_TOPIC',
  'REAL_QID',
  'RECONSUME_TIME',
  'MAX_RECONSUME_TIMES',
  'CONSUME_START_TIME',
  'MIN_OFFSET',
  'MAX_OFFSET',
  'CLUSTER',
  'TIMER_DELAY_SEC',
  'TIMER_DELAY_MS',
  'TIMER_DELIVER_MS',
  'TIMER_OUT_MS',
  'PGROUP',
  'TRAN_MSG',
  PropertyName.DLQ_ORIGIN_TOPIC,
  PropertyName.DLQ_ORIGIN_MESSAGE_ID,
])

/** The topic that a dead letter was sent to. */
export function originalTopic(message: DeadLetter): string {
  const properties = new Map(parseProperties(message.properties))
  return (
    properties.get(PropertyName.DLQ_ORIGIN_TOPIC) ??
    properties.get(PropertyName.RETRY_TOPIC) ??
    message.topic
  )
}

/**
 * The message that brings a dead letter to its group again, with all attempts anew. It goes to the group's retry topic, so that the
 * other groups of its topic, which have processed it, do not get it twice. Throws when the body cannot be decompressed.
 */
export function resentMessage(message: DeadLetter, group: string): OutgoingMessage {
  const again = sentAgain(message)
  const properties = { ...again.properties, [PropertyName.RETRY_TOPIC]: originalTopic(message) }
  return { ...again, topic: retryTopic(group), properties }
}

/** A stored message as a new one of its topic. Throws when the body cannot be decompressed. */
export function sentAgain(message: DeadLetter): OutgoingMessage {
  const properties = new Map(parseProperties(message.properties))
  const tags = properties.get(PropertyName.TAGS)
  const keys = properties.get(PropertyName.KEYS)
  const kept = [...properties].filter(([name]) => !LEFT_BEHIND.has(name))
  return {
    topic: message.topic,
    body: messageBody(message),
    flag: message.flag,
    ...(tags === undefined ? {} : { tags }),
    ...(keys === undefined ? {} : { keys: keys.split(' ') }),
    properties: Object.fromEntries(kept),
  }
}
