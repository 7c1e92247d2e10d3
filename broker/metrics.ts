/**
 * Metrics of the broker under the names of RocketMQ 5.x (BrokerMetricsConstant).
 *
 * The hot path counts in `BrokerStats` only; everything here is read when somebody scrapes.
 */
import { Counter, Gauge } from '../common/metrics.ts'
import { LanguageCode } from '../remoting/command.ts'
import { DLQ_PREFIX, RETRY_PREFIX, isSystemGroup } from './names.ts'
import type { Registry } from '../common/metrics.ts'
import type { BrokerParts } from './parts.ts'
import type { BrokerProcessors } from './processors.ts'

/** Topics and groups in one scrape; the rest is left out, so that labels stay bounded. */
const SERIES_MAX = 10_000

export function registerBrokerMetrics(
  registry: Registry,
  parts: BrokerParts,
  processors: BrokerProcessors,
): void {
  registerGauges(registry, parts, processors)
  registerTraffic(registry, parts)
  registerConnections(registry, parts)
  registerLag(registry, parts)
  registerStore(registry, parts)
}

interface GaugeOptions<Label extends string> {
  readonly name: string
  readonly help: string
  readonly labelNames?: readonly Label[]
  readonly read: (gauge: Gauge<Label>) => void
}

function gauge<Label extends string = never>(
  registry: Registry,
  options: GaugeOptions<Label>,
): void {
  const { name, help, labelNames = [], read } = options
  const made: Gauge<Label> = new Gauge<Label>({
    name,
    help,
    labelNames: [...labelNames],
    registers: [registry],
    collect() {
      made.reset()
      read(made)
    },
  })
}

/** A counter whose samples are the running totals of `read`. */
function counter<Label extends string>(
  registry: Registry,
  options: {
    readonly name: string
    readonly help: string
    readonly labelNames: readonly Label[]
    readonly read: (made: Counter<Label>) => void
  },
): void {
  const { name, help, labelNames, read } = options
  const made: Counter<Label> = new Counter<Label>({
    name,
    help,
    labelNames: [...labelNames],
    registers: [registry],
    collect() {
      made.reset()
      read(made)
    },
  })
}

function registerGauges(
  registry: Registry,
  { config, topics, groups, longPolling }: BrokerParts,
  { send }: BrokerProcessors,
): void {
  gauge(registry, {
    name: 'rocketmq_broker_permission',
    help: 'brokerPermission: 6 read and write, 4 read only, 2 write only',
    read: (made) => made.set(config.values.brokerPermission),
  })
  gauge(registry, {
    name: 'rocketmq_topic_number',
    help: 'Topics of this broker',
    read: (made) => made.set(topics.all.size),
  })
  gauge(registry, {
    name: 'rocketmq_consumer_group_number',
    help: 'Consumer groups of this broker',
    read: (made) => made.set(groups.all.size),
  })
  gauge(registry, {
    name: 'rocketmq_processor_watermark',
    help: 'Requests that wait: sends for the store, pulls for a message',
    labelNames: ['processor'],
    read: (made) => {
      made.set({ processor: 'send' }, send.inFlight)
      made.set({ processor: 'pull' }, longPolling.count)
    },
  })
}

function registerTraffic(registry: Registry, { stats, topics }: BrokerParts): void {
  const topicLabels = ['topic', 'message_type', 'is_system'] as const
  const groupLabels = ['topic', 'consumer_group', 'is_retry', 'is_system'] as const
  const byTopic = (name: string) => (made: Counter<(typeof topicLabels)[number]>) => {
    for (const [topic, sum] of stats.totals(name, SERIES_MAX)) {
      const labels = { topic, message_type: 'normal', is_system: String(topics.isSystem(topic)) }
      made.inc(labels, sum)
    }
  }
  const byGroup = (name: string) => (made: Counter<(typeof groupLabels)[number]>) => {
    for (const [key, sum] of stats.totals(name, SERIES_MAX)) {
      const at = key.lastIndexOf('@')
      made.inc(groupLabelsOf(topics, key.slice(0, at), key.slice(at + 1)), sum)
    }
  }
  counter(registry, {
    name: 'rocketmq_messages_in_total',
    help: 'Messages taken from producers',
    labelNames: topicLabels,
    read: byTopic('TOPIC_PUT_NUMS'),
  })
  counter(registry, {
    name: 'rocketmq_throughput_in_total',
    help: 'Bytes taken from producers',
    labelNames: topicLabels,
    read: byTopic('TOPIC_PUT_SIZE'),
  })
  counter(registry, {
    name: 'rocketmq_messages_out_total',
    help: 'Messages given to consumers',
    labelNames: groupLabels,
    read: byGroup('GROUP_GET_NUMS'),
  })
  counter(registry, {
    name: 'rocketmq_throughput_out_total',
    help: 'Bytes given to consumers',
    labelNames: groupLabels,
    read: byGroup('GROUP_GET_SIZE'),
  })
  counter(registry, {
    name: 'rocketmq_send_to_dlq_messages_total',
    help: 'Messages given up into dead letter queues',
    labelNames: groupLabels,
    read: (made) => {
      for (const [group, sum] of stats.totals('DLQ_PUT_NUMS', SERIES_MAX)) {
        made.inc(groupLabelsOf(topics, DLQ_PREFIX + group, group), sum)
      }
    },
  })
}

function groupLabelsOf(
  topics: BrokerParts['topics'],
  topic: string,
  group: string,
): Readonly<Record<'topic' | 'consumer_group' | 'is_retry' | 'is_system', string>> {
  return {
    topic,
    consumer_group: group,
    is_retry: String(topic.startsWith(RETRY_PREFIX)),
    is_system: String(topics.isSystem(topic) || isSystemGroup(group)),
  }
}

const LANGUAGES: ReadonlyMap<number, string> = new Map(
  Object.entries(LanguageCode).map(([name, code]) => [code, name.toLowerCase()]),
)

function registerConnections(registry: Registry, { clients }: BrokerParts): void {
  gauge(registry, {
    name: 'rocketmq_producer_connections',
    help: 'Connected producers',
    labelNames: ['language', 'version', 'protocol_type'],
    read: (made) => {
      for (const group of clients.producerGroups) {
        for (const { language, version } of clients.producers(group) ?? []) {
          made.inc({
            language: LANGUAGES.get(language) ?? 'other',
            version: String(version),
            protocol_type: 'remoting',
          })
        }
      }
    },
  })
  gauge(registry, {
    name: 'rocketmq_consumer_connections',
    help: 'Connected consumers',
    labelNames: [
      'consumer_group',
      'language',
      'version',
      'consume_mode',
      'protocol_type',
      'is_system',
    ],
    read: (made) => {
      for (const name of clients.consumerGroups.slice(0, SERIES_MAX)) {
        const group = clients.consumerGroup(name)
        for (const { language, version } of group?.clients ?? []) {
          made.inc({
            consumer_group: name,
            language: LANGUAGES.get(language) ?? 'other',
            version: String(version),
            consume_mode: group?.consumeType === 'CONSUME_ACTIVELY' ? 'pull' : 'push',
            protocol_type: 'remoting',
            is_system: String(isSystemGroup(name)),
          })
        }
      }
    },
  })
}

/** Of the groups that are connected: what nobody asks for is not behind. */
function registerLag(
  registry: Registry,
  { clients, offsets, store, topics, clock }: BrokerParts,
): void {
  const labelNames = ['topic', 'consumer_group', 'is_retry', 'is_system'] as const
  const eachQueue = (visit: (at: { group: string; topic: string; queueId: number }) => void) => {
    for (const group of clients.consumerGroups.slice(0, SERIES_MAX)) {
      if (clients.messageModel(group) === 'BROADCASTING') continue
      for (const topic of clients.consumerGroup(group)?.subscriptions.keys() ?? []) {
        const queueCount = topics.get(topic)?.readQueueNums ?? 0
        for (let queueId = 0; queueId < queueCount; queueId++) visit({ group, topic, queueId })
      }
    }
  }
  const behind = (group: string, topic: string, queueId: number) => {
    const min = store.minOffsetInQueue(topic, queueId)
    const next = Math.max(min, offsets.query(group, topic, queueId) ?? min)
    return { next, messages: Math.max(0, store.maxOffsetInQueue(topic, queueId) - next) }
  }
  gauge(registry, {
    name: 'rocketmq_consumer_lag_messages',
    help: 'Messages that a connected group has not committed',
    labelNames,
    read: (made) =>
      eachQueue(({ group, topic, queueId }) =>
        made.inc(groupLabelsOf(topics, topic, group), behind(group, topic, queueId).messages),
      ),
  })
  gauge(registry, {
    name: 'rocketmq_consumer_lag_latency',
    help: 'Age of the oldest message that a connected group has not committed, in milliseconds',
    labelNames,
    read: (made) => {
      const worst = new Map<
        string,
        { readonly labels: ReturnType<typeof groupLabelsOf>; age: number }
      >()
      eachQueue(({ group, topic, queueId }) => {
        const { next, messages } = behind(group, topic, queueId)
        const storedAt = messages > 0 ? store.storeTimestampAt(topic, queueId, next) : null
        const age = storedAt === null ? 0 : Math.max(0, clock.now() - storedAt)
        const key = `${topic}@${group}`
        const entry = worst.get(key) ?? { labels: groupLabelsOf(topics, topic, group), age: 0 }
        entry.age = Math.max(entry.age, age)
        worst.set(key, entry)
      })
      for (const { labels, age } of worst.values()) made.set(labels, age)
    },
  })
}

function registerStore(registry: Registry, { store, clock }: BrokerParts): void {
  const labelNames = ['storage_type', 'storage_medium'] as const
  const labels = { storage_type: 'local', storage_medium: 'disk' }
  const storeGauge = (name: string, help: string, read: () => number) =>
    gauge(registry, { name, help, labelNames, read: (made) => made.set(labels, read()) })
  storeGauge('rocketmq_storage_size', 'Bytes of the CommitLog', () => store.status().commitLogBytes)
  storeGauge(
    'rocketmq_storage_flush_behind_bytes',
    'Bytes written but not flushed',
    () => store.status().flushBehindBytes,
  )
  storeGauge(
    'rocketmq_storage_dispatch_behind_bytes',
    'Bytes not yet dispatched to queues and index',
    () => store.status().dispatchBehindBytes,
  )
  storeGauge(
    'rocketmq_storage_message_reserve_time',
    'Age of the oldest message in milliseconds',
    () => {
      const oldest = store.status().earliestMessageTimestamp
      return oldest === null ? 0 : Math.max(0, clock.now() - oldest)
    },
  )
}
