/** The boards of the chart. `npm run generate` writes them to charts/gantry-operator/files/boards. */
import { panel, stat } from './board.ts'
import type { Board, Variable } from './board.ts'

const NAMESPACE: Variable = { label: 'namespace', metric: 'rocketmq_broker_permission' }
const CLUSTER: Variable = { label: 'cluster', metric: 'rocketmq_broker_permission' }
const GROUP: Variable = { label: 'node_id', metric: 'rocketmq_broker_permission' }
const SENDS = 'request_code=~"send_message.*|send_batch_message"'
const RPC = 'rocketmq_rpc_latency_milliseconds'

function quantile(at: number, by: string, metric: string, filter = ''): string {
  const labels = filter === '' ? '$f' : `$f,${filter}`
  return `histogram_quantile(${at}, sum by (${by}, le) (rate(${metric}_bucket{${labels}}[$__rate_interval])))`
}

function rate(by: string, metric: string, filter = ''): string {
  const labels = filter === '' ? '$f' : `$f,${filter}`
  return `sum by (${by}) (rate(${metric}{${labels}}[$__rate_interval]))`
}

const CLUSTER_BOARD: Board = {
  id: 'cluster',
  title: 'Gantry / Cluster',
  description: 'Is the cluster well, and what goes through it.',
  variables: [NAMESPACE, CLUSTER],
  rows: [
    {
      title: 'Now',
      panels: [
        stat('Broker groups with a leader', 'short', 'sum(rocketmq_raft_is_leader{$f})'),
        stat('Members in sync', 'short', 'sum(rocketmq_raft_is_ready{$f})'),
        stat('Name servers', 'short', 'count(rocketmq_nameserver_broker_number{$f})'),
        stat('Topics', 'short', 'max(rocketmq_nameserver_topic_number{$f})'),
        stat('Fullest disk', 'percentunit', 'max(rocketmq_storage_disk_ratio{$f})'),
        stat(
          'Longest lag',
          'ms',
          'max(rocketmq_consumer_lag_latency_milliseconds{$f,is_system="false"})',
        ),
      ],
    },
    {
      title: 'Traffic',
      panels: [
        panel('Messages in', 'ops', {
          '{{node_id}}': rate('node_id', 'rocketmq_messages_in_total'),
        }),
        panel('Messages out', 'ops', {
          '{{node_id}}': rate('node_id', 'rocketmq_messages_out_total'),
        }),
        panel('Bytes', 'Bps', {
          'in {{node_id}}': rate('node_id', 'rocketmq_throughput_in_total'),
          'out {{node_id}}': rate('node_id', 'rocketmq_throughput_out_total'),
        }),
        panel('Sends, 99 of 100 within', 'ms', {
          '{{node_id}}': quantile(0.99, 'node_id', RPC, SENDS),
        }),
        panel('Sends by answer', 'ops', {
          '{{response_code}}': rate('response_code', `${RPC}_count`, SENDS),
        }),
        panel('Groups furthest behind', 'short', {
          '{{consumer_group}} {{topic}}':
            'topk(10, sum by (consumer_group, topic) (rocketmq_consumer_lag_messages{$f,is_system="false"}))',
        }),
      ],
    },
    {
      title: 'Servers',
      panels: [
        panel('Disk in use', 'percentunit', {
          '{{node_id}} {{instance}}':
            'max by (node_id, instance) (rocketmq_storage_disk_ratio{$f})',
        }),
        panel('CPU', 'percentunit', {
          '{{node_id}} {{instance}}': 'rate(process_cpu_seconds_total{$f}[$__rate_interval])',
        }),
        panel('Memory', 'bytes', {
          '{{node_id}} {{instance}}': 'process_resident_memory_bytes{$f}',
        }),
        panel('Event loop delay, 99 of 100 within', 's', {
          '{{node_id}} {{instance}}': 'nodejs_eventloop_lag_p99_seconds{$f}',
        }),
        panel('Connections', 'short', {
          '{{node_id}} {{instance}}': 'rocketmq_remoting_connections{$f}',
        }),
        panel('Connections closed and refused', 'ops', {
          'closed: {{reason}}': rate('reason', 'rocketmq_remoting_closed_connections_total'),
          'refused: {{reason}}': rate('reason', 'rocketmq_remoting_rejects_total'),
        }),
      ],
    },
    {
      title: 'The console',
      panels: [
        panel('Alarms', 'short', {
          '{{state}}': 'max by (state) (rocketmq_dashboard_alarms{$f})',
        }),
        panel('Messages to receivers', 'ops', {
          '{{receiver}}: {{result}}': rate(
            'receiver, result',
            'rocketmq_dashboard_alarm_messages_total',
          ),
        }),
        panel('Failed attempts in a row', 'short', {
          '{{receiver}}': 'max by (receiver) (rocketmq_dashboard_receiver_failures{$f})',
        }),
      ],
    },
  ],
}

const MEMBER = '{{node_id}} {{instance}}'

const GROUP_BOARD: Board = {
  id: 'group',
  title: 'Gantry / Broker group',
  description: 'The members of a broker group: who leads, who lags, and how their disks do.',
  variables: [NAMESPACE, CLUSTER, GROUP],
  rows: [
    {
      title: 'Raft',
      panels: [
        panel('Leader', 'short', { [MEMBER]: 'rocketmq_raft_is_leader{$f}' }),
        panel('In sync', 'short', {
          'in sync {{node_id}}': 'sum by (node_id) (rocketmq_raft_is_ready{$f})',
          'voters {{node_id}}': 'max by (node_id) (rocketmq_raft_voters{$f})',
        }),
        panel('Term', 'short', { [MEMBER]: 'rocketmq_raft_term{$f}' }),
        panel('What members lack of the log', 'bytes', {
          '{{node_id}} {{peer}}': 'rocketmq_raft_peer_lag_bytes{$f}',
        }),
        panel('Not committed', 'bytes', { [MEMBER]: 'rocketmq_raft_uncommitted_bytes{$f}' }),
        panel('Elections won since the start', 'short', {
          [MEMBER]: 'rocketmq_raft_elections_won{$f}',
        }),
      ],
    },
    {
      title: 'Storage',
      panels: [
        panel('Appended', 'Bps', {
          [MEMBER]: 'rate(rocketmq_storage_physical_offset{$f,position="max"}[$__rate_interval])',
        }),
        panel('Syncs of the log', 'ms', {
          '99 of 100 {{instance}}': quantile(
            0.99,
            'instance',
            'rocketmq_storage_sync_latency_milliseconds',
          ),
          'half {{instance}}': quantile(
            0.5,
            'instance',
            'rocketmq_storage_sync_latency_milliseconds',
          ),
        }),
        panel('Oldest disk operation', 'ms', {
          [MEMBER]: 'rocketmq_storage_disk_operation_age{$f}',
        }),
        panel('Behind', 'bytes', {
          'not synced {{instance}}': 'rocketmq_storage_flush_behind_bytes{$f}',
          'not in queues {{instance}}': 'rocketmq_storage_dispatch_behind_bytes{$f}',
        }),
        panel('Disk in use', 'percentunit', {
          '{{folder}} {{instance}}': 'rocketmq_storage_disk_ratio{$f}',
        }),
        panel('Takes messages', 'short', { [MEMBER]: 'rocketmq_storage_writable{$f}' }),
        panel('Size of the log', 'bytes', {
          [MEMBER]:
            'rocketmq_storage_physical_offset{$f,position="max"} - ignoring(position) rocketmq_storage_physical_offset{$f,position="min"}',
        }),
        panel('In use on the disk', 'bytes', { [MEMBER]: 'rocketmq_storage_size_bytes{$f}' }),
        panel('Oldest message', 'ms', {
          [MEMBER]: 'rocketmq_storage_message_reserve_time_milliseconds{$f}',
        }),
        panel('Deleted files', 'short', {
          'all {{instance}}': 'rocketmq_storage_deleted_files_total{$f}',
          'unread {{instance}}': 'rocketmq_storage_deleted_unread_files_total{$f}',
        }),
      ],
    },
    {
      title: 'Requests',
      panels: [
        panel('Requests', 'ops', { '{{request_code}}': rate('request_code', `${RPC}_count`) }),
        panel('99 of 100 within', 'ms', {
          '{{request_code}}': quantile(0.99, 'request_code', RPC, 'is_long_polling="false"'),
        }),
        panel('Waiting', 'short', {
          '{{processor}} {{instance}}': 'rocketmq_processor_watermark{$f}',
        }),
        panel('Sends by duration', 'ops', {
          'within {{le}} ms': rate('le', `${RPC}_bucket`, SENDS),
        }),
        panel('Reads', 'ops', { '{{result}}': rate('result', 'rocketmq_storage_gets_total') }),
        panel('Sends refused by the store', 'ops', {
          [MEMBER]: 'rate(rocketmq_storage_put_failures_total{$f}[$__rate_interval])',
        }),
      ],
    },
    {
      title: 'Process',
      panels: [
        panel('CPU', 'percentunit', {
          [MEMBER]: 'rate(process_cpu_seconds_total{$f}[$__rate_interval])',
        }),
        panel('Memory', 'bytes', {
          'resident {{instance}}': 'process_resident_memory_bytes{$f}',
          'heap {{instance}}': 'nodejs_heap_size_used_bytes{$f}',
          'buffers {{instance}}': 'nodejs_external_memory_bytes{$f}',
        }),
        panel('Event loop delay', 's', {
          '99 of 100 {{instance}}': 'nodejs_eventloop_lag_p99_seconds{$f}',
          'longest {{instance}}': 'nodejs_eventloop_lag_max_seconds{$f}',
        }),
        panel('Files and sockets', 'short', { [MEMBER]: 'process_open_fds{$f}' }),
        panel('Up since', 's', { [MEMBER]: 'time() - process_start_time_seconds{$f}' }),
        panel('Topics and groups', 'short', {
          'topics {{instance}}': 'rocketmq_topic_number{$f}',
          'groups {{instance}}': 'rocketmq_consumer_group_number{$f}',
        }),
      ],
    },
  ],
}

const TOPIC: Variable = { label: 'topic', metric: 'rocketmq_messages_in_total' }
/** For metrics without a topic. */
const ANY_TOPIC = 'namespace=~"$namespace",cluster=~"$cluster"'
const PEOPLE = '$f,is_system="false"'

const TOPICS_BOARD: Board = {
  id: 'topics',
  title: 'Gantry / Topics and groups',
  description: 'What goes through topics, and how far consumer groups are.',
  variables: [NAMESPACE, CLUSTER, TOPIC],
  rows: [
    {
      title: 'Topics',
      panels: [
        panel('Messages in', 'ops', {
          '{{topic}}': rate('topic', 'rocketmq_messages_in_total', 'is_system="false"'),
        }),
        panel('Bytes in', 'Bps', {
          '{{topic}}': rate('topic', 'rocketmq_throughput_in_total', 'is_system="false"'),
        }),
        panel('Size of messages', 'bytes', {
          '{{topic}}':
            'sum by (topic) (rate(rocketmq_message_size_sum{$f}[$__rate_interval])) / sum by (topic) (rate(rocketmq_message_size_count{$f}[$__rate_interval]) > 0)',
        }),
      ],
    },
    {
      title: 'Consumer groups',
      panels: [
        panel('Messages out', 'ops', {
          '{{consumer_group}} {{topic}}': rate(
            'consumer_group, topic',
            'rocketmq_messages_out_total',
            'is_system="false"',
          ),
        }),
        panel(
          'Behind',
          'short',
          {
            '{{consumer_group}} {{topic}}': `sum by (consumer_group, topic) (rocketmq_consumer_lag_messages{${PEOPLE}})`,
          },
          'Of groups that are connected.',
        ),
        panel('Behind, in time', 'ms', {
          '{{consumer_group}} {{topic}}': `max by (consumer_group, topic) (rocketmq_consumer_lag_latency_milliseconds{${PEOPLE}})`,
        }),
        panel('Members', 'short', {
          '{{consumer_group}} {{language}} {{version}}': `sum by (consumer_group, language, version) (rocketmq_consumer_connections{${ANY_TOPIC},is_system="false"})`,
        }),
        panel('Dead letters, all in all', 'short', {
          '{{consumer_group}}': `sum by (consumer_group) (rocketmq_send_to_dlq_messages_total{${ANY_TOPIC}})`,
        }),
        panel('Retries out', 'ops', {
          '{{consumer_group}}': `sum by (consumer_group) (rate(rocketmq_messages_out_total{${ANY_TOPIC},is_retry="true"}[$__rate_interval]))`,
        }),
      ],
    },
    {
      title: 'Producers, transactions, delays, POP',
      panels: [
        panel('Producers', 'short', {
          '{{language}} {{version}}': `sum by (language, version) (rocketmq_producer_connections{${ANY_TOPIC}})`,
        }),
        panel('Transactions', 'ops', {
          'committed {{topic}}': rate('topic', 'rocketmq_commit_messages_total'),
          'rolled back {{topic}}': rate('topic', 'rocketmq_rollback_messages_total'),
        }),
        panel('Open transactions', 'short', {
          '{{topic}}': 'sum by (topic) (rocketmq_half_messages{$f})',
        }),
        panel('Delayed messages that wait', 'short', {
          'by time {{node_id}}': `sum by (node_id) (rocketmq_timing_messages{${ANY_TOPIC}})`,
          'by level {{node_id}}': `sum by (node_id) (rocketmq_delay_waiting_messages{${ANY_TOPIC}})`,
        }),
        panel('Delayed messages came late, 99 of 100 within', 'ms', {
          '{{node_id}}': `histogram_quantile(0.99, sum by (node_id, le) (rate(rocketmq_delay_lateness_milliseconds_bucket{${ANY_TOPIC}}[$__rate_interval])))`,
        }),
        panel('POP: behind with what was not acknowledged', 'short', {
          'records {{node_id}}': `sum by (node_id) (rocketmq_pop_revive_lag_milliseconds{${ANY_TOPIC}})`,
          'waiting requests {{node_id}}': `sum by (node_id) (rocketmq_pop_waiting_requests{${ANY_TOPIC}})`,
        }),
      ],
    },
  ],
}

/** Labels of the operator's own metrics. */
const OWN: Variable = { label: 'namespace', metric: 'rocketmq_operator_leader' }
const CONDITION = 'rocketmq_operator_cluster_condition'

const OPERATOR_BOARD: Board = {
  id: 'operator',
  title: 'Gantry / Operator',
  description: 'Clusters as the operator sees them, and the operator itself.',
  variables: [OWN],
  rows: [
    {
      title: 'Clusters',
      panels: [
        stat('Clusters', 'short', `count(max by (ns, name) (${CONDITION}{$f,type="Ready"}))`),
        stat('Ready', 'short', `sum(max by (ns, name) (${CONDITION}{$f,type="Ready"}) == bool 1)`),
        stat(
          'Not available',
          'short',
          `sum(max by (ns, name) (${CONDITION}{$f,type="Available"}) == bool 0)`,
        ),
        stat(
          'Degraded',
          'short',
          `sum(max by (ns, name) (${CONDITION}{$f,type="Degraded"}) == bool 1)`,
        ),
        stat(
          'Steps to be done',
          'short',
          'sum(max by (ns, cluster) (rocketmq_operator_plan_length{$f}))',
        ),
        stat('Acting operators', 'short', 'sum(rocketmq_operator_leader{$f})'),
        panel(
          'Conditions',
          'short',
          { '{{ns}}/{{name}} {{type}}': `max by (ns, name, type) (${CONDITION}{$f})` },
          '1: true, 0: false, -1: unknown',
        ),
        panel('Steps to be done', 'short', {
          '{{ns}}/{{cluster}}': 'max by (ns, cluster) (rocketmq_operator_plan_length{$f})',
        }),
        panel('Messages in groups that leave', 'short', {
          '{{ns}}/{{group}}': 'max by (ns, group) (rocketmq_operator_drain_remaining_messages{$f})',
        }),
      ],
    },
    {
      title: 'Passes',
      panels: [
        panel('Passes', 'ops', {
          '{{result}}': rate('result', 'rocketmq_operator_reconcile_total'),
        }),
        panel('99 of 100 passes within', 's', {
          '{{kind}}': quantile(0.99, 'kind', 'rocketmq_operator_reconcile_seconds'),
        }),
        panel('99 of 100 wait for', 's', {
          wait: 'histogram_quantile(0.99, sum by (le) (rate(rocketmq_operator_queue_wait_seconds_bucket{$f}[$__rate_interval])))',
        }),
        panel('Clusters that wait', 'short', {
          '{{instance}}': 'rocketmq_operator_queue_depth{$f}',
        }),
        panel('Acts', 'ops', {
          '{{act}}: {{reason}}': rate('act, reason', 'rocketmq_operator_acts_total'),
        }),
        panel('Events that could not be written', 'short', {
          '{{instance}}': 'rocketmq_operator_events_dropped{$f}',
        }),
      ],
    },
    {
      title: 'API server and process',
      panels: [
        panel('Calls', 'ops', {
          '{{verb}} {{resource}} {{code}}': rate(
            'verb, resource, code',
            'rocketmq_operator_api_seconds_count',
          ),
        }),
        panel('99 of 100 calls within', 's', {
          '{{verb}}': quantile(0.99, 'verb', 'rocketmq_operator_api_seconds'),
        }),
        panel('Silence on watches', 's', {
          '{{kind}}': 'max by (kind) (rocketmq_operator_watch_last_event_seconds{$f})',
        }),
        panel('Watches that broke', 'ops', {
          '{{kind}} {{cause}}': rate('kind, cause', 'rocketmq_operator_watch_restarts_total'),
        }),
        panel('CPU', 'percentunit', {
          '{{instance}}':
            'rate(process_cpu_seconds_total{$f,job="gantry-operator"}[$__rate_interval])',
        }),
        panel('Memory', 'bytes', {
          '{{instance}}': 'process_resident_memory_bytes{$f,job="gantry-operator"}',
        }),
      ],
    },
  ],
}

export const BOARDS: readonly Board[] = [CLUSTER_BOARD, GROUP_BOARD, TOPICS_BOARD, OPERATOR_BOARD]
