/** QUERY_MESSAGE (12) by key, unique id or tags, VIEW_MESSAGE_BY_ID (33). */
import { decodeRecord } from '../../common/message-codec.ts'
import { CONTROL_TOPIC } from '../../store/control-record.ts'
import {
  optionalString,
  requireInt,
  requireLong,
  requireString,
} from '../../remoting/header-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { answer, requireTimestamp, success } from './answers.ts'
import type { Processor, RemotingRequest } from '../../remoting/connection.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { BrokerParts } from '../parts.ts'

const UNIQUE_KEY_QUERY = '_UNIQUE_KEY_QUERY'
/** The `indexType` that asks for tags; the others name keys and unique ids, which need no telling apart. */
const TAG_INDEX = 'T'

/** The processors of this family by code. */
export function queryProcessors(parts: BrokerParts): ReadonlyMap<number, Processor> {
  return new Map<number, Processor>([
    [RequestCode.QUERY_MESSAGE, (request) => request.respond(queryMessage(parts, request))],
    [RequestCode.VIEW_MESSAGE_BY_ID, (request) => request.respond(viewMessage(parts, request))],
  ])
}

function queryMessage(
  { store, config, logger }: BrokerParts,
  request: RemotingRequest,
): ResponseContent {
  const fields = request.command.extFields
  const isByUniqueKey = optionalString(fields, UNIQUE_KEY_QUERY) === 'true'
  const { defaultQueryMaxNum, maxMsgsNumBatch } = config.values
  const asked = isByUniqueKey ? defaultQueryMaxNum : requireInt(fields, 'maxNum')
  const topic = requireString(fields, 'topic')
  const key = requireString(fields, 'key')
  const result = store.queryByKey({
    topic,
    key,
    isTag: !isByUniqueKey && optionalString(fields, 'indexType') === TAG_INDEX,
    maxMessages: Math.max(0, Math.min(asked, maxMsgsNumBatch)),
    beginTimestamp: requireTimestamp(fields, 'beginTimestamp'),
    endTimestamp: requireTimestamp(fields, 'endTimestamp'),
  })
  const extFields = {
    indexLastUpdateTimestamp: String(result.indexLastUpdateTimestamp),
    indexLastUpdatePhyoffset: String(result.indexLastUpdatePhysicalOffset),
  }
  const { records, unreadable } = result
  if (unreadable === 0) {
    if (records.length > 0) return success(extFields, records)
    const remark = 'can not find message, maybe time range not correct'
    return { code: ResponseCode.QUERY_NOT_FOUND, remark, extFields }
  }
  // Clients take the messages of a SUCCESS only; tools print the remark of a failure.
  logger.error({ topic, unreadable }, 'a query by key has met damaged messages')
  const remark = `${unreadable} messages that may have the key [${key}] cannot be read: they are damaged`
  if (records.length === 0) return { code: ResponseCode.SYSTEM_ERROR, remark, extFields }
  return { ...success(extFields, records), remark }
}

function viewMessage({ store }: BrokerParts, request: RemotingRequest): ResponseContent {
  const physicalOffset = requireLong(request.command.extFields, 'offset')
  const record = physicalOffset < 0 ? null : store.recordAt(physicalOffset)
  // Records of the group itself hold the secrets of its users.
  const isOfGroup = record !== null && decodeRecord(record).topic === CONTROL_TOPIC
  if (record !== null && !isOfGroup) return success(undefined, record)
  const remark = `can not find message by the offset, ${physicalOffset}`
  return answer(ResponseCode.SYSTEM_ERROR, remark)
}
