/** The pages of the console with something that each must show, and what is looked for on all of them. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import axe from 'axe-core'
import { expect } from 'vitest'
import type { Page, Request } from 'playwright-core'
import { eventually } from './console-world.ts'
import { environmentVariable } from './environment.ts'
import { smallPng } from './small-png.ts'

export interface ConsolePage {
  /** Behind `#/`. */
  readonly path: string
  /** Of its picture, `console-NAME-WIDTH.png`. */
  readonly name: string
  /** Text of the cluster that `ConsoleWorld.seed` leaves. */
  readonly shows: string
}

export const CONSOLE_PAGES: readonly ConsolePage[] = [
  { path: '', name: 'overview', shows: 'billing' },
  { path: 'alarms', name: 'alarms', shows: 'group billing' },
  { path: 'brokers', name: 'brokers', shows: 'e2e-broker-0' },
  { path: 'topics', name: 'topics', shows: 'orders' },
  { path: 'topics/orders', name: 'topic', shows: 'billing' },
  { path: 'groups', name: 'groups', shows: 'billing' },
  { path: 'groups/billing', name: 'group', shows: 'client-1' },
  { path: 'messages', name: 'messages', shows: 'With this text' },
  { path: 'messages/orders', name: 'messages-of-topic', shows: 'order-39' },
  { path: 'dead-letters', name: 'dead-letters', shows: 'billing' },
  { path: 'dead-letters/billing', name: 'dead-letters-of-group', shows: 'the dead letter' },
  { path: 'connections', name: 'connections', shows: 'client-1' },
  { path: 'events', name: 'events', shows: 'topic orders' },
  { path: 'operations', name: 'operations', shows: 'add user vera as viewer' },
  { path: 'access', name: 'broker-users', shows: 'warehouse' },
  { path: 'access/warehouse', name: 'broker-user', shows: 'Topic:orders' },
  { path: 'users', name: 'users', shows: 'vera' },
  { path: 'account', name: 'account', shows: 'admin' },
]

/** A page that has asked for nothing for so long has what it wanted. */
const QUIET_MS = 300
const SHOTS = environmentVariable('GANTRY_E2E_SHOTS')
/** Taller pages are cut in their pictures. */
const SHOT_HEIGHT_MAX = 1100

/** Opens a page, waits for what it must show, and resolves when it asks for nothing more. */
export async function openPage(
  page: Page,
  url: string,
  { path, shows }: ConsolePage,
): Promise<void> {
  await untilQuiet(page, async () => {
    await page.goto(`${url}/#/${path}`)
    await page.locator('main h1').waitFor()
    await page.locator('main').getByText(shows).first().waitFor()
  })
}

/** Resolves when the page asks for nothing more, with the milliseconds until then. */
export async function untilQuiet(page: Page, act: () => Promise<void>): Promise<number> {
  const waiting = new Set<Request>()
  let doneAt = 0
  const isOurs = (request: Request): boolean => request.url().includes('/api/')
  const begun = (request: Request): void => {
    if (isOurs(request)) waiting.add(request)
  }
  const ended = (request: Request): void => {
    if (waiting.delete(request)) doneAt = performance.now()
  }
  page.on('request', begun).on('requestfinished', ended).on('requestfailed', ended)
  const started = performance.now()
  await act()
  const shownAt = performance.now()
  await eventually(() =>
    Promise.resolve(waiting.size === 0 && performance.now() - Math.max(doneAt, shownAt) > QUIET_MS),
  )
  page.off('request', begun).off('requestfinished', ended).off('requestfailed', ended)
  return Math.round(Math.max(doneAt, shownAt) - started)
}

/** Fails when the page tells a fault, or is wider than its window. */
export async function expectWhole(page: Page, { path }: ConsolePage, width: number): Promise<void> {
  expect([path, await page.locator('.banner.error').count()]).toEqual([path, 0])
  const wide = await page.evaluate<number>('document.documentElement.scrollWidth')
  expect([path, wide]).toEqual([path, Math.min(wide, width)])
}

/** Kept when `GANTRY_E2E_SHOTS` names a folder. */
export async function keepPicture(page: Page, name: string, width: number): Promise<void> {
  if (SHOTS === '') return
  const wanted = await page.evaluate<number>('document.documentElement.scrollHeight')
  const clip = { x: 0, y: 0, width, height: Math.min(SHOT_HEIGHT_MAX, wanted) }
  const picture = await page.screenshot({ fullPage: true, clip, animations: 'disabled' })
  await writeFile(join(SHOTS, `console-${name}-${width}.png`), smallPng(picture))
}

/** What axe says of a page: the rules that it keeps, and those that it breaks with where. */
interface Barriers {
  readonly kept: number
  readonly broken: readonly {
    readonly id: string
    readonly nodes: readonly { readonly html: string }[]
  }[]
}

export async function barriersOf(page: Page, what: string): Promise<readonly string[]> {
  await page.evaluate(axe.source)
  const { kept, broken } = await page.evaluate<Barriers>(
    'axe.run().then(({ passes, violations }) => ({ kept: passes.length, broken: violations }))',
  )
  expect(kept).toBeGreaterThan(15)
  return broken.flatMap(({ id, nodes }) =>
    nodes.map(({ html }) => `${what}: ${id}: ${html.slice(0, 200)}`),
  )
}
