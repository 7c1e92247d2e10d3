/** The broker's admin port: health, metrics, and the facts of `common/admin-contract.ts`. */
import { commonAdminRoutes } from '../common/admin-server.ts'
import type {
  ConfigFacts,
  DrainFacts,
  DrainLag,
  RaftFacts,
  StoreFacts,
} from '../common/admin-contract.ts'
import type { AdminRoutes } from '../common/admin-server.ts'
import type { Registry } from '../common/metrics.ts'
import type { BrokerParts } from './parts.ts'

const MINUTE_SECONDS = 60

export interface AdminRoutesOptions {
  readonly parts: BrokerParts
  readonly registry: Registry
  readonly member: string
  readonly term: () => number
  readonly inFlightSends: () => number
  /** Messages that wait for their time. */
  readonly delayedMessages: () => number
  readonly notStarted: () => string | null
  readonly notReady: () => string | null
}

export function adminRoutes(options: AdminRoutesOptions): AdminRoutes {
  const { registry, notStarted, notReady } = options
  return {
    ...commonAdminRoutes({ isLive: () => true, notReady, notStarted }, registry),
    'GET /admin/v1/raft': () => factsAnswer(options, raftFacts),
    'GET /admin/v1/drain': () => factsAnswer(options, drainFacts),
    'GET /admin/v1/store': () => factsAnswer(options, storeFacts),
    'GET /admin/v1/config': () => ({ status: 200, body: configFacts(options) }),
  }
}

/** Before the log has been recovered nothing is known, which is not the same as zero. */
function factsAnswer(
  options: AdminRoutesOptions,
  facts: (options: AdminRoutesOptions) => unknown,
): { readonly status: number; readonly body: unknown } {
  const problem = options.notStarted()
  if (problem !== null) return { status: 503, body: { error: problem } }
  return { status: 200, body: facts(options) }
}

/** A group of one member: it leads, and what is in its log is committed when the store says so. */
export function raftFacts({ parts, term }: Pick<AdminRoutesOptions, 'parts' | 'term'>): RaftFacts {
  const status = parts.store.status()
  const { brokerIP1, listenPort } = parts.config.values
  return {
    id: 0,
    incarnation: 0,
    role: 'leader',
    term: term(),
    leader: 0,
    isReady: true,
    commitOffset: status.commitOffset,
    endOffset: status.maxPhysicalOffset,
    members: [{ id: 0, role: 'voter', incarnation: 0, address: `${brokerIP1}:${listenPort}` }],
    peers: [],
  }
}

function storeFacts({ parts }: AdminRoutesOptions): StoreFacts {
  const status = parts.store.status()
  const disk = parts.diskSpace()
  return {
    usedBytes: disk === null ? status.commitLogBytes : disk.totalBytes - disk.availableBytes,
    capacityBytes: disk?.totalBytes ?? 0,
    minPhysicalOffset: status.minPhysicalOffset,
    maxPhysicalOffset: status.maxPhysicalOffset,
    oldestMessageTimestamp: status.earliestMessageTimestamp,
    readOnlyReason: status.readOnlyReason,
    topics: parts.topics.all.size,
    consumerGroups: parts.groups.all.size,
  }
}

function configFacts({ parts }: AdminRoutesOptions): ConfigFacts {
  const entries: Record<string, ConfigFacts['entries'][string]> = {}
  for (const { key, ...facts } of parts.config.entries()) entries[key] = facts
  return { entries }
}

/**
 * What keeps this group from going: every queue with messages that a group has not consumed, or that nobody consumes.
 *
 * A group is measured where it has committed an offset or subscribes; broadcast groups keep theirs at the clients and are only named.
 */
export function drainFacts({
  parts,
  inFlightSends,
  delayedMessages,
}: AdminRoutesOptions): DrainFacts {
  const { clients, config, offsets, stats } = parts
  const broadcastGroups = clients.consumerGroups.filter(
    (group) => clients.messageModel(group) === 'BROADCASTING',
  )
  const lags: DrainLag[] = []
  for (const topic of topicsWithMessages(parts)) {
    const groups = new Set([...offsets.groupsOf(topic), ...clients.groupsSubscribing(topic)])
    const measured = [...groups].filter((group) => !broadcastGroups.includes(group))
    const readers = measured.length > 0 || groups.size > 0 ? measured : [null]
    for (const group of readers) {
      const lag = lagOf(parts, topic, group)
      if (lag !== null) lags.push(lag)
    }
  }
  const { brokerClusterName, brokerName, brokerPermission } = config.values
  return {
    group: brokerName,
    brokerPermission,
    inFlightSends: inFlightSends(),
    lags,
    popInFlight: 0,
    delayedMessages: delayedMessages(),
    halfMessages: 0,
    consumedPerMinute: Math.round(stats.tps('BROKER_GET_NUMS', brokerClusterName) * MINUTE_SECONDS),
    broadcastGroups,
  }
}

/** Topics of users which hold a message. */
function topicsWithMessages({ store, topics }: BrokerParts): ReadonlySet<string> {
  const found = new Set<string>()
  for (const { topic, minOffset, maxOffset } of store.queues()) {
    if (maxOffset > minOffset && !topics.isSystem(topic)) found.add(topic)
  }
  return found
}

function lagOf(
  { offsets, store, topics }: BrokerParts,
  topic: string,
  group: string | null,
): DrainLag | null {
  const config = topics.get(topic)
  const queueCount =
    config === undefined ? 0 : Math.max(config.readQueueNums, config.writeQueueNums)
  let messages = 0
  let worst = { queueId: 0, messages: 0 }
  for (let queueId = 0; queueId < queueCount; queueId++) {
    const min = store.minOffsetInQueue(topic, queueId)
    const max = store.maxOffsetInQueue(topic, queueId)
    const committed = group === null ? min : (offsets.query(group, topic, queueId) ?? min)
    const behind = Math.max(0, max - Math.max(min, committed))
    messages += behind
    if (behind > worst.messages) worst = { queueId, messages: behind }
  }
  if (messages === 0) return null
  return { topic, consumerGroup: group, messages, queueId: worst.queueId }
}
