/**
 * The console and the command line with access control on: all that `console.test.ts` does, signed, and what is said where credentials are
 * missing or wrong.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import { ConsoleProcess } from './console-process.ts'
import type { SuperUserSecret } from './console-world.ts'
import { ROOT, run } from './environment.ts'
import { covers } from './features.ts'

const USERS: SuperUserSecret = {
  username: 'root',
  password: "the-administrator's",
  innerUsername: 'inner',
  innerPassword: 'the-inner-user',
}
const NAME_SERVER = '127.0.0.1:21476'
const CONSOLE_PORT = 19_690
const SIGNED = { GANTRY_ACCESS_KEY: USERS.username, GANTRY_SECRET_KEY: USERS.password }

process.env['GANTRY_E2E_USERS'] = JSON.stringify(USERS)
Object.assign(process.env, SIGNED)
// Its tests become this file's, and come first.
const { consoleWorld } = await import('./console.test.ts')

describe.each([
  [
    'without credentials',
    { GANTRY_ACCESS_KEY: '', GANTRY_SECRET_KEY: '' },
    'username cannot be null.',
  ],
  [
    'with a wrong secret',
    { ...SIGNED, GANTRY_SECRET_KEY: 'guessed' },
    'User:root: check signature failed.',
  ],
  ['of an unknown user', { ...SIGNED, GANTRY_ACCESS_KEY: 'nobody' }, 'User:nobody is not found.'],
])('%s', (_what, environment, remark) => {
  let data: string
  let started: ConsoleProcess
  let page: Page

  beforeAll(async () => {
    data = await mkdtemp(join(tmpdir(), 'gantry-console-'))
    const process = { namesrv: NAME_SERVER, port: CONSOLE_PORT, data, keys: [], environment }
    started = await ConsoleProcess.start(process)
    const password = (await readFile(join(data, 'initial-password'), 'utf8')).trim()
    const url = `http://127.0.0.1:${CONSOLE_PORT}`
    page = await consoleWorld().login('admin', password, { url })
  })

  afterAll(async () => {
    await page?.context().close()
    await started?.end('SIGTERM')
    if (data !== undefined) await rm(data, { recursive: true })
  })

  test('the console says on each page what is missing, instead of showing an empty cluster', async ({
    task,
  }) => {
    covers(task, 'X6')
    const health = page.getByRole('region', { name: 'Health' })
    await health.getByText(remark).first().waitFor()
    await health.getByText('GANTRY_ACCESS_KEY').first().waitFor()
    for (const path of [
      'brokers',
      'topics',
      'topics/orders',
      'groups',
      'groups/billing',
      'messages/orders',
      'dead-letters',
      'dead-letters/billing',
      'connections',
      'access',
    ]) {
      await page.goto(`http://127.0.0.1:${CONSOLE_PORT}/#/${path}`)
      await page.locator('main').getByText(remark).first().waitFor()
      expect(page.url()).toContain(path)
    }
  })

  test('each command of gantry says so, and ends with 4', async ({ task }) => {
    covers(task, 'X6')
    for (const command of [
      'topic list',
      'topic describe orders',
      'topic create new-one',
      'topic delete orders --yes',
      'group list',
      'group lag billing',
      'group create new-one',
      'group dead-letters billing',
      'group resend billing',
      'message send orders x',
      'message tail orders --from first --count 1',
      'message get order-1 --topic orders --key',
      'message consume orders --group billing --count 1',
      'user list',
      'user create new-one',
      'acl list',
      'acl set billing-app Topic:orders -a Pub',
      'definitions export',
      'admin clusterList',
      'admin consumerProgress',
    ]) {
      const { exitCode, output } = await gantry(command, environment)

      expect([command, exitCode]).toEqual([command, 4])
      expect([command, output]).toEqual([command, expect.stringContaining(remark)])
    }
    const health = await gantry('cluster health', environment)
    expect(health.exitCode).toBe(1)
    expect(health.output).toContain(remark)
    expect(health.output).toContain('GANTRY_ACCESS_KEY')
  })
})

test('who gave no credentials is told how to give them', async () => {
  const { output } = await gantry('topic list', { GANTRY_ACCESS_KEY: '' })

  expect(output).toContain('set GANTRY_ACCESS_KEY and GANTRY_SECRET_KEY')
})

test('the smoke test sends and receives, signed', async () => {
  const { exitCode, output } = await gantry('bench smoke --count 20', {})

  expect([exitCode, output]).toEqual([0, expect.stringContaining('20')])
})

async function gantry(
  command: string,
  env: Readonly<Record<string, string>>,
): Promise<{ readonly exitCode: number; readonly output: string }> {
  const words = [...command.split(' '), '-n', NAME_SERVER]
  try {
    const { stdout } = await run(join(ROOT, 'gantry'), words, { env })
    return { exitCode: 0, output: stdout }
  } catch (error) {
    const cause = error instanceof Error ? error.cause : null
    const exitCode = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : 0
    return { exitCode: Number(exitCode), output: String(error) }
  }
}
