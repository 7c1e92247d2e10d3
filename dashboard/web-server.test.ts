import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createRegistry } from '../common/metrics.ts'
import { silentLogger } from '../common/log.ts'
import { createRuntime } from '../common/runtime.ts'
import { ROLES } from './api-types.ts'
import type { OperationRow, Role } from './api-types.ts'
import { defaultAlarmConfig } from './alarms/alarm-config.ts'
import { AlarmService } from './alarms/alarm-service.ts'
import type { Api } from './api/api.ts'
import { API_ROUTES } from './api/routes.ts'
import { Sessions } from './auth/sessions.ts'
import { LoginThrottle } from './auth/throttle.ts'
import { Users } from './auth/users.ts'
import { AdminClient } from '../client/admin.ts'
import { Producer } from '../client/producer.ts'
import { RouteCache } from '../client/route.ts'
import { UniqueIdGenerator } from '../common/message-id.ts'
import { RemotingClient } from '../remoting/client.ts'
import { BrokerUsers } from './broker-users.ts'
import { Collector } from './collector.ts'
import { History } from './history.ts'
import { Journal } from './journal.ts'
import { eventRowOf, operationRowOf } from './journal-rows.ts'
import { createWebServer } from './web-server.ts'

const runtime = createRuntime()
const PASSWORD = 'the first password'
let folder = ''
let app: FastifyInstance
let api: Api
let client: RemotingClient
const passwords = new Map<string, string>()

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gantry-web-'))
  const { clock, random, timers, disk } = runtime
  client = new RemotingClient({ ...runtime, logger: silentLogger })
  const admin = new AdminClient(client, 200)
  const nameServers = ['127.0.0.1:1']
  const options = { disk, random, logger: silentLogger, folder, firstPassword: PASSWORD }
  const { users } = await Users.open(options)
  passwords.clear()
  passwords.set('admin', PASSWORD)
  for (const role of ['viewer', 'operator'] as const) {
    passwords.set(role, await users.add(role, role))
  }
  const kept = { disk, timers, logger: silentLogger, max: 100, saveAfterMs: 10 }
  const uniqueIds = new UniqueIdGenerator({
    clock,
    random,
    ip: Buffer.from([127, 0, 0, 1]),
    pid: 1,
  })
  const routes = new RouteCache({ client, clock, nameServers })
  api = {
    admin,
    producer: new Producer({ client, routes, clock, producerGroup: 'p', uniqueIds }),
    nameServers,
    clock,
    collector: new Collector({
      admin,
      nameServers,
      clock,
      timers,
      logger: silentLogger,
      intervalMs: 60_000,
      allowedHosts: null,
      onPicture: () => undefined,
    }),
    history: new History(),
    users,
    brokerUsers: new BrokerUsers({ admin, clock, random }),
    alarms: new AlarmService({
      ...runtime,
      logger: silentLogger,
      config: defaultAlarmConfig({ lagMessages: 1, lagMs: 1 }),
      senders: new Map(),
      path: `${folder}/alarms.json`,
      onEvent: () => undefined,
      onAttempt: () => undefined,
    }),
    events: new Journal({ ...kept, path: `${folder}/e`, entryOf: eventRowOf }),
    operations: new Journal({ ...kept, path: `${folder}/o`, entryOf: operationRowOf }),
    findings: () => [],
    viewersSeeBodies: true,
  }
  app = await createWebServer({
    api,
    sessions: new Sessions({ clock, random, users, idleMs: 60_000 }),
    throttle: new LoginThrottle(clock),
    assets: new Map([
      [
        'page.html',
        {
          contentType: 'text/html; charset=utf-8',
          body: Buffer.from('<p>page</p>'),
          gzipped: Buffer.from('gzipped'),
          etag: '"1"',
        },
      ],
    ]),
    logger: silentLogger,
    clock,
    secureCookie: false,
    notReady: () => null,
    metrics: async () => {
      const registry = createRegistry({ cluster: '', nodeType: 'dashboard', nodeId: '' })
      return { body: await registry.metrics(), contentType: registry.contentType }
    },
  })
})

afterEach(async () => {
  await app.close()
  await client.close()
  await api.collector.close()
  api.events.close()
  api.operations.close()
  rmSync(folder, { recursive: true })
})

interface LoggedIn {
  readonly cookie: string
  readonly token: string
}

async function login(name: string): Promise<LoggedIn> {
  const password = passwords.get(name) ?? ''
  const answer = await app.inject({
    method: 'POST',
    url: '/api/login',
    payload: { name, password },
  })
  expect(answer.statusCode).toBe(200)
  const [cookie = ''] = String(answer.headers['set-cookie']).split(';')
  const { csrf } = answer.json<{ csrf: string }>()
  return { cookie, token: csrf }
}

function call(
  { cookie, token }: LoggedIn,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
) {
  const url = `/api${path.replaceAll(/:\w+/gu, 'x')}`
  const name = { name: 'x', role: 'viewer', topic: 't', to: 'end' }
  return app.inject({
    method:
      method === 'GET' ? 'GET' : method === 'PUT' ? 'PUT' : method === 'POST' ? 'POST' : 'DELETE',
    url,
    headers: { cookie, 'x-gantry-token': token, ...headers },
    ...(method === 'GET' ? {} : { payload: name }),
  })
}

test('the session cookie cannot be read by scripts, nor be sent from elsewhere', async () => {
  const answer = await app.inject({
    method: 'POST',
    url: '/api/login',
    payload: { name: 'admin', password: PASSWORD },
  })

  expect(answer.headers['set-cookie']).toMatch(
    /HttpOnly.*SameSite=Strict|SameSite=Strict.*HttpOnly/u,
  )
  expect(answer.body).not.toContain(PASSWORD)
})

test('a wrong name and a wrong password are refused in the same words, and too many are slowed down', async () => {
  const attempt = (name: string) =>
    app.inject({ method: 'POST', url: '/api/login', payload: { name, password: 'wrong' } })
  const first = await attempt('admin')
  const second = await attempt('nobody')

  expect([first.statusCode, second.statusCode]).toEqual([401, 401])
  expect(first.body).toBe(second.body)
  for (let at = 0; at < 8; at++) await attempt('admin')
  const last = await attempt('admin')
  expect(last.statusCode).toBe(429)
  expect(Number(last.headers['retry-after'])).toBeGreaterThan(0)
})

test('without a session nothing is told and nothing is done', async () => {
  for (const { method, path } of API_ROUTES) {
    const answer = await call({ cookie: '', token: '' }, method, path)
    expect([method, path, answer.statusCode]).toEqual([method, path, 401])
  }
})

test('no role may do what is of a higher one, whatever it asks for', async () => {
  for (const role of ROLES) {
    const session = await login(role)
    const higher = API_ROUTES.filter((route) => ROLES.indexOf(route.role) > ROLES.indexOf(role))
    for (const { method, path } of higher) {
      const answer = await call(session, method, path)
      expect([role, method, path, answer.statusCode]).toEqual([role, method, path, 403])
    }
  }
})

test('a change without the token of the session, or from another site, is refused', async () => {
  const session = await login('admin')
  for (const { method, path } of API_ROUTES) {
    if (method === 'GET') continue
    const attempts = [
      await call({ ...session, token: '' }, method, path),
      await call({ ...session, token: 'x'.repeat(43) }, method, path),
      await call(session, method, path, { 'sec-fetch-site': 'cross-site' }),
      await call(session, method, path, { 'sec-fetch-site': 'same-site' }),
      await call(session, method, path, { origin: 'https://elsewhere.example' }),
    ]
    expect([method, path, ...attempts.map(({ statusCode }) => statusCode)]).toEqual([
      method,
      path,
      403,
      403,
      403,
      403,
      403,
    ])
  }
  expect(api.operations.newest).toEqual([])
})

test('every act is written down with who asked for it, also when it is refused', async () => {
  const viewer = await login('viewer')
  await call(viewer, 'DELETE', '/topics/:topic')
  const admin = await login('admin')
  await call(admin, 'POST', '/users')

  const told = api.operations.newest.map(({ userName, what, result }: OperationRow) => [
    userName,
    what,
    result,
  ])
  expect(told).toEqual([
    ['admin', 'add user x as viewer', 'done'],
    ['viewer', 'delete topic x', 'this is for the role admin; you are a viewer'],
  ])
})

test('no secret stands in what is written down', async () => {
  const admin = await login('admin')
  const answer = await call(admin, 'POST', '/users')
  const { password } = answer.json<{ password: string }>()

  expect(password).toHaveLength(20)
  expect(JSON.stringify(api.operations.newest)).not.toContain(password)
})

test('every answer forbids what a page does not need', async () => {
  const session = await login('viewer')
  const answers = [
    await app.inject('/'),
    await app.inject('/nowhere'),
    await call(session, 'GET', '/overview'),
  ]
  for (const { headers } of answers) {
    const policy = String(headers['content-security-policy'])
    expect(policy).toContain("default-src 'none'")
    expect(policy).not.toContain('unsafe')
    expect(headers['x-content-type-options']).toBe('nosniff')
  }
})

test('before the first picture the page is told to wait', async () => {
  const session = await login('viewer')

  expect((await call(session, 'GET', '/overview')).statusCode).toBe(503)
})

test('after logging out the cookie opens nothing', async () => {
  const session = await login('viewer')
  const left = await call(session, 'POST', '/logout')

  expect(left.statusCode).toBe(200)
  expect((await call(session, 'GET', '/events')).statusCode).toBe(401)
})

test.each([
  ['a list', '[]', 400],
  ['no JSON', '{', 400],
  ['too large', JSON.stringify({ name: 'x'.repeat(200_000) }), 413],
])('a body that is %s is refused', async (_what, body, status) => {
  const { cookie, token } = await login('admin')
  const answer = await app.inject({
    method: 'POST',
    url: '/api/users',
    headers: { cookie, 'x-gantry-token': token, 'content-type': 'application/json' },
    payload: body,
  })

  expect(answer.statusCode).toBe(status)
})

test('roles that exist are those that routes name', () => {
  const named = new Set<Role>(API_ROUTES.map(({ role }) => role))

  expect([...named].toSorted()).toEqual([...ROLES].toSorted())
})
