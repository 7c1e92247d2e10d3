import net from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { ADMIN_MAX_BODY_BYTES, AdminError, AdminServer, commonAdminRoutes } from './admin-server.ts'
import type { AdminRoutes } from './admin-server.ts'
import { systemCodeOf } from './errors.ts'
import { silentLogger } from './log.ts'
import { Gauge, createRegistry } from './metrics.ts'

const servers: AdminServer[] = []

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()))
})

async function serve(routes: AdminRoutes): Promise<string> {
  const server = await AdminServer.listen({
    host: '127.0.0.1',
    port: 0,
    routes,
    logger: silentLogger,
  })
  servers.push(server)
  return `http://127.0.0.1:${server.port}`
}

test('health follows the role, and says why it is not ready', async () => {
  const registry = createRegistry({ cluster: 'c', nodeType: 'nameserver', nodeId: 'n' })
  let problem: string | null = 'recovering'
  const origin = await serve(
    commonAdminRoutes(
      { isLive: () => true, notReady: () => problem, notStarted: () => null },
      registry,
    ),
  )

  const before = await fetch(`${origin}/readyz`)
  problem = null
  const after = await fetch(`${origin}/readyz`)

  expect(before.status).toBe(503)
  expect(await before.json()).toEqual({ error: 'recovering' })
  expect(after.status).toBe(200)
  expect((await fetch(`${origin}/livez`)).status).toBe(200)
})

test('metrics are served in the text format with the common labels', async () => {
  const registry = createRegistry({ cluster: 'c', nodeType: 'nameserver', nodeId: 'n' })
  new Gauge({ name: 'rocketmq_topic_number', help: 'Topics.', registers: [registry] }).set(7)
  const origin = await serve(
    commonAdminRoutes(
      { isLive: () => true, notReady: () => null, notStarted: () => null },
      registry,
    ),
  )

  const text = await (await fetch(`${origin}/metrics`)).text()

  expect(text).toContain('rocketmq_topic_number{cluster="c",node_type="nameserver",node_id="n"} 7')
})

test('a handler gets query and body, and its object is answered as JSON', async () => {
  const origin = await serve({
    'POST /echo': ({ query, body }) => ({ status: 201, body: { a: query.get('a'), body } }),
  })

  const answer = await fetch(`${origin}/echo?a=1`, { method: 'POST', body: 'x' })

  expect(answer.status).toBe(201)
  expect(await answer.json()).toEqual({ a: '1', body: 'x' })
})

test.for([
  ['GET', '/none', 404, 'no such path: /none'],
  ['GET', '/only-post', 405, '/only-post does not take GET'],
  ['POST', '/only-post', 409, 'the term is 8'],
  ['GET', '/broken', 500, 'unforeseen'],
] as const)('%s %s is answered %d with a sentence', async ([method, path, status, error]) => {
  const origin = await serve({
    'POST /only-post': () => {
      throw new AdminError('conflict', 'the term is 8')
    },
    'GET /broken': () => {
      throw new Error('unforeseen')
    },
  })

  const answer = await fetch(`${origin}${path}`, { method })

  expect(answer.status).toBe(status)
  expect(await answer.json()).toEqual({ error })
})

test('a body over the limit is refused', async () => {
  const origin = await serve({ 'POST /echo': ({ body }) => ({ status: 200, body }) })

  const answer = await fetch(`${origin}/echo`, {
    method: 'POST',
    body: 'x'.repeat(ADMIN_MAX_BODY_BYTES + 1),
  })

  expect(answer.status).toBe(413)
})

test('a busy port rejects with the error of the system', async () => {
  const taken = net.createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  const address = taken.address()
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0

  const failure: unknown = await AdminServer.listen({
    host: '127.0.0.1',
    port,
    routes: {},
    logger: silentLogger,
  }).catch((error: unknown) => error)
  taken.close()

  expect(systemCodeOf(failure)).toBe('EADDRINUSE')
})
