/** The console in a real browser, against `gantry dev`: each page shows what is there, each act does what it says, and a viewer may look only. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import { pullOnce } from '../client/admin-questions.ts'
import { parseProperties } from '../common/properties.ts'
import { ConsoleWorld, eventually } from './console-world.ts'
import { covers } from './features.ts'

const PORT_OFFSET = 9700
const PAGES = [
  '',
  'alarms',
  'brokers',
  'topics',
  'topics/orders',
  'groups',
  'groups/billing',
  'messages',
  'dead-letters',
  'dead-letters/billing',
  'connections',
  'events',
  'operations',
  'account',
] as const

let world: ConsoleWorld
let admin: Page
const problems: string[] = []
let adminPassword = ''

beforeAll(async () => {
  world = await ConsoleWorld.start({ portOffset: PORT_OFFSET })
  adminPassword = world.password
  await world.seed()
  await world.giveUp('billing', 'orders', 'the dead letter')
  admin = await world.login('admin', adminPassword, { problems })
  // The console looks at the brokers every few seconds: what was just made has to be in its picture.
  await open(admin, 'dead-letters')
  await admin.getByRole('link', { name: 'billing', exact: true }).waitFor()
  for (const [path, name] of [
    ['topics', 'orders'],
    ['groups', 'billing'],
  ] as const) {
    await open(admin, path)
    await admin.getByRole('link', { name, exact: true }).waitFor()
  }
})

afterAll(() => world[Symbol.asyncDispose]())

async function open(page: Page, path: string): Promise<void> {
  await page.goto(`${world.url}/#/${path}`)
}

test('each page loads without a fault, in both widths and colours, and no page is wider than its window', async ({
  task,
}) => {
  covers(task, 'A14')
  for (const [width, scheme] of [
    [1280, 'light'],
    [390, 'dark'],
  ] as const) {
    const page = await world.login('admin', adminPassword, { width, scheme, problems })
    for (const path of PAGES) {
      await open(page, path)
      await page.locator('main h1').waitFor()
      await page.waitForLoadState('networkidle')
      expect([path, await page.locator('.banner.error').count()]).toEqual([path, 0])
      const wide = await page.evaluate<number>('document.documentElement.scrollWidth')
      expect([path, wide <= width]).toEqual([path, true])
    }
    await page.context().close()
  }
  expect(problems).toEqual([])
})

test('the overview says what needs a look, and what to do', async () => {
  await open(admin, '')
  const health = admin.getByRole('region', { name: 'Health' })

  await health.getByText('1 messages were given up').waitFor()
  await health.getByText('find out why they fail').waitFor()
})

test('a topic is created, found, changed and deleted', async () => {
  await open(admin, 'topics')
  await admin.getByRole('button', { name: 'New topic' }).click()
  await admin.getByLabel('Name').fill('fresh')
  await admin.getByLabel('Queues on each broker group').fill('3')
  await admin.getByRole('button', { name: 'Create' }).click()
  await admin.getByText('Topic fresh was created.').waitFor()
  await admin.getByLabel('Search topics').fill('fres')
  await admin.getByRole('link', { name: 'fresh', exact: true }).click()
  await admin.getByRole('heading', { level: 1, name: 'fresh' }).waitFor()

  await admin.getByRole('button', { name: 'Settings' }).click()
  await admin.getByLabel('Permission').selectOption('4')
  await admin.getByRole('button', { name: 'Save' }).click()
  await admin.getByText('Topic fresh was changed.').waitFor()
  const changed = await world.admin.getAllTopicConfig(world.broker)
  expect(changed.topics.get('fresh')).toMatchObject({ perm: 4, writeQueueNums: 3 })

  await admin.getByRole('button', { name: 'Delete' }).click()
  const last = admin.getByRole('dialog').getByRole('button', { name: 'Delete' })
  expect(await last.isDisabled()).toBe(true)
  await admin.getByLabel('Type fresh to go on').fill('fresh')
  await last.click()
  await admin.getByText('Topic fresh was deleted.').waitFor()
  expect((await world.admin.getAllTopicConfig(world.broker)).topics.has('fresh')).toBe(false)
})

test('the list of topics has the groups with their lag; a group is moved after a look at what that does', async () => {
  await open(admin, 'topics')
  await admin
    .getByRole('link', { name: /^billing/u })
    .first()
    .click()
  await admin.getByRole('heading', { level: 1, name: 'billing' }).waitFor()
  await admin.getByRole('region', { name: 'Queues of orders' }).waitFor()
  await admin.getByRole('button', { name: 'Reset or skip' }).first().click()
  await admin.getByText(/messages are skipped/u).waitFor()
  await admin.getByRole('button', { name: 'Move' }).click()
  await admin.getByText('billing was moved in orders.').waitFor()

  const { queues } = await world.admin.consumeStats(world.broker, 'billing', 'orders')
  expect(queues.every(({ brokerOffset, consumerOffset }) => brokerOffset === consumerOffset)).toBe(
    true,
  )
  await admin.getByText('Nothing is left to be read.').waitFor()
})

test('a group is created with its settings', async () => {
  await open(admin, 'groups')
  await admin.getByRole('button', { name: 'New group' }).click()
  await admin.getByLabel('Name').fill('auditors')
  await admin.getByLabel('Retries before a message is given up').fill('3')
  await admin.getByRole('button', { name: 'Create' }).click()
  await admin.getByText('Group auditors was created.').waitFor()

  const { groups } = await world.admin.getAllSubscriptionGroup(world.broker)
  expect(groups.get('auditors')).toMatchObject({ retryMaxTimes: 3, consumeEnable: true })
})

test('messages are found by key, shown as JSON and hex, and markup in them is text', async () => {
  await open(admin, 'messages/orders')
  await admin.getByText(/were looked at/u).waitFor()
  await admin.getByLabel('Search', { exact: true }).selectOption('key')
  await admin.getByLabel('Key', { exact: true }).fill('order-7')
  await admin.getByRole('button', { name: 'Search' }).click()
  await admin.getByText('1 message.').waitFor()
  await admin.locator('button.link').first().click()
  const body = admin.locator('pre.body')

  await body.getByText('"order": 7').waitFor()
  expect(await body.textContent()).toContain('<b>not bold</b>')
  expect(await admin.locator('pre.body b').count()).toBe(0)
  await admin.getByRole('button', { name: 'hex' }).click()
  await body.getByText('000000  7b 22').waitFor()
  await admin.getByRole('button', { name: 'Close' }).click()
})

test('messages are followed as they come', async () => {
  await open(admin, 'messages/payments')
  await admin.getByLabel('Search', { exact: true }).selectOption('tail')
  await admin.getByRole('button', { name: 'Follow' }).click()
  await admin.getByText('Following payments.').waitFor()
  let sent = 0
  await eventually(async () => {
    await world.producer.send({ topic: 'payments', body: Buffer.from(`live ${++sent}`) })
    return (await admin.getByText(/^live \d+$/u).count()) > 0
  })
})

test('a message is sent from the page of its topic', async () => {
  await open(admin, 'topics/payments')
  await admin.getByRole('button', { name: 'Send a message' }).click()
  await admin.getByLabel('Body').fill('from the console')
  await admin.getByRole('button', { name: 'Send', exact: true }).click()
  await admin.getByText('A message was sent to payments.').waitFor()
})

test('a dead letter is sent again, to its group only', async () => {
  await open(admin, 'dead-letters')
  await admin.getByRole('link', { name: 'billing' }).click()
  await admin.getByText('the dead letter').waitFor()
  await admin
    .getByLabel(/^Choose /u)
    .first()
    .check()
  await admin.getByRole('button', { name: 'Send 1 again' }).click()
  await admin.getByRole('button', { name: 'Send again', exact: true }).click()
  await admin.getByText('Dead letters of billing were sent again.').waitFor()

  const { messages } = await pullOnce(world.admin, world.broker, {
    consumerGroup: 'billing',
    topic: '%RETRY%billing',
    queueId: 0,
    queueOffset: 0,
    maxMessages: 32,
  })
  expect(messages.map(({ body }) => body.toString())).toEqual(['the dead letter'])
  const properties = parseProperties(messages[0]?.properties ?? '')
  expect(properties.get('RETRY_TOPIC')).toBe('orders')
})

test('connections, events and operations tell what was done', async () => {
  await open(admin, 'connections')
  await admin.getByRole('cell', { name: 'client-1' }).first().waitFor()
  await open(admin, 'events')
  await admin.getByText('topic fresh').first().waitFor()
  await open(admin, 'operations')
  await admin.getByText('reset billing in orders to end').waitFor()
})

test('a viewer looks, is offered no act, and is refused one that is forced', async () => {
  await open(admin, 'users')
  await admin.getByRole('button', { name: 'New user' }).click()
  await admin.getByLabel('Name').fill('vera')
  await admin.getByRole('button', { name: 'Add' }).click()
  const password = (await admin.locator('.banner code').textContent()) ?? ''
  const page = await world.login('vera', password)
  for (const path of [
    'alarms',
    'topics',
    'topics/orders',
    'groups',
    'groups/billing',
    'dead-letters/billing',
  ]) {
    await open(page, path)
    await page.locator('main table').first().waitFor()
    const acts = await page
      .getByRole('button', {
        name: /new |settings|delete|send|reset|choose|hand|silence|removed/iu,
      })
      .count()
    expect([path, acts]).toEqual([path, 0])
  }
  const forced = await page.evaluate<number>(`
    fetch('api/session').then((answer) => answer.json()).then(({ csrf }) =>
      fetch('api/topics/orders', { method: 'DELETE', headers: { 'x-gantry-token': csrf } })
    ).then((answer) => answer.status)`)
  expect(forced).toBe(403)
  await page.context().close()
})

test('1,000 topics and 2,000 groups: each page answers', async ({ task }) => {
  covers(task, 'A14')
  await world.seedMany(1_000, 2_000)
  await open(admin, 'topics')
  await admin.getByText(/of 1,0\d\d$/u).waitFor({ timeout: 60_000 })
  await open(admin, 'groups')
  await admin.getByText(/of 2,0\d\d$/u).waitFor({ timeout: 60_000 })
  const figures: string[] = []
  for (const path of [
    '',
    'topics',
    'topics/scale-0500',
    'groups',
    'groups/reader-0500',
    'connections',
  ]) {
    await open(admin, 'account')
    await admin.getByRole('heading', { name: 'Your account' }).waitFor()
    const started = performance.now()
    await open(admin, path)
    await admin.locator('main table').first().waitFor()
    const inPage = Math.round(performance.now() - started)
    const answered = await admin.evaluate<number>(`(() => {
      const started = performance.now()
      return fetch('api/${path === '' ? 'overview' : path}').then((answer) => answer.text())
        .then(() => Math.round(performance.now() - started))
    })()`)
    figures.push(`${path === '' ? 'overview' : path} ${inPage} ms (answer ${answered} ms)`)
  }
  process.stdout.write(`pages with 1,000 topics and 2,000 groups: ${figures.join(', ')}\n`)
})
