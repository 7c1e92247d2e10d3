/**
 * Pops and notifications that wait for a message, by topic, group and queue.
 *
 * As long as somebody waits for a queue, one parked pull of nobody's tells of its new messages, whatever the number of those who wait.
 */
import { DueWheel } from './due-wheel.ts'
import type { Clock, Timers } from '../../common/ports.ts'
import type { LongPolling, ParkedPull } from '../long-polling.ts'
import type { Store } from '../../store/types.ts'

/** Any queue of the topic. */
export const ANY_QUEUE = -1

export interface Waiter {
  readonly topic: string
  readonly consumerGroup: string
  /** -1: any. */
  readonly queueId: number
  /** `Clock.monotonic()`. */
  readonly deadline: number
  /** The wheel's own. */
  tick: number
  place: number
  isWanted(): boolean
  /** There may be messages for it: it looks again, and may wait again. `read` is called when it has looked: was there more than it took? */
  wake(read: (hasMore: boolean) => void): void
  /** Its time is over. */
  expire(): void
}

export interface PopWaitersOptions {
  readonly longPolling: LongPolling
  readonly store: Pick<Store, 'maxOffsetInQueue'>
  readonly clock: Pick<Clock, 'monotonic'>
  readonly timers: Pick<Timers, 'soon'>
  readonly limits: () => { readonly ofKey: number; readonly ofAll: number }
  /** Queues of a topic that can be read. */
  readonly queuesOf: (topic: string) => number
  /** The retry topics that pops of a group read besides the topic, as far as they exist. */
  readonly retryTopicsOf: (topic: string, consumerGroup: string) => readonly string[]
}

/** Those of one group who wait for one topic. */
interface WaitingGroup {
  readonly topic: string
  readonly consumerGroup: string
  readonly byQueue: Map<number, Set<Waiter>>
  isWaking: boolean
  mustWakeAgain: boolean
}

export class PopWaiters {
  readonly #options: PopWaitersOptions
  readonly #groups = new Map<string, WaitingGroup>()
  /** Which groups are told of messages of a topic, a retry topic included. */
  readonly #byTopic = new Map<string, Set<WaitingGroup>>()
  readonly #sentinels = new Map<string, Map<number, Sentinel>>()
  readonly #wheel: DueWheel<Waiter>

  constructor(options: PopWaitersOptions) {
    this.#options = options
    this.#wheel = new DueWheel(options.clock.monotonic())
  }

  /** How many wait. */
  get size(): number {
    return this.#wheel.size
  }

  count(topic: string, consumerGroup: string, queueId: number): number {
    return this.#groups.get(keyOf(topic, consumerGroup))?.byQueue.get(queueId)?.size ?? 0
  }

  /** False when too many wait already. `isAgain`: it has waited before, and comes first. */
  park(waiter: Waiter, isAgain: boolean): boolean {
    const { limits } = this.#options
    const key = keyOf(waiter.topic, waiter.consumerGroup)
    let group = this.#groups.get(key)
    const present = group?.byQueue.get(waiter.queueId)
    if (!isAgain) {
      const { ofKey, ofAll } = limits()
      if (this.#wheel.size >= ofAll || (present?.size ?? 0) > ofKey) return false
    }
    if (group === undefined) {
      const { topic, consumerGroup } = waiter
      const byQueue = new Map<number, Set<Waiter>>()
      group = { topic, consumerGroup, byQueue, isWaking: false, mustWakeAgain: false }
      this.#groups.set(key, group)
    }
    if (present === undefined) group.byQueue.set(waiter.queueId, new Set([waiter]))
    else if (isAgain) group.byQueue.set(waiter.queueId, new Set([waiter, ...present]))
    else present.add(waiter)
    this.#wheel.add(waiter)
    this.#watch(group, waiter.queueId)
    return true
  }

  /** There may be something for a group: a lock has gone, a message has come back. */
  wake(topic: string, consumerGroup: string): void {
    const group = this.#groups.get(keyOf(topic, consumerGroup))
    if (group === undefined) return
    for (const retryTopic of this.#options.retryTopicsOf(topic, consumerGroup)) {
      this.#watchTopic(group, retryTopic)
    }
    this.#wake(group)
  }

  /** Wakes all of them: what they wait for is known only now. */
  wakeAll(): void {
    for (const group of [...this.#groups.values()]) this.#wake(group)
  }

  /** To be called often: answers those whose time is over. */
  expire(): void {
    for (const waiter of this.#wheel.take(this.#options.clock.monotonic())) {
      this.#remove(waiter)
      if (waiter.isWanted()) waiter.expire()
    }
  }

  /** Answers all of them. */
  close(): void {
    for (const group of [...this.#groups.values()]) {
      for (const waiters of group.byQueue.values()) {
        for (const waiter of [...waiters]) {
          this.#remove(waiter)
          if (waiter.isWanted()) waiter.expire()
        }
      }
    }
  }

  /** New messages lie in a queue: whoever waits for it, or for any queue, looks. */
  #onArrival(topic: string): boolean {
    const groups = this.#byTopic.get(topic)
    if (groups === undefined) return false
    for (const group of [...groups]) this.#wake(group)
    return (this.#byTopic.get(topic)?.size ?? 0) > 0
  }

  #wake(group: WaitingGroup): void {
    if (group.isWaking) {
      group.mustWakeAgain = true
      return
    }
    group.isWaking = true
    const all = [...group.byQueue.values()].flatMap((waiters) => [...waiters])
    this.#wakeNext(group, all, 0)
  }

  /** One after the other, as long as there is more than the last one took. Those for single queues are all asked. */
  #wakeNext(group: WaitingGroup, all: readonly Waiter[], index: number): void {
    const waiter = all[index]
    if (waiter === undefined) return this.#woken(group)
    if (waiter.tick === -1) return this.#wakeNext(group, all, index + 1)
    this.#remove(waiter)
    if (!waiter.isWanted()) return this.#wakeNext(group, all, index + 1)
    waiter.wake((hasMore) => {
      const next = hasMore ? index + 1 : nextOtherQueue(all, index)
      // Each in a turn of its own stack: thousands may wait.
      if (index % STACK_MAX === STACK_MAX - 1) {
        this.#options.timers.soon(() => this.#wakeNext(group, all, next))
      } else {
        this.#wakeNext(group, all, next)
      }
    })
  }

  #woken(group: WaitingGroup): void {
    group.isWaking = false
    const again = group.mustWakeAgain
    group.mustWakeAgain = false
    if (group.byQueue.size === 0) this.#forget(group)
    else if (again) this.#options.timers.soon(() => this.#wake(group))
  }

  #remove(waiter: Waiter): void {
    this.#wheel.remove(waiter)
    const key = keyOf(waiter.topic, waiter.consumerGroup)
    const group = this.#groups.get(key)
    const waiters = group?.byQueue.get(waiter.queueId)
    waiters?.delete(waiter)
    if (group === undefined || waiters?.size !== 0) return
    group.byQueue.delete(waiter.queueId)
    if (group.byQueue.size === 0 && !group.isWaking) this.#forget(group)
  }

  #forget(group: WaitingGroup): void {
    const key = keyOf(group.topic, group.consumerGroup)
    if (this.#groups.get(key) !== group) return
    this.#groups.delete(key)
    for (const [topic, groups] of this.#byTopic) {
      groups.delete(group)
      if (groups.size === 0) this.#byTopic.delete(topic)
    }
  }

  #watch(group: WaitingGroup, queueId: number): void {
    const { queuesOf, retryTopicsOf } = this.#options
    if (queueId === ANY_QUEUE) this.#watchTopic(group, group.topic)
    else this.#watchQueue(group, group.topic, queueId)
    for (const topic of retryTopicsOf(group.topic, group.consumerGroup)) {
      if (queuesOf(topic) > 0) this.#watchTopic(group, topic)
    }
  }

  #watchTopic(group: WaitingGroup, topic: string): void {
    const queues = this.#options.queuesOf(topic)
    for (let queueId = 0; queueId < queues; queueId++) this.#watchQueue(group, topic, queueId)
  }

  #watchQueue(group: WaitingGroup, topic: string, queueId: number): void {
    let groups = this.#byTopic.get(topic)
    if (groups === undefined) this.#byTopic.set(topic, (groups = new Set<WaitingGroup>()))
    groups.add(group)
    let sentinels = this.#sentinels.get(topic)
    if (sentinels === undefined) {
      this.#sentinels.set(topic, (sentinels = new Map<number, Sentinel>()))
    }
    if (sentinels.has(queueId)) return
    const { store, longPolling } = this.#options
    const queueOffset = store.maxOffsetInQueue(topic, queueId)
    const sentinel = new Sentinel(topic, queueId, queueOffset, () => {
      sentinels.delete(queueId)
      if (sentinels.size === 0) this.#sentinels.delete(topic)
      if (this.#onArrival(topic) && longPolling.isOpen) {
        for (const other of this.#byTopic.get(topic) ?? []) {
          this.#watchQueue(other, topic, queueId)
          break
        }
      }
    })
    sentinels.set(queueId, sentinel)
    longPolling.park(sentinel)
  }
}

const STACK_MAX = 64

/** The first waiter after `index` that waits for another queue. */
function nextOtherQueue(all: readonly Waiter[], index: number): number {
  const queueId = all[index]?.queueId
  let next = index + 1
  while (next < all.length && all[next]?.queueId === queueId) next++
  return next
}

/** Stands for all who wait for a queue. */
class Sentinel implements ParkedPull {
  readonly topic: string
  readonly queueId: number
  readonly queueOffset: number
  checkedOffset: number
  readonly filter: null = null
  readonly deadline: number = Infinity
  readonly #onArrival: () => void

  constructor(topic: string, queueId: number, queueOffset: number, onArrival: () => void) {
    this.topic = topic
    this.queueId = queueId
    this.queueOffset = queueOffset
    this.checkedOffset = queueOffset
    this.#onArrival = onArrival
  }

  isWanted(): boolean {
    return true
  }

  resume(): void {
    this.#onArrival()
  }
}

function keyOf(topic: string, consumerGroup: string): string {
  return `${topic}@${consumerGroup}`
}
