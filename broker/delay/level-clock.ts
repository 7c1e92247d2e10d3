/**
 * Tells how long messages of a delay level still have to wait, so that none is early or much too late when the wall clock is set.
 *
 * As long as nobody sets it the wall clock decides, to the millisecond. Once it and the monotonic clock disagree, a message waits for its
 * delay since it was first seen in its queue, by the monotonic clock; and one that was there before this clock began, until the time that
 * the wall clock would show had it gone on from then.
 */
import type { Clock } from '../../common/ports.ts'

/** More than slewing and rounding ever make. */
const DISAGREEMENT_MS = 50
const SAMPLES_MAX = 4096

interface Sample {
  /** Messages below this queue offset had come… */
  readonly end: number
  /** …at this time of the monotonic clock. */
  readonly at: number
}

export class LevelClock {
  readonly #clock: Clock
  readonly #startedAt: number
  readonly #startedAtWall: number
  /** Messages below were there when this clock began. */
  readonly #knownFrom: number
  readonly #delayMs: number
  #samples: Sample[] = []

  constructor(clock: Clock, delayMs: number, queueEnd: number) {
    this.#clock = clock
    this.#delayMs = delayMs
    this.#knownFrom = queueEnd
    this.#startedAt = clock.monotonic()
    this.#startedAtWall = clock.now()
  }

  /** To be called about ten times a second: the queue ends here now, and everything before `progress` is done with. */
  sample(queueEnd: number, progress: number): void {
    const samples = this.#samples
    const last = samples.at(-1)?.end ?? this.#knownFrom
    if (queueEnd > last) samples.push({ end: queueEnd, at: this.#clock.monotonic() })
    if (samples.length > SAMPLES_MAX) {
      const kept = samples.filter(({ end }) => end > progress)
      // Still too many: every second one stands for its neighbour too, which then waits a little longer.
      const isTooMany = kept.length > SAMPLES_MAX / 2
      this.#samples = isTooMany ? kept.filter((_, index) => (kept.length - index) % 2 === 1) : kept
    }
  }

  /** Milliseconds until the message at this queue offset is due, which was to be at `dueTime`; 0 or less: it is. */
  remaining(queueOffset: number, dueTime: number): number {
    const now = this.#clock.monotonic()
    const wall = this.#clock.now()
    const steady = this.#startedAtWall + now - this.#startedAt
    if (queueOffset < this.#knownFrom) {
      // Nothing waits for longer than its delay, whatever the clock was when it came.
      return Math.min(dueTime, this.#startedAtWall + this.#delayMs) - Math.floor(steady)
    }
    if (Math.abs(wall - steady) <= DISAGREEMENT_MS) return dueTime - wall
    const seen = this.#samples.find(({ end }) => end > queueOffset)
    return Math.ceil((seen?.at ?? now) + this.#delayMs - now)
  }
}
