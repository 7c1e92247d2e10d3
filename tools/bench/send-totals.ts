/** What all sending connections of a run have in common: how much is left to send, and what came back. */
import { Histogram } from './histogram.ts'
import { ResponseCode } from '../../remoting/response-code.ts'

export class SendTotals {
  /** Messages, of the whole run. */
  sent = 0
  acknowledged = 0
  unanswered = 0
  refused = 0
  /** Messages acknowledged while measuring. */
  measured = 0
  isMeasuring = false
  firstError: string | null = null
  readonly latency: Histogram = new Histogram()
  /** How late the generator itself was, when it is paced. */
  readonly lag: Histogram = new Histogram()
  readonly #codes = new Map<number, number>()
  /** Messages that may still be sent. */
  #left: number

  /** `messages` 0: no limit. */
  constructor(messages: number) {
    this.#left = messages === 0 ? Number.MAX_SAFE_INTEGER : messages
  }

  /** Answers by response code, in requests. */
  get codes(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#codes].map(([code, count]) => [String(code), count]))
  }

  get isExhausted(): boolean {
    return this.#left <= 0
  }

  /** How many of `wanted` requests may be sent, and takes them. */
  take(wanted: number, batch: number): number {
    const count = Math.min(wanted, Math.ceil(this.#left / batch))
    this.#left -= count * batch
    return count
  }

  answered(code: number, messages: number, latencyMs: number): void {
    this.#codes.set(code, (this.#codes.get(code) ?? 0) + 1)
    if (code !== ResponseCode.SUCCESS) {
      this.refused += messages
      return
    }
    this.acknowledged += messages
    if (!this.isMeasuring) return
    this.measured += messages
    this.latency.recordMs(latencyMs)
  }

  noteLag(lagMs: number): void {
    if (this.isMeasuring) this.lag.recordMs(lagMs)
  }

  fail(reason: string): void {
    this.firstError ??= reason.slice(0, 500)
  }
}
