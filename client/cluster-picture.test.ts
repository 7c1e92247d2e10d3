import { expect, test } from 'vitest'
import { clusterPicture } from './cluster-picture.ts'
import { TEST_NOW, testBrokerState, testGroup, testOnline, testTopic } from './testing-picture.ts'

const SERVERS = [{ address: 'ns:9876', problem: null }]

test('a topic is the sum of its queues on all brokers', () => {
  const picture = clusterPicture(TEST_NOW, SERVERS, [
    testBrokerState('a', {
      topics: [
        testTopic(
          't',
          [
            [5, 10],
            [0, 3],
          ],
          { inTps: 2 },
        ),
      ],
    }),
    testBrokerState('b', { topics: [testTopic('t', [[0, 1]], { inTps: 1 })] }),
  ])

  expect(picture.topics.get('t')).toMatchObject({
    kind: 'normal',
    writeQueueNums: 3,
    messages: 9,
    total: 14,
    inTps: 3,
  })
})

test('the lag of a group counts from its commits, and from the oldest message where it has none', () => {
  const topics = [
    testTopic('t', [
      [5, 10],
      [2, 8],
      [0, 4],
    ]),
  ]
  const progress = {
    topic: 't',
    consumeTps: 1,
    oldestUnread: TEST_NOW - 10,
    queues: [
      [0, 7, 10],
      [1, -1, 8],
      [2, 6, 4],
    ] as const,
  }
  const picture = clusterPicture(TEST_NOW, SERVERS, [
    testBrokerState('a', { topics, groups: [testGroup('g', { progress: [progress] })] }),
  ])

  const group = picture.groups.get('g')
  expect(group?.topics[0]?.queues.map(({ lag }) => lag)).toEqual([3, 6, 0])
  expect(group?.lag).toBe(9)
  expect(picture.topics.get('t')?.groups).toEqual([{ group: 'g', lag: 9 }])
})

test('a topic that connected members do not subscribe to any more does not count', () => {
  const of = (topic: string) => ({
    topic,
    consumeTps: 0,
    oldestUnread: null,
    queues: [[0, 0, 5]] as const,
  })
  const picture = clusterPicture(TEST_NOW, SERVERS, [
    testBrokerState('a', {
      topics: [testTopic('old', [[0, 5]]), testTopic('new', [[0, 5]])],
      groups: [
        testGroup('g', { online: testOnline(['x'], ['new']), progress: [of('old'), of('new')] }),
      ],
    }),
  ])

  expect(picture.groups.get('g')?.lag).toBe(5)
  expect(picture.topics.get('old')?.groups).toEqual([])
})

test('members are counted once, though they speak to each broker', () => {
  const picture = clusterPicture(TEST_NOW, SERVERS, [
    testBrokerState('a', { groups: [testGroup('g', { online: testOnline(['x', 'y'], ['t']) })] }),
    testBrokerState('b', { groups: [testGroup('g', { online: testOnline(['x'], ['t']) })] }),
  ])

  expect(picture.groups.get('g')).toMatchObject({ members: 2 })
  expect(picture.groups.get('g')?.clients.map(({ clientId }) => clientId)).toEqual(['x', 'y'])
})

test('what a silent broker said last is kept, and marked', () => {
  const picture = clusterPicture(TEST_NOW, SERVERS, [
    testBrokerState('a', { problem: 'no answer', groups: [testGroup('g')] }),
  ])

  expect(picture.groups.get('g')?.isStale).toBe(true)
})

test('topics are told apart by what they are for', () => {
  const picture = clusterPicture(TEST_NOW, SERVERS, [
    testBrokerState('a', {
      topics: [
        testTopic('%RETRY%g', [[0, 0]]),
        testTopic('%DLQ%g', [[0, 4]]),
        testTopic('TBW102', [[0, 0]], { isSystem: true }),
        testTopic('f', [[0, 0]], { attributes: new Map([['message.type', 'FIFO']]) }),
      ],
      groups: [testGroup('g')],
    }),
  ])

  expect([...picture.topics.values()].map(({ kind }) => kind)).toEqual([
    'deadLetter',
    'retry',
    'system',
    'fifo',
  ])
  expect(picture.groups.get('g')?.deadLetters).toBe(4)
})
