/** Virtual time: a clock that stands still until a test advances it, and the timers that go by it. */
import type { Clock, Timer, Timers } from '../common/ports.ts'

interface Scheduled {
  at: number
  order: number
  readonly intervalMs: number | null
  readonly callback: () => void
}

export class SimulatedTime implements Clock, Timers {
  #wall: number
  #monotonic = 0
  #order = 0
  #timers: Scheduled[] = []
  #soon: (() => void)[] = []

  constructor(startMs: number = Date.UTC(2026, 0, 1)) {
    this.#wall = startMs
  }

  now(): number {
    return Math.floor(this.#wall)
  }

  monotonic(): number {
    return this.#monotonic
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.#schedule(delayMs, null, callback)
  }

  every(intervalMs: number, callback: () => void): Timer {
    return this.#schedule(intervalMs, Math.max(1, intervalMs), callback)
  }

  soon(callback: () => void): void {
    this.#soon.push(callback)
  }

  /** Drops everything scheduled: the process that wanted it is dead. */
  killProcess(): void {
    this.#timers = []
    this.#soon = []
  }

  /** Lets time pass without running a timer, each of which is then due once: the process was stopped, or the machine slept. */
  freeze(byMs: number): void {
    this.#moveTo(this.#monotonic + byMs)
    for (const timer of this.#timers) timer.at = Math.max(timer.at, this.#monotonic)
  }

  /** Moves the wall clock alone, as a correction of the time would. */
  jumpWall(byMs: number): void {
    this.#wall += byMs
  }

  /** Runs what waits for the end of the turn, and what that adds; a bound stops an endless ping-pong. */
  runSoon(): void {
    for (let round = 0; round < 100_000 && this.#soon.length > 0; round++) {
      const due = this.#soon
      this.#soon = []
      for (const callback of due) callback()
    }
  }

  /** Lets time pass, running timers in order; promises settle between them. */
  async advance(byMs: number): Promise<void> {
    const end = this.#monotonic + byMs
    await this.settle()
    for (let next = this.#nextDue(end); next !== null; next = this.#nextDue(end)) {
      this.#moveTo(next.at)
      if (next.intervalMs === null) {
        this.#timers = this.#timers.filter((timer) => timer !== next)
      } else {
        next.at += next.intervalMs
        next.order = this.#order++
      }
      next.callback()
      await this.settle()
    }
    this.#moveTo(end)
  }

  /** Runs turn ends and promise callbacks until nothing moves. */
  async settle(): Promise<void> {
    for (let idle = 0; idle < 3; idle++) {
      if (this.#soon.length > 0) idle = 0
      this.runSoon()
      for (let microturn = 0; microturn < 20; microturn++) await Promise.resolve()
    }
  }

  #schedule(delayMs: number, intervalMs: number | null, callback: () => void): Timer {
    const at = this.#monotonic + Math.max(0, delayMs)
    const timer: Scheduled = { at, order: this.#order++, intervalMs, callback }
    this.#timers.push(timer)
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer)
      },
    }
  }

  #nextDue(end: number): Scheduled | null {
    let next: Scheduled | null = null
    for (const timer of this.#timers) {
      if (timer.at > end) continue
      if (
        next === null ||
        timer.at < next.at ||
        (timer.at === next.at && timer.order < next.order)
      ) {
        next = timer
      }
    }
    return next
  }

  #moveTo(at: number): void {
    this.#wall += at - this.#monotonic
    this.#monotonic = at
  }
}
