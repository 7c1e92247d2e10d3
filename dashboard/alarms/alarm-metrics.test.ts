import { expect, test } from 'vitest'
import { testBrokerState, testGroup, testOnline, testTopic } from '../../client/testing-picture.ts'
import { SendError } from './sender.ts'
import { AlarmWorld } from './testing.ts'

const MINUTE = 60_000
const CONFIG = `
receivers:
  - { name: hook, webhook: { url: 'http://hook.example.com' } }
  - { name: mail, email: { host: h, from: a@b.c, to: a@b.c } }
groupWait: 10s
groupInterval: 1m
rules:
  - { kind: groupLag, messages: 100, for: 1m, repeat: 1h }
`
const behind = testGroup('g', {
  progress: [{ topic: 't', consumeTps: 0, oldestUnread: null, queues: [[0, 0, 1_000]] }],
  online: testOnline(['x'], ['t']),
})
const BEHIND = [testBrokerState('a', { topics: [testTopic('t', [[0, 1_000]])], groups: [behind] })]

test('before anything is sent every receiver has its series', async () => {
  const world = new AlarmWorld(CONFIG, ['hook', 'mail'])

  const text = await world.registry.metrics()

  for (const receiver of ['hook', 'mail']) {
    for (const result of ['delivered', 'failed', 'refused']) {
      const labels = `{receiver="${receiver}",result="${result}"}`
      expect(text).toContain(`rocketmq_dashboard_alarm_messages_total${labels} 0`)
    }
    expect(text).toContain(`rocketmq_dashboard_receiver_failures{receiver="${receiver}"} 0`)
  }
})

test('attempts are counted by receiver and result, failures in a row until one is well', async () => {
  const world = new AlarmWorld(CONFIG, ['hook', 'mail'])
  const [hook, mail] = [world.receiver('hook'), world.receiver('mail')]
  hook.problem = new SendError('unreachable', 'away')
  mail.problem = new SendError('refused', 'no')
  await world.seeFor(10 * MINUTE, BEHIND)
  const [away, refused] = [hook.attempts, mail.attempts]

  expect(away).toBeGreaterThan(refused)
  expect(await world.metricLines()).toEqual([
    `alarm_messages_total{receiver="hook",result="failed"} ${away}`,
    `alarm_messages_total{receiver="mail",result="refused"} ${refused}`,
    'alarms{state="firing"} 1',
    `receiver_failures{receiver="hook"} ${away}`,
    `receiver_failures{receiver="mail"} ${refused}`,
  ])
  hook.problem = null
  await world.service.test('mail', 'olga').catch(() => undefined)
  await world.seeFor(6 * MINUTE, BEHIND)

  expect(await world.metricLines()).toEqual(
    expect.arrayContaining([
      'alarm_messages_total{receiver="hook",result="delivered"} 1',
      `alarm_messages_total{receiver="mail",result="refused"} ${mail.attempts - 1}`,
    ]),
  )
  expect((await world.metricLines()).join()).not.toContain('receiver_failures{receiver="hook"}')
})

test('what a silence keeps from receivers is told', async () => {
  const world = new AlarmWorld(CONFIG, ['hook', 'mail'])
  world.service.silence({ kind: 'any', subject: '*', comment: '', by: 'olga', minutes: 60 })

  await world.see(BEHIND)
  expect(await world.metricLines()).toEqual([
    'alarms{state="pending"} 1',
    'alarms{state="silenced"} 1',
  ])
  await world.seeFor(5 * MINUTE, BEHIND)

  expect(await world.metricLines()).toEqual([
    'alarms{state="firing"} 1',
    'alarms{state="silenced"} 1',
    'receiver_silenced_alarms{receiver="hook"} 1',
    'receiver_silenced_alarms{receiver="mail"} 1',
  ])
})
