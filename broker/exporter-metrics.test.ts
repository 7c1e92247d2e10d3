import { beforeEach, expect, test } from 'vitest'
import { RequestCode } from '../remoting/request-code.ts'
import { exporterMetrics } from './exporter-metrics.ts'
import { createBrokerWorld } from './testing-world.ts'
import type { ConsumerStatus } from './consumer-statuses.ts'
import type { BrokerWorld } from './testing-world.ts'

/** Everything that the exporter emits of brokers, topics, groups and clients (RMQMetricsCollector). */
const NAMES = [
  'broker_tps broker_qps producer_tps producer_message_size producer_offset topic_retry_offset topic_dlq_offset producer_count',
  'consumer_tps consumer_message_size consumer_offset group_consume_tps group_consume_total_offset send_back_nums',
  'group_get_latency_by_storetime group_diff group_retrydiff group_dlqdiff group_count',
  'client_consume_fail_msg_count client_consume_fail_msg_tps client_consume_ok_msg_tps client_consume_rt',
  'client_consumer_pull_rt client_consumer_pull_tps',
]
const RUNTIME_NAMES = [
  'pmdt_0ms pmdt_0to10ms pmdt_10to50ms pmdt_50to100ms pmdt_100to200ms pmdt_200to500ms pmdt_500to1s pmdt_1to2s pmdt_2to3s',
  'pmdt_3to4s pmdt_4to5s pmdt_5to10s pmdt_10stomore msg_put_total_today_now msg_gettotal_today_now dispatch_behind_bytes',
  'put_message_size_total put_message_average_size query_threadpool_queue_capacity remain_transientstore_buffer_numbs',
  'earliest_message_timestamp putmessage_entire_time_max start_accept_sendrequest_time send_threadpool_queue_size',
  'putmessage_times_total getmessage_entire_time_max pagecache_lock_time_mills commitlog_disk_ratio consumequeue_disk_ratio',
  'getfound_tps600 getfound_tps60 getfound_tps10 gettotal_tps600 gettotal_tps60 gettotal_tps10 gettransfered_tps600',
  'gettransfered_tps60 gettransfered_tps10 getmiss_tps600 getmiss_tps60 getmiss_tps10 put_tps600 put_tps60 put_tps10',
  'dispatch_maxbuffer pull_threadpoolqueue_capacity send_threadpoolqueue_capacity pull_threadpoolqueue_size',
  'query_threadpoolqueue_size pull_threadpoolqueue_headwait_timemills query_threadpoolqueue_headwait_timemills',
  'send_threadpoolqueue_headwait_timemills msg_gettotal_yesterdaymorning msg_puttotal_yesterdaymorning',
  'msg_gettotal_todaymorning msg_puttotal_todaymorning commitlogdir_capacity_free commitlogdir_capacity_total',
  'commitlog_maxoffset commitlog_minoffset remain_howmanydata_toflush put_latency_99 put_latency_999',
]

let world: BrokerWorld

beforeEach(async () => {
  world = await createBrokerWorld()
})

function lines(statuses: readonly ConsumerStatus[] = []): readonly string[] {
  const { parts, processors } = world
  const { rates, send } = processors
  const inFlightSends = () => send.inFlight
  return exporterMetrics({ parts, rates, inFlightSends, statuses }).split('\n')
}

async function send(topic: string): Promise<void> {
  const fields = { a: 'P', b: topic, c: 'TBW102', d: '2', e: '0', f: '0', g: '1', h: '0', i: '' }
  await world.call({
    code: RequestCode.SEND_MESSAGE_V2,
    extFields: fields,
    body: Buffer.from('x'),
  })
}

test('the names are those of the exporter, each once', () => {
  const wanted = [
    ...NAMES.flatMap((text) => text.split(' ')).map((name) => `rocketmq_${name}`),
    ...RUNTIME_NAMES.flatMap((text) => text.split(' ')).map(
      (name) => `rocketmq_brokeruntime_${name}`,
    ),
  ]

  const names = lines()
    .filter((line) => line.startsWith('# TYPE '))
    .map((line) => line.split(' ')[2])

  expect(names).toHaveLength(wanted.length)
  expect(new Set(names)).toEqual(new Set(wanted))
})

test('a group is behind by what it has not committed, and for as long as its next message waits', async () => {
  await send('Orders')
  await send('Orders')
  world.parts.offsets.commit('readers', 'Orders', 0, 1)
  await world.time.advance(5000)

  const all = lines()

  const labels = 'cluster="DefaultCluster",broker="broker-a",topic="Orders",group="readers"'
  expect(all).toContain(
    'rocketmq_group_diff{group="readers",topic="Orders",countOfOnlineConsumers="0",msgModel="1"} 1',
  )
  expect(all).toContain(`rocketmq_consumer_offset{${labels}} 2`)
  expect(all).toContain(`rocketmq_group_consume_total_offset{${labels}} 1`)
  expect(all).toContain(`rocketmq_group_get_latency_by_storetime{${labels}} 5000`)
  expect(all).toContain(
    'rocketmq_producer_offset{cluster="DefaultCluster",broker="broker-a",topic="Orders"} 2',
  )
})

test('the runtime metrics carry the labels that boards filter by', async () => {
  await send('Orders')

  const [line = ''] = lines().filter((each) =>
    each.startsWith('rocketmq_brokeruntime_putmessage_times_total{'),
  )

  expect(line).toMatch(
    /\{cluster="DefaultCluster",brokerIP="10\.0\.0\.1:10911",brokerHost="",des="V5_5_0",boottime="\d+",broker_version="\d+"\} [1-9]\d*$/u,
  )
})

test('a consumer has a series for each topic that it consumes', () => {
  const facts = new Map([
    ['pullRT', '0.5'],
    ['consumeFailedMsgs', '3'],
  ])
  const status = { group: 'readers', topic: 'Orders', clientId: 'c1', clientAddress: '10.0.0.7:1' }

  const all = lines([{ ...status, facts }])

  const labels = 'clientAddr="10.0.0.7:1",clientId="c1",group="readers",topic="Orders"'
  expect(all).toContain(`rocketmq_client_consumer_pull_rt{${labels}} 0.5`)
  expect(all).toContain(`rocketmq_client_consume_fail_msg_count{${labels}} 3`)
  expect(all).toContain(`rocketmq_client_consume_rt{${labels}} 0`)
})
