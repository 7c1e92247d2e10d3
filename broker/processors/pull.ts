/** PULL_MESSAGE (11) and LITE_PULL_MESSAGE (361): the checks of protocol §7.2 in order, the read, and long polling. */
import { Permission } from '../../remoting/bodies/topic-config.ts'
import {
  optionalString,
  requireInt,
  requireLong,
  requireString,
} from '../../remoting/header-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { GetStatus } from '../../store/types.ts'
import { isTagExpression, parseTagExpression, tagFilter } from '../filter.ts'
import { answer, brokerMay, topicNotExist } from './answers.ts'
import type { RemotingRequest } from '../../remoting/connection.ts'
import type { ExtFields, ResponseContent } from '../../remoting/command.ts'
import type { GetResult, MessageFilter } from '../../store/types.ts'
import type { BrokerParts } from '../parts.ts'

/** Bits of a pull request's sysFlag (protocol §5.2). */
const PullSysFlag = { COMMIT_OFFSET: 1, SUSPEND: 2, SUBSCRIPTION: 4 } as const

/** What was forbidden, for the field `forbiddenType` of an answer 16. */
const ForbiddenType = { BROKER: 1, GROUP: 2, TOPIC: 3, BROADCASTING: 4 } as const

/** No pull is held longer, whatever the client asks. */
const SUSPEND_MAX_MS = 600_000
const NEXT_OFFSET_MAX = Number.MAX_SAFE_INTEGER

interface PullHeader {
  readonly consumerGroup: string
  readonly topic: string
  readonly queueId: number
  readonly queueOffset: number
  readonly maxMessages: number
  readonly sysFlag: number
  readonly commitOffset: number
  readonly suspendTimeoutMs: number
  readonly subscription: string | null
  readonly subVersion: number
  readonly expressionType: string | null
}

function decodePullHeader(fields: ExtFields): PullHeader {
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

export class PullProcessor {
  readonly #parts: BrokerParts

  constructor(parts: BrokerParts) {
    this.#parts = parts
  }

  readonly handle = (request: RemotingRequest): void => {
    const { config } = this.#parts
    const isLite = request.command.code === RequestCode.LITE_PULL_MESSAGE
    if (isLite && !config.values.litePullMessageEnable) {
      const remark = `the broker[${this.#parts.brokerAddress()}] for lite pull consumer is forbidden`
      return request.respond(answer(ResponseCode.NO_PERMISSION, remark))
    }
    const header = decodePullHeader(request.command.extFields)
    const refusal = this.#check(header, request)
    if (refusal !== null) return request.respond(refusal)
    const filter = this.#filterOf(header)
    if (filter !== null && 'code' in filter) return request.respond(filter)
    this.#pull({ request, header, filter, isWoken: false })
  }

  /** Checks broker, group, topic and queue. */
  #check(header: PullHeader, request: RemotingRequest): ResponseContent | null {
    const { groups, topics } = this.#parts
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
      return forbidden(
        ForbiddenType.TOPIC,
        `the topic[${header.topic}] pulling message is forbidden`,
      )
    }
    if (header.queueId < 0 || header.queueId >= topic.readQueueNums) {
      return answer(
        ResponseCode.INVALID_PARAMETER,
        `queueId[${header.queueId}] is illegal, topic:[${header.topic}] topicConfig.readQueueNums:[${topic.readQueueNums}] consumer:[${request.connection.remoteAddress}]`,
      )
    }
    return null
  }

  /** The filter of the subscription that the request carries or the group's heartbeat told; or the answer that refuses it. */
  #filterOf(header: PullHeader): MessageFilter | ResponseContent | null {
    const { clients, groups } = this.#parts
    if ((header.sysFlag & PullSysFlag.SUBSCRIPTION) !== 0) {
      if (!isTagExpression(header.expressionType)) return noSuchFilter(header.expressionType)
      const selection = parseTagExpression(header.subscription)
      if (selection === null) {
        const remark = "parse the consumer's subscription failed"
        return answer(ResponseCode.SUBSCRIPTION_PARSE_FAILED, remark)
      }
      return tagFilter(selection.expression, selection.codes)
    }
    const model = clients.messageModel(header.consumerGroup)
    if (model === null) {
      return answer(ResponseCode.SUBSCRIPTION_NOT_EXIST, "the consumer's group info not exist")
    }
    const group = groups.get(header.consumerGroup)
    if (model === 'BROADCASTING' && group?.consumeBroadcastEnable === false) {
      const remark = `the consumer group[${header.consumerGroup}] can not consume by broadcast way`
      return forbidden(ForbiddenType.BROADCASTING, remark)
    }
    const subscription = clients.subscription(header.consumerGroup, header.topic)
    if (subscription === null) {
      return answer(ResponseCode.SUBSCRIPTION_NOT_EXIST, "the consumer's subscription not exist")
    }
    if (subscription.subVersion < header.subVersion) {
      return answer(ResponseCode.SUBSCRIPTION_NOT_LATEST, "the consumer's subscription not latest")
    }
    if (!isTagExpression(subscription.expressionType)) {
      return noSuchFilter(subscription.expressionType)
    }
    return tagFilter(subscription.subString, subscription.codeSet)
  }

  #pull(pull: Pull): void {
    const { offsets, store } = this.#parts
    const { header } = pull
    const { topic, queueId } = header
    const reset = offsets.takeReset(header.consumerGroup, topic, queueId)
    if (reset !== null) {
      pull.request.respond({
        code: ResponseCode.PULL_OFFSET_MOVED,
        remark: 'OFFSET_RESET',
        extFields: this.#fields(header, {
          nextBeginOffset: reset,
          minOffset: store.minOffsetInQueue(topic, queueId),
          maxOffset: store.maxOffsetInQueue(topic, queueId),
        }),
      })
      return
    }
    store.get(
      {
        topic,
        queueId,
        queueOffset: header.queueOffset,
        maxMessages: header.maxMessages,
        filter: pull.filter,
      },
      (result) => this.#onResult(pull, result),
    )
  }

  #onResult(pull: Pull, result: GetResult): void {
    const { header, request } = pull
    const code = codeOf(result.status, header.queueOffset)
    this.#commit(pull)
    if (code === ResponseCode.PULL_NOT_FOUND && this.#park(pull, result.maxOffset)) return
    if (code === ResponseCode.SUCCESS) this.#count(header, result)
    request.respond({
      code,
      remark: result.status,
      extFields: this.#fields(header, result),
      isLongPolling: pull.isWoken,
      ...(code === ResponseCode.SUCCESS ? { body: result.records } : {}),
    })
  }

  /** A client's commit rides on the pull; a woken pull has brought it already. */
  #commit({ header, isWoken }: Pull): void {
    if (isWoken || (header.sysFlag & PullSysFlag.COMMIT_OFFSET) === 0 || header.commitOffset < 0)
      return
    const { consumerGroup, topic, queueId, commitOffset } = header
    this.#parts.offsets.commit(consumerGroup, topic, queueId, commitOffset)
  }

  /** True when the pull now waits for a message. */
  #park(pull: Pull, seenMaxOffset: number): boolean {
    const { config, longPolling, clock } = this.#parts
    const { header, request, filter } = pull
    if (pull.isWoken || (header.sysFlag & PullSysFlag.SUSPEND) === 0) return false
    if (!longPolling.isOpen) return false
    if (longPolling.count >= config.values.pullThreadPoolQueueCapacity) return false
    const waitMs = config.values.longPollingEnable
      ? Math.min(header.suspendTimeoutMs, SUSPEND_MAX_MS)
      : config.values.shortPollingTimeMills
    if (waitMs <= 0) return false
    longPolling.park({
      topic: header.topic,
      queueId: header.queueId,
      queueOffset: header.queueOffset,
      seenMaxOffset,
      filter,
      deadline: clock.monotonic() + waitMs,
      isWanted: () => request.connection.isOpen,
      resume: () => this.#pull({ ...pull, isWoken: true }),
    })
    return true
  }

  /** The four offsets which clients need in every answer, 19, 20 and 21 included. */
  #fields(
    header: PullHeader,
    at: {
      readonly nextBeginOffset: number
      readonly minOffset: number
      readonly maxOffset: number
    },
  ): Readonly<Record<string, string>> {
    const { topics, groups } = this.#parts
    return {
      suggestWhichBrokerId: '0',
      nextBeginOffset: String(Math.min(at.nextBeginOffset, NEXT_OFFSET_MAX)),
      minOffset: String(at.minOffset),
      maxOffset: String(at.maxOffset),
      topicSysFlag: String(topics.get(header.topic)?.topicSysFlag ?? 0),
      groupSysFlag: String(groups.get(header.consumerGroup)?.groupSysFlag ?? 0),
    }
  }

  #count({ topic, consumerGroup }: PullHeader, result: GetResult): void {
    const { stats, config, topics } = this.#parts
    const count = result.records.length
    const key = `${topic}@${consumerGroup}`
    const { brokerClusterName } = config.values
    stats.getTotal += count
    stats.add('GROUP_GET_NUMS', key, count, 1)
    stats.add('GROUP_GET_SIZE', key, result.bytes, count)
    stats.add('BROKER_GET_NUMS', brokerClusterName, count, 1)
    if (topics.isSystem(topic)) return
    stats.add('BROKER_GET_NUMS_WITHOUT_SYSTEM_TOPIC', brokerClusterName, count, 1)
  }
}

interface Pull {
  readonly request: RemotingRequest
  readonly header: PullHeader
  readonly filter: MessageFilter | null
  /** It has been held: it is answered whatever is found, and counts as committed. */
  readonly isWoken: boolean
}

/** The codes that `PullProcessor` serves. */
export const PULL_CODES: readonly number[] = [
  RequestCode.PULL_MESSAGE,
  RequestCode.LITE_PULL_MESSAGE,
]

function forbidden(forbiddenType: number, remark: string): ResponseContent {
  return {
    code: ResponseCode.NO_PERMISSION,
    remark,
    extFields: { forbiddenType: String(forbiddenType) },
  }
}

function noSuchFilter(expressionType: string | null): ResponseContent {
  return answer(
    ResponseCode.SYSTEM_ERROR,
    `The broker does not support consumer to filter message by ${expressionType ?? ''}`,
  )
}

function codeOf(status: GetStatus, queueOffset: number): number {
  switch (status) {
    case GetStatus.FOUND:
      return ResponseCode.SUCCESS
    case GetStatus.NO_MATCHED_MESSAGE:
    case GetStatus.MESSAGE_WAS_REMOVING:
      return ResponseCode.PULL_RETRY_IMMEDIATELY
    case GetStatus.NO_MATCHED_LOGIC_QUEUE:
    case GetStatus.NO_MESSAGE_IN_QUEUE:
      return queueOffset === 0 ? ResponseCode.PULL_NOT_FOUND : ResponseCode.PULL_OFFSET_MOVED
    case GetStatus.OFFSET_FOUND_NULL:
    case GetStatus.OFFSET_OVERFLOW_ONE:
      return ResponseCode.PULL_NOT_FOUND
    case GetStatus.OFFSET_OVERFLOW_BADLY:
    case GetStatus.OFFSET_TOO_SMALL:
      return ResponseCode.PULL_OFFSET_MOVED
  }
}
