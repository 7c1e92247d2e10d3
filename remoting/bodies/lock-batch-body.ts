/** LockBatchRequestBody and its answer: LOCK_BATCH_MQ (41) and UNLOCK_BATCH_MQ (42). */
import { formatFastjson, parseFastjson } from './fastjson.ts'
import { asObject, booleanMember, listMember, textMember } from './json-members.ts'
import { messageQueueOf, messageQueueRecord } from './message-queue.ts'
import type { MessageQueue } from './message-queue.ts'

export interface LockBatchBody {
  readonly consumerGroup: string
  readonly clientId: string
  readonly onlyThisBroker: boolean
  readonly queues: readonly MessageQueue[]
}

export function decodeLockBatchBody(body: Buffer): LockBatchBody {
  const json = asObject(parseFastjson(body), 'LockBatchRequestBody')
  return {
    consumerGroup: textMember(json, 'consumerGroup'),
    clientId: textMember(json, 'clientId'),
    onlyThisBroker: booleanMember(json, 'onlyThisBroker', false),
    queues: listMember(json, 'mqSet').map(messageQueueOf),
  }
}

export function encodeLockBatchBody(lock: LockBatchBody): Buffer {
  const { consumerGroup, clientId, onlyThisBroker, queues } = lock
  return formatFastjson({
    clientId,
    consumerGroup,
    mqSet: queues.map(messageQueueRecord),
    onlyThisBroker,
  })
}

/** The answer to 41: the queues that the client now holds. */
export function encodeLockedQueues(queues: readonly MessageQueue[]): Buffer {
  return formatFastjson({ lockOKMQSet: queues.map(messageQueueRecord) })
}

export function decodeLockedQueues(body: Buffer): readonly MessageQueue[] {
  const json = asObject(parseFastjson(body), 'LockBatchResponseBody')
  return listMember(json, 'lockOKMQSet').map(messageQueueOf)
}
