/** How a store is, put together from what its parts know. */
import type { Flusher } from './flusher.ts'
import type { StoreParts } from './store-parts.ts'
import type { StoreStatus } from './types.ts'

/** What the store itself says of it. */
type OwnStatus = Pick<StoreStatus, 'commitOffset' | 'readOnlyReason' | 'bootTimestamp'>

export function statusOf(
  { commitLog, dispatcher, cleaner, statistics }: StoreParts,
  flusher: Flusher | null,
  own: OwnStatus,
): StoreStatus {
  const first = commitLog.storeTimestampAt(commitLog.startOffset)
  return {
    ...own,
    minPhysicalOffset: commitLog.startOffset,
    maxPhysicalOffset: commitLog.endOffset,
    flushedOffset: commitLog.flushedOffset,
    dispatchBehindBytes: commitLog.endOffset - dispatcher.dispatchedOffset,
    flushBehindBytes: commitLog.endOffset - commitLog.flushedOffset,
    commitLogBytes: commitLog.endOffset - commitLog.startOffset,
    earliestMessageTimestamp: first === -1 ? null : first,
    commitLogDiskRatio: cleaner.commitLogDiskRatio,
    consumeQueueDiskRatio: cleaner.rootDiskRatio,
    unreadKeptFor: cleaner.keptFor,
    deletedSegments: cleaner.deletedSegments,
    deletedUnreadSegments: cleaner.deletedUnreadSegments,
    diskStalls: flusher?.diskStalls ?? 0,
    oldestDiskOperationMs: flusher?.oldestOperationMs ?? 0,
    syncTimes: flusher?.syncTimes ?? null,
    putTimesTotal: statistics.putTimesTotal,
    putSizeTotal: statistics.putSizeTotal,
    putFailedTimes: statistics.putFailedTimes,
    putEntireTimeMaxMs: statistics.putEntireTimeMaxMs,
    putTimeDistribution: [...statistics.putTimeDistribution],
    getEntireTimeMaxMs: statistics.getEntireTimeMaxMs,
    getFoundTimesTotal: statistics.getFoundTimesTotal,
    getMissTimesTotal: statistics.getMissTimesTotal,
    getTransferredMessagesTotal: statistics.getTransferredMessagesTotal,
  }
}
