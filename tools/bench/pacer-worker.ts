/** The clock of paced loads, on a thread of its own, since timers of an event loop are no finer than a millisecond. */
import { parentPort, workerData } from 'node:worker_threads'

const NEVER = 0

/** `workerData`: the milliseconds between two ticks. */
function run(intervalMs: number): void {
  const cell = new Int32Array(new SharedArrayBuffer(4))
  let next = performance.now() + intervalMs
  for (;;) {
    const wait = next - performance.now()
    if (wait > 0) Atomics.wait(cell, 0, NEVER, wait)
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
    parentPort?.postMessage(null)
    next = Math.max(next + intervalMs, performance.now())
  }
}

run(Number(workerData))
