/** What has become of transactions, by real topic, under the names of RocketMQ 5.x. */
import { BucketCounts } from '../../common/metrics.ts'
import type { MetricLabels, MetricSample, Registry } from '../../common/metrics.ts'

/** Topics that are counted by name. */
const TOPICS_MAX = 10_000
/** The bounds of Java's BrokerMetricsManager, in seconds. */
const FINISH_ENDS_S = [5, 60, 600, 3600, 43_200, 86_400]

export class TransactionStats {
  readonly #committed = new Map<string, number>()
  readonly #rolledBack = new Map<string, number>()
  readonly #latencies = new Map<string, BucketCounts>()

  committed(topic: string, ageMs: number): void {
    count(this.#committed, topic)
    let latencies = this.#latencies.get(topic)
    if (latencies === undefined) {
      if (this.#latencies.size >= TOPICS_MAX) return
      this.#latencies.set(topic, (latencies = new BucketCounts(FINISH_ENDS_S)))
    }
    latencies.add(Math.max(0, ageMs) / 1000, 1)
  }

  rolledBack(topic: string): void {
    count(this.#rolledBack, topic)
  }

  /** Forgets topics that are gone. */
  keep(isThere: (topic: string) => boolean): void {
    for (const counts of [this.#committed, this.#rolledBack, this.#latencies]) {
      for (const topic of counts.keys()) if (!isThere(topic)) counts.delete(topic)
    }
  }

  register(registry: Registry, openByTopic: () => ReadonlyMap<string, number>): void {
    registry.registerSampled({
      name: 'rocketmq_half_messages',
      help: 'Open transactions',
      type: 'gauge',
      samples: () => samplesOf(openByTopic()),
    })
    registry.registerSampled({
      name: 'rocketmq_commit_messages_total',
      help: 'Transactions that were committed',
      type: 'counter',
      samples: () => samplesOf(this.#committed),
    })
    registry.registerSampled({
      name: 'rocketmq_rollback_messages_total',
      help: 'Transactions that were rolled back',
      type: 'counter',
      samples: () => samplesOf(this.#rolledBack),
    })
    const latencies = this.#latencies
    registry.registerSampled({
      name: 'rocketmq_finish_message_latency_milliseconds',
      help: 'Transaction finish latency: from the half message to its commit, in seconds as RocketMQ counts it, whatever the name says',
      type: 'histogram',
      *samples() {
        for (const [topic, counts] of latencies) yield* counts.samples(labelsOf(topic))
      },
    })
  }
}

function count(counts: Map<string, number>, topic: string): void {
  const present = counts.get(topic)
  if (present === undefined && counts.size >= TOPICS_MAX) return
  counts.set(topic, (present ?? 0) + 1)
}

function labelsOf(topic: string): MetricLabels {
  return { topic }
}

function* samplesOf(counts: ReadonlyMap<string, number>): Iterable<MetricSample> {
  let left = TOPICS_MAX
  for (const [topic, value] of counts) {
    if (left-- <= 0) return
    yield { suffix: '', labels: labelsOf(topic), value }
  }
}
