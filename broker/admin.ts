/** The broker's admin port: health, metrics, and the facts of `common/admin-contract.ts`. */
import { AdminError, commonAdminRoutes } from '../common/admin-server.ts'
import type { ConfigFacts, DrainFacts, DrainLag, StoreFacts } from '../common/admin-contract.ts'
import type { AdminAnswer, AdminRequest, AdminRoutes } from '../common/admin-server.ts'
import type { GroupMember } from './group-member.ts'
import type { Registry } from '../common/metrics.ts'
import type { BrokerParts } from './parts.ts'

const MINUTE_SECONDS = 60

export interface AdminRoutesOptions {
  readonly parts: BrokerParts
  readonly registry: Registry
  readonly member: GroupMember
  /** Hands leadership over; why that cannot be, or null when it has begun. */
  readonly transfer: (to: number | null) => Promise<string | null>
  readonly inFlightSends: () => number
  /** Messages that wait for their time. */
  readonly delayedMessages: () => number
  /** Metrics in the words of rocketmq-exporter. */
  readonly exporterMetrics: () => Promise<string>
  readonly notStarted: () => string | null
  readonly notReady: () => string | null
}

export function adminRoutes(options: AdminRoutesOptions): AdminRoutes {
  const { registry, notStarted, notReady } = options
  return {
    ...commonAdminRoutes({ isLive: () => true, notReady, notStarted }, registry),
    'GET /metrics/exporter': () => exporterAnswer(options),
    'GET /admin/v1/raft': () => factsAnswer(options, ({ member }) => member.facts),
    'POST /admin/v1/raft/transfer': async (request) =>
      changed(await options.transfer(idIn(request, 'to'))),
    'POST /admin/v1/raft/members': (request) => {
      const id = idIn(request, 'remove')
      if (id === null) throw new AdminError('badRequest', 'remove is missing')
      return changed(options.member.remove(id))
    },
    'GET /admin/v1/drain': () => factsAnswer(options, drainFacts),
    'GET /admin/v1/store': () => factsAnswer(options, storeFacts),
    'GET /admin/v1/config': () => ({ status: 200, body: configFacts(options) }),
  }
}

/** The exporter asks the leaders only: a follower that told the same would be counted twice by every sum. */
async function exporterAnswer({
  notStarted,
  member,
  exporterMetrics,
}: AdminRoutesOptions): Promise<AdminAnswer> {
  const contentType = 'text/plain; version=0.0.4; charset=utf-8'
  if (notStarted() !== null) return { status: 503, body: '', contentType }
  if (member.facts?.role !== 'leader') {
    return { status: 200, body: '# The leader of this group answers.\n', contentType }
  }
  return { status: 200, body: await exporterMetrics(), contentType }
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

function changed(refusal: string | null): AdminAnswer {
  return refusal === null ? { status: 202, body: {} } : { status: 409, body: { reason: refusal } }
}

/** The id of a member in the body of a request; null when there is none. */
function idIn({ body }: AdminRequest, name: string): number | null {
  let fields: unknown
  try {
    fields = JSON.parse(body === '' ? '{}' : body)
  } catch (error) {
    throw new AdminError('badRequest', 'the body is no JSON', error)
  }
  const members = typeof fields === 'object' && fields !== null ? Object.entries(fields) : []
  const value: unknown = new Map<string, unknown>(members).get(name) ?? null
  if (value === null) return null
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw new AdminError('badRequest', `${name} is the id of a member or null`)
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
}: Pick<AdminRoutesOptions, 'parts' | 'inFlightSends' | 'delayedMessages'>): DrainFacts {
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
