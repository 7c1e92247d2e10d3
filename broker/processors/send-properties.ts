/**
 * The properties of a message on its way into the store: which of them change what the broker does, and what the broker adds.
 *
 * One pass over the text; the names are short, the values stay where they are unless they are asked for.
 */
import { MessageSysFlag } from '../../common/message.ts'
import { PropertyName } from '../../common/properties.ts'
import type { MessageType } from '../stats.ts'

const PAIR_END = '\u0002'
const NAME_END = '\u0001'
/** MSG_TYPE of a message that answers another one; it names the same client. */
const REPLY = 'reply'

export interface ScannedProperties {
  /** Without the pairs that the broker sets itself or drops, each pair ended by 0x02. */
  readonly kept: string
  readonly uniqueKey: string | null
  readonly waitsForFlush: boolean
  /** TRAN_MSG is true. */
  readonly isTransactional: boolean
  /** A delay level or a timer: see `Delays.divert`. */
  readonly asksForDelay: boolean
  /** The client that waits for a reply to this message, which it has sent itself; null for all but requests. */
  readonly requester: string | null
  /** What metrics count the message as. */
  readonly type: MessageType
}

/** The broker writes these; what a client says about them is dropped, as in Java. */
export const DROPPED_PROPERTIES: ReadonlySet<string> = new Set([
  PropertyName.MSG_REGION,
  PropertyName.TRACE_ON,
  PropertyName.CLUSTER,
  PropertyName.POP_CK,
  PropertyName.CRC32,
  PropertyName.INNER_MULTI_QUEUE_OFFSET,
])

/** What makes a message wait. */
export const DELAY_PROPERTIES: ReadonlySet<string> = new Set([
  PropertyName.DELAY,
  PropertyName.TIMER_DELAY_SEC,
  PropertyName.TIMER_DELAY_MS,
  PropertyName.TIMER_DELIVER_MS,
])

/** Reads a property text; pairs that no reader would see (protocol §5.3) are left out of `kept`. */
export function scanProperties(text: string): ScannedProperties {
  let kept = text.endsWith(PAIR_END) || text === '' ? text : text + PAIR_END
  let uniqueKey: string | null = null
  let waitsForFlush = true
  let isTransactional = false
  let asksForDelay = false
  let replyTo: string | null = null
  let isReply = false
  let type: MessageType = 'normal'
  let at = 0
  while (at < text.length) {
    const found = text.indexOf(PAIR_END, at)
    const end = found < 0 ? text.length : found
    const middle = text.indexOf(NAME_END, at)
    if (middle > at && middle < end - 1) {
      const name = text.slice(at, middle)
      if (name === PropertyName.UNIQ_KEY) {
        uniqueKey = text.slice(middle + 1, end)
      } else if (name === PropertyName.WAIT) {
        waitsForFlush = text.slice(middle + 1, end).toLowerCase() !== 'false'
      } else if (DROPPED_PROPERTIES.has(name)) {
        kept = withoutPair(kept, text.slice(at, end))
      } else if (DELAY_PROPERTIES.has(name)) {
        asksForDelay ||= name !== PropertyName.DELAY || text.slice(middle + 1, end) !== '0'
        if (type === 'normal') type = 'delay'
      } else if (name === PropertyName.START_DELIVER_TIME) {
        if (type === 'normal') type = 'delay'
      } else if (name === PropertyName.SHARDING_KEY) {
        type = 'fifo'
      } else if (name === PropertyName.TRAN_MSG) {
        isTransactional = text.slice(middle + 1, end).toLowerCase() === 'true'
      } else if (name === PropertyName.REPLY_TO_CLIENT) {
        replyTo = text.slice(middle + 1, end)
      } else if (name === PropertyName.MSG_TYPE) {
        isReply = text.slice(middle + 1, end) === REPLY
      }
    }
    at = end + 1
  }
  if (isTransactional) type = 'transaction'
  const requester = isReply ? null : replyTo
  return { kept, uniqueKey, waitsForFlush, isTransactional, asksForDelay, requester, type }
}

function withoutPair(kept: string, pair: string): string {
  const whole = pair + PAIR_END
  if (kept.startsWith(whole)) return kept.slice(whole.length)
  const found = kept.indexOf(PAIR_END + whole)
  return found < 0 ? kept : kept.slice(0, found + 1) + kept.slice(found + 1 + whole.length)
}

/** Drops one property by name from a text whose pairs all end in 0x02. */
export function dropProperty(kept: string, name: string): string {
  let at = 0
  while (at < kept.length) {
    const end = kept.indexOf(PAIR_END, at)
    if (end < 0) return kept
    if (kept.startsWith(name + NAME_END, at)) return kept.slice(0, at) + kept.slice(end + 1)
    at = end + 1
  }
  return kept
}

/** What RocketMQ takes from nobody: a message without a body, and batches that are one record, which no topic here has. */
export function contentProblem(
  sysFlag: number,
  { kept }: ScannedProperties,
  body: Buffer,
): string | null {
  if (body.length === 0) return 'The message has no body.'
  if ((sysFlag & MessageSysFlag.INNER_BATCH) !== 0) return 'sysFlag says INNER_BATCH.'
  const name = PropertyName.INNER_NUM
  if (!kept.includes(name) || dropProperty(kept, name) === kept) return null
  return `The property ${name} is of an inner batch.`
}

/** One pair as it stands in a property text. */
export function propertyPair(name: string, value: string): string {
  return value === '' ? '' : name + NAME_END + value + PAIR_END
}

/** What the broker adds to every message. */
export function brokerProperties(values: {
  readonly regionId: string
  readonly traceOn: boolean
  readonly brokerClusterName: string
}): Buffer {
  return Buffer.from(
    propertyPair(PropertyName.MSG_REGION, values.regionId) +
      propertyPair(PropertyName.TRACE_ON, String(values.traceOn)) +
      propertyPair(PropertyName.CLUSTER, values.brokerClusterName),
  )
}
