import { afterEach, expect, test } from 'vitest'
import { AdminServer } from '../common/admin-server.ts'
import type { AdminRoutes } from '../common/admin-server.ts'
import { silentLogger } from '../common/log.ts'
import { createRuntime } from '../common/runtime.ts'
import { createDataPlanes } from './data-plane.ts'
import type { DataPlane, PodEndpoint } from './ports.ts'

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

function dataPlane(): DataPlane & AsyncDisposable {
  const planes = createDataPlanes({ runtime: createRuntime(), logger: silentLogger })
  return { ...planes.as(null), [Symbol.asyncDispose]: () => planes[Symbol.asyncDispose]() }
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

test.each([
  [409, { reason: 'another transfer is under way' }, /another transfer is under way/],
  [503, { error: 'recovering' }, /recovering/],
  [404, 'nothing', /HTTP 404/],
])('a refusal with status %i says why: %j', async (status, body, expected) => {
  const pod = await serve({ 'POST /admin/v1/raft/transfer': () => ({ status, body }) })
  await using plane = dataPlane()

  await expect(plane.transferLeadership(pod, 1)).rejects.toThrow(expected)
})

test('transfers and changes of the members are asked for as the contract says', async () => {
  const bodies: string[] = []
  const take = ({ body }: { readonly body: string }): { status: number; body: string } => {
    bodies.push(body)
    return { status: 202, body: '' }
  }
  const pod = await serve({
    'POST /admin/v1/raft/transfer': take,
    'POST /admin/v1/raft/members': take,
  })
  await using plane = dataPlane()

  await plane.transferLeadership(pod, null)
  await plane.removeMember(pod, 4)

  expect(bodies).toEqual(['{"to":null}', '{"remove":4}'])
})

const RAFT = {
  id: 0,
  incarnation: 7,
  role: 'leader',
  term: 3,
  leader: 0,
  isReady: true,
  commitOffset: 100,
  endOffset: 120,
  members: [{ id: 0, role: 'voter', incarnation: 7, address: 'a:40911' }],
  peers: [{ id: 1, matchOffset: 90, lagBytes: 30, ticksSinceAnswer: 1 }],
}

test('the facts of a leader are read with its members and what it knows of them', async () => {
  const pod = await serve({ 'GET /admin/v1/raft': () => ({ status: 200, body: RAFT }) })
  await using plane = dataPlane()

  expect(await plane.raft(pod)).toEqual(RAFT)
})

test.each([
  ['a role that nobody has', { role: 'king' }],
  ['no readiness', { isReady: undefined }],
  ['a member of no known kind', { members: [{ ...RAFT.members[0], role: 'guest' }] }],
  ['members that are no list', { members: {} }],
])('facts with %s are unknown', async (_what, change) => {
  const body = { ...RAFT, ...change }
  const pod = await serve({ 'GET /admin/v1/raft': () => ({ status: 200, body }) })
  await using plane = dataPlane()

  expect(await plane.raft(pod)).toBeNull()
})
