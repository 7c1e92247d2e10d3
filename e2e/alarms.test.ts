/**
 * Alarms reach people: a console with a webhook and a mail server, against `gantry dev`. A consumer of the official client that stops raises the
 * lag; its return ends it.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MailServer, WebhookReceiver, makeCertificate } from '../common/testing-receivers.ts'
import { buildClients, runClient, startClient } from './clients.ts'
import type { ClientProcess } from './clients.ts'
import { ConsoleProcess } from './console-process.ts'
import { eventually } from './console-world.ts'
import { startDevServer } from './dev-server.ts'
import type { DevServer } from './dev-server.ts'
import { ROOT, environmentVariable } from './environment.ts'
import { covers } from './features.ts'
import { listAt, recordAt, textAt } from './json.ts'

const OFFSET = 8600
const CONSOLE = `http://127.0.0.1:${8080 + OFFSET}`
const PASSWORD = 'the mail password'
const CLIENT = 'java-5.5.0'
const TOPIC = 'alarming'
const GROUP = 'alarm-readers'
const SHOTS = environmentVariable('GANTRY_E2E_SHOTS')

const certificate = makeCertificate()
const hook = new WebhookReceiver()
const mails = new MailServer({
  login: { user: 'gantry', password: PASSWORD },
  certificate,
})
let folder = ''
let server: DevServer
let consoleProcess: ConsoleProcess
const outputs: string[] = []
let browser: Browser
let page: Page
let reader: ClientProcess | null = null

const configOf = (): string => `
cluster: prod
consoleUrl: ${CONSOLE}
groupWait: 0s
groupInterval: 1s
resolveAfter: 2s
receivers:
  - name: chat
    webhook:
      url: ${hook.url}/hook/hidden-part
      headerFiles: { Authorization: ${folder}/token }
  - name: team
    email:
      host: 127.0.0.1
      port: ${mails.port}
      user: gantry
      passwordFile: ${folder}/password
      caFile: ${folder}/ca.pem
      from: gantry@example.com
      to: team@example.com
rules:
  - { kind: groupLag, groups: 'alarm-*', messages: 20, for: 2s, labels: { team: shop } }
  - { kind: deadLetters, receivers: [chat] }
  - { kind: brokerAway, for: 2s, receivers: [chat] }
  - { kind: nameServerDown, for: 2s, receivers: [chat] }
`

const startServer = (): Promise<DevServer> =>
  startDevServer({ portOffset: OFFSET, groups: 1, config: {}, data: join(folder, 'data') })

async function startConsole(): Promise<void> {
  consoleProcess = await ConsoleProcess.start({
    namesrv: server.namesrv,
    port: 8080 + OFFSET,
    data: join(folder, 'console'),
    keys: [`alarmsFile=${folder}/alarms.yaml`, 'pollIntervalMs=1000', 'requestTimeoutMs=2000'],
  })
}

async function endConsole(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  await consoleProcess?.end(signal)
  outputs.push(consoleProcess?.output ?? '')
}

/** The samples of the console's `/metrics` that are not 0, without labels that all have. */
async function samples(name: string): Promise<readonly string[]> {
  const text = await (await fetch(`${CONSOLE}/metrics`)).text()
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) && !line.endsWith(' 0'))
    .map((line) => line.slice(name.length).replace(/,cluster=.*\}/u, '}'))
}

async function login(width = 1280, scheme: 'light' | 'dark' = 'light'): Promise<Page> {
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: scheme,
  })
  const opened = await context.newPage()
  await opened.goto(CONSOLE)
  await opened.getByLabel('Name').fill('admin')
  const password = readFileSync(join(folder, 'console', 'initial-password'), 'utf8').trim()
  await opened.getByLabel('Password').fill(password)
  await opened.getByRole('button', { name: 'Log in' }).click()
  await opened.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
  await opened.goto(`${CONSOLE}/#/alarms`)
  await opened.getByRole('heading', { level: 1, name: 'Alarms' }).waitFor()
  return opened
}

async function read(): Promise<void> {
  const flags = { topic: TOPIC, group: GROUP, 'run-ms': 300_000, 'poll-route-ms': 2_000 }
  reader = startClient(CLIENT, 'push-consume', server.namesrv, flags)
  await reader.line('a first message', 60_000, (line) => textAt(line, 'event') === 'message')
}

const produce = (count: number): Promise<unknown> =>
  runClient(CLIENT, 'produce', server.namesrv, { topic: TOPIC, count })

/** `firing alarm-readers`, in the order they came. */
function toldTo(receiver: WebhookReceiver, alertname: string): readonly string[] {
  return receiver.got
    .flatMap(({ body }) => listAt(body, 'alerts'))
    .filter((alert) => textAt(alert, 'labels', 'alertname') === alertname)
    .map((alert) => {
      const labels = recordAt(alert, 'labels')
      const about = ['group', 'broker', 'name_server'].find((label) => label in labels) ?? ''
      return `${textAt(alert, 'status')} ${textAt(labels, about)}`
    })
}

const lagTold = (): readonly string[] => toldTo(hook, 'GantryGroupLag')

async function shot(of: Page, name: string): Promise<void> {
  if (SHOTS !== '') await of.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true })
}

beforeAll(async () => {
  await buildClients()
  folder = await mkdtemp(join(tmpdir(), 'gantry-alarms-'))
  const executablePath = environmentVariable('GANTRY_E2E_CHROMIUM') || '/usr/bin/chromium'
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  await hook.open()
  await mails.open()
  writeFileSync(join(folder, 'token'), 'Bearer the-token\n')
  writeFileSync(join(folder, 'password'), PASSWORD)
  writeFileSync(join(folder, 'ca.pem'), certificate.cert)
  writeFileSync(join(folder, 'alarms.yaml'), configOf())
  server = await startServer()
  await startConsole()
  page = await login()
})

afterAll(async () => {
  await reader?.kill()
  await browser?.close()
  await endConsole('SIGKILL')
  await server?.stop()
  await hook.close()
  await mails.close()
  await rm(folder, { recursive: true, force: true })
})

test('a consumer that stops raises an alarm by webhook and mail; its return ends it', async ({
  task,
}) => {
  covers(task, 'A14')
  await page.getByText('Nothing fires.').waitFor()
  await produce(10)
  await read()
  await reader?.stop()
  await produce(60)
  await eventually(() => Promise.resolve(lagTold().length > 0 && mails.got.length > 0))

  expect(hook.got[0]).toMatchObject({
    method: 'POST',
    path: '/hook/hidden-part',
    headers: { authorization: 'Bearer the-token', 'content-type': 'application/json' },
    body: {
      version: '4',
      status: 'firing',
      receiver: 'chat',
      groupLabels: { alertname: 'GantryGroupLag', cluster: 'prod' },
      alerts: [
        {
          labels: { group: GROUP, severity: 'warning', team: 'shop' },
          generatorURL: `${CONSOLE}/#/groups/${GROUP}`,
        },
      ],
    },
  })
  expect(mails.got[0]).toMatchObject({ to: ['team@example.com'], isEncrypted: true })
  expect(mails.got[0]?.content).toContain(
    'Subject: [Gantry prod] 1 firing: consumer group far behind',
  )
  await page.getByRole('link', { name: `group ${GROUP}` }).waitFor()
  await page.getByText(/Told: chat, team/u).waitFor()
  await read()
  await eventually(() => Promise.resolve(lagTold().length > 1 && mails.got.length > 1))

  expect(lagTold()).toEqual([`firing ${GROUP}`, `resolved ${GROUP}`])
  expect(mails.got[1]?.content).toContain('1 resolved: consumer group far behind')
  expect(await samples('rocketmq_dashboard_alarm_messages_total')).toEqual([
    '{receiver="chat",result="delivered"} 2',
    '{receiver="team",result="delivered"} 2',
  ])
  await page.getByText('Nothing fires.').waitFor()
  await reader?.stop()
})

test('a console that is killed while an alarm fires tells it once', async () => {
  const before = lagTold().length
  await produce(60)
  await eventually(() => Promise.resolve(lagTold().length === before + 1))
  await eventually(async () => (await stateFile()).includes('"told":[{'))

  await endConsole('SIGKILL')
  await startConsole()
  page = await login()
  await page.getByText(/Told: .*chat/u).waitFor()
  // Several looks at the cluster later there is still nothing new.
  const looks = new Set<string>()
  await eventually(async () => {
    looks.add(await page.evaluate<string>(`fetch('api/overview').then((a) => a.text())`))
    return looks.size > 5
  })

  expect(lagTold().length).toBe(before + 1)
})

test('a receiver that is away gets it when it is back; the page says what is wrong with it', async () => {
  await hook.close()
  await mails.close()
  const before = lagTold().length
  await read()
  await page
    .getByText(/ECONNREFUSED/u)
    .first()
    .waitFor()
  await shot(page, 'alarms-away')
  expect(lagTold().length).toBe(before)
  await eventually(async () => (await samples('rocketmq_dashboard_receiver_failures')).length === 2)

  await hook.open()
  await mails.open()
  await eventually(() => Promise.resolve(lagTold().length === before + 1))
  expect(lagTold().at(-1)).toBe(`resolved ${GROUP}`)
  await eventually(async () => (await samples('rocketmq_dashboard_receiver_failures')).length === 0)
  await reader?.stop()
})

test('a wrong password is told on the page without it; the right one is taken from the file', async () => {
  writeFileSync(join(folder, 'password'), 'a wrong password')
  const test = page.getByRole('button', { name: 'Send a test to team' })
  await test.click()
  await page.getByText(/team: Invalid login.*535/u).waitFor()
  expect(await page.content()).not.toContain('a wrong password')
  const encoded = Buffer.from('\u0000gantry\u0000a wrong password').toString('base64')
  expect(await page.content()).not.toContain(encoded)

  writeFileSync(join(folder, 'password'), PASSWORD)
  await test.click()
  await page.getByText('team has taken a test message.').waitFor()
  // What waited for the receiver goes at once, and may be there already.
  const tests = mails.got.filter(({ content }) => content.includes('[Gantry prod] a test'))
  expect(tests).toHaveLength(1)
})

test('an alarm that is silenced stays on the page, and nobody is told', async () => {
  const before = hook.got.length
  await page.getByRole('button', { name: 'New silence' }).click()
  const about = page.getByRole('textbox', { name: 'About' })
  await about.fill(`group ${GROUP}`)
  // The page is renewed meanwhile; what was typed stays.
  for (let renewals = 0; renewals < 2; renewals++) {
    await page.waitForResponse(`${CONSOLE}/api/alarm-settings`)
  }
  expect(await about.inputValue()).toBe(`group ${GROUP}`)
  await page.getByLabel('Why').fill('a planned outage')
  await page.getByRole('button', { name: 'Silence', exact: true }).click()
  await page.getByText(`group ${GROUP} is silenced.`).waitFor()
  await produce(60)
  await page.getByText('silenced', { exact: true }).waitFor()
  await page.getByText('a planned outage').waitFor()
  await page.locator('.badge.warning').first().waitFor()
  for (const [width, scheme] of [
    [1280, 'light'],
    [390, 'dark'],
  ] as const) {
    const narrow = await login(width, scheme)
    await narrow.getByText('a planned outage').waitFor()
    const wide = await narrow.evaluate<number>('document.documentElement.scrollWidth')
    expect(wide).toBeLessThanOrEqual(width)
    await shot(narrow, `alarms-${width}-${scheme}`)
    await narrow.context().close()
  }
  expect(hook.got.length).toBe(before)
  expect(await samples('rocketmq_dashboard_receiver_silenced_alarms')).toEqual([
    '{receiver="chat"} 1',
    '{receiver="team"} 1',
  ])

  await page.getByRole('button', { name: `End the silence of group ${GROUP}` }).click()
  await page.getByRole('button', { name: 'End it' }).click()
  await eventually(() => Promise.resolve(hook.got.length > before))
})

test('name server and brokers that go away are told, and that they are back', async () => {
  await server.stop()
  const broker = (): readonly string[] => toldTo(hook, 'GantryBrokerAway')
  const nameServer = (): readonly string[] => toldTo(hook, 'GantryNameServerDown')
  await eventually(() => Promise.resolve(broker().length > 0 && nameServer().length > 0))
  expect([broker(), nameServer()]).toEqual([
    [expect.stringMatching(/^firing /u)],
    [`firing ${server.namesrv}`],
  ])

  server = await startServer()
  await eventually(() => Promise.resolve(broker().length > 1 && nameServer().length > 1))
  expect(broker()[1]).toMatch(/^resolved /u)
  expect(nameServer()[1]).toBe(`resolved ${server.namesrv}`)
})

test('no secret is in the log, on the page, or in what the page is answered', async () => {
  const answers = await page.evaluate<string>(
    `Promise.all(['alarms', 'alarm-settings', 'events', 'operations'].map((path) =>
      fetch('api/' + path).then((answer) => answer.text()))).then((all) => all.join())`,
  )
  const metrics = await (await fetch(`${CONSOLE}/metrics`)).text()
  const output = [...outputs, consoleProcess.output].join('\n')
  for (const text of [output, await page.content(), answers, metrics, await stateFile()]) {
    for (const secret of [PASSWORD, 'the-token', 'hidden-part']) expect(text).not.toContain(secret)
  }
})

test('a bad alarms file is refused with the name of its field', async () => {
  const path = join(folder, 'bad.yaml')
  writeFileSync(path, configOf().replace('port:', 'ports:'))
  const child = spawn(join(ROOT, 'gantry'), ['dashboard', '-p', `alarmsFile=${path}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let problem = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (problem += text))
  const [code]: readonly unknown[] = await once(child, 'close')

  expect(code).toBe(2)
  expect(problem).toContain('receivers[1].email.ports: is unknown; did you mean port?')
})

test('the console ends in order', async () => {
  await endConsole('SIGTERM')
  expect(consoleProcess.exitCode).toBe(0)
  await startConsole()
})

function stateFile(): Promise<string> {
  return readFile(join(folder, 'console', 'alarms.json'), 'utf8')
}
