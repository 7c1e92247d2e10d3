/** ResetOffsetBody: the new positions of a group, answer body of INVOKE_BROKER_TO_RESET_OFFSET (222). */
import { formatFastjson, malformedBody, parseFastjson } from './fastjson.ts'
import { asObject, optionalObject } from './json-members.ts'
import { messageQueueOf, messageQueueRecord } from './message-queue.ts'
import type { MessageQueue } from './message-queue.ts'

export interface QueuePosition {
  readonly queue: MessageQueue
  readonly queueOffset: number
}

export function encodeResetOffsetBody(positions: readonly QueuePosition[]): Buffer {
  return formatFastjson({
    offsetTable: new Map(
      positions.map(({ queue, queueOffset }) => [messageQueueRecord(queue), queueOffset]),
    ),
  })
}

export function decodeResetOffsetBody(body: Buffer): readonly QueuePosition[] {
  const table = optionalObject(asObject(parseFastjson(body), 'ResetOffsetBody'), 'offsetTable')
  const positions: QueuePosition[] = []
  for (const [key, queueOffset] of table ?? []) {
    if (typeof queueOffset !== 'number') throw malformedBody('offsetTable holds no numbers')
    positions.push({ queue: messageQueueOf(key), queueOffset })
  }
  return positions
}
