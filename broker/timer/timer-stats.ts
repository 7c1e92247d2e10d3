/** What has become of timer messages, by real topic, under the names of RocketMQ 5.x (DefaultStoreMetricsManager). */
import { BucketCounts } from '../../common/metrics.ts'
import { PropertyName, propertyOf } from '../../common/properties.ts'
import type { MessageToStore } from '../../common/message.ts'

/** Topics that are counted by name. */
const TOPICS_MAX = 10_000
/** Seconds: 1 min, 10 min, 1 h, 12 h, 1 d, 3 d. */
const AHEAD_ENDS_S: readonly number[] = [60, 600, 3600, 43_200, 86_400, 259_200]

/** Since the start of the process, but for those that wait. */
export interface TopicTimers {
  enqueued: number
  dequeued: number
  /** Taken by this leader, and not delivered or recalled. */
  waiting: number
  /** How far ahead they were to be delivered, in seconds. */
  readonly ahead: BucketCounts
}

export class TimerStats {
  readonly #topics = new Map<string, TopicTimers>()
  recalled: number = 0
  /** Queue offset in the timer topic from which on those that wait are known by topic; null: of none it is known. */
  knownFrom: number | null = null

  get topics(): ReadonlyMap<string, TopicTimers> {
    return this.#topics
  }

  /** A message has been parked as a timer. */
  parked({ properties, bornTimestamp }: MessageToStore, queueOffset: number): void {
    const topic = propertyOf(properties, PropertyName.REAL_TOPIC) ?? ''
    const dueTime = Number(propertyOf(properties, PropertyName.TIMER_OUT_MS))
    const counts = this.#of(topic)
    if (counts === null) return
    counts.enqueued++
    counts.ahead.add(Math.max(0, Math.trunc((dueTime - bornTimestamp) / 1000)), 1)
    if (this.#isKnown(queueOffset)) counts.waiting++
  }

  delivered(topic: string, queueOffset: number): void {
    const counts = this.#of(topic)
    if (counts === null) return
    counts.dequeued++
    this.left(topic, queueOffset)
  }

  /** One that was parked waits no more. */
  left(topic: string, queueOffset: number): void {
    const counts = this.#topics.get(topic)
    if (counts !== undefined && this.#isKnown(queueOffset)) counts.waiting--
  }

  /** Another member led: what waits is found anew, without its topics. */
  forgetWaiting(): void {
    this.knownFrom = null
    for (const counts of this.#topics.values()) counts.waiting = 0
  }

  /** Forgets topics that are gone. */
  keep(isThere: (topic: string) => boolean): void {
    for (const topic of this.#topics.keys()) if (!isThere(topic)) this.#topics.delete(topic)
  }

  #isKnown(queueOffset: number): boolean {
    return this.knownFrom !== null && queueOffset >= this.knownFrom
  }

  #of(topic: string): TopicTimers | null {
    let counts = this.#topics.get(topic)
    if (counts === undefined) {
      if (this.#topics.size >= TOPICS_MAX) return null
      const ahead = new BucketCounts(AHEAD_ENDS_S)
      counts = { enqueued: 0, dequeued: 0, waiting: 0, ahead }
      this.#topics.set(topic, counts)
    }
    return counts
  }
}
