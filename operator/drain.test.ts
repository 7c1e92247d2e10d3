import { expect, test } from 'vitest'
import type { DrainFacts } from '../common/admin-contract.ts'
import { drainProgress } from './drain.ts'

const EMPTY: DrainFacts = {
  group: 'g',
  brokerPermission: 4,
  inFlightSends: 0,
  lags: [],
  popInFlight: 0,
  delayedMessages: 0,
  halfMessages: 0,
  consumedPerMinute: 0,
  broadcastGroups: [],
}

test.each(['inFlightSends', 'popInFlight', 'delayedMessages', 'halfMessages'] as const)(
  'a group is not empty while %s is not zero',
  (name) => {
    expect(drainProgress({ ...EMPTY, [name]: 2 }, 'Wait').remaining).toBe(2)
  },
)

test('messages that nobody subscribes to count unless they are to be ignored', () => {
  const facts = { ...EMPTY, lags: [{ topic: 'T', consumerGroup: null, messages: 7, queueId: 1 }] }

  expect(drainProgress(facts, 'Wait').remaining).toBe(7)
  expect(drainProgress(facts, 'Ignore').remaining).toBe(0)
})

test('the largest lag is named first, with the time that is left at the present speed', () => {
  const lags = [
    { topic: 'A', consumerGroup: 'x', messages: 10, queueId: 0 },
    { topic: 'B', consumerGroup: 'y', messages: 50, queueId: 3 },
  ]

  const { blockedBy, etaSeconds } = drainProgress(
    { ...EMPTY, lags, consumedPerMinute: 120 },
    'Wait',
  )

  expect(blockedBy[0]).toBe('topic B, consumer group y: 50 behind, most in queue 3')
  expect(etaSeconds).toBe(30)
})

test('no time is promised while nothing moves', () => {
  const lags = [{ topic: 'A', consumerGroup: 'x', messages: 10, queueId: 0 }]

  expect(drainProgress({ ...EMPTY, lags }, 'Wait').etaSeconds).toBeNull()
})
