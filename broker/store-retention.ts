/** Tells the store what its retention must heed: how far consumer groups have read, and how long topics keep their messages. */
import { levelProgress } from './delay/level-progress.ts'
import { DLQ_PREFIX, SCHEDULE_TOPIC, TIMER_TOPIC, isSystemGroup } from './names.ts'
import type { BrokerConfig } from './config.ts'
import type { ClientRegistry } from './client-registry.ts'
import type { Delays } from './delay/delays.ts'
import type { LevelStore } from './delay/level-progress.ts'
import type { ConsumerOffsets } from './consumer-offsets.ts'
import type { GroupTables } from './group-tables.ts'
import type { TopicTable } from './topics.ts'
import type { Clock, Timers } from '../common/ports.ts'
import type { QueueRange, Retention, SlowestRead, Store } from '../store/types.ts'

/** Who reads the delay levels. */
const PARKED = { topic: SCHEDULE_TOPIC, consumerGroup: 'CID_RMQ_SYS_DELAY' }

/** Queue entries looked up between two turns of the event loop. */
const LOOKUPS_PER_TURN = 256

export interface StoreRetentionParts {
  readonly config: BrokerConfig
  readonly timers: Timers
  readonly tables: Pick<GroupTables, 'savedOffset'>
  readonly topics: TopicTable
  readonly offsets: ConsumerOffsets
  readonly clients: ClientRegistry
  readonly delays: Delays
  readonly clock: Clock
  readonly store: LevelStore & Pick<Store, 'queues' | 'physicalOffsetAt' | 'offsetByTimestamp'>
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
    const groups = this.#groupsByTopic()
    const found: Found = new Map()
    let slowest: SlowestRead | null = null
    let lookups = 0
    for (const range of store.queues()) {
      for (const consumerGroup of groups.get(range.topic) ?? []) {
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
    const parked = this.#oldestParked()
    if (parked === null || (slowest !== null && !isSlower(parked, true, slowest))) return slowest
    return { physicalOffset: parked, ...PARKED, isProtected: true }
  }

  /** Where the oldest message lies that waits for its time; kept whatever the policy for consumers is. */
  #oldestParked(): number | null {
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
    return physicalOffset === null ? oldest : Math.min(oldest ?? Infinity, physicalOffset)
  }

  neededOffset(): number {
    return this.#parts().tables.savedOffset
  }

  readOffset(topic: string, queueId: number): number | null {
    const { offsets } = this.#parts()
    let slowest: number | null = null
    for (const group of offsets.groupsOf(topic)) {
      if (isSystemGroup(group) || !this.#isProtected(group)) continue
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

  #groupsByTopic(): ReadonlyMap<string, readonly string[]> {
    const { offsets } = this.#parts()
    const groups = new Map<string, string[]>()
    for (const [topic, consumerGroup] of offsets.subscriptions()) {
      if (isSystemGroup(consumerGroup) || topic.startsWith(DLQ_PREFIX)) continue
      const known = groups.get(topic)
      if (known === undefined) groups.set(topic, [consumerGroup])
      else known.push(consumerGroup)
    }
    return groups
  }

  #isProtected(consumerGroup: string): boolean {
    const { config, clients } = this.#parts()
    const policy = config.values.protectUnreadMessages
    if (policy === 'NONE') return false
    return policy === 'KNOWN_GROUPS' || clients.consumerGroup(consumerGroup) !== null
  }
}

/** Protected positions come first, then the older one. */
function isSlower(physicalOffset: number, isProtected: boolean, than: SlowestRead): boolean {
  if (isProtected !== than.isProtected) return isProtected
  return physicalOffset < than.physicalOffset
}
