/** Administration of consumer groups: 200, 225, 207, 201, 352, 353. */
import {
  decodeSubscriptionGroupConfig,
  decodeSubscriptionGroupList,
  encodeGroupForbidden,
  encodeSubscriptionGroupConfig,
  encodeSubscriptionGroupTable,
} from '../../remoting/bodies/subscription-group-config.ts'
import { optionalBoolean, requireString } from '../../remoting/header-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { groupProblem, topicProblem } from '../names.ts'
import { answer, success } from './answers.ts'
import { pageOf, sameVersion } from './topics-admin.ts'
import type { Processor, RemotingRequest } from '../../remoting/connection.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { SubscriptionGroupConfig } from '../../remoting/bodies/subscription-group-config.ts'
import type { BrokerParts } from '../parts.ts'

/** The processors of this family by code. */
export function groupAdminProcessors(parts: BrokerParts): ReadonlyMap<number, Processor> {
  return new Map<number, Processor>([
    [
      RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
      async (request) => {
        const config = decodeSubscriptionGroupConfig(request.command.body)
        request.respond(await updateGroups(parts, [config]))
      },
    ],
    [
      RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST,
      async (request) => {
        const configs = decodeSubscriptionGroupList(request.command.body)
        request.respond(await updateGroups(parts, configs))
      },
    ],
    [
      RequestCode.DELETE_SUBSCRIPTIONGROUP,
      async (request) => request.respond(await deleteGroup(parts, request)),
    ],
    [
      RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG,
      (request) => request.respond(allGroups(parts, request)),
    ],
    [
      RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG,
      (request) => request.respond(oneGroup(parts, request)),
    ],
    [
      RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN,
      async (request) => request.respond(await groupForbidden(parts, request)),
    ],
  ])
}

/** All or none. */
async function updateGroups(
  { groups, logger }: BrokerParts,
  configs: readonly SubscriptionGroupConfig[],
): Promise<ResponseContent> {
  for (const { groupName } of configs) {
    const problem = groupProblem(groupName)
    if (problem !== null) return answer(ResponseCode.INVALID_PARAMETER, problem)
  }
  await groups.putAll(configs)
  logger.info(
    { groups: configs.map((config) => config.groupName) },
    'consumer groups were created or changed',
  )
  return success()
}

async function deleteGroup(
  { groups, offsets, stats, logger }: BrokerParts,
  request: RemotingRequest,
): Promise<ResponseContent> {
  const fields = request.command.extFields
  const name = requireString(fields, 'groupName')
  await groups.delete(name)
  const cleanOffset = optionalBoolean(fields, 'cleanOffset') === true
  if (cleanOffset) offsets.deleteGroup(name)
  stats.forget((key) => key.endsWith(`@${name}`))
  logger.info({ consumerGroup: name, cleanOffset }, 'a consumer group was deleted')
  return success()
}

function allGroups({ groups, config }: BrokerParts, request: RemotingRequest): ResponseContent {
  const { all, dataVersion } = groups
  const fields = request.command.extFields
  const page = pageOf(fields, 'groupSeq', 'maxGroupNum', config.values.splitMetadataSize)
  const start = page !== null && sameVersion(fields, dataVersion) ? page.start : 0
  const chosen = page === null ? all : new Map([...all].slice(start).slice(0, page.count))
  const forbidden =
    page === null
      ? groups.forbidden
      : new Map([...groups.forbidden].filter(([group]) => chosen.has(group)))
  return success(
    { totalGroupNum: String(all.size) },
    encodeSubscriptionGroupTable({ dataVersion, forbidden, groups: chosen }),
  )
}

function oneGroup({ groups }: BrokerParts, request: RemotingRequest): ResponseContent {
  const config = groups.get(requireString(request.command.extFields, 'group'))
  if (config !== undefined) return success(undefined, encodeSubscriptionGroupConfig(config))
  return answer(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, 'No group in this broker')
}

/** Says whether a group may read a topic, after it was set if the request does so. */
async function groupForbidden(
  { groups, logger }: BrokerParts,
  request: RemotingRequest,
): Promise<ResponseContent> {
  const fields = request.command.extFields
  const group = requireString(fields, 'group')
  const topic = requireString(fields, 'topic')
  const readable = optionalBoolean(fields, 'readable')
  if (readable !== null) {
    const problem = groupProblem(group) ?? topicProblem(topic)
    if (problem !== null) return answer(ResponseCode.INVALID_PARAMETER, problem)
    await groups.setMayRead(group, topic, readable)
    logger.info({ consumerGroup: group, topic, readable }, 'a group may read a topic, or not')
  }
  const body = encodeGroupForbidden({ group, topic, readable: groups.mayRead(group, topic) })
  return success(undefined, body)
}
