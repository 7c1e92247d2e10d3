/** TopicConfig, and the table of all topics of a broker that registrations and GET_ALL_TOPIC_CONFIG (21) carry (protocol §13.7). */
import { dataVersionOf, dataVersionRecord, ZERO_DATA_VERSION } from './data-version.ts'
import type { DataVersion } from './data-version.ts'
import { formatFastjson, malformedBody, parseFastjson } from './fastjson.ts'
import type { BodyRecord, JsonObject } from './fastjson.ts'
import {
  asObject,
  booleanMember,
  integerMember,
  listMember,
  optionalObject,
  optionalText,
  textEntries,
  textMap,
  textMember,
} from './json-members.ts'

export type TopicFilterType = 'SINGLE_TAG' | 'MULTI_TAG'

export interface TopicConfig {
  readonly topicName: string
  readonly readQueueNums: number
  readonly writeQueueNums: number
  /** Bits of protocol §14.3: 4 read, 2 write, 1 inherit. */
  readonly perm: number
  readonly topicFilterType: TopicFilterType
  readonly topicSysFlag: number
  readonly order: boolean
  readonly attributes: ReadonlyMap<string, string>
}

/** One for all topics without any: an empty `Map` of its own takes more memory than the rest of a topic. */
const NO_ATTRIBUTES: ReadonlyMap<string, string> = new Map<string, string>()

/** Bits of `perm` (protocol §14.3). */
export const Permission = { INHERIT: 1, WRITE: 2, READ: 4, READ_WRITE: 6 } as const

/** Kept as parsed: Gantry hands static-topic mappings on and reads no more of them than their names. */
export type TopicQueueMapping = JsonObject

/** TopicConfigAndMappingSerializeWrapper. */
export interface TopicConfigTable {
  readonly dataVersion: DataVersion
  readonly topics: ReadonlyMap<string, TopicConfig>
  /** Static topics by name: TopicQueueMappingInfo. */
  readonly mappings: ReadonlyMap<string, TopicQueueMapping>
}

/** A topic as mqadmin's defaults make it: 8 queues, readable and writable. */
export function topicConfig(
  topicName: string,
  given: Partial<Omit<TopicConfig, 'topicName'>> = {},
): TopicConfig {
  return {
    topicName,
    readQueueNums: 8,
    writeQueueNums: 8,
    perm: Permission.READ_WRITE,
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: 0,
    order: false,
    attributes: NO_ATTRIBUTES,
    ...given,
  }
}

export function topicConfigRecord(config: TopicConfig): BodyRecord {
  return { ...config }
}

const PLAIN_NAME = /^[\w%-]*$/

/** `"name":{…}` as `formatFastjson` writes it, many times as fast for an ordinary topic: tables of topics are large. */
export function topicConfigEntry(config: TopicConfig): string {
  const { topicName, readQueueNums, writeQueueNums, perm, topicSysFlag, topicFilterType } = config
  if (config.attributes.size > 0 || !PLAIN_NAME.test(topicName)) {
    return `${formatFastjson(topicName).toString()}:${formatFastjson(topicConfigRecord(config)).toString()}`
  }
  return (
    `"${topicName}":{"attributes":{},"order":${config.order},"perm":${perm},"readQueueNums":${readQueueNums},` +
    `"topicFilterType":"${topicFilterType}","topicName":"${topicName}","topicSysFlag":${topicSysFlag},` +
    `"writeQueueNums":${writeQueueNums}}`
  )
}

/** Reads one TopicConfig; absent members have the class's own defaults (16 queues). */
export function topicConfigOf(json: JsonObject): TopicConfig {
  const attributes = optionalObject(json, 'attributes')
  return {
    topicName: textMember(json, 'topicName'),
    readQueueNums: integerMember(json, 'readQueueNums', 16),
    writeQueueNums: integerMember(json, 'writeQueueNums', 16),
    perm: integerMember(json, 'perm', Permission.READ_WRITE),
    topicFilterType: topicFilterTypeOf(optionalText(json, 'topicFilterType') ?? 'SINGLE_TAG'),
    topicSysFlag: integerMember(json, 'topicSysFlag', 0),
    order: booleanMember(json, 'order', false),
    attributes: attributes === null || attributes.size === 0 ? NO_ATTRIBUTES : textMap(attributes),
  }
}

export function topicFilterTypeOf(name: string): TopicFilterType {
  if (name === 'SINGLE_TAG' || name === 'MULTI_TAG') return name
  throw malformedBody(`topicFilterType ${name} is neither SINGLE_TAG nor MULTI_TAG`)
}

export function topicConfigTableRecord(table: TopicConfigTable): BodyRecord {
  return {
    dataVersion: dataVersionRecord(table.dataVersion),
    mappingDataVersion: dataVersionRecord(ZERO_DATA_VERSION),
    topicConfigTable: new Map(
      [...table.topics].map(([name, config]) => [name, topicConfigRecord(config)]),
    ),
    topicQueueMappingDetailMap: {},
    topicQueueMappingInfoMap: table.mappings,
  }
}

export function topicConfigTableOf(json: JsonObject): TopicConfigTable {
  const topics = new Map<string, TopicConfig>()
  const table = optionalObject(json, 'topicConfigTable')
  for (const [name, value] of table === null ? [] : textEntries(table)) {
    topics.set(name, topicConfigOf(asObject(value, `topicConfigTable.${name}`)))
  }
  const mappings = new Map<string, TopicQueueMapping>()
  const infos = optionalObject(json, 'topicQueueMappingInfoMap')
  for (const [name, value] of infos === null ? [] : textEntries(infos)) {
    mappings.set(name, asObject(value, `topicQueueMappingInfoMap.${name}`))
  }
  const version = optionalObject(json, 'dataVersion')
  return {
    dataVersion: version === null ? ZERO_DATA_VERSION : dataVersionOf(version),
    topics,
    mappings,
  }
}

/** The answer body of GET_ALL_TOPIC_CONFIG (21). */
export function encodeTopicConfigTable(table: TopicConfigTable): Buffer {
  return formatFastjson(topicConfigTableRecord(table))
}

export function decodeTopicConfigTable(body: Buffer): TopicConfigTable {
  return topicConfigTableOf(asObject(parseFastjson(body), 'topic config table'))
}

/** The request body of UPDATE_AND_CREATE_TOPIC_LIST (18). */
export function encodeTopicConfigList(topics: readonly TopicConfig[]): Buffer {
  return formatFastjson({ topicConfigList: topics.map(topicConfigRecord) })
}

export function decodeTopicConfigList(body: Buffer): readonly TopicConfig[] {
  const json = asObject(parseFastjson(body), 'topic config list')
  return listMember(json, 'topicConfigList').map((item) =>
    topicConfigOf(asObject(item, 'topicConfigList')),
  )
}
