import { afterEach, expect, test } from 'vitest'
import { AdminServer } from '../common/admin-server.ts'
import type { AdminRoutes } from '../common/admin-server.ts'
import { silentLogger } from '../common/log.ts'
import { createRuntime } from '../common/runtime.ts'
import { createDataPlane } from './data-plane.ts'
import type { PodEndpoint } from './ports.ts'

const servers: AdminServer[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

async function serve(routes: AdminRoutes): Promise<PodEndpoint> {
  const server = await AdminServer.listen({
    host: '127.0.0.1',
    port: 0,
    routes,
    logger: silentLogger,
  })
  servers.push(server)
  return { pod: 'prod-broker-0-0', host: '127.0.0.1', remotingPort: 1, adminPort: server.port }
}

function dataPlane(): ReturnType<typeof createDataPlane> {
  return createDataPlane({ runtime: createRuntime(), logger: silentLogger })
}

test('the configuration of a broker is read with what is live', async () => {
  const entries = { traceOn: { value: 'true', live: true, default: 'true' } }
  const pod = await serve({ 'GET /admin/v1/config': () => ({ status: 200, body: { entries } }) })
  await using plane = dataPlane()

  expect(await plane.config(pod)).toEqual({ entries })
})

test.each([
  ['an error answer', 503, { error: 'recovering' }],
  ['an answer without lags', 200, { group: 'g', brokerPermission: 4 }],
  [
    'a count that is no number',
    200,
    { group: 'g', lags: [], inFlightSends: '0', broadcastGroups: [] },
  ],
])('drain facts from %s are unknown, not zero', async (_what, status, body) => {
  const pod = await serve({ 'GET /admin/v1/drain': () => ({ status, body }) })
  await using plane = dataPlane()

  expect(await plane.drain(pod)).toBeNull()
})

test('a server that is not there is unknown', async () => {
  const pod = await serve({})
  await using plane = dataPlane()

  expect(await plane.registrations(pod)).toBeNull()
  expect(await plane.hasMetadataOf(pod, pod)).toBeNull()
})

test('a refused transfer says why', async () => {
  const body = { error: 'prod-broker-0-1 lags behind' }
  const pod = await serve({ 'POST /admin/v1/raft/transfer': () => ({ status: 409, body }) })
  await using plane = dataPlane()

  await expect(plane.transferLeadership(pod, 'prod-broker-0-1', 3)).rejects.toThrow(/lags behind/)
})
