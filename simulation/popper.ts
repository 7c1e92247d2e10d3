/** Pops of the clients of a simulated broker. */
import { RequestCode } from '../remoting/request-code.ts'
import type { RemotingCommand } from '../remoting/command.ts'
import type { BrokerClient } from './broker-client.ts'

export interface PopAsked {
  readonly consumerGroup: string
  readonly topic: string
  readonly maxMessages: number
  readonly invisibleTime: number
  /** In order, as this attempt; null: in any order. */
  readonly attemptId: string | null
}

/** Of all queues, without waiting for messages; null: nobody answered. */
export function pop(client: BrokerClient, asked: PopAsked): Promise<RemotingCommand | null> {
  const { consumerGroup, topic, maxMessages, invisibleTime, attemptId } = asked
  return client.ask({
    code: RequestCode.POP_MESSAGE,
    extFields: {
      consumerGroup,
      topic,
      queueId: '-1',
      maxMsgNums: String(maxMessages),
      invisibleTime: String(invisibleTime),
      pollTime: '0',
      // The time of the broker, which refuses requests of clients whose clocks are half a second behind.
      bornTime: '0',
      initMode: '0',
      ...(attemptId === null ? { order: 'false' } : { order: 'true', attemptId }),
    },
  })
}
