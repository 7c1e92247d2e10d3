/** QUERY_MESSAGE (12) by key, unique id or tags, VIEW_MESSAGE_BY_ID (33). */
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

function queryMessage({ store, config }: BrokerParts, request: RemotingRequest): ResponseContent {
  const fields = request.command.extFields
  const isByUniqueKey = optionalString(fields, UNIQUE_KEY_QUERY) === 'true'
  const { defaultQueryMaxNum, maxMsgsNumBatch } = config.values
  const asked = isByUniqueKey ? defaultQueryMaxNum : requireInt(fields, 'maxNum')
  const result = store.queryByKey({
    topic: requireString(fields, 'topic'),
    key: requireString(fields, 'key'),
    isTag: !isByUniqueKey && optionalString(fields, 'indexType') === TAG_INDEX,
    maxMessages: Math.max(0, Math.min(asked, maxMsgsNumBatch)),
    beginTimestamp: requireTimestamp(fields, 'beginTimestamp'),
    endTimestamp: requireTimestamp(fields, 'endTimestamp'),
  })
  const extFields = {
    indexLastUpdateTimestamp: String(result.indexLastUpdateTimestamp),
    indexLastUpdatePhyoffset: String(result.indexLastUpdatePhysicalOffset),
  }
  if (result.records.length > 0) return success(extFields, result.records)
  return {
    code: ResponseCode.QUERY_NOT_FOUND,
    remark: 'can not find message, maybe time range not correct',
    extFields,
  }
}

function viewMessage({ store }: BrokerParts, request: RemotingRequest): ResponseContent {
  const physicalOffset = requireLong(request.command.extFields, 'offset')
  const record = physicalOffset < 0 ? null : store.recordAt(physicalOffset)
  if (record !== null) return success(undefined, record)
  const remark = `can not find message by the offset, ${physicalOffset}`
  return answer(ResponseCode.SYSTEM_ERROR, remark)
}
