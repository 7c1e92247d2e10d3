/**
 * Works ahead of the CommitLog's end, off the event loop: the next segment is created before it is needed, and where syncs must be
 * quick a window of the file is filled with zeroes and synced, since an fdatasync over blocks that were written before costs half
 * of one that must also record new ones.
 *
 * Zeroes must never meet a record. They are written at `fillingFrom` and above only, which lies well past the end when a step
 * begins, and the store takes no message that would reach it: with a disk that stalls in just this moment sends are refused.
 * While many bytes are appended none are written ahead.
 */
import assert from 'node:assert/strict'
import type { Clock, Timer, Timers } from '../common/ports.ts'
import type { CommitLog } from './commit-log.ts'
import type { DiskWatch } from './disk-watch.ts'
import { isNoRoom } from '../common/errors.ts'
import type { StoreConfig } from './types.ts'

/** Filling begins this far past the end: more than what is appended while a step waits for a thread, as a rule. */
const FILL_DISTANCE = 12 * 1024 * 1024
/** Where a single message may be larger than that, so much more than one. */
const LARGE_MESSAGE_DISTANCE = 8 * 1024 * 1024
/** With SYNC_FLUSH this much past the end is full of zeroes. */
const FILL_WINDOW = 128 * 1024 * 1024
/** Written at once, and then synced: small, so that a sync of records does not wait for many zeroes. */
const FILL_STEP = 1024 * 1024
const PAGE_SIZE = 4096
const LOOK_MS = 100
/**
 * With more than this between two looks (16 MiB a second) no zeroes are written ahead: a sync then takes many records along, and writing
 * each byte twice costs more than it saves (59,000 messages of 1 KiB a second with zeroes, 84,000 without).
 */
const BUSY_BYTES = 1.6 * 1024 * 1024
/** So long after the disk was full the next try is made. */
const RETRY_MS = 5000

export interface SegmentPreparerOptions {
  readonly clock: Clock
  readonly timers: Timers
  readonly config: Pick<StoreConfig, 'flushDiskType' | 'warmMapedFileEnable' | 'maxMessageSize'>
  readonly commitLog: CommitLog
  readonly watch: DiskWatch
  readonly onFailure: (error: unknown) => void
  /** Sizes for small segments, in tests. */
  readonly fill?: { readonly distance: number; readonly window: number; readonly step: number }
}

export class SegmentPreparer {
  readonly #options: SegmentPreparerOptions
  readonly #fill: NonNullable<SegmentPreparerOptions['fill']>
  readonly #zeroes: Buffer
  #timer: Timer | null = null
  #running: Promise<void> | null = null
  /** All from the end to here is full of zeroes and synced, but for what lies less than the distance past an end of earlier. */
  #filledTo = 0
  #fillingFrom = Number.MAX_SAFE_INTEGER
  #retryAt = 0
  #isStopped = false
  /** End of the log at the last look. */
  #lookedEnd = 0
  #isBusy = false

  constructor(options: SegmentPreparerOptions) {
    const distance = Math.max(FILL_DISTANCE, options.config.maxMessageSize + LARGE_MESSAGE_DISTANCE)
    this.#options = options
    this.#fill = options.fill ?? { distance, window: FILL_WINDOW, step: FILL_STEP }
    const isFilling = options.config.flushDiskType === 'SYNC_FLUSH' || this.#isWarming
    this.#zeroes = Buffer.alloc(isFilling ? this.#fill.step : 0)
  }

  /** Zeroes are being written at this offset of the log and above: no record may reach it. */
  get fillingFrom(): number {
    return this.#fillingFrom
  }

  start(): void {
    this.#lookedEnd = this.#options.commitLog.endOffset
    this.#timer = this.#options.timers.every(LOOK_MS, () => this.look())
  }

  /** Fills from the very end on, which only a store that takes no messages yet may do. */
  async fillFirst(): Promise<void> {
    const { commitLog, clock } = this.#options
    if (this.#zeroes.length === 0) return
    const { endOffset, segments } = commitLog
    const first = Math.ceil(endOffset / PAGE_SIZE) * PAGE_SIZE
    const target = Math.min(first + this.#fill.distance + this.#fill.step, segments.endOffset)
    try {
      for (let from = first; from < target; from = this.#filledTo) {
        this.#filledTo = from
        await this.#fillStep(from)
      }
    } catch (error) {
      if (!isNoRoom(error)) throw error
      this.#retryAt = clock.monotonic() + RETRY_MS
    } finally {
      this.#fillingFrom = Number.MAX_SAFE_INTEGER
    }
  }

  /** Begins nothing more; resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    await this.#running
  }

  /** Does what is to be done, unless it is at it already. */
  look(): void {
    const { endOffset } = this.#options.commitLog
    this.#isBusy = endOffset - this.#lookedEnd > BUSY_BYTES
    this.#lookedEnd = endOffset
    if (this.#isStopped || this.#running !== null) return
    if (this.#options.clock.monotonic() < this.#retryAt) return
    if (!this.#isNextDue() && this.#nextFill() === null) return
    this.#running = this.#run()
  }

  /** After a truncation nothing beyond the new end counts as filled. */
  truncate(physicalOffset: number): void {
    this.#filledTo = Math.min(this.#filledTo, physicalOffset)
  }

  get #isWarming(): boolean {
    return this.#options.config.warmMapedFileEnable
  }

  async #run(): Promise<void> {
    const { commitLog, watch, clock } = this.#options
    try {
      while (!this.#isStopped) {
        if (this.#isNextDue()) {
          await watch.during('creating a segment', commitLog.segments.prepareNext())
          continue
        }
        const from = this.#nextFill()
        if (from === null) break
        await this.#fillStep(from)
      }
    } catch (error) {
      // No space ahead of need is no failure; the write that needs it will tell.
      if (isNoRoom(error)) this.#retryAt = clock.monotonic() + RETRY_MS
      else this.#options.onFailure(error)
    } finally {
      this.#fillingFrom = Number.MAX_SAFE_INTEGER
      this.#running = null
    }
  }

  async #fillStep(from: number): Promise<void> {
    const { commitLog, watch } = this.#options
    const { segments } = commitLog
    const segmentEnd = segments.startOf(from) + segments.segmentSize
    const length = Math.min(this.#fill.step, segmentEnd - from)
    this.#fillingFrom = from
    await watch.during(
      'writing zeroes ahead',
      segments.write(this.#zeroes.subarray(0, length), from),
    )
    assert(commitLog.endOffset <= from, 'no record reaches what is being filled')
    this.#fillingFrom = Number.MAX_SAFE_INTEGER
    await watch.during('syncing zeroes ahead', segments.datasync(from))
    this.#filledTo = Math.max(this.#filledTo, from + length)
  }

  /** The segment after the current one is missing, and half of the current one is used, or it takes time to fill it. */
  #isNextDue(): boolean {
    const { segments, endOffset } = this.#options.commitLog
    const current = segments.startOf(endOffset)
    if (segments.isEmpty || segments.endOffset > current + segments.segmentSize) return false
    return this.#isWarming || (endOffset - current) * 2 >= segments.segmentSize
  }

  /** Where zeroes are to be written next; null when enough are there. */
  #nextFill(): number | null {
    const { config, commitLog } = this.#options
    if (!this.#isWarming && (config.flushDiskType !== 'SYNC_FLUSH' || this.#isBusy)) return null
    const { segments, endOffset } = commitLog
    const { distance, window } = this.#fill
    const earliest = Math.ceil((endOffset + distance) / PAGE_SIZE) * PAGE_SIZE
    const from = Math.max(earliest, this.#filledTo)
    const nextEnd = segments.startOf(endOffset) + 2 * segments.segmentSize
    const target = this.#isWarming ? Math.max(nextEnd, endOffset + window) : endOffset + window
    // A whole step is missing, so that filling goes on in steps and not after each record.
    const isDue = from + this.#fill.step <= target && from < segments.endOffset
    return isDue ? from : null
  }
}
