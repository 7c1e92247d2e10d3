import { afterEach, expect, test } from 'vitest'
import { AdminServer } from '../common/admin-server.ts'
import { silentLogger } from '../common/log.ts'
import { handOver } from './hand-over.ts'

const servers: AdminServer[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

interface Member {
  /** Requests for a transfer, after which it follows; Infinity: never. */
  readonly refusals: number
  readonly voters: number
  readonly role?: string
}

/** A member with an admin port, that refuses some transfers before it takes one. */
async function memberOf({ refusals, voters, role = 'leader' }: Member): Promise<{
  readonly url: string
  readonly asked: string[]
}> {
  const asked: string[] = []
  const members = Array.from({ length: voters }, (_, id) => ({ id, role: 'voter' }))
  const server = await AdminServer.listen({
    host: '127.0.0.1',
    port: 0,
    logger: silentLogger,
    routes: {
      'GET /admin/v1/raft': () => {
        const now = asked.length > refusals ? 'follower' : role
        return { status: 200, body: { role: now, members } }
      },
      'POST /admin/v1/raft/transfer': ({ body }) => {
        asked.push(body)
        return asked.length > refusals
          ? { status: 202, body: {} }
          : { status: 409, body: { reason: 'nobody has caught up' } }
      },
    },
  })
  servers.push(server)
  return { url: `http://127.0.0.1:${server.port}`, asked }
}

/** Time that passes by pausing. */
function time(): { readonly now: () => number; readonly pause: (ms: number) => Promise<void> } {
  let now = 0
  return {
    now: () => now,
    pause: (ms) => {
      now += ms
      return Promise.resolve()
    },
  }
}

test('a leader is asked until another leads', async () => {
  const { url, asked } = await memberOf({ refusals: 2, voters: 3 })

  const result = await handOver({ url, timeoutMs: 30_000, ...time() })

  expect(result).toBe('done')
  expect(asked).toEqual(['{"to":null}', '{"to":null}', '{"to":null}'])
})

test.each([
  ['a follower', { refusals: 0, voters: 3, role: 'follower' }],
  ['the only member', { refusals: 0, voters: 1 }],
])('%s is not asked at all', async (_what, member) => {
  const { url, asked } = await memberOf(member)

  const result = await handOver({ url, timeoutMs: 30_000, ...time() })

  expect(result).toBe('done')
  expect(asked).toEqual([])
})

test('a leader that nobody takes over from is left alone after the time', async () => {
  const { url } = await memberOf({ refusals: Number.POSITIVE_INFINITY, voters: 3 })
  const clock = time()

  const result = await handOver({ url, timeoutMs: 1_000, ...clock })

  expect(result).toBe('led')
  expect(clock.now()).toBe(1_000)
})

test('a process that does not answer any more is not waited for', async () => {
  const { url } = await memberOf({ refusals: 0, voters: 3 })
  await servers.pop()?.close()

  expect(await handOver({ url, timeoutMs: 1_000, ...time() })).toBe('done')
})
