/** The small bodies that several codes share (protocol §13.4): lists of names and the table of texts. */
import { formatFastjson, parseFastjson } from './fastjson.ts'
import { asObject, optionalObject, optionalText, textList, textMap } from './json-members.ts'

export interface TopicList {
  readonly topics: readonly string[]
  /** A broker that knows more, in the answers of 304 and 343. */
  readonly brokerAddr: string | null
}

export function encodeTopicList({ topics, brokerAddr }: TopicList): Buffer {
  return formatFastjson({ brokerAddr, topicList: topics })
}

export function decodeTopicList(body: Buffer): TopicList {
  const json = asObject(parseFastjson(body), 'TopicList')
  return { topics: textList(json, 'topicList'), brokerAddr: optionalText(json, 'brokerAddr') }
}

/** KVTable, the answer body of 28, 219 and 103. */
export function encodeKvTable(table: ReadonlyMap<string, string>): Buffer {
  return formatFastjson({ table })
}

export function decodeKvTable(body: Buffer): ReadonlyMap<string, string> {
  const table = optionalObject(asObject(parseFastjson(body), 'KVTable'), 'table')
  return table === null ? new Map<string, string>() : textMap(table)
}

/** GroupList, the answer body of QUERY_TOPIC_CONSUME_BY_WHO (300). */
export function encodeGroupList(groups: readonly string[]): Buffer {
  return formatFastjson({ groupList: groups })
}

export function decodeGroupList(body: Buffer): readonly string[] {
  return textList(asObject(parseFastjson(body), 'GroupList'), 'groupList')
}
