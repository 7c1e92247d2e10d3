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

/** After a clean stop of a Java broker its last files are read again (protocol §19.1). */
const JAVA_CLEAN_SEGMENTS = 3

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
}

export interface RecoveryResult {
  readonly isClean: boolean
  readonly startOffset: number
  readonly endOffset: number
  /** Records that were read again. */
  readonly records: number
  readonly wasRebuilt: boolean
}

interface Plan {
  readonly isClean: boolean
  readonly startOffset: number
  /** The log below was on disk; null when nobody says so. */
  readonly flushedOffset: number | null
  readonly lastStoreTimestamp: number
}

/** Recovers and leaves commit log, dispatcher and queues ready to go on. Throws `StoreError` `corrupt`. */
export async function recover(parts: RecoveryParts): Promise<RecoveryResult> {
  const { commitLog, logger } = parts
  commitLog.segments.load()
  const plan = planRecovery(parts)
  try {
    // When the whole log is read again anyway, nothing that may be damaged needs to be kept.
    const isWhole = !plan.isClean && plan.startOffset === commitLog.segments.firstOffset
    return await replay(parts, plan, isWhole)
  } catch (error) {
    const isDerived = error instanceof StoreError && error.code === 'derivedCorrupt'
    if (!isDerived) throw error
    logger.warn({ err: error }, 'derived files do not fit the CommitLog: building them anew')
    const first = commitLog.segments.firstOffset
    return await replay(parts, { ...plan, isClean: false, startOffset: first }, true)
  }
}

async function replay(
  parts: RecoveryParts,
  plan: Plan,
  isRebuild: boolean,
): Promise<RecoveryResult> {
  const { commitLog, consumeQueues, index, dispatcher } = parts
  if (isRebuild) consumeQueues.removeAll()
  consumeQueues.load(plan.startOffset)
  index?.load(isRebuild ? 0 : plan.startOffset, plan.isClean)
  const scanner = new LogScanner(commitLog.segments, plan.startOffset, true)
  let records = 0
  let yieldAt = plan.startOffset + YIELD_BYTES
  let lastStoreTimestamp = plan.lastStoreTimestamp
  while (scanner.next()) {
    dispatcher.dispatchRecord(scanner.reader, scanner.bytes)
    lastStoreTimestamp = Math.max(lastStoreTimestamp, scanner.reader.storeTimestamp)
    records++
    if (scanner.nextOffset >= yieldAt) {
      yieldAt = scanner.nextOffset + YIELD_BYTES
      consumeQueuesWrite(consumeQueues, index)
      await new Promise<void>((resolve) => parts.timers.soon(resolve))
    }
  }
  const endOffset = scanner.physicalOffset
  checkEnd(parts, plan, scanner)
  if (!plan.isClean) {
    clearBeyond(parts, endOffset)
    // A record that a reader saw before this crash must not be lost by the next one.
    commitLog.resume(endOffset, plan.startOffset, lastStoreTimestamp)
    await commitLog.flush()
  } else {
    commitLog.resume(endOffset, endOffset, lastStoreTimestamp)
  }
  dispatcher.resume(endOffset)
  for (const queue of consumeQueues.all()) queue.raiseMinOffset(commitLog.startOffset)
  const { isClean, startOffset } = plan
  return { isClean, startOffset, endOffset, records, wasRebuilt: isRebuild }
}

/** Where to begin, by Gantry's own checkpoint, or by Java's rules when a Java broker was here last. */
function planRecovery(parts: RecoveryParts): Plan {
  const { disk, root, commitLog } = parts
  const { segments } = commitLog
  const checkpoint = readCheckpoint(disk, `${root}/checkpoint`)
  const isAborted = wasAborted(disk, root)
  if (checkpoint !== null && checkpoint.own !== null) {
    const { own, flushedOffset } = checkpoint
    const needed = Math.max(own.derivedOffset, flushedOffset)
    if (needed > segments.endOffset) {
      throw new StoreError(
        'corrupt',
        `${segments.directory} ends at ${segments.endOffset}, but the checkpoint says that everything below ${needed} was on disk`,
      )
    }
    return {
      isClean: own.isClean && !isAborted,
      startOffset: Math.max(own.derivedOffset, segments.firstOffset),
      flushedOffset,
      lastStoreTimestamp: checkpoint.physicalTimestamp,
    }
  }
  const startOffset =
    isAborted && checkpoint !== null
      ? javaStartOffset(commitLog, checkpoint)
      : Math.max(
          segments.firstOffset,
          segments.endOffset - JAVA_CLEAN_SEGMENTS * segments.segmentSize,
        )
  const isKnown = checkpoint !== null
  return {
    isClean: false,
    startOffset: isKnown ? startOffset : segments.firstOffset,
    flushedOffset: null,
    lastStoreTimestamp: 0,
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
  for (const queue of parts.consumeQueues.all()) {
    queue.writePending()
    queue.clearBeyondEnd()
  }
}

function consumeQueuesWrite(consumeQueues: ConsumeQueues, index: MessageIndex | null): void {
  for (const queue of consumeQueues.all()) if (queue.hasUnwritten) queue.writePending()
  index?.writePending()
}
