/** Calls back at a steady pace finer than an event loop's timers. */
import { Worker } from 'node:worker_threads'

/** More ticks a second would cost more than they tell. */
const MIN_INTERVAL_MS = 0.1

/** Ticks until it is closed; a tick that comes late does not come twice, the callback looks at the clock. */
export class Pacer {
  readonly #worker: Worker

  constructor(ticksPerSecond: number, onTick: () => void) {
    const intervalMs = Math.max(1000 / ticksPerSecond, MIN_INTERVAL_MS)
    this.#worker = new Worker(new URL('./pacer-worker.ts', import.meta.url), {
      workerData: intervalMs,
    })
    this.#worker.on('message', onTick)
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }
}
