/** Calls per second of the store over the last 10, 60 and 600 s, for GET_BROKER_RUNTIME_INFO. */
import { SAMPLE_MS } from './stats.ts'
import type { Clock } from '../common/ports.ts'
import type { Store, StoreStatus } from '../store/types.ts'

const WINDOWS_MS: readonly number[] = [10_000, 60_000, 600_000]
const SAMPLES_MAX = 600_000 / SAMPLE_MS + 1

type Counter =
  | 'putTimesTotal'
  | 'getFoundTimesTotal'
  | 'getMissTimesTotal'
  | 'getTransferredMessagesTotal'

interface Sample {
  readonly at: number
  readonly status: StoreStatus
}

export class StoreRates {
  readonly #store: Pick<Store, 'status'>
  readonly #clock: Clock
  readonly #samples: Sample[] = []

  constructor(store: Pick<Store, 'status'>, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /** To be called every `SAMPLE_MS`. */
  sample(): void {
    this.#samples.push({ at: this.#clock.monotonic(), status: this.#store.status() })
    if (this.#samples.length > SAMPLES_MAX) this.#samples.shift()
  }

  /** One number for each window, as RocketMQ writes them: separated by blanks. */
  text(...counters: readonly Counter[]): string {
    const now = this.#clock.monotonic()
    const total = (status: StoreStatus) =>
      counters.reduce((sum, counter) => sum + status[counter], 0)
    const present = total(this.#store.status())
    return WINDOWS_MS.map((windowMs) => {
      const from = this.#samples.find((sample) => now - sample.at <= windowMs + SAMPLE_MS / 2)
      if (from === undefined || now <= from.at) return '0.0'
      return String(((present - total(from.status)) * 1000) / (now - from.at))
    }).join(' ')
  }
}
