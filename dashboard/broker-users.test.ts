import { expect, test } from 'vitest'
import { createRuntime } from '../common/runtime.ts'
import { encodeAclList, encodeUserList } from '../remoting/bodies/auth-bodies.ts'
import { LanguageCode, SerializeType } from '../remoting/command.ts'
import type { RemotingCommand } from '../remoting/command.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { BrokerUsers } from './broker-users.ts'

const { random } = createRuntime()
const USERS = encodeUserList([
  { username: 'olga', password: 'hush', userType: null, userStatus: null },
])
const ENTRY = { resource: '*', actions: ['Pub'], sourceIps: [], decision: 'Allow' }
const ACLS = encodeAclList([
  { subject: 'User:olga', policies: [{ policyType: null, entries: [ENTRY] }] },
])

/** Brokers that answer from what a test says, by address. */
class TestBrokers {
  readonly asked: string[] = []
  readonly silent = new Set<string>()
  readonly #config = new Map([['authenticationEnabled', 'true']])

  getBrokerConfig(broker: string): Promise<ReadonlyMap<string, string>> {
    this.asked.push(`${broker} config`)
    if (this.silent.has(broker)) return Promise.reject(new Error(`${broker} does not answer`))
    return Promise.resolve(this.#config)
  }

  ask(broker: string, { code }: { readonly code: number }): Promise<RemotingCommand> {
    this.asked.push(`${broker} ${code}`)
    return Promise.resolve({
      code: ResponseCode.SUCCESS,
      language: LanguageCode.JAVA,
      version: 0,
      opaque: 1,
      flag: 1,
      remark: null,
      extFields: new Map<string, string>(),
      body: code === RequestCode.AUTH_LIST_USER ? USERS : ACLS,
      serializeType: SerializeType.JSON,
    })
  }
}

const BROKERS = [
  { brokerName: 'a', address: 'a:1' },
  { brokerName: 'b', address: 'b:1' },
]

function world() {
  const admin = new TestBrokers()
  const clock = new SimulatedTime()
  return { admin, clock, users: new BrokerUsers({ admin, clock, random }) }
}

test('users of all broker groups are one list, with what each group makes of them', async () => {
  const { users } = world()

  const access = await users.read(BROKERS)

  const open = { authentication: true, authorization: false, problem: null }
  expect(access.brokers).toEqual([
    { brokerName: 'a', ...open },
    { brokerName: 'b', ...open },
  ])
  expect(access.users).toEqual([
    {
      name: 'olga',
      type: 'Normal',
      status: 'enable',
      on: ['a', 'b'],
      isSame: true,
      permissions: 1,
    },
  ])
  expect(access.permissions).toMatchObject([{ user: 'olga', resource: '*', on: ['a', 'b'] }])
  expect(JSON.stringify(access)).not.toContain('hush')
})

test('many who look ask the brokers once, until some time has passed or something was changed', async () => {
  const { admin, clock, users } = world()
  const each = BROKERS.length * 3

  await Promise.all([users.read(BROKERS), users.read(BROKERS)])
  expect(admin.asked.length).toBe(each)
  await clock.advance(5_000)
  await users.read(BROKERS)
  expect(admin.asked.length).toBe(each * 2)
  users.forget()
  await users.read(BROKERS)

  expect(admin.asked.length).toBe(each * 3)
})

test('a broker group without a leader, or that is silent, has a problem; the others are shown', async () => {
  const { admin, users } = world()
  admin.silent.add('b:1')

  const access = await users.read([...BROKERS, { brokerName: 'c', address: null }])

  expect(access.brokers.map(({ problem }) => problem)).toEqual([
    null,
    'b:1 does not answer',
    'it has no leader now',
  ])
  expect(access.users).toMatchObject([{ name: 'olga', on: ['a'] }])
})

test('secrets that are made are long, and never twice the same', () => {
  const { users } = world()

  const made = new Set(Array.from({ length: 100 }, () => users.newSecret()))

  expect(made.size).toBe(100)
  for (const secret of made) expect(secret).toMatch(/^[\w-]{24}$/u)
})
