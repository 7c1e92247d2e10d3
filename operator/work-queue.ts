/**
 * The queue between events and reconciling: each key waits at most once, is worked on by one worker at a time, is tried again with a growing
 * pause after a failure, and comes back by itself when its result says so.
 */
import type { Logger } from '../common/log.ts'
import type { Clock, Random, Timer, Timers } from '../common/ports.ts'

export interface WorkResult {
  /** Null: only when an event asks for it. */
  readonly requeueAfterMs: number | null
}

export interface WorkQueueOptions {
  readonly work: (key: string) => Promise<WorkResult>
  readonly workers: number
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly logger: Logger
  readonly onDone?: (pass: WorkPass) => void
}

/** What one pass over a key took. */
export interface WorkPass {
  readonly key: string
  readonly result: 'done' | 'failed'
  readonly waitedMs: number
  readonly tookMs: number
}

export const BACK_OFF_MIN_MS = 1_000
export const BACK_OFF_MAX_MS = 300_000

interface KeyState {
  failures: number
  isRunning: boolean
  /** Asked for while it ran. */
  isDirty: boolean
  queuedAt: number | null
  timer: Timer | null
}

export class WorkQueue implements AsyncDisposable {
  readonly #options: WorkQueueOptions
  readonly #states: Map<string, KeyState> = new Map()
  readonly #waiting: Set<string> = new Set()
  readonly #running: Set<Promise<void>> = new Set()
  #isOpen = false
  #isClosed = false

  constructor(options: WorkQueueOptions) {
    this.#options = options
  }

  /** Keys that wait for a worker. */
  get depth(): number {
    return this.#waiting.size
  }

  /** Lets the workers begin; keys may be added before. */
  start(): void {
    this.#isOpen = true
    this.#dispatch()
  }

  add(key: string): void {
    if (this.#isClosed) return
    const state = this.#stateOf(key)
    state.timer?.cancel()
    state.timer = null
    if (state.isRunning) {
      state.isDirty = true
      return
    }
    state.queuedAt ??= this.#options.clock.monotonic()
    this.#waiting.add(key)
    this.#dispatch()
  }

  /** Takes nothing new and waits for what is being worked on. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#waiting.clear()
    for (const state of this.#states.values()) state.timer?.cancel()
    await Promise.all(this.#running)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #stateOf(key: string): KeyState {
    const known = this.#states.get(key)
    if (known !== undefined) return known
    const state: KeyState = {
      failures: 0,
      isRunning: false,
      isDirty: false,
      queuedAt: null,
      timer: null,
    }
    this.#states.set(key, state)
    return state
  }

  #dispatch(): void {
    if (!this.#isOpen || this.#isClosed) return
    for (const key of this.#waiting) {
      if (this.#running.size >= this.#options.workers) return
      this.#waiting.delete(key)
      const pass = this.#pass(key).finally(() => {
        this.#running.delete(pass)
        this.#dispatch()
      })
      this.#running.add(pass)
    }
  }

  async #pass(key: string): Promise<void> {
    const { work, clock, logger, onDone } = this.#options
    const state = this.#stateOf(key)
    const started = clock.monotonic()
    const waitedMs = started - (state.queuedAt ?? started)
    state.queuedAt = null
    state.isRunning = true
    state.isDirty = false
    let again: number | null
    let result: WorkPass['result'] = 'done'
    try {
      again = (await work(key)).requeueAfterMs
      state.failures = 0
    } catch (error) {
      result = 'failed'
      again = this.#backOff(state.failures)
      state.failures += 1
      const fields = { key, err: error, failures: state.failures, againInMs: again }
      logger.warn(fields, 'a reconcile pass failed')
    }
    state.isRunning = false
    onDone?.({ key, result, waitedMs, tookMs: clock.monotonic() - started })
    this.#goOn(key, state, again)
  }

  #goOn(key: string, state: KeyState, again: number | null): void {
    if (this.#isClosed) return
    if (state.isDirty) {
      this.add(key)
    } else if (again === null) {
      this.#states.delete(key)
    } else {
      state.timer = this.#options.timers.after(again, () => this.add(key))
    }
  }

  /** 1 s, 2 s, 4 s … 5 min, each 20 % more or less. */
  #backOff(failures: number): number {
    const full = Math.min(BACK_OFF_MAX_MS, BACK_OFF_MIN_MS * 2 ** Math.min(failures, 16))
    return Math.round(full * (0.8 + 0.4 * this.#options.random.next()))
  }
}
