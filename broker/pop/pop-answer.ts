/** The answer of POP_MESSAGE: what was taken from which queue, and the records (protocol §8.1). */
import {
  RecordDraft,
  RecordReader,
  draftSize,
  encodeDraft,
  fitsDraft,
  storedMessageOf,
} from '../../common/message-codec.ts'
import { MessageSysFlag } from '../../common/message.ts'
import { PropertyName } from '../../common/properties.ts'
import { dropProperty, propertyPair } from '../processors/send-properties.ts'
import { ORDER_REVIVE_QUEUE, formatReceipt, retryMarkOf } from './receipt.ts'
import type { OrderBatch } from './order-queue.ts'
import type { PopAnswer, PopRequest, TakenPart } from './pop-task.ts'

/** Where handles of ordinary pops say their records lie. Acknowledgements find them without. */
export const POP_REVIVE_QUEUE = 0

export function popFields(
  request: Pick<PopRequest, 'isOrder'>,
  answer: Pick<PopAnswer, 'popTime' | 'invisibleTimeMs' | 'restCount'> & {
    readonly parts: readonly TakenPart[]
  },
): Readonly<Record<string, string | undefined>> {
  const { parts } = answer
  return {
    popTime: String(answer.popTime),
    invisibleTime: String(answer.invisibleTimeMs),
    reviveQid: String(reviveQueueIdOf(request)),
    restNum: String(answer.restCount),
    startOffsetInfo: join(parts, ({ topic, queueId, startOffset }) => [
      `${retryMarkOf(topic)} ${queueId} ${startOffset}`,
    ]),
    msgOffsetInfo: join(parts, ({ topic, queueId, offsets }) => [
      `${retryMarkOf(topic)} ${queueId} ${offsets.join(',')}`,
    ]),
    orderCountInfo: request.isOrder && parts.length > 0 ? join(parts, orderCounts) : undefined,
  }
}

/** The records of an answer; those that came back are told under the name of the topic, with their handle. */
export function popBody(
  request: Pick<PopRequest, 'topic' | 'isOrder'>,
  answer: PopAnswer,
  { brokerName, isActualTopic }: { readonly brokerName: string; readonly isActualTopic: boolean },
): readonly Buffer[] {
  return answer.parts.flatMap((part) => {
    if (isActualTopic || part.topic === request.topic) {
      return part.body === null ? part.records : [part.body]
    }
    return part.records.map((record) =>
      renamed(record, request.topic, (queueOffset) =>
        formatReceipt(
          {
            startOffset: part.startOffset,
            popTime: answer.popTime,
            invisibleTime: answer.invisibleTimeMs,
            reviveQueueId: reviveQueueIdOf(request),
          },
          { mark: retryMarkOf(part.topic), brokerName, queueId: part.queueId, queueOffset },
        ),
      ),
    )
  })
}

function reviveQueueIdOf({ isOrder }: Pick<PopRequest, 'isOrder'>): number {
  return isOrder ? ORDER_REVIVE_QUEUE : POP_REVIVE_QUEUE
}

function join(parts: readonly TakenPart[], told: (part: TakenPart) => readonly string[]): string {
  return parts.flatMap(told).join(';')
}

/** How often each message was given out before, and for old clients the number of the queue. */
function orderCounts({ topic, queueId, batch }: TakenPart): readonly string[] {
  if (batch === null) return []
  const mark = retryMarkOf(topic)
  const counts = Array.from(
    batch.counts,
    ([queueOffset, count]) => `${mark} qo${queueId}%${queueOffset} ${count}`,
  )
  return [...counts, `${mark} ${queueId} ${countOfQueue(batch)}`]
}

function countOfQueue({ offsets, counts }: OrderBatch): number {
  return counts.size < offsets.length ? 0 : Math.min(...counts.values())
}

/** A record under another topic, with the property POP_CK. */
function renamed(record: Buffer, topic: string, handle: (queueOffset: number) => string): Buffer {
  const reader = new RecordReader()
  // What the store has read is a record; another would be answered as it is.
  if (reader.read(record, 0, record.length, false) !== null) return record
  const message = storedMessageOf(reader, record)
  const { storeHost, queueOffset, physicalOffset, storeTimestamp } = message
  const text = dropProperty(message.properties.toString(), PropertyName.CRC32)
  const properties =
    propertyPair(PropertyName.POP_CK, handle(queueOffset)) + dropProperty(text, PropertyName.POP_CK)
  const hostBits = MessageSysFlag.BORN_HOST_V6 | MessageSysFlag.STORE_HOST_V6
  const draft = new RecordDraft()
  draft.setMessage(
    { ...message, sysFlag: message.sysFlag & ~hostBits, properties: Buffer.from(properties) },
    Buffer.from(topic),
  )
  // Clients make the handle themselves for messages that come under the name of the retry topic.
  if (!fitsDraft(draft)) return record
  const target = Buffer.alloc(draftSize(draft, storeHost))
  encodeDraft(target, 0, draft, { queueOffset, physicalOffset, storeTimestamp, storeHost })
  return target
}
