/**
 * Removes what retention and disk space ask for, oldest first (protocol §19.8), and says whether there is room for writes.
 *
 * The space is looked at every second, apart from the cleaning, so that a long round never hides a full disk; writes resume by
 * themselves once there is room again.
 */
import type { Logger } from '../common/log.ts'
import type { Clock, Disk, Timers } from '../common/ports.ts'
import type { CommitLog } from './commit-log.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import type { MessageIndex } from './message-index.ts'
import type { ConsumeQueue } from './consume-queue.ts'
import { offsetByTimestamp } from './time-search.ts'
import type { Retention, SlowestRead, StoreConfig } from './types.ts'

const MAX_FILES_PER_ROUND = 10
/** Rounds for which a manual order to delete stands (Java: MAX_MANUAL_DELETE_FILE_TIMES). */
const MANUAL_ROUNDS = 20
const HOUR_MS = 3_600_000
/** So long after a write that met a full disk the next one is tried: quotas tell nothing of what is free. */
const RETRY_MS = 5000
/** Queues looked at between two turns of the event loop. */
const QUEUES_PER_TURN = 256

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
  readonly timers: Timers
  readonly logger: Logger
  readonly config: CleanerConfig
  readonly commitLog: CommitLog
  readonly consumeQueues: ConsumeQueues
  readonly index: MessageIndex | null
  readonly root: string
  /** What recovery and readers still need: segments that reach beyond it stay. */
  readonly protectedOffset: () => number
  /** What the broker knows of readers and topics. */
  readonly retention: Retention
}

export class Cleaner {
  readonly #options: CleanerOptions
  #manualRounds = 0
  #commitLogRatio = 0
  #rootRatio = 0
  #isFull = false
  #round: Promise<number> | null = null
  /** The group for which segments are kept now, as it was logged. */
  #keptFor = ''
  /** Segments deleted since the start, and of these the ones that held messages which a group had not read. */
  deletedSegments = 0
  deletedUnreadSegments = 0
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

  /** The group whose unread messages keep segments that would else be deleted; null when none does. */
  get keptFor(): string | null {
    return this.#keptFor === '' ? null : this.#keptFor
  }

  /** One round, off and on the event loop. Resolves with how many CommitLog segments went. */
  clean(): Promise<number> {
    this.#round ??= this.#clean().finally(() => {
      this.#round = null
    })
    return this.#round
  }

  /** Raises the minimum offsets to what the log still holds, and removes files that nobody can read any more. */
  async cleanQueues(): Promise<void> {
    const { commitLog, index } = this.#options
    await this.#forQueues((queue) => {
      queue.raiseMinOffset(commitLog.startOffset)
      queue.removeExpiredFiles()
    })
    index?.removeBelow(commitLog.startOffset)
  }

  async #clean(): Promise<number> {
    const { config } = this.#options
    const ratio = Math.max(this.#commitLogRatio, this.#rootRatio)
    const isDue =
      this.#isDeletionHour() || ratio > config.diskMaxUsedSpaceRatio / 100 || this.#manualRounds > 0
    if (this.#manualRounds > 0) this.#manualRounds--
    const isForced = ratio > config.diskSpaceCleanForciblyRatio / 100
    const removed = isDue && this.#mayRemoveFirst(isForced) ? await this.#remove(isForced) : 0
    if (!isDue) this.#keptFor = ''
    if (removed > 0) await this.cleanQueues()
    await this.#cutTopics()
    return removed
  }

  async #remove(isForced: boolean): Promise<number> {
    const { commitLog, retention, logger } = this.#options
    const { segments } = commitLog
    const slowest = await retention.slowestRead()
    let removed = 0
    while (removed < MAX_FILES_PER_ROUND && this.#mayRemoveFirst(isForced)) {
      const path = segments.pathAt(segments.firstOffset)
      const isUnread =
        slowest !== null && slowest.physicalOffset < segments.firstOffset + segments.segmentSize
      if (isUnread && slowest.isProtected) {
        this.#keep(path, slowest)
        return removed
      }
      const fields = { path, isForced, commitLogDiskRatio: this.#commitLogRatio }
      if (isUnread) logger.warn({ ...fields, ...slowest }, 'deleting messages that were not read')
      else logger.info(fields, 'deleting a CommitLog segment')
      // Not waited for: somebody may still read the file.
      segments.dropFirst().catch((error: unknown) => {
        logger.error({ ...fields, err: error }, 'a CommitLog segment cannot be removed')
      })
      removed++
      this.deletedSegments++
      if (isUnread) this.deletedUnreadSegments++
    }
    this.#keptFor = ''
    return removed
  }

  #keep(path: string, slowest: SlowestRead): void {
    const { consumerGroup } = slowest
    if (this.#keptFor === consumerGroup) return
    this.#keptFor = consumerGroup
    this.#options.logger.warn(
      { path, ...slowest },
      'an expired CommitLog segment is kept: a consumer group has not read it',
    )
  }

  /** Takes from queues what is older than their topic's own `reserve.time`, and read. The log keeps its records until retention. */
  async #cutTopics(): Promise<void> {
    const { commitLog, clock, retention } = this.#options
    await this.#forQueues((queue) => {
      const hours = retention.reserveHours(queue.topic)
      if (hours === null || queue.minOffset >= queue.maxOffset) return
      const oldest = clock.now() - hours * HOUR_MS
      const reserved = offsetByTimestamp(queue, commitLog, oldest, 'LOWER')
      const unread = retention.readOffset(queue.topic, queue.queueId) ?? reserved
      queue.raiseMinTo(Math.min(reserved, unread))
    })
  }

  async #forQueues(visit: (queue: ConsumeQueue) => void): Promise<void> {
    const { consumeQueues, timers } = this.#options
    let visited = 0
    for (const queue of [...consumeQueues.all()]) {
      visit(queue)
      if (++visited % QUEUES_PER_TURN !== 0) continue
      await new Promise<void>((resolve) => timers.soon(resolve))
    }
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
