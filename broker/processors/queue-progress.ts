/** How far a group has come in the queues of a topic. */
import type { QueueConsumeStats } from '../../remoting/bodies/consume-stats.ts'
import type { BrokerParts } from '../parts.ts'

export interface AskedProgress {
  readonly group: string
  readonly topic: string
  /** Queues 0 up to this one, which is none of them. */
  readonly queues: number
}

export function queueProgress(
  { store, offsets, config }: BrokerParts,
  { group, topic, queues }: AskedProgress,
): readonly QueueConsumeStats[] {
  const { brokerName } = config.values
  return Array.from({ length: queues }, (_, queueId) => {
    const brokerOffset = Math.max(0, store.maxOffsetInQueue(topic, queueId))
    // As in Java: a queue without a commit counts from its beginning.
    const consumerOffset = offsets.query(group, topic, queueId) ?? 0
    const last =
      consumerOffset > 0 ? store.storeTimestampAt(topic, queueId, consumerOffset - 1) : null
    return {
      queue: { topic, brokerName, queueId },
      brokerOffset,
      consumerOffset,
      pullOffset: consumerOffset,
      lastTimestamp: last ?? 0,
    }
  })
}
