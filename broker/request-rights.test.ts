import { expect, test } from 'vitest'
import { isLoopback } from '../common/host-address.ts'
import { requestCodeName } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { ADMIN_CODES, CLIENT_CODES, withRights } from './request-rights.ts'
import { FakeConnection, FakeRequest } from './testing.ts'
import { createBrokerWorld } from './testing-world.ts'

const success = (request: { respond(response: { code: number }): void }): void =>
  request.respond({ code: ResponseCode.SUCCESS })

class LocalConnection extends FakeConnection {
  override readonly remoteHost = '127.0.0.1'
}

async function answerOf(code: number, allowed: boolean, isLocal: boolean): Promise<number> {
  const connection = isLocal ? new LocalConnection(1) : new FakeConnection(1)
  const request = new FakeRequest({ code, connection })
  const config = { values: { allowUnauthenticatedAdmin: allowed } }
  await withRights(code, success, config)(request)
  return request.response?.code ?? -1
}

test('every code that a broker serves is either for clients or for administrators', async () => {
  const { processors } = await createBrokerWorld()
  const listed = [...CLIENT_CODES, ...ADMIN_CODES]

  const missing = [...processors.byCode.keys()].filter(
    (code) => !listed.some((each) => each === code),
  )

  expect(missing.map(requestCodeName)).toEqual([])
  expect(new Set(listed).size).toBe(listed.length)
})

test('without authentication everybody may administer as long as that is allowed', async () => {
  for (const code of ADMIN_CODES) {
    expect(await answerOf(code, true, false)).toBe(ResponseCode.SUCCESS)
  }
})

test('when it is not, only this machine may; clients are served as before', async () => {
  for (const code of ADMIN_CODES) {
    expect(await answerOf(code, false, false)).toBe(ResponseCode.NO_PERMISSION)
    expect(await answerOf(code, false, true)).toBe(ResponseCode.SUCCESS)
  }
  for (const code of CLIENT_CODES) {
    expect(await answerOf(code, false, false)).toBe(ResponseCode.SUCCESS)
  }
})

test('a code in neither list is refused then', async () => {
  expect(await answerOf(4711, false, false)).toBe(ResponseCode.NO_PERMISSION)
})

test.each([
  ['127.0.0.1', true],
  ['127.8.0.1', true],
  ['::1', true],
  ['::ffff:127.0.0.1', true],
  ['10.0.0.1', false],
  ['::2', false],
  ['localhost', false],
])('%s is of this machine: %s', (host, expected) => {
  expect(isLoopback(host)).toBe(expected)
})
