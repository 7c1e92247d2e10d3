/**
 * What the console does for those who run a cluster, each act clicked in a browser by whoever may, seen in the cluster by a client, and refused to
 * a viewer: against a broker group of three with clients of the official Java library.
 *
 * With GANTRY_E2E_SHOTS=FOLDER the pages are kept as pictures, as they stand in docs/images.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import { groupConfigAt, messagesByKey, pullOnce } from '../client/admin-questions.ts'
import { messageBody } from '../client/message-body.ts'
import { subscriptionGroupConfig } from '../remoting/bodies/subscription-group-config.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { buildClients, runClient, startClient } from './clients.ts'
import type { ClientProcess } from './clients.ts'
import { ConsoleProcess } from './console-process.ts'
import { CONSOLE_PAGES, expectWhole, keepPicture, openPage } from './console-pages.ts'
import { ConsoleWorld, eventually } from './console-world.ts'
import { environmentVariable } from './environment.ts'
import { covers } from './features.ts'
import { at, listAt, numberAt, textAt } from './json.ts'

const PORT_OFFSET = 9800
const SECOND_CONSOLE = 8090 + PORT_OFFSET
const CLIENT = 'java-5.5.0'
/** Messages per second that come and go while the pages are looked at. */
const RATE = 20
/** Charts have a point every 10 s. */
const POINTS = environmentVariable('GANTRY_E2E_SHOTS') === '' ? 2 : 12

let world: ConsoleWorld
let admin: Page
let operator: Page
let viewer: Page
let operatorPassword = ''
let load: ClientProcess

beforeAll(async () => {
  await buildClients()
  world = await ConsoleWorld.start({
    portOffset: PORT_OFFSET,
    users: null,
    members: 3,
    config: { traceTopicEnable: 'true' },
  })
  await world.seed()
  await world.giveUp('billing', 'orders', 'the dead letter')
  await world.giveUp('billing', 'orders', 'another dead letter')
  const flags = { topic: 'checkout', group: 'checkout-shipping', rate: RATE }
  load = startClient(CLIENT, 'control-load', world.namesrv, flags)
  admin = await world.login('admin', world.password)
  operatorPassword = await world.addUser(admin, 'olga', 'operator')
  operator = await world.login('olga', operatorPassword)
  viewer = await world.login('vera', await world.addUser(admin, 'vera', 'viewer'))
  await seen('topics/checkout', 'checkout-shipping')
  await seen('dead-letters', 'billing')
})

afterAll(async () => {
  await load?.kill()
  await world?.[Symbol.asyncDispose]()
})

/** The console looks at the brokers every few seconds: waits until a page has something. */
async function seen(path: string, text: string): Promise<void> {
  await eventually(async () => {
    await open(admin, path)
    await admin.locator('main').getByText(text).first().waitFor({ timeout: 5000 })
    return true
  })
}

async function open(page: Page, path: string): Promise<void> {
  await page.goto(`${world.url}/#/${path}`)
  await page.locator('main h1').waitFor()
}

/** The status of a request that the page does not offer to its user, with the token of the session. */
function forced(page: Page, method: string, path: string, body: unknown = {}): Promise<number> {
  return page.evaluate<number>(`
    fetch('api/session').then((answer) => answer.json()).then(({ csrf }) =>
      fetch(${JSON.stringify(`api/${path}`)}, {
        method: '${method}',
        headers: { 'x-gantry-token': csrf, 'content-type': 'application/json' },
        ${method === 'GET' ? '' : `body: ${JSON.stringify(JSON.stringify(body))},`}
      })
    ).then((answer) => answer.status)`)
}

const buttons = (page: Page, name: RegExp): Promise<number> =>
  page.locator('main').getByRole('button', { name }).count()

/** Which member leads, as the brokers say. */
async function leader(): Promise<string> {
  const { extFields } = await world.admin.ask(world.broker, {
    code: RequestCode.CONTROLLER_GET_METADATA_INFO,
  })
  return (extFields.get('controllerLeaderId') ?? '').replace('n', '')
}

test('the leadership of a broker group is handed to the member that is chosen', async ({
  task,
}) => {
  covers(task, 'A14')
  const path = 'brokers/e2e-broker-0/transfer'
  const before = await leader()
  await open(viewer, 'brokers')
  await viewer.getByRole('cell', { name: `member ${before}` }).waitFor()
  expect(await buttons(viewer, /hand/iu)).toBe(0)
  expect(await forced(viewer, 'POST', path, { to: 2 })).toBe(403)
  expect(await leader()).toBe(before)

  await open(operator, 'brokers')
  await operator.getByRole('button', { name: 'Hand the leadership over' }).click()
  const choice = operator.getByLabel('To member')
  const to = await choice.locator('option').last().getAttribute('value')
  await choice.selectOption(to)
  await operator.getByRole('button', { name: 'Hand over', exact: true }).click()
  await operator.getByText(`Member ${to} is asked to lead e2e-broker-0.`).waitFor()

  expect(to).not.toBe(before)
  await eventually(async () => (await leader()) === to)
  await operator.getByRole('cell', { name: `member ${to}` }).waitFor()
})

test("a group's settings are changed, and count for its clients", async ({ task }) => {
  covers(task, 'A14', 'M52')
  await world.admin.createGroup(world.broker, subscriptionGroupConfig('auditors'))
  await seen('groups', 'auditors')
  const settings = { consumeEnable: false, retryMaxTimes: 1 }
  await open(viewer, 'groups/auditors')
  await viewer.getByText('Nobody is connected.').waitFor()
  expect(await buttons(viewer, /settings|delete|reset/iu)).toBe(0)
  expect(await forced(viewer, 'PUT', 'groups/auditors', settings)).toBe(403)
  expect(await forced(viewer, 'POST', 'groups', { name: 'more', ...settings })).toBe(403)
  const pull = () =>
    pullOnce(world.admin, world.broker, {
      consumerGroup: 'auditors',
      topic: 'orders',
      queueId: 0,
      queueOffset: 0,
      maxMessages: 1,
    })
  expect((await pull()).messages).toHaveLength(1)

  await open(operator, 'groups/auditors')
  await operator.getByRole('button', { name: 'Settings' }).click()
  await operator.getByLabel('Consumption').selectOption('false')
  await operator.getByLabel('In order (POP)').selectOption('true')
  await operator.getByLabel('Retries before a message is given up').fill('5')
  await operator.getByRole('button', { name: 'Save' }).click()
  await operator.getByText('Group auditors was changed.').waitFor()

  expect(await groupConfigAt(world.admin, world.broker, 'auditors')).toMatchObject({
    consumeEnable: false,
    consumeMessageOrderly: true,
    retryMaxTimes: 5,
  })
  await expect(pull()).rejects.toThrow(/not permitted|no permission|auditors/u)
  expect((await world.admin.getAllSubscriptionGroup(world.broker)).groups.has('more')).toBe(false)
})

test('a group is deleted with what it has read, by administrators, and not while it has members', async ({
  task,
}) => {
  covers(task, 'A14')
  const queue = { topic: 'orders', queueId: 0 }
  const position = { consumerGroup: 'auditors', queueOffset: 3 }
  await world.admin.updateConsumerOffset(world.broker, queue, position)
  await open(operator, 'groups/auditors')
  await operator.getByRole('button', { name: 'Settings' }).waitFor()
  expect(await buttons(operator, /delete/iu)).toBe(0)
  expect(await forced(operator, 'DELETE', 'groups/auditors')).toBe(403)
  expect(await forced(viewer, 'DELETE', 'groups/auditors')).toBe(403)

  const erase = async (name: string): Promise<void> => {
    await open(admin, `groups/${name}`)
    await admin.getByRole('button', { name: 'Delete' }).click()
    const last = admin.getByRole('dialog').getByRole('button', { name: 'Delete' })
    expect(await last.isDisabled()).toBe(true)
    await admin.getByLabel(`Type ${name} to go on`).fill(name)
    await last.click()
  }
  await erase('checkout-shipping')
  await admin.getByText(/checkout-shipping has \d connected members: stop them first/u).waitFor()
  await admin.getByRole('button', { name: 'Cancel' }).click()
  await erase('auditors')
  await admin.getByText('Group auditors was deleted.').waitFor()
  await admin.getByRole('heading', { level: 1, name: 'Consumer groups' }).waitFor()

  const { groups } = await world.admin.getAllSubscriptionGroup(world.broker)
  expect([groups.has('auditors'), groups.has('checkout-shipping')]).toEqual([false, true])
  await world.admin.createGroup(world.broker, subscriptionGroupConfig('auditors'))
  const { queues } = await world.admin.consumeStats(world.broker, 'auditors', 'orders')
  expect(queues.map(({ consumerOffset }) => consumerOffset)).not.toContain(3)
})

test('a group is moved to the beginning, to a time, and to the end, which skips what is left', async ({
  task,
}) => {
  covers(task, 'A14', 'M34', 'M35')
  const group = 'readers'
  await world.admin.createGroup(world.broker, subscriptionGroupConfig(group))
  for (let queueId = 0; queueId < 4; queueId++) {
    const position = { consumerGroup: group, queueOffset: 5 }
    await world.admin.updateConsumerOffset(world.broker, { topic: 'orders', queueId }, position)
  }
  await seen(`groups/${group}`, 'Queues of orders')
  const body = { topic: 'orders', to: 'end' }
  await open(viewer, `groups/${group}`)
  await viewer.getByRole('region', { name: 'Queues of orders' }).waitFor()
  expect(await buttons(viewer, /reset|skip/iu)).toBe(0)
  expect(await forced(viewer, 'POST', `groups/${group}/reset`, body)).toBe(403)

  const move = async (to: string, preview: RegExp, at: string | null = null) => {
    await open(operator, `groups/${group}`)
    await operator.getByRole('button', { name: 'Reset or skip' }).click()
    await operator.getByLabel('To', { exact: true }).selectOption(to)
    if (at !== null) await operator.getByLabel('Time', { exact: true }).fill(at)
    await operator.getByText(preview).waitFor()
    await operator.getByRole('button', { name: 'Move' }).click()
    await operator.getByText('readers was moved in orders.').first().waitFor()
    await operator.getByRole('dialog').waitFor({ state: 'detached' })
    const { queues } = await world.admin.consumeStats(world.broker, group, 'orders')
    return queues.map(({ brokerOffset, consumerOffset }) => brokerOffset - consumerOffset)
  }
  const { queues } = await world.admin.consumeStats(world.broker, group, 'orders')
  const ends = queues.map(({ brokerOffset }) => brokerOffset)

  expect(await move('start', /20 are read again/u)).toEqual(ends)
  expect(await move('time', /messages are skipped/u, '2100-01-01T00:00:00')).toEqual([0, 0, 0, 0])
  expect(await move('time', /are read again/u, '2001-01-01T00:00:00')).toEqual(ends)
  expect(await move('end', /messages are skipped/u)).toEqual([0, 0, 0, 0])
})

test('dead letters are exported as they are', async ({ task }) => {
  covers(task, 'A14', 'M31')
  await open(viewer, 'dead-letters/billing')
  await viewer.getByText('the dead letter', { exact: true }).waitFor()
  expect(await viewer.getByRole('link', { name: 'Export' }).count()).toBe(0)
  expect(await viewer.getByRole('checkbox').count()).toBe(0)
  expect(await buttons(viewer, /send|choose/iu)).toBe(0)
  expect(await forced(viewer, 'GET', 'dead-letters/billing/export')).toBe(403)
  expect(await forced(viewer, 'POST', 'dead-letters/billing/resend', { messages: [] })).toBe(403)

  await open(operator, 'dead-letters/billing')
  const [download] = await Promise.all([
    operator.waitForEvent('download'),
    operator.getByRole('link', { name: 'Export' }).click(),
  ])
  const text = await readFile(await download.path(), 'utf8')
  const rows: readonly unknown[] = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

  expect(download.suggestedFilename()).toBe('dead-letters-billing.jsonl')
  const { messages } = await pullOnce(world.admin, world.broker, {
    consumerGroup: 'billing',
    topic: '%DLQ%billing',
    queueId: 0,
    queueOffset: 0,
    maxMessages: 32,
  })
  const exported = rows.map((row) => [
    numberAt(row, 'queueOffset'),
    Buffer.from(textAt(row, 'body'), 'base64').toString(),
  ])
  const stored = messages.map((message) => [message.queueOffset, messageBody(message).toString()])
  const byOffset = ([left]: readonly unknown[], [right]: readonly unknown[]): number =>
    Number(left) - Number(right)
  expect(exported.toSorted(byOffset)).toEqual(stored.toSorted(byOffset))
  expect(stored.map(([, body]) => body)).toEqual(['the dead letter', 'another dead letter'])
})

test('a user gets another role, another password, and goes; each ends the sessions', async ({
  task,
}) => {
  covers(task, 'A14')
  const first = await world.addUser(admin, 'ulla', 'operator')
  const rows = admin.getByRole('row', { name: /^ulla/u })
  const ended = async (page: Page): Promise<void> => {
    await page.getByRole('button', { name: 'Log in' }).waitFor()
    await page.context().close()
  }
  const refused = async (password: string): Promise<number> =>
    viewer.evaluate<number>(`fetch('api/login', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      credentials: 'omit',
      body: ${JSON.stringify(JSON.stringify({ name: 'ulla', password }))},
    }).then((answer) => answer.status)`)
  const may = async (page: Page): Promise<boolean> => {
    await open(page, 'topics')
    await page.getByRole('link', { name: 'orders', exact: true }).waitFor()
    return (await buttons(page, /new topic/iu)) === 1
  }
  for (const page of [viewer, operator]) {
    await open(page, 'users')
    await page.getByText('this is for the role admin').waitFor()
    expect(await page.getByRole('link', { name: 'Users', exact: true }).count()).toBe(0)
    for (const [method, path] of [
      ['GET', 'users'],
      ['POST', 'users'],
      ['PUT', 'users/ulla'],
      ['POST', 'users/ulla/password'],
      ['DELETE', 'users/ulla'],
    ] as const) {
      expect([path, await forced(page, method, path, { name: 'x', role: 'admin' })]).toEqual([
        path,
        403,
      ])
    }
  }

  const asOperator = await world.login('ulla', first)
  expect(await may(asOperator)).toBe(true)
  await rows.getByRole('button', { name: 'Role' }).click()
  await admin.getByLabel('Role', { exact: true }).selectOption('viewer')
  await admin.getByRole('button', { name: 'Save' }).click()
  await admin.getByText('The role of ulla was changed.').waitFor()
  await rows.getByText('viewer').waitFor()
  await ended(asOperator)
  const asViewer = await world.login('ulla', first)
  expect(await may(asViewer)).toBe(false)

  await rows.getByRole('button', { name: 'New password' }).click()
  await admin.getByRole('button', { name: 'Make one' }).click()
  await admin.getByText('ulla has a new password.').waitFor()
  const second = (await admin.locator('.banner.plain code').textContent()) ?? ''
  await ended(asViewer)
  expect([await refused(first), await refused(second)]).toEqual([401, 200])
  const again = await world.login('ulla', second)

  await rows.getByRole('button', { name: 'Remove' }).click()
  await admin.getByRole('dialog').getByRole('button', { name: 'Remove' }).click()
  await admin.getByText('ulla was removed.').waitFor()
  await rows.waitFor({ state: 'detached' })
  await ended(again)
  expect(await refused(second)).toBe(401)
})

test('everybody changes the own password, and logs out', async ({ task }) => {
  covers(task, 'A14')
  const page = await world.login('olga', operatorPassword)
  await page.getByRole('link', { name: 'olga (operator)' }).click()
  await page.getByLabel('Present password').fill(operatorPassword)
  await page.getByLabel('New password', { exact: true }).fill('a better password')
  await page.getByLabel('New password, again').fill('a bitter password')
  await page.getByRole('button', { name: 'Change' }).click()
  await page.getByText('The two new passwords are not the same.').waitFor()
  await page.getByLabel('New password, again').fill('a better password')
  await page.getByRole('button', { name: 'Change' }).click()
  await page.getByRole('button', { name: 'Log in' }).waitFor()
  await operator.reload()
  await operator.getByRole('button', { name: 'Log in' }).waitFor()
  await page.context().close()
  await operator.context().close()

  operator = await world.login('olga', 'a better password')
  const other = await world.login('olga', 'a better password')
  await other.getByRole('button', { name: 'Log out' }).click()
  await other.getByRole('button', { name: 'Log in' }).waitFor()
  await other.reload()
  await other.getByRole('button', { name: 'Log in' }).waitFor()
  await other.context().close()
  await open(operator, 'topics')
})

test('a message is found by the id that its client gave, and by where it is stored', async ({
  task,
}) => {
  covers(task, 'A14', 'M37')
  const body = Buffer.from('found by its id')
  const { messageId, offsetMessageId } = await world.producer.send({ topic: 'payments', body })
  for (const id of [messageId, offsetMessageId]) {
    await open(viewer, 'messages/payments')
    await viewer.getByLabel('Search', { exact: true }).selectOption('id')
    await viewer.getByLabel('Message id').fill(id)
    await viewer.getByRole('button', { name: 'Search' }).click()
    await viewer.getByText('1 message.').waitFor()
    await viewer.getByRole('button', { name: messageId }).click()
    await viewer.locator('pre.body').getByText('found by its id').waitFor()
    await viewer.getByRole('row', { name: `UNIQ_KEY ${messageId}` }).waitFor()
    await viewer.getByRole('button', { name: 'Close' }).click()
  }
  await viewer.getByLabel('Message id').fill('7F0000010000000000000000000000FF')
  await viewer.getByRole('button', { name: 'Search' }).click()
  await viewer.getByText('No such message.').waitFor()
})

test('the trace of a message says who sent it, who consumed it, and when', async ({ task }) => {
  covers(task, 'A14', 'M50')
  const group = 'parcel-service'
  const flags = { topic: 'parcels', count: 1, trace: true, verbose: true }
  const { lines } = await runClient(CLIENT, 'produce', world.namesrv, flags)
  const msgId = lines.map((line) => textAt(line, 'msgId')).find((id) => id !== '') ?? ''
  await runClient(CLIENT, 'push-consume', world.namesrv, {
    topic: 'parcels',
    group,
    expect: 1,
    trace: true,
    'linger-ms': 8000,
  })
  const traces = () =>
    messagesByKey(world.admin, world.broker, {
      topic: 'RMQ_SYS_TRACE_TOPIC',
      key: msgId,
      maxMessages: 8,
      beginTimestamp: 0,
      endTimestamp: Number.MAX_SAFE_INTEGER,
      isUniqueId: false,
    })
  await eventually(async () =>
    (await traces()).some((message) => messageBody(message).includes('SubAfter')),
  )
  await seen('topics/parcels', group)

  await open(viewer, 'messages/parcels')
  await viewer.getByRole('button', { name: msgId }).click()
  const steps = viewer.locator('.timeline li')
  await steps.nth(1).waitFor()
  const told = await steps.allTextContents()
  expect(told).toHaveLength(2)
  expect(told[0]).toMatch(/send.*normal message of \d+ bytes to/u)
  expect(told[1]).toMatch(/\+[\d,]+ ms.*consume.*parcel-service first attempt, done/u)
  await keepPicture(viewer, 'message', 1280)
  await viewer.getByRole('button', { name: 'Close' }).click()
})

/** Pixels of the line that the overview's chart of the lag draws. */
const DRAWN = `(() => {
  const canvas = [...document.querySelectorAll('figure.chart canvas')].at(-1)
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
  const line = getComputedStyle(document.querySelector('.swatch.line-1')).backgroundColor
  const [red, green, blue] = line.match(/\\d+/g).map(Number)
  let pixels = 0
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] > 128 && Math.abs(data[at] - red) + Math.abs(data[at + 1] - green) + Math.abs(data[at + 2] - blue) < 12) pixels++
  }
  return pixels
})()`

test(
  'charts show what was, also of before a restart of the console',
  { timeout: 900_000 },
  async ({ task }) => {
    covers(task, 'A14')
    const data = await mkdtemp(join(tmpdir(), 'gantry-charts-'))
    const options = {
      namesrv: world.namesrv,
      port: SECOND_CONSOLE,
      data,
      keys: ['pollIntervalMs=1000'],
    }
    const url = `http://127.0.0.1:${SECOND_CONSOLE}`
    /** Points of the series of all messages that come in. */
    const points = async (page: Page): Promise<readonly (readonly [number, number])[]> => {
      const answer = await page.evaluate<unknown>(
        `fetch('api/history?rangeMs=3600000&series=in').then((answer) => answer.json())`,
      )
      const times = listAt(answer, 'times')
      return listAt(answer, 'series', 'in').flatMap((value, at) =>
        typeof value === 'number' ? [[Number(times[at]), value] as const] : [],
      )
    }
    let started = await ConsoleProcess.start(options)
    try {
      const password = (await readFile(join(data, 'initial-password'), 'utf8')).trim()
      let page = await world.login('admin', password, { url })
      await expect
        .poll(async () => (await points(page)).length, { timeout: 60_000 })
        .toBeGreaterThanOrEqual(3)
      await expect.poll(() => page.evaluate<number>(DRAWN), { timeout: 30_000 }).toBeGreaterThan(5)
      // The newest point is still being filled.
      const before = (await points(page)).slice(0, -1)
      await page.context().close()
      await started.end('SIGTERM')
      started = await ConsoleProcess.start(options)
      page = await world.login('admin', password, { url })

      const after = new Map(await points(page))
      expect(before.some(([, value]) => value > 0)).toBe(true)
      expect(before.map(([at]) => [at, after.get(at)])).toEqual(before)
      await expect.poll(() => page.evaluate<number>(DRAWN), { timeout: 30_000 }).toBeGreaterThan(5)
      await page
        .getByRole('group', { name: 'Range of Messages per second' })
        .getByText('7 d')
        .click()
      await page
        .getByRole('img', { name: /^Messages per second: in [\d.]+, out [\d.]+$/u })
        .first()
        .waitFor()
      await page.context().close()
    } finally {
      await started.end('SIGTERM')
      await rm(data, { recursive: true })
    }
  },
)

test('viewers see no bodies, and find nothing by them, where that is set', async ({ task }) => {
  covers(task, 'A14')
  const data = await mkdtemp(join(tmpdir(), 'gantry-bodies-'))
  const url = `http://127.0.0.1:${SECOND_CONSOLE}`
  const started = await ConsoleProcess.start({
    namesrv: world.namesrv,
    port: SECOND_CONSOLE,
    data,
    keys: ['viewersSeeBodies=false'],
  })
  /** Bodies in what the page is answered; null: one that is not shown. */
  const bodies = async (page: Page, path: string): Promise<readonly unknown[]> => {
    const answer = await page.evaluate<unknown>(
      `fetch('api/${path}').then((answer) => answer.json())`,
    )
    return listAt(answer, 'messages').map((row) => at(row, 'body'))
  }
  try {
    const password = (await readFile(join(data, 'initial-password'), 'utf8')).trim()
    const root = await world.login('admin', password, { url })
    const page = await world.login('vic', await world.addUser(root, 'vic', 'viewer'), { url })
    await page.goto(`${url}/#/messages/orders`)
    await page.getByText('bodies are not shown to viewers here').nth(41).waitFor()
    await page.locator('button.link').first().click()
    await page.getByRole('dialog').getByText('bodies are not shown to viewers here').waitFor()

    expect(await page.locator('pre.body').count()).toBe(0)
    for (const path of [
      'messages?topic=orders',
      'messages?topic=orders&key=order-7',
      'dead-letters/billing',
      `tail?topic=orders&at=${encodeURIComponent('e2e-broker-0 0 0')}`,
    ]) {
      const shown = await bodies(root, path)
      expect([path, shown.length > 0, shown.includes(null)]).toEqual([path, true, false])
      expect([path, await bodies(page, path)]).toEqual([path, shown.map(() => null)])
    }
    for (const path of [
      'messages?topic=orders&text=not+bold',
      'dead-letters/billing?text=letter',
    ]) {
      expect((await bodies(root, path)).length).toBeGreaterThan(1)
      expect(await bodies(page, path)).toEqual([])
    }
    await page.context().close()
    await root.context().close()
  } finally {
    await started.end('SIGTERM')
    await rm(data, { recursive: true })
  }
})

test('the pages show all this, in both widths', { timeout: 900_000 }, async ({ task }) => {
  covers(task, 'A14')
  await expect
    .poll(
      () =>
        admin.evaluate<number>(
          `fetch('api/history?rangeMs=3600000&series=in').then((answer) => answer.json()).then(({ series }) => series.in.filter((value) => value !== null).length)`,
        ),
      { timeout: 600_000, interval: 2_000 },
    )
    .toBeGreaterThan(POINTS)
  const problems: string[] = []
  for (const [width, scheme] of [
    [1280, 'light'],
    [390, 'dark'],
  ] as const) {
    const page = await world.login('admin', world.password, { width, scheme, problems })
    for (const each of CONSOLE_PAGES) {
      await openPage(page, world.url, each)
      await expectWhole(page, each, width)
      await keepPicture(page, each.name, width)
    }
    await page.context().close()
  }
  expect(problems).toEqual([])
})
