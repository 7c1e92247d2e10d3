/** Metrics of pops, under RocketMQ's names where it has them (PopMetricsConstant). */
import { PutStatus } from '../../store/types.ts'
import { REVIVE_TYPES } from './revive-counts.ts'
import type { MetricLabels, MetricSample, Registry } from '../../common/metrics.ts'
import type { GroupTally, NamedCount, ReviveType } from './revive-counts.ts'
import type { PopService } from './pop-service.ts'

/** Series of one metric in one scrape. */
const SERIES_MAX = 10_000

export function registerPopMetrics(registry: Registry, pops: PopService): void {
  const add = (
    name: string,
    help: string,
    type: 'counter' | 'gauge' | 'histogram',
    samples: () => Iterable<MetricSample>,
  ): void => registry.registerSampled({ name, help, type, samples })
  const gauge = (name: string, help: string, read: () => number): void =>
    add(name, help, 'gauge', () => [sampleOf({}, read())])
  const byQueue = (name: string, help: string, read: () => readonly number[]): void =>
    add(name, help, 'gauge', () =>
      read().map((value, queueId) => sampleOf({ queue_id: String(queueId) }, value)),
    )

  gauge('rocketmq_pop_offset_buffer_size', 'Queues of groups whose pops are remembered', () => {
    return countOf(pops.state.queues())
  })
  gauge('rocketmq_pop_checkpoint_buffer_size', 'Pops with messages that are not finished', () => {
    let count = 0
    for (const queue of pops.state.queues()) count += queue.checkpointCount
    return count
  })
  const lag = 'Pops whose time is over and whose messages have not all come back: a count'
  byQueue('rocketmq_pop_revive_lag_milliseconds', lag, () => {
    return pops.reviver.backlog().map(({ count }) => count)
  })
  const late = 'For how many milliseconds the time of the first of them has been over'
  byQueue('rocketmq_pop_revive_latency_milliseconds', late, () => {
    return pops.reviver.backlog().map(({ lateMs }) => lateMs)
  })
  gauge('rocketmq_pop_waiting_requests', 'Pops and notifications that wait for a message', () => {
    return pops.waiters.size
  })
  const logRecords = 'Records that a new leader reads'
  byQueue('rocketmq_pop_revive_log_records', logRecords, () => pops.reviveLag)
  const scans = 'How long looking for pops whose time is over took, in milliseconds'
  add('rocketmq_pop_buffer_scan_time_consume_milliseconds', scans, 'histogram', () =>
    pops.tickTimes.samples({}),
  )
  registerRevives(registry, pops)
  const gone = 'Popped messages that retention deleted before they could come back'
  add('rocketmq_pop_gone_messages_total', gone, 'counter', () => [
    sampleOf({}, pops.reviver.goneCount),
  ])
}

/** By topic and group. */
function registerRevives(registry: Registry, { reviveCounts }: PopService): void {
  const counter = (name: string, help: string, samples: () => Iterable<MetricSample>): void =>
    registry.registerSampled({ name, help, type: 'counter', samples })
  const records = 'Records of pops and of acknowledgements'
  counter('rocketmq_pop_revive_in_message_total', records, () =>
    bounded(
      byType(reviveCounts.puts, (type, each) => ({
        ...namesOf(each),
        revive_message_type: type,
        put_status: statusName(each.kind),
      })),
    ),
  )
  const read = 'Records of pops and of acknowledgements that a new leader has read'
  counter('rocketmq_pop_revive_out_message_total', read, () =>
    bounded(
      byType(reviveCounts.gets, (type, each) => ({
        ...namesOf(each),
        queue_id: each.kind,
        revive_message_type: type,
      })),
    ),
  )
  const retries = 'Messages that came back, by what became of their copies'
  counter('rocketmq_pop_revive_retry_messages_total', retries, () =>
    bounded(
      samplesOf(reviveCounts.retries, (each) => ({
        ...namesOf(each),
        put_status: statusName(each.kind),
      })),
    ),
  )
}

function* byType(
  tallies: Readonly<Record<ReviveType, GroupTally>>,
  labelsOf: (type: ReviveType, each: NamedCount) => MetricLabels,
): Iterable<MetricSample> {
  for (const type of REVIVE_TYPES) {
    yield* samplesOf(tallies[type], (each) => labelsOf(type, each))
  }
}

function* samplesOf(
  tally: GroupTally,
  labelsOf: (each: NamedCount) => MetricLabels,
): Iterable<MetricSample> {
  for (const each of tally.counts()) yield sampleOf(labelsOf(each), each.count)
}

function* bounded(samples: Iterable<MetricSample>): Iterable<MetricSample> {
  let left = SERIES_MAX
  for (const sample of samples) {
    if (left-- <= 0) return
    yield sample
  }
}

function namesOf({ topic, consumerGroup }: NamedCount): MetricLabels {
  return { consumer_group: consumerGroup, topic }
}

/** RocketMQ's PutMessageStatus. */
function statusName(status: string): string {
  return status === PutStatus.OK ? 'PUT_OK' : status
}

function sampleOf(labels: MetricLabels, value: number): MetricSample {
  return { suffix: '', labels, value }
}

function countOf(items: Iterable<unknown>): number {
  let count = 0
  for (const _ of items) count++
  return count
}
