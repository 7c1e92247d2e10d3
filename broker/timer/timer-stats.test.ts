import { expect, test } from 'vitest'
import { encodeProperties } from '../../common/properties.ts'
import { TimerStats } from './timer-stats.ts'
import type { MessageToStore } from '../../common/message.ts'

const MINUTE_MS = 60_000

function timer(topic: string, aheadMs: number): MessageToStore {
  const bornTimestamp = 1_700_000_000_000
  return {
    topic: 'rmq_sys_wheel_timer',
    queueId: 0,
    flag: 0,
    sysFlag: 0,
    bornTimestamp,
    bornHost: { ip: Buffer.alloc(4), port: 0 },
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body: Buffer.from('a'),
    properties: encodeProperties([
      ['REAL_TOPIC', topic],
      ['TIMER_OUT_MS', String(bornTimestamp + aheadMs)],
    ]),
  }
}

test('timers are counted by topic, with how far ahead they were set', () => {
  const stats = new TimerStats()
  stats.knownFrom = 0

  stats.parked(timer('T', 2 * MINUTE_MS), 0)
  stats.parked(timer('T', 2 * MINUTE_MS), 1)
  stats.parked(timer('U', MINUTE_MS), 2)
  stats.delivered('T', 0)

  expect(stats.topics.get('T')).toMatchObject({ enqueued: 2, dequeued: 1, waiting: 1 })
  expect(stats.topics.get('U')).toMatchObject({ enqueued: 1, dequeued: 0, waiting: 1 })
  const buckets = Array.from(stats.topics.get('T')?.ahead.samples({}) ?? [])
  expect(buckets.filter(({ labels }) => labels['le'] === '60')).toMatchObject([{ value: 0 }])
  expect(buckets.filter(({ labels }) => labels['le'] === '600')).toMatchObject([{ value: 2 }])
})

test('those from before the leader began do not wait under a topic', () => {
  const stats = new TimerStats()
  stats.parked(timer('T', MINUTE_MS), 4)
  stats.knownFrom = 5
  stats.parked(timer('T', MINUTE_MS), 5)

  stats.delivered('T', 4)

  expect(stats.topics.get('T')).toMatchObject({ enqueued: 2, dequeued: 1, waiting: 1 })
})

test('another leader begins without any, and topics that are gone are forgotten', () => {
  const stats = new TimerStats()
  stats.knownFrom = 0
  stats.parked(timer('T', MINUTE_MS), 0)
  stats.parked(timer('U', MINUTE_MS), 1)

  stats.forgetWaiting()
  stats.keep((topic) => topic === 'T')

  expect([...stats.topics.keys()]).toEqual(['T'])
  expect(stats.topics.get('T')?.waiting).toBe(0)
})
