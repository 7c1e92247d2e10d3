/** MessageQueue {brokerName, queueId, topic}: as a value, and as the key of a map, which Java reads as an object only (protocol §13.0). */
import { asObject, integerMember, textMember } from './json-members.ts'
import type { BodyRecord, JsonKey, JsonValue } from './fastjson.ts'

export interface MessageQueue {
  readonly topic: string
  readonly brokerName: string
  readonly queueId: number
}

export function messageQueueRecord({ topic, brokerName, queueId }: MessageQueue): BodyRecord {
  return { brokerName, queueId, topic }
}

export function messageQueueOf(json: JsonValue | JsonKey | undefined): MessageQueue {
  const members = asObject(json, 'MessageQueue')
  return {
    topic: textMember(members, 'topic'),
    brokerName: textMember(members, 'brokerName'),
    queueId: integerMember(members, 'queueId'),
  }
}
