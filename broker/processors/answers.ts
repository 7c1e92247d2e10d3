/** Answers that several processors give, and access to fields that they read alike. */
import { RemotingError } from '../../remoting/errors.ts'
import { requireString } from '../../remoting/header-fields.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import type { ExtFields, ResponseContent } from '../../remoting/command.ts'
import type { TopicConfig } from '../../remoting/bodies/topic-config.ts'
import type { BrokerParts } from '../parts.ts'

/** Java writes a link to its FAQ behind some remarks; clients only print them. */
export const TOPIC_NOT_EXIST_HINT = 'apply first please!'

export function answer(code: number, remark: string): ResponseContent {
  return { code, remark }
}

export function topicNotExist(topic: string): ResponseContent {
  return answer(ResponseCode.TOPIC_NOT_EXIST, `topic[${topic}] not exist, ${TOPIC_NOT_EXIST_HINT}`)
}

/** Why a producer may not send to a queue of a topic, or null. */
export function queueRefusal(
  topic: TopicConfig,
  queueId: number,
  remoteAddress: string,
): ResponseContent | null {
  const { topicName, readQueueNums, writeQueueNums, perm } = topic
  if (queueId < Math.max(readQueueNums, writeQueueNums)) return null
  const shown = `TopicConfig [topicName=${topicName}, readQueueNums=${readQueueNums}, writeQueueNums=${writeQueueNums}, perm=${perm}]`
  const remark = `request queueId[${queueId}] is illegal, ${shown} Producer: ${remoteAddress}`
  return answer(ResponseCode.INVALID_PARAMETER, remark)
}

export function success(
  extFields?: ResponseContent['extFields'],
  body?: ResponseContent['body'],
): ResponseContent {
  return {
    code: ResponseCode.SUCCESS,
    ...(extFields === undefined ? {} : { extFields }),
    ...(body === undefined ? {} : { body }),
  }
}

/** A time that may be as far away as Java's `Long.MAX_VALUE`; what a number cannot hold is cut to what it can. */
export function requireTimestamp(fields: ExtFields, name: string): number {
  const text = requireString(fields, name)
  if (!/^[+-]?\d{1,19}$/.test(text)) {
    throw new RemotingError(
      'invalidField',
      `the custom field <${name}> is not a long: ${text.slice(0, 64)}`,
    )
  }
  return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, Number(text)))
}

/** True when the broker's own permission has all of these bits. */
export function brokerMay({ config }: Pick<BrokerParts, 'config'>, permission: number): boolean {
  return (config.values.brokerPermission & permission) === permission
}
