/** What all pulling connections of a run have in common. */
import { Histogram } from './histogram.ts'
import type { SequenceCheck } from './sequence-check.ts'

/** To which the clocks of two processes agree. */
const CLOCK_MS = 1

export class PullTotals {
  messages = 0
  bytes = 0
  /** Messages received while measuring. */
  measured = 0
  isMeasuring = false
  corrupt = 0
  /** Messages that this bench did not send. */
  foreign = 0
  /** Messages whose queue offset did not follow the one before. */
  disordered = 0
  /** Pulls from where nothing is any more. */
  moved = 0
  pulls = 0
  /** Messages that were here before they were due. */
  early = 0
  firstError: string | null = null
  readonly pullLatency: Histogram = new Histogram()
  /** From when a message was due, to be sent or to be delivered, until it was here. */
  readonly endToEnd: Histogram = new Histogram()
  readonly sequences: SequenceCheck | null
  readonly #codes = new Map<number, number>()

  constructor(sequences: SequenceCheck | null) {
    this.sequences = sequences
  }

  get codes(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#codes].map(([code, count]) => [String(code), count]))
  }

  answered(code: number, latencyMs: number): void {
    this.#codes.set(code, (this.#codes.get(code) ?? 0) + 1)
    this.pulls++
    if (this.isMeasuring) this.pullLatency.recordMs(latencyMs)
  }

  received(bytes: number): void {
    this.messages++
    this.bytes += bytes
    if (this.isMeasuring) this.measured++
  }

  arrived(latencyMs: number): void {
    if (latencyMs < -CLOCK_MS) this.early++
    if (this.isMeasuring) this.endToEnd.recordMs(latencyMs)
  }

  fail(reason: string): void {
    this.firstError ??= reason.slice(0, 500)
  }
}
