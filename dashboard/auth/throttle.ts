/** Slows down who guesses passwords: after some failures in a quarter of an hour a name, or an address, has to wait. */
import type { Clock } from '../../common/ports.ts'

const WINDOW_MS = 15 * 60_000
const FAILURES_MAX = 10
const KEYS_MAX = 10_000

interface Failures {
  count: number
  firstAt: number
}

export class LoginThrottle {
  readonly #clock: Clock
  readonly #failures = new Map<string, Failures>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Milliseconds that this one has to wait; 0: may try. */
  waitMs(key: string): number {
    const found = this.#failures.get(key)
    if (found === undefined) return 0
    const left = found.firstAt + WINDOW_MS - this.#clock.monotonic()
    if (left <= 0) {
      this.#failures.delete(key)
      return 0
    }
    return found.count >= FAILURES_MAX ? left : 0
  }

  failed(key: string): void {
    this.waitMs(key)
    const found = this.#failures.get(key)
    if (found !== undefined) {
      found.count++
      return
    }
    if (this.#failures.size >= KEYS_MAX) {
      const [oldest] = this.#failures.keys()
      if (oldest !== undefined) this.#failures.delete(oldest)
    }
    this.#failures.set(key, { count: 1, firstAt: this.#clock.monotonic() })
  }

  succeeded(key: string): void {
    this.#failures.delete(key)
  }
}
