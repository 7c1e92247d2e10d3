/**
 * Metrics of the broker under the names of RocketMQ 5.x (BrokerMetricsConstant).
 *
 * The hot path counts in `BrokerStats` only; everything here is read when somebody scrapes, sample by sample, so that many topics neither
 * stop the event loop nor leave anything in memory.
 */
import { LanguageCode } from '../remoting/command.ts'
import { registerDelayMetrics } from './delay/metrics.ts'
import { registerLagMetrics } from './lag-metrics.ts'
import { registerPopMetrics } from './pop/pop-metrics.ts'
import { versionName } from '../remoting/version-name.ts'
import { DLQ_PREFIX, RETRY_PREFIX, isSystemGroup } from './names.ts'
import { registerStoreMetrics } from './store-metrics.ts'
import type { MetricLabels, MetricSample, Registry } from '../common/metrics.ts'
import type { BrokerParts } from './parts.ts'
import type { BrokerProcessors } from './processors.ts'
import type { TypedPuts } from './stats.ts'
import type { ConsumerGroup } from './client-registry.ts'

/** Topics or groups of one metric in one scrape; the rest is left out, so that labels stay bounded. */
const SERIES_MAX = 10_000
/** The same for a histogram, which has nine lines for each. */
const HISTOGRAM_SERIES_MAX = 1000

export function registerBrokerMetrics(
  registry: Registry,
  parts: BrokerParts,
  processors: BrokerProcessors,
): void {
  registerGauges(registry, parts, processors)
  registerTraffic(registry, parts)
  registerConnections(registry, parts)
  registerLagMetrics(registry, parts, processors.pops)
  registerPopMetrics(registry, processors.pops)
  registerStoreMetrics(registry, parts)
  registerDelayMetrics(registry, parts, processors)
  const { transactions, timers } = processors
  transactions.stats.register(registry, () => transactions.openByTopic)
  parts.topics.onChange((names) => {
    if (names !== null) return
    const isThere = (topic: string): boolean => parts.topics.get(topic) !== undefined
    transactions.stats.keep(isThere)
    timers.stats.keep(isThere)
  })
  registry.registerMetric(parts.topics.createTimes)
  registry.registerMetric(parts.groups.createTimes)
}

interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
}

function add(registry: Registry, family: Family, samples: () => Iterable<MetricSample>): void {
  registry.registerSampled({ ...family, samples })
}

function single(registry: Registry, name: string, help: string, read: () => number): void {
  add(registry, { name, help, type: 'gauge' }, () => [sampleOf({}, read())])
}

function sampleOf(labels: MetricLabels, value: number): MetricSample {
  return { suffix: '', labels, value }
}

function registerGauges(
  registry: Registry,
  { config, topics, groups, longPolling, stats }: BrokerParts,
  { send, pops, running }: BrokerProcessors,
): void {
  const permission = 'brokerPermission: 6 read and write, 4 read only, 2 write only'
  single(registry, 'rocketmq_broker_permission', permission, () => config.values.brokerPermission)
  single(registry, 'rocketmq_topic_number', 'Topics of this broker', () => topics.all.size)
  single(registry, 'rocketmq_consumer_group_number', 'Consumer groups of this broker', () => {
    return groups.all.size
  })
  const watermark = {
    name: 'rocketmq_processor_watermark',
    help: 'Requests that wait: sends for the store, pulls for a message, acknowledgements for the log, others for whatever they need',
    type: 'gauge',
  } as const
  add(registry, watermark, () => [
    sampleOf({ processor: 'send' }, send.inFlight),
    sampleOf({ processor: 'pull' }, longPolling.count),
    sampleOf({ processor: 'ack' }, pops.recordsUnderWay),
    ...Array.from(running.counts, ([processor, count]) => sampleOf({ processor }, count)),
  ])
  const flowControl = {
    name: 'rocketmq_flow_control_total',
    help: 'Requests that were told to come later, by reason',
    type: 'counter',
  } as const
  add(registry, flowControl, () =>
    Object.entries(stats.flowControl).map(([reason, count]) => sampleOf({ reason }, count)),
  )
  const leftOut = 'Topics, and topics of consumer groups, whose traffic is not shown by name'
  single(registry, 'rocketmq_broker_series_left_out', leftOut, () => {
    return TRAFFIC.reduce((sum, name) => sum + Math.max(0, stats.count(name) - SERIES_MAX), 0)
  })
}

/** One counter each for what came in and what went out. */
const TRAFFIC: readonly string[] = ['TOPIC_PUT_SIZE', 'GROUP_GET_NUMS']

function registerTraffic(registry: Registry, { stats, topics }: BrokerParts): void {
  const counter = (
    name: string,
    help: string,
    counted: string,
    labels: (key: string) => MetricLabels,
  ) =>
    add(registry, { name, help, type: 'counter' }, function* () {
      for (const [key, { sum }] of stats.items(counted, SERIES_MAX))
        yield sampleOf(labels(key), sum)
    })
  const byGroup = (key: string) => {
    const at = key.lastIndexOf('@')
    return groupLabelsOf(topics, key.slice(0, at), key.slice(at + 1))
  }
  const deadLetters = (key: string) => {
    const { topic, consumer_group, is_system } = byGroup(key)
    return { topic, consumer_group, is_system }
  }
  /** What came back, or was given up, did not come in. */
  function* putsByType(limit: number): Iterable<readonly [MetricLabels, TypedPuts]> {
    for (const [topic, { puts }] of stats.items('TOPIC_PUT_SIZE', limit)) {
      if (topic.startsWith(RETRY_PREFIX) || topic.startsWith(DLQ_PREFIX)) continue
      const is_system = String(topics.isSystem(topic))
      for (const each of puts ?? []) yield [{ topic, message_type: each.type, is_system }, each]
    }
  }
  const incoming = (name: string, help: string, counted: 'messages' | 'bytes') =>
    add(registry, { name, help, type: 'counter' }, function* () {
      for (const [labels, puts] of putsByType(SERIES_MAX)) yield sampleOf(labels, puts[counted])
    })
  const sizes = {
    name: 'rocketmq_message_size',
    help: 'Bytes of the messages taken from producers; those of a batch count as equally large',
    type: 'histogram',
  } as const

  incoming('rocketmq_messages_in_total', 'Messages taken from producers', 'messages')
  incoming('rocketmq_throughput_in_total', 'Bytes taken from producers', 'bytes')
  add(registry, sizes, function* () {
    for (const [labels, puts] of putsByType(HISTOGRAM_SERIES_MAX)) {
      yield* puts.sizes.samples(labels)
    }
  })
  const messagesOut = 'Messages given to consumers'
  counter('rocketmq_messages_out_total', messagesOut, 'GROUP_GET_NUMS', byGroup)
  const bytesOut = 'Bytes given to consumers'
  counter('rocketmq_throughput_out_total', bytesOut, 'GROUP_GET_SIZE', byGroup)
  const givenUp = 'Messages given up into dead letter queues'
  counter('rocketmq_send_to_dlq_messages_total', givenUp, 'DLQ_PUT_NUMS', deadLetters)
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
  const producers = {
    name: 'rocketmq_producer_connections',
    help: 'Connected producers',
    type: 'gauge',
  } as const
  add(registry, producers, () => {
    const tally = new Tally()
    for (const group of clients.producerGroups) {
      for (const { language, version } of clients.producers(group) ?? []) {
        tally.count({ ...clientLabels(language, version), protocol_type: 'remoting' })
      }
    }
    return tally.samples()
  })
  const consumers = {
    name: 'rocketmq_consumer_connections',
    help: 'Connected consumers',
    type: 'gauge',
  } as const
  add(registry, consumers, function* () {
    for (const name of clients.consumerGroups.slice(0, SERIES_MAX)) {
      const group = clients.consumerGroup(name)
      if (group !== null) yield* consumerSamples(name, group)
    }
  })
}

/** Counts by labels, which always have the same names in the same order. */
class Tally {
  readonly #counts = new Map<string, { readonly labels: MetricLabels; count: number }>()

  count(labels: MetricLabels): void {
    const key = Object.values(labels).join('\0')
    const known = this.#counts.get(key)
    if (known === undefined) this.#counts.set(key, { labels, count: 1 })
    else known.count++
  }

  *samples(): Iterable<MetricSample> {
    for (const { labels, count } of this.#counts.values()) yield sampleOf(labels, count)
  }
}

function consumerSamples(name: string, group: ConsumerGroup): Iterable<MetricSample> {
  const tally = new Tally()
  for (const { language, version } of group.clients) {
    tally.count({
      consumer_group: name,
      ...clientLabels(language, version),
      consume_mode: group.consumeType === 'CONSUME_ACTIVELY' ? 'pull' : 'push',
      protocol_type: 'remoting',
      is_system: String(isSystemGroup(name)),
    })
  }
  return tally.samples()
}

function clientLabels(language: number, version: number): MetricLabels {
  return {
    language: LANGUAGES.get(language) ?? 'other',
    version: versionName(version).toLowerCase(),
  }
}
