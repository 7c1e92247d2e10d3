/** Metrics of delayed messages under RocketMQ's names. Timers are counted by the leader, which alone knows which of them wait. */
import { BucketCounts } from '../../common/metrics.ts'
import { TIMER_TOPIC } from '../names.ts'
import { STORAGE_LABELS } from '../store-metrics.ts'
import type { MetricLabels, MetricSample, Registry } from '../../common/metrics.ts'
import type { BrokerParts } from '../parts.ts'
import type { TimerDelivery } from '../timer/timer-delivery.ts'
import type { TopicTimers } from '../timer/timer-stats.ts'
import type { LevelDelivery } from './level-delivery.ts'

/** Milliseconds. */
const LATENESS_ENDS: readonly number[] = [1, 10, 50, 100, 200, 500, 1000, 5000, 60_000]
/** Seconds: 5 s, 1 min, 5 min, 15 min, 1 h, 4 h, 8 h, 1 d (TimerMetrics.timerDist). */
const SNAPSHOT_BOUNDS_S: readonly number[] = [5, 60, 300, 900, 3600, 14_400, 28_800, 86_400]

export function registerDelayMetrics(
  registry: Registry,
  { clock }: Pick<BrokerParts, 'clock'>,
  { levels, timers }: { readonly levels: LevelDelivery; readonly timers: TimerDelivery },
): void {
  const single = (
    name: string,
    type: 'counter' | 'gauge',
    help: string,
    read: () => number | null,
  ): void => {
    const samples = () => {
      const value = read()
      return value === null ? [] : [sampleOf({}, value)]
    }
    registry.registerSampled({ name, type, help, samples })
  }
  const enqueueLate = 'Milliseconds since the first timer message that was not looked at was stored'
  single('rocketmq_timer_enqueue_lag', 'gauge', 'Timer messages not looked at', () => timers.behind)
  single('rocketmq_timer_enqueue_latency_milliseconds', 'gauge', enqueueLate, () => {
    return timers.behindMs
  })
  single('rocketmq_timer_dequeue_lag', 'gauge', 'Timer messages that wait', () => timers.waiting)
  const dequeueLate = 'Milliseconds for which the first timer is due'
  single('rocketmq_timer_dequeue_latency_milliseconds', 'gauge', dequeueLate, () => {
    return Math.max(0, clock.now() - (timers.nextDueTime ?? Infinity))
  })
  single('rocketmq_timer_recalled_total', 'counter', 'Timer messages recalled', () => {
    return timers.stats.recalled
  })
  single('rocketmq_delay_waiting_messages', 'gauge', 'Messages that wait for their level', () => {
    return levels.waiting
  })
  registerTimers(registry, timers)
  const lateness = new BucketCounts(LATENESS_ENDS)
  levels.onDelivered = (lateMs) => lateness.add(lateMs, 1)
  timers.onDelivered = (lateMs) => lateness.add(lateMs, 1)
  registry.registerSampled({
    name: 'rocketmq_delay_lateness_milliseconds',
    help: 'Milliseconds by which delayed messages came late',
    type: 'histogram',
    samples: () => lateness.samples({}),
  })
}

/** By topic. */
function registerTimers(registry: Registry, timers: TimerDelivery): void {
  const counter = (name: string, help: string, counted: 'enqueued' | 'dequeued'): void =>
    registry.registerSampled({
      name,
      help,
      type: 'counter',
      samples: () => samplesOf(timers, (counts) => counts[counted]),
    })
  counter('rocketmq_timer_enqueue_total', 'Timer messages parked', 'enqueued')
  counter('rocketmq_timer_dequeue_total', 'Timer messages delivered', 'dequeued')
  registry.registerSampled({
    name: 'rocketmq_timing_messages',
    help: 'Timer messages that wait; those from before the leader began stand under the topic of all timers',
    type: 'gauge',
    samples: () => waitingSamples(timers),
  })
  registry.registerSampled({
    name: 'rocketmq_timer_message_snapshot',
    help: 'Timer messages that are due within so many seconds, and not within fewer; within a day at most',
    type: 'gauge',
    *samples() {
      const counts = timers.dueWithin(SNAPSHOT_BOUNDS_S.map((bound) => bound * 1000)) ?? []
      for (const [index, count] of counts.entries()) {
        yield sampleOf({ timer_bound_s: String(SNAPSHOT_BOUNDS_S[index]) }, count)
      }
    },
  })
  registry.registerSampled({
    name: 'rocketmq_delay_message_latency_seconds',
    help: 'How far ahead timer messages were to be delivered when they were sent',
    type: 'histogram',
    *samples() {
      for (const [topic, { ahead }] of timers.stats.topics) {
        yield* ahead.samples({ topic, ...STORAGE_LABELS })
      }
    },
  })
}

function* waitingSamples(timers: TimerDelivery): Iterable<MetricSample> {
  if (timers.waiting === null) return
  let others = timers.waiting
  for (const { waiting } of timers.stats.topics.values()) others -= waiting
  yield sampleOf({ topic: TIMER_TOPIC }, Math.max(0, others))
  yield* samplesOf(timers, ({ waiting }) => waiting)
}

function* samplesOf(
  { stats }: TimerDelivery,
  read: (counts: TopicTimers) => number,
): Iterable<MetricSample> {
  for (const [topic, counts] of stats.topics) yield sampleOf({ topic }, read(counts))
}

function sampleOf(labels: MetricLabels, value: number): MetricSample {
  return { suffix: '', labels: { ...labels, ...STORAGE_LABELS }, value }
}
