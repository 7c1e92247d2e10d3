/**
 * The features of RocketMQ that its users know, by number: what a test covers is noted with it, so that a
 * report of a run can say what holds.
 */
export const FEATURES = {
  M1: 'Synchronous send',
  M2: 'Asynchronous send',
  M3: 'One-way send',
  M4: 'Send statuses: a late flush is a result, with ids; FLUSH_SLAVE_TIMEOUT is never answered',
  M5: 'Round robin over the queues of all broker groups',
  M6: 'Messages stay after consumption, until retention',
  M7: 'Partition order: one key, one queue, the order of sending',
  M8: 'Global order with one queue',
  M9: 'An orderly consumer suspends one queue, and no other',
  M10: 'Queue locks of orderly consumers, with expiry',
  M11: 'FIFO messages with a message group',
  M12: 'The delay levels',
  M13: 'Any delay, or a time of delivery',
  M14: 'Recall of a delayed message',
  M15: 'Transactions: half messages, commit, rollback',
  M16: 'Check-back of transactions',
  M17: 'Immunity from the first check, per message',
  M18: 'Transactions stay apart from other producers, batches and delays',
  M19: 'Transactions of gRPC clients',
  M20: 'Batches',
  M21: 'Tag filters',
  M22: 'SQL92 filters',
  M23: 'Clustering: a message to one member, queues divided evenly',
  M24: 'Broadcasting',
  M25: 'Push consumers by long polling',
  M26: 'Pull and lite pull consumers',
  M27: 'Simple and push consumers of gRPC clients',
  M28: 'POP for remoting clients',
  M29: 'Retry after a failed consumption',
  M30: 'Own retry delays, attempts and policies',
  M31: 'Dead letters',
  M32: 'Where a new group begins: first, last, timestamp',
  M33: 'Committed offsets, and going on from them',
  M34: 'Offsets reset to a time',
  M35: 'Skipping a backlog',
  M36: 'At least once: nothing acknowledged is lost',
  M37: 'Unique ids and keys, the same over retries',
  M38: 'Request and reply',
  M39: 'Limits of bodies and properties',
  M40: 'Compressed bodies pass through',
  M41: 'Topics made by their first message',
  M42: 'Groups made by their first member',
  M43: 'Message types of topics',
  M44: 'Read and write queue numbers that differ',
  M45: 'Order topics; static topics are refused',
  M46: 'Compaction topics',
  M47: 'Light queues (LMQ); lite topics are refused',
  M48: 'Priority messages',
  M49: 'Producer and consumer groups, and subscriptions that disagree',
  M50: 'Message trace',
  M51: 'Namespaces',
  M52: 'Pause of a consumer group',
  M53: 'Effects exactly once: what the protocol gives, and what not',
  P1: 'Headers in JSON and in the ROCKETMQ form',
  P2: 'Java clients 4.9 and 5.x',
  P3: 'The Go client v2',
  P4: 'The Python client, whose library is the C++ client',
  P5: 'Node clients',
  P12: 'PROXY protocol v1 and v2',
  P13: 'IPv6',
  P14: 'Unknown requests are refused, and the connection lives',
  P15: 'GO_AWAY when a server stops',
  P16: 'Back pressure with its codes',
  P17: 'Heartbeats v1 and v2',
  P18: 'Clients that are gone are noticed',
  A1: 'gantry admin: names and flags of mqadmin',
  A2: 'The official mqadmin',
  A3: 'Clusters: brokers with their rates, versions and disks',
  A4: 'Topics: create, change, delete, permissions, route, status',
  A5: 'Consumer groups: create, change, delete',
  A6: 'Clients: lag, connections, what they are doing, their stacks',
  A7: 'The configuration of brokers, read and changed while they run',
  A8: 'The configuration of name servers, and their KV pairs',
  A9: 'Messages sent, consumed and printed by hand',
  A10: 'A message handed to a chosen client',
  A11: 'Offsets cloned from one group to another',
  A12: 'Exports of metadata, configurations and metrics',
  A13: 'The traffic of topics and groups (statsAll)',
  A14: 'The console',
  A15: 'The official dashboard',
  A16: 'Alerts',
  A17: 'broker.conf and namesrv.conf of RocketMQ: the same keys, and a word about those that are unknown',
  A19: 'A clean stop on SIGTERM',
  A20: 'NAMESRV_ADDR, lists of name servers, and their DNS names',
  A21: 'Logs that help: a line for each change of state, as JSON',
  A22: 'The official benchmark',
  X1: 'Signed requests: access key and secret',
  X3: 'Users and policies of ACL 2.0',
  X6: 'Members and tools of a cluster with users',
  X7: 'An audit log of changes',
  O1: 'The metrics of RocketMQ 5.x',
  O2: 'The exporter dialect',
  O3: 'Boards for Grafana',
  O4: 'Lag in messages and in time',
  O5: 'Latency of requests by code',
  O6: 'Size of the store, bytes behind, share of the disk',
  O7: 'Half, delayed, in flight, ready and dead messages',
  O8: 'Push of metrics over OTLP',
  O9: 'Metrics of Raft: roles, terms, elections, lag',
  O10: 'Trace contexts of OpenTelemetry and OpenTracing clients arrive',
  O11: 'Health: live, started, ready',
  O12: 'Slow requests and flow control, by code and reason',
  K15: 'Monitors, boards and alerts in the chart',
} as const

export type Feature = keyof typeof FEATURES

/** What no test shows, and why. */
export const NOT_YET: ReadonlyMap<string, string> = new Map<Feature, string>([
  ['M11', 'message groups come with the gRPC proxy; remoting clients choose the queue (M7)'],
  ['M19', 'comes with the gRPC proxy'],
  ['M27', 'comes with the gRPC proxy; remoting clients pop (M28)'],
  ['M46', 'a topic with `cleanup.policy=COMPACTION` is refused, and the answer says so'],
  ['M48', 'comes with the gRPC proxy'],
  ['P5', 'the Node clients speak gRPC, and come with its proxy'],
])

/** Official clients that cannot show a feature which others show, and why. */
export const LACKING: ReadonlyMap<string, string> = new Map<Feature, string>([
  ['M14', 'recall came with the Java client 5.3, and Go v2 has none'],
  ['M28', 'the Java client pops since 5.0, and Go v2 does not'],
  ['M45', 'Go v2 does not read the queues of an order topic out of its route'],
  ['P1', 'Go v2 writes JSON'],
  ['P15', 'Java clients know GO_AWAY since 5.3.2, and Go v2 does not'],
  ['P17', 'Java 4.9.8 and Go v2 have version 1 only'],
])

declare module 'vitest' {
  interface TaskMeta {
    features?: readonly Feature[]
  }
}

/** Notes with a test which features it shows: `test('…', ({ task }) => { covers(task, 'M12') … })`. */
export function covers(
  task: { readonly meta: { features?: readonly Feature[] } },
  ...features: readonly Feature[]
): void {
  task.meta.features = features
}
