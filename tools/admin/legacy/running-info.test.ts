import { expect, test } from 'vitest'
import { decodeConsumerRunningInfo } from '../../../remoting/bodies/consumer-running-info.ts'
import type { ConsumerRunningInfo } from '../../../remoting/bodies/consumer-running-info.ts'
import { isSubscriptionSame, runningInfoText, stuckQueues } from './running-info.ts'

const NOW = 10_000_000

function infoOf(
  more: {
    readonly properties?: Readonly<Record<string, string>>
    readonly topics?: readonly string[]
    /** Members of the one queue, in JSON. */
    readonly queue?: string
  } = {},
): ConsumerRunningInfo {
  const { topics = ['Orders'], queue = '"commitOffset":7' } = more
  const properties = {
    PROP_CONSUME_TYPE: 'CONSUME_PASSIVELY',
    PROP_CONSUMER_START_TIMESTAMP: '1000',
    ...more.properties,
  }
  const subscriptions = topics.map(
    (topic) => `{"classFilterMode":false,"subString":"*","topic":"${topic}"}`,
  )
  // As the Java client writes it, with an object as a key.
  return decodeConsumerRunningInfo(
    Buffer.from(
      `{"jstack":"main","mqPopTable":{},"mqTable":{{"brokerName":"b","queueId":2,"topic":"Orders"}:{${queue}}},` +
        `"properties":${JSON.stringify(properties)},` +
        `"statusTable":{"Orders":{"consumeFailedMsgs":3,"consumeRT":1.5,"pullTPS":2}},` +
        `"subscriptionSet":[${subscriptions.join(',')}]}`,
    ),
  )
}

test('what a Java client tells of itself is shown as mqadmin shows it', () => {
  const text = runningInfoText(infoOf())

  expect(text).toContain('PROP_CONSUME_TYPE                       : CONSUME_PASSIVELY\n')
  expect(text).toMatch(/^001 Topic: Orders +ClassFilter: false +SubExpression: \*$/mu)
  expect(text).toMatch(/^Orders +b +2 +7 *$/mu)
  expect(text).toMatch(/^Orders +b +2 +ProcessQueueInfo \[commitOffset=7\]$/mu)
  expect(text).toMatch(/^Orders +0\.00 +2\.00 +1\.50 +0\.00 +0\.00 +3$/mu)
  expect(text).toMatch(/#Consumer jstack#\nmain\n$/u)
})

test('members that have settled must subscribe to the same', () => {
  const other = infoOf({ topics: ['Orders', 'Bills'] })

  expect(isSubscriptionSame([infoOf(), infoOf()], NOW)).toBe(true)
  expect(isSubscriptionSame([infoOf(), other], NOW)).toBe(false)
})

test('members that have just been started, and those that pull, may differ', () => {
  const other = infoOf({ topics: ['Orders', 'Bills'] })
  const young = infoOf({ properties: { PROP_CONSUMER_START_TIMESTAMP: String(NOW - 1000) } })
  const pulls = infoOf({ properties: { PROP_CONSUME_TYPE: 'CONSUME_ACTIVELY' } })

  expect(isSubscriptionSame([young, other], NOW)).toBe(true)
  expect(isSubscriptionSame([pulls, other], NOW)).toBe(true)
})

test.each([
  [
    '"cachedMsgCount":1,"lastConsumeTimestamp":1',
    'false',
    "can't consume for a while, maybe blocked, 9999999ms",
  ],
  ['"locked":false,"lastLockTimestamp":1', 'true', "can't lock for a while, 9999999ms"],
  ['"locked":true,"droped":true,"tryUnlockTimes":4', 'true', 'unlock 4 times, still failed'],
])('a queue with %s, orderly %s, is stuck', (queue, orderly, problem) => {
  const info = infoOf({ queue, properties: { PROP_CONSUMEORDERLY: orderly } })

  expect(stuckQueues('c1', info, NOW)).toEqual([
    `c1 MessageQueue [topic=Orders, brokerName=b, queueId=2] ${problem}`,
  ])
})

test.each([
  ['"cachedMsgCount":0,"lastConsumeTimestamp":1', 'false'],
  [`"cachedMsgCount":1,"lastConsumeTimestamp":${NOW - 59_000}`, 'false'],
  ['"locked":true,"droped":true,"tryUnlockTimes":0', 'true'],
])('a queue with %s, orderly %s, gets on', (queue, orderly) => {
  const info = infoOf({ queue, properties: { PROP_CONSUMEORDERLY: orderly } })

  expect(stuckQueues('c1', info, NOW)).toEqual([])
})
