/**
 * The requests by which a broker registers with a name server (REGISTER_BROKER, protocol §13.8), and asks whether it has to.
 *
 * Many topics go in several requests, as Java's `enableSplitRegistration` sends them: no request is longer than a frame may be, and none
 * keeps a name server busy for long. Each but the last bears a version of its own, so that a name server which has seen only some of
 * them says that it needs all when it is asked.
 */
import { crc32 } from 'node:zlib'
import { encodeDataVersion } from '../remoting/bodies/data-version.ts'
import { encodeRegisterBrokerBody } from '../remoting/bodies/register-broker-body.ts'
import { Permission } from '../remoting/bodies/topic-config.ts'
import { RequestCode } from '../remoting/request-code.ts'
import type { DataVersion } from '../remoting/bodies/data-version.ts'
import type { TopicConfig } from '../remoting/bodies/topic-config.ts'
import type { RequestContent } from '../remoting/command.ts'

const CRC_MASK = 0x7fff_ffff
const PARTS_MAX = 100_000

/** Who registers, and with what. */
export interface Registration {
  readonly clusterName: string
  readonly brokerName: string
  readonly brokerId: number
  readonly brokerAddr: string
  readonly haServerAddr: string
  readonly term: number
  readonly dataVersion: DataVersion
  readonly topics: ReadonlyMap<string, TopicConfig>
  /** No topic may do more than the broker. */
  readonly brokerPermission: number
}

/** What a request tells of the broker's topics: all, a part of all of them, or only some that have changed. */
type RegistrationPart = 'whole' | 'first' | 'middle' | 'last' | 'some'

/** All topics, `partSize` in each request; each is made when it is asked for. */
export function* wholeRegistration(
  registration: Registration,
  partSize: number,
): Iterable<RequestContent> {
  const { topics } = registration
  if (topics.size <= partSize) {
    const { dataVersion } = registration
    yield registrationRequest(registration, {
      topics: [...topics.values()],
      dataVersion,
      part: 'whole',
    })
    return
  }
  yield* inParts(registration, topics.values(), {
    partSize,
    partAt: (index, isLast) => (isLast ? 'last' : index === 0 ? 'first' : 'middle'),
  })
}

/** What has become of some topics; those that are no more are passed over. */
export function partialRegistration(
  registration: Registration,
  names: Iterable<string>,
  partSize: number,
): Iterable<RequestContent> {
  const present = function* () {
    for (const name of names) {
      const topic = registration.topics.get(name)
      if (topic !== undefined) yield topic
    }
  }
  return inParts(registration, present(), { partSize, partAt: () => 'some' })
}

function* inParts(
  registration: Registration,
  topics: Iterable<TopicConfig>,
  {
    partSize,
    partAt,
  }: {
    readonly partSize: number
    readonly partAt: (index: number, isLast: boolean) => RegistrationPart
  },
): Iterable<RequestContent> {
  const { dataVersion } = registration
  let index = 0
  let waiting: TopicConfig[] = []
  for (const topic of topics) {
    if (waiting.length === partSize) {
      // Below zero no true version lies, and none of another part, nor of another attempt after a change.
      const version = { ...dataVersion, counter: -(dataVersion.counter * PARTS_MAX + index + 1) }
      const part = partAt(index, false)
      yield registrationRequest(registration, { topics: waiting, dataVersion: version, part })
      index++
      waiting = []
    }
    waiting.push(topic)
  }
  yield registrationRequest(registration, {
    topics: waiting,
    dataVersion,
    part: partAt(index, true),
  })
}

/** QUERY_DATA_VERSION (322): has the name server what the broker would register? It also counts as a sign of life. */
export function versionQuery(registration: Registration): RequestContent {
  const { brokerName, brokerAddr, clusterName, brokerId, dataVersion } = registration
  return {
    code: RequestCode.QUERY_DATA_VERSION,
    extFields: { brokerName, brokerAddr, clusterName, brokerId: String(brokerId) },
    body: encodeDataVersion(dataVersion),
  }
}

function registrationRequest(
  registration: Registration,
  told: {
    readonly topics: readonly TopicConfig[]
    readonly dataVersion: DataVersion
    readonly part: RegistrationPart
  },
): RequestContent {
  const topics = new Map<string, TopicConfig>()
  const mask = registration.brokerPermission
  for (const topic of told.topics) {
    const isMasked = mask !== Permission.READ_WRITE
    topics.set(topic.topicName, isMasked ? { ...topic, perm: topic.perm & mask } : topic)
  }
  const table = { dataVersion: told.dataVersion, topics, mappings: new Map() }
  const body = encodeRegisterBrokerBody(table, { compressed: false, withMappings: true })
  return {
    code: RequestCode.REGISTER_BROKER,
    extFields: {
      brokerName: registration.brokerName,
      brokerAddr: registration.brokerAddr,
      clusterName: registration.clusterName,
      haServerAddr: registration.haServerAddr,
      brokerId: String(registration.brokerId),
      compressed: 'false',
      bodyCrc32: String(crc32(body) & CRC_MASK),
      term: String(registration.term),
      // Gantry's name server must not take topics for gone that stand in another part. Others know nothing of it.
      ...(told.part === 'whole' ? {} : { registrationPart: told.part }),
    },
    body,
  }
}
