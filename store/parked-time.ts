/**
 * Messages that are parked until they are due: in the topics of the delay levels and of the timers the tags code of a ConsumeQueue
 * unit tells when.
 *
 * SCHEDULE_TOPIC_XXXX: the delivery time, as in Java (protocol §19.2). rmq_sys_wheel_timer, where Java keeps the hash of the tag and
 * never reads it: the due time and two flags, so that timers are found again at a start without reading their records. A Java broker's
 * units there have a hash, which is 32 bits wide; the code of a time is not.
 */
import { PropertyName, propertyIn } from '../common/properties.ts'
import type { RecordReader } from '../common/message-codec.ts'

export const SCHEDULE_TOPIC = 'SCHEDULE_TOPIC_XXXX'
export const TIMER_TOPIC = 'rmq_sys_wheel_timer'

/** A tick of Java's wheel may be that long: a timer is not due later than so much after its tick. */
const TICK_MAX_MS = 60_000
/** When a timer that was parked anew has no exact time any more. */
const ROLLED_TICK_MS = 1000
const HASH_MAX = 2 ** 31

/** What a record is parked for, as the tags code of its unit; null: the unit has the hash of the tag like any other. */
export function parkedTagsCode(
  topic: string,
  reader: RecordReader,
  source: Buffer,
  delayLevelsMs: readonly number[],
): number | null {
  if (topic === SCHEDULE_TOPIC) return levelDueTime(reader, source, delayLevelsMs)
  if (topic === TIMER_TOPIC) return timerCodeOf(reader, source)
  return null
}

/** A timer as the unit of its record has it. */
export interface TimerCode {
  readonly dueTime: number
  /** Recalls another message of the same tick; is not delivered itself. */
  readonly isRecall: boolean
  /** The message asked for a delay, not for a time of day. */
  readonly isRelative: boolean
}

/** Null for a tag's hash: a Java broker wrote the unit, or the message has no time. */
export function decodeTimerCode(tagsCode: number): TimerCode | null {
  if (tagsCode <= HASH_MAX) return null
  const flags = tagsCode % 4
  return {
    dueTime: (tagsCode - flags) / 4,
    isRecall: (flags & 1) !== 0,
    isRelative: (flags & 2) !== 0,
  }
}

/**
 * The code of a record of the timer topic; null when it has no time.
 *
 * TIMER_OUT_MS is the tick before the time that was asked for: a message is due then, at its exact time, and a recall before all messages
 * of its tick.
 */
export function timerCodeOf(reader: RecordReader, source: Buffer): number | null {
  const { propertiesAt, propertiesSize, storeTimestamp } = reader
  const end = propertiesAt + propertiesSize
  const read = (name: string): number | null => {
    const text = propertyIn(source, propertiesAt, end, name)
    return text !== null && /^-?\d{1,15}$/.test(text) ? Number(text) : null
  }
  const tick = read(PropertyName.TIMER_OUT_MS)
  if (tick === null || tick <= HASH_MAX / 4) return null
  if (propertyIn(source, propertiesAt, end, PropertyName.TIMER_DEL_UNIQKEY) !== null) {
    return tick * 4 + 1
  }
  const seconds = read(PropertyName.TIMER_DELAY_SEC)
  const delayMs = seconds === null ? read(PropertyName.TIMER_DELAY_MS) : seconds * 1000
  const isRelative = delayMs !== null
  let dueTime = read(PropertyName.TIMER_DELIVER_MS)
  if (delayMs !== null) {
    const wasRolled = read(PropertyName.TIMER_ROLL_TIMES) !== null
    dueTime = wasRolled ? tick + ROLLED_TICK_MS : storeTimestamp + delayMs
  }
  const exact = Math.max(tick + 1, Math.min(dueTime ?? tick + ROLLED_TICK_MS, tick + TICK_MAX_MS))
  return exact * 4 + (isRelative ? 2 : 0)
}

/** Null when the record has no delay level. */
function levelDueTime(
  reader: RecordReader,
  source: Buffer,
  delayLevelsMs: readonly number[],
): number | null {
  const { propertiesAt, propertiesSize, storeTimestamp } = reader
  const end = propertiesAt + propertiesSize
  const level = Number(propertyIn(source, propertiesAt, end, PropertyName.DELAY) ?? 0)
  if (!Number.isSafeInteger(level) || level <= 0) return null
  return storeTimestamp + (delayLevelsMs[Math.min(level, delayLevelsMs.length) - 1] ?? 0)
}
