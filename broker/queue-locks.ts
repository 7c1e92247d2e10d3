/** Which client of a group may consume a queue in order (LOCK_BATCH_MQ); a lock lives 60 s unless its client renews it. */
import type { Clock } from '../common/ports.ts'

/** RocketMQ's `rocketmq.broker.rebalance.lockMaxLiveTime`. */
export const LOCK_LIVE_MS = 60_000

/** A queue as clients name it. */
export interface QueueName {
  readonly topic: string
  readonly brokerName: string
  readonly queueId: number
}

interface Lock {
  clientId: string
  renewedAt: number
}

export class QueueLocks {
  readonly #clock: Pick<Clock, 'monotonic'>
  /** By group, then queue. */
  readonly #groups = new Map<string, Map<string, Lock>>()

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  /** Locks what is free, expired or already the client's own, and returns those queues. */
  lock(
    consumerGroup: string,
    clientId: string,
    queues: readonly QueueName[],
  ): readonly QueueName[] {
    const now = this.#clock.monotonic()
    let locks = this.#groups.get(consumerGroup)
    if (locks === undefined) this.#groups.set(consumerGroup, (locks = new Map<string, Lock>()))
    const locked: QueueName[] = []
    for (const queue of queues) {
      const key = keyOf(queue)
      const lock = locks.get(key)
      if (lock === undefined) {
        locks.set(key, { clientId, renewedAt: now })
      } else if (lock.clientId === clientId || now - lock.renewedAt > LOCK_LIVE_MS) {
        lock.clientId = clientId
        lock.renewedAt = now
      } else {
        continue
      }
      locked.push(queue)
    }
    return locked
  }

  /** Frees those of the queues that the client holds. */
  unlock(consumerGroup: string, clientId: string, queues: readonly QueueName[]): void {
    const locks = this.#groups.get(consumerGroup)
    if (locks === undefined) return
    for (const queue of queues) {
      const key = keyOf(queue)
      if (locks.get(key)?.clientId === clientId) locks.delete(key)
    }
    if (locks.size === 0) this.#groups.delete(consumerGroup)
  }

  /** True when some client of the group holds a lock that has not expired. */
  hasLocks(consumerGroup: string): boolean {
    const now = this.#clock.monotonic()
    const locks = this.#groups.get(consumerGroup)
    if (locks === undefined) return false
    return [...locks.values()].some((lock) => now - lock.renewedAt <= LOCK_LIVE_MS)
  }

  /** Forgets all: another member leads, and gives locks anew. */
  clear(): void {
    this.#groups.clear()
  }

  /** Forgets expired locks, so that names of past queues do not pile up. */
  sweep(): void {
    const now = this.#clock.monotonic()
    for (const [group, locks] of this.#groups) {
      for (const [key, lock] of locks) if (now - lock.renewedAt > LOCK_LIVE_MS) locks.delete(key)
      if (locks.size === 0) this.#groups.delete(group)
    }
  }
}

function keyOf({ topic, brokerName, queueId }: QueueName): string {
  return `${topic}@${brokerName}@${queueId}`
}
