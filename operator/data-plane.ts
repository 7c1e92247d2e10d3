/** The `DataPlane` over the remoting protocol and the admin port. What cannot be had within the time is null. */
import type { RaftMembersChange, RaftTransfer } from '../common/admin-contract.ts'
import type { Logger } from '../common/log.ts'
import { GantryError, messageOf } from '../common/errors.ts'
import type { Runtime } from '../common/ports.ts'
import type { AdminClient } from '../client/admin.ts'
import { ClientError } from '../client/errors.ts'
import { openAdmin } from '../client/open-admin.ts'
import {
  parseConfigFacts,
  parseDrainFacts,
  parseRaftFacts,
  parseStoreFacts,
} from './admin-facts.ts'
import { copyUsers, missingUsers } from './copy-users.ts'
import { canonicalJson, isRecord, textAt } from './json.ts'
import type { BrokerRegistration, DataPlane, DataPlanes, PodEndpoint } from './ports.ts'

/** Half of what a pass may spend on looking, since some facts take two calls. */
const TIMEOUT_MS = 2_000
/** Topics or groups in one request. */
const COPY_BATCH = 500
/** Every broker has it, so its route tells of every group whether it takes writes. */
const PROBE_TOPIC = 'SELF_TEST_TOPIC'
const MASTER_ID = 0
const WRITE_BIT = 2

export type DataPlaneErrorCode = 'refused'

/** The admin port refused what it was asked to do. */
export class DataPlaneError extends GantryError<DataPlaneErrorCode> {}

/** Connections are shared by all clusters, credentials are not. */
export function createDataPlanes(options: {
  readonly runtime: Runtime
  readonly logger: Logger
}): DataPlanes & AsyncDisposable {
  const { runtime, logger } = options
  const opened = openAdmin(runtime, logger, { timeoutMs: TIMEOUT_MS })
  return {
    as: (credentials) =>
      dataPlaneOver(credentials === null ? opened.admin : opened.as(credentials), logger),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  }
}

function dataPlaneOver(admin: AdminClient, logger: Logger): DataPlane {
  async function unlessUnreachable<Value>(
    what: string,
    look: () => Promise<Value>,
  ): Promise<Value | null> {
    try {
      return await look()
    } catch (error) {
      logger.debug({ err: messageOf(error), what }, 'a fact is not known')
      return null
    }
  }

  async function facts<Value>(
    pod: PodEndpoint,
    path: string,
    parse: (value: unknown) => Value | null,
  ): Promise<Value | null> {
    return await unlessUnreachable(`${pod.pod}${path}`, async () => parse(await getJson(pod, path)))
  }

  return {
    raft: (pod) => facts(pod, '/admin/v1/raft', parseRaftFacts),
    drain: (pod) => facts(pod, '/admin/v1/drain', parseDrainFacts),
    store: (pod) => facts(pod, '/admin/v1/store', parseStoreFacts),
    config: (pod) => facts(pod, '/admin/v1/config', parseConfigFacts),
    registrations: (namesrv) =>
      unlessUnreachable(`${namesrv.pod} registrations`, () => registrationsAt(admin, namesrv)),
    updateBrokerConfig: (broker, entries) => admin.updateBrokerConfig(addressOf(broker), entries),
    copyMetadata: (from, to) => copyMetadata(admin, from, to),
    hasMetadataOf: (from, to) =>
      unlessUnreachable(`metadata of ${to.pod}`, async () => {
        const { topics, groups } = await missingMetadata(admin, from, to)
        if (topics.missing.length > 0 || groups.missing.length > 0) return false
        const { users, acls } = await missingUsers(admin, addressOf(from), addressOf(to))
        return users.length === 0 && acls.length === 0
      }),
    async setWritePermission(namesrv, brokerName, writable) {
      if (writable) await admin.addWritePermission(addressOf(namesrv), brokerName)
      else await admin.wipeWritePermission(addressOf(namesrv), brokerName)
    },
    unregisterBroker: (namesrv, clusterName, brokerName) =>
      unregister(admin, addressOf(namesrv), { clusterName, brokerName }),
    transferLeadership: (leader, to) => {
      const transfer: RaftTransfer = { to }
      return postJson(leader, '/admin/v1/raft/transfer', transfer)
    },
    removeMember: (leader, remove) => {
      const change: RaftMembersChange = { remove }
      return postJson(leader, '/admin/v1/raft/members', change)
    },
  }
}

async function registrationsAt(
  admin: AdminClient,
  namesrv: PodEndpoint,
): Promise<ReadonlyMap<string, BrokerRegistration>> {
  const address = addressOf(namesrv)
  const [info, route] = await Promise.all([
    admin.clusterInfo(address),
    admin.route(address, PROBE_TOPIC),
  ])
  const permissions = new Map(
    (route?.queueDatas ?? []).map(({ brokerName, perm }) => [brokerName, perm]),
  )
  const found = new Map<string, BrokerRegistration>()
  for (const [brokerName, { cluster, brokerAddrs }] of info.brokers) {
    const master = brokerAddrs.get(MASTER_ID)
    if (master === undefined) continue
    const perm = permissions.get(brokerName)
    found.set(brokerName, {
      clusterName: cluster,
      address: master,
      topics: perm === undefined ? 0 : 1,
      writableTopics: perm !== undefined && (perm & WRITE_BIT) !== 0 ? 1 : 0,
    })
  }
  return found
}

interface Missing<Item> {
  readonly missing: readonly Item[]
  /** There, but configured differently. */
  readonly different: readonly Item[]
}

async function missingMetadata(
  admin: AdminClient,
  from: PodEndpoint,
  to: PodEndpoint,
): Promise<{
  readonly topics: Missing<Topic>
  readonly groups: Missing<Group>
}> {
  const [source, target] = [addressOf(from), addressOf(to)]
  const [sourceTopics, targetTopics, sourceGroups, targetGroups] = await Promise.all([
    admin.getAllTopicConfig(source),
    admin.getAllTopicConfig(target),
    admin.getAllSubscriptionGroup(source),
    admin.getAllSubscriptionGroup(target),
  ])
  const own = brokerNameOf(from)
  const topics = [...sourceTopics.topics.values()].filter(
    // Topics that bear a broker's name are of that broker alone.
    ({ topicName }) => topicName !== own && !topicName.endsWith(`_${own}`),
  )
  return {
    topics: compare(topics, ({ topicName }) => targetTopics.topics.get(topicName)),
    groups: compare([...sourceGroups.groups.values()], ({ groupName }) =>
      targetGroups.groups.get(groupName),
    ),
  }
}

type Topic = Parameters<AdminClient['createTopics']>[1][number]
type Group = Parameters<AdminClient['createGroups']>[1][number]

function compare<Item>(
  items: readonly Item[],
  twinOf: (item: Item) => Item | undefined,
): Missing<Item> {
  const missing = items.filter((item) => twinOf(item) === undefined)
  const different = items.filter((item) => {
    const twin = twinOf(item)
    return twin !== undefined && comparable(twin) !== comparable(item)
  })
  return { missing, different }
}

function comparable(value: unknown): string {
  const plain: unknown = JSON.parse(
    JSON.stringify(value, (_name, member: unknown) =>
      member instanceof Map ? Object.fromEntries([...member]) : member,
    ),
  )
  return canonicalJson(plain)
}

async function copyMetadata(
  admin: AdminClient,
  from: PodEndpoint,
  to: PodEndpoint,
): Promise<{ readonly topics: number; readonly consumerGroups: number }> {
  const target = addressOf(to)
  const { topics, groups } = await missingMetadata(admin, from, to)
  for (const batch of batches(topics.missing)) await admin.createTopics(target, batch)
  for (const batch of batches(groups.missing)) await admin.createGroups(target, batch)
  // System topics and groups are each broker's own; it refuses to have them changed.
  for (const topic of topics.different) await unlessRejected(admin.createTopic(target, topic))
  for (const group of groups.different) await unlessRejected(admin.createGroup(target, group))
  await copyUsers(admin, addressOf(from), target)
  return { topics: topics.missing.length, consumerGroups: groups.missing.length }
}

function batches<Item>(items: readonly Item[]): readonly (readonly Item[])[] {
  const count = Math.ceil(items.length / COPY_BATCH)
  return Array.from({ length: count }, (_, batch) =>
    items.slice(batch * COPY_BATCH, (batch + 1) * COPY_BATCH),
  )
}

async function unlessRejected(call: Promise<void>): Promise<void> {
  try {
    await call
  } catch (error) {
    if (error instanceof ClientError && error.code === 'rejected') return
    throw error
  }
}

async function unregister(
  admin: AdminClient,
  address: string,
  broker: { readonly clusterName: string; readonly brokerName: string },
): Promise<void> {
  const known = (await admin.clusterInfo(address)).brokers.get(broker.brokerName)
  for (const [brokerId, brokerAddr] of known?.brokerAddrs ?? []) {
    await admin.unregisterBroker(address, { ...broker, brokerAddr, brokerId })
  }
}

/** What has begun is seen on the facts of the members, not here. */
async function postJson(pod: PodEndpoint, path: string, request: unknown): Promise<void> {
  const response = await fetch(`${adminUrl(pod)}${path}`, {
    method: 'POST',
    body: JSON.stringify(request),
    headers: { 'content-type': 'application/json' },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
  const answer = await response.text()
  if (response.ok) return
  throw new DataPlaneError('refused', `${pod.pod} refuses: ${reasonOf(answer, response.status)}`)
}

function reasonOf(answer: string, status: number): string {
  try {
    const body: unknown = JSON.parse(answer)
    return textAt(body, 'reason') ?? textAt(body, 'error') ?? `HTTP ${status}`
  } catch {
    return `HTTP ${status}`
  }
}

async function getJson(pod: PodEndpoint, path: string): Promise<unknown> {
  const response = await fetch(`${adminUrl(pod)}${path}`, {
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
  const body: unknown = await response.json()
  if (!response.ok || !isRecord(body)) {
    throw new DataPlaneError('refused', `${pod.pod}${path}: HTTP ${response.status}`)
  }
  return body
}

function addressOf({ host, remotingPort }: PodEndpoint): string {
  return `${host}:${remotingPort}`
}

function adminUrl({ host, adminPort }: PodEndpoint): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${adminPort}`
}

/** The pod `<brokerName>-<member>`. */
function brokerNameOf({ pod }: PodEndpoint): string {
  return pod.slice(0, pod.lastIndexOf('-'))
}
