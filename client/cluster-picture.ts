/**
 * A cluster at one moment, put together from what its brokers say: topics and groups over all brokers. Pure.
 *
 * A broker that did not answer is there with its problem and with what it said last: what is not known is never shown as zero.
 */
import type { ClientConnection } from '../remoting/bodies/client-connections.ts'
import type {
  PictureBroker,
  PictureGroup,
  PictureTopic,
} from '../remoting/bodies/broker-picture.ts'
import type { BrokerPicture } from './picture-questions.ts'

const RETRY_PREFIX = '%RETRY%'
/** Of topics with messages that a group gave up. */
export const DEAD_LETTER_PREFIX = '%DLQ%'
const SYSTEM_GROUPS = /^(?:CID_ONS|CID_SYS_|CID_RMQ_SYS_|SELF_TEST_|TOOLS_|FILTERSRV_|__MONITOR)/u

export interface NameServerState {
  readonly address: string
  /** Null: it answers. */
  readonly problem: string | null
}

/** What is known of a broker group. */
export interface BrokerState {
  readonly brokerName: string
  readonly cluster: string
  /** Null: no leader is registered. */
  readonly address: string | null
  /** Null: it has answered. */
  readonly problem: string | null
  /** It answers, and does not tell who asks: the problem is the credentials, not the broker. */
  readonly isRefused: boolean
  /** What it said last, and when; null: it never answered. */
  readonly picture: BrokerPicture | null
  readonly pictureAt: number | null
}

export type TopicKind =
  | 'normal'
  | 'fifo'
  | 'delay'
  | 'transaction'
  | 'retry'
  | 'deadLetter'
  | 'system'

export interface TopicOnBroker {
  readonly brokerName: string
  readonly topic: PictureTopic
}

export interface TopicState {
  readonly name: string
  readonly kind: TopicKind
  readonly readQueueNums: number
  readonly writeQueueNums: number
  readonly perm: number
  /** Messages that can be read, and all that ever came. */
  readonly messages: number
  readonly total: number
  readonly inTps: number
  readonly inBytesTps: number
  /** Lag of each group in it. */
  readonly groups: readonly { readonly group: string; readonly lag: number }[]
  readonly on: readonly TopicOnBroker[]
}

export interface QueueProgress {
  readonly brokerName: string
  readonly queueId: number
  /** Null: nothing is committed. */
  readonly committed: number | null
  readonly max: number
  readonly lag: number
}

export interface TopicProgress {
  readonly topic: string
  readonly lag: number
  readonly consumeTps: number
  readonly oldestUnread: number | null
  /** False: the connected members do not subscribe to it (any more); it does not count. */
  readonly isSubscribed: boolean
  readonly queues: readonly QueueProgress[]
}

export interface GroupState {
  readonly name: string
  readonly isSystem: boolean
  readonly config: PictureGroup['config']
  readonly members: number
  readonly clients: readonly ClientConnection[]
  readonly consumeType: string | null
  readonly messageModel: string | null
  readonly consumeFromWhere: string | null
  readonly subscriptions: readonly { readonly topic: string; readonly expression: string }[]
  readonly lag: number
  readonly consumeTps: number
  /** Of all topics that count. */
  readonly oldestUnread: number | null
  readonly topics: readonly TopicProgress[]
  /** Messages that were given up. */
  readonly deadLetters: number
  /** A broker that has told of the group before did not answer now. */
  readonly isStale: boolean
}

export interface ProducerState {
  readonly group: string
  readonly clients: readonly ClientConnection[]
  readonly clientCount: number
}

export interface ClusterPicture {
  readonly at: number
  readonly nameServers: readonly NameServerState[]
  readonly brokers: readonly BrokerState[]
  readonly topics: ReadonlyMap<string, TopicState>
  readonly groups: ReadonlyMap<string, GroupState>
  readonly producers: readonly ProducerState[]
}

export function clusterPicture(
  at: number,
  nameServers: readonly NameServerState[],
  brokers: readonly BrokerState[],
): ClusterPicture {
  const bareTopics = topicsOf(brokers)
  const groups = groupsOf(brokers, bareTopics)
  const lags = new Map<string, { readonly group: string; readonly lag: number }[]>()
  for (const { name, topics } of groups.values()) {
    for (const { topic, lag, isSubscribed } of topics) {
      if (!isSubscribed) continue
      const list = lags.get(topic)
      if (list === undefined) lags.set(topic, [{ group: name, lag }])
      else list.push({ group: name, lag })
    }
  }
  const topics = new Map<string, TopicState>()
  for (const [name, topic] of bareTopics) {
    const known = lags.get(name) ?? []
    topics.set(name, { ...topic, groups: known.toSorted((a, b) => b.lag - a.lag) })
  }
  return { at, nameServers, brokers, topics, groups, producers: producersOf(brokers) }
}

function topicsOf(brokers: readonly BrokerState[]): ReadonlyMap<string, TopicState> {
  const on = new Map<string, TopicOnBroker[]>()
  for (const { brokerName, picture } of brokers) {
    for (const topic of picture?.topics ?? []) {
      const list = on.get(topic.topic)
      if (list === undefined) on.set(topic.topic, [{ brokerName, topic }])
      else list.push({ brokerName, topic })
    }
  }
  const topics = new Map<string, TopicState>()
  for (const name of [...on.keys()].toSorted()) {
    const parts = on.get(name) ?? []
    const sum = (value: (topic: PictureTopic) => number): number =>
      parts.reduce((total, part) => total + value(part.topic), 0)
    const [first] = parts
    if (first === undefined) continue
    topics.set(name, {
      name,
      kind: kindOf(first.topic),
      readQueueNums: sum(({ readQueueNums }) => readQueueNums),
      writeQueueNums: sum(({ writeQueueNums }) => writeQueueNums),
      perm: parts.reduce((bits, part) => bits | part.topic.perm, 0),
      messages: sum(({ queues }) => queues.reduce((all, [min, max]) => all + max - min, 0)),
      total: sum(({ queues }) => queues.reduce((all, [, max]) => all + max, 0)),
      inTps: sum(({ inTps }) => inTps),
      inBytesTps: sum(({ inBytesTps }) => inBytesTps),
      groups: [],
      on: parts,
    })
  }
  return topics
}

function kindOf({ topic, isSystem, attributes }: PictureTopic): TopicKind {
  if (topic.startsWith(RETRY_PREFIX)) return 'retry'
  if (topic.startsWith(DEAD_LETTER_PREFIX)) return 'deadLetter'
  if (isSystem) return 'system'
  const type = attributes.get('message.type')
  if (type === 'FIFO') return 'fifo'
  if (type === 'DELAY') return 'delay'
  if (type === 'TRANSACTION') return 'transaction'
  return 'normal'
}

interface GroupPart {
  readonly brokerName: string
  readonly hasProblem: boolean
  readonly group: PictureGroup
}

function groupsOf(
  brokers: readonly BrokerState[],
  topics: ReadonlyMap<string, TopicState>,
): ReadonlyMap<string, GroupState> {
  const parts = new Map<string, GroupPart[]>()
  for (const { brokerName, picture, problem } of brokers) {
    for (const group of picture?.groups ?? []) {
      const part = { brokerName, group, hasProblem: problem !== null }
      const list = parts.get(group.group)
      if (list === undefined) parts.set(group.group, [part])
      else list.push(part)
    }
  }
  const mins = leastOffsets(topics)
  const groups = new Map<string, GroupState>()
  for (const name of [...parts.keys()].toSorted()) {
    const deadLetters = topics.get(`${DEAD_LETTER_PREFIX}${name}`)?.messages ?? 0
    groups.set(name, groupOf(name, parts.get(name) ?? [], mins, deadLetters))
  }
  return groups
}

function groupOf(
  name: string,
  parts: readonly GroupPart[],
  mins: (brokerName: string, topic: string, queueId: number) => number,
  deadLetters: number,
): GroupState {
  const online = parts.flatMap(({ group }) => (group.online === null ? [] : [group.online]))
  // Clients speak to every broker of their topics: the largest answer is the whole group.
  const [largest = null] = online.toSorted((a, b) => b.clientCount - a.clientCount)
  const clients = new Map(online.flatMap((each) => each.clients.map((one) => [one.clientId, one])))
  const subscribed = new Set(online.flatMap((each) => each.subscriptions.map((one) => one.topic)))
  const topics = progressOf(parts, mins, largest === null ? null : subscribed)
  const counted = topics.filter(({ isSubscribed }) => isSubscribed)
  return {
    name,
    isSystem: SYSTEM_GROUPS.test(name),
    config: parts.find(({ group }) => group.config !== null)?.group.config ?? null,
    members: largest?.clientCount ?? 0,
    clients: [...clients.values()],
    consumeType: largest?.consumeType ?? null,
    messageModel: largest?.messageModel ?? null,
    consumeFromWhere: largest?.consumeFromWhere ?? null,
    subscriptions: largest?.subscriptions ?? [],
    lag: counted.reduce((sum, { lag }) => sum + lag, 0),
    consumeTps: counted.reduce((sum, { consumeTps }) => sum + consumeTps, 0),
    oldestUnread: earliest(counted.map(({ oldestUnread }) => oldestUnread)),
    topics,
    deadLetters,
    isStale: parts.some(({ hasProblem }) => hasProblem),
  }
}

function progressOf(
  parts: readonly GroupPart[],
  mins: (brokerName: string, topic: string, queueId: number) => number,
  subscribed: ReadonlySet<string> | null,
): readonly TopicProgress[] {
  const byTopic = new Map<string, TopicProgress>()
  for (const { brokerName, group } of parts) {
    for (const { topic, consumeTps, oldestUnread, queues } of group.progress) {
      const own = queues.map(([queueId, committed, max]): QueueProgress => {
        const from = Math.max(committed, mins(brokerName, topic, queueId))
        const lag = Math.max(0, max - from)
        return { brokerName, queueId, committed: committed < 0 ? null : committed, max, lag }
      })
      const known = byTopic.get(topic)
      byTopic.set(topic, {
        topic,
        lag: own.reduce((sum, { lag }) => sum + lag, known?.lag ?? 0),
        consumeTps: consumeTps + (known?.consumeTps ?? 0),
        oldestUnread: earliest([oldestUnread, known?.oldestUnread ?? null]),
        isSubscribed: subscribed === null || subscribed.has(topic),
        queues: [...(known?.queues ?? []), ...own],
      })
    }
  }
  return [...byTopic.values()].toSorted((a, b) => b.lag - a.lag || (a.topic < b.topic ? -1 : 1))
}

function leastOffsets(
  topics: ReadonlyMap<string, TopicState>,
): (brokerName: string, topic: string, queueId: number) => number {
  return (brokerName, topic, queueId) => {
    const part = topics.get(topic)?.on.find((each) => each.brokerName === brokerName)
    return part?.topic.queues[queueId]?.[0] ?? 0
  }
}

function earliest(times: readonly (number | null)[]): number | null {
  const known = times.filter((time) => time !== null)
  return known.length === 0 ? null : Math.min(...known)
}

function producersOf(brokers: readonly BrokerState[]): readonly ProducerState[] {
  const groups = new Map<string, ProducerState>()
  for (const { picture } of brokers) {
    for (const { group, clients, clientCount } of picture?.producers ?? []) {
      const known = groups.get(group)
      const all = new Map([...(known?.clients ?? []), ...clients].map((one) => [one.clientId, one]))
      groups.set(group, {
        group,
        clients: [...all.values()],
        clientCount: Math.max(known?.clientCount ?? 0, clientCount, all.size),
      })
    }
  }
  return [...groups.values()].toSorted((a, b) => (a.group < b.group ? -1 : 1))
}

/** Share of the disk that is used; null when it is not known. */
export function diskRatioOf({ diskUsedBytes, diskTotalBytes }: PictureBroker): number | null {
  return diskTotalBytes > 0 ? diskUsedBytes / diskTotalBytes : null
}
