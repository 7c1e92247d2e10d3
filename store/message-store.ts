/** The store of one member of a broker group: what its parts do together, and the commit offset. */
import assert from 'node:assert/strict'
import { isNoRoom, messageOf } from '../common/errors.ts'
import { RecordReader, storedMessageOf } from '../common/message-codec.ts'
import type { RecordDraft } from '../common/message-codec.ts'
import type { MessageToStore, StoredMessage } from '../common/message.ts'
import type { DiskLock, Timer } from '../common/ports.ts'
import type { Appender } from './appender.ts'
import { CheckpointFile } from './checkpoint.ts'
import type { Cleaner } from './cleaner.ts'
import type { CommitLog } from './commit-log.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import { markClosed, markRunning, openDataFolder } from './data-folder.ts'
import type { Dispatcher } from './dispatcher.ts'
import { StoreError } from './errors.ts'
import type { Flusher } from './flusher.ts'
import { queryByKey, readRecord } from './key-query.ts'
import type { MessageIndex } from './message-index.ts'
import type { StoreStatistics } from './put-statistics.ts'
import type { QueueReader } from './queue-reader.ts'
import { recover } from './recovery.ts'
import type { RecoveryResult } from './recovery.ts'
import { removeFolders } from './removed-folders.ts'
import type { ConsumeQueueUnit } from './consume-queue-unit.ts'
import { CONTROL_TOPIC, controlMessage, replayControl } from './control-record.ts'
import { batchEnd, readRecords } from './log-range.ts'
import { createFlusher, createParts } from './store-parts.ts'
import type { MessageStoreOptions, StoreHooks, StoreParts } from './store-parts.ts'
import { statusOf } from './store-status.ts'
import { offsetByTimestamp, storeTimestampAt } from './time-search.ts'
import type {
  AppendQueue,
  Arrival,
  BoundaryType,
  CommitWaiter,
  ControlListener,
  FoundRecords,
  GetRequest,
  GetResult,
  KeyQuery,
  KeyQueryResult,
  MessageFilter,
  LastAppend,
  PutResult,
  PutWait,
  QueueRange,
  QueueWatcher,
  Store,
  StoreStatus,
} from './types.ts'
import { GetStatus, PutStatus } from './types.ts'

/** Bytes dispatched before the event loop gets its turn. */
const DISPATCH_BYTES_PER_TURN = 8 * 1024 * 1024
const SPACE_CHECK_MS = 1000

export class MessageStore implements Store, AsyncDisposable {
  readonly #options: MessageStoreOptions
  readonly #root: string
  readonly #hooks: StoreHooks = this.#createHooks()
  readonly #parts: StoreParts
  readonly #commitLog: CommitLog
  readonly #queues: ConsumeQueues
  readonly #index: MessageIndex | null
  readonly #dispatcher: Dispatcher
  readonly #reader: QueueReader
  readonly #statistics: StoreStatistics
  readonly #appender: Appender
  readonly #cleaner: Cleaner
  #flusher: Flusher | null = null
  #checkpoint: CheckpointFile | null = null
  #lock: DiskLock | null = null
  #timers: Timer[] = []
  #arrivalListeners: ((arrival: Arrival) => void)[] = []
  #commitOffset = 0
  #isDispatchScheduled = false
  #state: 'new' | 'open' | 'closed' = 'new'
  #failure: string | null = null
  /** Why messages are not taken although nothing is wrong: this member does not lead. */
  #notLeading: string | null = null
  /** What is being appended: a message, a record of a table, or one that Raft itself asks for. */
  #appending: 'message' | 'table' | 'raft' = 'message'
  #closing: Promise<void> | null = null
  #bootTimestamp = 0
  /** When the last `find` began. */
  #foundAt = 0

  constructor(options: MessageStoreOptions) {
    this.#options = options
    this.#root = options.config.storePathRootDir
    const parts = createParts(options, this.#hooks)
    this.#parts = parts
    this.#commitLog = parts.commitLog
    this.#queues = parts.consumeQueues
    this.#index = parts.index
    this.#dispatcher = parts.dispatcher
    this.#reader = parts.reader
    this.#statistics = parts.statistics
    this.#appender = parts.appender
    this.#cleaner = parts.cleaner
  }

  async start(): Promise<void> {
    assert.equal(this.#state, 'new')
    const { runtime, logger } = this.#options
    const { disk, timers, clock } = runtime
    this.#lock = openDataFolder(disk, this.#root)
    try {
      const startedAt = clock.monotonic()
      const recovered = await this.#recover()
      logger.info(
        { ...recovered, elapsedMs: Math.round(clock.monotonic() - startedAt) },
        'store recovered',
      )
    } catch (error) {
      this.#release()
      throw toStoreError(error, this.#root)
    }
    this.#bootTimestamp = clock.now()
    this.#state = 'open'
    this.#cleaner.checkSpace()
    this.#timers = [
      timers.every(SPACE_CHECK_MS, () => {
        this.#cleaner.checkSpace()
        this.#reader.trim()
      }),
      timers.every(this.#options.config.cleanResourceInterval, () => this.#clean()),
    ]
    this.#flusher?.start()
    this.#removeFolders()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  put(messages: readonly MessageToStore[], wait: PutWait, done: (result: PutResult) => void): void {
    this.#appender.put(messages, wait, done)
  }

  appendQueue(topic: string, queueId: number): AppendQueue {
    return this.#queues.getOrCreate(topic, queueId)
  }

  append(queue: AppendQueue, draft: RecordDraft, waiter: CommitWaiter): PutStatus {
    return this.#appender.append(queue, draft, waiter)
  }

  get lastAppend(): LastAppend {
    return this.#appender.lastAppend
  }

  get batchNumber(): number {
    return this.#appender.batchNumber
  }

  get(request: GetRequest, done: (result: GetResult) => void): void {
    const { clock } = this.#options.runtime
    const startedAt = clock.monotonic()
    const finish = (result: GetResult): void => {
      this.#statistics.get(result.records.length, clock.monotonic() - startedAt)
      done(result)
    }
    const fail = (error: unknown): void => {
      this.#fail(error)
      finish(this.#nothing(request))
    }
    try {
      this.#reader.get(request, finish, fail)
    } catch (error) {
      fail(error)
    }
  }

  find(request: GetRequest): FoundRecords {
    this.#foundAt = this.#options.runtime.clock.monotonic()
    try {
      return this.#reader.find(request)
    } catch (error) {
      this.#fail(error)
      return this.#nothing(request)
    }
  }

  copyFound(target: Buffer, targetStart: number): boolean {
    try {
      if (!this.#reader.copyFound(target, targetStart)) return false
    } catch (error) {
      this.#fail(error)
      return false
    }
    const { clock } = this.#options.runtime
    this.#statistics.get(this.#reader.found.count, clock.monotonic() - this.#foundAt)
    return true
  }

  loadFound(done: () => void): boolean {
    return this.#failure === null && this.#reader.load(done)
  }

  maxOffsetInQueue(topic: string, queueId: number): number {
    return this.#queues.get(topic, queueId)?.maxOffset ?? 0
  }

  minOffsetInQueue(topic: string, queueId: number): number {
    return this.#queues.get(topic, queueId)?.minOffset ?? 0
  }

  offsetByTimestamp(
    topic: string,
    queueId: number,
    timestamp: number,
    boundary: BoundaryType,
  ): number {
    const queue = this.#queues.get(topic, queueId)
    return queue === null ? 0 : offsetByTimestamp(queue, this.#commitLog, timestamp, boundary)
  }

  storeTimestampAt(topic: string, queueId: number, queueOffset: number): number | null {
    const queue = this.#queues.get(topic, queueId)
    return queue === null ? null : storeTimestampAt(queue, this.#commitLog, queueOffset)
  }

  earliestStoreTimestamp(topic: string, queueId: number): number | null {
    return this.storeTimestampAt(topic, queueId, this.minOffsetInQueue(topic, queueId))
  }

  tagsCodes(topic: string, queueId: number, queueOffset: number, target: Float64Array): number {
    try {
      return this.#queues.get(topic, queueId)?.readTagsCodes(queueOffset, target) ?? 0
    } catch (error) {
      this.#fail(error)
      return 0
    }
  }

  physicalOffsetAt(topic: string, queueId: number, queueOffset: number): number | null {
    return this.queueUnitAt(topic, queueId, queueOffset)?.physicalOffset ?? null
  }

  queueUnitAt(topic: string, queueId: number, queueOffset: number): ConsumeQueueUnit | null {
    return this.#queues.get(topic, queueId)?.unitAt(queueOffset) ?? null
  }

  isInMemory(topic: string, queueId: number, queueOffset: number): boolean {
    return this.#reader.isInMemory(this.physicalOffsetAt(topic, queueId, queueOffset) ?? -Infinity)
  }

  recordAt(physicalOffset: number, reader: RecordReader = new RecordReader()): Buffer | null {
    if (!Number.isSafeInteger(physicalOffset) || physicalOffset >= this.#commitOffset) return null
    return readRecord(this.#commitLog, physicalOffset, reader)
  }

  messageAt(physicalOffset: number): StoredMessage | null {
    const reader = new RecordReader()
    const record = this.recordAt(physicalOffset, reader)
    return record === null ? null : storedMessageOf(reader, record)
  }

  noteDamaged(what: string): void {
    if (this.#options.replication !== undefined) this.#fail(new StoreError('corrupt', what))
  }

  queryByKey(query: KeyQuery): KeyQueryResult {
    const index = this.#index
    const maxMessages = Math.min(query.maxMessages, this.#options.config.maxMsgsNumBatch)
    const isAsked = index !== null && maxMessages > 0
    const found = isAsked ? queryByKey({ ...query, maxMessages }, this.#commitLog, index) : null
    return {
      records: found?.records ?? [],
      unreadable: found?.unreadable ?? 0,
      indexLastUpdateTimestamp: index?.lastUpdateTimestamp ?? 0,
      indexLastUpdatePhysicalOffset: index?.lastUpdatePhysicalOffset ?? 0,
    }
  }

  queues(): readonly QueueRange[] {
    const ranges: QueueRange[] = []
    for (const { topic, queueId, minOffset, maxOffset, isDeleted } of this.#queues.all()) {
      if (!isDeleted && topic !== CONTROL_TOPIC)
        ranges.push({ topic, queueId, minOffset, maxOffset })
    }
    return ranges
  }

  deleteTopic(topic: string, physicalOffset: number = Number.MAX_SAFE_INTEGER): void {
    for (const queue of this.#queues.ofTopic(topic)) {
      queue.raiseMinOffset(physicalOffset)
      if (queue.minOffset === queue.maxOffset) queue.clear()
    }
  }

  deleteExpiredCommitLog(): void {
    this.#cleaner.orderDeletion()
  }

  cleanExpiredConsumeQueue(): void {
    this.#cleaner.cleanQueues().catch((error: unknown) => this.#noteCleaning(error))
  }

  onArrival(listener: (arrival: Arrival) => void): void {
    this.#arrivalListeners.push(listener)
    this.#dispatcher.onArrival((arrival) => this.#arrived(arrival))
  }

  watch(topic: string, queueId: number, watcher: QueueWatcher | null): void {
    const isNew = this.#queues.get(topic, queueId) === null
    // Who waits for a light queue that cannot be made any more waits until the time is over.
    if (isNew && (watcher === null || this.#parts.light?.isFullFor(topic) === true)) return
    this.#queues.getOrCreate(topic, queueId).watcher = watcher
  }

  hasMatch(topic: string, queueId: number, queueOffset: number, filter: MessageFilter): boolean {
    const queue = this.#queues.get(topic, queueId)
    return queue !== null && this.#reader.hasMatch(queue, queueOffset, filter)
  }

  status(): StoreStatus {
    return statusOf(this.#parts, this.#flusher, {
      commitOffset: this.#commitOffset,
      readOnlyReason: this.#refusal(),
      bootTimestamp: this.#bootTimestamp,
    })
  }

  /**
   * Appends records that another member encoded, which must begin at this log's end; false, and nothing appended, when one is damaged
   * or out of place. `checksum`: of all bytes, if it is known from when they were encoded (`rangeChecksum`). The records are written at
   * once, and readable when the commit offset passes them. Throws what the disk says when it has no room for them, and nothing is appended
   * then either.
   */
  appendBytes(bytes: Buffer, checksum: number | null = null): boolean {
    const startOffset = this.#commitLog.endOffset
    try {
      if (!this.#commitLog.appendBytes(bytes, checksum)) return false
      this.#commitLog.writePending()
    } catch (error) {
      if (isNoRoom(error)) {
        this.#noteDiskFull(error)
        this.#commitLog.truncate(startOffset)
      }
      throw error
    }
    this.#appender.writeNow()
    return true
  }

  /** Everything below is committed: dispatched, readable, and acknowledged to who waits. Never goes back. */
  commitTo(physicalOffset: number): void {
    assert(physicalOffset <= this.#commitLog.endOffset)
    this.#commitOffset = Math.max(this.#commitOffset, physicalOffset)
    this.#dispatch()
    this.#appender.release(this.#commitOffset)
  }

  /**
   * Appends a record that Raft itself asks for, also while messages are refused; `commitTo` tells when it counts. False: it was refused,
   * and nothing has changed. `lost` is called when it cannot be written after all.
   */
  appendControl(body: Buffer, lost: (reason: string) => void): boolean {
    const before = this.#commitLog.endOffset
    this.#putControl('raft', body, ({ status, reason }) => {
      const isLost = status === PutStatus.SERVICE_NOT_AVAILABLE
      if (isLost && this.#commitLog.endOffset <= before) lost(reason ?? 'not written')
    })
    return this.#commitLog.endOffset > before
  }

  #putControl(appending: 'table' | 'raft', body: Buffer, done: (result: PutResult) => void): void {
    this.#appending = appending
    this.#appender.put([controlMessage(body, this.#options)], 'inTime', done)
    this.#appending = 'message'
  }

  /** The disk takes messages. */
  get hasRoom(): boolean {
    return this.#cleaner.refusal === null
  }

  get startOffset(): number {
    return this.#commitLog.startOffset
  }

  get endOffset(): number {
    return this.#commitLog.endOffset
  }

  get commitOffset(): number {
    return this.#commitOffset
  }

  /** Everything committed has been dispatched. */
  get isDispatched(): boolean {
    return this.#dispatcher.dispatchedOffset >= this.#commitOffset
  }

  get dispatchedOffset(): number {
    return this.#dispatcher.dispatchedOffset
  }

  putControl(body: Buffer, done: (result: PutResult) => void): void {
    this.#putControl('table', body, done)
  }

  onControl(listener: ControlListener): void {
    this.#dispatcher.onControl(listener)
  }

  async replayControl(fromOffset: number, visit: ControlListener): Promise<void> {
    const { timers } = this.#options.runtime
    await replayControl(this.#commitLog, fromOffset, this.dispatchedOffset, timers, visit)
  }

  async synced(physicalOffset: number): Promise<void> {
    await this.#flusher?.flushLogTo(physicalOffset)
  }

  /** End of the last whole record within `maxBytes` from a record boundary below the end; one record at least. */
  batchEnd(physicalOffset: number, maxBytes: number): number {
    return batchEnd(this.#commitLog, physicalOffset, maxBytes)
  }

  /** The records of a range of boundaries laid end to end, as `appendBytes` takes them; a promise when they are not in memory. See `log-range.ts`. */
  readRecords(
    fromOffset: number,
    toOffset: number,
    space: Buffer | null = null,
  ): Buffer | Promise<Buffer> {
    return readRecords(this.#commitLog, fromOffset, toOffset, space)
  }

  /** CRC-32 of what `readRecords` gives for a range, as this member has encoded it; null when it is not known. */
  rangeChecksum(fromOffset: number, toOffset: number, size: number): number | null {
    return this.#commitLog.rangeChecksum(fromOffset, toOffset, size)
  }

  /** Messages are refused with this reason from now on, and those that wait are; null: they are taken again. */
  setNotLeading(reason: string | null): void {
    this.#notLeading = reason
    if (reason !== null) this.#appender.abandon(reason)
    // Offsets that were given to records which never got committed are free again.
    else for (const queue of this.#queues.all()) queue.nextOffset = queue.maxOffset
  }

  /** Cuts the log and all that is derived from it, at a record boundary; derived files first: a crash half-way leaves none that knows more than the log. */
  truncateTo(physicalOffset: number): void {
    assert(this.#state === 'open' && this.#appender.waiting === 0)
    this.#flusher?.truncate(physicalOffset)
    this.#index?.truncateToPhysical(physicalOffset)
    for (const queue of this.#queues.all()) queue.truncateToPhysical(physicalOffset)
    this.#commitLog.truncate(physicalOffset)
    this.#reader.truncate(physicalOffset)
    this.#commitOffset = Math.min(this.#commitOffset, physicalOffset)
    this.#dispatcher.resume(Math.min(this.#dispatcher.dispatchedOffset, physicalOffset))
  }

  /** Empties the log and everything derived from it, to go on at the start of a segment: the group has nothing older any more. */
  restartAt(startOffset: number): void {
    assert(this.#state === 'open' && this.#appender.waiting === 0)
    this.#commitLog.restartAt(startOffset)
    this.#index?.truncateToPhysical(0)
    for (const queue of this.#queues.all()) queue.truncateToPhysical(0)
    this.#flusher?.truncate(0)
    this.#reader.truncate(0)
    this.#commitOffset = startOffset
    this.#dispatcher.resume(startOffset)
  }

  async #recover(): Promise<RecoveryResult> {
    const { runtime, logger, onRebuild } = this.#options
    const { disk, timers } = runtime
    const recovered = await recover({
      ...this.#parts,
      disk,
      timers,
      logger,
      root: this.#root,
      isReplicated: this.#options.replication !== undefined,
      isRebuild: onRebuild !== undefined,
      onProgress: onRebuild,
    })
    this.#commitOffset = recovered.commitOffset
    this.#checkpoint = new CheckpointFile(disk, `${this.#root}/checkpoint`)
    this.#flusher = createFlusher(this.#options, this.#parts, this.#hooks, {
      checkpoint: this.#checkpoint,
      derivedOffset: recovered.derivedOffset,
    })
    markRunning(disk, this.#root)
    await this.#flusher.prepare()
    return recovered
  }

  async #close(): Promise<void> {
    const wasOpen = this.#state === 'open'
    this.#state = 'closed'
    for (const timer of this.#timers) timer.cancel()
    this.#flusher?.stop()
    if (!wasOpen) return
    try {
      if (this.#failure === null) {
        this.#appender.writeNow()
        await this.#flusher?.flushAll(false)
        this.#commit()
        while (!this.#dispatch()) await new Promise<void>((resolve) => this.#soon(resolve))
        await this.#flusher?.flushAll(true)
      }
      this.#appender.refuseAll('the store is closed')
      if (this.#failure === null) markClosed(this.#options.runtime.disk, this.#root)
    } finally {
      this.#release()
    }
  }

  #release(): void {
    this.#commitLog.close()
    this.#queues.close()
    this.#index?.close()
    this.#checkpoint?.close()
    this.#parts.positions.close()
    this.#lock?.release()
    this.#lock = null
  }

  /** Moves the commit offset to what the flush type asks for, dispatches, and answers who waited. */
  #commit(): void {
    const commitLog = this.#commitLog
    const isSyncFlush = this.#options.config.flushDiskType === 'SYNC_FLUSH'
    const reached = isSyncFlush ? commitLog.flushedOffset : commitLog.writtenOffset
    if (this.#options.replication === undefined) this.commitTo(reached)
    else this.#options.replication.persisted(reached)
  }

  #onWritten(): void {
    this.#options.replication?.written(this.#commitLog.writtenOffset)
    this.#commit()
    if (this.#options.config.flushDiskType === 'SYNC_FLUSH') this.#flusher?.requestLogFlush()
  }

  /** True when everything committed is dispatched. */
  #dispatch(): boolean {
    if (this.#failure !== null) return true
    let isDone: boolean
    try {
      isDone = this.#dispatcher.dispatchTo(this.#commitOffset, DISPATCH_BYTES_PER_TURN)
    } catch (error) {
      this.#fail(error)
      return true
    }
    this.#dispatcher.tellWatchers()
    if (!isDone && !this.#isDispatchScheduled) {
      this.#isDispatchScheduled = true
      this.#soon(() => {
        this.#isDispatchScheduled = false
        this.#dispatch()
      })
    }
    return isDone
  }

  #soon(callback: () => void): void {
    this.#options.runtime.timers.soon(callback)
  }

  #arrived(arrival: Arrival): void {
    if (this.#state === 'new') return
    for (const listener of this.#arrivalListeners) listener(arrival)
  }

  #clean(): void {
    this.#cleaner.clean().catch((error: unknown) => this.#noteCleaning(error))
  }

  /** What is left of it when the process ends goes with the next start. */
  #removeFolders(): void {
    const { disk } = this.#options.runtime
    removeFolders(disk, this.#root).catch((error: unknown) => this.#noteCleaning(error))
  }

  #noteCleaning(error: unknown): void {
    this.#options.logger.error({ err: error }, 'cleaning failed')
  }

  #refusal(): string | null {
    if (this.#failure !== null) return this.#failure
    if (this.#state !== 'open') return 'the store is not open'
    if (this.#appending === 'raft') return null
    if (this.#notLeading !== null) return this.#notLeading
    const refusal = this.#options.replication?.refusal() ?? null
    if (refusal !== null) return refusal
    if (this.#flusher?.isHeldUp === true) return 'the disk does not keep up with the writes'
    return this.#appending === 'table' ? null : this.#cleaner.refusal
  }

  /** Ends all writing for good (reliability D1). */
  #fail(error: unknown): void {
    if (this.#failure !== null) return
    const failure = toStoreError(error, this.#root)
    this.#failure = failure.message
    this.#flusher?.stop()
    this.#options.logger.error({ err: failure }, 'the store has failed')
    if (failure.code === 'derivedCorrupt') this.#forgetDerived()
    this.#appender.refuseAll(failure.message)
    this.#options.onFailure(failure)
  }

  #noteDiskFull(error: unknown): void {
    this.#options.logger.error({ err: error }, 'disk full: a write found no room')
    this.#cleaner.noteDiskFull()
  }

  #forgetDerived(): void {
    try {
      this.#flusher?.forgetDerived()
    } catch (error) {
      this.#options.logger.error({ err: error }, 'the checkpoint cannot be written')
    }
  }

  #nothing(request: GetRequest): GetResult & FoundRecords {
    return {
      status: GetStatus.MESSAGE_WAS_REMOVING,
      nextBeginOffset: request.queueOffset,
      minOffset: this.minOffsetInQueue(request.topic, request.queueId),
      maxOffset: this.maxOffsetInQueue(request.topic, request.queueId),
      records: [],
      body: Buffer.alloc(0),
      count: 0,
      bytes: 0,
      lastStoreTimestamp: 0,
    }
  }

  #createHooks(): StoreHooks {
    return {
      refusal: () => this.#refusal(),
      onWritten: () => this.#onWritten(),
      onFlushed: () => this.#commit(),
      onCut: (offset) => this.#flusher?.truncate(offset),
      onDiskFull: (error) => this.#noteDiskFull(error),
      onFailure: (error) => this.#fail(error),
      commitOffset: () => this.#commitOffset,
      derivedOffset: () => this.#flusher?.derivedOffset ?? 0,
    }
  }
}

function toStoreError(error: unknown, root: string): StoreError {
  if (error instanceof StoreError) return error
  return new StoreError('ioFailed', `${root}: ${messageOf(error)}`, error)
}
