/** Helpers of this folder's tests: time that only moves when told to, and a socket without a network. */
import type { Clock, Socket, Timer, Timers } from '../common/ports.ts'

interface Waiting {
  dueAt: number
  readonly intervalMs: number | null
  readonly callback: () => void
}

/** `Clock` and `Timers` in one; `soon` runs with `settle` and `advance`. */
export class ManualTime implements Clock, Timers {
  #now = 0
  readonly #waiting = new Set<Waiting>()
  #soon: (() => void)[] = []

  /** Timers that have not fired or been cancelled. */
  get timerCount(): number {
    return this.#waiting.size
  }

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#now
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.#add({ dueAt: this.#now + delayMs, intervalMs: null, callback })
  }

  every(intervalMs: number, callback: () => void): Timer {
    return this.#add({ dueAt: this.#now + intervalMs, intervalMs, callback })
  }

  soon(callback: () => void): void {
    this.#soon.push(callback)
  }

  settle(): void {
    while (this.#soon.length > 0) for (const callback of this.#soon.splice(0)) callback()
  }

  advance(ms: number): void {
    const end = this.#now + ms
    this.settle()
    for (let next = this.#next(end); next !== null; next = this.#next(end)) {
      this.#now = Math.max(this.#now, next.dueAt)
      if (next.intervalMs === null) this.#waiting.delete(next)
      else next.dueAt += next.intervalMs
      next.callback()
      this.settle()
    }
    this.#now = end
  }

  #add(waiting: Waiting): Timer {
    this.#waiting.add(waiting)
    return { cancel: () => this.#waiting.delete(waiting) }
  }

  #next(end: number): Waiting | null {
    let first: Waiting | null = null
    for (const waiting of this.#waiting) {
      if (waiting.dueAt <= end && (first === null || waiting.dueAt < first.dueAt)) first = waiting
    }
    return first
  }
}

/** Records what is written; takes as much as `capacity` says before it pushes back. */
export class FakeSocket implements Socket {
  readonly remoteHost = '10.0.0.9'
  readonly remotePort = 4711
  readonly localHost = '10.0.0.1'
  readonly localPort = 10911
  readonly writes: Buffer[] = []
  isPaused = false
  isEnded = false
  isDestroyed = false
  /** False: everything stays pending. */
  isTaking = true
  pendingBytes = 0

  write(bytes: Buffer): boolean {
    // What the kernel has taken may be used again by the writer; what is pending may not, and a test would see it.
    this.writes.push(this.isTaking ? Buffer.from(bytes) : bytes)
    if (!this.isTaking) this.pendingBytes += bytes.length
    return this.isTaking
  }

  writeAll(buffers: readonly Buffer[]): boolean {
    return this.write(Buffer.concat(buffers))
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }

  end(): void {
    this.isEnded = true
  }

  destroy(): void {
    this.isDestroyed = true
  }
}
