/** What clients and tools ask about routes, and what tools change in them. */
import { encodeClusterInfo } from '../remoting/bodies/cluster-info.ts'
import { encodeTopicList } from '../remoting/bodies/simple-bodies.ts'
import { decodeTopicRouteData, encodeTopicRouteData } from '../remoting/bodies/topic-route-data.ts'
import type { TopicRouteData } from '../remoting/bodies/topic-route-data.ts'
import type { ExtFields, RemotingCommand, ResponseContent } from '../remoting/command.ts'
import { optionalBoolean, optionalString, requireString } from '../remoting/header-fields.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { failure, success } from './handler.ts'
import type { Handler, HandlerDependencies } from './handler.ts'
import { ORDER_TOPIC_CONFIG } from './kv-config.ts'
import { MASTER_ID } from './broker-group.ts'

/** Clients from this version (V4_9_4) on read strict JSON only. */
const STANDARD_JSON_VERSION = 401

export function routeHandlers(
  dependencies: HandlerDependencies,
): readonly (readonly [number, Handler])[] {
  const { routes, settings, logger } = dependencies
  const wipe: Handler = ({ extFields }, { remoteAddress }) => {
    const brokerName = requireString(extFields, 'brokerName')
    const topics = routes.wipeWritePermission(brokerName)
    logger.info({ brokerName, topics, remoteAddress }, 'write permission was wiped')
    return success({ extFields: { wipeTopicCount: String(topics) } })
  }
  const restore: Handler = ({ extFields }, { remoteAddress }) => {
    const brokerName = requireString(extFields, 'brokerName')
    const topics = routes.addWritePermission(brokerName)
    logger.info({ brokerName, topics, remoteAddress }, 'write permission was restored')
    return success({ extFields: { addTopicCount: String(topics) } })
  }
  const deleteTopic: Handler = ({ extFields }, { remoteAddress }) => {
    const topic = requireString(extFields, 'topic')
    const clusterName = optionalString(extFields, 'clusterName') || null
    routes.deleteTopic(topic, clusterName)
    logger.info({ topic, clusterName, remoteAddress }, 'a topic was deleted from the routes')
    return success()
  }
  const registerTopic: Handler = ({ extFields, body }) => {
    const topic = requireString(extFields, 'topic')
    if (body.length > 0) routes.registerTopic(topic, decodeTopicRouteData(body).queueDatas)
    return success()
  }
  const ofCluster: Handler = ({ extFields }) =>
    topicList(routes.topicsOfCluster(requireString(extFields, 'cluster')))
  const isListed = () => settings.values.enableTopicList

  return [
    [RequestCode.GET_ROUTEINFO_BY_TOPIC, routeHandler(dependencies)],
    [
      RequestCode.GET_BROKER_CLUSTER_INFO,
      () => success({ body: encodeClusterInfo(routes.clusterInfo()) }),
    ],
    [RequestCode.WIPE_WRITE_PERM_OF_BROKER, wipe],
    [RequestCode.ADD_WRITE_PERM_OF_BROKER, restore],
    [RequestCode.DELETE_TOPIC_IN_NAMESRV, deleteTopic],
    [RequestCode.REGISTER_TOPIC_IN_NAMESRV, registerTopic],
    [
      RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER,
      enabledBy(
        () => settings.values.enableAllTopicList,
        () => topicList(routes.topics()),
      ),
    ],
    [RequestCode.GET_TOPICS_BY_CLUSTER, enabledBy(isListed, ofCluster)],
    [
      RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_NS,
      () => success({ body: encodeTopicList(routes.systemTopics()) }),
    ],
    [RequestCode.GET_UNIT_TOPIC_LIST, enabledBy(isListed, () => topicList(routes.unitTopics()))],
    [
      RequestCode.GET_HAS_UNIT_SUB_TOPIC_LIST,
      enabledBy(isListed, () => topicList(routes.unitSubscribedTopics())),
    ],
    [
      RequestCode.GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST,
      enabledBy(isListed, () => topicList(routes.unitSubscribedOrdinaryTopics())),
    ],
  ]
}

function routeHandler(dependencies: HandlerDependencies): Handler {
  const { routes, settings, kvConfig, clock } = dependencies
  const startedAt = clock.monotonic()
  return (command) => {
    const { needWaitForService, waitSecondsForService, orderMessageEnable } = settings.values
    const topic = requireString(command.extFields, 'topic')
    if (needWaitForService && clock.monotonic() - startedAt < waitSecondsForService * 1000) {
      return failure(ResponseCode.SYSTEM_ERROR, 'name server not ready')
    }
    const found = routes.route(topic)
    if (found === null) {
      return failure(
        ResponseCode.TOPIC_NOT_EXIST,
        `No topic route info in name server for the topic: ${topic}`,
      )
    }
    const orderTopicConf = orderMessageEnable ? kvConfig.get(ORDER_TOPIC_CONFIG, topic) : null
    const route = withinZone({ ...found, orderTopicConf }, command.extFields)
    const dialect = readsStandardJson(command) ? 'standard' : 'fastjson'
    return success({ body: encodeTopicRouteData(route, dialect) })
  }
}

function readsStandardJson({ version, extFields }: RemotingCommand): boolean {
  return (
    version >= STANDARD_JSON_VERSION ||
    (optionalBoolean(extFields, 'acceptStandardJsonOnly') ?? false)
  )
}

/** A client in zone mode gets the brokers of its zone, and those without a master, wherever they are. */
function withinZone(route: TopicRouteData, extFields: ExtFields): TopicRouteData {
  const zoneName = optionalString(extFields, '__ZONE_NAME')
  if (optionalBoolean(extFields, '__ZONE_MODE') !== true || zoneName === null) return route
  if (zoneName.trim() === '') return route
  const isNear = (name: string | null) => name?.toLowerCase() === zoneName.toLowerCase()
  const brokerDatas = route.brokerDatas.filter(
    (broker) => isNear(broker.zoneName) || !broker.brokerAddrs.has(MASTER_ID),
  )
  const names = new Set(brokerDatas.map(({ brokerName }) => brokerName))
  const queueDatas = route.queueDatas.filter(({ brokerName }) => names.has(brokerName))
  return { ...route, brokerDatas, queueDatas }
}

function enabledBy(isEnabled: () => boolean, handler: Handler): Handler {
  return (command, connection) =>
    isEnabled() ? handler(command, connection) : failure(ResponseCode.SYSTEM_ERROR, 'disable')
}

function topicList(topics: readonly string[]): ResponseContent {
  return success({ body: encodeTopicList({ topics, brokerAddr: null }) })
}
