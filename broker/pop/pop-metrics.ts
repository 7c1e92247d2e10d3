/** Metrics of pops, under RocketMQ's names where it has them (PopMetricsConstant). */
import type { MetricSample, Registry } from '../../common/metrics.ts'
import type { PopService } from './pop-service.ts'

/** Series of one metric in one scrape. */
const SERIES_MAX = 10_000

export function registerPopMetrics(registry: Registry, pops: PopService): void {
  const add = (
    name: string,
    help: string,
    type: 'counter' | 'gauge',
    samples: () => Iterable<MetricSample>,
  ): void => registry.registerSampled({ name, help, type, samples })
  const gauge = (name: string, help: string, read: () => number): void =>
    add(name, help, 'gauge', () => [sampleOf({}, read())])

  gauge('rocketmq_pop_offset_buffer_size', 'Queues of groups whose pops are remembered', () => {
    return countOf(pops.state.queues())
  })
  gauge('rocketmq_pop_checkpoint_buffer_size', 'Pops with messages that are not finished', () => {
    let count = 0
    for (const queue of pops.state.queues()) count += queue.checkpointCount
    return count
  })
  gauge(
    'rocketmq_pop_revive_lag_milliseconds',
    'Pops whose time is over and whose messages have not all come back',
    () => pops.reviver.backlog,
  )
  gauge(
    'rocketmq_pop_revive_latency_milliseconds',
    'Milliseconds after its time at which the last message came back',
    () => pops.reviver.counts.latencyMs,
  )
  gauge('rocketmq_pop_waiting_requests', 'Pops and notifications that wait for a message', () => {
    return pops.waiters.size
  })
  add('rocketmq_pop_revive_log_records', 'Records that a new leader reads', 'gauge', () =>
    pops.reviveLag.map((count, queueId) => sampleOf({ queue_id: String(queueId) }, count)),
  )
  const records = 'Records of pops and of acknowledgements'
  add('rocketmq_pop_revive_in_message_total', records, 'counter', () =>
    Object.entries(pops.records).map(([type, count]) =>
      sampleOf({ revive_message_type: type }, count),
    ),
  )
  const retries = 'Messages that came back, by what became of their copies'
  add('rocketmq_pop_revive_retry_messages_total', retries, 'counter', () =>
    Array.from(pops.reviver.counts.retries, ([status, count]) =>
      sampleOf({ put_status: status }, count),
    ),
  )
  const gone = 'Popped messages that retention deleted before they could come back'
  add('rocketmq_pop_gone_messages_total', gone, 'counter', () => [
    sampleOf({}, pops.reviver.counts.gone),
  ])
  const inFlight = 'Messages that a group has popped and not finished'
  add('rocketmq_consumer_inflight_messages', inFlight, 'gauge', () => inFlightSamples(pops))
}

/** By group and topic; queues together. */
function* inFlightSamples(pops: PopService): Iterable<MetricSample> {
  const counts = new Map<string, { readonly labels: Record<string, string>; count: number }>()
  for (const { topic, consumerGroup, inFlight } of pops.state.queues()) {
    if (inFlight === 0) continue
    const key = `${topic}@${consumerGroup}`
    const present = counts.get(key)
    if (present !== undefined) present.count += inFlight
    else if (counts.size < SERIES_MAX) {
      counts.set(key, { labels: { topic, consumer_group: consumerGroup }, count: inFlight })
    }
  }
  for (const { labels, count } of counts.values()) yield sampleOf(labels, count)
}

function sampleOf(labels: Readonly<Record<string, string>>, value: number): MetricSample {
  return { suffix: '', labels, value }
}

function countOf(items: Iterable<unknown>): number {
  let count = 0
  for (const _ of items) count++
  return count
}
