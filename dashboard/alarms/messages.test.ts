import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ALARM_KINDS, KIND_FACTS } from './alarm-kinds.ts'
import type { Alarm } from './alarm-states.ts'
import { messageOf, testMessage } from './messages.ts'
import type { Receiver } from './receiver-config.ts'
import { sentenceOf } from './sender.ts'

const AT = Date.UTC(2026, 0, 2, 3, 4, 5)
const RECEIVER: Receiver = {
  name: 'ops',
  sendResolved: true,
  target: {
    type: 'webhook',
    url: 'http://x',
    urlFile: null,
    headers: {},
    headerFiles: {},
    caFile: null,
    timeoutMs: 1,
  },
}
const CONTEXT = { config: { consoleUrl: 'https://c.example.com', runbookUrl: '' }, cluster: 'prod' }

function alarm(group: string, given: Partial<Alarm> = {}): Alarm {
  return {
    key: `groupLag group ${group}`,
    kind: 'groupLag',
    subject: `group ${group}`,
    labels: { group },
    page: `groups/${group}`,
    state: 'firing',
    ruleName: 'lag',
    ruleLabels: { team: 'shop' },
    receivers: ['ops'],
    repeatMs: 1,
    severity: 'warning',
    problem: '500 messages are left to be read',
    advice: 'start its consumers',
    value: 500,
    since: AT - 60_000,
    firingAt: AT,
    resolvedAt: null,
    falseSince: null,
    isUnsure: false,
    ...given,
  }
}

test('a webhook gets what Alertmanager sends, version 4', () => {
  const resolved = alarm('pay', { state: 'resolved', resolvedAt: AT + 1_000 })
  const { webhook } = messageOf(
    { receiver: RECEIVER, kind: 'groupLag', firing: [alarm('shop')], resolved: [resolved] },
    CONTEXT,
  )

  expect(webhook).toEqual({
    version: '4',
    groupKey: 'gantry/prod/ops:{alertname="GantryGroupLag"}',
    truncatedAlerts: 0,
    status: 'firing',
    receiver: 'ops',
    groupLabels: { alertname: 'GantryGroupLag', cluster: 'prod' },
    commonLabels: {
      alertname: 'GantryGroupLag',
      cluster: 'prod',
      rule: 'lag',
      severity: 'warning',
      team: 'shop',
    },
    commonAnnotations: {
      description: 'start its consumers',
      runbook_url: 'docs/operations/runbooks.md#gantrylaggrowing',
      value: '500',
    },
    externalURL: 'https://c.example.com',
    alerts: [
      expect.objectContaining({
        status: 'firing',
        labels: {
          alertname: 'GantryGroupLag',
          cluster: 'prod',
          group: 'shop',
          rule: 'lag',
          severity: 'warning',
          team: 'shop',
        },
        startsAt: '2026-01-02T03:04:05.000Z',
        endsAt: '0001-01-01T00:00:00Z',
        generatorURL: 'https://c.example.com/#/groups/shop',
        fingerprint: expect.stringMatching(/^[0-9a-f]{16}$/u),
      }),
      expect.objectContaining({ status: 'resolved', endsAt: '2026-01-02T03:04:06.000Z' }),
    ],
  })
})

test('an alarm keeps its fingerprint when it becomes worse, and others have other ones', () => {
  const print = (one: Alarm): string | undefined =>
    messageOf({ receiver: RECEIVER, kind: 'groupLag', firing: [one], resolved: [] }, CONTEXT)
      .webhook.alerts[0]?.fingerprint

  expect(print(alarm('shop', { severity: 'error' }))).toBe(print(alarm('shop')))
  expect(print(alarm('pay'))).not.toBe(print(alarm('shop')))
})

test('a message is resolved when all in it are', () => {
  const resolved = [alarm('pay', { state: 'resolved', resolvedAt: AT })]
  const { webhook, subject } = messageOf(
    { receiver: RECEIVER, kind: 'groupLag', firing: [], resolved },
    CONTEXT,
  )

  expect(webhook.status).toBe('resolved')
  expect(subject).toBe('[Gantry prod] 1 resolved: consumer group far behind')
})

test('a mail says what is wrong, since when, what to do, and where to look', () => {
  const { subject, text } = messageOf(
    { receiver: RECEIVER, kind: 'groupLag', firing: [alarm('shop')], resolved: [] },
    CONTEXT,
  )

  expect(subject).toBe('[Gantry prod] 1 firing: consumer group far behind')
  expect(text).toBe(`Firing:

[warning] group shop: 500 messages are left to be read
  What to do: start its consumers
  Since 2026-01-02 03:04:05 UTC
  https://c.example.com/#/groups/shop

Runbook: docs/operations/runbooks.md#gantrylaggrowing
All alarms, and silences: https://c.example.com/#/alarms
`)
})

test('of very many alarms the worst hundred are told and the others counted', () => {
  const firing = Array.from({ length: 250 }, (_, at) =>
    alarm(`g${at}`, { severity: at === 249 ? 'error' : 'warning' }),
  )
  const { webhook, text } = messageOf(
    { receiver: RECEIVER, kind: 'groupLag', firing, resolved: [] },
    CONTEXT,
  )

  expect(webhook.alerts).toHaveLength(100)
  expect(webhook.alerts[0]?.labels['group']).toBe('g249')
  expect(webhook.truncatedAlerts).toBe(150)
  expect(text).toContain('… and 150 more')
})

test('a test message says that it is one', () => {
  const { webhook, subject } = testMessage('ops', 'olga', AT, CONTEXT)

  expect(subject).toBe('[Gantry prod] a test')
  expect(webhook.alerts).toMatchObject([{ labels: { alertname: 'GantryTest', severity: 'info' } }])
})

test('each kind has a runbook', () => {
  const page = readFileSync(new URL('../../docs/operations/runbooks.md', import.meta.url), 'utf8')
  const headings = [...page.matchAll(/^### (\S+)$/gmu)].map(([, name = '']) => name.toLowerCase())

  for (const kind of ALARM_KINDS) expect(headings).toContain(KIND_FACTS[kind].runbook)
})

test('what an error says has no secret in it, in no form that a server may repeat, and one line', () => {
  const secret = 'p a$$word'
  const repeated = new Error(
    `bad ${secret}\r\n${Buffer.from(secret).toString('base64')} ${encodeURIComponent(secret)}`,
  )

  expect(sentenceOf(repeated, [secret])).toBe('bad *** *** ***')
})
