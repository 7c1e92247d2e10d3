/** TopicRouteData (protocol §13.2): where the queues of a topic are; the answer body of GET_ROUTEINFO_BY_TOPIC (105). */
import { formatFastjson, malformedBody, parseFastjson } from './fastjson.ts'
import type { BodyRecord, JsonDialect, JsonObject } from './fastjson.ts'
import {
  asObject,
  booleanMember,
  integerMember,
  listMember,
  optionalInteger,
  optionalObject,
  optionalText,
  textEntries,
  textMember,
} from './json-members.ts'
import type { TopicQueueMapping } from './topic-config.ts'

export interface QueueData {
  readonly brokerName: string
  readonly readQueueNums: number
  readonly writeQueueNums: number
  readonly perm: number
  readonly topicSysFlag: number
}

export interface BrokerData {
  readonly cluster: string
  readonly brokerName: string
  /** Addresses by brokerId; 0 is the master. */
  readonly brokerAddrs: ReadonlyMap<number, string>
  readonly zoneName: string | null
  readonly enableActingMaster: boolean
}

export interface TopicRouteData {
  /** `brokerName:queues;…` of an ordered topic. */
  readonly orderTopicConf: string | null
  readonly queueDatas: readonly QueueData[]
  readonly brokerDatas: readonly BrokerData[]
  /** By broker name; null when no broker of the topic has static queues. */
  readonly topicQueueMappingByBroker: ReadonlyMap<string, TopicQueueMapping> | null
}

export function encodeTopicRouteData(route: TopicRouteData, dialect: JsonDialect): Buffer {
  const { orderTopicConf, topicQueueMappingByBroker } = route
  return formatFastjson(
    {
      brokerDatas: route.brokerDatas.map(brokerDataRecord),
      filterServerTable: {},
      orderTopicConf,
      queueDatas: route.queueDatas.map((queueData) => ({ ...queueData })),
      topicQueueMappingByBroker,
    },
    dialect,
  )
}

export function decodeTopicRouteData(body: Buffer): TopicRouteData {
  const json = asObject(parseFastjson(body), 'TopicRouteData')
  const mappings = optionalObject(json, 'topicQueueMappingByBroker')
  return {
    orderTopicConf: optionalText(json, 'orderTopicConf'),
    queueDatas: listMember(json, 'queueDatas').map((item) =>
      queueDataOf(asObject(item, 'queueDatas')),
    ),
    brokerDatas: listMember(json, 'brokerDatas').map((item) =>
      brokerDataOf(asObject(item, 'brokerDatas')),
    ),
    topicQueueMappingByBroker:
      mappings === null
        ? null
        : new Map(textEntries(mappings).map(([name, value]) => [name, asObject(value, name)])),
  }
}

export function brokerDataRecord(brokerData: BrokerData): BodyRecord {
  return { ...brokerData }
}

export function brokerDataOf(json: JsonObject): BrokerData {
  const addresses = optionalObject(json, 'brokerAddrs')
  return {
    cluster: textMember(json, 'cluster'),
    brokerName: textMember(json, 'brokerName'),
    brokerAddrs: addresses === null ? new Map<number, string>() : brokerAddressesOf(addresses),
    zoneName: optionalText(json, 'zoneName'),
    enableActingMaster: booleanMember(json, 'enableActingMaster', false),
  }
}

/** `{brokerId: "host:port"}`, its keys quoted or not. */
export function brokerAddressesOf(json: JsonObject): ReadonlyMap<number, string> {
  const addresses = new Map<number, string>()
  for (const [key, value] of textEntries(json)) {
    const brokerId = Number(key)
    if (!/^\d+$/.test(key) || !Number.isSafeInteger(brokerId)) {
      throw malformedBody(`brokerAddrs: '${key.slice(0, 32)}' is no broker id`)
    }
    if (typeof value !== 'string') throw malformedBody(`brokerAddrs.${key} is no text`)
    addresses.set(brokerId, value)
  }
  return addresses
}

function queueDataOf(json: JsonObject): QueueData {
  return {
    brokerName: textMember(json, 'brokerName'),
    readQueueNums: integerMember(json, 'readQueueNums', 0),
    writeQueueNums: integerMember(json, 'writeQueueNums', 0),
    perm: integerMember(json, 'perm', 0),
    // Old releases of 4.x wrote the misspelt name.
    topicSysFlag:
      optionalInteger(json, 'topicSysFlag') ?? optionalInteger(json, 'topicSynFlag') ?? 0,
  }
}
