/** What requests of the POP family must satisfy (the checks of RocketMQ's processors in their order), and the headers they carry. */
import { LIGHT_PREFIX, isLightName } from '../../common/light-queues.ts'
import { Permission } from '../../remoting/bodies/topic-config.ts'
import {
  optionalBoolean,
  optionalLong,
  optionalString,
  requireInt,
  requireLong,
  requireString,
} from '../../remoting/header-fields.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { answer, brokerMay, topicNotExist } from '../processors/answers.ts'
import { ANY_QUEUE } from './pop-waiters.ts'
import { ORDER_REVIVE_QUEUE, parseReceipt } from './receipt.ts'
import type { ExtFields, ResponseContent } from '../../remoting/command.ts'
import type { BrokerParts } from '../parts.ts'
import type { Receipt } from './receipt.ts'

export const POP_MESSAGES_MAX = 32
/** Messages that are hidden for longer would be deleted before they come back. */
const INVISIBLE_MAX_MS = 7 * 24 * 3600 * 1000
/** No request is held longer, whatever the client asks. */
export const POLL_MAX_MS = 600_000
/** A request that is so much older than its polling time is not served any more. */
const LATE_MS = 500

export interface PollHeader {
  readonly consumerGroup: string
  readonly topic: string
  readonly queueId: number
  readonly pollTime: number
  /** Wall-clock time of the client; 0 or absent: now. */
  readonly bornTime: number
  readonly isOrder: boolean
  readonly attemptId: string | null
}

export interface PopHeader extends PollHeader {
  readonly maxMessages: number
  readonly invisibleTime: number
  readonly initMode: number
  readonly expressionType: string | null
  readonly expression: string | null
}

export interface HandleHeader {
  readonly consumerGroup: string
  readonly topic: string
  readonly queueId: number
  readonly queueOffset: number
  readonly receipt: Receipt
}

export function decodePollHeader(fields: ExtFields, now: number): PollHeader {
  const bornTime = optionalLong(fields, 'bornTime') ?? 0
  return {
    consumerGroup: requireString(fields, 'consumerGroup'),
    topic: requireString(fields, 'topic'),
    queueId: decodeQueueId(fields),
    pollTime: Math.min(requireLong(fields, 'pollTime'), POLL_MAX_MS),
    bornTime: bornTime === 0 ? now : bornTime,
    isOrder: optionalBoolean(fields, 'order') ?? false,
    attemptId: optionalString(fields, 'attemptId'),
  }
}

/** Any negative number means any queue. */
export function decodeQueueId(fields: ExtFields): number {
  return Math.max(requireInt(fields, 'queueId'), ANY_QUEUE)
}

export function decodePopHeader(fields: ExtFields, now: number): PopHeader {
  return {
    ...decodePollHeader(fields, now),
    maxMessages: requireInt(fields, 'maxMsgNums'),
    invisibleTime: requireLong(fields, 'invisibleTime'),
    initMode: requireInt(fields, 'initMode'),
    expressionType: optionalString(fields, 'expType'),
    expression: optionalString(fields, 'exp'),
  }
}

/** The fields of an acknowledgement or a change, or the answer that refuses a handle which is none. */
export function decodeHandleHeader(fields: ExtFields): HandleHeader | ResponseContent {
  const consumerGroup = requireString(fields, 'consumerGroup')
  const topic = requireString(fields, 'topic')
  const queueId = requireInt(fields, 'queueId')
  const extraInfo = requireString(fields, 'extraInfo')
  const queueOffset = requireLong(fields, 'offset')
  const receipt = parseReceipt(extraInfo)
  if (receipt !== null) return { consumerGroup, topic, queueId, queueOffset, receipt }
  const remark = `the custom field <extraInfo> is no handle of a popped message: ${extraInfo.slice(0, 64)}`
  return answer(ResponseCode.INVALID_PARAMETER, remark)
}

export function isOrderReceipt({ reviveQueueId }: Receipt): boolean {
  return reviveQueueId === ORDER_REVIVE_QUEUE
}

/** What is wrong with the numbers of a pop, or null. */
export function popProblem(
  parts: BrokerParts,
  header: PopHeader,
  now: number,
): ResponseContent | null {
  const refused = (code: number, what: string): ResponseContent =>
    answer(code, `the broker[${parts.brokerAddress()}] ${what}`)
  if (now - header.bornTime - header.pollTime > LATE_MS) {
    return refused(ResponseCode.POLLING_TIMEOUT, 'pop message is timeout too much')
  }
  if (!brokerMay(parts, Permission.READ)) {
    return refused(ResponseCode.NO_PERMISSION, 'pop message is forbidden')
  }
  if (header.maxMessages > POP_MESSAGES_MAX) {
    const what = `pop message's num is greater than ${POP_MESSAGES_MAX}`
    return refused(ResponseCode.INVALID_PARAMETER, what)
  }
  if (header.maxMessages < 1) {
    return answer(
      ResponseCode.INVALID_PARAMETER,
      `maxMsgNums[${header.maxMessages}] is less than 1`,
    )
  }
  return invisibleTimeProblem(header.invisibleTime)
}

export function invisibleTimeProblem(invisibleTime: number): ResponseContent | null {
  if (invisibleTime >= 0 && invisibleTime <= INVISIBLE_MAX_MS) return null
  const remark = `invisibleTime[${invisibleTime}] is not between 0 and ${INVISIBLE_MAX_MS}`
  return answer(ResponseCode.INVALID_PARAMETER, remark)
}

const NO_LIGHT_QUEUES = `light queues (${LIGHT_PREFIX}) are pulled, not popped`

/** Checks topic, queue and group of a request that reads; null when all is well. A group that may be is created. */
export function readProblem(
  parts: BrokerParts,
  header: Pick<PollHeader, 'consumerGroup' | 'topic' | 'queueId'>,
  remoteAddress: string,
): ResponseContent | null {
  const { topics, groups } = parts
  const topic = topics.get(header.topic)
  if (topic === undefined) return topicNotExist(header.topic)
  if (isLightName(header.topic)) return answer(ResponseCode.SYSTEM_ERROR, NO_LIGHT_QUEUES)
  if ((topic.perm & Permission.READ) === 0) {
    const remark = `the topic[${header.topic}] peeking message is forbidden`
    return answer(ResponseCode.NO_PERMISSION, remark)
  }
  if (header.queueId >= topic.readQueueNums) {
    return answer(
      ResponseCode.INVALID_PARAMETER,
      queueIsIllegal(header, topic.readQueueNums, remoteAddress),
    )
  }
  const group = groups.find(header.consumerGroup)
  if (group === null) {
    const remark = `subscription group [${header.consumerGroup}] does not exist`
    return answer(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, remark)
  }
  if (group.consumeEnable) return null
  const remark = `subscription group no permission, ${header.consumerGroup}`
  return answer(ResponseCode.NO_PERMISSION, remark)
}

/** The checks of NOTIFICATION, POLLING_INFO and PEEK_MESSAGE. */
export function lookProblem(
  parts: BrokerParts,
  header: Pick<PollHeader, 'consumerGroup' | 'topic' | 'queueId'>,
  remoteAddress: string,
): ResponseContent | null {
  if (!brokerMay(parts, Permission.READ)) {
    const remark = `the broker[${parts.brokerAddress()}] peeking message is forbidden`
    return answer(ResponseCode.NO_PERMISSION, remark)
  }
  return readProblem(parts, header, remoteAddress)
}

/** Checks topic and queue of an acknowledgement, and that the queue has the offset. */
export function handleProblem(
  { topics, store }: BrokerParts,
  header: HandleHeader,
  remoteAddress: string,
  isEndAllowed: boolean,
): ResponseContent | null {
  const { queueId, queueOffset } = header
  const topic = topics.get(header.topic)
  if (topic === undefined) return topicNotExist(header.topic)
  if (queueId < 0 || queueId >= topic.readQueueNums) {
    return answer(
      ResponseCode.MESSAGE_ILLEGAL,
      queueIsIllegal(header, topic.readQueueNums, remoteAddress),
    )
  }
  const minOffset = store.minOffsetInQueue(header.topic, queueId)
  const maxOffset = store.maxOffsetInQueue(header.topic, queueId)
  const end = isEndAllowed ? maxOffset : maxOffset - 1
  if (queueOffset >= minOffset && queueOffset <= end) return null
  const remark = `offset is illegal, key:${header.topic}@${queueId}, commit:${queueOffset}, store:${minOffset}~${maxOffset}`
  return answer(ResponseCode.NO_MESSAGE, remark)
}

function queueIsIllegal(
  { topic, queueId }: Pick<PollHeader, 'topic' | 'queueId'>,
  readQueueNums: number,
  remoteAddress: string,
): string {
  return `queueId[${queueId}] is illegal, topic:[${topic}] topicConfig.readQueueNums:[${readQueueNums}] consumer:[${remoteAddress}]`
}
