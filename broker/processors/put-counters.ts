/** Counts what was stored, by topic and in all. The counters of a topic are looked up once and kept with it. */
import { countedName } from '../../common/light-queues.ts'
import type { BrokerStats, MessageType, StatsItem } from '../stats.ts'

/** Some puts of one topic. */
export interface StoredMessages {
  readonly count: number
  readonly puts: number
  /** Of bodies and properties. */
  readonly bytes: number
  readonly type: MessageType
}

export class PutCounters {
  readonly #stats: BrokerStats
  readonly #name: string
  readonly #isSystem: boolean
  #items: { readonly nums: StatsItem; readonly size: StatsItem } | null = null

  constructor(stats: BrokerStats, topic: { readonly name: string; readonly isSystem: boolean }) {
    this.#stats = stats
    this.#name = countedName(topic.name)
    this.#isSystem = topic.isSystem
  }

  count(clusterName: string, { count, puts, bytes, type }: StoredMessages): void {
    const stats = this.#stats
    let items = this.#items
    if (items === null || items.nums.isForgotten || items.size.isForgotten) {
      items = {
        nums: stats.item('TOPIC_PUT_NUMS', this.#name),
        size: stats.item('TOPIC_PUT_SIZE', this.#name),
      }
      this.#items = items
    }
    stats.putTotal += count
    items.nums.add(count, puts)
    items.size.add(bytes, count, type)
    stats.add('BROKER_PUT_NUMS', clusterName, count, puts)
    if (this.#isSystem) return
    stats.add('BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC', clusterName, count, puts)
  }
}
