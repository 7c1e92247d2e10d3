/** Who is connected: ConsumerConnection (203, protocol §13.6), ProducerConnection (204) and the list of a group's client ids (38). */
import { formatFastjson, parseFastjson } from './fastjson.ts'
import type { BodyRecord, JsonObject } from './fastjson.ts'
import { subscriptionDataOf, subscriptionDataRecord } from './heartbeat-data.ts'
import type { ConsumeType, MessageModel, SubscriptionData } from './heartbeat-data.ts'
import {
  asObject,
  integerMember,
  listMember,
  optionalObject,
  optionalText,
  textEntries,
  textList,
  textMember,
} from './json-members.ts'

export interface ClientConnection {
  readonly clientId: string
  /** `host:port`. */
  readonly clientAddr: string
  /** Java's name of the language. */
  readonly language: string
  /** MQVersion ordinal. */
  readonly version: number
}

export interface ConsumerConnection {
  readonly connections: readonly ClientConnection[]
  readonly subscriptions: readonly SubscriptionData[]
  readonly consumeType: ConsumeType
  readonly messageModel: MessageModel
  readonly consumeFromWhere: string
}

export function encodeConsumerConnection(connection: ConsumerConnection): Buffer {
  const { connections, subscriptions, consumeType, messageModel, consumeFromWhere } = connection
  return formatFastjson({
    connectionSet: connections.map(connectionRecord),
    consumeFromWhere,
    consumeType,
    messageModel,
    subscriptionTable: new Map(
      subscriptions.map((subscription) => [
        subscription.topic,
        subscriptionDataRecord(subscription),
      ]),
    ),
  })
}

export interface ConsumerConnectionView {
  readonly connections: readonly ClientConnection[]
  readonly subscriptions: readonly SubscriptionData[]
  readonly consumeType: string | null
  readonly messageModel: string | null
  readonly consumeFromWhere: string | null
}

export function decodeConsumerConnection(body: Buffer): ConsumerConnectionView {
  const json = asObject(parseFastjson(body), 'ConsumerConnection')
  const subscriptions = optionalObject(json, 'subscriptionTable')
  return {
    connections: connectionsOf(json),
    subscriptions: (subscriptions === null ? [] : textEntries(subscriptions)).map(
      ([topic, value]) => subscriptionDataOf(asObject(value, `subscriptionTable.${topic}`)),
    ),
    consumeType: optionalText(json, 'consumeType'),
    messageModel: optionalText(json, 'messageModel'),
    consumeFromWhere: optionalText(json, 'consumeFromWhere'),
  }
}

export function encodeProducerConnection(connections: readonly ClientConnection[]): Buffer {
  return formatFastjson({ connectionSet: connections.map(connectionRecord) })
}

export function decodeProducerConnection(body: Buffer): readonly ClientConnection[] {
  return connectionsOf(asObject(parseFastjson(body), 'ProducerConnection'))
}

export function encodeConsumerIdList(clientIds: readonly string[]): Buffer {
  return formatFastjson({ consumerIdList: clientIds })
}

export function decodeConsumerIdList(body: Buffer): readonly string[] {
  return textList(asObject(parseFastjson(body), 'consumer id list'), 'consumerIdList')
}

function connectionRecord({
  clientId,
  clientAddr,
  language,
  version,
}: ClientConnection): BodyRecord {
  return { clientAddr, clientId, language, version }
}

function connectionsOf(json: JsonObject): readonly ClientConnection[] {
  return listMember(json, 'connectionSet').map((item) => {
    const connection = asObject(item, 'connectionSet')
    return {
      clientId: textMember(connection, 'clientId'),
      clientAddr: textMember(connection, 'clientAddr'),
      language: optionalText(connection, 'language') ?? 'OTHER',
      version: integerMember(connection, 'version', 0),
    }
  })
}
