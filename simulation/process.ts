/** One process of a simulated world: its clocks and timers, which stop with it and die with it. */
import type { Clock, Timer, Timers } from '../common/ports.ts'
import type { Engine, EventOwner, SimulatedEvent } from './engine.ts'

export interface ProcessClock {
  /** Wall clock at the beginning of the world. */
  readonly wallMs: number
  /** What the monotonic clock begins with. */
  readonly bootMs: number
  /** How fast its clocks go; 1 is exact. */
  readonly rate: number
}

export class SimulatedProcess implements Clock, Timers, EventOwner {
  readonly id: number
  readonly #engine: Engine
  readonly #clock: ProcessClock
  #isAlive = true
  #isFrozen = false
  #held: SimulatedEvent[] = []
  /** Told when something was thrown that nobody caught. */
  onCrash: (error: unknown) => void = (error) => {
    throw error
  }
  /** What corrections and mistakes have added to the wall clock. */
  wallJumpMs = 0

  constructor(engine: Engine, id: number, clock: ProcessClock) {
    this.#engine = engine
    this.id = id
    this.#clock = clock
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  get isFrozen(): boolean {
    return this.#isFrozen
  }

  now(): number {
    const { wallMs, rate } = this.#clock
    return Math.floor(wallMs + this.#engine.now * rate + this.wallJumpMs)
  }

  monotonic(): number {
    const { bootMs, rate } = this.#clock
    return bootMs + this.#engine.now * rate
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.schedule(Math.max(1, delayMs) / this.#clock.rate, 'timer', callback)
  }

  every(intervalMs: number, callback: () => void): Timer {
    let current: Timer | null = null
    const again = (): void => {
      current = this.after(intervalMs, () => {
        again()
        callback()
      })
    }
    again()
    return { cancel: () => current?.cancel() }
  }

  soon(callback: () => void): void {
    this.schedule(0, 'soon', callback)
  }

  /** In this process, unless it dies before. */
  schedule(delayMs: number, label: string, run: () => void): Timer {
    return this.#engine.schedule(delayMs, this, label, run)
  }

  hold(event: SimulatedEvent): boolean {
    if (this.#isFrozen) this.#held.push(event)
    return this.#isFrozen
  }

  crashed(error: unknown): void {
    this.onCrash(error)
  }

  /** SIGSTOP: nothing of it runs until `thaw`. */
  freeze(): void {
    this.#isFrozen = true
  }

  /** SIGCONT: everything that has become due meanwhile runs, once. */
  thaw(): void {
    this.#isFrozen = false
    const held = this.#held
    this.#held = []
    for (const event of held) this.#engine.release(event)
  }

  /** SIGKILL. */
  kill(): void {
    this.#isAlive = false
    this.#held = []
  }
}
