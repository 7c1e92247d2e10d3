/** The store as transactions use it: one message at a time, and whole queues in order. */
import { MessageCodecError, decodeRecord } from '../../common/message-codec.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { GetStatus, PutStatus, isStored } from '../../store/types.ts'
import { answer, success } from '../processors/answers.ts'
import { HALF_QUEUE_ID } from './half-message.ts'
import type { MessageToStore, StoredMessage } from '../../common/message.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { BrokerParts } from '../parts.ts'
import type { PutResult, PutWait, Store } from '../../store/types.ts'

const READ_AT_ONCE = 32

export function putMessage(
  store: Pick<Store, 'put'>,
  message: MessageToStore,
  wait: PutWait,
): Promise<PutResult> {
  return new Promise((resolve) => {
    store.put([message], wait, resolve)
  })
}

/** Counts a message of a transaction that has become visible. */
export function countPut(
  { stats, config }: Pick<BrokerParts, 'stats' | 'config'>,
  { topic, body, properties }: MessageToStore,
): void {
  stats.putTotal++
  stats.add('TOPIC_PUT_NUMS', topic, 1, 1)
  stats.add('TOPIC_PUT_SIZE', topic, body.length + properties.length, 1, 'transaction')
  stats.add('BROKER_PUT_NUMS', config.values.brokerClusterName, 1, 1)
}

/** The answer to a request whose message was not stored. */
export function putAnswer({ status, reason }: PutResult): ResponseContent {
  if (isStored(status)) return success()
  if (status === PutStatus.MESSAGE_ILLEGAL) {
    const remark = 'The message is illegal, maybe msg body or properties length not matched.'
    return answer(ResponseCode.MESSAGE_ILLEGAL, remark)
  }
  if (status === PutStatus.OS_PAGE_CACHE_BUSY) {
    return answer(ResponseCode.SYSTEM_ERROR, 'OS page cache busy, please try another machine')
  }
  const remark = `service not available now: ${reason ?? 'the store takes no writes'}`
  return answer(ResponseCode.SERVICE_NOT_AVAILABLE, remark)
}

/**
 * Some messages of the first queue of a topic from an offset on, and where to go on; not further than `queueOffset` at its end. One that is
 * damaged is left out, and the store told of it.
 */
export function readQueue(
  store: Pick<Store, 'get' | 'noteDamaged'>,
  topic: string,
  queueOffset: number,
): Promise<{ readonly messages: readonly StoredMessage[]; readonly nextOffset: number }> {
  const request = {
    topic,
    queueId: HALF_QUEUE_ID,
    queueOffset,
    maxMessages: READ_AT_ONCE,
    filter: null,
  }
  return new Promise((resolve) => {
    store.get(request, ({ status, records, nextBeginOffset }) => {
      if (status === GetStatus.FOUND) {
        const messages = records.flatMap((record) =>
          decoded(record, (problem) =>
            store.noteDamaged(
              `a message at or behind offset ${queueOffset} of ${topic}: ${problem}`,
            ),
          ),
        )
        resolve({ messages, nextOffset: nextBeginOffset })
        return
      }
      const isBehind =
        status === GetStatus.OFFSET_TOO_SMALL ||
        status === GetStatus.MESSAGE_WAS_REMOVING ||
        status === GetStatus.OFFSET_FOUND_NULL ||
        status === GetStatus.NO_MATCHED_MESSAGE
      resolve({
        messages: [],
        nextOffset: isBehind ? Math.max(queueOffset, nextBeginOffset) : queueOffset,
      })
    })
  })
}

/** A record as a message; nothing for one that is damaged. */
function decoded(record: Buffer, noteDamaged: (problem: string) => void): readonly StoredMessage[] {
  try {
    return [decodeRecord(record)]
  } catch (error) {
    if (!(error instanceof MessageCodecError)) throw error
    noteDamaged(error.code)
    return []
  }
}
