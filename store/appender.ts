/**
 * The way of a put: validated, encoded at the end of the log in memory, written with all others of the turn in one call, and
 * answered when it is committed.
 *
 * With ASYNC_FLUSH the commit offset follows the write; with SYNC_FLUSH it follows the fdatasync, of which one is under way at a
 * time and serves all that were written before it began (group commit).
 */
import { fitsRecord, recordSize } from '../common/message-codec.ts'
import type { RecordPlace } from '../common/message-codec.ts'
import { MessageSysFlag } from '../common/message.ts'
import type { HostAddress, MessageToStore } from '../common/message.ts'
import { MAX_PROPERTIES_SIZE } from '../common/properties.ts'
import { messageOf, systemCodeOf } from '../common/errors.ts'
import type { Clock, Timers } from '../common/ports.ts'
import type { CommitLog } from './commit-log.ts'
import type { ConsumeQueue } from './consume-queue.ts'
import { isTopicName } from './consume-queues.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import type { StoreStatistics } from './put-statistics.ts'
import { PutStatus } from './types.ts'
import type { PutResult } from './types.ts'

/** Java's limit of a whole record is that of the body and this. */
const RECORD_OVERHEAD_MAX = 64 * 1024

/** Appended and not yet committed bytes above which puts are refused: the disk does not keep up. */
const MAX_UNCOMMITTED_BYTES = 256 * 1024 * 1024

/** What must be taken back when a put could not be written. */
interface Appended {
  readonly startOffset: number
  readonly queue: ConsumeQueue
  readonly nextOffsetBefore: number
}

interface Waiter extends Appended {
  readonly endOffset: number
  readonly startedAt: number
  readonly bytes: number
  readonly result: PutResult
  readonly done: (result: PutResult) => void
  isAnswered: boolean
}

export interface AppenderOptions {
  readonly commitLog: CommitLog
  readonly consumeQueues: ConsumeQueues
  readonly statistics: StoreStatistics
  readonly clock: Clock
  readonly timers: Timers
  readonly storeHost: () => HostAddress
  readonly isSyncFlush: boolean
  readonly syncFlushTimeoutMs: number
  readonly maxMessageSize: number
  /** Why puts are refused now; null when they are taken. */
  readonly refusal: () => string | null
  /** After a write: the log reaches up to `writtenOffset`. The store commits, and calls `release`. */
  readonly onWritten: () => void
  readonly onDiskFull: (error: unknown) => void
  readonly onFailure: (error: unknown) => void
}

export class Appender {
  readonly #options: AppenderOptions
  readonly #place: RecordPlace
  /** Answered after the write that ends this turn. */
  #afterWrite: Waiter[] = []
  /** Answered once committed, in the order of the log. */
  #afterCommit: Waiter[] = []
  #isTurnScheduled = false
  #isTimeoutScheduled = false
  #isStopped = false

  constructor(options: AppenderOptions) {
    this.#options = options
    const storeHost = options.storeHost()
    this.#place = { queueOffset: 0, physicalOffset: 0, storeTimestamp: 0, storeHost }
  }

  get waiting(): number {
    return this.#afterWrite.length + this.#afterCommit.length
  }

  put(
    messages: readonly MessageToStore[],
    waitForFlush: boolean,
    done: (result: PutResult) => void,
  ): void {
    const { commitLog, clock, isSyncFlush } = this.#options
    this.#place.storeHost = this.#options.storeHost()
    const refused = this.#check(messages)
    const first = messages[0]
    if (refused !== null || first === undefined) {
      this.#options.statistics.putFailedTimes++
      done(refused ?? refusal(PutStatus.MESSAGE_ILLEGAL, 'a put without a message'))
      return
    }
    const startedAt = clock.monotonic()
    const startOffset = commitLog.endOffset
    const queue = this.#options.consumeQueues.getOrCreate(first.topic, first.queueId)
    const nextOffsetBefore = queue.nextOffset
    let result: PutResult
    try {
      result = this.#append(messages, queue)
    } catch (error) {
      // Making room wrote what was pending, and that failed. What of this put was encoded goes with it.
      this.#failWrite(error, [{ startOffset, queue, nextOffsetBefore }])
      this.#options.statistics.putFailedTimes++
      done(refusal(PutStatus.SERVICE_NOT_AVAILABLE, messageOf(error)))
      return
    }
    const endOffset = commitLog.endOffset
    const bytes = endOffset - startOffset
    const waiter: Waiter = {
      startOffset,
      endOffset,
      startedAt,
      bytes,
      result,
      done,
      queue,
      nextOffsetBefore,
      isAnswered: false,
    }
    if (isSyncFlush && waitForFlush) this.#afterCommit.push(waiter)
    else this.#afterWrite.push(waiter)
    this.#scheduleTurn()
  }

  /** Writes what is pending now, instead of at the end of the turn. */
  writeNow(): void {
    if (this.#isStopped) return
    const { commitLog } = this.#options
    try {
      commitLog.writePending()
    } catch (error) {
      this.#failWrite(error, [])
      return
    }
    this.#options.onWritten()
    const written = this.#afterWrite
    this.#afterWrite = []
    for (const waiter of written) this.#answer(waiter, waiter.result)
    if (this.#afterCommit.length > 0) this.#scheduleTimeout()
  }

  /** Answers what is committed. */
  release(commitOffset: number): void {
    let count = 0
    while (count < this.#afterCommit.length) {
      const waiter = this.#afterCommit[count]
      if (waiter === undefined || waiter.endOffset > commitOffset) break
      this.#answer(waiter, waiter.result)
      count++
    }
    if (count > 0) this.#afterCommit.splice(0, count)
  }

  /** Refuses everything that waits, and writes nothing more: the store is closed or has failed. */
  refuseAll(reason: string): void {
    this.#isStopped = true
    const waiters = [...this.#afterWrite, ...this.#afterCommit]
    this.#afterWrite = []
    this.#afterCommit = []
    for (const waiter of waiters) {
      this.#answer(waiter, refusal(PutStatus.SERVICE_NOT_AVAILABLE, reason))
    }
  }

  #check(messages: readonly MessageToStore[]): PutResult | null {
    const { commitLog, maxMessageSize } = this.#options
    const reason = this.#options.refusal()
    if (reason !== null) return refusal(PutStatus.SERVICE_NOT_AVAILABLE, reason)
    if (
      commitLog.endOffset - commitLog.flushedOffset > MAX_UNCOMMITTED_BYTES &&
      this.#options.isSyncFlush
    ) {
      return refusal(PutStatus.OS_PAGE_CACHE_BUSY, 'the disk does not keep up with the writes')
    }
    const { storeHost } = this.#place
    const maxRecordSize = Math.min(commitLog.maxRecordSize, maxMessageSize + RECORD_OVERHEAD_MAX)
    for (const message of messages) {
      if (!isTopicName(message.topic) || message.queueId < 0) {
        return refusal(PutStatus.MESSAGE_ILLEGAL, 'the topic or queue is impossible')
      }
      if (message.body.length > maxMessageSize || !fitsRecord(message)) {
        return refusal(
          PutStatus.MESSAGE_ILLEGAL,
          `the body has ${message.body.length} of ${maxMessageSize} bytes, the properties ${message.properties.length} of ${MAX_PROPERTIES_SIZE}`,
        )
      }
      if (recordSize(message, storeHost) > maxRecordSize) {
        return refusal(
          PutStatus.MESSAGE_ILLEGAL,
          `the record is larger than ${maxRecordSize} bytes`,
        )
      }
    }
    return null
  }

  #append(messages: readonly MessageToStore[], queue: ConsumeQueue): PutResult {
    const { commitLog, clock } = this.#options
    const place = this.#place
    // Times of a log never go back, so that a queue can be searched by time whatever the clock does.
    place.storeTimestamp = Math.max(clock.now(), commitLog.lastStoreTimestamp)
    const physicalOffsets: number[] = []
    let firstQueueOffset = -1
    for (const message of messages) {
      place.queueOffset = hasQueueOffset(message.sysFlag) ? queue.nextOffset++ : 0
      if (firstQueueOffset === -1) firstQueueOffset = place.queueOffset
      commitLog.append(message, recordSize(message, place.storeHost), place)
      physicalOffsets.push(place.physicalOffset)
    }
    return {
      status: PutStatus.OK,
      reason: null,
      physicalOffsets,
      queueOffset: firstQueueOffset,
      storeTimestamp: place.storeTimestamp,
    }
  }

  #scheduleTurn(): void {
    if (this.#isTurnScheduled) return
    this.#isTurnScheduled = true
    this.#options.timers.soon(() => {
      this.#isTurnScheduled = false
      this.writeNow()
    })
  }

  #answer(waiter: Waiter, result: PutResult): void {
    if (waiter.isAnswered) return
    waiter.isAnswered = true
    const { statistics, clock } = this.#options
    const elapsed = clock.monotonic() - waiter.startedAt
    if (result.status === PutStatus.OK) {
      statistics.put(result.physicalOffsets.length, waiter.bytes, elapsed)
    } else {
      statistics.putFailedTimes++
    }
    waiter.done(result)
  }

  /** The end of the log is not on disk: drop it, with its queue offsets, and refuse the puts. */
  #failWrite(error: unknown, unanswered: readonly Appended[]): void {
    const { commitLog } = this.#options
    if (systemCodeOf(error) !== 'ENOSPC') {
      this.#options.onFailure(error)
      return
    }
    // A full disk is no damage (reliability R10): nothing of these records was acknowledged, so they are taken back.
    const isLost = (waiter: Waiter): boolean => waiter.endOffset > commitLog.writtenOffset
    const lost = [...this.#afterWrite, ...this.#afterCommit].filter(isLost)
    this.#afterWrite = this.#afterWrite.filter((waiter) => !isLost(waiter))
    this.#afterCommit = this.#afterCommit.filter((waiter) => !isLost(waiter))
    commitLog.dropPending()
    for (const { startOffset, queue, nextOffsetBefore } of [...lost, ...unanswered]) {
      queue.nextOffset = Math.min(queue.nextOffset, nextOffsetBefore)
      // The first part of a large put may have been written on its own.
      if (startOffset < commitLog.endOffset) commitLog.truncate(startOffset)
    }
    this.#options.onDiskFull(error)
    for (const waiter of lost) {
      this.#answer(waiter, refusal(PutStatus.SERVICE_NOT_AVAILABLE, 'the disk is full'))
    }
    if (this.#afterWrite.length > 0) this.#scheduleTurn()
  }

  /** A put that waits longer than `syncFlushTimeout` is answered: stored, but not known to be on disk. */
  #scheduleTimeout(): void {
    if (this.#isTimeoutScheduled) return
    const oldest = this.#afterCommit.find((waiter) => !waiter.isAnswered)
    if (oldest === undefined) return
    this.#isTimeoutScheduled = true
    const { clock, timers, syncFlushTimeoutMs } = this.#options
    const delay = Math.max(1, oldest.startedAt + syncFlushTimeoutMs - clock.monotonic())
    timers.after(delay, () => {
      this.#isTimeoutScheduled = false
      const deadline = clock.monotonic() - syncFlushTimeoutMs
      for (const waiter of this.#afterCommit) {
        if (waiter.startedAt > deadline) break
        const { result } = waiter
        this.#answer(waiter, {
          ...result,
          status: PutStatus.FLUSH_DISK_TIMEOUT,
          reason: 'flush timeout',
        })
      }
      this.#scheduleTimeout()
    })
  }
}

/** Half messages and rollbacks have no place in a queue (protocol §19.1). */
function hasQueueOffset(sysFlag: number): boolean {
  const transaction = sysFlag & MessageSysFlag.TRANSACTION_MASK
  return transaction === 0 || transaction === MessageSysFlag.TRANSACTION_COMMIT
}

function refusal(status: PutStatus, reason: string): PutResult {
  return { status, reason, physicalOffsets: [], queueOffset: 0, storeTimestamp: 0 }
}
