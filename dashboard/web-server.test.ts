import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ROLES } from './api-types.ts'
import type { OperationRow, Role } from './api-types.ts'
import { API_ROUTES } from './api/routes.ts'
import { WebWorld } from './testing.ts'
import type { Asked, LoggedIn } from './testing.ts'

let world: WebWorld

beforeEach(async () => {
  world = await WebWorld.start()
})

afterEach(() => world[Symbol.asyncDispose]())

/** Of any of the routes: fields that most of them read. */
const BODY = { name: 'x', role: 'viewer', topic: 't', to: 'end' }
const READS = ['GET', 'HEAD']

interface Served {
  readonly method: NonNullable<Asked['method']>
  readonly path: string
}

/** What the server itself says that it serves: its tree of paths, a step deeper each four characters. */
function servedRoutes(): readonly Served[] {
  const above: string[] = []
  return world.app
    .printRoutes({ commonPrefix: false })
    .split('\n')
    .flatMap((line) => {
      const [, branch = '', part = '', methods = ''] =
        /^((?:│ {3}| {4})*(?:└── |├── ))(.*?)(?: \((.+)\))?$/u.exec(line) ?? []
      if (branch === '') return []
      const depth = branch.length / 4 - 1
      above.splice(depth, above.length, part)
      const path = above.join('')
      return methods === ''
        ? []
        : methods.split(', ').map((method) => ({ method: method as Served['method'], path }))
    })
}

function call(session: LoggedIn | undefined, { method, path }: Served, more: Asked = {}) {
  return world.ask(path.replaceAll(/:\w+/gu, 'x'), {
    method,
    ...(session === undefined ? {} : { session }),
    ...(READS.includes(method) ? {} : { body: BODY }),
    ...more,
  })
}

const servedOf = ({
  method,
  path,
}: {
  readonly method: Served['method']
  readonly path: string
}): Served => ({
  method,
  path: `/api${path}`,
})

test('the server serves the routes of the page, a login and its end, files, health, and nothing else', () => {
  const routes = servedRoutes().filter(({ method }) => method !== 'HEAD')

  const names = routes.map(({ method, path }) => `${method} ${path}`).toSorted()
  expect(names).toEqual(
    [
      ...API_ROUTES.map(({ method, path }) => `${method} /api${path}`),
      'GET /',
      'GET /livez',
      'GET /metrics',
      'GET /readyz',
      'GET /api/session',
      'POST /api/login',
      'POST /api/logout',
    ].toSorted(),
  )
})

test('without a session nothing is told and nothing is done', async () => {
  for (const route of API_ROUTES.map(servedOf)) {
    const answer = await call(undefined, route)
    expect([route, answer.statusCode]).toEqual([route, 401])
  }
})

test('no role may do what is of a higher one, whatever it asks for', async () => {
  for (const role of ROLES) {
    const session = await world.login(role)
    const higher = API_ROUTES.filter((route) => ROLES.indexOf(route.role) > ROLES.indexOf(role))
    for (const route of higher.map(servedOf)) {
      const answer = await call(session, route)
      expect([role, route, answer.statusCode]).toEqual([role, route, 403])
    }
  }
})

const FORGED: readonly (readonly [what: string, headers: Asked['headers']])[] = [
  ['of another site', { 'sec-fetch-site': 'cross-site' }],
  ['of a neighbour', { 'sec-fetch-site': 'same-site' }],
  ['of an old browser on another site', { origin: 'https://elsewhere.example' }],
  ['of an old browser on another port', { origin: 'http://console.example:81' }],
  ['of a page without an origin', { origin: 'null' }],
  ['that does not say where it comes from', { origin: undefined }],
]

test.each(FORGED)('no route changes anything by a request %s', async (_what, headers) => {
  const session = await world.login('admin')
  const changing = servedRoutes().filter(({ method }) => !READS.includes(method))
  expect(changing.length).toBeGreaterThan(20)
  for (const route of changing) {
    const answer = await call(session, route, { headers: headers ?? {} })
    expect([route, answer.statusCode]).toEqual([route, 403])
  }

  expect(world.api.operations.newest).toEqual([])
  expect((await call(session, { method: 'GET', path: '/api/session' })).statusCode).toBe(200)
})

test('no route but the login changes anything without the token of its own session', async () => {
  const session = await world.login('admin')
  const other = await world.login('operator')
  const tokens = ['', 'x'.repeat(43), other.token, session.cookie.split('=')[1] ?? '']
  const changing = servedRoutes().filter(
    ({ method, path }) => !READS.includes(method) && path !== '/api/login',
  )
  for (const route of changing) {
    for (const token of tokens) {
      const answer = await call({ ...session, token }, route)
      expect([route, token, answer.statusCode]).toEqual([route, token, 403])
    }
    const query = `${route.path}?x-gantry-token=${session.token}`
    const inQuery = await call({ ...session, token: '' }, { ...route, path: query })
    expect([route, inQuery.statusCode]).toEqual([route, 403])
  }

  expect(world.api.operations.newest).toEqual([])
  expect((await call(session, { method: 'GET', path: '/api/session' })).statusCode).toBe(200)
})

test('with both, each of them is let through to what it asks for', async () => {
  const changing = servedRoutes().filter(
    ({ method, path }) => !READS.includes(method) && path !== '/api/login',
  )
  for (const route of changing) {
    const session = await world.login('admin')
    const answer = await call(session, route)
    expect([route, answer.statusCode === 403, answer.statusCode === 401]).toEqual([
      route,
      false,
      false,
    ])
  }
})

test('looking changes nothing, nor does a look that says it is something else', async () => {
  const session = await world.login('admin')
  const files = (): readonly string[] =>
    ['users.json', 'initial-password'].map((name) =>
      readFileSync(`${world.folder}/${name}`, 'utf8'),
    )
  const before = files()
  for (const route of servedRoutes()) {
    if (!READS.includes(route.method)) continue
    await call(session, route)
    const path = `${route.path}?_method=DELETE&role=viewer&name=x&confirm=true`
    const headers = { 'x-http-method-override': 'DELETE', 'x-gantry-token': session.token }
    await call(session, { ...route, path }, { headers })
  }

  expect(world.api.operations.newest).toEqual([])
  expect(files()).toEqual(before)
  expect(world.api.users.all.map(({ name }) => name)).toEqual(['admin', 'operator', 'viewer'])
})

test('methods that no route has are answered as pages that are not there', async () => {
  const session = await world.login('admin')
  const answers = [
    await world.ask('/api/topics', { method: 'PATCH', session, body: BODY }),
    await world.ask('/api/topics', { method: 'OPTIONS', session }),
    await world.ask('/api/login'),
    await world.ask('/api/logout', { session }),
  ]

  expect(answers.map(({ statusCode }) => statusCode)).toEqual([404, 404, 404, 404])
  for (const { headers } of answers) {
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([])
  }
})

test('every act is written down with who asked for it, also when it is refused', async () => {
  const viewer = await world.login('viewer')
  await call(viewer, { method: 'DELETE', path: '/api/topics/:topic' })
  const admin = await world.login('admin')
  await call(admin, { method: 'POST', path: '/api/users' })

  const told = world.api.operations.newest.map(({ userName, what, result }: OperationRow) => [
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
  const admin = await world.login('admin')
  const answer = await call(admin, { method: 'POST', path: '/api/users' })
  const { password } = answer.json<{ password: string }>()

  expect(password).toHaveLength(20)
  expect(JSON.stringify(world.api.operations.newest)).not.toContain(password)
})

test('every answer forbids what a page does not need', async () => {
  const session = await world.login('viewer')
  const answers = [
    await world.ask('/nowhere'),
    await world.ask('/api/login', { method: 'POST', headers: { 'content-type': 'text/plain' } }),
    await world.ask('/api/topics', { method: 'DELETE' }),
  ]
  for (const route of servedRoutes()) answers.push(await call(session, route))
  for (const { headers } of answers) {
    expect(headers['content-security-policy']).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    )
    expect(headers['x-content-type-options']).toBe('nosniff')
    expect(headers['x-frame-options']).toBe('DENY')
    expect(headers['referrer-policy']).toBe('no-referrer')
    expect(headers['cross-origin-opener-policy']).toBe('same-origin')
    expect(headers['cross-origin-resource-policy']).toBe('same-origin')
  }
})

test('what is told to a session is kept by no cache', async () => {
  const session = await world.login('viewer')
  for (const route of servedRoutes()) {
    if (!route.path.startsWith('/api/') || route.path === '/api/logout') continue
    const { headers } = await call(session, route)
    expect([route, headers['cache-control']]).toEqual([route, 'no-store'])
  }
})

test('before the first picture the page is told to wait', async () => {
  const session = await world.login('viewer')

  expect((await call(session, { method: 'GET', path: '/api/overview' })).statusCode).toBe(503)
})

test.each([
  ['a list', '[]', 400],
  ['no JSON', '{', 400],
  ['too large', JSON.stringify({ name: 'x'.repeat(200_000) }), 413],
])('a body that is %s is refused', async (_what, body, status) => {
  const session = await world.login('admin')
  const answer = await world.ask('/api/users', { method: 'POST', session, body })

  expect(answer.statusCode).toBe(status)
})

test('roles that exist are those that routes name', () => {
  const named = new Set<Role>(API_ROUTES.map(({ role }) => role))

  expect([...named].toSorted()).toEqual([...ROLES].toSorted())
})
