/**
 * The broker's part of what Java's rocketmq-exporter would tell of it, under the exporter's names and labels (spelling included), at
 * `/metrics/exporter`: boards and alerts made for the exporter go on without it.
 *
 * What compares masters with slaves is not here.
 */
import { DLQ_PREFIX, RETRY_PREFIX, isSystemGroup } from './names.ts'
import { runtimeInfo } from './runtime-info.ts'
import type { ConsumerStatus } from './consumer-statuses.ts'
import type { BrokerParts } from './parts.ts'
import type { StoreRates } from './store-rates.ts'

/** Series of one metric in one scrape. */
const SERIES_MAX = 10_000

type Labels = Readonly<Record<string, string>>
type Series = readonly (readonly [labels: Labels, value: number])[]

export interface ExporterOptions {
  readonly parts: BrokerParts
  readonly rates: StoreRates
  readonly inFlightSends: () => number
  /** What consumers have told of themselves. */
  readonly statuses: readonly ConsumerStatus[]
}

/** The whole page, in the text format of Prometheus. */
export function exporterMetrics(options: ExporterOptions): string {
  const lines: string[] = []
  const metrics: readonly (readonly [name: string, series: Series])[] = [
    ...brokerMetrics(options.parts),
    ...runtimeMetrics(options),
    ...topicMetrics(options.parts),
    ...groupMetrics(options.parts),
    ...clientMetrics(options.statuses),
  ]
  for (const [name, series] of metrics) {
    lines.push(`# TYPE ${name} gauge`)
    for (const [labels, value] of series.slice(0, SERIES_MAX)) {
      lines.push(`${name}${labelText(labels)} ${Number.isFinite(value) ? value : 0}`)
    }
  }
  return `${lines.join('\n')}\n`
}

function labelText(labels: Labels): string {
  const texts = Object.entries(labels).map(([name, value]) => {
    const escaped = value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
    return `${name}="${escaped}"`
  })
  return `{${texts.join(',')}}`
}

type Metric = readonly [name: string, series: Series]

function brokerMetrics(parts: BrokerParts): readonly Metric[] {
  const { config, stats } = parts
  const { brokerClusterName: cluster, brokerName: broker } = config.values
  const labels = { cluster, brokerIP: parts.brokerAddress(), broker }
  return [
    ['rocketmq_broker_tps', [[labels, stats.tps('BROKER_PUT_NUMS', cluster)]]],
    ['rocketmq_broker_qps', [[labels, stats.tps('BROKER_GET_NUMS', cluster)]]],
  ]
}

/** Names of the exporter's runtime metrics by the key of GET_BROKER_RUNTIME_INFO. */
const RUNTIME_NAMES: readonly (readonly [key: string, name: string])[] = [
  ['msgPutTotalTodayNow', 'msg_put_total_today_now'],
  ['msgGetTotalTodayNow', 'msg_gettotal_today_now'],
  ['msgPutTotalYesterdayMorning', 'msg_puttotal_yesterdaymorning'],
  ['msgGetTotalYesterdayMorning', 'msg_gettotal_yesterdaymorning'],
  ['msgPutTotalTodayMorning', 'msg_puttotal_todaymorning'],
  ['msgGetTotalTodayMorning', 'msg_gettotal_todaymorning'],
  ['dispatchBehindBytes', 'dispatch_behind_bytes'],
  ['dispatchMaxBuffer', 'dispatch_maxbuffer'],
  ['putMessageSizeTotal', 'put_message_size_total'],
  ['putMessageAverageSize', 'put_message_average_size'],
  ['putMessageTimesTotal', 'putmessage_times_total'],
  ['putMessageEntireTimeMax', 'putmessage_entire_time_max'],
  ['getMessageEntireTimeMax', 'getmessage_entire_time_max'],
  ['putLatency99', 'put_latency_99'],
  ['putLatency999', 'put_latency_999'],
  ['pageCacheLockTimeMills', 'pagecache_lock_time_mills'],
  ['commitLogDiskRatio', 'commitlog_disk_ratio'],
  ['consumeQueueDiskRatio', 'consumequeue_disk_ratio'],
  ['commitLogMaxOffset', 'commitlog_maxoffset'],
  ['commitLogMinOffset', 'commitlog_minoffset'],
  ['earliestMessageTimeStamp', 'earliest_message_timestamp'],
  ['startAcceptSendRequestTimeStamp', 'start_accept_sendrequest_time'],
  ['remainTransientStoreBufferNumbs', 'remain_transientstore_buffer_numbs'],
  ['sendThreadPoolQueueSize', 'send_threadpool_queue_size'],
  ['sendThreadPoolQueueCapacity', 'send_threadpoolqueue_capacity'],
  ['sendThreadPoolQueueHeadWaitTimeMills', 'send_threadpoolqueue_headwait_timemills'],
  ['pullThreadPoolQueueSize', 'pull_threadpoolqueue_size'],
  ['pullThreadPoolQueueCapacity', 'pull_threadpoolqueue_capacity'],
  ['pullThreadPoolQueueHeadWaitTimeMills', 'pull_threadpoolqueue_headwait_timemills'],
  ['queryThreadPoolQueueSize', 'query_threadpoolqueue_size'],
  ['queryThreadPoolQueueCapacity', 'query_threadpool_queue_capacity'],
  ['queryThreadPoolQueueHeadWaitTimeMills', 'query_threadpoolqueue_headwait_timemills'],
]

/** Rates over 10, 60 and 600 s, which the exporter tells apart by name. */
const RATE_NAMES: readonly (readonly [key: string, name: string])[] = [
  ['putTps', 'put_tps'],
  ['getFoundTps', 'getfound_tps'],
  ['getMissTps', 'getmiss_tps'],
  ['getTotalTps', 'gettotal_tps'],
  ['getTransferedTps', 'gettransfered_tps'],
]
const RATE_WINDOWS: readonly string[] = ['10', '60', '600']

const PUT_TIME_NAMES: readonly string[] = [
  ...['0ms', '0to10ms', '10to50ms', '50to100ms', '100to200ms', '200to500ms', '500to1s'],
  ...['1to2s', '2to3s', '3to4s', '4to5s', '5to10s', '10stomore'],
]

function runtimeMetrics({ parts, rates, inFlightSends }: ExporterOptions): readonly Metric[] {
  const disk = parts.diskSpace()
  const info = runtimeInfo({ parts, rates, inFlightSends: inFlightSends(), disk })
  const text = (key: string) => info.get(key) ?? '0'
  const labels = {
    cluster: parts.config.values.brokerClusterName,
    brokerIP: parts.brokerAddress(),
    brokerHost: '',
    des: text('brokerVersionDesc'),
    boottime: text('bootTimestamp'),
    broker_version: text('brokerVersion'),
  }
  const metric = (name: string, value: number): Metric => [
    `rocketmq_brokeruntime_${name}`,
    [[labels, value]],
  ]
  const status = parts.store.status()
  return [
    ...RUNTIME_NAMES.map(([key, name]) => metric(name, Number(text(key)))),
    ...RATE_NAMES.flatMap(([key, name]) => {
      const values = text(key).split(' ')
      return RATE_WINDOWS.map((window, index) => metric(name + window, Number(values[index] ?? 0)))
    }),
    ...PUT_TIME_NAMES.map((name, index) =>
      metric(`pmdt_${name}`, status.putTimeDistribution[index] ?? 0),
    ),
    // The exporter reads these out of texts like `12.0 KiB`, and tells bytes.
    metric('remain_howmanydata_toflush', status.flushBehindBytes),
    metric('commitlogdir_capacity_total', disk?.totalBytes ?? 0),
    metric('commitlogdir_capacity_free', disk?.availableBytes ?? 0),
  ]
}

function topicMetrics({ config, stats, store, topics, clients }: BrokerParts): readonly Metric[] {
  const { brokerClusterName: cluster, brokerName: broker } = config.values
  const byTopic = (name: string): Series =>
    [...stats.items(name, SERIES_MAX)].map(([topic]) => [
      { cluster, broker, topic },
      stats.tps(name, topic),
    ])
  const ends = new Map<string, number>()
  for (const { topic, maxOffset } of store.queues()) {
    if (topics.all.has(topic)) ends.set(topic, (ends.get(topic) ?? 0) + maxOffset)
  }
  const offsets = [...ends]
  const isDerived = (topic: string) =>
    topic.startsWith(RETRY_PREFIX) || topic.startsWith(DLQ_PREFIX)
  const of = (prefix: string) => offsets.filter(([topic]) => topic.startsWith(prefix))
  return [
    ['rocketmq_producer_tps', byTopic('TOPIC_PUT_NUMS')],
    ['rocketmq_producer_message_size', byTopic('TOPIC_PUT_SIZE')],
    [
      'rocketmq_producer_offset',
      offsets
        .filter(([topic]) => !isDerived(topic) && !topics.isSystem(topic))
        .map(([topic, end]) => [{ cluster, broker, topic }, end]),
    ],
    [
      'rocketmq_topic_retry_offset',
      of(RETRY_PREFIX).map(([topic, end]) => [{ cluster, broker, topic }, end]),
    ],
    [
      'rocketmq_topic_dlq_offset',
      of(DLQ_PREFIX).map(([topic, end]) => [
        { cluster, broker, group: topic.slice(DLQ_PREFIX.length) },
        end,
      ]),
    ],
    [
      'rocketmq_producer_count',
      clients.producerGroups.map((group) => [
        { cluster, broker, group },
        clients.producers(group)?.length ?? 0,
      ]),
    ],
  ]
}

interface Progress {
  readonly topic: string
  readonly group: string
  readonly brokerOffset: number
  readonly consumerOffset: number
  readonly behind: number
  /** Milliseconds between now and the store time of the next message to be consumed; 0 when there is none. */
  readonly latency: number
}

function groupMetrics(parts: BrokerParts): readonly Metric[] {
  const { config, stats, clients } = parts
  const { brokerClusterName: cluster, brokerName: broker } = config.values
  const all = [...progressOf(parts)]
  const labels = ({ topic, group }: Progress): Labels => ({ cluster, broker, topic, group })
  const ofTopics = all.filter(({ topic }) => !topic.startsWith(RETRY_PREFIX))
  const ofRetries = all.filter(({ topic }) => topic.startsWith(RETRY_PREFIX))
  const diff = ({ topic, group, behind }: Progress): readonly [Labels, number] => {
    const state = clients.consumerGroup(group)
    const countOfOnlineConsumers = String(state?.clients.length ?? 0)
    // As a number: 0 is broadcasting, 1 clustering.
    const msgModel = state?.messageModel === 'BROADCASTING' ? '0' : '1'
    return [{ group, topic, countOfOnlineConsumers, msgModel }, behind]
  }
  const rate = (each: Progress, name: string): readonly [Labels, number] => [
    labels(each),
    stats.tps(name, `${each.topic}@${each.group}`),
  ]
  return [
    ['rocketmq_consumer_tps', ofTopics.map((each) => rate(each, 'GROUP_GET_NUMS'))],
    ['rocketmq_group_consume_tps', ofTopics.map((each) => rate(each, 'GROUP_GET_NUMS'))],
    ['rocketmq_consumer_message_size', ofTopics.map((each) => rate(each, 'GROUP_GET_SIZE'))],
    ['rocketmq_send_back_nums', ofTopics.map((each) => rate(each, 'SNDBCK_PUT_NUMS'))],
    ['rocketmq_consumer_offset', all.map((each) => [labels(each), each.brokerOffset])],
    [
      'rocketmq_group_consume_total_offset',
      ofTopics.map((each) => [labels(each), each.consumerOffset]),
    ],
    ['rocketmq_group_get_latency_by_storetime', all.map((each) => [labels(each), each.latency])],
    ['rocketmq_group_diff', ofTopics.map(diff)],
    ['rocketmq_group_retrydiff', ofRetries.map(diff)],
    ['rocketmq_group_dlqdiff', deadLetters(parts).map(diff)],
    ['rocketmq_group_count', connected(parts)],
  ]
}

function* progressOf({ store, offsets, topics, clock }: BrokerParts): Generator<Progress, void> {
  let left = SERIES_MAX
  for (const [topic, group] of offsets.subscriptions()) {
    const config = topics.get(topic)
    if (config === undefined || isSystemGroup(group)) continue
    if (left-- <= 0) return
    let brokerOffset = 0
    let consumerOffset = 0
    let latency = 0
    for (let queueId = 0; queueId < config.readQueueNums; queueId++) {
      const end = store.maxOffsetInQueue(topic, queueId)
      const next = offsets.query(group, topic, queueId) ?? 0
      brokerOffset += end
      consumerOffset += next
      const storedAt = next < end ? store.storeTimestampAt(topic, queueId, next) : null
      if (storedAt !== null) latency = Math.max(latency, clock.now() - storedAt)
    }
    const behind = brokerOffset - consumerOffset
    yield { topic, group, brokerOffset, consumerOffset, behind, latency }
  }
}

/** Everything in a dead letter queue is behind: no group reads it. */
function deadLetters({ store }: BrokerParts): readonly Progress[] {
  return store
    .queues()
    .filter(({ topic }) => topic.startsWith(DLQ_PREFIX))
    .map(({ topic, minOffset, maxOffset }) => ({
      topic,
      group: topic.slice(DLQ_PREFIX.length),
      brokerOffset: maxOffset,
      consumerOffset: minOffset,
      behind: maxOffset - minOffset,
      latency: 0,
    }))
}

function connected({ clients }: BrokerParts): Series {
  return clients.consumerGroups.map((group) => {
    const members = clients.consumerGroup(group)?.clients ?? []
    const caddr = members.map(({ connection }) => connection.remoteAddress).join(',')
    const localaddr = members.map(({ clientId }) => clientId).join(',')
    return [{ caddr, localaddr, group }, members.length]
  })
}

/** Names of the exporter's metrics of clients by the member of ConsumeStatus. */
const CLIENT_NAMES: readonly (readonly [member: string, name: string])[] = [
  ['consumeFailedMsgs', 'consume_fail_msg_count'],
  ['consumeFailedTPS', 'consume_fail_msg_tps'],
  ['consumeOKTPS', 'consume_ok_msg_tps'],
  ['consumeRT', 'consume_rt'],
  ['pullRT', 'consumer_pull_rt'],
  ['pullTPS', 'consumer_pull_tps'],
]

function clientMetrics(statuses: readonly ConsumerStatus[]): readonly Metric[] {
  return CLIENT_NAMES.map(([member, name]) => [
    `rocketmq_client_${name}`,
    statuses.map(({ clientAddress, clientId, group, topic, facts }) => [
      { clientAddr: clientAddress, clientId, group, topic },
      Number(facts.get(member) ?? 0),
    ]),
  ])
}
