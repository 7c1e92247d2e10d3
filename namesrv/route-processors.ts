/** What clients and tools ask about routes, and what tools change in them. */
import { encodeClusterInfo } from '../remoting/bodies/cluster-info.ts'
import { encodeTopicList } from '../remoting/bodies/simple-bodies.ts'
import { decodeTopicRouteData, encodeTopicRouteData } from '../remoting/bodies/topic-route-data.ts'
import type { TopicRouteData } from '../remoting/bodies/topic-route-data.ts'
import type { JsonDialect } from '../remoting/bodies/fastjson.ts'
import { NO_FIELDS } from '../remoting/command.ts'
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
/** Routes that are kept encoded, some 400 bytes each. */
const ROUTE_BODIES_MAX = 20_000

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
  const { settings, kvConfig, clock } = dependencies
  const startedAt = clock.monotonic()
  const bodies = new RouteBodies(dependencies)
  return (command) => {
    const { needWaitForService, waitSecondsForService, orderMessageEnable } = settings.values
    const topic = requireString(command.extFields, 'topic')
    if (needWaitForService && clock.monotonic() - startedAt < waitSecondsForService * 1000) {
      return failure(ResponseCode.SYSTEM_ERROR, 'name server not ready')
    }
    const orderTopicConf = orderMessageEnable ? kvConfig.get(ORDER_TOPIC_CONFIG, topic) : null
    const dialect = readsStandardJson(command) ? 'standard' : 'fastjson'
    const body =
      orderTopicConf === null && zoneOf(command.extFields) === null
        ? bodies.get(topic, dialect)
        : bodies.encode(topic, dialect, { orderTopicConf, extFields: command.extFields })
    if (body !== null) return success({ body })
    return failure(
      ResponseCode.TOPIC_NOT_EXIST,
      `No topic route info in name server for the topic: ${topic}`,
    )
  }
}

/** Encoded routes: clients ask for the same ones every 30 s, and nearly always nothing has changed. */
class RouteBodies {
  readonly #dependencies: HandlerDependencies
  readonly #bodies: Readonly<Record<JsonDialect, Map<string, Buffer>>> = {
    standard: new Map(),
    fastjson: new Map(),
  }
  #version = -1
  /** What the routes were made with: it is replaced when it changes. */
  #values: object | null = null

  constructor(dependencies: HandlerDependencies) {
    this.#dependencies = dependencies
  }

  /** The answer to an ordinary question; null when there is no route. */
  get(topic: string, dialect: JsonDialect): Buffer | null {
    const { routes, settings } = this.#dependencies
    const bodies = this.#bodies[dialect]
    if (this.#version !== routes.version || this.#values !== settings.values) {
      this.#version = routes.version
      this.#values = settings.values
      this.#bodies.standard.clear()
      this.#bodies.fastjson.clear()
    }
    const known = bodies.get(topic)
    if (known !== undefined) return known
    const made = this.encode(topic, dialect, { orderTopicConf: null, extFields: NO_FIELDS })
    if (made === null) return null
    if (bodies.size >= ROUTE_BODIES_MAX) bodies.clear()
    bodies.set(topic, made)
    return made
  }

  encode(
    topic: string,
    dialect: JsonDialect,
    asked: { readonly orderTopicConf: string | null; readonly extFields: ExtFields },
  ): Buffer | null {
    const found = this.#dependencies.routes.route(topic)
    if (found === null) return null
    const { orderTopicConf, extFields } = asked
    return encodeTopicRouteData(withinZone({ ...found, orderTopicConf }, extFields), dialect)
  }
}

function readsStandardJson({ version, extFields }: RemotingCommand): boolean {
  return (
    version >= STANDARD_JSON_VERSION ||
    (optionalBoolean(extFields, 'acceptStandardJsonOnly') ?? false)
  )
}

/** The zone that a client in zone mode wants to stay in, or null. */
function zoneOf(extFields: ExtFields): string | null {
  const zoneName = optionalString(extFields, '__ZONE_NAME')
  if (optionalBoolean(extFields, '__ZONE_MODE') !== true || zoneName === null) return null
  return zoneName.trim() === '' ? null : zoneName
}

/** A client in zone mode gets the brokers of its zone, and those without a master, wherever they are. */
function withinZone(route: TopicRouteData, extFields: ExtFields): TopicRouteData {
  const zoneName = zoneOf(extFields)
  if (zoneName === null) return route
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
