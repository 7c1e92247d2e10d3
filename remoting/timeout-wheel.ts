/** One coarse wheel for all time-outs of a server or client: a set per slot, one timer in all, none while nothing waits. */
import type { Clock, Timer, Timers } from '../common/ports.ts'

const TICK_MS = 20
const SLOTS = 512

interface Entry {
  readonly dueTick: number
  readonly callback: () => void
}

export class TimeoutWheel {
  readonly #clock: Clock
  readonly #timers: Timers
  readonly #slots: readonly Set<Entry>[] = Array.from({ length: SLOTS }, () => new Set<Entry>())
  #count = 0
  #tick = 0
  #startedAt = 0
  #timer: Timer | null = null

  constructor(clock: Clock, timers: Timers) {
    this.#clock = clock
    this.#timers = timers
  }

  /** Calls `callback` once, at most one tick (20 ms) late and never early. */
  after(delayMs: number, callback: () => void): Timer {
    if (this.#timer === null) this.#start()
    const elapsed = this.#clock.monotonic() - this.#startedAt
    const entry = { dueTick: Math.ceil((elapsed + Math.max(delayMs, 0)) / TICK_MS), callback }
    // A tick that has been handled does not come again.
    const slot = this.#slotOf(Math.max(entry.dueTick, this.#tick + 1))
    slot.add(entry)
    this.#count++
    return {
      cancel: () => {
        if (!slot.delete(entry)) return
        this.#count--
        this.#stopWhenEmpty()
      },
    }
  }

  #start(): void {
    this.#startedAt = this.#clock.monotonic()
    this.#tick = 0
    this.#timer = this.#timers.every(TICK_MS, () => this.#advance())
  }

  #stopWhenEmpty(): void {
    if (this.#count > 0) return
    this.#timer?.cancel()
    this.#timer = null
  }

  #advance(): void {
    const now = Math.floor((this.#clock.monotonic() - this.#startedAt) / TICK_MS)
    const first = Math.max(this.#tick + 1, now - SLOTS + 1)
    this.#tick = now
    for (let tick = first; tick <= now; tick++) {
      const slot = this.#slotOf(tick)
      for (const entry of slot) {
        if (entry.dueTick > now) continue
        slot.delete(entry)
        this.#count--
        entry.callback()
      }
    }
    this.#stopWhenEmpty()
  }

  #slotOf(tick: number): Set<Entry> {
    const slot = this.#slots[tick % SLOTS]
    if (slot === undefined) throw new RangeError(`no slot for tick ${tick}`)
    return slot
  }
}
