/**
 * The unit of a ConsumeQueue (protocol §19.2): where a message lies, how large it is, and a hash of its tag.
 *
 *   physicalOffset 8 · size 4 · tagsCode 8
 */
import { isSafeInt64, readInt64 } from '../common/bytes.ts'

/** Bytes per ConsumeQueue unit. */
export const CONSUME_QUEUE_UNIT_SIZE = 20

/** Size of a unit that stands before a queue's first message. */
export const FILLER_SIZE = 0x7fffffff

export interface ConsumeQueueUnit {
  readonly physicalOffset: number
  readonly size: number
  readonly tagsCode: number
}

/** Null when the bytes are no unit: never written, or damaged. */
export function decodeConsumeQueueUnit(source: Buffer, at: number): ConsumeQueueUnit | null {
  const size = source.readInt32BE(at + 8)
  if (size <= 0 || !isSafeInt64(source, at) || !isSafeInt64(source, at + 12)) return null
  const physicalOffset = readInt64(source, at)
  if (physicalOffset < 0) return null
  return { physicalOffset, size, tagsCode: readInt64(source, at + 12) }
}

/** True for a place of the first file before the queue's first message. */
export function isFiller(unit: ConsumeQueueUnit): boolean {
  return unit.size === FILLER_SIZE && unit.physicalOffset === 0
}

/** True for a unit of a record below a physical offset, and for a filler. */
export function isBelow(unit: ConsumeQueueUnit | null, physicalOffset: number): boolean {
  return unit !== null && (isFiller(unit) || unit.physicalOffset < physicalOffset)
}
