import { expect, test } from 'vitest'
import { clusterPicture } from '../client/cluster-picture.ts'
import type { BrokerState } from '../client/cluster-picture.ts'
import { TEST_NOW, testBrokerState, testGroup, testTopic } from '../client/testing-picture.ts'
import { eventsBetween, findingEvents } from './events.ts'

const pictureOf = (...brokers: readonly BrokerState[]) =>
  clusterPicture(TEST_NOW, [{ address: 'ns:9876', problem: null }], brokers)

function texts(before: readonly BrokerState[], now: readonly BrokerState[]): readonly string[] {
  return eventsBetween(pictureOf(...before), pictureOf(...now)).map(
    ({ subject, text }) => `${subject} ${text}`,
  )
}

test('nothing is told when nothing changed', () => {
  expect(texts([testBrokerState('a')], [testBrokerState('a')])).toEqual([])
})

test('a new leader, brokers that come and go, and members that change are told', () => {
  const two = [0, 1].map((id) => ({
    id,
    role: 'follower',
    address: 'x:1',
    lagBytes: 0,
    isAlive: true,
  }))

  expect(
    texts(
      [testBrokerState('a'), testBrokerState('b')],
      [
        testBrokerState('a', { broker: { term: 2, memberId: 1, members: two } }),
        testBrokerState('c'),
      ],
    ),
  ).toEqual([
    'broker a member 1 leads since term 2',
    'broker a its members are now 0, 1',
    'broker c joined the cluster',
    'broker b left the cluster',
  ])
})

test('a member that was started anew is told', () => {
  expect(
    texts([testBrokerState('a')], [testBrokerState('a', { broker: { bootTimestamp: TEST_NOW } })]),
  ).toEqual(['broker a member 0 was started anew'])
})

test('topics and groups that come and go are told, very many of them as a number', () => {
  const many = Array.from({ length: 12 }, (_, at) => testTopic(`t${at + 10}`, [[0, 0]]))
  const told = texts(
    [testBrokerState('a', { groups: [testGroup('g')] })],
    [testBrokerState('a', { topics: many })],
  )

  expect(told).toHaveLength(12)
  expect(told[0]).toBe('topic t10 was created')
  expect(told[10]).toBe('topics 2 more: was created')
  expect(told[11]).toBe('group g was deleted')
})

test('while a broker is silent nothing is said to be created or deleted', () => {
  expect(
    texts(
      [testBrokerState('a', { topics: [testTopic('t', [[0, 0]])] })],
      [testBrokerState('a', { problem: 'silent' })],
    ),
  ).toEqual([])
})

test('a finding is told when it comes and when it is over, not when its numbers change', () => {
  const finding = {
    severity: 'warning',
    code: 'groupLag',
    subject: 'group g',
    problem: '5 messages',
    advice: '',
  } as const
  const changed = { ...finding, problem: '6 messages' }

  expect(findingEvents(1, [], [finding])).toEqual([
    { at: 1, severity: 'warning', subject: 'group g', text: '5 messages' },
  ])
  expect(findingEvents(2, [finding], [changed])).toEqual([])
  expect(findingEvents(3, [changed], [])).toEqual([
    { at: 3, severity: 'info', subject: 'group g', text: 'over: 6 messages' },
  ])
})
