/** What tests of whole broker processes read back over the network. */
import { expect } from 'vitest'
import { iterateRecords } from '../common/message-codec.ts'
import { propertyOf } from '../common/properties.ts'
import { pullFields } from '../remoting/pull-fields.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import type { RemotingClient } from '../remoting/client.ts'

/** The unique ids of all messages of `topic`; fails when the offsets of a queue are not dense from 0 on. */
export async function readTopic(
  client: RemotingClient,
  address: string,
  topic: string,
  queues: number,
): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  for (let queueId = 0; queueId < queues; queueId++) {
    for (let next = 0; ;) {
      const extFields = pullFields({ consumerGroup: 'G', topic, queueId, queueOffset: next })
      const request = { code: RequestCode.PULL_MESSAGE, extFields }
      const answer = await client.invoke(address, request, 5000)
      if (answer.code !== ResponseCode.SUCCESS) break
      for (const message of iterateRecords(answer.body)) {
        expect(message.queueOffset).toBe(next++)
        found.add(propertyOf(message.properties, 'UNIQ_KEY') ?? '')
      }
    }
  }
  return found
}
