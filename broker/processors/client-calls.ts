/**
 * Requests about clients that the broker passes on to them, and what it knows of clients and their offsets itself:
 * GET_CONSUMER_RUNNING_INFO (307), CONSUME_MESSAGE_DIRECTLY (309), INVOKE_BROKER_TO_GET_CONSUMER_STATUS (223), GET_ALL_PRODUCER_INFO (328),
 * CLONE_GROUP_OFFSET (314).
 */
import { decodeOffsetMessageId } from '../../common/message-id.ts'
import { messageOf } from '../../common/errors.ts'
import {
  encodeConsumerStatus,
  decodeClientStatus,
  encodeProducerTable,
} from '../../remoting/bodies/client-status.ts'
import { LanguageCode } from '../../remoting/command.ts'
import { RemotingError } from '../../remoting/errors.ts'
import { optionalBoolean, optionalString, requireString } from '../../remoting/header-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { isCallable } from '../client-registry.ts'
import { answer, success } from './answers.ts'
import type { ClientStatus } from '../../remoting/bodies/client-status.ts'
import type { RequestContent, ResponseContent } from '../../remoting/command.ts'
import type { Processor, RemotingRequest } from '../../remoting/connection.ts'
import type { Client } from '../client-registry.ts'
import type { BrokerParts } from '../parts.ts'

/** How long a client has for an answer, as in Java's Broker2Client. */
export const CALL_TIMEOUT_MS = 10_000
const STATUS_TIMEOUT_MS = 5000

/** The processors of this family by code. */
export function clientCallProcessors(parts: BrokerParts): ReadonlyMap<number, Processor> {
  const answering =
    (act: (request: RemotingRequest) => ResponseContent | Promise<ResponseContent>): Processor =>
    async (request) =>
      request.respond(await act(request))
  return new Map<number, Processor>([
    [RequestCode.GET_CONSUMER_RUNNING_INFO, answering((request) => runningInfo(parts, request))],
    [RequestCode.CONSUME_MESSAGE_DIRECTLY, answering((request) => consumeDirectly(parts, request))],
    [
      RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS,
      answering((request) => consumerStatus(parts, request)),
    ],
    [RequestCode.GET_ALL_PRODUCER_INFO, (request) => request.respond(allProducers(parts))],
    [
      RequestCode.CLONE_GROUP_OFFSET,
      async (request) => request.respond(await cloneOffsets(parts, request)),
    ],
  ])
}

function runningInfo(parts: BrokerParts, { command }: RemotingRequest): Promise<ResponseContent> {
  const fields = command.extFields
  return callConsumer(
    parts,
    { group: requireString(fields, 'consumerGroup'), clientId: requireString(fields, 'clientId') },
    { code: RequestCode.GET_CONSUMER_RUNNING_INFO, extFields: fields },
  )
}

async function consumeDirectly(
  parts: BrokerParts,
  { command }: RemotingRequest,
): Promise<ResponseContent> {
  const { store, topics, groups, config } = parts
  const fields = command.extFields
  const group = requireString(fields, 'consumerGroup')
  const msgId = requireString(fields, 'msgId')
  const id = decodeOffsetMessageId(msgId)
  const body = id === null ? null : store.recordAt(id.physicalOffset)
  if (body === null) {
    return answer(ResponseCode.SYSTEM_ERROR, `can not find message by the msgId, ${msgId}`)
  }
  const extFields = new Map(fields)
  extFields.set('brokerName', config.values.brokerName)
  const topic = topics.get(optionalString(fields, 'topic') ?? '')
  if (topic !== undefined) extFields.set('topicSysFlag', String(topic.topicSysFlag))
  const subscriptionGroup = groups.get(group)
  if (subscriptionGroup !== undefined) {
    extFields.set('groupSysFlag', String(subscriptionGroup.groupSysFlag))
  }
  const clientId = optionalString(fields, 'clientId')
  const content = { code: RequestCode.CONSUME_MESSAGE_DIRECTLY, extFields, body }
  return callConsumer(parts, { group, clientId }, content)
}

/** Passes a request on to one member of a consumer group, and its answer back. */
async function callConsumer(
  { clients }: BrokerParts,
  to: { readonly group: string; readonly clientId: string | null },
  content: RequestContent,
): Promise<ResponseContent> {
  const { group, clientId } = to
  const client = clients
    .consumerGroup(group)
    ?.clients.find((member) => member.clientId === clientId)
  if (client === undefined) {
    return answer(ResponseCode.SYSTEM_ERROR, `The Consumer <${group}> <${clientId}> not online`)
  }
  if (!isCallable(client)) {
    const remark = `The Consumer <${clientId}> Version <${client.version}> too low to finish, please upgrade it to V3_1_8_SNAPSHOT`
    return answer(ResponseCode.SYSTEM_ERROR, remark)
  }
  try {
    const { code, remark, extFields, body } = await client.connection.invoke(
      content,
      CALL_TIMEOUT_MS,
    )
    // The bytes of an answer live for one turn.
    return { code, remark, extFields, body: Buffer.from(body) }
  } catch (error) {
    if (!(error instanceof RemotingError)) throw error
    if (error.code === 'timeout') {
      const remark = `consumer <${group}> <${clientId}> Timeout: ${messageOf(error)}`
      return answer(ResponseCode.CONSUME_MSG_TIMEOUT, remark)
    }
    const remark = `invoke consumer <${group}> <${clientId}> Exception: ${messageOf(error)}`
    return answer(ResponseCode.SYSTEM_ERROR, remark)
  }
}

/** How far each member of a group has come in the queues that it consumes. Members that do not answer are left out. */
async function consumerStatus(
  { clients, logger }: BrokerParts,
  { command }: RemotingRequest,
): Promise<ResponseContent> {
  const fields = command.extFields
  const group = requireString(fields, 'group')
  const topic = requireString(fields, 'topic')
  const only = optionalString(fields, 'clientAddr')
  const members = (clients.consumerGroup(group)?.clients ?? []).filter(
    ({ clientId }) => only === null || only === '' || only === clientId,
  )
  if (members.length === 0) {
    const remark = `No Any Consumer online in the consumer group: [${group}]`
    return answer(ResponseCode.SYSTEM_ERROR, remark)
  }
  const content = {
    code: RequestCode.GET_CONSUMER_STATUS_FROM_CLIENT,
    extFields: { topic, group },
  }
  const ask = async ({ clientId, connection }: Client): Promise<ClientStatus | null> => {
    try {
      const response = await connection.invoke(content, STATUS_TIMEOUT_MS)
      if (response.code !== ResponseCode.SUCCESS || response.body.length === 0) return null
      return { clientId, positions: decodeClientStatus(response.body) }
    } catch (error) {
      if (!(error instanceof RemotingError)) throw error
      logger.warn({ consumerGroup: group, clientId, err: error }, 'a consumer tells no status')
      return null
    }
  }
  const statuses = await Promise.all(members.map(ask))
  return success(undefined, encodeConsumerStatus(statuses.filter((status) => status !== null)))
}

const LANGUAGES: ReadonlyMap<number, string> = new Map(
  Object.entries(LanguageCode).map(([name, code]) => [code, name]),
)

function allProducers({ clients, clock }: BrokerParts): ResponseContent {
  const bootAt = clock.now() - clock.monotonic()
  const groups = clients.producerGroups.map((group) => ({
    group,
    producers: (clients.producers(group) ?? []).map(
      ({ clientId, connection, language, version, seenAt }) => ({
        clientId,
        remoteIP: `/${connection.remoteAddress}`,
        language: LANGUAGES.get(language) ?? 'OTHER',
        version,
        lastUpdateTimestamp: Math.floor(bootAt + seenAt),
      }),
    ),
  }))
  return success(undefined, encodeProducerTable(groups))
}

/** Gives a group the offsets of another one, in one topic or in all. */
async function cloneOffsets(
  parts: BrokerParts,
  { command }: RemotingRequest,
): Promise<ResponseContent> {
  const { offsets, topics, clients, logger } = parts
  const fields = command.extFields
  const source = requireString(fields, 'srcGroup')
  const target = requireString(fields, 'destGroup')
  const topic = optionalString(fields, 'topic') ?? ''
  const isOffline = optionalBoolean(fields, 'offline') === true
  const online = isOffline ? null : clients.consumerGroup(source)
  const wanted = topic.trim() === '' ? offsets.topicsOf(source) : [topic]
  let queues = 0
  for (const name of wanted) {
    if (topics.get(name) === undefined) continue
    // Of a group at work, what it no longer subscribes to is left behind.
    if (online !== null && online.subscriptions.size > 0 && !online.subscriptions.has(name))
      continue
    for (const [queueId, queueOffset] of offsets.queuesOf(source, name)) {
      offsets.commit(target, name, queueId, queueOffset)
      queues++
    }
  }
  await offsets.flush()
  logger.info({ source, target, topic, queues }, 'consumer offsets were cloned')
  return success()
}
