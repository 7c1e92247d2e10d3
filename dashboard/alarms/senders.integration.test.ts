/** The senders against a webhook and a mail server on loopback. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createRuntime } from '../../common/runtime.ts'
import { MailServer, WebhookReceiver, makeCertificate } from '../../common/testing-receivers.ts'
import { mailSender } from './mail-sender.ts'
import { testMessage } from './messages.ts'
import type { MailTarget, WebhookTarget } from './receiver-config.ts'
import { SendError } from './sender.ts'
import { webhookSender } from './webhook-sender.ts'

const { disk, timers } = createRuntime()
const CONTEXT = { config: { consoleUrl: '', runbookUrl: '' }, cluster: 'prod' }
const MESSAGE = testMessage('ops', 'olga', Date.UTC(2026, 0, 1), CONTEXT)
const SECRET = 'a secret of 12'
const NEVER = new AbortController().signal
let folder = ''
let hook: WebhookReceiver
let server: MailServer | null = null

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gantry-senders-'))
  writeFileSync(join(folder, 'secret'), `${SECRET}\n`)
  hook = new WebhookReceiver()
  await hook.open()
})

afterEach(async () => {
  await hook.close()
  await server?.close()
  server = null
  rmSync(folder, { recursive: true })
})

const post = (given: Partial<WebhookTarget> = {}, signal = NEVER): Promise<string | null> =>
  webhookSender(
    {
      type: 'webhook',
      url: `${hook.url}/alerts?team=1`,
      urlFile: null,
      headers: { 'X-Team': 'messaging' },
      headerFiles: { Authorization: join(folder, 'secret') },
      caFile: null,
      timeoutMs: 5_000,
      ...given,
    },
    disk,
    timers,
  ).send(MESSAGE, signal)

/** What a sending that fails says. */
async function problemOf(sending: Promise<unknown>): Promise<string> {
  try {
    await sending
    return 'it was sent'
  } catch (error) {
    return error instanceof SendError ? `${error.code}: ${error.message}` : String(error)
  }
}

test('a webhook gets the body and the headers, those of files too', async () => {
  await post()

  expect(hook.got).toMatchObject([
    {
      method: 'POST',
      path: '/alerts?team=1',
      headers: {
        'content-type': 'application/json',
        'x-team': 'messaging',
        authorization: SECRET,
      },
      body: { version: '4', receiver: 'ops', status: 'firing' },
    },
  ])
})

test('the address of a webhook can be in a file', async () => {
  writeFileSync(join(folder, 'url'), `${hook.url}/hidden\n`)

  await post({ url: null, urlFile: join(folder, 'url') })

  expect(hook.got.map(({ path }) => path)).toEqual(['/hidden'])
})

test.each([
  [500, 'unreachable: it answers 500'],
  [429, 'unreachable: it answers 429'],
  [404, 'refused: it answers 404'],
  [302, 'refused: it answers 302; redirects are not followed'],
])('an answer of %i is told', async (status, problem) => {
  hook.status = status
  hook.headers = { location: `${hook.url}/elsewhere` }

  expect(await problemOf(post())).toBe(problem)
  expect(hook.got).toHaveLength(1)
})

test('a webhook that is not there, one that never answers, and a console that stops are ends, too', async () => {
  hook.isDeaf = true
  const stop = new AbortController()
  expect(await problemOf(post({ timeoutMs: 300 }))).toBe('unreachable: no answer within 0.3 s')
  const stopped = problemOf(post({}, stop.signal))
  stop.abort(new Error('the console stops'))
  expect(await stopped).toMatch(/^unreachable: /u)
  await hook.close()

  expect(await problemOf(post())).toMatch(/^unreachable: .*ECONNREFUSED/u)
})

test('a secret that is gone is told by its file, and nothing is sent', async () => {
  rmSync(join(folder, 'secret'))

  expect(await problemOf(post())).toBe(`refused: ${join(folder, 'secret')} is not there`)
  expect(hook.got).toEqual([])
})

function mail(given: Partial<MailTarget> = {}): Promise<string | null> {
  const target: MailTarget = {
    type: 'email',
    host: '127.0.0.1',
    port: server?.port ?? 0,
    tls: 'starttls',
    caFile: join(folder, 'ca.pem'),
    user: 'gantry',
    passwordFile: join(folder, 'secret'),
    from: 'gantry@example.com',
    to: ['ops@example.com', 'second@example.com'],
    timeoutMs: 10_000,
    ...given,
  }
  return mailSender(target, disk, timers).send(MESSAGE, NEVER)
}

async function mailServer(
  given: { readonly password?: string; readonly isPlain?: boolean } = {},
): Promise<MailServer> {
  const certificate = given.isPlain === true ? null : makeCertificate()
  writeFileSync(join(folder, 'ca.pem'), certificate?.cert ?? 'none')
  const login = { user: 'gantry', password: given.password ?? SECRET }
  server = new MailServer({ login, certificate })
  await server.open()
  return server
}

test('a mail goes over STARTTLS with the password of the file', async () => {
  const { got } = await mailServer()

  expect(await mail()).toBeNull()

  expect(got).toMatchObject([
    {
      from: 'gantry@example.com',
      to: ['ops@example.com', 'second@example.com'],
      isEncrypted: true,
      user: 'gantry',
    },
  ])
  expect(got[0]?.content).toContain('Subject: [Gantry prod] a test')
  expect(got[0]?.content).toContain('Auto-Submitted: auto-generated')
})

test('a mail goes without TLS and login where that is configured', async () => {
  server = new MailServer({ login: null, certificate: null })
  await server.open()

  await mail({ tls: 'none', caFile: null, user: null, passwordFile: null })

  expect(server.got).toMatchObject([{ isEncrypted: false, user: null }])
})

test('a wrong password is refused, and the server’s answer is shown without it', async () => {
  const { got } = await mailServer({ password: 'another one' })

  const problem = await problemOf(mail())

  expect(problem).toMatch(/^refused: .*535/u)
  expect(problem).toContain('***')
  expect(problem).not.toContain(SECRET)
  expect(problem).not.toContain(Buffer.from(`\u0000gantry\u0000${SECRET}`).toString('base64'))
  expect(got).toEqual([])
})

test('no password goes to a server whose certificate is not trusted, or that offers no TLS', async () => {
  const untrusted = await mailServer()
  expect(await problemOf(mail({ caFile: null }))).toMatch(/^unreachable: .*self-signed/u)
  expect(untrusted.logins).toBe(0)
  await untrusted.close()

  const plain = await mailServer({ isPlain: true })
  expect(await problemOf(mail())).toMatch(/STARTTLS/u)
  expect(plain.logins).toBe(0)
  expect(plain.got).toEqual([])
})

test('recipients that a server does not know are named, the others get the mail', async () => {
  const { got, unknown } = await mailServer()
  unknown.add('second@example.com')

  expect(await mail()).toBe('the server refuses mail to second@example.com')
  expect(got).toMatchObject([{ to: ['ops@example.com'] }])
  unknown.add('ops@example.com')

  expect(await problemOf(mail())).toMatch(/^refused: .*550/u)
})

test('a server that says nothing is given up', async () => {
  server = new MailServer({ login: null, certificate: null })
  const port = hook.port

  expect(await problemOf(mail({ port, timeoutMs: 1_000, caFile: null }))).toBe(
    'unreachable: no answer within 1 s',
  )
})
