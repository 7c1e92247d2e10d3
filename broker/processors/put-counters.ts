/** Counts what was stored, by topic and in all. The counters of a topic are looked up once and kept with it. */
import { countedName } from '../../common/light-queues.ts'
import type { BrokerStats, MessageType, StatsItem } from '../stats.ts'

export class PutCounters {
  readonly isSystem: boolean
  readonly #stats: BrokerStats
  readonly #name: string
  #nums: StatsItem | null = null
  #size: StatsItem | null = null

  constructor(stats: BrokerStats, topic: { readonly name: string; readonly isSystem: boolean }) {
    this.#stats = stats
    this.#name = countedName(topic.name)
    this.isSystem = topic.isSystem
  }

  /** Counts messages of the topic, but not those of the broker. `bytes`: of bodies and properties. */
  count(messages: number, puts: number, bytes: number, type: MessageType): void {
    let nums = this.#nums
    let size = this.#size
    if (nums === null || size === null || nums.isForgotten || size.isForgotten) {
      this.#nums = nums = this.#stats.item('TOPIC_PUT_NUMS', this.#name)
      this.#size = size = this.#stats.item('TOPIC_PUT_SIZE', this.#name)
    }
    nums.add(messages, puts)
    size.add(bytes, messages, type)
  }
}

/** Counts messages of all topics of one kind together. */
export function countPutsOfBroker(
  stats: BrokerStats,
  clusterName: string,
  { messages, puts, isSystem }: { messages: number; puts: number; isSystem: boolean },
): void {
  stats.putTotal += messages
  stats.add('BROKER_PUT_NUMS', clusterName, messages, puts)
  if (isSystem) return
  stats.add('BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC', clusterName, messages, puts)
}
