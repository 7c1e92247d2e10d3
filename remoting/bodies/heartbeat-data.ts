/** HeartbeatData (protocol §13.1), the request body of HEART_BEAT (34), and the SubscriptionData in it. */
import { formatFastjson, malformedBody, parseFastjson } from './fastjson.ts'
import {
  asObject,
  booleanMember,
  integerMember,
  listMember,
  optionalText,
  textList,
  textMember,
} from './json-members.ts'
import type { BodyRecord, JsonObject, JsonValue } from './fastjson.ts'

export type ConsumeType = 'CONSUME_ACTIVELY' | 'CONSUME_PASSIVELY' | 'CONSUME_POP'
export type MessageModel = 'BROADCASTING' | 'CLUSTERING'

export interface SubscriptionData {
  readonly topic: string
  readonly subString: string
  readonly tagsSet: readonly string[]
  /** Java hash codes of the tags. */
  readonly codeSet: readonly number[]
  /** Milliseconds since 1970 when the client made it; the newest of a group counts. */
  readonly subVersion: number
  readonly expressionType: string
  readonly classFilterMode: boolean
}

export interface ConsumerData {
  readonly groupName: string
  readonly consumeType: ConsumeType
  readonly messageModel: MessageModel
  /** Java's name, deprecated ones included. */
  readonly consumeFromWhere: string
  readonly subscriptions: readonly SubscriptionData[]
  readonly unitMode: boolean
}

export interface HeartbeatData {
  readonly clientID: string
  readonly producerGroups: readonly string[]
  readonly consumers: readonly ConsumerData[]
  /** 0: the first form of the heartbeat. */
  readonly heartbeatFingerprint: number
  /** True: consumers stand without their subscriptions, which have not changed. */
  readonly withoutSub: boolean
}

export function decodeHeartbeatData(body: Buffer): HeartbeatData {
  const json = asObject(parseFastjson(body), 'HeartbeatData')
  return {
    clientID: textMember(json, 'clientID'),
    producerGroups: listMember(json, 'producerDataSet').map((item) =>
      textMember(asObject(item, 'producerDataSet'), 'groupName'),
    ),
    consumers: listMember(json, 'consumerDataSet').map((item) =>
      consumerDataOf(asObject(item, 'consumerDataSet')),
    ),
    heartbeatFingerprint: integerMember(json, 'heartbeatFingerprint', 0),
    withoutSub: booleanMember(json, 'withoutSub', false),
  }
}

export function encodeHeartbeatData(heartbeat: HeartbeatData): Buffer {
  const { clientID, producerGroups, consumers, heartbeatFingerprint, withoutSub } = heartbeat
  return formatFastjson({
    clientID,
    producerDataSet: producerGroups.map((groupName) => ({ groupName })),
    consumerDataSet: consumers.map(consumerDataRecord),
    heartbeatFingerprint,
    withoutSub,
  })
}

export function consumerDataRecord(consumer: ConsumerData): BodyRecord {
  return {
    groupName: consumer.groupName,
    consumeType: consumer.consumeType,
    messageModel: consumer.messageModel,
    consumeFromWhere: consumer.consumeFromWhere,
    subscriptionDataSet: consumer.subscriptions.map(subscriptionDataRecord),
    unitMode: consumer.unitMode,
  }
}

export function subscriptionDataRecord(subscription: SubscriptionData): BodyRecord {
  return { ...subscription }
}

export function subscriptionDataOf(json: JsonObject): SubscriptionData {
  return {
    topic: textMember(json, 'topic'),
    subString: optionalText(json, 'subString') ?? '*',
    tagsSet: textList(json, 'tagsSet'),
    codeSet: listMember(json, 'codeSet').map(codeOf),
    subVersion: integerMember(json, 'subVersion', 0),
    expressionType: optionalText(json, 'expressionType') ?? 'TAG',
    classFilterMode: booleanMember(json, 'classFilterMode', false),
  }
}

/** The Go client writes the hash codes as texts. */
function codeOf(code: JsonValue): number {
  const number = typeof code === 'string' && code !== '' ? Number(code) : code
  if (typeof number !== 'number' || !Number.isInteger(number)) {
    throw malformedBody('codeSet holds no numbers')
  }
  return number
}

export function consumerDataOf(json: JsonObject): ConsumerData {
  return {
    groupName: textMember(json, 'groupName'),
    consumeType: consumeTypeOf(optionalText(json, 'consumeType')),
    messageModel: messageModelOf(optionalText(json, 'messageModel')),
    consumeFromWhere: optionalText(json, 'consumeFromWhere') ?? 'CONSUME_FROM_LAST_OFFSET',
    subscriptions: listMember(json, 'subscriptionDataSet').map((item) =>
      subscriptionDataOf(asObject(item, 'subscriptionDataSet')),
    ),
    unitMode: booleanMember(json, 'unitMode', false),
  }
}

// The official C++ client writes its own spellings of the names; whoever is not one of the others is what most clients are.
function consumeTypeOf(name: string | null): ConsumeType {
  if (name === 'CONSUME_ACTIVELY' || name === 'CONSUME_POP') return name
  return 'CONSUME_PASSIVELY'
}

function messageModelOf(name: string | null): MessageModel {
  return name === 'BROADCASTING' ? name : 'CLUSTERING'
}

/** The request body of CHECK_CLIENT_CONFIG (46). */
export interface CheckClientConfig {
  readonly clientId: string
  readonly group: string
  readonly subscription: SubscriptionData
}

export function decodeCheckClientConfig(body: Buffer): CheckClientConfig {
  const json = asObject(parseFastjson(body), 'CheckClientRequestBody')
  return {
    clientId: textMember(json, 'clientId'),
    group: textMember(json, 'group'),
    subscription: subscriptionDataOf(asObject(json.get('subscriptionData'), 'subscriptionData')),
  }
}
