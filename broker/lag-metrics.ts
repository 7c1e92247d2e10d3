/** How far consumer groups are, under RocketMQ's names: of those that are connected, as nobody asks for what the others lack. */
import { RETRY_PREFIX, isSystemGroup } from './names.ts'
import { normalTopicOf } from './pop/receipt.ts'
import type { MetricLabels, MetricSample, Registry } from '../common/metrics.ts'
import type { BrokerParts } from './parts.ts'
import type { PopService } from './pop/pop-service.ts'

/** Groups and topics of one metric in one scrape. */
const SERIES_MAX = 10_000

interface Pair {
  readonly group: string
  readonly topic: string
}

interface QueuePosition {
  readonly queueId: number
  /** The first message that the group has not finished. */
  readonly next: number
  /** The first one that it has not been given. */
  readonly given: number
  readonly end: number
  readonly inFlight: number
}

export function registerLagMetrics(
  registry: Registry,
  parts: BrokerParts,
  pops: Pick<PopService, 'state'>,
): void {
  const gauge = (
    name: string,
    help: string,
    pairs: () => Iterable<Pair>,
    read: (pair: Pair, queues: Iterable<QueuePosition>) => number,
  ): void => {
    registry.registerSampled({
      name,
      help,
      type: 'gauge',
      *samples(): Iterable<MetricSample> {
        for (const pair of pairs()) {
          const value = read(pair, queuesOf(parts, pops, pair))
          yield { suffix: '', labels: labelsOf(parts, pair), value }
        }
      },
    })
  }
  const oldest = (
    { topic }: Pair,
    queues: Iterable<QueuePosition>,
    offsetOf: (queue: QueuePosition) => number,
  ): number => {
    let age = 0
    for (const queue of queues) {
      const queueOffset = offsetOf(queue)
      if (queueOffset >= queue.end) continue
      const storedAt = parts.store.storeTimestampAt(topic, queue.queueId, queueOffset)
      if (storedAt !== null) age = Math.max(age, parts.clock.now() - storedAt)
    }
    return age
  }
  const connected = (): Iterable<Pair> => subscribed(parts)
  const all = (): Iterable<Pair> => subscribedAndPopped(parts, pops)
  const lag = 'Messages that a connected group has not committed'
  gauge('rocketmq_consumer_lag_messages', lag, connected, (_, queues) =>
    sumOf(queues, ({ end, next }) => end - next),
  )
  const age = 'Age of the oldest message that a connected group has not committed, in milliseconds'
  gauge('rocketmq_consumer_lag_latency_milliseconds', age, connected, (pair, queues) =>
    oldest(pair, queues, ({ next }) => next),
  )
  const inFlight = 'Messages that a group was given and has not committed or finished'
  gauge('rocketmq_consumer_inflight_messages', inFlight, all, (_, queues) =>
    sumOf(queues, (queue) => queue.inFlight),
  )
  const ready = 'Messages that a group has not been given'
  gauge('rocketmq_consumer_ready_messages', ready, all, (_, queues) =>
    sumOf(queues, ({ end, given }) => end - given),
  )
  const queueing = 'Age of the oldest message that a group has not been given, in milliseconds'
  gauge('rocketmq_consumer_queueing_latency_milliseconds', queueing, all, (pair, queues) =>
    oldest(pair, queues, ({ given }) => given),
  )
}

function sumOf(queues: Iterable<QueuePosition>, countOf: (queue: QueuePosition) => number): number {
  let sum = 0
  for (const queue of queues) sum += countOf(queue)
  return sum
}

/** Pops have retry topics of their own for each topic. */
function labelsOf({ topics }: BrokerParts, { group, topic }: Pair): MetricLabels {
  const isSystem = topics.isSystem(topic) || isSystemGroup(group)
  return {
    topic: normalTopicOf(topic, group),
    consumer_group: group,
    is_retry: String(topic.startsWith(RETRY_PREFIX)),
    is_system: String(isSystem),
  }
}

function* subscribed({ clients, topics }: BrokerParts): Iterable<Pair> {
  let left = SERIES_MAX
  for (const group of clients.consumerGroups) {
    if (clients.messageModel(group) === 'BROADCASTING') continue
    for (const topic of clients.consumerGroup(group)?.subscriptions.keys() ?? []) {
      if (!topics.all.has(topic)) continue
      if (left-- <= 0) return
      yield { group, topic }
    }
  }
}

/** Besides those that are subscribed: what has been popped by whomever. */
function* subscribedAndPopped(
  parts: BrokerParts,
  { state }: Pick<PopService, 'state'>,
): Iterable<Pair> {
  const seen = new Set<string>()
  for (const pair of subscribed(parts)) {
    seen.add(`${pair.topic}@${pair.group}`)
    yield pair
  }
  for (const { topic, consumerGroup: group } of state.queues()) {
    const key = `${topic}@${group}`
    if (seen.has(key) || !parts.topics.all.has(topic)) continue
    if (seen.size >= SERIES_MAX) return
    seen.add(key)
    yield { group, topic }
  }
}

function* queuesOf(
  { store, offsets, topics }: BrokerParts,
  { state }: Pick<PopService, 'state'>,
  { group, topic }: Pair,
): Iterable<QueuePosition> {
  const queueCount = topics.get(topic)?.readQueueNums ?? 0
  for (let queueId = 0; queueId < queueCount; queueId++) {
    const min = store.minOffsetInQueue(topic, queueId)
    const next = Math.max(min, offsets.query(group, topic, queueId) ?? min)
    const end = Math.max(next, store.maxOffsetInQueue(topic, queueId))
    const popped = state.find({ topic, consumerGroup: group, queueId })
    const reached = popped?.cursor ?? offsets.pulled(group, topic, queueId) ?? next
    const given = Math.min(end, Math.max(next, reached))
    const inFlight = popped?.inFlight ?? given - next
    yield { queueId, next, given, end, inFlight }
  }
}
