/**
 * Puts what was written on disk: the CommitLog by its intervals or for every group of waiting puts, the derived files in rounds,
 * after each of which the checkpoint moves.
 *
 * A failed sync is never repeated (reliability D1): the kernel may have dropped the pages and call the next one a success.
 */
import { systemCodeOf } from '../common/errors.ts'
import type { Clock, Disk, Timers, Timer } from '../common/ports.ts'
import type { CheckpointFile } from './checkpoint.ts'
import type { CommitLog } from './commit-log.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { MessageIndex } from './message-index.ts'
import type { StoreConfig } from './types.ts'

/** Pages that must be dirty before an interval's flush is worth it (Java: flushCommitLogLeastPages). */
const LEAST_DIRTY_BYTES = 4 * 4096

/** A round of the derived files may take this share of the time, so that many queues do not keep the disk busy for ever. */
const REST_PER_ROUND = 4

/** ConsumeQueue files synced at a time. */
const SYNC_BATCH = 8

type FlushConfig = Pick<
  StoreConfig,
  | 'flushDiskType'
  | 'flushIntervalCommitLog'
  | 'flushCommitLogThoroughInterval'
  | 'flushIntervalConsumeQueue'
>

export interface FlusherOptions {
  readonly disk: Disk
  readonly clock: Clock
  readonly timers: Timers
  readonly config: FlushConfig
  readonly commitLog: CommitLog
  readonly consumeQueues: ConsumeQueues
  readonly index: MessageIndex | null
  readonly dispatcher: Dispatcher
  readonly checkpoint: CheckpointFile
  readonly commitOffset: () => number
  readonly onFlushed: () => void
  /** Derived files found no room: they stay in memory, and the next round tries again. */
  readonly onDiskFull: (error: unknown) => void
  readonly onFailure: (error: unknown) => void
}

export class Flusher {
  readonly #options: FlusherOptions
  #timers: Timer[] = []
  #logFlush: Promise<void> | null = null
  #round: Promise<void> | null = null
  #lastLogFlush = 0
  #restUntil = 0
  #derivedOffset: number
  /** Store timestamps of what was on disk at the last sync; Java goes by them. */
  #flushedTimestamp: number
  #derivedTimestamp: number
  #hasFailed = false

  constructor(options: FlusherOptions) {
    this.#options = options
    this.#derivedOffset = options.dispatcher.dispatchedOffset
    this.#flushedTimestamp = options.commitLog.lastStoreTimestamp
    this.#derivedTimestamp = options.commitLog.lastStoreTimestamp
  }

  /** ConsumeQueues and index hold everything below, on disk. */
  get derivedOffset(): number {
    return this.#derivedOffset
  }

  start(): void {
    const { timers, config } = this.#options
    this.#timers = [
      timers.every(config.flushIntervalCommitLog, () => this.#onLogInterval()),
      timers.every(config.flushIntervalConsumeQueue, () => this.#onDerivedInterval()),
    ]
  }

  /** Stops the intervals; what is under way goes on. */
  stop(): void {
    for (const timer of this.#timers) timer.cancel()
    this.#timers = []
  }

  /** Starts a sync of the log for the puts that wait, unless one is under way: then another follows it. */
  requestLogFlush(): void {
    if (this.#logFlush !== null || this.#hasFailed) return
    const { commitLog } = this.#options
    if (commitLog.flushedOffset >= commitLog.writtenOffset) return
    this.#logFlush = this.#flushLog()
  }

  /** Everything written is on disk, and the checkpoint says so. Used at a stop; rejects when a sync fails. */
  async flushAll(isClean: boolean): Promise<void> {
    const { commitLog, index, checkpoint } = this.#options
    while (this.#logFlush !== null || this.#round !== null) {
      await this.#logFlush
      await this.#round
    }
    if (this.#hasFailed) return
    await commitLog.flush()
    this.#flushedTimestamp = commitLog.lastStoreTimestamp
    await this.#flushDerived()
    if (isClean) await index?.finish()
    this.#writeCheckpoint(isClean)
    await checkpoint.flush()
  }

  /** After a truncation nothing above it counts as flushed. */
  truncate(physicalOffset: number): void {
    this.#derivedOffset = Math.min(this.#derivedOffset, physicalOffset)
    this.#writeCheckpoint(false)
    this.#options.checkpoint.flushSync()
  }

  /** Writes the checkpoint so that the next start derives everything anew. */
  forgetDerived(): void {
    this.#derivedOffset = 0
    this.#writeCheckpoint(false)
    this.#options.checkpoint.flushSync()
  }

  #onLogInterval(): void {
    const { commitLog, clock, config } = this.#options
    const dirty = commitLog.writtenOffset - commitLog.flushedOffset
    const isThorough =
      clock.monotonic() - this.#lastLogFlush >= config.flushCommitLogThoroughInterval
    if (dirty >= LEAST_DIRTY_BYTES || (dirty > 0 && isThorough)) this.requestLogFlush()
    this.#prepareSegment()
  }

  #prepareSegment(): void {
    if (this.#hasFailed) return
    try {
      this.#options.commitLog.prepareNextSegment()
    } catch (error) {
      // No space for a segment ahead of need is no failure yet; the write that needs it will tell.
      if (systemCodeOf(error) !== 'ENOSPC') this.#fail(error)
    }
  }

  async #flushLog(): Promise<void> {
    const { commitLog, clock, config, onFlushed } = this.#options
    const timestamp = commitLog.lastStoreTimestamp
    try {
      await commitLog.flush()
      this.#flushedTimestamp = timestamp
      this.#lastLogFlush = clock.monotonic()
      this.#writeCheckpoint(false)
    } catch (error) {
      this.#fail(error)
      return
    } finally {
      this.#logFlush = null
    }
    onFlushed()
    if (config.flushDiskType === 'SYNC_FLUSH') this.requestLogFlush()
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
      await this.#flushDerived()
    } catch (error) {
      if (systemCodeOf(error) === 'ENOSPC') this.#options.onDiskFull(error)
      else this.#fail(error)
    } finally {
      const now = clock.monotonic()
      this.#restUntil = now + (now - startedAt) * REST_PER_ROUND
      this.#round = null
    }
  }

  /** Writes and syncs the derived files; what was dispatched before and is on disk in the log then counts as derived. */
  async #flushDerived(): Promise<void> {
    const { commitLog, consumeQueues, index, dispatcher } = this.#options
    const target = dispatcher.dispatchedOffset
    const timestamp = Math.max(this.#derivedTimestamp, dispatcher.lastStoreTimestamp)
    let batch: Promise<void>[] = []
    const folders = new Set<string>()
    for (const queue of [...consumeQueues.all()]) {
      if (!queue.isDirty) continue
      queue.writePending()
      for (const folder of queue.takeChangedFolders()) folders.add(folder)
      batch.push(queue.flush())
      if (batch.length < SYNC_BATCH) continue
      await Promise.all(batch)
      batch = []
    }
    await Promise.all(batch)
    await this.#syncFolders(folders)
    index?.writePending()
    await index?.flush()
    const reached = Math.min(target, commitLog.flushedOffset, dispatcher.dispatchedOffset)
    this.#derivedOffset = Math.max(this.#derivedOffset, reached)
    this.#derivedTimestamp = timestamp
    this.#writeCheckpoint(false)
  }

  /** One after the other, each in a turn of its own: the port has no way to do it off the event loop. */
  async #syncFolders(folders: ReadonlySet<string>): Promise<void> {
    const { disk, timers } = this.#options
    for (const folder of folders) {
      if (disk.statusSync(folder) !== null) disk.syncDirectorySync(folder)
      await new Promise<void>((resolve) => timers.soon(resolve))
    }
  }

  #writeCheckpoint(isClean: boolean): void {
    if (this.#hasFailed) return
    const { commitLog, checkpoint, commitOffset } = this.#options
    checkpoint.write({
      physicalTimestamp: this.#flushedTimestamp,
      queueTimestamp: this.#derivedTimestamp,
      indexTimestamp: this.#derivedTimestamp,
      flushedOffset: commitLog.flushedOffset,
      confirmedOffset: Math.min(commitLog.flushedOffset, commitOffset()),
      own: { derivedOffset: this.#derivedOffset, isClean },
    })
  }

  #fail(error: unknown): void {
    if (this.#hasFailed) return
    this.#hasFailed = true
    this.#options.onFailure(error)
  }
}
