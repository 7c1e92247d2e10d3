/** The console in a real browser, against `gantry dev`: each page shows what is there, each act does what it says, and a viewer may look only. */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import { pullOnce } from '../client/admin-questions.ts'
import { AuthAdmin } from '../client/auth-admin.ts'
import { mergePermissions } from '../client/cluster-users.ts'
import { parseProperties } from '../common/properties.ts'
import { CONSOLE_PAGES, barriersOf, expectWhole, openPage, untilQuiet } from './console-pages.ts'
import { ConsoleWorld, eventually, superUsersOf } from './console-world.ts'
import { ROOT, environmentVariable, run } from './environment.ts'
import type { CommandResult } from './environment.ts'
import { covers } from './features.ts'

/** Set by `console-access.test.ts`, which runs these tests with access control on. */
const USERS = superUsersOf(environmentVariable('GANTRY_E2E_USERS'))
const PORT_OFFSET = USERS === null ? 9700 : 11_600
const COLLECTIONS = 3
/** What brokers may be asked for by those who only look; the heartbeats are those of the world's own member. */
const LOOKS: ReadonlySet<string> = new Set([
  'auth_list_acl',
  'auth_list_user',
  'gantry_broker_picture',
  'get_broker_config',
  'get_max_offset',
  'get_min_offset',
  'heart_beat',
  'pull_message',
])
let world: ConsoleWorld
let admin: Page
const problems: string[] = []
let adminPassword = ''
let viewerPassword = ''

beforeAll(async () => {
  world = await ConsoleWorld.start({ portOffset: PORT_OFFSET, users: USERS })
  adminPassword = world.password
  await world.seed()
  await world.giveUp('billing', 'orders', 'the dead letter')
  admin = await world.login('admin', adminPassword, { problems })
  viewerPassword = await world.addUser(admin, 'vera', 'viewer')
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

test('each page loads with what is there, in both widths and colours, and no page is wider than its window', async ({
  task,
}) => {
  covers(task, 'A14')
  const before = await world.requestCounts()
  for (const [width, scheme] of [
    [1280, 'light'],
    [390, 'dark'],
  ] as const) {
    const page = await world.login('admin', adminPassword, { width, scheme, problems })
    const links = await page.evaluate<readonly string[]>(
      "[...document.querySelectorAll('#navigation a')].map((link) => link.hash.slice(2))",
    )
    expect(CONSOLE_PAGES.map(({ path }) => path)).toEqual(expect.arrayContaining([...links]))
    for (const each of CONSOLE_PAGES) {
      await openPage(page, world.url, each)
      await expectWhole(page, each, width)
    }
    await page.context().close()
  }
  expect(problems).toEqual([])
  const asked = [...(await world.requestCounts())].filter(
    ([code, count]) => count > (before.get(code) ?? 0),
  )
  expect(asked.map(([code]) => code).filter((code) => !LOOKS.has(code))).toEqual([])
})

test.each([
  [1280, 'light'],
  [390, 'dark'],
] as const)(
  'screen readers and weak eyes find nothing in their way, at %i pixels, %s',
  { timeout: 120_000 },
  async (width, scheme) => {
    const page = await world.login('admin', adminPassword, { width, scheme, problems })
    const found: string[] = []
    for (const each of CONSOLE_PAGES) {
      await openPage(page, world.url, each)
      found.push(...(await barriersOf(page, each.path)))
    }
    await open(page, 'topics')
    await page.getByRole('button', { name: 'New topic' }).click()
    await page.getByRole('dialog').waitFor()
    found.push(...(await barriersOf(page, 'dialog')))
    await page.context().clearCookies()
    await page.reload()
    await page.getByRole('button', { name: 'Log in' }).waitFor()
    found.push(...(await barriersOf(page, 'login')))
    await page.context().close()

    expect(found).toEqual([])
  },
)

test('without a mouse: a dialog takes the focus, keeps it, and gives it back', async () => {
  const page = await world.login('admin', adminPassword, { problems })
  await open(page, 'topics')
  await page.getByRole('button', { name: 'New topic' }).waitFor()
  const focused = (): Promise<string> =>
    page.evaluate<string>('document.activeElement.textContent.trim()')
  const tabTo = async (name: string): Promise<void> => {
    for (let steps = 0; steps < 60; steps++) {
      await page.keyboard.press('Tab')
      if ((await focused()) === name) return
    }
    throw new Error(`the Tab key does not lead to ${name}`)
  }
  const isInside = (): Promise<boolean> =>
    page.evaluate<boolean>('document.activeElement.closest("dialog") !== null')

  await tabTo('New topic')
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  const wasInside = await isInside()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  const isBack = (await focused()) === 'New topic'
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  await page.keyboard.type('typed')
  await tabTo('Create')
  await page.keyboard.press('Enter')

  await page.getByText('Topic typed was created.').waitFor()
  expect([wasInside, isBack]).toEqual([true, true])
  await page.context().close()
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

test('users of the brokers get permissions; secrets are shown once, and the page says whether access control is off', async () => {
  const secrets = async (): Promise<string> =>
    (await admin.content()).replaceAll(/<b>.*?<\/b>/gu, '')
  await open(admin, 'access')
  await admin.waitForLoadState('networkidle')
  await expect
    .poll(() => admin.getByText(/Access control is off/u).count())
    .toBe(USERS === null ? 1 : 0)
  await admin.getByRole('button', { name: 'New user' }).click()
  await admin.getByLabel('Name').fill('shop-app')
  await admin.getByRole('button', { name: 'Create' }).click()
  await admin.getByText('User shop-app was created.').waitFor()
  const made = (await admin.locator('.banner.plain code').textContent()) ?? ''
  await admin.getByRole('button', { name: 'I have it' }).click()
  await admin.getByRole('link', { name: 'shop-app', exact: true }).click()
  await admin.getByText('Nothing is allowed yet.').waitFor()
  await admin.getByRole('button', { name: 'New permission' }).click()
  await admin.getByLabel('Resource').fill('Topic:orders*')
  await admin.getByLabel('Pub').check()
  await admin.getByLabel('From').fill('10.0.0.0/8, 127.0.0.1')
  await admin.getByRole('button', { name: 'Save' }).click()
  await admin.getByRole('cell', { name: 'Topic:orders*', exact: true }).waitFor()

  const auth = new AuthAdmin(world.admin)
  expect(made).toMatch(/^[\w-]{24}$/u)
  expect((await auth.user(world.broker, 'shop-app'))?.password).toBe(made)
  expect(await secrets()).not.toContain(made)
  const permission = mergePermissions([
    { brokerName: 'a', entries: await auth.acls(world.broker) },
  ]).find(({ user }) => user === 'shop-app')
  expect(permission).toMatchObject({
    user: 'shop-app',
    resource: 'Topic:orders*',
    actions: ['Pub'],
    decision: 'Allow',
    policyType: 'Custom',
  })
  expect(permission?.sourceIps.length).toBe(2)

  await admin.getByRole('button', { name: 'Change Topic:orders*' }).click()
  await admin.getByLabel('Sub').check()
  await admin.getByLabel('Decision').selectOption('Deny')
  await admin.getByRole('button', { name: 'Save' }).click()
  await admin.getByRole('cell', { name: 'Pub, Sub' }).waitFor()
  await admin.getByRole('cell', { name: 'deny' }).waitFor()
  await admin.getByRole('button', { name: 'Settings' }).click()
  await admin.getByLabel('Status').selectOption('disable')
  await admin.getByRole('button', { name: 'Save' }).click()
  await admin.getByText('disabled', { exact: true }).waitFor()
  expect(await auth.user(world.broker, 'shop-app')).toMatchObject({ userStatus: 'disable' })

  await admin.getByRole('button', { name: 'New secret' }).click()
  await admin.getByLabel('Secret', { exact: true }).fill('chosen by hand')
  await admin.getByRole('button', { name: 'Set it' }).click()
  await admin.getByText('shop-app has a new secret.').waitFor()
  expect((await auth.user(world.broker, 'shop-app'))?.password).toBe('chosen by hand')
  await admin.getByRole('button', { name: 'Remove Topic:orders*' }).click()
  await admin.getByRole('button', { name: 'Remove', exact: true }).click()
  await admin.getByText('Nothing is allowed yet.').waitFor()
  const answers = await admin.evaluate<string>(
    `Promise.all(['access', 'access/shop-app', 'broker-access', 'operations', 'events'].map((path) =>
      fetch('api/' + path).then((answer) => answer.text()))).then((all) => all.join())`,
  )
  expect(answers).toContain('shop-app')
  for (const secret of [made, 'chosen by hand']) expect(answers).not.toContain(secret)
})

test('the same is done by gantry user and gantry acl', async () => {
  const gantry = (...words: readonly string[]): Promise<CommandResult> =>
    run(join(ROOT, 'gantry'), [...words, '-n', world.namesrv])
  const auth = new AuthAdmin(world.admin)
  const { stdout: secret } = await gantry('user', 'create', 'billing-app')
  expect((await auth.user(world.broker, 'billing-app'))?.password).toBe(secret.trim())
  await expect(gantry('user', 'create', 'billing-app')).rejects.toThrow(/there is a user/u)
  await gantry('acl', 'set', 'billing-app', 'Topic:orders*', '-a', 'sub', '--source-ips', '::1')
  await gantry('acl', 'set', 'billing-app', 'Group:billing', '-a', 'Sub', '--decision', 'Deny')
  const { stdout: orders } = await gantry('acl', 'list', '-u', 'billing-app', '-r', 'orders')
  const { stdout: users } = await gantry('user', 'list', '-o', 'json')
  await expect(gantry('acl', 'set', 'billing-app', '*', '-a', 'Fly')).rejects.toThrow(/has Fly/u)
  await expect(gantry('acl', 'set', 'nobody', '*', '-a', 'Pub')).rejects.toThrow(/User:nobody/u)
  await expect(gantry('acl', 'delete', 'billing-app')).rejects.toThrow(/--yes is needed/u)

  expect(orders.split('\n')[1]).toMatch(/^billing-app +Topic:orders\* +Allow +Sub +\S+ +Custom/u)
  expect(orders).not.toContain('Group:billing')
  expect(users).toContain('"billing-app"')
  expect(users).not.toContain(secret.trim())
  await gantry('user', 'update', 'billing-app', '--status', 'disable')
  expect(await auth.user(world.broker, 'billing-app')).toMatchObject({ userStatus: 'disable' })
  await gantry('acl', 'delete', 'billing-app', 'Group:billing', '--yes')
  expect((await gantry('acl', 'list')).stdout).not.toContain('Group:billing')
  await gantry('user', 'delete', 'billing-app', '--yes')
  expect(await auth.user(world.broker, 'billing-app')).toBeNull()
})

test('a viewer looks, is offered no act, and is refused one that is forced', async () => {
  const page = await world.login('vera', viewerPassword)
  for (const path of [
    'alarms',
    'topics',
    'topics/orders',
    'groups',
    'groups/billing',
    'dead-letters/billing',
    'access',
    'access/shop-app',
  ]) {
    await open(page, path)
    await page.locator('main table').first().waitFor()
    const acts = await page
      .getByRole('button', {
        name: /new |settings|delete|send|reset|choose|hand|silence|remove|change/iu,
      })
      .count()
    expect([path, acts]).toEqual([path, 0])
  }
  const forced = await page.evaluate<number>(`
    fetch('api/session').then((answer) => answer.json()).then(({ csrf }) =>
      fetch('api/topics/orders', { method: 'DELETE', headers: { 'x-gantry-token': csrf } })
    ).then((answer) => answer.status)`)
  expect(forced).toBe(403)
  const made = await page.evaluate<number>(`
    fetch('api/session').then((answer) => answer.json()).then(({ csrf }) =>
      fetch('api/access', {
        method: 'POST',
        headers: { 'x-gantry-token': csrf, 'content-type': 'application/json' },
        body: JSON.stringify({ name: 'vera', type: 'Super' }),
      })
    ).then((answer) => answer.status)`)
  expect(made).toBe(403)
  expect(await new AuthAdmin(world.admin).user(world.broker, 'vera')).toBeNull()
  await page.context().close()
})

/** What each page may ask brokers for itself: most read only the picture that the console has already. */
const REQUESTS_AT_SCALE: readonly (readonly [path: string, most: number])[] = [
  ['', 0],
  ['alarms', 0],
  ['brokers', 0],
  ['topics', 0],
  ['topics/scale-0500', 0],
  ['groups', 0],
  ['groups/reader-0500', 0],
  ['dead-letters', 0],
  ['connections', 0],
  ['events', 0],
  ['operations', 0],
  ['messages', 0],
  // A few for each queue of the topic.
  ['messages/scale-0500', 8 * 4],
  ['dead-letters/billing', 4],
]

test('1,000 topics and 2,000 groups: what a page asks of brokers does not grow with them', async ({
  task,
}) => {
  covers(task, 'A14')
  await world.seedMany(1_000, 2_000)
  await open(admin, 'topics')
  await admin.getByText(/of 1,0\d\d$/u).waitFor({ timeout: 60_000 })
  await open(admin, 'groups')
  await admin.getByText(/of 2,0\d\d$/u).waitFor({ timeout: 60_000 })
  const figures: string[] = []
  const asked: [path: string, isBounded: boolean, count: number][] = []
  for (const [path, most] of REQUESTS_AT_SCALE) {
    await open(admin, 'account')
    await admin.getByRole('heading', { name: 'Your account' }).waitFor()
    const before = await world.requests()
    const tookMs = await timeOf(path)
    const count = (await world.requests()).others - before.others
    asked.push([path, count <= most, count])
    figures.push(`${path === '' ? 'overview' : path} ${tookMs} ms (${count})`)
  }
  const collected = await requestsOfACollection()

  process.stdout.write(
    `pages with 1,000 topics and 2,000 groups, and what they ask of the broker: ${figures.join(', ')}; a collection: ${collected}\n`,
  )
  expect(asked.filter(([, isBounded]) => !isBounded)).toEqual([])
  // Pages of 250 entries: 5 of topics, 9 of groups, and a few more.
  expect(collected).toBeLessThanOrEqual(20)
})

/** Milliseconds until a page has its last answer and shows it. */
function timeOf(path: string): Promise<number> {
  return untilQuiet(admin, async () => {
    await open(admin, path)
    // A page without a table has nothing to show before it is asked for something.
    if (path !== 'messages') await admin.locator('main table').first().waitFor()
  })
}

/** Requests for one picture of the cluster, on the average of some. */
async function requestsOfACollection(): Promise<number> {
  const pictureAt = (): Promise<number> =>
    admin.evaluate<number>(
      `fetch('api/overview').then((answer) => answer.json()).then(({ at }) => at)`,
    )
  const next = async (after: number): Promise<number> => {
    let now = after
    await eventually(async () => (now = await pictureAt()) > after)
    return now
  }
  let at = await next(await pictureAt())
  const before = await world.requests()
  for (let count = 0; count < COLLECTIONS; count++) at = await next(at)
  return Math.round(((await world.requests()).pictures - before.pictures) / COLLECTIONS)
}

/** For those who run these tests and more. */
export function consoleWorld(): ConsoleWorld {
  return world
}
