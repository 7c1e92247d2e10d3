/**
 * Pulls that wait for a message (protocol §7.2), by topic and queue.
 *
 * A pull waits until a message that its filter lets through lies at or after its offset, until its time is over, or until a re-check every
 * 5 s finds that its queue has moved on. The store tells of a queue with waiters once for all messages that became readable together, in
 * that very turn: the answers leave with the acknowledgements of the senders. Queues without waiters are not watched and cost nothing.
 * A woken pull is asked again by `resume`, which must not park it a second time.
 */
import type { Clock, Timers } from '../common/ports.ts'
import type { MessageFilter, QueueWatcher, Store } from '../store/types.ts'

export const RECHECK_MS = 5000

export interface ParkedPull {
  readonly topic: string
  readonly queueId: number
  readonly queueOffset: number
  /** Up to here no message lets the pull go on; at first the end of the queue when the pull found nothing. Moved on by `LongPolling`. */
  checkedOffset: number
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
  readonly store: Pick<Store, 'maxOffsetInQueue' | 'watch' | 'hasMatch'>
}

export class LongPolling {
  readonly #options: LongPollingOptions
  readonly #topics = new Map<string, Map<number, WaitingQueue>>()
  #count = 0
  #isOpen = true

  constructor(options: LongPollingOptions) {
    this.#options = options
  }

  get count(): number {
    return this.#count
  }

  /** False once the broker stops: no pull is held any longer. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Holds a pull. A message that arrived since it was asked wakes it in the next turn. */
  park(pull: ParkedPull): void {
    const { store, timers } = this.#options
    const queue = this.#queue(pull.topic, pull.queueId)
    if (queue.parked.length === 0) store.watch(pull.topic, pull.queueId, queue)
    queue.parked.push(pull)
    this.#count++
    // Between the look into the queue and now a message may have come, of which nobody was told.
    const maxOffset = store.maxOffsetInQueue(pull.topic, pull.queueId)
    if (maxOffset > Math.max(pull.queueOffset, pull.checkedOffset)) {
      timers.soon(() => this.#resumeWhere(queue, (other) => other === pull))
    }
  }

  /** To be called every `RECHECK_MS`: wakes pulls whose queue has moved on or whose time is over, and forgets unwanted ones. */
  recheck(): void {
    const { clock, store } = this.#options
    const now = clock.monotonic()
    for (const [topic, queues] of this.#topics) {
      for (const [queueId, queue] of queues) {
        const maxOffset = store.maxOffsetInQueue(topic, queueId)
        this.#resumeWhere(queue, (pull) => maxOffset > pull.queueOffset || now >= pull.deadline)
        if (queue.parked.length === 0) queues.delete(queueId)
      }
      if (queues.size === 0) this.#topics.delete(topic)
    }
  }

  /** To be called often (each 200 ms): answers the pulls whose time is over. */
  expire(): void {
    const now = this.#options.clock.monotonic()
    for (const queues of this.#topics.values()) {
      for (const queue of queues.values()) {
        this.#resumeWhere(queue, (pull) => now >= pull.deadline)
      }
    }
  }

  /** Pulls are held again. */
  open(): void {
    this.#isOpen = true
  }

  /** Answers all of them, and holds no more. */
  close(): void {
    this.#isOpen = false
    for (const queues of this.#topics.values()) {
      for (const queue of queues.values()) this.#resumeWhere(queue, () => true)
    }
  }

  #queue(topic: string, queueId: number): WaitingQueue {
    let queues = this.#topics.get(topic)
    if (queues === undefined) this.#topics.set(topic, (queues = new Map<number, WaitingQueue>()))
    let queue = queues.get(queueId)
    if (queue === undefined) {
      queue = new WaitingQueue(topic, queueId, (arrived) => this.#onArrived(arrived))
      queues.set(queueId, queue)
    }
    return queue
  }

  #onArrived(queue: WaitingQueue): void {
    const { store } = this.#options
    const maxOffset = store.maxOffsetInQueue(queue.topic, queue.queueId)
    this.#resumeWhere(queue, (pull) => {
      const from = Math.max(pull.queueOffset, pull.checkedOffset)
      if (from >= maxOffset) return false
      pull.checkedOffset = maxOffset
      return pull.filter === null || store.hasMatch(queue.topic, queue.queueId, from, pull.filter)
    })
  }

  #resumeWhere(queue: WaitingQueue, isDue: (pull: ParkedPull) => boolean): void {
    const { parked } = queue
    if (parked.length === 0) return
    const due: ParkedPull[] = []
    let left = 0
    for (const pull of parked) {
      if (!pull.isWanted()) continue
      if (isDue(pull)) due.push(pull)
      else parked[left++] = pull
    }
    this.#count -= parked.length - left
    parked.length = left
    if (left === 0) this.#options.store.watch(queue.topic, queue.queueId, null)
    for (const pull of due) pull.resume()
  }
}

/** The pulls that wait for messages of one queue, in the order in which they came. */
class WaitingQueue implements QueueWatcher {
  readonly topic: string
  readonly queueId: number
  readonly parked: ParkedPull[] = []
  readonly #onArrived: (queue: WaitingQueue) => void

  constructor(topic: string, queueId: number, onArrived: (queue: WaitingQueue) => void) {
    this.topic = topic
    this.queueId = queueId
    this.#onArrived = onArrived
  }

  arrived(): void {
    this.#onArrived(this)
  }
}
