/** LOCK_BATCH_MQ (41) and UNLOCK_BATCH_MQ (42): orderly consumers take their queues. */
import { decodeLockBatchBody, encodeLockedQueues } from '../../remoting/bodies/lock-batch-body.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { success } from './answers.ts'
import type { Processor } from '../../remoting/connection.ts'
import type { BrokerParts } from '../parts.ts'

/** The processors of this family by code. */
export function lockProcessors({ locks }: BrokerParts): ReadonlyMap<number, Processor> {
  return new Map<number, Processor>([
    [
      RequestCode.LOCK_BATCH_MQ,
      (request) => {
        const { consumerGroup, clientId, queues } = decodeLockBatchBody(request.command.body)
        const locked = locks.lock(consumerGroup, clientId, queues)
        request.respond(success(undefined, encodeLockedQueues(locked)))
      },
    ],
    [
      RequestCode.UNLOCK_BATCH_MQ,
      (request) => {
        const { consumerGroup, clientId, queues } = decodeLockBatchBody(request.command.body)
        locks.unlock(consumerGroup, clientId, queues)
        request.respond(success())
      },
    ],
  ])
}
