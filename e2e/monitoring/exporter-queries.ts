/**
 * What the boards for rocketmq-exporter ask for (grafana.com 10477 and 14612 are made of the same metrics): each metric with the labels
 * that they filter by. `Cluster` and `Env` are labels of the scrape.
 */
const SCRAPE = 'Cluster="e2e",Env="test"'
const RUNTIME =
  'commitlog_disk_ratio commitlog_maxoffset commitlog_minoffset commitlogdir_capacity_free commitlogdir_capacity_total ' +
  'consumequeue_disk_ratio dispatch_behind_bytes earliest_message_timestamp getfound_tps10 getmiss_tps10 gettotal_tps10 ' +
  'gettransfered_tps10 msg_gettotal_today_now msg_gettotal_todaymorning msg_gettotal_yesterdaymorning msg_put_total_today_now ' +
  'msg_puttotal_todaymorning msg_puttotal_yesterdaymorning pmdt_0ms pmdt_0to10ms pmdt_10to50ms pmdt_50to100ms pmdt_100to200ms ' +
  'pmdt_200to500ms pmdt_500to1s pmdt_1to2s pmdt_2to3s pmdt_3to4s pmdt_4to5s pmdt_5to10s pmdt_10stomore ' +
  'pull_threadpoolqueue_headwait_timemills put_message_average_size put_message_size_total put_tps10 ' +
  'query_threadpoolqueue_headwait_timemills send_threadpoolqueue_headwait_timemills'

const OF_CLIENTS =
  'consume_fail_msg_count consume_fail_msg_tps consume_ok_msg_tps consume_rt consumer_pull_rt consumer_pull_tps'

const BY_LABELS: readonly (readonly [name: string, labels: readonly string[]])[] = [
  ...RUNTIME.split(' ').map((name): [string, readonly string[]] => [`brokeruntime_${name}`, []]),
  ['broker_tps', ['broker']],
  ['broker_qps', ['broker']],
  ['producer_tps', ['broker', 'topic']],
  ['producer_message_size', ['broker', 'topic']],
  ['producer_offset', ['broker', 'topic']],
  ['consumer_tps', ['broker', 'topic', 'group']],
  ['consumer_message_size', ['broker', 'topic', 'group']],
  ['consumer_offset', ['broker', 'topic']],
  ['group_diff', ['topic', 'group']],
  ['group_retrydiff', ['group']],
  ['group_get_latency_by_storetime', ['broker', 'topic', 'group']],
  ['topic_retry_offset', ['broker']],
  ['topic_dlq_offset', ['broker']],
  ...OF_CLIENTS.split(' ').map((name): [string, readonly string[]] => [
    `client_${name}`,
    ['group', 'topic'],
  ]),
]

export const EXPORTER_QUERIES: readonly string[] = [
  ...BY_LABELS.map(
    ([name, labels]) =>
      `rocketmq_${name}{${[SCRAPE, ...labels.map((label) => `${label}=~".+"`)].join(',')}}`,
  ),
  'sum(rocketmq_producer_offset) by (topic) - on (topic) group_right sum(rocketmq_consumer_offset) by (group, topic)',
  `sum(rocketmq_group_diff{${SCRAPE}}) by (group, topic) >= 0`,
]
