/** TopicStatsTable, the answer body of GET_TOPIC_STATS_INFO (202): the extent of each queue of a topic. */
import { formatFastjson, parseFastjson } from './fastjson.ts'
import { asObject, integerMember, optionalObject } from './json-members.ts'
import { messageQueueOf, messageQueueRecord } from './message-queue.ts'
import type { MessageQueue } from './message-queue.ts'

export interface TopicQueueStats {
  readonly queue: MessageQueue
  readonly minOffset: number
  /** Next offset to be written. */
  readonly maxOffset: number
  /** Store time of the last message; 0 when the queue is empty. */
  readonly lastUpdateTimestamp: number
}

export function encodeTopicStatsTable(queues: readonly TopicQueueStats[]): Buffer {
  return formatFastjson({
    offsetTable: new Map(
      queues.map(({ queue, minOffset, maxOffset, lastUpdateTimestamp }) => [
        messageQueueRecord(queue),
        { lastUpdateTimestamp, maxOffset, minOffset },
      ]),
    ),
  })
}

export function decodeTopicStatsTable(body: Buffer): readonly TopicQueueStats[] {
  const json = asObject(parseFastjson(body), 'TopicStatsTable')
  const queues: TopicQueueStats[] = []
  for (const [key, value] of optionalObject(json, 'offsetTable') ?? []) {
    const offsets = asObject(value, 'offsetTable')
    queues.push({
      queue: messageQueueOf(key),
      minOffset: integerMember(offsets, 'minOffset', 0),
      maxOffset: integerMember(offsets, 'maxOffset', 0),
      lastUpdateTimestamp: integerMember(offsets, 'lastUpdateTimestamp', 0),
    })
  }
  return queues
}
