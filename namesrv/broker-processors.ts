/** What brokers ask: registration and its end, signs of life, who else is in the group. */
import { crc32 } from 'node:zlib'
import { encodeBrokerMemberGroup } from '../remoting/bodies/cluster-info.ts'
import {
  decodeDataVersion,
  encodeDataVersion,
  isSameDataVersion,
} from '../remoting/bodies/data-version.ts'
import { ZERO_DATA_VERSION } from '../remoting/bodies/data-version.ts'
import { decodeRegisterBrokerBody } from '../remoting/bodies/register-broker-body.ts'
import { encodeKvTable } from '../remoting/bodies/simple-bodies.ts'
import { decodeTopicConfigTable } from '../remoting/bodies/topic-config.ts'
import type { TopicConfigTable } from '../remoting/bodies/topic-config.ts'
import type { RemotingCommand } from '../remoting/command.ts'
import type { Connection } from '../remoting/connection.ts'
import { RemotingError } from '../remoting/errors.ts'
import {
  optionalBoolean,
  optionalInt,
  optionalLong,
  optionalString,
  requireLong,
  requireString,
} from '../remoting/header-fields.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { failure, success } from './handler.ts'
import type { Handler, HandlerDependencies } from './handler.ts'
import { ORDER_TOPIC_CONFIG } from './kv-config.ts'
import { REGISTRATION_PARTS } from './route-table.ts'
import type { Registration } from './route-table.ts'

/** From this version (V3_0_11) on the body of a registration is wrapped, */
const WRAPPED_BODY_VERSION = 37
/** and from this one (V5_0_0) on a compressed one ends with the mappings of static topics. */
const MAPPINGS_VERSION = 413
/** Java masks a CRC to 31 bits. */
const CRC_MASK = 0x7fff_ffff

export function brokerHandlers(
  dependencies: HandlerDependencies,
): readonly (readonly [number, Handler])[] {
  const { routes, clock, logger } = dependencies

  const unregister: Handler = ({ extFields }) => {
    const brokerName = requireString(extFields, 'brokerName')
    const brokerAddr = requireString(extFields, 'brokerAddr')
    const clusterName = requireString(extFields, 'clusterName')
    requireLong(extFields, 'brokerId')
    const term = optionalLong(extFields, 'term')
    const changes = routes.unregister([{ brokerName, brokerAddr, term }])
    changes.forEach(dependencies.notify)
    logger.info({ clusterName, brokerName, brokerAddr, term }, 'a broker unregistered')
    return success()
  }

  const queryDataVersion: Handler = ({ extFields, body }) => {
    requireString(extFields, 'brokerName')
    requireString(extFields, 'clusterName')
    requireLong(extFields, 'brokerId')
    const brokerAddr = requireString(extFields, 'brokerAddr')
    const known = routes.dataVersionOf(brokerAddr)
    const changed = known === null || !isSameDataVersion(known, decodeDataVersion(body))
    routes.touch(brokerAddr, clock.monotonic())
    return success({
      extFields: { changed: String(changed) },
      ...(known === null ? {} : { body: encodeDataVersion(known) }),
    })
  }

  const heartbeat: Handler = ({ extFields }) => {
    requireString(extFields, 'clusterName')
    requireString(extFields, 'brokerName')
    routes.touch(requireString(extFields, 'brokerAddr'), clock.monotonic())
    return success()
  }

  const memberGroup: Handler = ({ extFields }) => {
    const clusterName = requireString(extFields, 'clusterName')
    const group = routes.memberGroup(clusterName, requireString(extFields, 'brokerName'))
    return success({ body: encodeBrokerMemberGroup(group) })
  }

  return [
    [RequestCode.REGISTER_BROKER, (command, from) => register(dependencies, command, from)],
    [RequestCode.UNREGISTER_BROKER, unregister],
    [RequestCode.QUERY_DATA_VERSION, queryDataVersion],
    [RequestCode.BROKER_HEARTBEAT, heartbeat],
    [RequestCode.GET_BROKER_MEMBER_GROUP, memberGroup],
  ]
}

function register(
  dependencies: HandlerDependencies,
  command: RemotingCommand,
  connection: Connection,
): ReturnType<Handler> {
  const { routes, settings, kvConfig, clock, logger } = dependencies
  const bodyCrc32 = optionalInt(command.extFields, 'bodyCrc32') ?? 0
  if (bodyCrc32 !== 0 && bodyCrc32 !== (crc32(command.body) & CRC_MASK)) {
    return failure(ResponseCode.SYSTEM_ERROR, 'crc32 not match')
  }
  const registration = registrationOf(command, connection)
  const { clusterName, brokerName, brokerId, brokerAddr, term } = registration
  const result = routes.register(registration, clock.monotonic())
  if (result.type === 'refused') {
    return failure(ResponseCode.SYSTEM_ERROR, 'register broker failed')
  }
  if (result.type === 'outdated') {
    logger.warn(
      { clusterName, brokerName, brokerId, brokerAddr, term, presentTerm: result.term },
      'the registration of an outdated broker was ignored',
    )
    // Java answers an ignored registration like any other; a broker that knows terms is told which one is in force.
    return success(
      command.extFields.has('term') ? { extFields: { term: String(result.term) } } : {},
    )
  }
  dependencies.watch(connection)
  result.notifications.forEach(dependencies.notify)
  if (result.isNew) {
    const { remoteAddress } = connection
    const topics = registration.topicTable.topics.size
    logger.info(
      { clusterName, brokerName, brokerId, brokerAddr, term, topics, remoteAddress },
      'a broker registered',
    )
  }
  const { haServerAddr, masterAddr } = result
  const orderConfig = settings.values.returnOrderTopicConfigToBroker
    ? kvConfig.list(ORDER_TOPIC_CONFIG)
    : null
  return success({
    extFields: {
      ...(haServerAddr === null ? {} : { haServerAddr }),
      ...(masterAddr === null ? {} : { masterAddr }),
    },
    ...(orderConfig === null ? {} : { body: encodeKvTable(orderConfig) }),
  })
}

function registrationOf(command: RemotingCommand, connection: Connection): Registration {
  const { extFields } = command
  const brokerId = requireLong(extFields, 'brokerId')
  if (brokerId < 0) throw new RemotingError('invalidField', `brokerId ${brokerId} is negative`)
  return {
    clusterName: requireString(extFields, 'clusterName'),
    brokerName: requireString(extFields, 'brokerName'),
    brokerAddr: requireString(extFields, 'brokerAddr'),
    haServerAddr: requireString(extFields, 'haServerAddr'),
    brokerId,
    zoneName: optionalString(extFields, '__ZONE_NAME'),
    heartbeatTimeoutMs: optionalLong(extFields, 'heartbeatTimeoutMillis'),
    enableActingMaster: optionalBoolean(extFields, 'enableActingMaster'),
    term: optionalLong(extFields, 'term') ?? 0,
    topicTable: topicTableOf(command),
    connectionId: connection.id,
    part: registrationPartOf(optionalString(extFields, 'registrationPart')),
  }
}

/** A broker of Gantry with many topics tells of them in several requests; without the field (Java's brokers too) it tells all at once. */
function registrationPartOf(name: string | null): Registration['part'] {
  if (name === null) return 'whole'
  const part = REGISTRATION_PARTS.find((known) => known === name)
  if (part === undefined) throw new RemotingError('invalidField', `registrationPart ${name}`)
  return part
}

function topicTableOf({ body, version, extFields }: RemotingCommand): TopicConfigTable {
  if (body.length === 0) {
    return { dataVersion: ZERO_DATA_VERSION, topics: new Map(), mappings: new Map() }
  }
  if (version < WRAPPED_BODY_VERSION) return decodeTopicConfigTable(body)
  return decodeRegisterBrokerBody(body, {
    compressed: optionalBoolean(extFields, 'compressed') ?? false,
    withMappings: version >= MAPPINGS_VERSION,
  })
}
