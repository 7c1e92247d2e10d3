/** What administrators ask beyond `AdminClient`: who is connected, who reads what, single messages. Each names the broker that it asks. */
import { formatHostAddress } from '../common/host-address.ts'
import { decodeOffsetMessageId } from '../common/message-id.ts'
import { decodeRecord, iterateRecords } from '../common/message-codec.ts'
import type { StoredMessage } from '../common/message.ts'
import {
  decodeConsumerConnection,
  decodeProducerConnection,
} from '../remoting/bodies/client-connections.ts'
import type {
  ClientConnection,
  ConsumerConnectionView,
} from '../remoting/bodies/client-connections.ts'
import { parseFastjson } from '../remoting/bodies/fastjson.ts'
import {
  asObject,
  integerMember,
  optionalObject,
  textEntries,
} from '../remoting/bodies/json-members.ts'
import { encodeRequestMode } from '../remoting/bodies/pop-bodies.ts'
import type { RequestModeSetting } from '../remoting/bodies/pop-bodies.ts'
import { decodeResetOffsetBody } from '../remoting/bodies/reset-offset-body.ts'
import type { QueuePosition } from '../remoting/bodies/reset-offset-body.ts'
import { decodeGroupList } from '../remoting/bodies/simple-bodies.ts'
import { decodeSubscriptionGroupConfig } from '../remoting/bodies/subscription-group-config.ts'
import type { SubscriptionGroupConfig } from '../remoting/bodies/subscription-group-config.ts'
import { topicConfigOf } from '../remoting/bodies/topic-config.ts'
import type { TopicConfig } from '../remoting/bodies/topic-config.ts'
import { pullFields } from '../remoting/pull-fields.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import type { AdminClient } from './admin.ts'
import { ClientError } from './errors.ts'

/** Null when the broker has no such topic. */
export async function topicConfigAt(
  admin: AdminClient,
  broker: string,
  topic: string,
): Promise<TopicConfig | null> {
  const request = { code: RequestCode.GET_TOPIC_CONFIG, extFields: { topic } }
  const answer = await admin.ask(broker, request, [ResponseCode.TOPIC_NOT_EXIST])
  if (answer.code !== ResponseCode.SUCCESS) return null
  return topicConfigOf(asObject(parseFastjson(answer.body), 'TopicConfig'))
}

/** Null when the broker has no such group. */
export async function groupConfigAt(
  admin: AdminClient,
  broker: string,
  group: string,
): Promise<SubscriptionGroupConfig | null> {
  const request = { code: RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, extFields: { group } }
  const answer = await admin.ask(broker, request, [ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST])
  return answer.code === ResponseCode.SUCCESS ? decodeSubscriptionGroupConfig(answer.body) : null
}

/** Groups that subscribe to a topic or have offsets in it. */
export async function groupsOfTopic(
  admin: AdminClient,
  broker: string,
  topic: string,
): Promise<readonly string[]> {
  const code = RequestCode.QUERY_TOPIC_CONSUME_BY_WHO
  return decodeGroupList((await admin.ask(broker, { code, extFields: { topic } })).body)
}

/** Null when nobody of the group is connected to the broker. */
export async function consumerConnection(
  admin: AdminClient,
  broker: string,
  consumerGroup: string,
): Promise<ConsumerConnectionView | null> {
  const code = RequestCode.GET_CONSUMER_CONNECTION_LIST
  const answer = await admin.ask(broker, { code, extFields: { consumerGroup } }, [
    ResponseCode.CONSUMER_NOT_ONLINE,
  ])
  return answer.code === ResponseCode.SUCCESS ? decodeConsumerConnection(answer.body) : null
}

/** Empty when nobody of the group is connected to the broker. */
export async function producerConnections(
  admin: AdminClient,
  broker: string,
  producerGroup: string,
): Promise<readonly ClientConnection[]> {
  const code = RequestCode.GET_PRODUCER_CONNECTION_LIST
  const answer = await admin.ask(broker, { code, extFields: { producerGroup } }, [
    ResponseCode.SYSTEM_ERROR,
  ])
  return answer.code === ResponseCode.SUCCESS ? decodeProducerConnection(answer.body) : []
}

export interface OffsetReset {
  readonly group: string
  readonly topic: string
  /** Milliseconds since 1970; negative: to the end. */
  readonly timestamp: number
  /** All queues when absent. */
  readonly queueId?: number
  /** Instead of the timestamp. */
  readonly queueOffset?: number
}

/** Moves a group; its members go on from there. Resolves with the new positions. */
export async function resetOffsets(
  admin: AdminClient,
  broker: string,
  { group, topic, timestamp, queueId = -1, queueOffset = -1 }: OffsetReset,
): Promise<readonly QueuePosition[]> {
  const answer = await admin.ask(broker, {
    code: RequestCode.INVOKE_BROKER_TO_RESET_OFFSET,
    extFields: {
      group,
      topic,
      queueId: String(queueId),
      offset: String(queueOffset),
      timestamp: String(timestamp),
      isForce: 'true',
    },
  })
  return decodeResetOffsetBody(answer.body)
}

export interface GroupOffset {
  readonly group: string
  readonly topic: string
  readonly queueId: number
  /** Next to be consumed. */
  readonly queueOffset: number
}

/** All offsets that groups have committed on a broker. */
export async function allOffsets(
  admin: AdminClient,
  broker: string,
): Promise<readonly GroupOffset[]> {
  const { body } = await admin.ask(broker, { code: RequestCode.GET_ALL_CONSUMER_OFFSET })
  const table = optionalObject(asObject(parseFastjson(body), 'ConsumerOffset'), 'offsetTable')
  return (table === null ? [] : textEntries(table)).flatMap(([key, queues]) => {
    const [topic = '', ...group] = key.split('@')
    return textEntries(asObject(queues, key)).map(([queueId, queueOffset]) => ({
      ...{ topic, group: group.join('@') },
      ...{ queueId: Number(queueId), queueOffset: Number(queueOffset) },
    }))
  })
}

/** Gives a group the offsets that another one has in a topic. */
export async function cloneOffsets(
  admin: AdminClient,
  broker: string,
  asked: {
    readonly srcGroup: string
    readonly destGroup: string
    readonly topic: string
    /** Also what the source, which is online, does not subscribe to. */
    readonly offline: boolean
  },
): Promise<void> {
  await admin.ask(broker, {
    code: RequestCode.CLONE_GROUP_OFFSET,
    extFields: { ...asked, offline: String(asked.offline) },
  })
}

/** Says whether a group pulls or pops a topic. */
export async function setRequestMode(
  admin: AdminClient,
  broker: string,
  setting: RequestModeSetting,
): Promise<void> {
  const body = encodeRequestMode(setting)
  await admin.ask(broker, { code: RequestCode.SET_MESSAGE_REQUEST_MODE, body })
}

export interface KeyQuery {
  readonly topic: string
  readonly key: string
  readonly maxMessages: number
  readonly beginTimestamp: number
  readonly endTimestamp: number
  /** The key is the unique id that the client gave. */
  readonly isUniqueId: boolean
  /** The key is a tag. */
  readonly isTag?: boolean
}

/** Newest first, as the broker's index has them: messages whose key only hashes alike may be among them. */
export async function messagesByKey(
  admin: AdminClient,
  broker: string,
  query: KeyQuery,
): Promise<readonly StoredMessage[]> {
  const { topic, key, maxMessages, beginTimestamp, endTimestamp, isUniqueId, isTag } = query
  const request = {
    code: RequestCode.QUERY_MESSAGE,
    extFields: {
      topic,
      key,
      maxNum: String(maxMessages),
      beginTimestamp: String(beginTimestamp),
      endTimestamp: String(endTimestamp),
      ...(isUniqueId ? { _UNIQUE_KEY_QUERY: 'true' } : {}),
      ...(isTag === true ? { indexType: 'T' } : {}),
    },
  }
  const answer = await admin.ask(broker, request, [ResponseCode.QUERY_NOT_FOUND])
  return answer.code === ResponseCode.SUCCESS ? [...iterateRecords(answer.body)] : []
}

/** The message that an offset id names, asked of the broker whose address it holds. */
export async function messageByOffsetId(
  admin: AdminClient,
  offsetId: string,
): Promise<StoredMessage> {
  const decoded = decodeOffsetMessageId(offsetId)
  if (decoded === null) throw new ClientError('badAnswer', `${offsetId} is no offset message id`)
  const { host, physicalOffset } = decoded
  const answer = await admin.ask(formatHostAddress(host), {
    code: RequestCode.VIEW_MESSAGE_BY_ID,
    extFields: { offset: String(physicalOffset) },
  })
  return decodeRecord(answer.body)
}

/** Messages of a queue from an offset on; resolves with what one pull brings, and where the next one begins. */
export async function pullOnce(
  admin: AdminClient,
  broker: string,
  asked: {
    readonly consumerGroup: string
    readonly topic: string
    readonly queueId: number
    readonly queueOffset: number
    readonly maxMessages: number
    readonly expression?: string
  },
): Promise<{ readonly messages: readonly StoredMessage[]; readonly nextOffset: number }> {
  const { queueOffset } = asked
  const request = { code: RequestCode.PULL_MESSAGE, extFields: pullFields(asked) }
  const answer = await admin.ask(broker, request, [
    ResponseCode.PULL_NOT_FOUND,
    ResponseCode.PULL_RETRY_IMMEDIATELY,
    ResponseCode.PULL_OFFSET_MOVED,
  ])
  const nextOffset = Number(answer.extFields.get('nextBeginOffset') ?? queueOffset)
  if (answer.code !== ResponseCode.SUCCESS) return { messages: [], nextOffset }
  const messages = [...iterateRecords(answer.body)].filter(
    (message) => message.queueOffset >= queueOffset,
  )
  return { messages, nextOffset }
}

export interface StatsView {
  readonly sum: number
  readonly tps: number
}

/** A statistic of the last minute and day; null when nothing was counted. */
export async function statsView(
  admin: AdminClient,
  broker: string,
  statsName: string,
  statsKey: string,
): Promise<{ readonly minute: StatsView; readonly day: StatsView } | null> {
  const code = RequestCode.VIEW_BROKER_STATS_DATA
  const request = { code, extFields: { statsName, statsKey } }
  const answer = await admin.ask(broker, request, [ResponseCode.SYSTEM_ERROR])
  if (answer.code !== ResponseCode.SUCCESS) return null
  const json = asObject(parseFastjson(answer.body), 'BrokerStatsData')
  const windowOf = (name: string): StatsView => {
    const view = optionalObject(json, name)
    if (view === null) return { sum: 0, tps: 0 }
    return { sum: integerMember(view, 'sum', 0), tps: Number(view.get('tps') ?? 0) }
  }
  return { minute: windowOf('statsMinute'), day: windowOf('statsDay') }
}

/** Requests that have no fields and whose answer is yes: 306, 316, 329. */
export async function maintain(
  admin: AdminClient,
  broker: string,
  task: 'cleanExpiredConsumeQueue' | 'cleanUnusedTopic' | 'deleteExpiredCommitLog',
): Promise<void> {
  const codes = {
    cleanExpiredConsumeQueue: RequestCode.CLEAN_EXPIRED_CONSUMEQUEUE,
    cleanUnusedTopic: RequestCode.CLEAN_UNUSED_TOPIC,
    deleteExpiredCommitLog: RequestCode.DELETE_EXPIRED_COMMITLOG,
  } as const
  await admin.ask(broker, { code: codes[task] })
}
