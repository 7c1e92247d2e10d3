import { expect, test } from 'vitest'
import { isLoopback } from '../common/host-address.ts'
import { RequestCode, requestCodeName } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { ADMIN_CODES, CLIENT_CODES, withRights } from './request-rights.ts'
import { FakeConnection, FakeRequest } from './testing.ts'
import { createBrokerWorld } from './testing-world.ts'

const success = (request: { respond(response: { code: number }): void }): void =>
  request.respond({ code: ResponseCode.SUCCESS })

interface Asked {
  readonly code: number
  /** The addresses of the socket, and what a PROXY header says: the same where there is none. */
  readonly from?: string
  readonly proxied?: string
  readonly to?: string
  readonly topic?: string
  readonly isForwarded?: boolean
  readonly isOpen?: boolean
  readonly createsTopics?: boolean
  readonly isSigned?: boolean
}

class ConnectionOf extends FakeConnection {
  override readonly remoteHost: string
  override readonly localHost: string
  readonly #socketHost: string

  constructor({ from = '10.0.0.7', proxied = from, to = '10.0.0.1' }: Asked) {
    super(1)
    this.remoteHost = proxied
    this.localHost = to
    this.#socketHost = from
  }

  override get socketHost(): string {
    return this.#socketHost
  }
}

async function answerOf(asked: Asked): Promise<number> {
  const { code, topic = '', isOpen = false, createsTopics = true, isSigned = false } = asked
  const mark = asked.isForwarded === true ? { gantryForwarded: 'true' } : {}
  const connection = new ConnectionOf(asked)
  const request = new FakeRequest({ code, extFields: { topic, ...mark }, connection })
  await withRights(code, success, {
    config: { values: { allowUnauthenticatedAdmin: isOpen, autoCreateTopicEnable: createsTopics } },
    topics: { get: (name) => (name === 'Known' ? {} : undefined) },
    isOfSuperUser: () => isSigned,
  })(request)
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

test('without access control everybody may administer where that is allowed', async () => {
  for (const code of ADMIN_CODES) {
    expect(await answerOf({ code, isOpen: true })).toBe(ResponseCode.SUCCESS)
  }
})

test('where it is not, only administrators may; clients are served all the same', async () => {
  for (const code of ADMIN_CODES) {
    const ask = { code, topic: 'Known' }
    expect(await answerOf(ask)).toBe(ResponseCode.NO_PERMISSION)
    expect(await answerOf({ ...ask, from: '127.0.0.1' })).toBe(ResponseCode.SUCCESS)
    expect(await answerOf({ ...ask, isSigned: true })).toBe(ResponseCode.SUCCESS)
  }
  for (const code of CLIENT_CODES) expect(await answerOf({ code })).toBe(ResponseCode.SUCCESS)
})

test('a code in neither list is refused then', async () => {
  expect(await answerOf({ code: 4711 })).toBe(ResponseCode.NO_PERMISSION)
})

test.each<[string, Omit<Asked, 'code'>, boolean]>([
  ['its own address on the network', { from: '10.0.0.1' }, true],
  ['the loopback of IPv6', { from: '::1', to: '::1' }, true],
  ['another machine', { from: '10.0.0.7' }, false],
  ['another machine that says it were this one', { proxied: '127.0.0.1' }, false],
  ['another machine that says the address of this one', { proxied: '10.0.0.1' }, false],
  ['a proxy on this machine, for another', { from: '127.0.0.1', proxied: '10.0.0.7' }, false],
  [
    'another member on this machine, for who knows whom',
    { from: '127.0.0.1', isForwarded: true },
    false,
  ],
  ['a proxy on this machine, for it', { from: '127.0.0.1', proxied: '127.0.0.1' }, true],
])('%s: as from this machine %j %s', async (_who, asked, expected) => {
  const code = await answerOf({ code: RequestCode.UPDATE_BROKER_CONFIG, ...asked })

  expect(code === ResponseCode.SUCCESS).toBe(expected)
})

test.each<[string, Omit<Asked, 'code'>, boolean]>([
  ['from a private address', {}, true],
  ['from a private address of IPv6', { from: 'fd00::7' }, true],
  ['from elsewhere', { from: '203.0.113.7' }, false],
  [
    'from elsewhere with a private address in a PROXY header',
    { from: '203.0.113.7', proxied: '10.0.0.7' },
    false,
  ],
  ['from elsewhere through a balancer nearby', { proxied: '203.0.113.7' }, false],
  ['through another member', { isForwarded: true }, false],
  ['that is there already', { topic: 'Known' }, false],
  ['where sending to it would not make it', { createsTopics: false }, false],
])('a topic may be made by anybody %s: %j %s', async (_how, asked, expected) => {
  const code = RequestCode.UPDATE_AND_CREATE_TOPIC
  const answer = await answerOf({ code, topic: 'New', ...asked })

  expect(answer === ResponseCode.SUCCESS).toBe(expected)
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
