/**
 * Whether the files may be read on the event loop: as long as reads are as quick as the page cache.
 *
 * One slow read says little, the thread may have lost its core meanwhile. Two among a few say that the disk is waited for; then
 * nobody reads on the event loop for a while.
 */
import type { Clock } from '../common/ports.ts'

/** A small read that took longer did not come from the page cache; large ones get more time. */
const SLOW_READ_MS = 0.5
const PAGE_CACHE_BYTES_PER_MS = 1024 * 1024
/** A slow read counts as much as this many quick ones. The kernel reads ahead: behind a slow one come some quick ones. */
const SLOW_WEIGHT = 8
const COLD_FROM = 10
const COLD_MS = 1000

export class ReadPace {
  readonly #clock: Clock
  #score = 0
  #coldUntil = 0
  #startedAt = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Reads on the event loop are to be avoided now. */
  get isCold(): boolean {
    return this.#coldUntil > 0 && this.#clock.monotonic() < this.#coldUntil
  }

  /** To be called before a read on the event loop. */
  begin(): void {
    this.#startedAt = this.#clock.monotonic()
  }

  /** To be called after it. */
  end(size: number): void {
    const now = this.#clock.monotonic()
    if (now - this.#startedAt <= SLOW_READ_MS + size / PAGE_CACHE_BYTES_PER_MS) {
      if (this.#score > 0) this.#score--
      return
    }
    this.#score += SLOW_WEIGHT
    if (this.#score < COLD_FROM) return
    // When the time is over, one slow read is enough to begin anew.
    this.#score = SLOW_WEIGHT
    this.#coldUntil = now + COLD_MS
  }
}
