/**
 * Puts what was written on disk: the CommitLog by its intervals or for every group of waiting puts, the derived files in rounds,
 * after each of which the checkpoint moves.
 *
 * A failed sync is never repeated (reliability D1): the kernel may have dropped the pages and call the next one a success.
 */
import { isNoRoom } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Clock, Disk, Timers, Timer } from '../common/ports.ts'
import type { CheckpointFile } from './checkpoint.ts'
import type { CommitLog } from './commit-log.ts'
import type { ConsumeQueue } from './consume-queue.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import { DiskWatch } from './disk-watch.ts'
import type { Dispatcher } from './dispatcher.ts'
import { StoreError, finalSync } from './errors.ts'
import type { MessageIndex } from './message-index.ts'
import type { QueuePosition, QueuePositionsFile } from './queue-positions.ts'
import { SegmentPreparer } from './segment-preparer.ts'
import { SyncTimes } from './sync-times.ts'
import type { StoreConfig } from './types.ts'

/** Pages that must be dirty before an interval's flush is worth it (Java: flushCommitLogLeastPages). */
const LEAST_DIRTY_BYTES = 4 * 4096

/** A round of the derived files may take this share of the time, so that many queues do not keep the disk busy for ever. */
const REST_PER_ROUND = 4

/** ConsumeQueue files synced at a time. */
const SYNC_BATCH = 8

/** Queues that are looked into for the first time in one round, and before the event loop gets its turn. */
const OPENED_PER_ROUND = 512
const OPENED_PER_TURN = 32

/** Added to the largest message: what the store may take before it looks again whether zeroes are being written ahead. */
const HELD_UP_MARGIN = 2 * 1024 * 1024

/** With many syncs a second the checkpoint follows at this distance: its values are lower bounds. */
const CHECKPOINT_INTERVAL_MS = 100

type FlushConfig = Pick<
  StoreConfig,
  | 'flushDiskType'
  | 'flushIntervalCommitLog'
  | 'flushCommitLogThoroughInterval'
  | 'flushIntervalConsumeQueue'
  | 'warmMapedFileEnable'
  | 'maxMessageSize'
>

export interface FlusherOptions {
  readonly disk: Disk
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
  readonly config: FlushConfig
  readonly commitLog: CommitLog
  readonly consumeQueues: ConsumeQueues
  readonly index: MessageIndex | null
  readonly dispatcher: Dispatcher
  /** ConsumeQueues and index held everything of the records below, on disk, when the store was opened. */
  readonly derivedOffset: number
  readonly checkpoint: CheckpointFile
  readonly positions: QueuePositionsFile
  readonly commitOffset: () => number
  readonly onFlushed: () => void
  /** Derived files found no room: they stay in memory, and the next round tries again. */
  readonly onDiskFull: (error: unknown) => void
  readonly onFailure: (error: unknown) => void
}

export class Flusher {
  readonly #options: FlusherOptions
  readonly #watch: DiskWatch
  /** Of the CommitLog, since the start. */
  readonly syncTimes: SyncTimes = new SyncTimes()
  readonly #preparer: SegmentPreparer
  #timers: Timer[] = []
  #logFlush: Promise<void> | null = null
  #round: Promise<void> | null = null
  #lastLogFlush = 0
  #lastCheckpoint = -CHECKPOINT_INTERVAL_MS
  /** The log was synced further than the checkpoint says. */
  #isCheckpointDue = false
  #restUntil = 0
  #derivedOffset: number
  /** Store timestamps of what was on disk at the last sync; Java goes by them. */
  #flushedTimestamp: number
  #derivedTimestamp: number
  #hasFailed = false
  /** Sum of what the checkpoint told when it was synced last; both only grow but for truncations, which sync it. */
  #checkpointCovered = -1
  #truncations = 0
  #hasUnopened = true
  /** Positions of queues that were written have not reached their file: the next batch names all. */
  #hasUnrecorded = false
  /** Where the log began when positions were written last. */
  #positionsLogStart = -1
  /** Folders with new names, to be synced before anything in them counts as derived. */
  readonly #unsyncedFolders = new Set<string>()
  #preparation: Promise<void> = Promise.resolve()

  constructor(options: FlusherOptions) {
    this.#options = options
    this.#derivedOffset = options.derivedOffset
    this.#flushedTimestamp = options.commitLog.lastStoreTimestamp
    this.#derivedTimestamp = options.commitLog.lastStoreTimestamp
    const { clock, timers, logger, config, commitLog } = options
    const onFailure = (error: unknown): void => this.#fail(error)
    this.#watch = new DiskWatch({ clock, timers, logger, onStall: onFailure })
    const watch = this.#watch
    this.#preparer = new SegmentPreparer({ clock, timers, config, commitLog, watch, onFailure })
  }

  /** ConsumeQueues and index hold everything below, on disk. */
  get derivedOffset(): number {
    return this.#derivedOffset
  }

  /** A thread that writes zeroes into the next segment has been overtaken by records; messages are refused until it is done. */
  get isHeldUp(): boolean {
    const { commitLog, config } = this.#options
    const reach = commitLog.endOffset + config.maxMessageSize + HELD_UP_MARGIN
    return reach > this.#preparer.fillingFrom
  }

  /** Disk operations that took longer than 10 s, since the start. */
  get diskStalls(): number {
    return this.#watch.stalls
  }

  /** How long the oldest disk operation has been under way. */
  get oldestOperationMs(): number {
    return this.#watch.oldestMs
  }

  /**
   * Before messages are taken. What recovery derived is not waited for: until it is on disk the checkpoint says so, and the next start
   * derives it again.
   */
  async prepare(): Promise<void> {
    this.#writeCheckpoint(false)
    await this.#options.checkpoint.flush()
    await this.#preparer.fillFirst()
  }

  start(): void {
    const { timers, config } = this.#options
    this.#watch.start()
    this.#preparer.start()
    this.#timers = [
      timers.every(config.flushIntervalCommitLog, () => this.#onLogInterval()),
      timers.every(config.flushIntervalConsumeQueue, () => this.#onDerivedInterval()),
    ]
  }

  /** Stops the intervals; what is under way goes on. */
  stop(): void {
    for (const timer of this.#timers) timer.cancel()
    this.#timers = []
    this.#watch.stop()
    // What it has begun ends by itself; `flushAll` waits for it.
    this.#preparation = this.#preparer.stop()
  }

  /** Starts a sync of the log for the puts that wait, unless one is under way: then another follows it. */
  requestLogFlush(): void {
    if (this.#logFlush !== null || this.#hasFailed) return
    const { commitLog } = this.#options
    if (commitLog.flushedOffset >= commitLog.writtenOffset) return
    this.#logFlush = this.#flushLog()
  }

  /** Resolves when the log below is on disk; rejects when that will not be. */
  async flushLogTo(offset: number): Promise<void> {
    await this.#flushLogTo(offset)
    if (this.#hasFailed) throw new StoreError('ioFailed', 'the CommitLog cannot be synced')
  }

  /** Everything written is on disk, and the checkpoint says so. Used at a stop; rejects when a sync fails. */
  async flushAll(isClean: boolean): Promise<void> {
    const { commitLog, index, checkpoint } = this.#options
    await this.#preparation
    while (this.#logFlush !== null || this.#round !== null) {
      await this.#logFlush
      await this.#round
    }
    if (this.#hasFailed) return
    await commitLog.flush()
    this.#flushedTimestamp = commitLog.lastStoreTimestamp
    if (isClean) await this.#openQueues(Number.MAX_SAFE_INTEGER)
    await this.#flushDerived()
    if (isClean) await index?.finish()
    this.#writeCheckpoint(isClean)
    await checkpoint.flush()
  }

  /** After a truncation nothing above it counts as flushed. */
  truncate(physicalOffset: number): void {
    this.#derivedOffset = Math.min(this.#derivedOffset, physicalOffset)
    this.#preparer.truncate(physicalOffset)
    this.#truncations++
    this.#options.positions.forget()
    // The log is cut behind this: a crash in between must not make the checkpoint promise what is gone.
    this.#mustWriteCheckpoint(false, physicalOffset)
    this.#options.checkpoint.flushSync()
  }

  /** Writes the checkpoint so that the next start derives everything anew. */
  forgetDerived(): void {
    this.#derivedOffset = 0
    this.#mustWriteCheckpoint(false)
    this.#options.checkpoint.flushSync()
  }

  #onLogInterval(): void {
    const { commitLog, clock, config } = this.#options
    this.#followWithCheckpoint()
    const dirty = commitLog.writtenOffset - commitLog.flushedOffset
    const isThorough =
      clock.monotonic() - this.#lastLogFlush >= config.flushCommitLogThoroughInterval
    if (dirty >= LEAST_DIRTY_BYTES || (dirty > 0 && isThorough)) this.requestLogFlush()
  }

  async #flushLog(): Promise<void> {
    const { commitLog, clock, config, onFlushed } = this.#options
    const timestamp = commitLog.lastStoreTimestamp
    const startedAt = clock.monotonic()
    try {
      await commitLog.flush(this.#watch.each('syncing the CommitLog'))
      this.#flushedTimestamp = timestamp
      this.#lastLogFlush = clock.monotonic()
      this.syncTimes.add(this.#lastLogFlush - startedAt)
    } catch (error) {
      this.#fail(error)
      return
    } finally {
      this.#logFlush = null
    }
    // Who waits for the sync is answered first.
    onFlushed()
    if (config.flushDiskType === 'SYNC_FLUSH') this.requestLogFlush()
    this.#isCheckpointDue = true
    this.#followWithCheckpoint()
  }

  /**
   * Looks into queues that nobody has asked for since the start: what is missing is noticed, and what a crash left behind their end is
   * gone before the store counts as clean.
   */
  async #openQueues(limit: number): Promise<void> {
    const { consumeQueues, timers } = this.#options
    let opened = 0
    for (const queue of [...consumeQueues.all()]) {
      if (!queue.isUnopened) continue
      if (opened >= limit) return
      queue.open()
      if (++opened % OPENED_PER_TURN === 0) {
        await new Promise<void>((resolve) => timers.soon(resolve))
      }
    }
    this.#hasUnopened = false
  }

  #onDerivedInterval(): void {
    const { clock } = this.#options
    if (this.#round !== null || this.#hasFailed || clock.monotonic() < this.#restUntil) return
    this.#round = this.#runRound()
  }

  async #runRound(): Promise<void> {
    const { clock } = this.#options
    const startedAt = clock.monotonic()
    try {
      if (this.#hasUnopened) await this.#openQueues(OPENED_PER_ROUND)
      await this.#flushDerived()
    } catch (error) {
      if (isNoRoom(error)) this.#options.onDiskFull(error)
      else this.#fail(error)
    } finally {
      const now = clock.monotonic()
      this.#restUntil = now + (now - startedAt) * REST_PER_ROUND
      this.#round = null
    }
  }

  /** Writes and syncs the derived files; what was dispatched before and is on disk in the log then counts as derived. */
  async #flushDerived(): Promise<void> {
    const { index, dispatcher } = this.#options
    const target = dispatcher.dispatchedOffset
    const timestamp = Math.max(this.#derivedTimestamp, dispatcher.lastStoreTimestamp)
    index?.writePending()
    const indexFiles = index?.positions() ?? []
    const dirty = this.#options.consumeQueues.takeDirty()
    const positions = this.#changedPositions(dirty)
    const truncations = this.#truncations
    await this.#flushQueues(dirty)
    if (index !== null) {
      await finalSync('the index', index.flush(this.#watch.each('syncing the index')))
    }
    // Units of records that a power cut may still take would name the wrong end of their queue.
    await this.#flushLogTo(target)
    if (this.#hasFailed || this.#truncations !== truncations) return
    if (
      positions.length > 0 ||
      target > this.#derivedOffset ||
      this.#options.positions.needsWhole
    ) {
      const all = { ...this.#place(target), queues: positions, indexFiles }
      await this.#watch.during('syncing queuepositions', this.#options.positions.add(all))
    }
    this.#hasUnrecorded = false
    if (this.#truncations !== truncations) return
    this.#derivedOffset = target
    this.#derivedTimestamp = timestamp
    this.#writeCheckpoint(false)
    await this.#syncCheckpoint()
  }

  /** So that a power cut does not take what tells rot from a torn tail, and a start after it derives little. */
  async #syncCheckpoint(): Promise<void> {
    const { commitLog, checkpoint } = this.#options
    const covered = commitLog.flushedOffset + this.#derivedOffset
    if (this.#hasFailed || covered === this.#checkpointCovered) return
    this.#checkpointCovered = covered
    const sync = finalSync('the checkpoint', checkpoint.flush())
    await this.#watch.during('syncing the checkpoint', sync)
  }

  #place(derivedOffset: number): { readonly derivedOffset: number; readonly logStart: number } {
    this.#positionsLogStart = this.#options.commitLog.startOffset
    return { derivedOffset, logStart: this.#positionsLogStart }
  }

  /**
   * Where the queues that will be written now end; all queues when the file needs them, or when the log's start has moved. A unit that
   * comes while the round waits for the disk is written by it, too, and its queue named by the next one: it is on the list again then.
   */
  #changedPositions(dirty: readonly ConsumeQueue[]): readonly QueuePosition[] {
    const { consumeQueues, commitLog, positions } = this.#options
    const hasMoved = this.#positionsLogStart !== commitLog.startOffset
    const isWhole = positions.needsWhole || hasMoved || this.#hasUnrecorded
    this.#hasUnrecorded = true
    const changed: QueuePosition[] = []
    for (const queue of isWhole ? consumeQueues.all() : dirty) {
      const { topic, queueId, minOffset, maxOffset } = queue
      if (!isWhole && !queue.isDirty && queue.recordedEnd === maxOffset) continue
      queue.recordedEnd = maxOffset
      changed.push({ topic, queueId, minOffset, maxOffset })
    }
    return changed
  }

  async #flushLogTo(offset: number): Promise<void> {
    const { commitLog } = this.#options
    while (
      commitLog.flushedOffset < Math.min(offset, commitLog.writtenOffset) &&
      !this.#hasFailed
    ) {
      this.requestLogFlush()
      await this.#logFlush
    }
  }

  /** When the disk is full for one queue, what the others have written is synced all the same. */
  async #flushQueues(dirty: readonly ConsumeQueue[]): Promise<void> {
    let noRoom: unknown = null
    let batch: Promise<void>[] = []
    const watch = this.#watch.each('syncing a ConsumeQueue')
    for (const queue of dirty) {
      if (!queue.isDirty) continue
      try {
        queue.writePending()
      } catch (error) {
        if (!isNoRoom(error)) throw error
        noRoom = error
      }
      for (const folder of queue.takeChangedFolders()) this.#unsyncedFolders.add(folder)
      batch.push(queue.flush(watch))
      if (batch.length < SYNC_BATCH) continue
      await Promise.all(batch)
      batch = []
    }
    await Promise.all(batch)
    await this.#syncFolders()
    if (noRoom === null) return
    this.#options.consumeQueues.putBack(dirty)
    throw noRoom
  }

  async #syncFolders(): Promise<void> {
    const { disk } = this.#options
    for (const folder of this.#unsyncedFolders) {
      if (disk.statusSync(folder) !== null) {
        const sync = finalSync(folder, disk.syncDirectory(folder))
        await this.#watch.during('syncing a folder', sync)
      }
      this.#unsyncedFolders.delete(folder)
    }
  }

  #followWithCheckpoint(): void {
    const sinceLast = this.#options.clock.monotonic() - this.#lastCheckpoint
    if (!this.#isCheckpointDue || sinceLast < CHECKPOINT_INTERVAL_MS) return
    try {
      this.#writeCheckpoint(false)
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Its values are lower bounds: when the disk takes no writes it moves with a later flush. */
  #writeCheckpoint(isClean: boolean): void {
    try {
      this.#mustWriteCheckpoint(isClean)
    } catch (error) {
      if (!isNoRoom(error)) throw error
    }
  }

  #mustWriteCheckpoint(isClean: boolean, limit: number = Number.POSITIVE_INFINITY): void {
    if (this.#hasFailed) return
    const { commitLog, checkpoint, commitOffset, clock } = this.#options
    this.#lastCheckpoint = clock.monotonic()
    this.#isCheckpointDue = false
    const flushedOffset = Math.min(commitLog.flushedOffset, limit)
    checkpoint.write({
      physicalTimestamp: this.#flushedTimestamp,
      queueTimestamp: this.#derivedTimestamp,
      indexTimestamp: this.#derivedTimestamp,
      flushedOffset,
      confirmedOffset: Math.min(flushedOffset, commitOffset()),
      own: { derivedOffset: this.#derivedOffset, isClean, hasPositions: true },
    })
  }

  #fail(error: unknown): void {
    if (this.#hasFailed) return
    this.#hasFailed = true
    this.#options.onFailure(error)
  }
}
