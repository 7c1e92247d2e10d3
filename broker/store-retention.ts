/**
 * Tells the store what its retention must heed: how far consumer groups have read, and how long topics keep their messages.
 *
 * All of it comes from tables in the log, so that each member of a broker group keeps the same: who follows today may lead tomorrow.
 */
import { levelProgress } from './delay/level-progress.ts'
import {
  DLQ_PREFIX,
  HALF_TOPIC,
  RETRY_PREFIX,
  SCHEDULE_TOPIC,
  TIMER_TOPIC,
  TRANSACTION_GROUP,
  isSystemGroup,
} from './names.ts'
import { HALF_QUEUE_ID } from './transaction/half-message.ts'
import type { BrokerConfig } from './config.ts'
import type { ClientRegistry } from './client-registry.ts'
import type { Delays } from './delay/delays.ts'
import type { LevelStore } from './delay/level-progress.ts'
import type { ConsumerOffsets } from './consumer-offsets.ts'
import type { ExpectedConsumers } from './expected-consumers.ts'
import type { GroupTables } from './group-tables.ts'
import type { SubscriptionGroups } from './subscription-groups.ts'
import type { TopicTable } from './topics.ts'
import type { Clock, Timers } from '../common/ports.ts'
import type { QueueRange, Retention, SlowestRead, Store } from '../store/types.ts'

/** Who reads the delay levels and the timers, and who the half messages. */
const PARKED = { topic: SCHEDULE_TOPIC, consumerGroup: 'CID_RMQ_SYS_DELAY', isProtected: true }
const HALVES = { topic: HALF_TOPIC, consumerGroup: TRANSACTION_GROUP, isProtected: true }
/** Between group and topic in the name of a POP retry topic. */
const POP_RETRY_SEPARATOR = /[_+]/g

/** Queue entries looked up between two turns of the event loop. */
const LOOKUPS_PER_TURN = 256

export interface StoreRetentionParts {
  readonly config: BrokerConfig
  readonly timers: Pick<Timers, 'soon'>
  readonly tables: Pick<GroupTables, 'savedOffset'>
  readonly topics: TopicTable
  readonly offsets: ConsumerOffsets
  readonly groups: Pick<SubscriptionGroups, 'get'>
  readonly clients: Pick<ClientRegistry, 'consumerGroup'>
  /** Who consumes, as the log tells. */
  readonly consumers: Pick<ExpectedConsumers, 'hasMembers'>
  readonly delays: Delays
  readonly clock: Clock
  readonly store: LevelStore & Pick<Store, 'queues' | 'physicalOffsetAt' | 'offsetByTimestamp'>
}

/** The groups that have committed offsets. */
interface Readers {
  readonly byTopic: ReadonlyMap<string, readonly string[]>
  readonly names: ReadonlySet<string>
}

type Found = Map<string, { readonly queueOffset: number; readonly physicalOffset: number }>

export class StoreRetention implements Retention {
  readonly #parts: () => StoreRetentionParts
  /** Where a position that was looked up lies in the log, by group, topic and queue, for as long as the group stays there. */
  #found: Found = new Map()

  /** `parts` is called when they are needed: the store is made before them. */
  constructor(parts: () => StoreRetentionParts) {
    this.#parts = parts
  }

  async slowestRead(): Promise<SlowestRead | null> {
    const { store, timers } = this.#parts()
    const readers = this.#readers()
    const found: Found = new Map()
    let slowest: SlowestRead | null = null
    let lookups = 0
    for (const range of store.queues()) {
      for (const consumerGroup of readersOf(range.topic, readers)) {
        const position = this.#positionOf(range, consumerGroup, found)
        if (++lookups % LOOKUPS_PER_TURN === 0) {
          await new Promise<void>((resolve) => timers.soon(resolve))
        }
        if (position === null) continue
        const isProtected = this.#isProtected(consumerGroup)
        if (slowest !== null && !isSlower(position, isProtected, slowest)) continue
        slowest = { physicalOffset: position, topic: range.topic, consumerGroup, isProtected }
      }
    }
    this.#found = found
    for (const kept of [this.#oldestParked(), this.#oldestHalf()]) {
      if (kept === null) continue
      if (slowest === null || isSlower(kept.physicalOffset, true, slowest)) slowest = kept
    }
    return slowest
  }

  /** Where the oldest message lies that waits for its time; kept whatever the policy for consumers is. */
  #oldestParked(): SlowestRead | null {
    const { config, delays, store, clock } = this.#parts()
    let oldest: number | null = null
    for (const queueId of delays.levelsMs.keys()) {
      const next = levelProgress(store, queueId + 1)
      const physicalOffset = store.physicalOffsetAt(SCHEDULE_TOPIC, queueId, next)
      if (physicalOffset !== null) oldest = Math.min(oldest ?? Infinity, physicalOffset)
    }
    // Who does not lead does not know which timers wait: none that came longer ago than they may wait.
    const since = clock.now() - config.values.timerMaxDelaySec * 1000
    const timer =
      delays.timers?.oldestWaiting ?? store.offsetByTimestamp(TIMER_TOPIC, 0, since, 'LOWER')
    const physicalOffset = store.physicalOffsetAt(TIMER_TOPIC, 0, timer)
    if (physicalOffset !== null) oldest = Math.min(oldest ?? Infinity, physicalOffset)
    return oldest === null ? null : { ...PARKED, physicalOffset: oldest }
  }

  /** Where the oldest message of an open transaction lies, which nobody could commit any more without it. */
  #oldestHalf(): SlowestRead | null {
    const { offsets, store } = this.#parts()
    const decided = offsets.query(TRANSACTION_GROUP, HALF_TOPIC, HALF_QUEUE_ID) ?? 0
    const queueOffset = Math.max(decided, store.minOffsetInQueue(HALF_TOPIC, HALF_QUEUE_ID))
    const physicalOffset = store.physicalOffsetAt(HALF_TOPIC, HALF_QUEUE_ID, queueOffset)
    return physicalOffset === null ? null : { ...HALVES, physicalOffset }
  }

  neededOffset(): number {
    return this.#parts().tables.savedOffset
  }

  readOffset(topic: string, queueId: number): number | null {
    const { offsets } = this.#parts()
    let slowest: number | null = null
    for (const group of offsets.groupsOf(topic)) {
      if (!this.#isReader(group) || !this.#isProtected(group)) continue
      const queueOffset = offsets.query(group, topic, queueId) ?? 0
      slowest = slowest === null ? queueOffset : Math.min(slowest, queueOffset)
    }
    return slowest
  }

  reserveHours(topic: string): number | null {
    const text = this.#parts().topics.get(topic)?.attributes.get('reserve.time')
    const hours = text === undefined ? -1 : Number(text)
    return Number.isSafeInteger(hours) && hours > 0 ? hours : null
  }

  /** Physical offset of the first message of a queue that a group has not read; null when it has read all. */
  #positionOf(range: QueueRange, consumerGroup: string, found: Found): number | null {
    const { store, offsets } = this.#parts()
    const { topic, queueId, minOffset, maxOffset } = range
    // Of a queue where a group that reads its topic has committed nothing yet, it has read nothing.
    const committed = offsets.query(consumerGroup, topic, queueId) ?? minOffset
    const queueOffset = Math.max(committed, minOffset)
    if (queueOffset >= maxOffset) return null
    const key = `${consumerGroup}@${topic}@${queueId}`
    const known = this.#found.get(key)
    const physicalOffset =
      known?.queueOffset === queueOffset
        ? known.physicalOffset
        : store.physicalOffsetAt(topic, queueId, queueOffset)
    if (physicalOffset === null) return null
    found.set(key, { queueOffset, physicalOffset })
    return physicalOffset
  }

  #readers(): Readers {
    const { offsets } = this.#parts()
    const byTopic = new Map<string, string[]>()
    const names = new Set<string>()
    for (const [topic, consumerGroup] of offsets.subscriptions()) {
      if (!this.#isReader(consumerGroup) || topic.startsWith(DLQ_PREFIX)) continue
      names.add(consumerGroup)
      const known = byTopic.get(topic)
      if (known === undefined) byTopic.set(topic, [consumerGroup])
      else known.push(consumerGroup)
    }
    return { byTopic, names }
  }

  /** A group that was deleted reads nothing any more, whatever offsets it has left behind. */
  #isReader(consumerGroup: string): boolean {
    return !isSystemGroup(consumerGroup) && this.#parts().groups.get(consumerGroup) !== undefined
  }

  #isProtected(consumerGroup: string): boolean {
    const { config, clients, consumers } = this.#parts()
    const policy = config.values.protectUnreadMessages
    if (policy === 'NONE') return false
    if (policy === 'KNOWN_GROUPS' || consumers.hasMembers(consumerGroup)) return true
    return clients.consumerGroup(consumerGroup) !== null
  }
}

/** Who reads a topic. A group reads its retry topics from their beginning, also before it has committed an offset there. */
function readersOf(topic: string, { byTopic, names }: Readers): readonly string[] {
  const readers = byTopic.get(topic) ?? []
  if (!topic.startsWith(RETRY_PREFIX)) return readers
  const rest = topic.slice(RETRY_PREFIX.length)
  const owners = names.has(rest) ? [rest] : []
  // Of pops: a name may be read in several ways.
  for (const { index } of rest.matchAll(POP_RETRY_SEPARATOR)) {
    const group = rest.slice(0, index)
    if (byTopic.get(rest.slice(index + 1))?.includes(group) === true) owners.push(group)
  }
  return owners.length === 0 ? readers : [...new Set([...readers, ...owners])]
}

/** Protected positions come first, then the older one. */
function isSlower(physicalOffset: number, isProtected: boolean, than: SlowestRead): boolean {
  if (isProtected !== than.isProtected) return isProtected
  return physicalOffset < than.physicalOffset
}
