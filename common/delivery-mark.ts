/**
 * The mark of a delivered message: which parked message it is.
 *
 * A delayed message is parked in a system topic and appended to its own topic when it is due. The second record names the first one in its
 * field `preparedTransactionOffset`, which means nothing outside transactions: so delivery and the progress of delivery are one record, that
 * is in the log or is not. No file can be ahead of the log or behind it, and what one member of a group has delivered every other one
 * knows. Transactions keep queue offsets there, which are far below all marks.
 *
 *   mark = (kind + 1) × 2^46 + queueOffset of the parked message;   kind: the delay level 1 …, or TIMER_MARK
 */
import assert from 'node:assert/strict'

const KIND_FACTOR = 2 ** 46

/** Marks are not below; other values of the field are. */
export const DELIVERY_MARK_MIN: number = 2 * KIND_FACTOR

/** The kind of marks for messages of the timer topic; delay levels are below. */
export const TIMER_MARK = 100

/**
 * The dispatcher keeps the marks in ConsumeQueues of this topic, one queue for each kind: a unit points at the delivered record, and
 * its tags code is the queue offset of the parked one.
 */
export const MARKS_TOPIC = 'rmq_sys_gantry_delivered'

export function deliveryMark(kind: number, queueOffset: number): number {
  assert(kind >= 1 && kind <= TIMER_MARK)
  assert(queueOffset >= 0 && queueOffset < KIND_FACTOR)
  return (kind + 1) * KIND_FACTOR + queueOffset
}

export function kindOfMark(mark: number): number {
  return Math.floor(mark / KIND_FACTOR) - 1
}

export function queueOffsetOfMark(mark: number): number {
  return mark % KIND_FACTOR
}
