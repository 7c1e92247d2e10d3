/**
 * Brings a store folder back to a consistent state: finds where the CommitLog ends, cuts what a crash left torn, and derives again
 * what the ConsumeQueues and the index may have lost.
 *
 * A bad record above what is known to have been on disk was never acknowledged (or, with ASYNC_FLUSH, lost with the machine): it
 * is cut. One below it is a hole in the log, and an error which names file and offset: never a silent skip.
 */
import type { Logger } from '../common/log.ts'
import type { Timers } from '../common/ports.ts'
import { readCheckpoint } from './checkpoint.ts'
import { readQueuePositions } from './queue-positions.ts'
import type { QueuePositions } from './queue-positions.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { CommitLog } from './commit-log.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import type { Disk } from '../common/ports.ts'
import { wasAborted } from './data-folder.ts'
import type { Dispatcher } from './dispatcher.ts'
import { StoreError } from './errors.ts'
import { LogScanner } from './log-scanner.ts'
import type { MessageIndex } from './message-index.ts'

/** Bytes of the log between two looks at the event loop. */
const YIELD_BYTES = 4 * 1024 * 1024

/** Written once more at a time. */
const REWRITE_BYTES = 1024 * 1024

/** After a clean stop of a Java broker its last files are read again (protocol §19.1). */
const JAVA_CLEAN_SEGMENTS = 3

/** With up to so many queues a start looks into each; with more it is done while the store serves. */
const OPENED_AT_START = 2000

/** Java starts this much before the oldest of the checkpoint's times. */
const JAVA_TIME_MARGIN_MS = 3000

export interface RecoveryParts {
  readonly disk: Disk
  readonly timers: Timers
  readonly logger: Logger
  readonly root: string
  readonly commitLog: CommitLog
  readonly consumeQueues: ConsumeQueues
  readonly index: MessageIndex | null
  readonly dispatcher: Dispatcher
  /** Records are committed by others: what lies beyond the last known commit offset is kept, and not derived from. */
  readonly isReplicated?: boolean
  /** Derive everything anew, whatever stands there. */
  readonly isRebuild?: boolean
  /** Told now and then up to where the log has been read, and where its last file ends. */
  readonly onProgress?: ((offset: number, endOffset: number) => void) | undefined
}

export interface RecoveryResult {
  readonly isClean: boolean
  readonly startOffset: number
  readonly endOffset: number
  /** Everything below is committed; the end of the log unless it is replicated. */
  readonly commitOffset: number
  /** Everything derived from the records below was on disk. */
  readonly derivedOffset: number
  /** Records that were read again. */
  readonly records: number
  readonly wasRebuilt: boolean
}

interface Plan {
  readonly isClean: boolean
  readonly startOffset: number
  /** The log below is committed. */
  readonly commitOffset: number
  /** The log below was on disk; null when nobody says so. */
  readonly flushedOffset: number | null
  readonly lastStoreTimestamp: number
  /** Where the queues ended at `startOffset` or beyond; null: their files tell. */
  readonly positions: QueuePositions | null
}

/** Recovers and leaves commit log, dispatcher and queues ready to go on. Throws `StoreError` `corrupt`. */
export async function recover(parts: RecoveryParts): Promise<RecoveryResult> {
  const { commitLog, logger } = parts
  commitLog.segments.load(syncedOffset(parts))
  const plan = planRecovery(parts)
  try {
    // When the whole log is read again anyway, nothing that may be damaged needs to be kept.
    const first = commitLog.segments.firstOffset
    if (parts.isRebuild === true) return await replay(parts, wholePlan(plan, first), true)
    return await replay(parts, plan, !plan.isClean && plan.startOffset === first)
  } catch (error) {
    const isDerived = error instanceof StoreError && error.code === 'derivedCorrupt'
    if (!isDerived) throw error
    logger.warn({ err: error }, 'derived files do not fit the CommitLog: building them anew')
    const first = commitLog.segments.firstOffset
    return await replay(parts, wholePlan(plan, first), true)
  }
}

function wholePlan(plan: Plan, startOffset: number): Plan {
  return { ...plan, isClean: false, startOffset, positions: null }
}

async function replay(
  parts: RecoveryParts,
  plan: Plan,
  isRebuild: boolean,
): Promise<RecoveryResult> {
  const { commitLog, consumeQueues, index, dispatcher } = parts
  // It knows nothing of a derivation that was given up.
  dispatcher.resume(plan.startOffset)
  if (isRebuild) {
    // First, so that a crash meanwhile does not find it believable.
    parts.disk.removeSync(`${parts.root}/queuepositions`)
    consumeQueues.removeAll()
  }
  if (plan.positions === null) consumeQueues.load(plan.startOffset)
  else restoreQueues(consumeQueues, plan, plan.positions)
  index?.load(isRebuild ? 0 : plan.startOffset, plan.isClean)
  if (!isRebuild && plan.positions !== null) {
    index?.assertHolds(plan.positions.indexFiles, commitLog.segments.firstOffset)
  }
  const scanner = new LogScanner(commitLog.segments, plan.startOffset, true)
  let records = 0
  let yieldAt = plan.startOffset + YIELD_BYTES
  let lastStoreTimestamp = plan.lastStoreTimestamp
  while (scanner.next()) {
    if (scanner.physicalOffset < plan.commitOffset) {
      dispatcher.dispatchRecord(scanner.reader, scanner.bytes)
    }
    lastStoreTimestamp = Math.max(lastStoreTimestamp, scanner.reader.storeTimestamp)
    records++
    if (scanner.nextOffset >= yieldAt) {
      yieldAt = scanner.nextOffset + YIELD_BYTES
      index?.writePending()
      parts.onProgress?.(scanner.nextOffset, commitLog.segments.endOffset)
      await new Promise<void>((resolve) => parts.timers.soon(resolve))
    }
  }
  const endOffset = scanner.physicalOffset
  checkEnd(parts, plan, scanner)
  if (!plan.isClean) {
    clearBeyond(parts, endOffset)
    // A record that a reader saw before this crash must not be lost by the next one.
    commitLog.resume(endOffset, plan.startOffset, lastStoreTimestamp)
    rewrite(commitLog, plan.flushedOffset ?? plan.startOffset)
    await commitLog.flush()
  } else {
    commitLog.resume(endOffset, endOffset, lastStoreTimestamp)
  }
  const commitOffset = Math.min(plan.commitOffset, endOffset)
  dispatcher.resume(commitOffset)
  if (plan.positions?.logStart !== commitLog.startOffset) {
    for (const queue of consumeQueues.all()) queue.raiseMinOffset(commitLog.startOffset)
  }
  const { isClean, startOffset } = plan
  return {
    isClean,
    startOffset,
    endOffset,
    commitOffset,
    derivedOffset: startOffset,
    records,
    wasRebuilt: isRebuild,
  }
}

/**
 * What a failed sync left in the page cache reads well and is on no disk, and the next sync passes it over: all that nobody knows to be on
 * disk is written once more, so that it does not.
 */
function rewrite({ segments, endOffset }: CommitLog, fromOffset: number): void {
  const bytes = Buffer.allocUnsafe(REWRITE_BYTES)
  for (let at = Math.max(fromOffset, segments.firstOffset); at < endOffset;) {
    const segmentEnd = segments.startOf(at) + segments.segmentSize
    const size = Math.min(bytes.length, endOffset - at, segmentEnd - at)
    segments.readSync(bytes, 0, size, at)
    segments.writeSync(bytes, 0, size, at)
    at += size
  }
}

/** The CommitLog below was on disk, as far as Gantry's own checkpoint tells. */
function syncedOffset({ disk, root }: RecoveryParts): number | null {
  const checkpoint = readCheckpoint(disk, `${root}/checkpoint`)
  return checkpoint === null || checkpoint.own === null ? null : checkpoint.flushedOffset
}

function restoreQueues(queues: ConsumeQueues, plan: Plan, positions: QueuePositions): void {
  queues.restore(positions.queues, !plan.isClean)
  if (positions.queues.length > OPENED_AT_START) return
  for (const queue of queues.all()) queue.open()
}

/** Where to begin, by Gantry's own checkpoint, or by Java's rules when a Java broker was here last. */
function planRecovery(parts: RecoveryParts): Plan {
  const { disk, root, commitLog } = parts
  const { segments } = commitLog
  const checkpoint = readCheckpoint(disk, `${root}/checkpoint`)
  const isAborted = wasAborted(disk, root)
  const positions = readQueuePositions(disk, `${root}/queuepositions`)
  if (checkpoint !== null && checkpoint.own !== null) {
    const { own, flushedOffset } = checkpoint
    const needed = Math.max(own.derivedOffset, flushedOffset)
    if (needed > segments.endOffset) {
      throw new StoreError(
        'corrupt',
        `${segments.directory} ends at ${segments.endOffset}, but the checkpoint says that everything below ${needed} was on disk`,
      )
    }
    // What an older Gantry wrote has no positions; where there were some, nothing is believed without them.
    const derived = own.hasPositions
      ? Math.min(own.derivedOffset, positions?.derivedOffset ?? 0)
      : own.derivedOffset
    return {
      isClean: own.isClean && !isAborted && derived === own.derivedOffset,
      startOffset: Math.max(derived, segments.firstOffset),
      commitOffset:
        parts.isReplicated === true
          ? // What retention has removed was committed, whatever the checkpoint on disk knows of it.
            Math.max(checkpoint.confirmedOffset, derived, segments.firstOffset)
          : Number.POSITIVE_INFINITY,
      flushedOffset,
      lastStoreTimestamp: checkpoint.physicalTimestamp,
      positions: own.hasPositions ? positions : null,
    }
  }
  const startOffset =
    isAborted && checkpoint !== null
      ? javaStartOffset(commitLog, checkpoint)
      : Math.max(
          segments.firstOffset,
          segments.endOffset - JAVA_CLEAN_SEGMENTS * segments.segmentSize,
        )
  // Java may have gone on behind the positions, or the checkpoint is damaged: what they say was true then.
  const known = Math.max(
    segments.firstOffset,
    Math.min(startOffset, positions?.derivedOffset ?? startOffset),
  )
  return {
    isClean: false,
    startOffset: checkpoint === null ? segments.firstOffset : known,
    // A Java broker's store: all of it counts, since nobody else has another one.
    commitOffset: Number.POSITIVE_INFINITY,
    flushedOffset: null,
    lastStoreTimestamp: 0,
    positions,
  }
}

/** The newest file whose first record is old enough to be in all derived files (Java: `isMappedFileMatchedRecover`). */
function javaStartOffset(commitLog: CommitLog, checkpoint: Checkpoint): number {
  const { segments } = commitLog
  const times = [checkpoint.physicalTimestamp, checkpoint.queueTimestamp, checkpoint.indexTimestamp]
  const safeTime = Math.min(...times.filter((time) => time > 0)) - JAVA_TIME_MARGIN_MS
  if (!Number.isFinite(safeTime)) return segments.firstOffset
  for (
    let start = segments.endOffset - segments.segmentSize;
    start > segments.firstOffset;
    start -= segments.segmentSize
  ) {
    const scanner = new LogScanner(segments, start, true)
    if (scanner.next() && scanner.reader.storeTimestamp <= safeTime) return start
  }
  return segments.firstOffset
}

function checkEnd(parts: RecoveryParts, plan: Plan, scanner: LogScanner): void {
  const { segments } = parts.commitLog
  const endOffset = scanner.physicalOffset
  const problem = scanner.problem ?? 'no record'
  const place = `${segments.pathAt(endOffset)}: ${problem} at offset ${endOffset}`
  if (plan.flushedOffset !== null && endOffset < plan.flushedOffset) {
    throw new StoreError(
      'corrupt',
      `${place}, although everything below ${plan.flushedOffset} was on disk`,
    )
  }
  if (plan.flushedOffset === null && hasRecordsBeyond(parts.commitLog, endOffset)) {
    throw new StoreError('corrupt', `${place}, and later files hold records`)
  }
  if (scanner.problem !== null) {
    parts.logger.warn(
      { physicalOffset: endOffset, problem },
      'cutting the torn tail of the CommitLog',
    )
  }
}

function hasRecordsBeyond(commitLog: CommitLog, endOffset: number): boolean {
  const { segments } = commitLog
  const next = segments.startOf(endOffset) + segments.segmentSize
  for (let start = next; start < segments.endOffset; start += segments.segmentSize) {
    if (new LogScanner(segments, start, false).next()) return true
  }
  return false
}

/** Nothing past the end may look like a record or a unit the next time. */
function clearBeyond(parts: RecoveryParts, endOffset: number): void {
  if (!parts.commitLog.segments.isEmpty) parts.commitLog.segments.zeroFrom(endOffset, true)
  // What was derived just now waits in memory, and is written behind it.
  for (const queue of parts.consumeQueues.all()) queue.clearBeyondEnd()
}
