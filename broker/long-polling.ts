/**
 * Pulls that wait for a message (protocol §7.2), by topic and queue.
 *
 * A pull waits until a message that its filter lets through lies at or after its offset, until its time is over, or until a re-check every
 * 5 s finds something. Arrivals are gathered and looked at once per turn of the event loop. A woken pull is asked again by `resume`,
 * which must not park it a second time.
 */
import type { Clock, Timers } from '../common/ports.ts'
import type { Arrival, MessageFilter } from '../store/types.ts'

export const RECHECK_MS = 5000

export interface ParkedPull {
  readonly topic: string
  readonly queueId: number
  readonly queueOffset: number
  /** End of the queue when the pull found nothing. */
  readonly seenMaxOffset: number
  readonly filter: MessageFilter | null
  /** `Clock.monotonic()`. */
  readonly deadline: number
  /** False when nobody waits for the answer any longer: then it is dropped. */
  isWanted(): boolean
  /** Answers the pull with what there is now. */
  resume(): void
}

export interface LongPollingOptions {
  readonly clock: Pick<Clock, 'monotonic'>
  readonly timers: Timers
  readonly maxOffsetInQueue: (topic: string, queueId: number) => number
}

interface Queue {
  readonly topic: string
  readonly queueId: number
  parked: ParkedPull[]
  /** What has arrived since the last turn; its tags decide who is woken. */
  arrivals: Arrival[]
}

export class LongPolling {
  readonly #options: LongPollingOptions
  readonly #topics = new Map<string, Map<number, Queue>>()
  #touched: Queue[] = []
  #isWakeScheduled = false
  #count = 0
  #isOpen = true

  constructor(options: LongPollingOptions) {
    this.#options = options
  }

  get count(): number {
    return this.#count
  }

  /** Holds a pull. A message that arrived since it was asked wakes it in the next turn. */
  park(pull: ParkedPull): void {
    let queues = this.#topics.get(pull.topic)
    if (queues === undefined) this.#topics.set(pull.topic, (queues = new Map<number, Queue>()))
    let queue = queues.get(pull.queueId)
    if (queue === undefined) {
      queue = { topic: pull.topic, queueId: pull.queueId, parked: [], arrivals: [] }
      queues.set(pull.queueId, queue)
    }
    queue.parked.push(pull)
    this.#count++
    // Between the look into the queue and now a message may have come, whose arrival found nobody waiting.
    const maxOffset = this.#options.maxOffsetInQueue(pull.topic, pull.queueId)
    if (maxOffset <= Math.max(pull.queueOffset, pull.seenMaxOffset)) return
    this.#options.timers.soon(() => this.#resumeWhere(queue, (other) => other === pull))
  }

  onArrival(arrival: Arrival): void {
    const queue = this.#topics.get(arrival.topic)?.get(arrival.queueId)
    if (queue === undefined || queue.parked.length === 0) return
    if (queue.arrivals.length === 0) this.#touched.push(queue)
    queue.arrivals.push(arrival)
    if (this.#isWakeScheduled) return
    this.#isWakeScheduled = true
    this.#options.timers.soon(() => this.#wake())
  }

  /** To be called every `RECHECK_MS`: wakes pulls whose queue has moved on or whose time is over, and forgets unwanted ones. */
  recheck(): void {
    const { clock, maxOffsetInQueue } = this.#options
    const now = clock.monotonic()
    for (const [topic, queues] of this.#topics) {
      for (const [queueId, queue] of queues) {
        const maxOffset = maxOffsetInQueue(topic, queueId)
        this.#resumeWhere(queue, (pull) => maxOffset > pull.queueOffset || now >= pull.deadline)
        if (queue.parked.length === 0) queues.delete(queueId)
      }
      if (queues.size === 0) this.#topics.delete(topic)
    }
  }

  /** To be called often (each 100 ms): answers the pulls whose time is over. */
  expire(): void {
    const now = this.#options.clock.monotonic()
    for (const queues of this.#topics.values()) {
      for (const queue of queues.values()) {
        this.#resumeWhere(queue, (pull) => now >= pull.deadline)
      }
    }
  }

  /** False once the broker stops: no pull is held any longer. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Answers all of them. */
  close(): void {
    this.#isOpen = false
    for (const queues of this.#topics.values()) {
      for (const queue of queues.values()) this.#resumeWhere(queue, () => true)
    }
  }

  #wake(): void {
    this.#isWakeScheduled = false
    const touched = this.#touched
    this.#touched = []
    for (const queue of touched) {
      const { arrivals } = queue
      queue.arrivals = []
      this.#resumeWhere(queue, (pull) => arrivals.some((arrival) => concerns(arrival, pull)))
    }
  }

  #resumeWhere(queue: Queue, isDue: (pull: ParkedPull) => boolean): void {
    if (queue.parked.length === 0) return
    const due: ParkedPull[] = []
    const left: ParkedPull[] = []
    for (const pull of queue.parked) {
      if (!pull.isWanted()) continue
      if (isDue(pull)) due.push(pull)
      else left.push(pull)
    }
    this.#count -= queue.parked.length - left.length
    queue.parked = left
    for (const pull of due) pull.resume()
  }
}

function concerns(arrival: Arrival, pull: ParkedPull): boolean {
  if (arrival.queueOffset < pull.queueOffset) return false
  return pull.filter === null || pull.filter.matchesTagsCode(arrival.tagsCode)
}
