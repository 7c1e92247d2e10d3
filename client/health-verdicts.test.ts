import { expect, test } from 'vitest'
import { clusterPicture } from './cluster-picture.ts'
import type { BrokerState, NameServerState } from './cluster-picture.ts'
import { brokerFindings, verdictsOf } from './health-verdicts.ts'
import { TEST_NOW, testBrokerState, testGroup, testOnline, testTopic } from './testing-picture.ts'

const SERVERS = [{ address: 'ns:9876', problem: null }]

function verdicts(brokers: readonly BrokerState[], servers: readonly NameServerState[] = SERVERS) {
  return verdictsOf(clusterPicture(TEST_NOW, servers, brokers))
}

const member = (id: number, isAlive: boolean, lagBytes = 0) => ({
  id,
  role: id === 0 ? 'leader' : 'follower',
  address: `10.0.0.${id}:10912`,
  lagBytes,
  isAlive,
})

test('nothing is wrong with a broker that has space and takes messages', () => {
  expect(verdicts([testBrokerState('a')])).toEqual([])
})

test.each([
  ['warning', { broker: { diskUsedBytes: 80 } }, 'its disk is 80 % full'],
  ['error', { broker: { diskUsedBytes: 95 } }, 'its disk is 95 % full'],
  ['warning', { broker: { brokerPermission: 4 } }, 'it takes no messages'],
  ['error', { broker: { readOnlyReason: 'full' } }, 'it takes no messages: full'],
  ['error', { problem: 'it does not answer' }, 'it does not answer'],
  [
    'error',
    { broker: { role: 'candidate' } },
    'its members are electing a leader, nothing is sent or read',
  ],
  [
    'warning',
    { broker: { dispatchBehindBytes: 100 * 1024 * 1024 } },
    'messages of 100 MiB are stored and cannot be read yet',
  ],
  [
    'warning',
    { broker: { members: [member(0, true), member(1, true), member(2, false)] } },
    'member 2 (10.0.0.2:10912) does not answer; if one more fails, the group stops',
  ],
  [
    'warning',
    { broker: { members: [0, 1, 2, 3, 4].map((id) => member(id, id !== 4)) } },
    'member 4 (10.0.0.4:10912) does not answer',
  ],
  [
    'warning',
    { broker: { members: [member(0, true), member(1, true, 128 * 1024 * 1024), member(2, true)] } },
    'member 1 is 128 MiB behind the leader',
  ],
])('a finding of severity %s for %o', (severity, parts, problem) => {
  const findings = brokerFindings(testBrokerState('a', parts))

  expect(findings).toEqual([
    {
      severity,
      code: expect.any(String),
      subject: 'broker a',
      problem,
      advice: expect.any(String),
    },
  ])
})

test('one silent name server is a warning, all of them an error', () => {
  const up = { address: 'ns-0:9876', problem: null }
  const down = { address: 'ns-1:9876', problem: 'refused' }

  expect(verdicts([testBrokerState('a')], [up, down])).toMatchObject([
    { severity: 'warning', subject: 'name server ns-1:9876' },
  ])
  expect(verdicts([testBrokerState('a')], [down])).toMatchObject([{ severity: 'error' }])
})

test('of a broker that does not tell who asks the credentials are to blame, not its pods', () => {
  const broker = testBrokerState('a', { problem: 'NO_PERMISSION', isRefused: true })

  expect(verdicts([broker])).toMatchObject([
    {
      severity: 'error',
      code: 'brokerRefuses',
      problem: 'NO_PERMISSION',
      advice: expect.stringContaining('GANTRY_ACCESS_KEY'),
    },
  ])
})

test('a cluster without brokers is told', () => {
  expect(verdicts([])).toMatchObject([{ code: 'noBroker', severity: 'error' }])
})

const topics = [testTopic('t', [[0, 200_000]])]
const progress = (committed: number, oldestUnread = TEST_NOW) => [
  { topic: 't', consumeTps: 0, oldestUnread, queues: [[0, committed, 200_000]] as const },
]

test.each([
  [
    'far behind without members',
    testGroup('g', { progress: progress(0) }),
    'groupLag',
    'start its consumers',
  ],
  [
    'far behind with members that read nothing',
    testGroup('g', { progress: progress(0), online: testOnline(['x'], ['t']) }),
    'groupLag',
    'they may hang',
  ],
  [
    'behind for long',
    testGroup('g', {
      progress: progress(199_000, TEST_NOW - 3 * 60 * 60_000),
      online: testOnline(['x'], ['t']),
    }),
    'groupOld',
    'they may hang',
  ],
  [
    'switched off',
    testGroup('g', {
      progress: progress(199_000),
      online: testOnline(['x'], ['t']),
      config: {
        consumeEnable: false,
        consumeMessageOrderly: false,
        consumeBroadcastEnable: true,
        retryQueueNums: 1,
        retryMaxTimes: 16,
      },
    }),
    'consumptionOff',
    'switch it on',
  ],
])('a group that is %s', (_what, group, code, advice) => {
  const findings = verdicts([testBrokerState('a', { topics, groups: [group] })])

  expect(findings).toMatchObject([
    { code, subject: 'group g', advice: expect.stringContaining(advice) },
  ])
})

test('a group that is a little behind is well', () => {
  const group = testGroup('g', { progress: progress(199_000), online: testOnline(['x'], ['t']) })

  expect(verdicts([testBrokerState('a', { topics, groups: [group] })])).toEqual([])
})

test('dead letters are told once for all groups', () => {
  const brokers = [
    testBrokerState('a', {
      topics: ['w', 'x', 'y', 'z'].map((group) => testTopic(`%DLQ%${group}`, [[0, 2]])),
      groups: ['w', 'x', 'y', 'z'].map((group) => testGroup(group)),
    }),
  ]

  expect(verdicts(brokers).map(({ problem }) => problem)).toEqual([
    '8 messages were given up after all retries, of w, x, y and 1 more',
  ])
})

test('of very many groups that are behind the worst are named and the others counted', () => {
  const groups = Array.from({ length: 30 }, (_, at) =>
    testGroup(`g${at}`, { progress: progress(at) }),
  )
  const findings = verdicts([testBrokerState('a', { topics, groups })])

  expect(findings).toHaveLength(21)
  expect(findings.at(0)?.subject).toBe('group g0')
  expect(findings.at(-1)?.problem).toBe('10 more groups are far behind')
})
