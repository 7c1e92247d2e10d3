/**
 * Removes what retention and disk space ask for, oldest first (protocol §19.8), and says whether there is room for writes.
 *
 * The space is looked at every second, apart from the cleaning, so that a long round never hides a full disk; writes resume by
 * themselves once there is room again.
 */
import type { Logger } from '../common/log.ts'
import type { Clock, Disk } from '../common/ports.ts'
import type { CommitLog } from './commit-log.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import type { MessageIndex } from './message-index.ts'
import type { StoreConfig } from './types.ts'

const MAX_FILES_PER_ROUND = 10
/** Rounds for which a manual order to delete stands (Java: MAX_MANUAL_DELETE_FILE_TIMES). */
const MANUAL_ROUNDS = 20
const HOUR_MS = 3_600_000
/** So long after a write that met a full disk the next one is tried: quotas tell nothing of what is free. */
const RETRY_MS = 5000

type CleanerConfig = Pick<
  StoreConfig,
  | 'fileReservedTime'
  | 'deleteWhen'
  | 'diskMaxUsedSpaceRatio'
  | 'diskSpaceCleanForciblyRatio'
  | 'diskSpaceWarningLevelRatio'
>

export interface CleanerOptions {
  readonly disk: Disk
  readonly clock: Clock
  readonly logger: Logger
  readonly config: CleanerConfig
  readonly commitLog: CommitLog
  readonly consumeQueues: ConsumeQueues
  readonly index: MessageIndex | null
  readonly root: string
  /** What recovery and readers still need: segments that reach beyond it stay. */
  readonly protectedOffset: () => number
}

export class Cleaner {
  readonly #options: CleanerOptions
  #manualRounds = 0
  #commitLogRatio = 0
  #rootRatio = 0
  #isFull = false
  /** A write met a full disk at this time of the monotonic clock, with so much space told to be available. */
  #refusedWrite: { readonly at: number; readonly availableBytes: number } | null = null

  constructor(options: CleanerOptions) {
    this.#options = options
  }

  /** Used share of the disk under the CommitLog, 0 to 1. */
  get commitLogDiskRatio(): number {
    return this.#commitLogRatio
  }

  get rootDiskRatio(): number {
    return this.#rootRatio
  }

  /** A sentence while there is no room for writes, else null. */
  get refusal(): string | null {
    if (!this.#isFull && this.#refusedWrite === null) return null
    return `the broker's disk is full [CL: ${this.#commitLogRatio.toFixed(2)} CQ: ${this.#rootRatio.toFixed(2)} INDEX: ${this.#rootRatio.toFixed(2)}]`
  }

  /** The next rounds delete at any hour. */
  orderDeletion(): void {
    this.#manualRounds = MANUAL_ROUNDS
  }

  /** A write was told that there is no space. */
  noteDiskFull(): void {
    const { disk, clock, commitLog } = this.#options
    const { availableBytes } = disk.spaceSync(commitLog.segments.directory)
    this.#refusedWrite = { at: clock.monotonic(), availableBytes }
  }

  /** Looks at the space. Cheap: two system calls. */
  checkSpace(): void {
    const { disk, clock, logger, config, commitLog, root } = this.#options
    const space = disk.spaceSync(commitLog.segments.directory)
    this.#commitLogRatio = 1 - space.availableBytes / Math.max(1, space.totalBytes)
    const rootSpace = disk.spaceSync(root)
    this.#rootRatio = 1 - rootSpace.availableBytes / Math.max(1, rootSpace.totalBytes)
    const limit = config.diskSpaceWarningLevelRatio / 100
    const isFull = this.#commitLogRatio > limit || this.#rootRatio > limit
    const refused = this.#refusedWrite
    if (
      refused !== null &&
      (space.availableBytes > refused.availableBytes || clock.monotonic() - refused.at > RETRY_MS)
    ) {
      this.#refusedWrite = null
    }
    if (isFull === this.#isFull) return
    this.#isFull = isFull
    const fields = { commitLogDiskRatio: this.#commitLogRatio, limit }
    if (isFull) logger.error(fields, 'disk full: writes are refused until there is room')
    else logger.info(fields, 'disk has room again: writes are taken')
  }

  /** One round. Returns how many CommitLog segments went. */
  clean(): number {
    const { commitLog, config } = this.#options
    const ratio = Math.max(this.#commitLogRatio, this.#rootRatio)
    const isDue =
      this.#isDeletionHour() || ratio > config.diskMaxUsedSpaceRatio / 100 || this.#manualRounds > 0
    if (this.#manualRounds > 0) this.#manualRounds--
    const isForced = ratio > config.diskSpaceCleanForciblyRatio / 100
    let removed = 0
    while (isDue && removed < MAX_FILES_PER_ROUND && this.#mayRemoveFirst(isForced)) {
      this.#options.logger.info(
        { path: commitLog.segments.pathAt(commitLog.startOffset), isForced, ratio },
        'deleting a CommitLog segment',
      )
      commitLog.segments.removeFirst()
      removed++
    }
    if (removed > 0) this.cleanQueues()
    return removed
  }

  /** Raises the minimum offsets to what the log still holds, and removes files that nobody can read any more. */
  cleanQueues(): void {
    const { commitLog, consumeQueues, index } = this.#options
    for (const queue of consumeQueues.all()) {
      queue.raiseMinOffset(commitLog.startOffset)
      queue.removeExpiredFiles()
    }
    index?.removeBelow(commitLog.startOffset)
  }

  #mayRemoveFirst(isForced: boolean): boolean {
    const { commitLog, disk, clock, config, protectedOffset } = this.#options
    const { segments } = commitLog
    const segmentEnd = segments.firstOffset + segments.segmentSize
    if (segmentEnd > commitLog.endOffset || segmentEnd > protectedOffset()) return false
    if (isForced) return true
    const modifiedMs = disk.statusSync(segments.pathAt(segments.firstOffset))?.modifiedMs ?? 0
    return clock.now() - modifiedMs >= config.fileReservedTime * HOUR_MS
  }

  #isDeletionHour(): boolean {
    const hour = new Date(this.#options.clock.now()).getHours()
    return this.#options.config.deleteWhen
      .split(';')
      .some((text) => text.trim() !== '' && Number(text) === hour)
  }
}
