/**
 * Notices a disk that does not answer, on the event loop's own clock: the threads that wait for the disk cannot tell.
 *
 * Time is counted in ticks, each for at most twice its length, and a tick that comes later than that fences nobody, so that a process
 * which was stopped, or a machine that slept, does not take its own absence for a stalled disk.
 */
import type { Logger } from '../common/log.ts'
import type { Clock, Timer, Timers } from '../common/ports.ts'
import { StoreError } from './errors.ts'

const TICK_MS = 1000
const TICK_MAX_MS = 2 * TICK_MS
/** From here on it is a warning and counted (reliability D7). */
const WARN_MS = 10_000
/** From here on the store is fenced: nothing more is acknowledged, and the process ends. */
const FENCE_MS = 20_000

interface Operation {
  readonly name: string
  elapsedMs: number
  isWarned: boolean
}

/** Settles as the operation does. */
export type Watch = <Result>(operation: Promise<Result>) => Promise<Result>

export const unwatched: Watch = (operation) => operation

export class DiskWatch {
  readonly #clock: Clock
  readonly #timers: Timers
  readonly #logger: Logger
  readonly #onStall: (error: StoreError) => void
  readonly #operations = new Set<Operation>()
  #timer: Timer | null = null
  #lastTick = 0
  #hasFenced = false
  /** Operations that took longer than the warning limit, since the start. */
  stalls = 0

  constructor(options: {
    readonly clock: Clock
    readonly timers: Timers
    readonly logger: Logger
    readonly onStall: (error: StoreError) => void
  }) {
    this.#clock = options.clock
    this.#timers = options.timers
    this.#logger = options.logger
    this.#onStall = options.onStall
  }

  /** How long the oldest operation has been under way; 0 when none is. */
  get oldestMs(): number {
    let oldest = 0
    for (const { elapsedMs } of this.#operations) oldest = Math.max(oldest, elapsedMs)
    return oldest
  }

  start(): void {
    this.#lastTick = this.#clock.monotonic()
    this.#timer = this.#timers.every(TICK_MS, () => this.#tick())
  }

  stop(): void {
    this.#timer?.cancel()
  }

  /** For operations that follow each other: the disk answers as long as it answers each. */
  each(name: string): Watch {
    return (operation) => this.during(name, operation)
  }

  /** Watches a disk operation until it settles; settles as it does. */
  async during<Result>(name: string, operation: Promise<Result>): Promise<Result> {
    const watched: Operation = { name, elapsedMs: 0, isWarned: false }
    this.#operations.add(watched)
    try {
      return await operation
    } finally {
      this.#operations.delete(watched)
      if (watched.isWarned) {
        const { elapsedMs } = watched
        this.#logger.warn({ operation: name, elapsedMs }, 'the disk answers again')
      }
    }
  }

  #tick(): void {
    const now = this.#clock.monotonic()
    const passed = now - this.#lastTick
    // What the disk has answered meanwhile is heard after this tick: the next one decides.
    const wasAway = passed > TICK_MAX_MS
    this.#lastTick = now
    for (const operation of this.#operations) {
      operation.elapsedMs += Math.min(passed, TICK_MAX_MS)
      if (operation.elapsedMs >= WARN_MS && !operation.isWarned) this.#warn(operation)
      if (operation.elapsedMs >= FENCE_MS && !wasAway && !this.#hasFenced) this.#fence(operation)
    }
  }

  #warn(operation: Operation): void {
    operation.isWarned = true
    this.stalls++
    const fields = { operation: operation.name, elapsedMs: operation.elapsedMs, limit: FENCE_MS }
    this.#logger.warn(fields, 'the disk does not answer')
  }

  #fence({ name, elapsedMs }: Operation): void {
    this.#hasFenced = true
    const seconds = Math.round(elapsedMs / 1000)
    this.#onStall(new StoreError('diskStalled', `${name} has taken ${seconds} s: the disk stalls`))
  }
}
