/** Bodies of the POP family (protocol §8): batch acknowledgements (200151), assignments (400) and request modes (401, 402). */
import { formatFastjson, malformedBody, parseFastjson } from './fastjson.ts'
import {
  asObject,
  integerMember,
  listMember,
  optionalInteger,
  optionalText,
  textEntries,
  textMember,
} from './json-members.ts'
import { messageQueueRecord } from './message-queue.ts'
import type { BodyRecord, JsonObject } from './fastjson.ts'
import type { MessageModel } from './heartbeat-data.ts'
import type { MessageQueue } from './message-queue.ts'

export type MessageRequestMode = 'PULL' | 'POP'

/** Acknowledged messages of one pop of one queue. */
export interface BatchAck {
  readonly consumerGroup: string
  readonly topic: string
  /** `0`, `1` or `2`: see `RetryMark`. */
  readonly retry: string
  readonly startOffset: number
  readonly queueId: number
  readonly reviveQueueId: number
  readonly popTime: number
  readonly invisibleTime: number
  /** Distances of the acknowledged queue offsets from `startOffset`, ascending. */
  readonly distances: readonly number[]
}

/** Longer bit sets are refused: no pop takes so many messages. */
const BIT_SET_BYTES_MAX = 1024 * 1024

/** Null when there is no body. */
export function decodeBatchAcks(body: Buffer): readonly BatchAck[] | null {
  if (body.length === 0) return null
  const json = asObject(parseFastjson(body), 'BatchAckMessageRequestBody')
  return listMember(json, 'acks').map((item) => batchAckOf(asObject(item, 'acks')))
}

export function encodeBatchAcks(brokerName: string, acks: readonly BatchAck[]): Buffer {
  return formatFastjson({
    brokerName,
    acks: acks.map((ack) => ({
      c: ack.consumerGroup,
      t: ack.topic,
      r: ack.retry,
      so: ack.startOffset,
      q: ack.queueId,
      rq: ack.reviveQueueId,
      pt: ack.popTime,
      it: ack.invisibleTime,
      b: bitSetOf(ack.distances).toString('base64'),
    })),
  })
}

export interface QueryAssignment {
  readonly topic: string
  readonly consumerGroup: string
  readonly clientId: string
  readonly strategyName: string
  readonly messageModel: MessageModel
}

export function decodeQueryAssignment(body: Buffer): QueryAssignment {
  const json = asObject(parseFastjson(body), 'QueryAssignmentRequestBody')
  return {
    topic: textMember(json, 'topic'),
    consumerGroup: textMember(json, 'consumerGroup'),
    clientId: textMember(json, 'clientId'),
    strategyName: optionalText(json, 'strategyName') ?? '',
    messageModel:
      optionalText(json, 'messageModel') === 'BROADCASTING' ? 'BROADCASTING' : 'CLUSTERING',
  }
}

/** Null: the client keeps what it has. */
export function encodeAssignment(
  queues: readonly MessageQueue[] | null,
  mode: MessageRequestMode,
): Buffer {
  if (queues === null) return formatFastjson({})
  return formatFastjson({
    messageQueueAssignments: queues.map((queue) => ({
      messageQueue: messageQueueRecord(queue),
      mode,
    })),
  })
}

/** How a group consumes a topic. */
export interface RequestModeSetting {
  readonly topic: string
  readonly consumerGroup: string
  readonly mode: MessageRequestMode
  readonly popShareQueueNum: number
}

export function requestModeRecord(setting: RequestModeSetting): BodyRecord {
  const { topic, consumerGroup, mode, popShareQueueNum } = setting
  return { topic, consumerGroup, mode, popShareQueueNum }
}

export function requestModeOf(json: JsonObject): RequestModeSetting {
  const mode = optionalText(json, 'mode') ?? 'PULL'
  if (mode !== 'PULL' && mode !== 'POP')
    throw malformedBody(`mode is neither PULL nor POP: ${mode}`)
  return {
    topic: textMember(json, 'topic'),
    consumerGroup: textMember(json, 'consumerGroup'),
    mode,
    popShareQueueNum: optionalInteger(json, 'popShareQueueNum') ?? 0,
  }
}

export function decodeRequestMode(body: Buffer): RequestModeSetting {
  return requestModeOf(asObject(parseFastjson(body), 'SetMessageRequestModeRequestBody'))
}

export function encodeRequestMode(setting: RequestModeSetting): Buffer {
  return formatFastjson(requestModeRecord(setting))
}

/** `messageRequestMode.json`, and the answer of 402. */
export function encodeRequestModes(settings: Iterable<RequestModeSetting>): Buffer {
  const topics = new Map<string, Map<string, BodyRecord>>()
  for (const setting of settings) {
    let groups = topics.get(setting.topic)
    if (groups === undefined) {
      topics.set(setting.topic, (groups = new Map<string, BodyRecord>()))
    }
    groups.set(setting.consumerGroup, requestModeRecord(setting))
  }
  return formatFastjson({ messageRequestModeMap: topics })
}

export function requestModesOf(json: JsonObject): readonly RequestModeSetting[] {
  const topics = json.get('messageRequestModeMap')
  if (topics === undefined || topics === null) return []
  return textEntries(asObject(topics, 'messageRequestModeMap')).flatMap(([topic, groups]) =>
    textEntries(asObject(groups, topic)).map(([group, setting]) =>
      requestModeOf(asObject(setting, group)),
    ),
  )
}

/** Java's short names, or its long ones. */
function batchAckOf(json: JsonObject): BatchAck {
  const text = (short: string, long: string): string =>
    optionalText(json, short) ?? textMember(json, long)
  const integer = (short: string, long: string): number =>
    optionalInteger(json, short) ?? integerMember(json, long, 0)
  return {
    consumerGroup: text('c', 'consumerGroup'),
    topic: text('t', 'topic'),
    retry: optionalText(json, 'r') ?? optionalText(json, 'retry') ?? '0',
    startOffset: integer('so', 'startOffset'),
    queueId: integer('q', 'queueId'),
    reviveQueueId: integer('rq', 'reviveQueueId'),
    popTime: integer('pt', 'popTime'),
    invisibleTime: integer('it', 'invisibleTime'),
    distances: distancesOf(optionalText(json, 'b') ?? optionalText(json, 'bitSet') ?? ''),
  }
}

/** java.util.BitSet.toByteArray in base64: the lowest bit of the first byte is the first one. */
function distancesOf(base64: string): readonly number[] {
  if (base64.length > (BIT_SET_BYTES_MAX * 4) / 3) throw malformedBody('the bit set b is too long')
  const distances: number[] = []
  const bytes = Buffer.from(base64, 'base64')
  for (let index = 0; index < bytes.length; index++) {
    for (let bits = bytes[index] ?? 0; bits !== 0; bits &= bits - 1) {
      distances.push(index * 8 + 31 - Math.clz32(bits & -bits))
    }
  }
  return distances
}

function bitSetOf(distances: readonly number[]): Buffer {
  const bytes = Buffer.alloc(Math.floor(Math.max(-1, ...distances) / 8) + 1)
  for (const distance of distances) {
    const at = Math.floor(distance / 8)
    bytes[at] = (bytes[at] ?? 0) | (1 << (distance % 8))
  }
  return bytes
}
