/**
 * A histogram of durations in microseconds: linear below 128, then 64 steps to a doubling, so that a quantile is right within 1.6 %.
 *
 * Recording allocates nothing; two histograms of one run can be added up.
 */

const LINEAR = 128
const STEPS = 64
const STEP_BITS = 6
const MAX_VALUE = 0x7fffffff
const BUCKETS = STEPS * (32 - STEP_BITS)

/** What a run says of its durations, in milliseconds. */
export interface LatencySummary {
  readonly count: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly p9999: number
  readonly max: number
}

export class Histogram {
  readonly #counts = new Float64Array(BUCKETS)
  #count = 0
  #sum = 0
  #max = 0

  get count(): number {
    return this.#count
  }

  /** Durations below 0 count as 0; those over half an hour as half an hour. */
  recordMs(durationMs: number): void {
    const value = Math.min(Math.max(Math.round(durationMs * 1000), 0), MAX_VALUE)
    const index = indexOf(value)
    this.#counts[index] = (this.#counts[index] ?? 0) + 1
    this.#count++
    this.#sum += value
    if (value > this.#max) this.#max = value
  }

  add(other: Histogram): void {
    for (let index = 0; index < BUCKETS; index++) {
      this.#counts[index] = (this.#counts[index] ?? 0) + (other.#counts[index] ?? 0)
    }
    this.#count += other.#count
    this.#sum += other.#sum
    this.#max = Math.max(this.#max, other.#max)
  }

  /** The duration in milliseconds that `share` (0 to 1) of all do not exceed; 0 when there is none. */
  quantileMs(share: number): number {
    const wanted = Math.max(Math.ceil(share * this.#count), 1)
    let seen = 0
    for (let index = 0; index < BUCKETS; index++) {
      seen += this.#counts[index] ?? 0
      if (seen >= wanted) return Math.min(middleOf(index), this.#max) / 1000
    }
    return this.#max / 1000
  }

  summary(): LatencySummary {
    return {
      count: this.#count,
      mean: this.#count === 0 ? 0 : round(this.#sum / this.#count / 1000),
      p50: round(this.quantileMs(0.5)),
      p90: round(this.quantileMs(0.9)),
      p99: round(this.quantileMs(0.99)),
      p999: round(this.quantileMs(0.999)),
      p9999: round(this.quantileMs(0.9999)),
      max: round(this.#max / 1000),
    }
  }
}

function indexOf(value: number): number {
  if (value < LINEAR) return value
  const shift = 31 - Math.clz32(value) - STEP_BITS
  return STEPS * shift + (value >>> shift)
}

/** The middle of a bucket, in microseconds. */
function middleOf(index: number): number {
  if (index < LINEAR) return index
  const shift = Math.floor(index / STEPS) - 1
  return (STEPS + (index % STEPS)) * 2 ** shift + (2 ** shift - 1) / 2
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000
}
