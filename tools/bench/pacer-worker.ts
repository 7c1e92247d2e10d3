/** The clock of paced loads, on a thread of its own, since timers of an event loop are no finer than a millisecond. */
import { parentPort, workerData } from 'node:worker_threads'

/** In milliseconds; `startAt` of the epoch. */
export interface Pace {
  readonly startAt: number
  readonly intervalMs: number
}

const NEVER = 0
/** The kernel ends a timed wait so much too late (50 us of slack, and the way back to a processor); what is left is spent looking at the clock. */
const WAKE_UP_MS = 0.07

/** Ticks at `startAt` and at each interval after it; those that are over when their turn comes are left out. */
function run({ startAt, intervalMs }: Pace): void {
  const cell = new Int32Array(new SharedArrayBuffer(4))
  let next = startAt - performance.timeOrigin
  for (;;) {
    const wait = next - WAKE_UP_MS - performance.now()
    if (wait > 0) Atomics.wait(cell, 0, NEVER, wait)
    let now = performance.now()
    while (now < next) now = performance.now()
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
    parentPort?.postMessage(null)
    next += intervalMs * (Math.floor((now - next) / intervalMs) + 1)
  }
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what pacer.ts gives
run(workerData as Pace)
