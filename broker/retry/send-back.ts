/**
 * CONSUMER_SEND_MSG_BACK (36): a consumer gives a message back, which comes again later, or ends in the dead letter queue of its group
 * (protocol §7.3).
 *
 * What is stored is a copy of what lies in the log. The answer waits for the flush even where the message itself asks not to: the consumer
 * forgets the message then, and nobody else has it. On a failure, or without an answer, the Java client writes the message to the retry
 * topic itself, and the Go client consumes it again: if it was stored all the same, it comes twice. So a copy that is not committed in time
 * is watched for as long as the client waits.
 */
import { encodeOffsetMessageId } from '../../common/message-id.ts'
import { MessageSysFlag } from '../../common/message.ts'
import { PropertyName, encodeProperties, parseProperties } from '../../common/properties.ts'
import { Permission } from '../../remoting/bodies/topic-config.ts'
import {
  optionalInt,
  optionalString,
  requireInt,
  requireLong,
  requireString,
} from '../../remoting/header-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { PutStatus } from '../../store/types.ts'
import { DLQ_PREFIX, isForbiddenForClients, retryTopicOf } from '../names.ts'
import { answer, brokerMay, success } from '../processors/answers.ts'
import { deadLetterProperties } from './dead-letter.ts'
import { retryLevel } from './retry-delay.ts'
import type { MessageToStore, StoredMessage } from '../../common/message.ts'
import type { SubscriptionGroupConfig } from '../../remoting/bodies/subscription-group-config.ts'
import type { TopicConfig } from '../../remoting/bodies/topic-config.ts'
import type { RemotingCommand, ResponseContent } from '../../remoting/command.ts'
import type { Processor } from '../../remoting/connection.ts'
import type { PutResult } from '../../store/types.ts'
import type { BrokerParts } from '../parts.ts'

/** From V3_4_9 on a client may say how often a message is retried. */
const MAX_RECONSUME_TIMES_VERSION = 121
/** With what the store waits for a commit a bit less than Java's five seconds. */
const WATCHED_MS = 2000
const LOOK_EVERY_MS = 50
const HOST_BITS = MessageSysFlag.BORN_HOST_V6 | MessageSysFlag.STORE_HOST_V6

interface SendBackHeader {
  readonly physicalOffset: number
  readonly consumerGroup: string
  /** 0: the broker decides; negative: the message is given up. */
  readonly delayLevel: number
  readonly originTopic: string | null
  readonly maxReconsumeTimes: number | null
}

/** What becomes of a message that was given back. */
interface NextAttempt {
  readonly topic: TopicConfig
  readonly queueId: number
  /** 0 for a dead letter. */
  readonly delayLevel: number
  readonly isDead: boolean
}

/** The processor of this family by code. */
export function sendBackProcessors(parts: BrokerParts): ReadonlyMap<number, Processor> {
  return new Map<number, Processor>([
    [
      RequestCode.CONSUMER_SEND_MSG_BACK,
      async (request) => request.respond(await sendBack(parts, request.command)),
    ],
  ])
}

async function sendBack(parts: BrokerParts, command: RemotingCommand): Promise<ResponseContent> {
  const header = decodeSendBackHeader(command)
  const { groups, topics, store } = parts
  const group = groups.find(header.consumerGroup)
  if (group === null) {
    const remark = `subscription group not exist, ${header.consumerGroup}`
    return answer(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, remark)
  }
  if (!brokerMay(parts, Permission.WRITE)) {
    const remark = `the broker[${parts.brokerAddress()}] sending message is forbidden`
    return answer(ResponseCode.NO_PERMISSION, remark)
  }
  // A group without retry queues takes back nothing, and says so to nobody.
  if (group.retryQueueNums <= 0) return success()
  const retryTopic = retryTopicOf(header.consumerGroup)
  const retry = await topics.ensureRetryTopic(retryTopic, group.retryQueueNums)
  if ((retry.perm & Permission.WRITE) === 0) {
    const remark = `the topic[${retryTopic}] sending message is forbidden`
    return answer(ResponseCode.NO_PERMISSION, remark)
  }
  const message = store.messageAt(header.physicalOffset)
  // No consumer was ever given a message of these topics.
  if (message === null || isForbiddenForClients(message.topic)) {
    const remark = `look message by offset failed, ${header.physicalOffset}`
    return answer(ResponseCode.SYSTEM_ERROR, remark)
  }
  const next = await nextAttempt(parts, { header, group, retry, message })
  return putAgain(parts, header, message, next)
}

function decodeSendBackHeader({ extFields, version }: RemotingCommand): SendBackHeader {
  const maxReconsumeTimes = optionalInt(extFields, 'maxReconsumeTimes')
  return {
    physicalOffset: requireLong(extFields, 'offset'),
    consumerGroup: requireString(extFields, 'group'),
    delayLevel: requireInt(extFields, 'delayLevel'),
    originTopic: optionalString(extFields, 'originTopic'),
    maxReconsumeTimes: version >= MAX_RECONSUME_TIMES_VERSION ? maxReconsumeTimes : null,
  }
}

async function nextAttempt(
  { topics, random, delays }: BrokerParts,
  asked: {
    readonly header: SendBackHeader
    readonly group: SubscriptionGroupConfig
    readonly retry: TopicConfig
    readonly message: StoredMessage
  },
): Promise<NextAttempt> {
  const { header, group, retry, message } = asked
  const { reconsumeTimes } = message
  const attempts = header.maxReconsumeTimes ?? group.retryMaxTimes
  if (header.delayLevel < 0 || reconsumeTimes >= attempts) {
    const dead = await topics.ensureRetryTopic(DLQ_PREFIX + header.consumerGroup, 1)
    return { topic: dead, queueId: 0, delayLevel: 0, isDead: true }
  }
  // The topic may be older than the group's number of retry queues.
  const queues = Math.max(1, Math.min(group.retryQueueNums, retry.writeQueueNums))
  const delayLevel =
    header.delayLevel > 0
      ? header.delayLevel
      : retryLevel(group.groupRetryPolicy, reconsumeTimes, delays.levelsMs)
  return { topic: retry, queueId: random.integer(queues), delayLevel, isDead: false }
}

async function putAgain(
  parts: BrokerParts,
  header: SendBackHeader,
  message: StoredMessage,
  next: NextAttempt,
): Promise<ResponseContent> {
  const { store, stats } = parts
  const { consumerGroup } = header
  const properties = parseProperties(message.properties)
  const originTopic = properties.get(PropertyName.RETRY_TOPIC) ?? message.topic
  const copy = copyOf(parts, message, properties, next)
  const diverted = next.isDead ? null : parts.delays.divert(copy)
  if (diverted?.type === 'refuse') return diverted.answer
  const stored = diverted?.message ?? copy
  const result = await new Promise<PutResult>((resolve) => store.put([stored], 'inTime', resolve))
  const status = await outcomeOf(parts, stored, result)
  if (status !== PutStatus.OK) return answer(codeOf(status), status)
  stats.add('SNDBCK_PUT_NUMS', `${originTopic}@${consumerGroup}`, 1, 1)
  if (next.isDead) {
    const name = `${header.originTopic ?? originTopic}@${consumerGroup}`
    stats.add('DLQ_PUT_NUMS', name, 1, 1)
    stats.add('SNDBCK2DLQ_TIMES', name, 1, 1)
  }
  return success()
}

/** What became of a copy, which may be committed a moment after the store has given its commit up. */
async function outcomeOf(
  { store, timers }: BrokerParts,
  { topic, queueId }: MessageToStore,
  { status, physicalOffsets, queueOffset, storeTimestamp }: PutResult,
): Promise<PutStatus> {
  const [physicalOffset] = physicalOffsets
  if (status === PutStatus.OK || physicalOffset === undefined) return status
  for (let waitedMs = 0; waitedMs < WATCHED_MS; waitedMs += LOOK_EVERY_MS) {
    await new Promise<void>((resolve) => timers.after(LOOK_EVERY_MS, resolve))
    if (store.maxOffsetInQueue(topic, queueId) <= queueOffset) continue
    // Another leader may have put another message in its place.
    const found = store.messageAt(physicalOffset)
    const isCopy =
      found?.topic === topic &&
      found.queueId === queueId &&
      found.queueOffset === queueOffset &&
      found.storeTimestamp === storeTimestamp
    return isCopy ? PutStatus.OK : status
  }
  return status
}

/** Java answers all of them with SYSTEM_ERROR; its client makes no difference. */
function codeOf(status: PutStatus): number {
  if (status === PutStatus.OS_PAGE_CACHE_BUSY) return ResponseCode.SYSTEM_BUSY
  if (status === PutStatus.SERVICE_NOT_AVAILABLE) return ResponseCode.SERVICE_NOT_AVAILABLE
  return ResponseCode.SYSTEM_ERROR
}

function copyOf(
  parts: BrokerParts,
  message: StoredMessage,
  given: ReadonlyMap<string, string>,
  next: NextAttempt,
): MessageToStore {
  const properties = new Map(given)
  const offsetId = encodeOffsetMessageId(parts.storeHost(), message.physicalOffset)
  const originTopic = properties.get(PropertyName.RETRY_TOPIC) ?? message.topic
  const originId = properties.get(PropertyName.ORIGIN_MESSAGE_ID) ?? offsetId
  properties.set(PropertyName.RETRY_TOPIC, originTopic)
  properties.set(PropertyName.ORIGIN_MESSAGE_ID, originId)
  // What the store adds to each record.
  properties.delete(PropertyName.CRC32)
  properties.set(PropertyName.DELAY, String(next.delayLevel))
  const added = next.isDead ? deadLetterProperties(properties) : []
  for (const [name, value] of added) properties.set(name, value)
  return {
    topic: next.topic.topicName,
    queueId: next.queueId,
    flag: message.flag,
    sysFlag: message.sysFlag & ~HOST_BITS,
    bornTimestamp: message.bornTimestamp,
    bornHost: message.bornHost,
    reconsumeTimes: message.reconsumeTimes + 1,
    preparedTransactionOffset: 0,
    body: message.body,
    properties: encodeProperties(properties),
  }
}
