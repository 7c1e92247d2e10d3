import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { defaultAlarmConfig, parseAlarmConfig } from './alarm-config.ts'
import { ALARM_KINDS } from './alarm-kinds.ts'
import { describeTarget } from './receiver-config.ts'

const THRESHOLDS = { lagMessages: 100_000, lagMs: 3_600_000 }
const parsed = (content: string) => parseAlarmConfig(content, 'alarms.yaml', THRESHOLDS)

test('without a file every kind has a rule, with the thresholds of the overview', () => {
  const { rules, receivers } = defaultAlarmConfig(THRESHOLDS)

  expect(receivers).toEqual([])
  expect(rules.map(({ kind }) => kind)).toEqual(ALARM_KINDS)
  expect(rules.find(({ kind }) => kind === 'groupLag')).toMatchObject({ messages: 100_000 })
  expect(rules.find(({ kind }) => kind === 'groupOld')).toMatchObject({
    ageMs: 3_600_000,
    onlyConnected: true,
  })
})

test('the chart and the documentation know the same kinds', () => {
  const root = new URL('../../', import.meta.url)
  const schema = readFileSync(new URL('charts/gantry-cluster/values.schema.json', root), 'utf8')
  const page = readFileSync(new URL('docs/operations/console.md', root), 'utf8')
  const [, kinds = ''] = /"kind": \{\s*"enum": (\[[^\]]+\])/u.exec(schema) ?? []

  expect(JSON.parse(kinds)).toEqual(ALARM_KINDS)
  for (const kind of ALARM_KINDS) expect(page).toMatch(new RegExp(`^\\|.*\`${kind}\``, 'mu'))
})

test('the example of the documentation is one', () => {
  const page = readFileSync(new URL('../../docs/operations/console.md', import.meta.url), 'utf8')
  const [, example = ''] = /```yaml\n(cluster: prod[\s\S]*?)```/u.exec(page) ?? []

  expect(parsed(example)).toMatchObject({ cluster: 'prod', receivers: [{}, {}] })
})

test('an empty file is one without receivers', () => {
  expect(parsed('')).toEqual(defaultAlarmConfig(THRESHOLDS))
})

test('receivers and rules are read, and what is not said has a default', () => {
  const config = parsed(`
cluster: prod
consoleUrl: https://console.example.com/
receivers:
  - name: chat
    webhook:
      url: https://chat.example.com/hooks/secret-part
      headers: { X-Team: messaging }
      headerFiles: { Authorization: /etc/token }
  - name: ops
    sendResolved: false
    email:
      host: smtp.example.com
      user: gantry
      passwordFile: /etc/password
      from: gantry@example.com
      to: [ops@example.com, second@example.com]
rules:
  - { kind: groupLag, groups: 'batch-*', off: true }
  - { kind: groupLag, groups: [shop, pay], topics: orders, messages: 500, for: 2m, receivers: [ops] }
  - { kind: diskFilling, percent: 60, severity: error, repeat: 7d, labels: { team: storage } }
`)

  expect(config.consoleUrl).toBe('https://console.example.com')
  expect(config.receivers).toMatchObject([
    { name: 'chat', sendResolved: true, target: { type: 'webhook', timeoutMs: 10_000 } },
    { name: 'ops', sendResolved: false, target: { tls: 'starttls', port: 587 } },
  ])
  expect(config.rules).toMatchObject([
    { kind: 'groupLag', groups: ['batch-*'], isOff: true, receivers: ['chat', 'ops'] },
    { groups: ['shop', 'pay'], topics: ['orders'], messages: 500, forMs: 120_000 },
    { ratio: 0.6, severity: 'error', repeatMs: 604_800_000, labels: { team: 'storage' } },
  ])
})

test('of an address of a webhook only its host is shown', () => {
  const { receivers } = parsed(
    `receivers: [{ name: a, webhook: { url: 'https://chat.example.com/hooks/secret-part?x=y' } }]`,
  )

  expect(receivers.map(({ target }) => describeTarget(target))).toEqual([
    'https://chat.example.com',
  ])
})

const mail = (more: string): string =>
  `receivers: [{ name: a, email: { host: h, from: a@b.c, to: a@b.c, ${more} } }]`

test.each([
  ['receivers: 7', 'receivers: is no list'],
  ['recievers: []', 'recievers: is unknown; did you mean receivers?'],
  ['[]', 'alarms.yaml: is no map of names to values'],
  ['receivers: [{ name: a }]', 'receivers[0]: has either webhook or email'],
  ['receivers: [{ name: a b, webhook: {} }]', 'receivers[0].name: 1 to 64 letters'],
  ['receivers: [{ name: a, webhook: {} }]', 'receivers[0].webhook: has either url or urlFile'],
  [
    'receivers: [{ name: a, webhook: { url: "ftp://x" } }]',
    'receivers[0].webhook.url: is no http or https address',
  ],
  [
    'receivers: [{ name: a, webhook: { url: "https://u:geheim@x" } }]',
    'receivers[0].webhook.url: has a user or password',
  ],
  [
    'receivers: [{ name: a, webhook: { url: "http://x", headers: { "a b": c } } }]',
    'receivers[0].webhook.headers.a b: is no name of a header',
  ],
  [
    'receivers: [{ name: a, webhook: { url: "http://x", headers: { Host: c } } }]',
    'receivers[0].webhook.headers.Host: is set by the console',
  ],
  [
    'receivers: [{ name: a, webhook: { url: "http://x", headers: { A: "b\\r\\nC: d" } } }]',
    'receivers[0].webhook.headers.A: has control characters',
  ],
  [
    'receivers: [{ name: a, webhook: { url: "http://x" } }, { name: a, webhook: { url: "http://x" } }]',
    'receivers[1]: there is another receiver a',
  ],
  [mail('password: geheim'), 'receivers[0].email.password: is unknown; known are host, port, tls'],
  [mail('user: u'), 'receivers[0].email: user and passwordFile belong together'],
  [mail('tls: ssl'), "receivers[0].email.tls: 'ssl' is none of starttls, implicit, none"],
  [mail('port: 70000'), 'receivers[0].email.port: 70000 is not from 1 to 65535'],
  [mail('timeout: 10'), 'receivers[0].email.timeout: is no text'],
  [
    'receivers: [{ name: a, email: { host: h, from: me, to: a@b.c } }]',
    "receivers[0].email.from: 'me' is no mail address",
  ],
  [
    'receivers: [{ name: a, email: { host: h, from: a@b.c, to: ["a@b.c, x@y.z"] } }]',
    "receivers[0].email.to: 'a@b.c, x@y.z' is no mail address",
  ],
  ['rules: [{ kind: lag }]', "rules[0].kind: 'lag' is none of brokerAway"],
  ['rules: [{ messages: 1 }]', 'rules[0].kind: is missing'],
  [
    'rules: [{ kind: groupOld, messages: 1 }]',
    'rules[0].messages: is unknown; known are kind, name',
  ],
  ['rules: [{ kind: brokerAway, groups: x }]', 'rules[0].groups: is unknown'],
  ['rules: [{ kind: groupLag, messages: 0 }]', 'rules[0].messages: 0 is not from 1'],
  ['rules: [{ kind: groupLag, messages: 1.5 }]', 'rules[0].messages: 1.5 is no whole number'],
  ['rules: [{ kind: groupLag, for: soon }]', "rules[0].for: 'soon' is no time: 30s, 5m, 4h, 7d"],
  ['rules: [{ kind: groupLag, repeat: 1s }]', 'rules[0].repeat: 1s is not from 10s'],
  ['rules: [{ kind: groupLag, receivers: [x] }]', 'rules[0].receivers[0]: there is no receiver x'],
  ['rules: [{ kind: groupLag, labels: { "a-b": c } }]', 'rules[0].labels.a-b: a label is named'],
  ['groupInterval: 0s', 'groupInterval: 0s is not from 1s'],
  ['consoleUrl: console', "consoleUrl: 'console' is no http or https address"],
  ['a: [', 'alarms.yaml: '],
])('%s is refused with what is wrong', (content, problem) => {
  expect(() => parsed(content)).toThrow(problem)
})

test('what is wrong with an address does not repeat what may be a secret', () => {
  expect(() => parsed('receivers: [{ name: a, webhook: { url: "https://u:geheim@x" } }]')).toThrow(
    /^(?!.*geheim)/u,
  )
})
