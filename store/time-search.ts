/** Finds queue offsets by store time (protocol §7, request 29). Store times of a queue never decrease. */
import type { CommitLog } from './commit-log.ts'
import type { ConsumeQueue } from './consume-queue.ts'
import type { BoundaryType } from './types.ts'

/**
 * LOWER: the first message not older than `timestamp`, the maximum offset when all are older. UPPER: the last one not younger, 0
 * when all are younger. An empty queue answers its maximum offset.
 */
export function offsetByTimestamp(
  queue: ConsumeQueue,
  commitLog: CommitLog,
  timestamp: number,
  boundary: BoundaryType,
): number {
  const { minOffset, maxOffset } = queue
  if (minOffset >= maxOffset) return maxOffset
  if (boundary === 'LOWER') {
    return partition(minOffset, maxOffset, (at) => storeTime(queue, commitLog, at) < timestamp)
  }
  const after = partition(
    minOffset,
    maxOffset,
    (at) => storeTime(queue, commitLog, at) <= timestamp,
  )
  return after === minOffset ? 0 : after - 1
}

/** Store time of the message at a queue offset; null when there is none. */
export function storeTimestampAt(
  queue: ConsumeQueue,
  commitLog: CommitLog,
  queueOffset: number,
): number | null {
  if (queueOffset < queue.minOffset || queueOffset >= queue.maxOffset) return null
  const timestamp = storeTime(queue, commitLog, queueOffset)
  return timestamp === -1 ? null : timestamp
}

function storeTime(queue: ConsumeQueue, commitLog: CommitLog, queueOffset: number): number {
  const unit = queue.unitAt(queueOffset)
  // What retention is just removing is older than anything.
  return unit === null ? -1 : commitLog.storeTimestampAt(unit.physicalOffset)
}

function partition(low: number, high: number, holds: (at: number) => boolean): number {
  let first = low
  let last = high
  while (first < last) {
    const middle = Math.floor((first + last) / 2)
    if (holds(middle)) first = middle + 1
    else last = middle
  }
  return first
}
