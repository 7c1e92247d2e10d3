/** Metrics of delayed messages under RocketMQ's names. Timers are counted by the leader, which alone knows which of them wait. */
import { BucketCounts } from '../../common/metrics.ts'
import type { Registry } from '../../common/metrics.ts'
import type { BrokerParts } from '../parts.ts'
import type { TimerDelivery } from '../timer/timer-delivery.ts'
import type { LevelDelivery } from './level-delivery.ts'

/** Milliseconds. */
const LATENESS_ENDS: readonly number[] = [1, 10, 50, 100, 200, 500, 1000, 5000, 60_000]

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
      return value === null ? [] : [{ suffix: '', labels: {}, value }]
    }
    registry.registerSampled({ name, type, help, samples })
  }
  const lateMs = (): number => Math.max(0, clock.now() - (timers.nextDueTime ?? Infinity))
  single('rocketmq_timing_messages', 'gauge', 'Timer messages that wait', () => timers.waiting)
  single('rocketmq_timer_enqueue_lag', 'gauge', 'Timer messages not looked at', () => timers.behind)
  single(
    'rocketmq_timer_dequeue_latency',
    'gauge',
    'Milliseconds for which the first timer is due',
    lateMs,
  )
  single('rocketmq_timer_enqueue_total', 'counter', 'Timer messages parked', () => timers.enqueued)
  single(
    'rocketmq_timer_dequeue_total',
    'counter',
    'Timer messages delivered',
    () => timers.dequeued,
  )
  single(
    'rocketmq_timer_recalled_total',
    'counter',
    'Timer messages recalled',
    () => timers.recalled,
  )
  single(
    'rocketmq_delay_waiting_messages',
    'gauge',
    'Messages that wait for their delay level',
    () => levels.waiting,
  )
  const lateness = new BucketCounts(LATENESS_ENDS)
  levels.onDelivered = (late) => lateness.add(late, 1)
  timers.onDelivered = (late) => lateness.add(late, 1)
  registry.registerSampled({
    name: 'rocketmq_delay_message_latency',
    help: 'Milliseconds by which delayed messages came late',
    type: 'histogram',
    samples: () => lateness.samples({}),
  })
}
