/** GetConsumerStatusBody (221, 223) and ProducerTableInfo (328): what clients are doing. */
import { formatFastjson, malformedBody, parseFastjson } from './fastjson.ts'
import {
  asObject,
  integerMember,
  isJsonArray,
  optionalObject,
  textEntries,
  textMember,
} from './json-members.ts'
import { messageQueueOf, messageQueueRecord } from './message-queue.ts'
import type { JsonObject } from './fastjson.ts'
import type { QueuePosition } from './reset-offset-body.ts'

/** How far one client has come in the queues that it consumes. */
export interface ClientStatus {
  readonly clientId: string
  readonly positions: readonly QueuePosition[]
}

/** Of one client, as it tells. */
export function decodeClientStatus(body: Buffer): readonly QueuePosition[] {
  const json = asObject(parseFastjson(body), 'GetConsumerStatusBody')
  const positions: QueuePosition[] = []
  for (const [key, queueOffset] of optionalObject(json, 'messageQueueTable') ?? []) {
    if (typeof queueOffset !== 'number') {
      throw malformedBody('messageQueueTable holds no numbers')
    }
    positions.push({ queue: messageQueueOf(key), queueOffset })
  }
  return positions
}

export function encodeConsumerStatus(statuses: readonly ClientStatus[]): Buffer {
  return formatFastjson({
    consumerTable: new Map(
      statuses.map(({ clientId, positions }) => [
        clientId,
        new Map(
          positions.map(({ queue, queueOffset }) => [messageQueueRecord(queue), queueOffset]),
        ),
      ]),
    ),
    messageQueueTable: {},
  })
}

export interface ProducerInfo {
  readonly clientId: string
  readonly remoteIP: string
  /** Java's name of the language. */
  readonly language: string
  readonly version: number
  readonly lastUpdateTimestamp: number
}

export interface ProducerGroup {
  readonly group: string
  readonly producers: readonly ProducerInfo[]
}

export function decodeProducerTable(body: Buffer): readonly ProducerGroup[] {
  const json = asObject(parseFastjson(body), 'ProducerTableInfo')
  const data = optionalObject(json, 'data')
  return (data === null ? [] : textEntries(data)).map(([group, list]) => {
    if (!isJsonArray(list)) throw malformedBody(`data.${group} is no list`)
    return { group, producers: list.map((item) => producerOf(asObject(item, 'data'))) }
  })
}

function producerOf(json: JsonObject): ProducerInfo {
  return {
    clientId: textMember(json, 'clientId'),
    remoteIP: textMember(json, 'remoteIP'),
    language: textMember(json, 'language'),
    version: integerMember(json, 'version', 0),
    lastUpdateTimestamp: integerMember(json, 'lastUpdateTimestamp', 0),
  }
}

export function encodeProducerTable(groups: readonly ProducerGroup[]): Buffer {
  return formatFastjson({
    data: new Map(
      groups.map(({ group, producers }) => [
        group,
        producers.map(({ clientId, remoteIP, language, version, lastUpdateTimestamp }) => ({
          clientId,
          language,
          lastUpdateTimestamp,
          remoteIP,
          version,
        })),
      ]),
    ),
  })
}
