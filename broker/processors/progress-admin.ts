/** What tools ask about the progress of groups in this broker: 317, 303, 345, 308; and how a queue lies on disk: 321. */
import { encodeBrokerConsumeStats } from '../../remoting/bodies/broker-consume-stats.ts'
import { formatFastjson } from '../../remoting/bodies/fastjson.ts'
import { subscriptionDataRecord } from '../../remoting/bodies/heartbeat-data.ts'
import { messageQueueRecord } from '../../remoting/bodies/message-queue.ts'
import {
  optionalBoolean,
  optionalString,
  requireInt,
  requireLong,
  requireString,
} from '../../remoting/header-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { answer, success, topicNotExist } from './answers.ts'
import { queueProgress } from './queue-progress.ts'
import type { TopicConsumeStats } from '../../remoting/bodies/broker-consume-stats.ts'
import type { BodyRecord } from '../../remoting/bodies/fastjson.ts'
import type { Processor, RemotingRequest } from '../../remoting/connection.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { AskedProgress } from './queue-progress.ts'
import type { BrokerParts } from '../parts.ts'

/** Queues looked at in one turn of the event loop. */
const TURN_QUEUES = 500
/** Units of a queue in one answer. */
const UNITS_MAX = 1024

/** The processors of this family by code. */
export function progressProcessors(parts: BrokerParts): ReadonlyMap<number, Processor> {
  const handlers: readonly (readonly [
    number,
    (parts: BrokerParts, request: RemotingRequest) => ResponseContent | Promise<ResponseContent>,
  ])[] = [
    [RequestCode.GET_BROKER_CONSUME_STATS, brokerConsumeStats],
    [RequestCode.QUERY_CONSUME_TIME_SPAN, consumeTimeSpan],
    [RequestCode.QUERY_SUBSCRIPTION_BY_CONSUMER, subscriptionOfGroup],
    [RequestCode.QUERY_CORRECTION_OFFSET, correctionOffsets],
    [RequestCode.QUERY_CONSUME_QUEUE, consumeQueue],
  ]
  return new Map(
    handlers.map(([code, handle]) => [
      code,
      async (request: RemotingRequest) => request.respond(await handle(parts, request)),
    ]),
  )
}

/** Every group of this broker in every topic where it has offsets. */
async function brokerConsumeStats(
  parts: BrokerParts,
  request: RemotingRequest,
): Promise<ResponseContent> {
  const { groups, topics, clients, timers } = parts
  const isOrder = optionalBoolean(request.command.extFields, 'isOrder') === true
  const byGroup = topicsByGroup(parts)
  const list: { readonly group: string; readonly topics: readonly TopicConsumeStats[] }[] = []
  let left = TURN_QUEUES
  for (const group of groups.all.keys()) {
    const isOnline = (clients.consumerGroup(group)?.subscriptions.size ?? 0) > 0
    const stats: TopicConsumeStats[] = []
    for (const topic of byGroup.get(group) ?? []) {
      const config = topics.get(topic)
      if (config === undefined || (isOrder && !config.order)) continue
      if (isOnline && clients.subscription(group, topic) === null) continue
      stats.push(topicProgress(parts, { group, topic, queues: config.writeQueueNums }))
      left -= config.writeQueueNums
      if (left > 0) continue
      left = TURN_QUEUES
      await new Promise<void>((resolve) => timers.soon(resolve))
    }
    list.push({ group, topics: stats })
  }
  return success(undefined, encodeBrokerConsumeStats(list, parts.brokerAddress()))
}

function topicsByGroup({ offsets }: BrokerParts): ReadonlyMap<string, readonly string[]> {
  const byGroup = new Map<string, string[]>()
  for (const [topic, group] of offsets.subscriptions()) {
    const known = byGroup.get(group)
    if (known === undefined) byGroup.set(group, [topic])
    else known.push(topic)
  }
  return byGroup
}

function topicProgress(parts: BrokerParts, asked: AskedProgress): TopicConsumeStats {
  const consumeTps = parts.stats.tps('GROUP_GET_NUMS', `${asked.topic}@${asked.group}`)
  return { consumeTps, queues: queueProgress(parts, asked) }
}

/** Between which times the messages of each queue lie, and where in them a group is. */
function consumeTimeSpan(parts: BrokerParts, request: RemotingRequest): ResponseContent {
  const { store, offsets, topics, config, clock } = parts
  const fields = request.command.extFields
  const topic = requireString(fields, 'topic')
  const group = requireString(fields, 'group')
  const topicConfig = topics.get(topic)
  if (topicConfig === undefined) return topicNotExist(topic)
  const { brokerName } = config.values
  const spans = Array.from({ length: topicConfig.writeQueueNums }, (_, queueId): BodyRecord => {
    const timeAt = (queueOffset: number) => store.storeTimestampAt(topic, queueId, queueOffset)
    const max = store.maxOffsetInQueue(topic, queueId)
    const next = offsets.query(group, topic, queueId) ?? 0
    const minTimeStamp = store.earliestStoreTimestamp(topic, queueId) ?? -1
    const nextTime = next < max ? timeAt(next) : null
    return {
      messageQueue: messageQueueRecord({ topic, brokerName, queueId }),
      minTimeStamp,
      maxTimeStamp: timeAt(max - 1) ?? -1,
      consumeTimeStamp: (next > 0 ? timeAt(next - 1) : minTimeStamp) ?? -1,
      delayTime: nextTime === null ? 0 : Math.max(0, clock.now() - nextTime),
    }
  })
  return success(undefined, formatFastjson({ consumeTimeSpanSet: spans }))
}

function subscriptionOfGroup({ clients }: BrokerParts, request: RemotingRequest): ResponseContent {
  const fields = request.command.extFields
  const group = requireString(fields, 'group')
  const topic = optionalString(fields, 'topic') ?? ''
  const subscription = clients.subscription(group, topic)
  const subscriptionData = subscription === null ? null : subscriptionDataRecord(subscription)
  return success(undefined, formatFastjson({ group, topic, subscriptionData }))
}

/**
 * The least offset of all groups but `filterGroups` for each queue of a topic; where `compareGroup` is further behind than all of them,
 * Java's `Long.MAX_VALUE` says that there is nothing to correct.
 */
function correctionOffsets({ offsets }: BrokerParts, request: RemotingRequest): ResponseContent {
  const fields = request.command.extFields
  const topic = requireString(fields, 'topic')
  const compareGroup = requireString(fields, 'compareGroup')
  const filtered = new Set((optionalString(fields, 'filterGroups') ?? '').split(','))
  const least = new Map<number, number>()
  for (const group of offsets.groupsOf(topic)) {
    if (filtered.has(group)) continue
    for (const [queueId, queueOffset] of offsets.queuesOf(group, topic)) {
      least.set(queueId, Math.min(least.get(queueId) ?? Number.POSITIVE_INFINITY, queueOffset))
    }
  }
  const compared = new Map(offsets.queuesOf(compareGroup, topic))
  // Written by hand: Long.MAX_VALUE is no number of JavaScript.
  const members = [...least].map(([queueId, queueOffset]) => {
    const own = compared.get(queueId)
    const isNothing = own !== undefined && queueOffset > own
    return `"${queueId}":${isNothing ? '9223372036854775807' : queueOffset}`
  })
  return success(undefined, Buffer.from(`{"correctionOffsets":{${members.join(',')}}}`))
}

/** The units of a ConsumeQueue as they lie on disk. */
function consumeQueue(parts: BrokerParts, request: RemotingRequest): ResponseContent {
  const { store, clients } = parts
  const fields = request.command.extFields
  const topic = requireString(fields, 'topic')
  const queueId = requireInt(fields, 'queueId')
  const index = requireLong(fields, 'index')
  const count = Math.min(requireInt(fields, 'count'), UNITS_MAX)
  const maxQueueIndex = store.maxOffsetInQueue(topic, queueId)
  const isKnown = maxQueueIndex > 0 || queueId < (parts.topics.get(topic)?.writeQueueNums ?? 0)
  if (queueId < 0 || !isKnown) {
    return answer(ResponseCode.SYSTEM_ERROR, `${queueId}@${topic} is not exist!`)
  }
  const group = optionalString(fields, 'consumerGroup')
  const subscription = group === null ? null : clients.subscription(group, topic)
  const queueData: BodyRecord[] = []
  for (let at = index; at >= 0 && at < index + count; at++) {
    const unit = store.queueUnitAt(topic, queueId, at)
    if (unit === null) break
    const { physicalOffset, size, tagsCode } = unit
    queueData.push({ physicOffset: physicalOffset, physicSize: size, tagsCode, eval: false })
  }
  const body = {
    maxQueueIndex,
    minQueueIndex: store.minOffsetInQueue(topic, queueId),
    queueData,
    subscriptionData: subscription === null ? null : subscriptionDataRecord(subscription),
    filterData: group !== null && subscription === null ? `${group}@${topic} is not online!` : null,
  }
  const content = success(undefined, formatFastjson(body))
  if (queueData.length > 0) return content
  return { ...content, remark: `Index ${index} of ${queueId}@${topic} is not exist!` }
}
