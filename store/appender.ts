/**
 * The way of a message into the log: checked, encoded at the end of the log in memory, written with all others of the turn in one
 * call, and answered when it is committed.
 *
 * With ASYNC_FLUSH the commit offset follows the write; with SYNC_FLUSH it follows the fdatasync, of which one is under way at a
 * time and serves all that were written before it began (group commit).
 *
 * What is appended between two writes is a batch: it reaches the file as a whole, or is taken back as a whole. A batch ends with the
 * turn, or earlier when the log's buffer needs it. A message makes no object here: who waits is noted per waiter and batch.
 */
import { RecordDraft, draftSize, fitsDraft } from '../common/message-codec.ts'
import type { RecordPlace } from '../common/message-codec.ts'
import { MessageSysFlag } from '../common/message.ts'
import type { HostAddress, MessageToStore } from '../common/message.ts'
import { MAX_PROPERTIES_SIZE } from '../common/properties.ts'
import { isNoRoom, messageOf } from '../common/errors.ts'
import type { Clock, Timers } from '../common/ports.ts'
import type { CommitLog } from './commit-log.ts'
import { isTopicName } from './consume-queues.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import type { LightQueues, PlacedMessage } from './light-queues.ts'
import type { StoreStatistics } from './put-statistics.ts'
import { PutStatus } from './types.ts'
import type { AppendQueue, CommitWaiter, LastAppend, PutResult, PutWait } from './types.ts'
import { WaiterQueue } from './waiter-queue.ts'
import type { Waiting } from './waiter-queue.ts'

/** Java's limit of a whole record is that of the body and this. */
const RECORD_OVERHEAD_MAX = 64 * 1024

/** Appended and not yet flushed bytes above which SYNC_FLUSH refuses messages: the disk does not keep up. */
const MAX_UNFLUSHED_BYTES = 256 * 1024 * 1024

export interface AppenderOptions {
  readonly commitLog: CommitLog
  readonly consumeQueues: ConsumeQueues
  readonly statistics: StoreStatistics
  readonly clock: Clock
  readonly timers: Timers
  readonly storeHost: () => HostAddress
  readonly isSyncFlush: boolean
  /** The commit follows the write only when others have the records too. */
  readonly isReplicated: boolean
  readonly syncFlushTimeoutMs: number
  readonly maxMessageSize: number
  /** Null without light queues. */
  readonly light: LightQueues | null
  /** Why puts are refused now; null when they are taken. */
  readonly refusal: () => string | null
  /** After a write: the log reaches up to `writtenOffset`. The store commits, and calls `release`. */
  readonly onWritten: () => void
  /** The log will be cut here, where it was written already, and `onWritten` not called. */
  readonly onCut: (offset: number) => void
  readonly onDiskFull: (error: unknown) => void
  readonly onFailure: (error: unknown) => void
}

export class Appender {
  readonly #options: AppenderOptions
  readonly #maxRecordSize: number
  readonly #place: RecordPlace
  /** For the messages of `put`. */
  readonly #draft = new RecordDraft()
  /** Answered after the write that ends this turn. */
  readonly #afterWrite = new WaiterQueue()
  /** Answered once committed. */
  readonly #afterCommit = new WaiterQueue()
  /** Entries of batches that were taken back; told at the end of the turn. */
  #refused: Waiting[] = []
  #refusedReason = ''
  #batchNumber = 0
  #isBatchOpen = false
  #batchStart = 0
  /** Batches from here on were written in the middle of a turn, which `onWritten` does not know yet; -1: none. */
  #untoldStart = -1
  #batchStartedAt = 0
  /** Queues that the open batch appended to. */
  #batchQueues: AppendQueue[] = []
  /** A write or the making of a file failed for good; told at the end of the turn. */
  #failure: { readonly error: unknown } | null = null
  #isTurnScheduled = false
  #isTimeoutScheduled = false
  #isStopped = false

  constructor(options: AppenderOptions) {
    this.#options = options
    const { commitLog, maxMessageSize } = options
    this.#maxRecordSize = Math.min(commitLog.maxRecordSize, maxMessageSize + RECORD_OVERHEAD_MAX)
    const storeHost = options.storeHost()
    this.#place = { queueOffset: 0, physicalOffset: 0, storeTimestamp: 0, storeHost }
  }

  get waiting(): number {
    return this.#afterWrite.length + this.#afterCommit.length
  }

  get batchNumber(): number {
    return this.#batchNumber
  }

  get lastAppend(): LastAppend {
    return this.#place
  }

  /** See `Store.append`. */
  append(queue: AppendQueue, draft: RecordDraft, waiter: CommitWaiter): PutStatus {
    const { commitLog, statistics, isSyncFlush, isReplicated } = this.#options
    draft.topic = queue.topicBytes
    draft.queueId = queue.queueId
    const status = this.#refusalOf() === null ? this.#check(draft) : PutStatus.SERVICE_NOT_AVAILABLE
    if (status !== PutStatus.OK) {
      statistics.putFailedTimes++
      return status
    }
    const batchNumber = this.#batchNumber
    if (!this.#tryEncode(queue, draft) || (commitLog.isPendingSplit && !this.#endBatch())) {
      statistics.putFailedTimes++
      return PutStatus.SERVICE_NOT_AVAILABLE
    }
    const waiting = isSyncFlush || isReplicated ? this.#afterCommit : this.#afterWrite
    const entry = waiting.sharedEntryOf(waiter, batchNumber, this.#batchStartedAt)
    entry.endOffset = commitLog.endOffset
    entry.messages++
    entry.bytes += commitLog.endOffset - this.#place.physicalOffset
    return PutStatus.OK
  }

  /** See `Store.put`. */
  put(given: readonly MessageToStore[], wait: PutWait, done: (result: PutResult) => void): void {
    const { commitLog, consumeQueues, statistics, isSyncFlush, isReplicated, light } = this.#options
    const placed = light?.place(given) ?? null
    const isPlaced = placed === null || !('status' in placed)
    const messages: readonly PlacedMessage[] =
      placed !== null && isPlaced ? placed : given.map(unplaced)
    const first = given[0]
    const refused = isPlaced ? this.#refusalOfPut(messages) : refusal(placed.status, placed.reason)
    if (refused !== null || first === undefined) {
      statistics.putFailedTimes++
      done(refused ?? refusal(PutStatus.MESSAGE_ILLEGAL, 'a put without a message'))
      return
    }
    const waiter = new PutWaiter(done)
    if (!this.#encodeAll(messages, consumeQueues.getOrCreate(first.topic, first.queueId), waiter)) {
      statistics.putFailedTimes++
      done(refusal(PutStatus.SERVICE_NOT_AVAILABLE, this.#refusedReason))
      return
    }
    const waits = isReplicated || (isSyncFlush && wait !== 'written')
    const waiting = waits ? this.#afterCommit : this.#afterWrite
    const entry = waiting.add(waiter, this.#batchNumber, this.#batchStartedAt)
    entry.endOffset = commitLog.endOffset
    entry.messages = messages.length
    entry.isPatient = isReplicated && wait !== 'inTime'
    entry.bytes = commitLog.endOffset - (waiter.physicalOffsets[0] ?? 0)
  }

  /** Writes what is pending now, instead of at the end of the turn, and answers what that commits. */
  writeNow(): void {
    if (this.#isStopped) return
    this.#endBatch()
    this.#tellRefused()
    if (this.#failure !== null) {
      this.#options.onFailure(this.#failure.error)
      return
    }
    this.#untoldStart = -1
    this.#options.onWritten()
    this.#afterWrite.takeAll((entry) => this.#answer(entry, PutStatus.OK, null))
    if (this.#afterCommit.length > 0) this.#scheduleTimeout()
  }

  /** Answers what is committed. */
  release(commitOffset: number): void {
    this.#afterCommit.takeBelow(commitOffset, (entry) => this.#answer(entry, PutStatus.OK, null))
  }

  /** Refuses everything that waits, and writes nothing more: the store is closed or has failed. */
  refuseAll(reason: string): void {
    this.#isStopped = true
    this.#tellRefused()
    const refuse = (entry: Waiting): void =>
      this.#answer(entry, PutStatus.SERVICE_NOT_AVAILABLE, reason)
    this.#afterWrite.takeAll(refuse)
    this.#afterCommit.takeAll(refuse)
  }

  /**
   * Refuses everything that waits and drops what `onWritten` was not told of: another member leads. What was told may still be committed
   * by the next leader.
   */
  abandon(reason: string): void {
    const { commitLog, onCut } = this.#options
    const isUntold = this.#untoldStart !== -1
    const start = isUntold ? this.#untoldStart : this.#batchStart
    if (isUntold || this.#isBatchOpen) {
      for (const queue of this.#batchQueues) queue.nextOffset = queue.offsetBeforeBatch
      this.#closeBatch()
      this.#untoldStart = -1
      if (start < commitLog.writtenOffset) onCut(start)
      commitLog.truncate(start)
    }
    this.#tellRefused()
    const refuse = (entry: Waiting): void =>
      this.#answer(entry, PutStatus.SERVICE_NOT_AVAILABLE, reason)
    this.#afterWrite.takeAll(refuse)
    this.#afterCommit.takeAll(refuse)
  }

  #refusalOf(): string | null {
    if (this.#isStopped || this.#failure !== null) return 'the store takes no writes any more'
    return this.#options.refusal()
  }

  /** What speaks against a message, but for its name. */
  #check(draft: RecordDraft): PutStatus {
    const { commitLog, maxMessageSize, isSyncFlush } = this.#options
    if (isSyncFlush && commitLog.endOffset - commitLog.flushedOffset > MAX_UNFLUSHED_BYTES) {
      return PutStatus.OS_PAGE_CACHE_BUSY
    }
    if (!this.#isBatchOpen) this.#openBatch()
    const isLegal =
      draft.bodyEnd - draft.bodyStart <= maxMessageSize &&
      Number.isSafeInteger(draft.bornTimestamp) &&
      Number.isSafeInteger(draft.preparedTransactionOffset) &&
      fitsDraft(draft) &&
      draftSize(draft, this.#place.storeHost) <= this.#maxRecordSize
    return isLegal ? PutStatus.OK : PutStatus.MESSAGE_ILLEGAL
  }

  /** Null when every message of the put can be taken. */
  #refusalOfPut(messages: readonly PlacedMessage[]): PutResult | null {
    const reason = this.#refusalOf()
    if (reason !== null) return refusal(PutStatus.SERVICE_NOT_AVAILABLE, reason)
    const { maxMessageSize, light } = this.#options
    const first = messages[0]?.message
    if (first !== undefined && light?.isFullFor(first.topic) === true) {
      return refusal(PutStatus.LMQ_CONSUME_QUEUE_NUM_EXCEEDED, first.topic)
    }
    const isTopic = first !== undefined && isTopicName(first.topic)
    const topicBytes = Buffer.from(first?.topic ?? '')
    for (const { message } of messages) {
      const isOfQueue = message.topic === first?.topic && message.queueId === first.queueId
      if (!isOfQueue || message.queueId < 0 || !isTopic) {
        return refusal(PutStatus.MESSAGE_ILLEGAL, 'the topic or queue is impossible')
      }
      this.#draft.setMessage(message, topicBytes)
      const status = this.#check(this.#draft)
      if (status === PutStatus.OS_PAGE_CACHE_BUSY) {
        return refusal(status, 'the disk does not keep up with the writes')
      }
      if (status !== PutStatus.OK) {
        return refusal(
          status,
          `the body has ${message.body.length} of ${maxMessageSize} bytes, the properties ${message.properties.length} of ${MAX_PROPERTIES_SIZE}, ` +
            `the whole record may have ${this.#maxRecordSize}`,
        )
      }
    }
    return null
  }

  /** Encodes the messages of a put, all or none. */
  #encodeAll(messages: readonly PlacedMessage[], queue: AppendQueue, waiter: PutWaiter): boolean {
    const { commitLog } = this.#options
    const draft = this.#draft
    let size = 0
    for (const { message } of messages) {
      draft.setMessage(message, queue.topicBytes)
      size += draftSize(draft, this.#place.storeHost)
    }
    // Parts of a put that the buffer cannot hold in one piece are written before the whole is there: it gets a batch of its own.
    if (!commitLog.hasRoom(size)) {
      if (!this.#endBatch()) return false
      this.#openBatch()
    }
    for (const { message, queues } of messages) {
      draft.setMessage(message, queue.topicBytes)
      try {
        this.#encode(queue, draft)
        for (const light of queues) this.#joinBatch(light).nextOffset++
        if (commitLog.isPendingSplit) commitLog.writePending()
      } catch (error) {
        this.#takeBack(error)
        return false
      }
      waiter.add(this.#place)
    }
    return true
  }

  /** False when there is no file for the record: nothing has been encoded then. */
  #tryEncode(queue: AppendQueue, draft: RecordDraft): boolean {
    try {
      this.#encode(queue, draft)
      return true
    } catch (error) {
      this.#noteFailure(error)
      return false
    }
  }

  #encode(queue: AppendQueue, draft: RecordDraft): void {
    const { commitLog, consumeQueues } = this.#options
    const place = this.#place
    this.#joinBatch(queue)
    const hasOffset = hasQueueOffset(draft.sysFlag)
    place.queueOffset = hasOffset ? queue.nextOffset : 0
    commitLog.append(draft, draftSize(draft, place.storeHost), place)
    consumeQueues.noteAppended(queue, place.physicalOffset)
    if (hasOffset) queue.nextOffset++
  }

  /** Notes where the queue stood before the open batch. */
  #joinBatch(queue: AppendQueue): AppendQueue {
    if (queue.batchNumber !== this.#batchNumber) {
      queue.batchNumber = this.#batchNumber
      queue.offsetBeforeBatch = queue.nextOffset
      this.#batchQueues.push(queue)
    }
    return queue
  }

  /** A batch has one store time, one store host, and one fate. */
  #openBatch(): void {
    const { commitLog, clock, storeHost } = this.#options
    this.#isBatchOpen = true
    this.#batchStart = commitLog.endOffset
    this.#batchStartedAt = clock.monotonic()
    this.#place.storeHost = storeHost()
    // Times of a log never go back, so that a queue can be searched by time whatever the clock does.
    this.#place.storeTimestamp = Math.max(clock.now(), commitLog.lastStoreTimestamp)
    this.#scheduleTurn()
  }

  /** Writes what is pending; false when that failed, and the batch was taken back. */
  #endBatch(): boolean {
    if (this.#failure !== null) return false
    if (!this.#isBatchOpen) this.#batchStart = this.#options.commitLog.writtenOffset
    try {
      this.#options.commitLog.writePending()
    } catch (error) {
      this.#takeBack(error)
      return false
    }
    if (this.#untoldStart === -1) this.#untoldStart = this.#batchStart
    this.#closeBatch()
    return true
  }

  #closeBatch(): void {
    this.#isBatchOpen = false
    this.#batchNumber++
    this.#batchQueues = []
  }

  /** The batch is not in the file: drops it with its queue offsets, and notes whom to refuse. */
  #takeBack(error: unknown): void {
    this.#noteFailure(error)
    const lost = [
      ...this.#afterWrite.takeBatch(this.#batchNumber),
      ...this.#afterCommit.takeBatch(this.#batchNumber),
    ]
    this.#refused.push(...lost)
    for (const queue of this.#batchQueues) queue.nextOffset = queue.offsetBeforeBatch
    this.#closeBatch()
    this.#scheduleTurn()
    // After a failure for good the files stay as they are: the next start decides by checksums.
    if (this.#failure !== null) return
    try {
      this.#options.commitLog.truncate(this.#batchStart)
    } catch (truncateError) {
      this.#failure = { error: truncateError }
    }
  }

  /** A full disk is no damage (reliability R10): it is waited out. Everything else ends the store. */
  #noteFailure(error: unknown): void {
    if (isNoRoom(error)) {
      this.#refusedReason = 'the disk is full'
      this.#options.onDiskFull(error)
      return
    }
    this.#refusedReason = messageOf(error)
    this.#failure ??= { error }
    this.#scheduleTurn()
  }

  #tellRefused(): void {
    const refused = this.#refused
    this.#refused = []
    for (const entry of refused) {
      this.#answer(entry, PutStatus.SERVICE_NOT_AVAILABLE, this.#refusedReason)
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

  #answer(entry: Waiting, status: PutStatus, reason: string | null): void {
    if (entry.isAnswered) return
    entry.isAnswered = true
    const { statistics, clock } = this.#options
    if (status === PutStatus.OK) {
      statistics.put(entry.messages, entry.bytes, clock.monotonic() - entry.startedAt)
    } else {
      statistics.putFailedTimes += entry.messages
    }
    entry.waiter.committed(status, reason)
  }

  /** Who waits longer than `syncFlushTimeout` is answered: stored, but not known to be on disk. */
  #scheduleTimeout(): void {
    if (this.#isTimeoutScheduled) return
    const oldest = this.#afterCommit.oldestUnanswered
    if (oldest === null) return
    this.#isTimeoutScheduled = true
    const { clock, timers, syncFlushTimeoutMs, isReplicated } = this.#options
    const delay = Math.max(1, oldest.startedAt + syncFlushTimeoutMs - clock.monotonic())
    timers.after(delay, () => {
      this.#isTimeoutScheduled = false
      const deadline = clock.monotonic() - syncFlushTimeoutMs
      for (;;) {
        const entry = this.#afterCommit.oldestUnanswered
        if (entry === null || entry.startedAt > deadline) break
        if (isReplicated) {
          // Not FLUSH_SLAVE_TIMEOUT: clients take that for a success (as Java's DLedger, which answers the same).
          this.#answer(entry, PutStatus.OS_PAGE_CACHE_BUSY, 'no majority has it in time')
        } else {
          this.#answer(entry, PutStatus.FLUSH_DISK_TIMEOUT, 'flush timeout')
        }
      }
      this.#scheduleTimeout()
    })
  }
}

/** Who waits for a `put`. */
class PutWaiter implements CommitWaiter {
  readonly physicalOffsets: number[] = []
  readonly #done: (result: PutResult) => void
  #queueOffset = 0
  #storeTimestamp = 0

  constructor(done: (result: PutResult) => void) {
    this.#done = done
  }

  add({ physicalOffset, queueOffset, storeTimestamp }: LastAppend): void {
    if (this.physicalOffsets.length === 0) this.#queueOffset = queueOffset
    this.physicalOffsets.push(physicalOffset)
    this.#storeTimestamp = storeTimestamp
  }

  committed(status: PutStatus, reason: string | null): void {
    if (status === PutStatus.SERVICE_NOT_AVAILABLE) {
      this.#done(refusal(status, reason ?? 'the store takes no writes'))
      return
    }
    this.#done({
      status,
      reason,
      physicalOffsets: this.physicalOffsets,
      queueOffset: this.#queueOffset,
      storeTimestamp: this.#storeTimestamp,
    })
  }
}

/** Half messages and rollbacks have no place in a queue (protocol §19.1). */
function hasQueueOffset(sysFlag: number): boolean {
  const transaction = sysFlag & MessageSysFlag.TRANSACTION_MASK
  return transaction === 0 || transaction === MessageSysFlag.TRANSACTION_COMMIT
}

const NO_QUEUES: readonly AppendQueue[] = []

function unplaced(message: MessageToStore): PlacedMessage {
  return { message, queues: NO_QUEUES }
}

function refusal(status: PutStatus, reason: string): PutResult {
  return { status, reason, physicalOffsets: [], queueOffset: 0, storeTimestamp: 0 }
}
