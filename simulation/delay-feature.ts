/** Messages that are to come later, by level or by time: each comes once, and none too early. */
import { PropertyName } from '../common/properties.ts'
import { send } from './sender.ts'
import { earliestAt } from './tolerance.ts'
import type { BrokerClient } from './broker-client.ts'
import type { Feature } from './feature.ts'
import type { WorkloadOptions } from './workload.ts'

/** Of `messageDelayLevel`. */
const LEVELS_MS = [1000, 5000, 10_000] as const
const TIMER_MAX_MS = 15_000
interface Delayed {
  readonly sentMs: number
  readonly delayMs: number
  readonly dueMs: number
  isCommitted: boolean
}

export class DelayFeature implements Feature {
  readonly topic = 'Later'
  readonly counts: Record<string, number> = { acknowledged: 0, delayed: 0 }
  readonly #options: WorkloadOptions
  readonly #messages = new Map<string, Delayed>()
  /** Acknowledged, and not there yet. */
  readonly #waiting = new Set<string>()
  #sequence = 0

  constructor(options: WorkloadOptions) {
    this.#options = options
  }

  async operate(client: BrokerClient): Promise<void> {
    const { random, settings, engine } = this.#options
    const isTimer = random.integer(2) === 0
    const level = random.integer(LEVELS_MS.length)
    const delayMs = isTimer ? 1 + random.integer(TIMER_MAX_MS) : (LEVELS_MS[level] ?? 0)
    const key = `l${this.#sequence++}`
    const dueMs = earliestAt(this.#options, delayMs)
    const message = { sentMs: engine.now, delayMs, dueMs, isCommitted: false }
    this.#messages.set(key, message)
    const answer = await send(client, {
      topic: this.topic,
      queueId: random.integer(2),
      key,
      properties: isTimer
        ? [[PropertyName.TIMER_DELAY_MS, String(delayMs)]]
        : [[PropertyName.DELAY, String(level + 1)]],
      bodyBytes: random.integer(settings.bodyBytes),
    })
    if (answer === null) return
    this.counts['acknowledged'] = (this.counts['acknowledged'] ?? 0) + 1
    if (!message.isCommitted) this.#waiting.add(key)
  }

  committed(key: string): string | null {
    const { engine } = this.#options
    const message = this.#messages.get(key)
    if (message === undefined) return 'nobody sent it'
    message.isCommitted = true
    this.#waiting.delete(key)
    this.counts['delayed'] = (this.counts['delayed'] ?? 0) + 1
    if (engine.now >= message.dueMs) return null
    const { sentMs, delayMs } = message
    const waitedMs = engine.now - sentMs
    return `it comes ${waitedMs} ms after it was sent, with a delay of ${delayMs} ms`
  }

  missing(): string | null {
    for (const key of this.#waiting)
      return `${this.#waiting.size} delayed messages, ${key} among them`
    return null
  }

  checkEnd(): void {
    // What is missing has been waited for.
  }
}
