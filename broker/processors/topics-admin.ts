/** Administration of topics: 17, 18, 215, 21, 351, 305, 316. */
import { MARKS_TOPIC } from '../../common/delivery-mark.ts'
import { isLightName } from '../../common/light-queues.ts'
import { dataVersionOf, isSameDataVersion } from '../../remoting/bodies/data-version.ts'
import { formatFastjson, parseFastjson } from '../../remoting/bodies/fastjson.ts'
import { asObject } from '../../remoting/bodies/json-members.ts'
import { encodeTopicList } from '../../remoting/bodies/simple-bodies.ts'
import {
  decodeTopicConfigList,
  encodeTopicConfigTable,
  topicConfig,
  topicConfigRecord,
  topicFilterTypeOf,
} from '../../remoting/bodies/topic-config.ts'
import {
  optionalInt,
  optionalString,
  optionalBoolean,
  requireInt,
  requireString,
} from '../../remoting/header-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { RETRY_PREFIX, topicProblem } from '../names.ts'
import { alterAttributes } from '../topic-attributes.ts'
import { answer, success, topicNotExist } from './answers.ts'
import type { Processor, RemotingRequest } from '../../remoting/connection.ts'
import type { ExtFields, ResponseContent } from '../../remoting/command.ts'
import type { TopicConfig } from '../../remoting/bodies/topic-config.ts'
import type { TopicRouteData } from '../../remoting/bodies/topic-route-data.ts'
import type { BrokerParts } from '../parts.ts'
import type { GroupView } from './group-state.ts'

const QUEUES_MAX = 65_536
const PERM_MAX = 7
/** How long a change waits for the name servers to know it, so that a tool which then asks them gets the truth. */
const REGISTER_WAIT_MS = 1000

export interface TopicAdminOptions {
  readonly parts: BrokerParts
  /** Resolves when the name servers know the table, or after the time. */
  readonly registered: (timeoutMs: number) => Promise<void>
  /** A topic's route in the whole cluster; null when no name server tells it. */
  readonly route: (topic: string) => Promise<TopicRouteData | null>
  readonly group: GroupView
}

/** The processors of this family by code. */
export function topicAdminProcessors(options: TopicAdminOptions): ReadonlyMap<number, Processor> {
  const { parts } = options
  const answering =
    (handle: (request: RemotingRequest) => Promise<ResponseContent>): Processor =>
    async (request) =>
      request.respond(await handle(request))
  return new Map<number, Processor>([
    [RequestCode.UPDATE_AND_CREATE_TOPIC, answering((request) => updateTopic(options, request))],
    [
      RequestCode.UPDATE_AND_CREATE_TOPIC_LIST,
      answering((request) => updateTopics(options, request)),
    ],
    [RequestCode.DELETE_TOPIC_IN_BROKER, answering((request) => deleteTopic(options, request))],
    [RequestCode.GET_ALL_TOPIC_CONFIG, (request) => request.respond(allTopics(parts, request))],
    [RequestCode.GET_TOPIC_CONFIG, (request) => request.respond(oneTopic(parts, request))],
    [
      RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_BROKER,
      (request) => request.respond(systemTopics(parts)),
    ],
    [RequestCode.CLEAN_UNUSED_TOPIC, (request) => request.respond(cleanUnused(parts))],
  ])
}

async function updateTopic(
  { parts, registered }: TopicAdminOptions,
  request: RemotingRequest,
): Promise<ResponseContent> {
  const fields = request.command.extFields
  const name = requireString(fields, 'topic')
  const current = parts.topics.get(name)
  const wanted = topicConfig(name, {
    readQueueNums: requireInt(fields, 'readQueueNums'),
    writeQueueNums: requireInt(fields, 'writeQueueNums'),
    perm: requireInt(fields, 'perm'),
    topicFilterType: topicFilterTypeOf(requireString(fields, 'topicFilterType')),
    topicSysFlag: optionalInt(fields, 'topicSysFlag') ?? 0,
    order: optionalBoolean(fields, 'order') ?? false,
  })
  const problem = problemOf(parts, wanted)
  if (problem !== null) return answer(ResponseCode.INVALID_PARAMETER, problem)
  const attributes = optionalString(fields, 'attributes')
  const altered = alterAttributes(current?.attributes ?? null, attributes)
  if ('problem' in altered) return answer(ResponseCode.SYSTEM_ERROR, altered.problem)
  const refusal = mixedProblem(parts, altered.attributes)
  if (refusal !== null) return answer(ResponseCode.INVALID_PARAMETER, refusal)
  await parts.topics.put({ ...wanted, attributes: altered.attributes })
  parts.logger.info(
    { topic: name, remoteAddress: request.connection.remoteAddress },
    'a topic was created or changed',
  )
  await registered(REGISTER_WAIT_MS)
  return success()
}

/** All or none. The attributes of a list are values, not changes. */
async function updateTopics(
  { parts, registered }: TopicAdminOptions,
  request: RemotingRequest,
): Promise<ResponseContent> {
  const configs = decodeTopicConfigList(request.command.body)
  for (const config of configs) {
    const problem = problemOf(parts, config) ?? mixedProblem(parts, config.attributes)
    if (problem !== null) return answer(ResponseCode.INVALID_PARAMETER, problem)
    const change = [...config.attributes].map(([key, value]) => `+${key}=${value}`).join(',')
    const altered = alterAttributes(parts.topics.get(config.topicName)?.attributes ?? null, change)
    if ('problem' in altered) return answer(ResponseCode.SYSTEM_ERROR, altered.problem)
  }
  await parts.topics.putAll(configs)
  parts.logger.info({ topics: configs.length }, 'topics were created or changed')
  await registered(REGISTER_WAIT_MS)
  return success()
}

/** Why a topic may not be made like this, or null. */
function problemOf({ topics, config }: BrokerParts, wanted: TopicConfig): string | null {
  const { topicName, readQueueNums, writeQueueNums, perm } = wanted
  const nameProblem = topicProblem(topicName)
  if (nameProblem !== null) return nameProblem
  if (config.values.validateSystemTopicWhenUpdateTopic && topics.isSystem(topicName)) {
    return `The topic[${topicName}] is conflict with system topic.`
  }
  for (const [name, count] of Object.entries({ readQueueNums, writeQueueNums })) {
    if (count < 0 || count > QUEUES_MAX) return `${name} ${count} is outside 0 to ${QUEUES_MAX}`
  }
  if (perm < 0 || perm > PERM_MAX) return `perm ${perm} is outside 0 to ${PERM_MAX}`
  return null
}

function mixedProblem(
  { config }: BrokerParts,
  attributes: ReadonlyMap<string, string>,
): string | null {
  const isMixed = attributes.get('message.type') === 'MIXED'
  if (!isMixed || config.values.enableMixedMessageType) return null
  return 'MIXED message type is not supported.'
}

async function deleteTopic(
  { parts, registered }: TopicAdminOptions,
  request: RemotingRequest,
): Promise<ResponseContent> {
  const { topics, offsets, config, stats, logger } = parts
  const name = optionalString(request.command.extFields, 'topic') ?? ''
  const problem = name.trim() === '' ? 'The specified topic is blank.' : null
  if (problem !== null) return answer(ResponseCode.INVALID_PARAMETER, problem)
  if (config.values.validateSystemTopicWhenUpdateTopic && topics.isSystem(name)) {
    const remark = `The topic[${name}] is conflict with system topic.`
    return answer(ResponseCode.INVALID_PARAMETER, remark)
  }
  const doomed = [name]
  if (config.values.clearRetryTopicWhenDeleteTopic) doomed.push(...popRetryTopics(parts, name))
  await topics.delete(doomed)
  for (const topic of doomed) {
    offsets.deleteTopic(topic)
    stats.forget((key) => key === topic || key.startsWith(`${topic}@`))
  }
  logger.info({ topics: doomed }, 'a topic was deleted')
  await registered(REGISTER_WAIT_MS)
  return success()
}

/** `%RETRY%<group>_<topic>` and `%RETRY%<group>+<topic>` of the groups which have offsets in the topic. */
function popRetryTopics({ topics, offsets }: BrokerParts, topic: string): readonly string[] {
  return offsets
    .groupsOf(topic)
    .flatMap((group) => [`${RETRY_PREFIX}${group}_${topic}`, `${RETRY_PREFIX}${group}+${topic}`])
    .filter((name) => topics.get(name) !== undefined)
}

/** Everything; or a page when the request says from where. */
function allTopics({ topics, config }: BrokerParts, request: RemotingRequest): ResponseContent {
  const { all, dataVersion } = topics
  const page = pageOf(
    request.command.extFields,
    'topicSeq',
    'maxTopicNum',
    config.values.splitMetadataSize,
  )
  const isSame = page === null || sameVersion(request.command.extFields, dataVersion)
  const chosen =
    page === null ? all : new Map([...all].slice(isSame ? page.start : 0).slice(0, page.count))
  return success(
    { totalTopicNum: String(all.size) },
    encodeTopicConfigTable({ dataVersion, topics: chosen, mappings: new Map() }),
  )
}

/** The page that a request for a table asks for, or null when it asks for all. */
export function pageOf(
  fields: ExtFields,
  startName: string,
  countName: string,
  limit: number,
): { readonly start: number; readonly count: number } | null {
  const start = optionalInt(fields, startName)
  const count = optionalInt(fields, countName)
  if (start === null && count === null && optionalString(fields, 'dataVersion') === null)
    return null
  return { start: Math.max(0, start ?? 0), count: Math.max(0, Math.min(count ?? limit, limit)) }
}

/** A reader whose pages are of another version begins again. */
export function sameVersion(
  fields: ExtFields,
  present: Parameters<typeof isSameDataVersion>[0],
): boolean {
  const text = optionalString(fields, 'dataVersion')
  if (text === null || text === '') return true
  return isSameDataVersion(dataVersionOf(asObject(parseFastjson(text), 'dataVersion')), present)
}

function oneTopic({ topics }: BrokerParts, request: RemotingRequest): ResponseContent {
  const name = requireString(request.command.extFields, 'topic')
  const config = topics.get(name)
  if (config !== undefined) return success(undefined, formatFastjson(topicConfigRecord(config)))
  return answer(ResponseCode.TOPIC_NOT_EXIST, topicNotExist(name).remark ?? '')
}

function systemTopics(parts: BrokerParts): ResponseContent {
  const topics = [...parts.topics.systemTopics]
  return success(undefined, encodeTopicList({ topics, brokerAddr: parts.brokerAddress() }))
}

/** Drops queues that belong to no topic. */
function cleanUnused({ topics, store, logger }: BrokerParts): ResponseContent {
  const unused = new Set(store.queues().map((queue) => queue.topic))
  for (const topic of topics.all.keys()) unused.delete(topic)
  unused.delete(MARKS_TOPIC)
  for (const topic of unused) if (isLightName(topic)) unused.delete(topic)
  for (const topic of unused) store.deleteTopic(topic)
  logger.info({ topics: [...unused] }, 'queues of unknown topics were dropped')
  return success()
}
