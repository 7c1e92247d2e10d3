/** Heartbeats and membership: 34, 35, 38, 46; and the notice to a group's members when it changes (40). */
import {
  decodeCheckClientConfig,
  decodeHeartbeatData,
} from '../../remoting/bodies/heartbeat-data.ts'
import { encodeConsumerIdList } from '../../remoting/bodies/client-connections.ts'
import { optionalString, requireString } from '../../remoting/header-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { isTagExpression, parseTagExpression } from '../filter.ts'
import { sqlFilter } from '../filter/sql-filter.ts'
import { FilterSyntaxError } from '../filter/sql-lexer.ts'
import { groupProblem, retryTopicOf } from '../names.ts'
import { isForwarded } from '../request-gate.ts'
import { answer, success } from './answers.ts'
import { expressionTypeRefusal } from './pull-rules.ts'
import type { Processor, RemotingRequest } from '../../remoting/connection.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { ConsumerData, HeartbeatData } from '../../remoting/bodies/heartbeat-data.ts'
import type { Client } from '../client-registry.ts'
import type { BrokerParts } from '../parts.ts'

/** The processors of this family by code. */
export function clientProcessors(parts: BrokerParts): ReadonlyMap<number, Processor> {
  return new Map<number, Processor>([
    [RequestCode.HEART_BEAT, (request) => heartbeat(parts, request)],
    [RequestCode.UNREGISTER_CLIENT, (request) => request.respond(unregister(parts, request))],
    [
      RequestCode.GET_CONSUMER_LIST_BY_GROUP,
      (request) => request.respond(consumerList(parts, request)),
    ],
    [RequestCode.CHECK_CLIENT_CONFIG, (request) => request.respond(checkClient(parts, request))],
  ])
}

/**
 * Tells the members of a group that they have to share its queues anew. A broadcasting group shares nothing and is not told, as
 * in Java's ConsumerManager: a client told so while it still sends its first heartbeats cannot send the next one, and its
 * pulls are refused as SUBSCRIPTION_NOT_LATEST until the heartbeat after, 30 s later.
 */
export function notifyMembers(
  { config, clients, groups }: Pick<BrokerParts, 'config' | 'clients' | 'groups'>,
  consumerGroup: string,
): void {
  if (!config.values.notifyConsumerIdsChangedEnable) return
  if (groups.get(consumerGroup)?.notifyConsumerIdsChangedEnable === false) return
  if (clients.messageModel(consumerGroup) === 'BROADCASTING') return
  const extFields = { consumerGroup }
  for (const { connection } of clients.consumerGroup(consumerGroup)?.clients ?? []) {
    connection.invokeOneway({ code: RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, extFields })
  }
}

/** The answer waits until the retry topics of new groups are on disk. */
async function heartbeat(parts: BrokerParts, request: RemotingRequest): Promise<void> {
  const { command, connection } = request
  const data = decodeHeartbeatData(command.body)
  const client: Client = {
    clientId: data.clientID,
    connection,
    language: command.language,
    version: command.version,
  }
  const consumers = await prepareGroups(parts, data)
  let needsSubscriptions = false
  // The connection may have closed while a topic was written; whoever is gone must not be registered.
  if (connection.isOpen) {
    const isDistant = isForwarded(command)
    for (const consumer of consumers) {
      const isMissing = isDistant
        ? registerDistantConsumer(parts, data, consumer)
        : registerConsumer(parts, data, consumer, client)
      needsSubscriptions ||= isMissing
    }
    // A producer can be asked of its transactions by the member that it is connected to only.
    const producerGroups = isDistant ? [] : data.producerGroups
    for (const group of producerGroups) parts.clients.registerProducer(group, client)
  }
  const isSubChange = data.heartbeatFingerprint === 0 ? true : needsSubscriptions
  request.respond(success({ IS_SUPPORT_HEART_BEAT_V2: 'true', IS_SUB_CHANGE: String(isSubChange) }))
}

/** The consumers whose group exists or could be made, each with its retry topic. */
async function prepareGroups(
  { groups, topics }: BrokerParts,
  data: HeartbeatData,
): Promise<readonly ConsumerData[]> {
  const accepted: ConsumerData[] = []
  for (const consumer of data.consumers) {
    const group = groupProblem(consumer.groupName) === null ? groups.find(consumer.groupName) : null
    if (group === null) continue
    const retryTopic = retryTopicOf(consumer.groupName)
    if (topics.get(retryTopic) === undefined) {
      await topics.ensureRetryTopic(retryTopic, Math.max(1, group.retryQueueNums))
    }
    accepted.push(consumer)
  }
  return accepted
}

/** True when the client has to send its subscriptions again. */
function registerConsumer(
  { clients }: BrokerParts,
  data: HeartbeatData,
  consumer: ConsumerData,
  client: Client,
): boolean {
  const { heartbeatFingerprint: fingerprint } = data
  if (fingerprint !== 0 && data.withoutSub) {
    return clients.registerConsumerWithoutSubscriptions(consumer, client, fingerprint)
  }
  clients.registerConsumer(consumer, client, fingerprint)
  return false
}

/** The connection is that of the member that passes it on, and stands for none of the clients behind it. */
function registerDistantConsumer(
  { clients }: BrokerParts,
  { clientID, heartbeatFingerprint: fingerprint, withoutSub }: HeartbeatData,
  consumer: ConsumerData,
): boolean {
  const withoutSubscriptions = fingerprint !== 0 && withoutSub
  return clients.registerDistantConsumer(consumer, clientID, { fingerprint, withoutSubscriptions })
}

function unregister({ clients }: BrokerParts, request: RemotingRequest): ResponseContent {
  const fields = request.command.extFields
  const clientId = requireString(fields, 'clientID')
  const producerGroup = optionalString(fields, 'producerGroup')
  const consumerGroup = optionalString(fields, 'consumerGroup')
  if (producerGroup !== null) clients.unregisterProducer(producerGroup, request.connection)
  if (consumerGroup !== null) {
    clients.unregisterConsumer(consumerGroup, request.connection)
    clients.expectNoMore(consumerGroup, clientId)
  }
  return success()
}

function consumerList({ clients }: BrokerParts, request: RemotingRequest): ResponseContent {
  const group = requireString(request.command.extFields, 'consumerGroup')
  const consumerIdList = clients.consumerIds(group)
  if (consumerIdList.length > 0) return success(undefined, encodeConsumerIdList(consumerIdList))
  return answer(ResponseCode.SYSTEM_ERROR, `no consumer for this group, ${group}`)
}

/** Java's consumers ask this of a broker of each topic that they subscribe to otherwise than by tags, and do not start when it refuses. */
function checkClient(parts: BrokerParts, request: RemotingRequest): ResponseContent {
  const { subscription } = decodeCheckClientConfig(request.command.body)
  const { expressionType, subString } = subscription
  const refusal = expressionTypeRefusal(parts, expressionType)
  if (refusal !== null) return refusal
  try {
    const isTags = isTagExpression(expressionType)
    if (isTags ? parseTagExpression(subString) !== null : sqlFilter(subString)) return success()
    const remark = "parse the consumer's subscription failed"
    return answer(ResponseCode.SUBSCRIPTION_PARSE_FAILED, remark)
  } catch (error) {
    if (!(error instanceof FilterSyntaxError)) throw error
    const remark = `Invalid MessageSelector. ${error.message}`
    return answer(ResponseCode.SUBSCRIPTION_PARSE_FAILED, remark)
  }
}
