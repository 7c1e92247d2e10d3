/** GetConsumerStatusBody (221, 223) and ProducerTableInfo (328): what clients are doing. */
import { formatFastjson, malformedBody, parseFastjson } from './fastjson.ts'
import { asObject, optionalObject } from './json-members.ts'
import { messageQueueOf, messageQueueRecord } from './message-queue.ts'
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

export function encodeProducerTable(
  groups: readonly { readonly group: string; readonly producers: readonly ProducerInfo[] }[],
): Buffer {
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
