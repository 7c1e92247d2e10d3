/** What tools ask about progress and connections: 202, 208, 203, 204, 300, 343, 315. */
import {
  encodeConsumerConnection,
  encodeProducerConnection,
} from '../../remoting/bodies/client-connections.ts'
import { encodeConsumeStats } from '../../remoting/bodies/consume-stats.ts'
import { formatFastjson } from '../../remoting/bodies/fastjson.ts'
import { encodeTopicList } from '../../remoting/bodies/simple-bodies.ts'
import { encodeTopicStatsTable } from '../../remoting/bodies/topic-stats-table.ts'
import { LanguageCode } from '../../remoting/command.ts'
import { optionalString, requireString } from '../../remoting/header-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { answer, success, topicNotExist } from './answers.ts'
import { queueProgress } from './queue-progress.ts'
import type { ClientConnection } from '../../remoting/bodies/client-connections.ts'
import type { QueueConsumeStats } from '../../remoting/bodies/consume-stats.ts'
import type { Processor, RemotingRequest } from '../../remoting/connection.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { Client } from '../client-registry.ts'
import type { BrokerParts } from '../parts.ts'

type Handler = (parts: BrokerParts, request: RemotingRequest) => ResponseContent

/** The processors of this family by code. */
export function statsProcessors(parts: BrokerParts): ReadonlyMap<number, Processor> {
  const handlers: readonly (readonly [number, Handler])[] = [
    [RequestCode.GET_TOPIC_STATS_INFO, topicStats],
    [RequestCode.GET_CONSUME_STATS, consumeStats],
    [RequestCode.GET_CONSUMER_CONNECTION_LIST, consumerConnections],
    [RequestCode.GET_PRODUCER_CONNECTION_LIST, producerConnections],
    [RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, groupsOfTopic],
    [RequestCode.QUERY_TOPICS_BY_CONSUMER, topicsOfGroup],
    [RequestCode.VIEW_BROKER_STATS_DATA, viewStats],
  ]
  return new Map(
    handlers.map(([code, handle]) => [
      code,
      (request: RemotingRequest) => request.respond(handle(parts, request)),
    ]),
  )
}

function topicStats(
  { topics, store, config }: BrokerParts,
  request: RemotingRequest,
): ResponseContent {
  const name = requireString(request.command.extFields, 'topic')
  const topic = topics.get(name)
  if (topic === undefined) return topicNotExist(name)
  const { brokerName } = config.values
  const queueCount = Math.max(topic.readQueueNums, topic.writeQueueNums)
  const queues = Array.from({ length: queueCount }, (_, queueId) => {
    const minOffset = Math.max(0, store.minOffsetInQueue(name, queueId))
    const maxOffset = Math.max(0, store.maxOffsetInQueue(name, queueId))
    const last = maxOffset > 0 ? store.storeTimestampAt(name, queueId, maxOffset - 1) : null
    return {
      queue: { topic: name, brokerName, queueId },
      minOffset,
      maxOffset,
      lastUpdateTimestamp: last ?? 0,
    }
  })
  return success(undefined, encodeTopicStatsTable(queues))
}

function consumeStats(parts: BrokerParts, request: RemotingRequest): ResponseContent {
  const { offsets, clients, stats } = parts
  const fields = request.command.extFields
  const group = requireString(fields, 'consumerGroup')
  const listed = (optionalString(fields, 'topicList') ?? '')
    .split(';')
    .filter((name) => name !== '')
  const single = optionalString(fields, 'topic')
  const isOnline = clients.consumerGroup(group) !== null
  const asked =
    single !== null && single !== ''
      ? [single]
      : listed.length > 0
        ? listed
        : offsets.topicsOf(group)
  let consumeTps = 0
  const queues: QueueConsumeStats[] = []
  for (const topic of asked) {
    // An offset in a topic that the living group no longer subscribes to says nothing about its progress.
    if (isOnline && clients.subscription(group, topic) === null) continue
    consumeTps += stats.tps('GROUP_GET_NUMS', `${topic}@${group}`)
    queues.push(
      ...queueProgress(parts, {
        group,
        topic,
        queues: parts.topics.get(topic)?.readQueueNums ?? 0,
      }),
    )
  }
  return success(undefined, encodeConsumeStats({ consumeTps, queues }))
}

function consumerConnections({ clients }: BrokerParts, request: RemotingRequest): ResponseContent {
  const name = requireString(request.command.extFields, 'consumerGroup')
  const group = clients.consumerGroup(name)
  if (group === null) {
    return answer(ResponseCode.CONSUMER_NOT_ONLINE, `the consumer group[${name}] not online`)
  }
  const { consumeType, messageModel, consumeFromWhere } = group
  return success(
    undefined,
    encodeConsumerConnection({
      connections: group.clients.map(connectionOf),
      subscriptions: [...group.subscriptions.values()],
      consumeType,
      messageModel,
      consumeFromWhere,
    }),
  )
}

function producerConnections({ clients }: BrokerParts, request: RemotingRequest): ResponseContent {
  const name = requireString(request.command.extFields, 'producerGroup')
  const members = clients.producers(name)
  if (members === null) {
    return answer(ResponseCode.SYSTEM_ERROR, `the producer group[${name}] not exist`)
  }
  return success(undefined, encodeProducerConnection(members.map(connectionOf)))
}

const LANGUAGE_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(LanguageCode).map(([name, code]) => [code, name]),
)

export function connectionOf({
  clientId,
  connection,
  language,
  version,
}: Client): ClientConnection {
  return {
    clientId,
    clientAddr: connection.remoteAddress,
    language: LANGUAGE_NAMES.get(language) ?? 'OTHER',
    version,
  }
}

function groupsOfTopic(
  { clients, offsets }: BrokerParts,
  request: RemotingRequest,
): ResponseContent {
  const topic = requireString(request.command.extFields, 'topic')
  const groupList = new Set([...clients.groupsSubscribing(topic), ...offsets.groupsOf(topic)])
  return success(undefined, formatFastjson({ groupList: [...groupList] }))
}

function topicsOfGroup(parts: BrokerParts, request: RemotingRequest): ResponseContent {
  const group = requireString(request.command.extFields, 'group')
  const topics = parts.offsets.topicsOf(group)
  return success(undefined, encodeTopicList({ topics, brokerAddr: parts.brokerAddress() }))
}

function viewStats({ stats }: BrokerParts, request: RemotingRequest): ResponseContent {
  const fields = request.command.extFields
  const name = requireString(fields, 'statsName')
  const key = requireString(fields, 'statsKey')
  const snapshot = stats.view(name, key)
  if (snapshot === null) {
    return answer(ResponseCode.SYSTEM_ERROR, `The stats <${name}> <${key}> not exist`)
  }
  const { minute, hour, day } = snapshot
  const body = { statsMinute: { ...minute }, statsHour: { ...hour }, statsDay: { ...day } }
  return success(undefined, formatFastjson(body))
}
