/** Whatever clients and visitors write is text in the console: 200 texts that run as scripts where they are markup, in each place that takes them. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import { AuthAdmin } from '../client/auth-admin.ts'
import { silentLogger } from '../common/log.ts'
import { createRuntime } from '../common/runtime.ts'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { RemotingClient } from '../remoting/client.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ConsoleWorld, eventually, heartbeatOf } from './console-world.ts'
import { covers } from './features.ts'
import { MARKUP } from './markup.ts'

const PORT_OFFSET = 9900
/** A page of messages, and of a list. */
const SHOWN = 50
/** Brokers tell the first 64 members of a group. */
const TOLD = 64
const EVERYBODY = 'markup-everybody'

let world: ConsoleWorld
let page: Page
/** What the browser asked of others than the console, and the dialogs that scripts opened. */
const strange: string[] = []
const clients: RemotingClient[] = []

beforeAll(async () => {
  world = await ConsoleWorld.start({ portOffset: PORT_OFFSET, users: null })
  page = await world.login('admin', world.password)
  await page.addInitScript(`
    window.violations = []
    document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
      window.violations.push(violatedDirective + ' ' + blockedURI))`)
  page.on('request', (request) => {
    if (!request.url().startsWith(world.url)) strange.push(request.url())
  })
  page.on('dialog', (dialog) => {
    strange.push(dialog.message())
    void dialog.dismiss()
  })
  await page.reload()
})

afterAll(async () => {
  for (const client of clients) await client.close()
  await world?.[Symbol.asyncDispose]()
})

test('there are 200 of them, no two alike', () => {
  expect(new Set(MARKUP).size).toBe(200)
})

/** Nothing ran, nothing was about to, and no element came of it. */
async function expectText(): Promise<void> {
  const found = await page.evaluate<unknown>(`({
    ran: window.ran ?? 0,
    violations: window.violations,
    elements: document.querySelectorAll('main :is(script, img, svg, math, iframe, object, embed, video, audio, style, link, meta, base, template, details, animate)').length,
    handlers: [...document.querySelectorAll('body *')].filter((element) =>
      [...element.attributes].some(({ name, value }) => name.startsWith('on') || value.startsWith('javascript:'))).length,
  })`)
  expect(found).toEqual({ ran: 0, violations: [], elements: 0, handlers: 0 })
  expect(strange).toEqual([])
}

test(
  'tags, keys, bodies, and names and values of properties',
  { timeout: 300_000 },
  async ({ task }) => {
    covers(task, 'A14')
    for (let first = 0; first < MARKUP.length; first += SHOWN) {
      const topic = `markup-${first}`
      const config = topicConfig(topic, { readQueueNums: 1, writeQueueNums: 1 })
      await world.admin.createTopic(world.broker, config)
      for (const text of MARKUP.slice(first, first + SHOWN)) {
        const properties = { ORIGIN: text, [text]: 'the name is it' }
        const body = Buffer.from(text)
        await world.producer.send({ topic, body, tags: text, keys: [text], properties })
      }
    }

    const shown: unknown[] = []
    for (let first = 0; first < MARKUP.length; first += SHOWN) {
      await eventually(async () => {
        await page.goto(`${world.url}/#/messages/markup-${first}`)
        await page.reload()
        await page.getByText(`${SHOWN} messages shown`).waitFor({ timeout: 5000 })
        return true
      })
      shown.push(...(await page.evaluate<readonly unknown[]>(READ_MESSAGES)))
      await expectText()
    }
    const expected = MARKUP.map((text) => ({
      tag: text,
      keys: text,
      preview: text.length > 80 ? `${text.slice(0, 80)}…` : text,
      body: text,
      properties: expect.arrayContaining([
        ['TAGS', text],
        ['KEYS', text],
        ['ORIGIN', text],
        [text, 'the name is it'],
      ]),
    }))
    expect(shown.toReversed().toSorted(byBody)).toEqual(expected.toSorted(byBody))
  },
)

function byBody(left: unknown, right: unknown): number {
  const text = (value: unknown): string =>
    typeof value === 'object' && value !== null && 'body' in value ? String(value.body) : ''
  return text(left) < text(right) ? -1 : 1
}

/** The cells of each message, and what its dialog shows. */
const READ_MESSAGES = `(async () => {
  const until = async (isSo) => {
    while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const shown = []
  for (const row of [...document.querySelectorAll('main tbody tr')]) {
    const cells = [...row.cells].map((cell) => cell.textContent)
    row.querySelector('button').click()
    await until(() => document.querySelector('dialog[open] pre.body') !== null)
    const dialog = document.querySelector('dialog')
    shown.push({
      tag: cells[4],
      keys: cells[5],
      preview: cells[6],
      body: dialog.querySelector('pre.body').textContent,
      properties: [...dialog.querySelectorAll('tbody tr')].map(({ cells: [name, value] }) => [name.textContent, value.textContent]),
    })
    dialog.querySelector('button').click()
    await until(() => document.querySelector('dialog') === null)
  }
  return shown
})()`

/** The texts of some columns, on all pages of a list. */
async function listed(columns: readonly number[]): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  for (;;) {
    const cells = await page.evaluate<readonly string[]>(
      `[...document.querySelectorAll('main tbody tr')].flatMap(({ cells }) => ${JSON.stringify(columns)}.map((at) => cells[at]?.textContent ?? ''))`,
    )
    for (const cell of cells) found.add(cell)
    await expectText()
    const next = page.getByRole('button', { name: 'Next' })
    if (await next.isDisabled()) return found
    const rows = page.locator('main tbody')
    const before = await rows.textContent()
    await next.click()
    await expect.poll(() => rows.textContent()).not.toBe(before)
  }
}

test('ids of clients, and groups of producers', { timeout: 300_000 }, async ({ task }) => {
  covers(task, 'A14')
  const groups = Array.from({ length: MARKUP.length / SHOWN }, (_, at) => `markup-readers-${at}`)
  for (const [at, text] of MARKUP.entries()) {
    const client = new RemotingClient({ ...createRuntime(), logger: silentLogger })
    clients.push(client)
    const of = groups[Math.floor(at / SHOWN)] ?? ''
    const body = heartbeat(text, [of, EVERYBODY])
    await client.invoke(world.broker, { code: RequestCode.HEART_BEAT, body }, 10_000)
  }
  for (const consumerGroup of groups) {
    const queue = { topic: 'markup-0', queueId: 0 }
    await world.admin.updateConsumerOffset(world.broker, queue, { consumerGroup, queueOffset: 1 })
  }
  const members = page.locator('main section').last()
  await eventually(async () => {
    await page.goto(`${world.url}/#/groups/${EVERYBODY}`)
    await page.reload()
    await members.getByText(`${TOLD} of 200 are shown.`).waitFor({ timeout: 5000 })
    return true
  })

  const ids: string[] = []
  for (const group of groups) {
    await page.goto(`${world.url}/#/groups/${group}`)
    await page.getByRole('heading', { level: 1, name: group }).waitFor()
    await members
      .locator('tbody tr')
      .nth(SHOWN - 1)
      .waitFor()
    ids.push(...(await members.locator('td:first-child').allTextContents()))
    const expression = await page.locator('.panel .badge').first().textContent()
    expect(MARKUP).toContain(expression)
    await expectText()
  }
  expect(ids.toSorted()).toEqual([...MARKUP].toSorted())
  await page.goto(`${world.url}/#/connections`)
  await page.getByText(`of ${200 + 200 + TOLD}`).waitFor()
  expect([...(await listed([0, 2]))].toSorted()).toEqual(
    [...MARKUP, ...groups, EVERYBODY].toSorted(),
  )
})

/** Of a client that sends to a group of its name, and consumes in others by an expression of its name. */
function heartbeat(text: string, groups: readonly string[]): Buffer {
  const subscription = { topic: 'markup-0', subString: text }
  return heartbeatOf({ clientID: text, producerGroup: text, groups, subscription })
}

test(
  'names of users of the brokers, and what they may do',
  { timeout: 300_000 },
  async ({ task }) => {
    covers(task, 'A14')
    const auth = new AuthAdmin(world.admin)
    for (const text of MARKUP) await auth.createUser(world.broker, text, { password: 'a secret' })

    await page.goto(`${world.url}/#/access`)
    await page.getByText(/of 200$/u).waitFor()
    expect([...(await listed([0]))].toSorted()).toEqual([...MARKUP].toSorted())
    await expectHeadings('access')
  },
)

/** Opens the page of each text by its address, and reads the heading. */
async function expectHeadings(path: string): Promise<void> {
  const read = (address: string): Promise<readonly string[]> =>
    page.evaluate<readonly string[]>(`(async () => {
      const found = []
      for (const text of ${JSON.stringify(MARKUP)}) {
        location.hash = '#/${path}/' + ${address}
        for (let tries = 0; tries < 100; tries++) {
          await new Promise((resolve) => setTimeout(resolve, 5))
          if (document.querySelector('main h1').textContent === text) break
        }
        found.push(document.querySelector('main h1').textContent)
      }
      return found
    })()`)
  expect(await read('encodeURIComponent(text)')).toEqual(MARKUP)
  await expectText()
  await page.goto(`${world.url}/#/account`)
}

test.each(['topics', 'groups', 'dead-letters'])(
  'what an address names as one of the %s',
  { timeout: 300_000 },
  async (path) => {
    await expectHeadings(path)
  },
)

test(
  'names of topics and groups, which brokers refuse, in what is told of the refusal',
  { timeout: 300_000 },
  async ({ task }) => {
    covers(task, 'A14')
    const session = await page.evaluate<string>(
      `fetch('api/session').then((answer) => answer.json()).then(({ csrf }) => csrf)`,
    )
    const statuses = await page.evaluate<readonly number[]>(`(async () => {
    const ask = (path, body) => fetch('api/' + path, {
      method: 'POST',
      headers: { 'x-gantry-token': ${JSON.stringify(session)}, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }).then((answer) => answer.status)
    const statuses = new Set()
    for (const name of ${JSON.stringify(MARKUP)}) {
      statuses.add(await ask('topics', { name, type: 'NORMAL', queues: 1, perm: 6 }))
      statuses.add(await ask('groups', { name, retryMaxTimes: 1 }))
    }
    return [...statuses]
  })()`)
    for (const name of MARKUP.slice(0, 20)) {
      const config = topicConfig(name, { readQueueNums: 1, writeQueueNums: 1 })
      await expect(world.admin.createTopic(world.broker, config)).rejects.toThrow(/illegal|longer/u)
    }

    expect(statuses.filter((status) => status < 400 || status >= 500)).toEqual([])
    await page.goto(`${world.url}/#/operations`)
    await page.getByText(/of 400$/u).waitFor()
    expect([...(await listed([3]))].toSorted()).toEqual(
      MARKUP.flatMap((text) => [`create topic ${text}`, `create group ${text}`]).toSorted(),
    )
  },
)

test('markup that does come into a page does not run either, and is noticed', async () => {
  await page.goto(`${world.url}/#/account`)
  await page.evaluate(`document.querySelector('main').insertAdjacentHTML('beforeend',
    '<img src="icon.svg" onload="top.ran=1"><iframe srcdoc="<script>top.ran=1</script>"></iframe>')`)
  await expect
    .poll(() => page.evaluate<readonly string[]>('window.violations'))
    .toEqual(expect.arrayContaining([expect.stringContaining('script-src')]))

  expect(await page.evaluate<number>('window.ran ?? 0')).toBe(0)
  await expect(expectText()).rejects.toThrow(/violations/u)
})
