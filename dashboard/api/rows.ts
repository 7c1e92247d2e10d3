/** Rows of the lists, from the picture. Pure. */
import { diskRatioOf } from '../../client/cluster-picture.ts'
import type { BrokerState, GroupState, TopicState } from '../../client/cluster-picture.ts'
import type { ClientConnection } from '../../remoting/bodies/client-connections.ts'
import { Permission } from '../../remoting/bodies/topic-config.ts'
import { versionName } from '../../remoting/version-name.ts'
import type { BrokerRates, BrokerRow, ClientRow, GroupRow, TopicRow } from '../api-types.ts'

/** Groups that are named in the list of topics. */
const GROUPS_NAMED = 4

export function brokerRow(state: BrokerState, rates: BrokerRates | null): BrokerRow {
  const { brokerName, cluster, address, problem, picture, pictureAt } = state
  const broker = picture?.broker
  const members = broker?.members ?? []
  const lags = members.flatMap(({ lagBytes }) => (lagBytes === null ? [] : [lagBytes]))
  return {
    brokerName,
    cluster,
    address,
    problem,
    at: pictureAt,
    leader: members.find(({ role }) => role === 'leader')?.id ?? null,
    term: broker?.term ?? null,
    members,
    lagBytes: lags.length === 0 ? null : Math.max(...lags),
    diskRatio: broker === undefined ? null : diskRatioOf(broker),
    diskUsedBytes: broker?.diskUsedBytes ?? 0,
    diskTotalBytes: broker?.diskTotalBytes ?? 0,
    commitLogBytes: broker?.commitLogBytes ?? 0,
    residentBytes: broker?.residentBytes ?? 0,
    oldestMessageTimestamp: broker?.oldestMessageTimestamp ?? null,
    bootTimestamp: broker?.bootTimestamp ?? null,
    isWritable:
      broker !== undefined &&
      broker.readOnlyReason === null &&
      (broker.brokerPermission & Permission.WRITE) !== 0,
    topics: broker?.topics ?? 0,
    groups: broker?.groups ?? 0,
    version: broker === undefined ? '' : versionName(broker.version),
    rates,
  }
}

export function topicRow(topic: TopicState): TopicRow {
  const { name, kind, readQueueNums, writeQueueNums, perm, messages, inTps, inBytesTps } = topic
  return {
    name,
    kind,
    readQueueNums,
    writeQueueNums,
    perm,
    messages,
    inTps,
    inBytesTps,
    groupCount: topic.groups.length,
    lag: topic.groups.reduce((most, { lag }) => Math.max(most, lag), 0),
    groups: topic.groups.slice(0, GROUPS_NAMED),
  }
}

const CONSUME_TYPES: Readonly<Record<string, string>> = {
  CONSUME_ACTIVELY: 'pull',
  CONSUME_PASSIVELY: 'push',
  CONSUME_POP: 'pop',
}

export function groupRow(group: GroupState): GroupRow {
  const { name, isSystem, members, lag, consumeTps, oldestUnread, deadLetters, isStale } = group
  return {
    name,
    isSystem,
    members,
    type: group.consumeType === null ? null : (CONSUME_TYPES[group.consumeType] ?? null),
    model: group.messageModel?.toLowerCase() ?? null,
    topicCount: group.topics.filter(({ topic }) => !topic.startsWith('%RETRY%')).length,
    lag,
    consumeTps,
    oldestUnread,
    deadLetters,
    isStale,
    consumeEnable: group.config?.consumeEnable ?? true,
  }
}

export function clientRow(client: ClientConnection): ClientRow {
  const { clientId, clientAddr, language, version } = client
  return { clientId, address: clientAddr, language, version: versionName(version) }
}
