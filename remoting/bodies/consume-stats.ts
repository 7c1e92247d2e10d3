/** ConsumeStats, the answer body of GET_CONSUME_STATS (208): how far a group has come in each queue. */
import { formatFastjson, malformedBody, parseFastjson } from './fastjson.ts'
import { asObject, integerMember, optionalObject } from './json-members.ts'
import { messageQueueOf, messageQueueRecord } from './message-queue.ts'
import type { BodyRecord, JsonValue } from './fastjson.ts'
import type { MessageQueue } from './message-queue.ts'

export interface ConsumeStats {
  /** Messages per second. */
  readonly consumeTps: number
  readonly queues: readonly QueueConsumeStats[]
}

export interface QueueConsumeStats {
  readonly queue: MessageQueue
  /** Next offset to be written. */
  readonly brokerOffset: number
  /** Next offset to be consumed, as committed. */
  readonly consumerOffset: number
  /** Next offset to be pulled. */
  readonly pullOffset: number
  /** Store time of the last consumed message; 0 when unknown. */
  readonly lastTimestamp: number
}

export function encodeConsumeStats(stats: ConsumeStats): Buffer {
  return formatFastjson(consumeStatsRecord(stats))
}

/** As a member of other bodies. */
export function consumeStatsRecord(stats: ConsumeStats): BodyRecord {
  return {
    consumeTps: stats.consumeTps,
    offsetTable: new Map(
      stats.queues.map(({ queue, brokerOffset, consumerOffset, pullOffset, lastTimestamp }) => [
        messageQueueRecord(queue),
        { brokerOffset, consumerOffset, lastTimestamp, pullOffset },
      ]),
    ),
  }
}

export function decodeConsumeStats(body: Buffer): ConsumeStats {
  return consumeStatsOf(parseFastjson(body))
}

export function consumeStatsOf(value: JsonValue): ConsumeStats {
  const json = asObject(value, 'ConsumeStats')
  const consumeTps = json.get('consumeTps') ?? 0
  if (typeof consumeTps !== 'number') throw malformedBody('consumeTps is no number')
  const queues: QueueConsumeStats[] = []
  for (const [key, value] of optionalObject(json, 'offsetTable') ?? []) {
    const offsets = asObject(value, 'offsetTable')
    queues.push({
      queue: messageQueueOf(key),
      brokerOffset: integerMember(offsets, 'brokerOffset', 0),
      consumerOffset: integerMember(offsets, 'consumerOffset', 0),
      pullOffset: integerMember(offsets, 'pullOffset', 0),
      lastTimestamp: integerMember(offsets, 'lastTimestamp', 0),
    })
  }
  return { consumeTps, queues }
}
