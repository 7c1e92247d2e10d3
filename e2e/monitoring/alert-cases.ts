/** For each alert of the chart the series that make it fire, and nearly the same ones that do not, in promtool's notation; one value a minute. */

type Series = Readonly<Record<string, string>>

export interface AlertCase {
  readonly alert: string
  /** Of the two lots, in minutes. */
  readonly at: number
  readonly fires: Series
  /** Labels of the alert besides its severity. */
  readonly labels: Readonly<Record<string, string>>
  readonly summary: string
  readonly quiet: Series
}

const GROUP = { cluster: 'prod', node_id: 'prod-broker-0' }
const MEMBER = { ...GROUP, instance: 'a' }
const G = 'cluster="prod",node_id="prod-broker-0"'
const A = `${G},instance="a"`
const B = `${G},instance="b"`
const C = `${G},instance="c"`
const CONSUMER = 'cluster="prod",consumer_group="billing"'
const LAG = `${CONSUMER},topic="Orders",is_system="false",instance="a"`
const OPERATOR = 'namespace="gantry-system"'
const RATIO = `rocketmq_storage_disk_ratio{${A},folder="commitlog"}`
const CLUSTER = 'ns="shop",name="prod"'
const SENDS = `rocketmq_rpc_latency_milliseconds_count{${A},request_code="send_message_v2"`

/** `le` -> increase in each minute. */
function buckets(name: string, labels: string, counts: Readonly<Record<string, number>>): Series {
  return Object.fromEntries(
    Object.entries(counts).map(([le, count]) => [
      `${name}_bucket{${labels},le="${le}"}`,
      `0+${count}x60`,
    ]),
  )
}

function disk(alert: string, ratio: number, quiet: number, percent: string): AlertCase {
  return {
    alert,
    at: 20,
    fires: { [RATIO]: `${ratio}x60` },
    labels: MEMBER,
    summary: `Disk of prod-broker-0 at a is ${percent} full`,
    quiet: { [RATIO]: `${quiet}x60` },
  }
}

const GROUPS: readonly AlertCase[] = [
  {
    alert: 'GantryNoLeader',
    at: 5,
    fires: {
      [`rocketmq_raft_is_leader{${A}}`]: '1 0x60',
      [`rocketmq_raft_is_leader{${B}}`]: '0x60',
    },
    labels: GROUP,
    summary: 'Broker group prod-broker-0 has no leader',
    quiet: {
      [`rocketmq_raft_is_leader{${A}}`]: '0x60',
      [`rocketmq_raft_is_leader{${B}}`]: '1x60',
    },
  },
  {
    alert: 'GantryMemberAway',
    at: 10,
    fires: {
      [`rocketmq_raft_voters{${A}}`]: '3x60',
      [`rocketmq_raft_is_ready{${A}}`]: '1x60',
      [`rocketmq_raft_is_ready{${B}}`]: '1x60',
    },
    labels: GROUP,
    summary: 'Broker group prod-broker-0 has 2 members in sync, fewer than it should have',
    quiet: {
      [`rocketmq_raft_voters{${A}}`]: '3x60',
      [`rocketmq_raft_is_ready{${A}}`]: '1x60',
      [`rocketmq_raft_is_ready{${B}}`]: '1x60',
      [`rocketmq_raft_is_ready{${C}}`]: '1x60',
    },
  },
  {
    alert: 'GantryMemberBehind',
    at: 15,
    fires: { [`rocketmq_raft_peer_lag_bytes{${A},peer="n2"}`]: '536870912x60' },
    labels: { ...GROUP, peer: 'n2' },
    summary: 'Member n2 of prod-broker-0 lacks 512MiB of the log',
    quiet: { [`rocketmq_raft_peer_lag_bytes{${A},peer="n2"}`]: '1048576x60' },
  },
  {
    alert: 'GantryLeaderChangesOften',
    at: 30,
    fires: {
      [`rocketmq_raft_elections_won{${A}}`]: '0x10 1x10 2x20',
      [`rocketmq_raft_elections_won{${B}}`]: '0x5 1x10 2x10 3x20',
    },
    labels: GROUP,
    summary: 'Broker group prod-broker-0 changed its leader often in half an hour',
    quiet: { [`rocketmq_raft_elections_won{${A}}`]: '0x10 1x50' },
  },
  {
    alert: 'GantryCommitStalled',
    at: 6,
    fires: {
      [`rocketmq_raft_uncommitted_bytes{${A}}`]: '4096x60',
      [`rocketmq_raft_is_leader{${A}}`]: '1x60',
      [`rocketmq_storage_physical_offset{${A},position="committed"}`]: '1000x60',
    },
    labels: MEMBER,
    summary: 'Broker group prod-broker-0 commits nothing',
    quiet: {
      [`rocketmq_raft_uncommitted_bytes{${A}}`]: '4096x60',
      [`rocketmq_raft_is_leader{${A}}`]: '1x60',
      [`rocketmq_storage_physical_offset{${A},position="committed"}`]: '1000+1000x60',
    },
  },
]

const STORAGE: readonly AlertCase[] = [
  {
    alert: 'GantryNotWritable',
    at: 5,
    fires: {
      [`rocketmq_storage_writable{${A}}`]: '0x60',
      [`rocketmq_raft_is_leader{${A}}`]: '1x60',
    },
    labels: MEMBER,
    summary: 'Broker group prod-broker-0 refuses messages',
    // A follower takes none.
    quiet: {
      [`rocketmq_storage_writable{${A}}`]: '0x60',
      [`rocketmq_raft_is_leader{${A}}`]: '0x60',
    },
  },
  disk('GantryDiskFilling', 0.8, 0.7, '80%'),
  disk('GantryDiskAlmostFull', 0.875, 0.8, '87.5%'),
  disk('GantryDiskFull', 0.92, 0.875, '92%'),
  {
    alert: 'GantryDiskStalls',
    at: 5,
    fires: { [`rocketmq_storage_disk_operation_age{${A}}`]: '0x3 12000 0x60' },
    labels: MEMBER,
    summary: 'Disk of prod-broker-0 at a does not answer',
    quiet: { [`rocketmq_storage_disk_operation_age{${A}}`]: '900x60' },
  },
  {
    alert: 'GantrySyncSlow',
    at: 25,
    fires: buckets('rocketmq_storage_sync_latency_milliseconds', A, {
      '500': 50,
      '1000': 60,
      '+Inf': 60,
    }),
    labels: MEMBER,
    summary: 'Syncs of prod-broker-0 at a take long',
    quiet: buckets('rocketmq_storage_sync_latency_milliseconds', A, {
      '10': 60,
      '500': 60,
      '+Inf': 60,
    }),
  },
  {
    alert: 'GantryFlushBehind',
    at: 10,
    fires: { [`rocketmq_storage_flush_behind_bytes{${A}}`]: '1073741824x60' },
    labels: MEMBER,
    summary: 'prod-broker-0 at a has 1GiB that are not on disk',
    quiet: { [`rocketmq_storage_flush_behind_bytes{${A}}`]: '16384x60' },
  },
  {
    alert: 'GantryDispatchBehind',
    at: 10,
    fires: { [`rocketmq_storage_dispatch_behind_bytes{${A}}`]: '134217728x60' },
    labels: MEMBER,
    summary: 'prod-broker-0 at a has 128MiB that are in no queue yet',
    quiet: { [`rocketmq_storage_dispatch_behind_bytes{${A}}`]: '16384x60' },
  },
  {
    alert: 'GantryUnreadDeleted',
    at: 20,
    fires: { [`rocketmq_storage_deleted_unread_files_total{${A}}`]: '0x10 2x60' },
    labels: MEMBER,
    summary: 'prod-broker-0 at a deleted messages that a group had not read',
    quiet: { [`rocketmq_storage_deleted_unread_files_total{${A}}`]: '2x60' },
  },
  {
    alert: 'GantryUnreadKept',
    at: 90,
    fires: { [`rocketmq_storage_unread_kept{${A}}`]: '1x120' },
    labels: GROUP,
    summary: 'prod-broker-0 keeps expired files for a group that has not read them',
    quiet: { [`rocketmq_storage_unread_kept{${A}}`]: '1x40 0x80' },
  },
]

const PROCESSES: readonly AlertCase[] = [
  {
    alert: 'GantryTargetDown',
    at: 5,
    fires: { 'up{job="gantry",instance="a",role="broker",cluster="prod"}': '1 0x60' },
    labels: { job: 'gantry', instance: 'a', role: 'broker', cluster: 'prod' },
    summary: 'a of gantry is not scraped',
    quiet: { 'up{job="gantry",instance="a",role="broker",cluster="prod"}': '1x60' },
  },
  {
    alert: 'GantryNoTargets',
    at: 15,
    fires: { 'up{job="gantry"}': '1x60' },
    labels: { job: 'gantry-operator' },
    summary: 'Prometheus has no target for gantry-operator',
    quiet: { 'up{job="gantry"}': '1x60', 'up{job="gantry-operator"}': '1x60' },
  },
  {
    alert: 'GantryNameServersDown',
    at: 5,
    fires: {
      'up{job="gantry",cluster="prod",role="namesrv",instance="a"}': '0x60',
      'up{job="gantry",cluster="prod",role="broker",instance="b"}': '1x60',
    },
    labels: { cluster: 'prod' },
    summary: 'Cluster prod has no name server',
    quiet: {
      'up{job="gantry",cluster="prod",role="namesrv",instance="a"}': '0x60',
      'up{job="gantry",cluster="prod",role="namesrv",instance="b"}': '1x60',
    },
  },
  {
    alert: 'GantryNameServersDisagree',
    at: 15,
    fires: {
      'rocketmq_nameserver_broker_number{cluster="prod",instance="a"}': '3x60',
      'rocketmq_nameserver_broker_number{cluster="prod",instance="b"}': '2x60',
    },
    labels: { cluster: 'prod' },
    summary: 'Name servers of prod do not know the same brokers',
    quiet: {
      'rocketmq_nameserver_broker_number{cluster="prod",instance="a"}': '3x60',
      'rocketmq_nameserver_broker_number{cluster="prod",instance="b"}': '2x5 3x55',
    },
  },
  {
    alert: 'GantryProcessRestarts',
    at: 30,
    fires: {
      'process_start_time_seconds{job="gantry",instance="a"}': '1x8 2x8 3x8 4x20',
    },
    labels: { job: 'gantry', instance: 'a' },
    summary: 'a of gantry restarted 3 times in half an hour',
    quiet: { 'process_start_time_seconds{job="gantry",instance="a"}': '1x8 2x40' },
  },
  {
    alert: 'GantryEventLoopDelay',
    at: 15,
    fires: { 'nodejs_eventloop_lag_p99_seconds{job="gantry",instance="a"}': '0.5x60' },
    labels: { job: 'gantry', instance: 'a' },
    summary: 'a of gantry answers 500ms late',
    quiet: { 'nodejs_eventloop_lag_p99_seconds{job="gantry",instance="a"}': '0.02x60' },
  },
  {
    alert: 'GantryConnectionsRefused',
    at: 10,
    fires: {
      [`rocketmq_remoting_rejects_total{${A},reason="tooManyConnections"}`]: '0x8 5x60',
    },
    labels: { cluster: 'prod', instance: 'a' },
    summary: 'a refuses connections',
    quiet: { [`rocketmq_remoting_rejects_total{${A},reason="tooManyConnections"}`]: '5x60' },
  },
  {
    alert: 'GantryRequestsUnsupported',
    at: 10,
    fires: { [`rocketmq_remoting_rejects_total{${A},reason="unsupportedCode"}`]: '0+1x60' },
    labels: { cluster: 'prod', instance: 'a' },
    summary: 'a is asked for what it cannot do',
    quiet: { [`rocketmq_remoting_rejects_total{${A},reason="unsupportedCode"}`]: '1x60' },
  },
  {
    alert: 'GantryFilesNearLimit',
    at: 10,
    fires: {
      'process_open_fds{job="gantry",instance="a"}': '950x60',
      'process_max_fds{job="gantry",instance="a"}': '1000x60',
    },
    labels: { job: 'gantry', instance: 'a' },
    summary: 'a uses 95% of the files it may open',
    quiet: {
      'process_open_fds{job="gantry",instance="a"}': '50x60',
      'process_max_fds{job="gantry",instance="a"}': '1000x60',
    },
  },
  {
    alert: 'GantrySeriesLeftOut',
    at: 90,
    fires: { [`rocketmq_broker_series_left_out{${A}}`]: '12x120' },
    labels: MEMBER,
    summary: '12 topics or groups of prod-broker-0 have no metrics of their own',
    quiet: { [`rocketmq_broker_series_left_out{${A}}`]: '0x120' },
  },
]

const MESSAGES: readonly AlertCase[] = [
  {
    alert: 'GantryLagGrowing',
    at: 45,
    fires: { [`rocketmq_consumer_lag_messages{${LAG}}`]: '0+1000x60' },
    labels: { cluster: 'prod', consumer_group: 'billing', topic: 'Orders' },
    summary: 'Group billing is 45k messages behind on Orders, and falls further behind',
    quiet: { [`rocketmq_consumer_lag_messages{${LAG}}`]: '90000-1000x60' },
  },
  {
    alert: 'GantryLagOld',
    at: 30,
    fires: { [`rocketmq_consumer_lag_latency_milliseconds{${LAG}}`]: '1800000x60' },
    labels: { cluster: 'prod', consumer_group: 'billing', topic: 'Orders' },
    summary: 'Group billing is 30m 0s behind on Orders',
    quiet: { [`rocketmq_consumer_lag_latency_milliseconds{${LAG}}`]: '5000x60' },
  },
  {
    alert: 'GantryConsumersGone',
    at: 30,
    fires: {
      [`rocketmq_consumer_connections{${CONSUMER},is_system="false"}`]: '2x10 stale',
    },
    labels: { cluster: 'prod', consumer_group: 'billing' },
    summary: 'Group billing has no members any more',
    quiet: { [`rocketmq_consumer_connections{${CONSUMER},is_system="false"}`]: '2x10 1x60' },
  },
  {
    alert: 'GantryDeadLetters',
    at: 20,
    // The series begins with the first dead letter.
    fires: { [`rocketmq_send_to_dlq_messages_total{${CONSUMER}}`]: '_x10 1x60' },
    labels: { cluster: 'prod', consumer_group: 'billing' },
    summary: 'Messages of group billing ended in its dead letter queue',
    quiet: { [`rocketmq_send_to_dlq_messages_total{${CONSUMER}}`]: '4x60' },
  },
  {
    alert: 'GantrySendsFail',
    at: 15,
    fires: {
      [`${SENDS},response_code="success"}`]: '0+90x60',
      [`${SENDS},response_code="system_busy"}`]: '0+10x60',
    },
    labels: GROUP,
    summary: '10% of the sends to prod-broker-0 are not answered with success',
    quiet: {
      [`${SENDS},response_code="success"}`]: '0+10000x60',
      [`${SENDS},response_code="system_busy"}`]: '0+1x60',
    },
  },
  {
    alert: 'GantrySendsSlow',
    at: 25,
    fires: buckets(
      'rocketmq_rpc_latency_milliseconds',
      `${A},request_code="send_message_v2",response_code="success"`,
      { '100': 90, '1000': 100, '+Inf': 100 },
    ),
    labels: GROUP,
    summary: 'Sends to prod-broker-0 take long',
    quiet: buckets(
      'rocketmq_rpc_latency_milliseconds',
      `${A},request_code="send_message_v2",response_code="success"`,
      { '100': 100, '1000': 100, '+Inf': 100 },
    ),
  },
  {
    alert: 'GantryTransactionsOpen',
    at: 30,
    fires: { [`rocketmq_half_messages{${A},topic="Orders"}`]: '5000x60' },
    labels: { cluster: 'prod', topic: 'Orders' },
    summary: '5000 transactions of Orders are open',
    quiet: { [`rocketmq_half_messages{${A},topic="Orders"}`]: '50x60' },
  },
  {
    alert: 'GantryDelayedLate',
    at: 5,
    fires: { [`rocketmq_timer_dequeue_latency_milliseconds{${A}}`]: '60000x60' },
    labels: MEMBER,
    summary: 'Delayed messages of prod-broker-0 come late',
    quiet: { [`rocketmq_timer_dequeue_latency_milliseconds{${A}}`]: '20x60' },
  },
]

const OPERATORS: readonly AlertCase[] = [
  {
    alert: 'GantryOperatorNotActing',
    at: 10,
    fires: {
      [`rocketmq_operator_leader{${OPERATOR},pod="a"}`]: '0x60',
      [`rocketmq_operator_leader{${OPERATOR},pod="b"}`]: '0x60',
    },
    labels: { namespace: 'gantry-system' },
    summary: 'No operator in gantry-system holds the Lease',
    quiet: {
      [`rocketmq_operator_leader{${OPERATOR},pod="a"}`]: '0x60',
      [`rocketmq_operator_leader{${OPERATOR},pod="b"}`]: '1x60',
    },
  },
  {
    alert: 'GantryOperatorFails',
    at: 30,
    fires: {
      [`rocketmq_operator_reconcile_total{${OPERATOR},kind="RocketMQCluster",result="failed"}`]:
        '0+2x60',
      [`rocketmq_operator_reconcile_total{${OPERATOR},kind="RocketMQCluster",result="done"}`]:
        '9x60',
    },
    labels: { namespace: 'gantry-system', kind: 'RocketMQCluster' },
    summary: 'The operator in gantry-system fails more often than it succeeds',
    quiet: {
      [`rocketmq_operator_reconcile_total{${OPERATOR},kind="RocketMQCluster",result="failed"}`]:
        '0+1x60',
      [`rocketmq_operator_reconcile_total{${OPERATOR},kind="RocketMQCluster",result="done"}`]:
        '0+9x60',
    },
  },
  {
    alert: 'GantryOperatorSlow',
    at: 45,
    fires: buckets('rocketmq_operator_queue_wait_seconds', OPERATOR, {
      '10': 5,
      '30': 10,
      '+Inf': 10,
    }),
    labels: { namespace: 'gantry-system' },
    summary: 'Clusters wait long for the operator in gantry-system',
    quiet: buckets('rocketmq_operator_queue_wait_seconds', OPERATOR, {
      '1': 10,
      '30': 10,
      '+Inf': 10,
    }),
  },
  {
    alert: 'GantryOperatorBlind',
    at: 10,
    fires: { [`rocketmq_operator_watch_last_event_seconds{${OPERATOR},kind="Pod"}`]: '1800x60' },
    labels: { namespace: 'gantry-system', kind: 'Pod' },
    summary: 'The operator in gantry-system hears nothing of Pod',
    quiet: { [`rocketmq_operator_watch_last_event_seconds{${OPERATOR},kind="Pod"}`]: '60x60' },
  },
  {
    alert: 'GantryClusterNotAvailable',
    at: 5,
    fires: {
      [`rocketmq_operator_cluster_condition{${CLUSTER},type="Available"}`]: '0x60',
      [`rocketmq_operator_cluster_condition{${CLUSTER},type="Hibernated"}`]: '0x60',
    },
    labels: { ns: 'shop', name: 'prod' },
    summary: 'Cluster shop/prod takes no messages',
    quiet: {
      [`rocketmq_operator_cluster_condition{${CLUSTER},type="Available"}`]: '0x60',
      [`rocketmq_operator_cluster_condition{${CLUSTER},type="Hibernated"}`]: '1x60',
    },
  },
  {
    alert: 'GantryClusterDegraded',
    at: 15,
    fires: { [`rocketmq_operator_cluster_condition{${CLUSTER},type="Degraded"}`]: '1x60' },
    labels: { ns: 'shop', name: 'prod' },
    summary: 'Cluster shop/prod is degraded',
    quiet: { [`rocketmq_operator_cluster_condition{${CLUSTER},type="Degraded"}`]: '1x5 0x55' },
  },
  {
    alert: 'GantryClusterPaused',
    at: 800,
    fires: { [`rocketmq_operator_cluster_condition{${CLUSTER},type="Paused"}`]: '1x900' },
    labels: { ns: 'shop', name: 'prod' },
    summary: 'Cluster shop/prod has been paused for half a day',
    quiet: { [`rocketmq_operator_cluster_condition{${CLUSTER},type="Paused"}`]: '0x700 1x200' },
  },
  {
    alert: 'GantryDrainStalled',
    at: 90,
    fires: {
      'rocketmq_operator_drain_remaining_messages{ns="shop",group="prod-broker-2"}': '50x120',
    },
    labels: { ns: 'shop', group: 'prod-broker-2' },
    summary: 'Group shop/prod-broker-2 is not being emptied',
    quiet: {
      'rocketmq_operator_drain_remaining_messages{ns="shop",group="prod-broker-2"}': '5000-10x120',
    },
  },
]

const RECEIVER = 'namespace="shop",cluster="prod",receiver="on-call"'

const CONSOLES: readonly AlertCase[] = [
  {
    alert: 'GantryAlarmsNotTold',
    at: 10,
    fires: { [`rocketmq_dashboard_receiver_failures{${RECEIVER}}`]: '3x60' },
    labels: { namespace: 'shop', cluster: 'prod', receiver: 'on-call' },
    summary: 'The console cannot tell receiver on-call of alarms',
    quiet: { [`rocketmq_dashboard_receiver_failures{${RECEIVER}}`]: '3x6 0x54' },
  },
]

export const ALERT_CASES: readonly AlertCase[] = [
  ...GROUPS,
  ...STORAGE,
  ...PROCESSES,
  ...MESSAGES,
  ...CONSOLES,
  ...OPERATORS,
]
