/** A clock that tests move by hand, and the timers that hang on it. */
import type { Clock, Timer, Timers } from '../common/ports.ts'

interface Pending {
  at: number
  readonly everyMs: number | null
  readonly callback: () => void
}

export interface ManualTime {
  readonly clock: Clock
  readonly timers: Timers
  /** Calls what falls due, in order, each at its own time. */
  advance(ms: number): void
  /** Delays of the one-shot timers that wait, in order. */
  readonly waiting: readonly number[]
}

export function createManualTime(startMs = 1_700_000_000_000): ManualTime {
  let now = 0
  const pending = new Set<Pending>()

  function add(delayMs: number, everyMs: number | null, callback: () => void): Timer {
    const entry = { at: now + delayMs, everyMs, callback }
    pending.add(entry)
    return { cancel: () => pending.delete(entry) }
  }

  function nextDue(limit: number): Pending | null {
    const due = [...pending].filter((entry) => entry.at <= limit)
    return due.sort((left, right) => left.at - right.at)[0] ?? null
  }

  return {
    clock: { now: () => startMs + now, monotonic: () => now },
    timers: {
      after: (delayMs, callback) => add(delayMs, null, callback),
      every: (intervalMs, callback) => add(intervalMs, intervalMs, callback),
      soon: (callback) => queueMicrotask(callback),
    },
    advance(ms) {
      const limit = now + ms
      for (let entry = nextDue(limit); entry !== null; entry = nextDue(limit)) {
        now = entry.at
        if (entry.everyMs === null) pending.delete(entry)
        else entry.at += entry.everyMs
        entry.callback()
      }
      now = limit
    },
    get waiting() {
      const delays = [...pending].filter((entry) => entry.everyMs === null)
      return delays.map((entry) => entry.at - now).sort((left, right) => left - right)
    },
  }
}
