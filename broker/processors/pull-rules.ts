/** What a pull must satisfy (the checks of protocol §7.2 in order) and which messages it selects: the same for both ways of a pull. */
import { countedName } from '../../common/light-queues.ts'
import { Permission } from '../../remoting/bodies/topic-config.ts'
import {
  optionalString,
  requireInt,
  requireLong,
  requireString,
} from '../../remoting/header-fields.ts'
import { PullSysFlag } from '../../remoting/pull-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { isTagExpression, parseTagExpression, tagFilter } from '../filter.ts'
import { FilterSyntaxError } from '../filter/sql-lexer.ts'
import { SQL92_EXPRESSION, sqlFilter } from '../filter/sql-filter.ts'
import { answer, brokerMay, topicNotExist } from './answers.ts'
import type { SubscriptionData } from '../../remoting/bodies/heartbeat-data.ts'
import type { ExtFields, ResponseContent } from '../../remoting/command.ts'
import type { MessageFilter } from '../../store/types.ts'
import type { ColdDataControl } from '../cold/cold-data-control.ts'
import type { BrokerParts } from '../parts.ts'

/** The codes of a pull. */
export const PULL_CODES: readonly number[] = [
  RequestCode.PULL_MESSAGE,
  RequestCode.LITE_PULL_MESSAGE,
]

/** What was forbidden, for the field `forbiddenType` of an answer 16. */
const ForbiddenType = { BROKER: 1, GROUP: 2, TOPIC: 3, BROADCASTING: 4, SUBSCRIPTION: 5 } as const

/** No pull is held longer, whatever the client asks. */
const SUSPEND_MAX_MS = 600_000

/** Subscriptions of requests whose filters are kept. */
const KEPT_FILTERS_MAX = 4096
/** Longer expressions are parsed each time. */
const KEPT_EXPRESSION_LENGTH_MAX = 4096

export interface PullHeader {
  readonly consumerGroup: string
  readonly topic: string
  readonly queueId: number
  readonly queueOffset: number
  /** `refusalOf` may lower it. */
  maxMessages: number
  readonly sysFlag: number
  readonly commitOffset: number
  readonly suspendTimeoutMs: number
  readonly subscription: string | null
  readonly subVersion: number
  readonly expressionType: string | null
}

export function decodePullHeader(fields: ExtFields): PullHeader {
  return {
    consumerGroup: requireString(fields, 'consumerGroup'),
    topic: requireString(fields, 'topic'),
    queueId: requireInt(fields, 'queueId'),
    queueOffset: requireLong(fields, 'queueOffset'),
    // As in Java, one message is answered also when none is asked for, which the Go pull consumer does.
    maxMessages: Math.max(1, requireInt(fields, 'maxMsgNums')),
    sysFlag: requireInt(fields, 'sysFlag'),
    commitOffset: requireLong(fields, 'commitOffset'),
    suspendTimeoutMs: requireLong(fields, 'suspendTimeoutMillis'),
    subscription: optionalString(fields, 'subscription'),
    subVersion: requireLong(fields, 'subVersion'),
    expressionType: optionalString(fields, 'expressionType'),
  }
}

/** Java's words (PullMessageProcessor). */
const COLD_REMARK = 'This consumer group is reading cold data. It has been flow control'

export class PullRules {
  readonly #parts: BrokerParts
  readonly #cold: ColdDataControl
  /** Filters by the expression that requests carry, and by what heartbeats told. */
  readonly #filters = new Map<string, MessageFilter | null>()
  readonly #heartbeatFilters = new WeakMap<
    SubscriptionData,
    { readonly filter: MessageFilter | ResponseContent | null }
  >()

  constructor(parts: BrokerParts, cold: ColdDataControl) {
    this.#parts = parts
    this.#cold = cold
  }

  /** Checks broker, group, topic and queue; null when all is well. A group that may be is created. */
  refusalOf(header: PullHeader, code: number, remoteAddress: string): ResponseContent | null {
    const { config, groups, topics } = this.#parts
    if (code === RequestCode.LITE_PULL_MESSAGE && !config.values.litePullMessageEnable) {
      const remark = `the broker[${this.#parts.brokerAddress()}] for lite pull consumer is forbidden`
      return answer(ResponseCode.NO_PERMISSION, remark)
    }
    if (!brokerMay(this.#parts, Permission.READ)) {
      const remark = `the broker[${this.#parts.brokerAddress()}] pulling message is forbidden`
      return forbidden(ForbiddenType.BROKER, remark)
    }
    const group = groups.find(header.consumerGroup)
    if (group === null) {
      return answer(
        ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
        `subscription group [${header.consumerGroup}] does not exist`,
      )
    }
    if (!group.consumeEnable) {
      const remark = `subscription group no permission, ${header.consumerGroup}`
      return forbidden(ForbiddenType.GROUP, remark)
    }
    const topic = topics.get(header.topic)
    if (topic === undefined) return topicNotExist(header.topic)
    if ((topic.perm & Permission.READ) === 0) {
      const remark = `the topic[${header.topic}] pulling message is forbidden`
      return forbidden(ForbiddenType.TOPIC, remark)
    }
    if (header.queueId < 0 || header.queueId >= topic.readQueueNums) {
      return answer(
        ResponseCode.INVALID_PARAMETER,
        `queueId[${header.queueId}] is illegal, topic:[${header.topic}] topicConfig.readQueueNums:[${topic.readQueueNums}] consumer:[${remoteAddress}]`,
      )
    }
    return this.#cold.isHeldBack(header.consumerGroup, header) ? this.#slowDown(header) : null
  }

  /** As in Java: who pulls by itself gets message by message, who is pushed to is told to come again. */
  #slowDown(header: PullHeader): ResponseContent | null {
    const group = this.#parts.clients.consumerGroup(header.consumerGroup)
    if (group?.consumeType !== 'CONSUME_ACTIVELY') {
      return answer(ResponseCode.SYSTEM_BUSY, COLD_REMARK)
    }
    header.maxMessages = 1
    return null
  }

  /** The filter of the subscription that the request carries or the group's heartbeat told; or the answer that refuses it. */
  filterOf(header: PullHeader): MessageFilter | ResponseContent | null {
    if ((header.sysFlag & PullSysFlag.SUBSCRIPTION) !== 0) return this.requestFilter(header)
    const { clients, groups } = this.#parts
    const model = clients.messageModel(header.consumerGroup)
    if (model === null) {
      return answer(ResponseCode.SUBSCRIPTION_NOT_EXIST, "the consumer's group info not exist")
    }
    const group = groups.get(header.consumerGroup)
    if (model === 'BROADCASTING' && group?.consumeBroadcastEnable === false) {
      const remark = `the consumer group[${header.consumerGroup}] can not consume by broadcast way`
      return forbidden(ForbiddenType.BROADCASTING, remark)
    }
    if (!groups.mayRead(header.consumerGroup, header.topic)) {
      const remark = `the consumer group[${header.consumerGroup}] is forbidden for topic[${header.topic}]`
      return forbidden(ForbiddenType.SUBSCRIPTION, remark)
    }
    const subscription = clients.subscription(header.consumerGroup, header.topic)
    if (subscription === null) {
      return answer(ResponseCode.SUBSCRIPTION_NOT_EXIST, "the consumer's subscription not exist")
    }
    if (subscription.subVersion < header.subVersion) {
      return answer(ResponseCode.SUBSCRIPTION_NOT_LATEST, "the consumer's subscription not latest")
    }
    const refusal = expressionTypeRefusal(this.#parts, subscription.expressionType)
    if (refusal !== null) return refusal
    let kept = this.#heartbeatFilters.get(subscription)
    if (kept === undefined) {
      kept = { filter: heartbeatFilter(subscription) }
      this.#heartbeatFilters.set(subscription, kept)
    }
    return kept.filter
  }

  /** A client's commit rides on the pull. */
  commit({ consumerGroup, topic, queueId, sysFlag, commitOffset }: PullHeader): void {
    if ((sysFlag & PullSysFlag.COMMIT_OFFSET) === 0 || commitOffset < 0) return
    this.#parts.offsets.commit(consumerGroup, topic, queueId, commitOffset)
  }

  /** How long a pull that finds nothing is held; 0 when it is answered at once. */
  holdMs({ sysFlag, suspendTimeoutMs }: PullHeader): number {
    const { config, longPolling } = this.#parts
    if ((sysFlag & PullSysFlag.SUSPEND) === 0 || !longPolling.isOpen) return 0
    if (longPolling.count >= config.values.pullThreadPoolQueueCapacity) return 0
    return config.values.longPollingEnable
      ? Math.min(suspendTimeoutMs, SUSPEND_MAX_MS)
      : config.values.shortPollingTimeMills
  }

  /** A pull wants to be held, and the broker holds none any more. */
  isUnheld({ sysFlag }: PullHeader): boolean {
    return (sysFlag & PullSysFlag.SUSPEND) !== 0 && !this.#parts.longPolling.isOpen
  }

  topicSysFlag(topic: string): number {
    return this.#parts.topics.get(topic)?.topicSysFlag ?? 0
  }

  groupSysFlag(group: string): number {
    return this.#parts.groups.get(group)?.groupSysFlag ?? 0
  }

  /** Counts messages that were pulled. */
  countPulled(
    header: PullHeader,
    {
      messages,
      bytes,
      nextOffset,
    }: {
      readonly messages: number
      readonly bytes: number
      readonly nextOffset: number
    },
  ): void {
    const { consumerGroup, topic, queueId } = header
    this.#parts.offsets.notePulled(consumerGroup, topic, queueId, nextOffset)
    this.#cold.count(header.consumerGroup, header, bytes)
    this.count(header, messages, bytes)
  }

  /** Counts messages that were answered. */
  count(
    { topic, consumerGroup }: Pick<PullHeader, 'topic' | 'consumerGroup'>,
    messages: number,
    bytes: number,
  ): void {
    const { stats, config, topics } = this.#parts
    const key = `${countedName(topic)}@${countedName(consumerGroup)}`
    const { brokerClusterName } = config.values
    stats.getTotal += messages
    stats.add('GROUP_GET_NUMS', key, messages, 1)
    stats.add('GROUP_GET_SIZE', key, bytes, messages)
    stats.add('BROKER_GET_NUMS', brokerClusterName, messages, 1)
    if (topics.isSystem(topic)) return
    stats.add('BROKER_GET_NUMS_WITHOUT_SYSTEM_TOPIC', brokerClusterName, messages, 1)
  }

  /** The filter of an expression that a request carries, or the answer that refuses it. */
  requestFilter({
    subscription,
    expressionType,
  }: Pick<PullHeader, 'subscription' | 'expressionType'>): MessageFilter | ResponseContent | null {
    const refusal = expressionTypeRefusal(this.#parts, expressionType)
    if (refusal !== null) return refusal
    const isTags = isTagExpression(expressionType)
    const key = (isTags ? 'T' : 'S') + (subscription ?? '')
    const kept = this.#filters.get(key)
    if (kept !== undefined) return kept
    const filter = isTags ? requestTagFilter(subscription) : requestSqlFilter(subscription)
    if (filter !== null && 'code' in filter) return filter
    if (key.length <= KEPT_EXPRESSION_LENGTH_MAX) {
      if (this.#filters.size >= KEPT_FILTERS_MAX) this.#filters.clear()
      this.#filters.set(key, filter)
    }
    return filter
  }
}

/** The answer to a kind of expression that is not served, or not now; null for the others. */
export function expressionTypeRefusal(
  { config }: Pick<BrokerParts, 'config'>,
  expressionType: string | null,
): ResponseContent | null {
  if (isTagExpression(expressionType)) return null
  const { enablePropertyFilter } = config.values
  if (expressionType === SQL92_EXPRESSION && enablePropertyFilter) return null
  return answer(
    enablePropertyFilter ? ResponseCode.SUBSCRIPTION_PARSE_FAILED : ResponseCode.SYSTEM_ERROR,
    `The broker does not support consumer to filter message by ${expressionType ?? ''}`,
  )
}

function heartbeatFilter(subscription: SubscriptionData): MessageFilter | ResponseContent | null {
  const { expressionType, subString, codeSet } = subscription
  if (isTagExpression(expressionType)) return tagFilter(subString, codeSet)
  try {
    return sqlFilter(subString)
  } catch (error) {
    if (!(error instanceof FilterSyntaxError)) throw error
    return answer(
      ResponseCode.FILTER_DATA_NOT_EXIST,
      `The broker's consumer filter data is not exist!Your expression may be wrong! ${error.message}`,
    )
  }
}

function requestTagFilter(subscription: string | null): MessageFilter | ResponseContent | null {
  const selection = parseTagExpression(subscription)
  return selection === null
    ? parseFailed("parse the consumer's subscription failed")
    : tagFilter(selection.expression, selection.codes)
}

function requestSqlFilter(subscription: string | null): MessageFilter | ResponseContent {
  try {
    return sqlFilter(subscription ?? '')
  } catch (error) {
    if (!(error instanceof FilterSyntaxError)) throw error
    return parseFailed(`parse the consumer's subscription failed: ${error.message}`)
  }
}

function parseFailed(remark: string): ResponseContent {
  return answer(ResponseCode.SUBSCRIPTION_PARSE_FAILED, remark)
}

function forbidden(forbiddenType: number, remark: string): ResponseContent {
  return {
    code: ResponseCode.NO_PERMISSION,
    remark,
    extFields: { forbiddenType: String(forbiddenType) },
  }
}
