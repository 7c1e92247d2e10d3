import { expect, test } from 'vitest'
import { testBrokerState, testGroup, testOnline, testTopic } from '../../client/testing-picture.ts'
import type { BrokerState } from '../../client/cluster-picture.ts'
import { SendError } from './sender.ts'
import { AlarmWorld } from './testing.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

const RECEIVERS = `
receivers:
  - { name: hook, webhook: { url: 'http://hook.example.com' } }
  - { name: mail, email: { host: h, from: a@b.c, to: a@b.c } }
`
const LAG = `${RECEIVERS}
groupWait: 10s
groupInterval: 1m
resolveAfter: 1m
rules:
  - { kind: groupLag, messages: 100, for: 1m, repeat: 1h, receivers: [hook] }
`

const topics = [testTopic('t', [[0, 1_000]])]
const readTo = (committed: number, name = 'g') =>
  testGroup(name, {
    progress: [{ topic: 't', consumeTps: 0, oldestUnread: null, queues: [[0, committed, 1_000]] }],
    online: testOnline(['x'], ['t']),
  })
const BEHIND = [testBrokerState('a', { topics, groups: [readTo(0)] })]
const WELL = [testBrokerState('a', { topics, groups: [readTo(1_000)] })]
const both = (...names: readonly string[]): readonly BrokerState[] => [
  testBrokerState('a', { topics, groups: names.map((name) => readTo(0, name)) }),
]

test('a group that is behind is pending, fires, is told once, and its end is told', async () => {
  const world = new AlarmWorld(LAG, ['hook', 'mail'])
  const hook = world.receiver('hook')

  await world.seeFor(MINUTE, BEHIND)
  expect(world.service.rows).toMatchObject([{ state: 'pending', subject: 'group g' }])
  await world.seeFor(30 * MINUTE, BEHIND)
  expect(hook.told).toEqual(['firing group g'])
  await world.seeFor(2 * MINUTE, WELL)
  expect(hook.told).toEqual(['firing group g', 'resolved group g'])
  await world.seeFor(2 * HOUR, WELL)

  expect(hook.attempts).toBe(2)
  expect(world.receiver('mail').attempts).toBe(0)
  expect(world.service.rows).toEqual([])
})

test('what holds for less than its time is no alarm', async () => {
  const world = new AlarmWorld(LAG, ['hook'])

  for (let round = 0; round < 10; round++) {
    await world.seeFor(50_000, BEHIND)
    await world.seeFor(10_000, WELL)
  }

  expect(world.receiver('hook').attempts).toBe(0)
})

test('what is over for a moment is not resolved', async () => {
  const world = new AlarmWorld(LAG, ['hook'])

  await world.seeFor(2 * MINUTE, BEHIND)
  for (let round = 0; round < 10; round++) {
    await world.seeFor(50_000, WELL)
    await world.seeFor(10_000, BEHIND)
  }

  expect(world.receiver('hook').told).toEqual(['firing group g'])
})

test('alarms of one kind come in one message, a new one with those that are there', async () => {
  const world = new AlarmWorld(LAG, ['hook'])
  const { got } = world.receiver('hook')

  await world.seeFor(5 * MINUTE, both('g', 'h'))
  await world.seeFor(5 * MINUTE, both('g', 'h', 'i'))

  expect(got.map(({ webhook }) => webhook.alerts.length)).toEqual([2, 3])
})

test('it is told again after the time of its rule, and no sooner', async () => {
  const world = new AlarmWorld(LAG, ['hook'])

  await world.seeFor(3 * HOUR, BEHIND)

  expect(world.receiver('hook').told).toHaveLength(3)
})

test('a console that is killed and started anew tells nothing again, and tells the end', async () => {
  const world = new AlarmWorld(LAG, ['hook'])
  const hook = world.receiver('hook')
  await world.seeFor(5 * MINUTE, BEHIND)

  for (let round = 0; round < 5; round++) {
    world.restart()
    await world.seeFor(MINUTE, BEHIND)
  }
  expect(hook.told).toEqual(['firing group g'])
  world.restart()
  await world.seeFor(3 * MINUTE, WELL)

  expect(hook.told).toEqual(['firing group g', 'resolved group g'])
})

test('what ended while the console was away is told by the one that follows', async () => {
  const world = new AlarmWorld(LAG, ['hook'])
  await world.seeFor(2 * MINUTE, BEHIND)

  world.restart()
  await world.seeFor(2 * MINUTE, WELL)

  expect(world.receiver('hook').told).toEqual(['firing group g', 'resolved group g'])
})

test('a receiver that is away is tried less and less often, and gets the state of when it is back', async () => {
  const world = new AlarmWorld(LAG, ['hook'])
  const hook = world.receiver('hook')
  hook.problem = new SendError('unreachable', 'connect ECONNREFUSED')

  await world.seeFor(HOUR, BEHIND)
  const { attempts } = hook
  expect(attempts).toBeGreaterThan(10)
  expect(attempts).toBeLessThan(30)
  expect(world.service.settings.receivers[0]).toMatchObject({
    failures: attempts,
    lastError: 'connect ECONNREFUSED',
    lastDeliveryAt: null,
  })
  hook.problem = null
  await world.seeFor(6 * MINUTE, both('g', 'h'))

  expect(hook.got[0]?.webhook.alerts.length).toBeGreaterThan(0)
  expect(world.service.settings.receivers[0]).toMatchObject({ failures: 0, lastError: null })
  expect(world.events.filter(({ text }) => text.startsWith('could not'))).toHaveLength(1)
})

test('one that refuses is asked even less often: it may lock an account', async () => {
  const world = new AlarmWorld(LAG, ['hook'])
  const hook = world.receiver('hook')
  hook.problem = new SendError('refused', 'Invalid login')

  await world.seeFor(4 * HOUR, BEHIND)

  expect(hook.attempts).toBeLessThan(20)
})

test('what came and went while a receiver was away is not told', async () => {
  const world = new AlarmWorld(LAG, ['hook'])
  const hook = world.receiver('hook')
  hook.problem = new SendError('unreachable', 'away')

  await world.seeFor(10 * MINUTE, BEHIND)
  await world.seeFor(10 * MINUTE, WELL)
  hook.problem = null
  await world.seeFor(10 * MINUTE, WELL)

  expect(hook.got).toEqual([])
})

test('a silence keeps alarms quiet until it ends, and over a restart', async () => {
  const world = new AlarmWorld(LAG, ['hook'])
  const hook = world.receiver('hook')
  const about = { kind: 'groupLag', subject: 'group g*', comment: '', by: 'olga' } as const
  world.service.silence({ ...about, minutes: 10 })

  await world.seeFor(5 * MINUTE, BEHIND)
  world.restart()
  await world.seeFor(4 * MINUTE, BEHIND)
  expect(hook.attempts).toBe(0)
  expect(world.service.settings).toMatchObject({ silenced: 1, silences: [{ by: 'olga' }] })
  await world.seeFor(5 * MINUTE, BEHIND)

  expect(hook.told).toEqual(['firing group g'])
  expect(world.service.settings.silences).toEqual([])
})

test('the end of an alarm is told also while it is silenced', async () => {
  const world = new AlarmWorld(LAG, ['hook'])
  await world.seeFor(3 * MINUTE, BEHIND)
  const about = { kind: 'any', subject: '*', comment: '', by: 'olga' } as const
  world.service.silence({ ...about, minutes: 600 })

  await world.seeFor(3 * MINUTE, WELL)

  expect(world.receiver('hook').told).toEqual(['firing group g', 'resolved group g'])
})

test('while a broker is silent nothing is told to be over of which only it knows', async () => {
  const world = new AlarmWorld(LAG, ['hook'])
  await world.seeFor(3 * MINUTE, BEHIND)
  const silent = [testBrokerState('a', { problem: 'no answer' })]

  await world.seeFor(10 * MINUTE, silent)
  expect(world.service.rows).toMatchObject([{ state: 'firing', isUnsure: true }])
  world.restart()
  await world.seeFor(10 * MINUTE, [], [{ address: 'ns:9876', problem: 'no answer' }])
  expect(world.receiver('hook').told).toEqual(['firing group g'])
  await world.seeFor(3 * MINUTE, WELL)

  expect(world.receiver('hook').told).toEqual(['firing group g', 'resolved group g'])
})

const AWAY = `${RECEIVERS}\nrules: [{ kind: brokerAway, for: 30s }]`
const TWO = [testBrokerState('a'), testBrokerState('b')]

test('a broker group that crashed stays an alarm when the name servers have forgotten it, until it is back', async () => {
  const world = new AlarmWorld(AWAY, ['hook', 'mail'])
  const hook = world.receiver('hook')
  await world.seeFor(MINUTE, TWO)

  await world.seeFor(2 * MINUTE, [
    testBrokerState('a'),
    testBrokerState('b', { problem: 'no answer' }),
  ])
  await world.seeFor(30 * MINUTE, [testBrokerState('a')])
  expect(hook.told).toEqual(['firing broker b'])
  expect(world.receiver('mail').told).toEqual(['firing broker b'])
  expect(world.service.findings).toMatchObject([{ code: 'brokerGone', subject: 'broker b' }])
  world.restart()
  await world.seeFor(5 * MINUTE, [testBrokerState('a')])
  expect(hook.told).toHaveLength(1)
  await world.seeFor(3 * MINUTE, TWO)

  expect(hook.told).toEqual(['firing broker b', 'resolved broker b'])
  expect(world.service.findings).toEqual([])
})

test('a broker group that was emptied may go without an alarm', async () => {
  const world = new AlarmWorld(AWAY, ['hook', 'mail'])
  const emptied = testBrokerState('b', { broker: { brokerPermission: 4 } })
  await world.seeFor(MINUTE, TWO)

  await world.seeFor(MINUTE, [testBrokerState('a'), emptied])
  await world.seeFor(10 * MINUTE, [testBrokerState('a')])

  expect(world.receiver('hook').attempts).toBe(0)
})

test('a broker group that was removed on purpose is forgotten when somebody says so', async () => {
  const world = new AlarmWorld(AWAY, ['hook', 'mail'])
  await world.seeFor(MINUTE, TWO)
  await world.seeFor(3 * MINUTE, [testBrokerState('a')])
  expect(world.service.rows).toMatchObject([{ gone: 'b' }])
  expect(() => world.service.forgetBroker('a')).toThrow('is no broker group that is gone')

  world.service.forgetBroker('b')
  await world.seeFor(3 * MINUTE, [testBrokerState('a')])

  expect(world.receiver('hook').told).toEqual(['firing broker b', 'resolved broker b'])
})

const DEAD = `${RECEIVERS}\nrules: [{ kind: deadLetters, messages: 2, within: 10m, receivers: [hook] }]`
const dead = (total: number): readonly BrokerState[] => [
  testBrokerState('a', { topics: [testTopic('%DLQ%g', [[0, total]])], groups: [testGroup('g')] }),
]

test('dead letters are told when they come, not when they lie there', async () => {
  const world = new AlarmWorld(DEAD, ['hook'])
  const hook = world.receiver('hook')
  await world.seeFor(HOUR, dead(500))
  expect(hook.attempts).toBe(0)

  await world.seeFor(MINUTE, dead(501))
  expect(hook.attempts).toBe(0)
  await world.seeFor(5 * MINUTE, dead(502))
  expect(hook.told).toEqual(['firing group g'])
  await world.seeFor(15 * MINUTE, dead(502))

  expect(hook.told).toEqual(['firing group g', 'resolved group g'])
})

test('the first dead letters of a group, and those of while the console was away, are told', async () => {
  const world = new AlarmWorld(DEAD, ['hook'])
  const hook = world.receiver('hook')
  await world.seeFor(MINUTE, [testBrokerState('a', { groups: [testGroup('g')] })])
  await world.seeFor(MINUTE, dead(2))
  expect(hook.told).toEqual(['firing group g'])
  await world.seeFor(HOUR, dead(2))
  hook.got.length = 0

  world.restart()
  await world.seeFor(MINUTE, dead(9))

  expect(hook.told).toEqual(['firing group g'])
  expect(hook.got[0]?.webhook.alerts[0]?.annotations['value']).toBe('7')
})

test('the first rule of a kind that matches counts; topics count by themselves', async () => {
  const world = new AlarmWorld(
    `${RECEIVERS}
rules:
  - { kind: groupLag, groups: 'batch-*', off: true }
  - { kind: groupLag, groups: vip, messages: 1, for: 0s, severity: error, receivers: [mail] }
  - { kind: groupLag, topics: 't*', messages: 600, for: 0s, receivers: [hook] }
  - { kind: groupLag, messages: 5000, receivers: [hook] }
`,
    ['hook', 'mail'],
  )

  await world.seeFor(MINUTE, both('batch-1', 'vip', 'plain'))

  expect(world.receiver('mail').told).toEqual(['firing group vip'])
  expect(world.receiver('hook').told.toSorted()).toEqual([
    'firing group batch-1, topic t',
    'firing group plain, topic t',
    'firing group vip, topic t',
  ])
})

test('a clock that is set back or ahead neither loses an alarm nor floods a receiver', async () => {
  const world = new AlarmWorld(LAG, ['hook'])
  const hook = world.receiver('hook')
  await world.seeFor(3 * MINUTE, BEHIND)

  world.time.jumpWall(-24 * HOUR)
  await world.seeFor(10 * MINUTE, BEHIND)
  world.time.jumpWall(24 * HOUR)
  await world.seeFor(10 * MINUTE, BEHIND)
  await world.seeFor(3 * MINUTE, WELL)

  expect(hook.told.at(-1)).toBe('resolved group g')
  expect(hook.told.length).toBeLessThanOrEqual(4)
})

test('with a receiver that never answers pictures are still taken, and others are told', async () => {
  const world = new AlarmWorld(
    `${RECEIVERS}\nrules: [{ kind: groupLag, messages: 100, for: 0s }]`,
    ['hook', 'mail'],
  )
  world.receiver('hook').send = () => new Promise<string | null>(() => undefined)

  await world.seeFor(2 * MINUTE, BEHIND)

  expect(world.receiver('mail').told).toEqual(['firing group g'])
})

test('a state that cannot be read is begun anew', async () => {
  const world = new AlarmWorld(LAG, ['hook'])
  const file = world.disk.openSync('data/alarms.json', 'write')
  file.writeSync(Buffer.from('{"version":1,"alarms":[7,{}],"fl'), 0, 30, 0)
  file.closeSync()

  world.restart()
  await world.seeFor(3 * MINUTE, BEHIND)

  expect(world.receiver('hook').told).toEqual(['firing group g'])
})
