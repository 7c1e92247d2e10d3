/** QUERY_ASSIGNMENT (400), SET_MESSAGE_REQUEST_MODE (401) and GET_ALL_MESSAGE_REQUEST_MODE (402). */
import { LIGHT_QUEUE_ID, isLightName } from '../../common/light-queues.ts'
import {
  decodeQueryAssignment,
  decodeRequestMode,
  encodeAssignment,
} from '../../remoting/bodies/pop-bodies.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { RETRY_PREFIX } from '../names.ts'
import { assignQueues } from '../pop/assignment.ts'
import { answer, success } from './answers.ts'
import type { Processor } from '../../remoting/connection.ts'
import type { MessageQueue } from '../../remoting/bodies/message-queue.ts'
import type { QueryAssignment, RequestModeSetting } from '../../remoting/bodies/pop-bodies.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { BrokerParts } from '../parts.ts'
import type { TopicRoutes } from '../pop/topic-routes.ts'

/** The processors of this family by code. */
export function assignmentProcessors(
  parts: BrokerParts,
  routes: TopicRoutes,
): ReadonlyMap<number, Processor> {
  return new Map<number, Processor>([
    [
      RequestCode.QUERY_ASSIGNMENT,
      async (request) => {
        const query = decodeQueryAssignment(request.command.body)
        const setting = parts.requestModes.get(query.topic, query.consumerGroup)
        const all = isLightName(query.topic)
          ? lightQueueOf(parts, query.topic)
          : await routes.queuesOf(query.topic)
        const queues = all === null ? null : assigned(parts, query, setting, all)
        request.respond(success(undefined, encodeAssignment(queues, setting.mode)))
      },
    ],
    [
      RequestCode.SET_MESSAGE_REQUEST_MODE,
      async (request) => {
        const setting = decodeRequestMode(request.command.body)
        const problem = settingProblem(parts, setting)
        if (problem === null) await parts.requestModes.set(setting)
        request.respond(problem ?? success())
      },
    ],
    [
      RequestCode.GET_ALL_MESSAGE_REQUEST_MODE,
      (request) => request.respond(success(undefined, parts.requestModes.encode())),
    ],
  ])
}

/** A light queue has no route; it is asked of the broker that is to be read. */
function lightQueueOf(
  { topics, config }: BrokerParts,
  topic: string,
): readonly MessageQueue[] | null {
  if (topics.get(topic) === undefined) return null
  return [{ topic, brokerName: config.values.brokerName, queueId: LIGHT_QUEUE_ID }]
}

/** Null: nothing can be said, and the client keeps what it has. */
function assigned(
  { clients, config, logger }: BrokerParts,
  query: QueryAssignment,
  setting: RequestModeSetting,
  queues: readonly MessageQueue[],
): readonly MessageQueue[] | null {
  const { topic, consumerGroup, strategyName, clientId, messageModel } = query
  if (messageModel === 'BROADCASTING' || !config.values.serverLoadBalancerEnable) return queues
  const clientIds = clients.consumerIds(consumerGroup)
  if (clientIds.length === 0 || queues.length === 0) return null
  const result = assignQueues({ strategyName, clientId, clientIds, queues }, setting)
  if (result === null) {
    const fields = { topic, consumerGroup, strategyName: strategyName.slice(0, 64) }
    logger.warn(fields, 'a client asks for an assignment by a strategy that is not known')
  }
  return result
}

function settingProblem(
  { topics, groups }: BrokerParts,
  { topic, consumerGroup }: RequestModeSetting,
): ResponseContent | null {
  if (topic.startsWith(RETRY_PREFIX)) {
    return answer(ResponseCode.NO_PERMISSION, 'retry topic is not allowed to set mode')
  }
  if (topics.get(topic) === undefined) {
    return answer(ResponseCode.TOPIC_NOT_EXIST, `topic[${topic}] not exist`)
  }
  if (groups.find(consumerGroup) !== null) return null
  return answer(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, 'subscription group does not exist')
}
