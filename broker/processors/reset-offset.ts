/** INVOKE_BROKER_TO_RESET_OFFSET (222), done on the broker: the next pull of each queue is sent to its new position (protocol §10.1). */
import { encodeResetOffsetBody } from '../../remoting/bodies/reset-offset-body.ts'
import { optionalInt, optionalLong, requireString } from '../../remoting/header-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { answer, requireTimestamp, success, topicNotExist } from './answers.ts'
import type { Processor, RemotingRequest } from '../../remoting/connection.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { QueuePosition } from '../../remoting/bodies/reset-offset-body.ts'
import type { BrokerParts } from '../parts.ts'

const NOT_GIVEN = -1

/** The processors of this family by code. */
export function resetOffsetProcessors(parts: BrokerParts): ReadonlyMap<number, Processor> {
  return new Map<number, Processor>([
    [
      RequestCode.INVOKE_BROKER_TO_RESET_OFFSET,
      async (request) => request.respond(await resetOffset(parts, request)),
    ],
  ])
}

async function resetOffset(parts: BrokerParts, request: RemotingRequest): Promise<ResponseContent> {
  const { topics, groups, offsets, config, logger } = parts
  const fields = request.command.extFields
  const group = requireString(fields, 'group')
  const topic = requireString(fields, 'topic')
  const topicConfig = topics.get(topic)
  if (topicConfig === undefined) return topicNotExist(topic)
  if (groups.get(group) === undefined) {
    const remark = `subscription group [${group}] does not exist`
    return answer(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, remark)
  }
  const queueId = optionalInt(fields, 'queueId') ?? NOT_GIVEN
  const explicit = optionalLong(fields, 'offset') ?? NOT_GIVEN
  const timestamp = requireTimestamp(fields, 'timestamp')
  if (queueId >= topicConfig.readQueueNums) {
    return answer(
      ResponseCode.INVALID_PARAMETER,
      `queueId[${queueId}] is illegal, topic:[${topic}]`,
    )
  }
  const queueIds =
    queueId >= 0 ? [queueId] : Array.from({ length: topicConfig.readQueueNums }, (_, id) => id)
  const positions: QueuePosition[] = []
  for (const id of queueIds) {
    const target = positionOf(parts, { topic, queueId: id, explicit, timestamp })
    if (typeof target === 'string') return answer(ResponseCode.SYSTEM_ERROR, target)
    const queue = { topic, brokerName: config.values.brokerName, queueId: id }
    positions.push({ queue, queueOffset: target })
  }
  const reset = positions.map(({ queue, queueOffset }) => [queue.queueId, queueOffset] as const)
  await offsets.reset(group, topic, reset)
  const fieldsOfLog = { consumerGroup: group, topic, timestamp, queues: positions.length }
  logger.info(fieldsOfLog, 'consumer offsets were reset')
  return success(undefined, encodeResetOffsetBody(positions))
}

/** The new position of one queue, or the sentence that refuses it. */
function positionOf(
  { store }: BrokerParts,
  asked: {
    readonly topic: string
    readonly queueId: number
    readonly explicit: number
    readonly timestamp: number
  },
): number | string {
  const { topic, queueId, explicit, timestamp } = asked
  const min = store.minOffsetInQueue(topic, queueId)
  const max = store.maxOffsetInQueue(topic, queueId)
  if (explicit !== NOT_GIVEN) {
    const isInRange = explicit >= min && explicit <= max + 1
    return isInRange
      ? explicit
      : `Target offset ${explicit} not in consume queue range [${min}-${max}]`
  }
  if (timestamp < 0) return max
  return store.offsetByTimestamp(topic, queueId, timestamp, 'LOWER')
}
