/**
 * RegisterBrokerBody (protocol §13.8), the request body of REGISTER_BROKER (103): plain JSON, or deflated:
 *
 * ```
 * length int32 | DataVersion JSON
 * topic count int32 | per topic: length int32 | `name readQueues writeQueues perm filterType [attributes JSON]`
 * length int32 | filter-server list JSON
 * mapping count int32 | per mapping: length int32 | TopicQueueMappingInfo JSON      (from version V5_0_0 on)
 * ```
 */
import { constants, deflateSync, inflateSync } from 'node:zlib'
import { messageOf } from '../../common/errors.ts'
import { decodeDataVersion, encodeDataVersion } from './data-version.ts'
import { formatFastjson, malformedBody, parseFastjson } from './fastjson.ts'
import { EMPTY_OBJECT, asObject, optionalObject, textMap, textMember } from './json-members.ts'
import {
  topicConfig,
  topicConfigTableOf,
  topicConfigTableRecord,
  topicFilterTypeOf,
} from './topic-config.ts'
import type { TopicConfig, TopicConfigTable, TopicQueueMapping } from './topic-config.ts'

const MAX_INFLATED_BYTES = 64 * 1024 * 1024

export interface RegistrationForm {
  readonly compressed: boolean
  /** True for brokers of V5_0_0 (413) on: their compressed bodies end with the mappings. */
  readonly withMappings: boolean
}

export function encodeRegisterBrokerBody(table: TopicConfigTable, form: RegistrationForm): Buffer {
  if (!form.compressed) {
    return formatFastjson({
      filterServerList: [],
      topicConfigSerializeWrapper: topicConfigTableRecord(table),
    })
  }
  const parts: Buffer[] = []
  const push = (bytes: Buffer) => parts.push(int32(bytes.length), bytes)
  push(encodeDataVersion(table.dataVersion))
  parts.push(int32(table.topics.size))
  for (const config of table.topics.values()) push(Buffer.from(topicLine(config)))
  push(Buffer.from('[]'))
  if (form.withMappings) {
    parts.push(int32(table.mappings.size))
    for (const mapping of table.mappings.values()) push(formatFastjson(mapping))
  }
  return deflateSync(Buffer.concat(parts), { level: constants.Z_BEST_COMPRESSION })
}

/** Throws `RemotingError` (`malformed`). The filter-server list is not read: filter servers are gone since 5.1. */
export function decodeRegisterBrokerBody(body: Buffer, form: RegistrationForm): TopicConfigTable {
  if (form.compressed) return decodeCompressed(body, form.withMappings)
  const json = asObject(parseFastjson(body), 'RegisterBrokerBody')
  const wrapper = optionalObject(json, 'topicConfigSerializeWrapper')
  return topicConfigTableOf(wrapper ?? EMPTY_OBJECT)
}

function decodeCompressed(body: Buffer, withMappings: boolean): TopicConfigTable {
  const reader = new PartReader(inflate(body))
  const dataVersion = decodeDataVersion(reader.readText())
  const topics = new Map<string, TopicConfig>()
  for (let left = reader.readCount(); left > 0; left--) {
    const config = topicOfLine(reader.readText())
    topics.set(config.topicName, config)
  }
  reader.readText()
  const mappings = new Map<string, TopicQueueMapping>()
  for (let left = withMappings ? reader.readCount() : 0; left > 0; left--) {
    const mapping = asObject(parseFastjson(reader.readText()), 'TopicQueueMappingInfo')
    mappings.set(textMember(mapping, 'topic'), mapping)
  }
  return { dataVersion, topics, mappings }
}

function inflate(body: Buffer): Buffer {
  try {
    return inflateSync(body, { maxOutputLength: MAX_INFLATED_BYTES })
  } catch (error) {
    throw malformedBody(`the compressed body cannot be inflated: ${messageOf(error)}`)
  }
}

function topicLine(config: TopicConfig): string {
  const { topicName, readQueueNums, writeQueueNums, perm, topicFilterType, attributes } = config
  const json = formatFastjson(attributes).toString()
  return `${topicName} ${readQueueNums} ${writeQueueNums} ${perm} ${topicFilterType} ${json}`
}

function topicOfLine(line: string): TopicConfig {
  const [topicName = '', readQueues, writeQueues, perm, filterType, ...rest] = line.split(' ')
  const numbers = [readQueues, writeQueues, perm].map((text) =>
    text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : -1,
  )
  const [readQueueNums = -1, writeQueueNums = -1, permission = -1] = numbers
  if (topicName === '' || Math.min(readQueueNums, writeQueueNums, permission) < 0) {
    throw malformedBody(`a topic line is malformed: '${line.slice(0, 128)}'`)
  }
  const attributes = rest.join(' ')
  return topicConfig(topicName, {
    readQueueNums,
    writeQueueNums,
    perm: permission,
    topicFilterType: topicFilterTypeOf(filterType ?? ''),
    attributes:
      attributes === ''
        ? new Map<string, string>()
        : textMap(asObject(parseFastjson(attributes), 'attributes')),
  })
}

function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeInt32BE(value)
  return bytes
}

class PartReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  readCount(): number {
    if (this.#at + 4 > this.#bytes.length) throw malformedBody('the compressed body is cut short')
    const count = this.#bytes.readInt32BE(this.#at)
    this.#at += 4
    // Each counted thing takes at least one byte: a larger count is a lie and not worth a loop.
    if (count < 0 || count > this.#bytes.length - this.#at) {
      throw malformedBody('the compressed body holds an impossible count')
    }
    return count
  }

  readText(): string {
    const size = this.readCount()
    const text = this.#bytes.toString('utf8', this.#at, this.#at + size)
    this.#at += size
    return text
  }
}
