/**
 * Works ahead of the CommitLog's end: the next segment is created before it is needed, and zeroes are written where that helps.
 *
 * - With SYNC_FLUSH a window ahead of the end is filled and synced, since an fdatasync over blocks that were written before costs half
 *   of one that must also record new ones. While many bytes are appended this does not pay, and nothing is written ahead.
 * - With `warmMapedFileEnable` the next segment is filled as a whole.
 *
 * Zeroes must never meet a record. Those of the window are written between two turns of the event loop, as records are: nothing
 * can come in between, only their sync is waited for. Those of the next segment are many, so a thread writes them; never into
 * the segment that is being written (both would wait for the file's lock), and only while the end is in its first half: what is
 * not filled by then stays as it is. No record comes near, unless a step of 1 MiB takes longer than half a segment of records;
 * `fillingFrom` keeps them apart even then.
 */
import assert from 'node:assert/strict'
import type { Clock, Timer, Timers } from '../common/ports.ts'
import type { CommitLog } from './commit-log.ts'
import type { DiskWatch } from './disk-watch.ts'
import { isNoRoom } from '../common/errors.ts'
import type { StoreConfig } from './types.ts'

/** Filled at the start, before messages are taken. */
const FIRST_FILL = 12 * 1024 * 1024
/** With SYNC_FLUSH this much past the end is full of zeroes. */
const FILL_WINDOW = 128 * 1024 * 1024
/** Written by a thread at once, or synced at once: small, so that a sync of records does not wait for many zeroes. */
const FILL_STEP = 1024 * 1024
/** Written by the event loop in one turn: about 30 us. */
const TURN_STEP = 128 * 1024
const PAGE_SIZE = 4096
const LOOK_MS = 100
/**
 * With more than this between two looks (16 MiB a second) no zeroes are written ahead of the end: a sync then takes many records along, and writing
 * each byte twice costs more than it saves (59,000 messages of 1 KiB a second with zeroes, 84,000 without).
 */
const BUSY_BYTES = 1.6 * 1024 * 1024
/** So long after the disk was full the next try is made. */
const RETRY_MS = 5000

export interface SegmentPreparerOptions {
  readonly clock: Clock
  readonly timers: Timers
  readonly config: Pick<StoreConfig, 'flushDiskType' | 'warmMapedFileEnable'>
  readonly commitLog: CommitLog
  readonly watch: DiskWatch
  readonly onFailure: (error: unknown) => void
  /** Sizes for small segments, in tests. */
  readonly fill?: {
    readonly first: number
    readonly window: number
    readonly step: number
    readonly turnStep: number
  }
}

export class SegmentPreparer {
  readonly #options: SegmentPreparerOptions
  readonly #fill: NonNullable<SegmentPreparerOptions['fill']>
  readonly #zeroes: Buffer
  #timer: Timer | null = null
  #running: Promise<void> | null = null
  /** All from the end to here is full of zeroes and synced. */
  #filledTo = 0
  /** The same for the segment after the current one, from its start on; nobody has synced it. */
  #warmedTo = 0
  #fillingFrom = Number.MAX_SAFE_INTEGER
  #truncations = 0
  #retryAt = 0
  #isStopped = false
  /** End of the log at the last look. */
  #lookedEnd = 0
  #isBusy = false

  constructor(options: SegmentPreparerOptions) {
    this.#options = options
    this.#fill = options.fill ?? {
      first: FIRST_FILL,
      window: FILL_WINDOW,
      step: FILL_STEP,
      turnStep: TURN_STEP,
    }
    const { segmentSize } = options.commitLog.segments
    const size = Math.min(this.#fill.step, segmentSize)
    this.#zeroes = Buffer.alloc(this.#isSyncing || this.#isWarming ? size : 0)
  }

  /** A thread writes zeroes at this offset of the log and above: no record may reach it. */
  get fillingFrom(): number {
    return this.#fillingFrom
  }

  start(): void {
    this.#lookedEnd = this.#options.commitLog.endOffset
    this.#timer = this.#options.timers.every(LOOK_MS, () => this.look())
  }

  /** Before the store takes messages: so that the first syncs are quick. */
  async fillFirst(): Promise<void> {
    const { commitLog, clock } = this.#options
    if (!this.#isSyncing) return
    const target = commitLog.endOffset + this.#fill.first
    try {
      while (this.#filledTo < target && (await this.#fillStep(this.#fill.step))) continue
    } catch (error) {
      if (!isNoRoom(error)) throw error
      this.#retryAt = clock.monotonic() + RETRY_MS
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
    if (!this.#isNextDue() && !this.#isFillDue() && this.#nextWarming() === null) return
    this.#running = this.#run()
  }

  /** After a truncation nothing beyond the new end counts as filled. */
  truncate(physicalOffset: number): void {
    this.#filledTo = Math.min(this.#filledTo, physicalOffset)
    this.#warmedTo = Math.min(this.#warmedTo, physicalOffset)
    this.#truncations++
  }

  get #isSyncing(): boolean {
    return this.#options.config.flushDiskType === 'SYNC_FLUSH'
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
        if (this.#isFillDue() && (await this.#fillStep(this.#fill.turnStep))) continue
        const from = this.#nextWarming()
        if (from === null) break
        await this.#warmStep(from)
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

  /** Less than the window is full of zeroes, by a whole step: so that filling goes on in steps and not after each record. */
  #isFillDue(): boolean {
    if (!this.#isSyncing || this.#isBusy) return false
    const { endOffset, segments } = this.#options.commitLog
    const from = Math.max(this.#filledTo, endOffset)
    return from + this.#fill.step <= endOffset + this.#fill.window && from < segments.endOffset
  }

  /** Fills and syncs a step behind what is filled, `bytesPerTurn` in a turn of the event loop; false when the end of the newest segment is reached. */
  async #fillStep(bytesPerTurn: number): Promise<boolean> {
    const { commitLog, watch, timers } = this.#options
    const { segments } = commitLog
    const from = this.#nextFilled()
    const segmentEnd = Math.min(segments.startOf(from) + segments.segmentSize, segments.endOffset)
    const stop = Math.min(from + this.#fill.step, segmentEnd)
    if (stop <= from) return false
    const truncations = this.#truncations
    while (this.#nextFilled() < stop && !this.#isStopped) {
      const at = this.#nextFilled()
      const length = Math.min(bytesPerTurn, stop - at)
      segments.writeSync(this.#zeroes, 0, length, at)
      this.#filledTo = at + length
      if (this.#filledTo < stop) await new Promise<void>((resolve) => timers.soon(resolve))
      // The segment may be gone, and the end be in one of earlier.
      if (truncations !== this.#truncations) return true
    }
    await watch.during('syncing zeroes ahead', segments.datasync(from))
    return true
  }

  /** Where the next zero of the window goes: nothing that was appended lies at it or behind it. */
  #nextFilled(): number {
    const { endOffset } = this.#options.commitLog
    return Math.max(this.#filledTo, Math.ceil(endOffset / PAGE_SIZE) * PAGE_SIZE)
  }

  async #warmStep(from: number): Promise<void> {
    const { commitLog, watch } = this.#options
    const { segments } = commitLog
    const length = Math.min(this.#fill.step, segments.endOffset - from)
    this.#fillingFrom = from
    await watch.during(
      'writing zeroes ahead',
      segments.write(this.#zeroes.subarray(0, length), from),
    )
    assert(commitLog.endOffset <= from, 'no record reaches what is being filled')
    this.#fillingFrom = Number.MAX_SAFE_INTEGER
    this.#warmedTo = from + length
  }

  /** The segment after the current one is missing, and half of the current one is used, or it takes time to fill it. */
  #isNextDue(): boolean {
    const { segments, endOffset } = this.#options.commitLog
    const current = segments.startOf(endOffset)
    if (segments.isEmpty || segments.endOffset > current + segments.segmentSize) return false
    return this.#isWarming || (endOffset - current) * 2 >= segments.segmentSize
  }

  /** Where a thread writes zeroes next; null when it is to stay away from the end, or all is full. */
  #nextWarming(): number | null {
    if (!this.#isWarming) return null
    const { segments, endOffset } = this.#options.commitLog
    const next = segments.startOf(endOffset) + segments.segmentSize
    if ((next - endOffset) * 2 < segments.segmentSize) return null
    const from = Math.max(next, this.#warmedTo, this.#filledTo)
    return from < segments.endOffset ? from : null
  }
}
