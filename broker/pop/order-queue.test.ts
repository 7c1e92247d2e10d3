import { expect, test } from 'vitest'
import { OrderQueue } from './order-queue.ts'

const CLOCK = { now: 1000, monotonic: 0 }

test('an acknowledgement of a batch that nobody knows any more passes nothing over that lies before', () => {
  const name = { topic: 'T', consumerGroup: 'G', queueId: 0, reviveQueueId: 0 }
  const queue = new OrderQueue({ ...name, next: 5 })

  const later = queue.ack(7, 900, CLOCK)
  const next = queue.ack(5, 900, CLOCK)

  expect(later).toEqual({ type: 'stale' })
  expect(next).toEqual({ type: 'committed', next: 6 })
})
