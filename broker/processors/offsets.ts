/** Offsets: what a group has committed (14, 15), and where a queue begins, ends or stood at a time (29 to 32). */
import {
  optionalBoolean,
  optionalString,
  requireInt,
  requireLong,
  requireString,
} from '../../remoting/header-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { answer, requireTimestamp, success, topicNotExist } from './answers.ts'
import type { Processor, RemotingRequest } from '../../remoting/connection.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { BrokerParts } from '../parts.ts'

const NUMBER = /^[+-]?\d+$/
const NOT_FOUND = 'Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first'

type Handler = (parts: BrokerParts, request: RemotingRequest) => ResponseContent

/** The processors of this family by code. */
export function offsetProcessors(parts: BrokerParts): ReadonlyMap<number, Processor> {
  const handlers: readonly (readonly [number, Handler])[] = [
    [RequestCode.QUERY_CONSUMER_OFFSET, queryConsumerOffset],
    [RequestCode.UPDATE_CONSUMER_OFFSET, updateConsumerOffset],
    [RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, searchOffset],
    [RequestCode.GET_MAX_OFFSET, (of, request) => queueEnd(of, request, 'maxOffsetInQueue')],
    [RequestCode.GET_MIN_OFFSET, (of, request) => queueEnd(of, request, 'minOffsetInQueue')],
    [RequestCode.GET_EARLIEST_MSG_STORETIME, earliestStoreTime],
  ]
  return new Map(
    handlers.map(([code, handle]) => [
      code,
      (request: RemotingRequest) => request.respond(handle(parts, request)),
    ]),
  )
}

function queryConsumerOffset(
  { offsets, store }: BrokerParts,
  request: RemotingRequest,
): ResponseContent {
  const fields = request.command.extFields
  const consumerGroup = requireString(fields, 'consumerGroup')
  const topic = requireString(fields, 'topic')
  const queueId = requireInt(fields, 'queueId')
  const committed = offsets.query(consumerGroup, topic, queueId)
  if (committed !== null && committed >= 0) return success({ offset: String(committed) })
  if (optionalBoolean(fields, 'setZeroIfNotFound') === false) {
    return answer(ResponseCode.QUERY_NOT_FOUND, NOT_FOUND)
  }
  // A young queue whose first message is still at hand is read from its beginning, whatever ConsumeFromWhere says.
  const isYoung = store.minOffsetInQueue(topic, queueId) <= 0 && store.isInMemory(topic, queueId, 0)
  return isYoung ? success({ offset: '0' }) : answer(ResponseCode.QUERY_NOT_FOUND, NOT_FOUND)
}

function updateConsumerOffset(
  { offsets, topics, groups }: BrokerParts,
  request: RemotingRequest,
): ResponseContent {
  const fields = request.command.extFields
  const consumerGroup = requireString(fields, 'consumerGroup')
  const topic = requireString(fields, 'topic')
  const queueText = optionalString(fields, 'queueId') ?? ''
  const offsetText = optionalString(fields, 'commitOffset') ?? ''
  if (groups.find(consumerGroup) === null) {
    const remark = `Group ${consumerGroup} not exist!`
    return answer(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, remark)
  }
  if (topics.get(topic) === undefined) return topicNotExist(topic)
  // What is no number is none to Java.
  const invalid = (remark: string) => answer(ResponseCode.INVALID_PARAMETER, remark)
  if (!NUMBER.test(queueText)) return invalid(`QueueId is null, topic is ${topic}`)
  if (!NUMBER.test(offsetText)) return invalid(`Offset is null, topic is ${topic}`)
  const queueId = requireInt(fields, 'queueId')
  const commitOffset = requireLong(fields, 'commitOffset')
  if (queueId < 0 || commitOffset < 0) {
    return invalid(`queueId[${queueId}] or commitOffset[${commitOffset}] is negative`)
  }
  offsets.commit(consumerGroup, topic, queueId, commitOffset)
  return success()
}

function searchOffset({ store }: BrokerParts, request: RemotingRequest): ResponseContent {
  const fields = request.command.extFields
  const boundary =
    optionalString(fields, 'boundaryType')?.toUpperCase() === 'UPPER' ? 'UPPER' : 'LOWER'
  const queueOffset = store.offsetByTimestamp(
    requireString(fields, 'topic'),
    requireInt(fields, 'queueId'),
    requireTimestamp(fields, 'timestamp'),
    boundary,
  )
  return success({ offset: String(queueOffset) })
}

function queueEnd(
  { store }: BrokerParts,
  request: RemotingRequest,
  end: 'maxOffsetInQueue' | 'minOffsetInQueue',
): ResponseContent {
  const fields = request.command.extFields
  const queueOffset = store[end](requireString(fields, 'topic'), requireInt(fields, 'queueId'))
  return success({ offset: String(queueOffset) })
}

function earliestStoreTime({ store }: BrokerParts, request: RemotingRequest): ResponseContent {
  const fields = request.command.extFields
  const timestamp = store.earliestStoreTimestamp(
    requireString(fields, 'topic'),
    requireInt(fields, 'queueId'),
  )
  return success({ timestamp: String(timestamp ?? -1) })
}
