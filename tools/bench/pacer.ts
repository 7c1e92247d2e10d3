/** Calls back at a steady pace finer than an event loop's timers. */
import { Worker } from 'node:worker_threads'
import type { Pace } from './pacer-worker.ts'
import { epochOf } from './time.ts'

/** More ticks a second would cost more than they tell. */
const MIN_INTERVAL_MS = 0.1

/** Ticks until it is closed; a tick that comes late does not come twice, the callback looks at the clock. */
export class Pacer {
  readonly #worker: Worker

  /** The first tick is at `startAt`, in milliseconds of `performance.now()`, or at a whole number of intervals after it. */
  constructor(ticksPerSecond: number, startAt: number, onTick: () => void) {
    const intervalMs = Math.max(1000 / ticksPerSecond, MIN_INTERVAL_MS)
    const pace: Pace = { startAt: epochOf(startAt), intervalMs }
    this.#worker = new Worker(new URL('./pacer-worker.ts', import.meta.url), { workerData: pace })
    this.#worker.on('message', onTick)
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }
}
