import { expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import {
  decodeAclInfo,
  decodeUserInfo,
  encodeAclInfo,
  encodeAclList,
  encodeUserInfo,
  encodeUserList,
} from '../remoting/bodies/auth-bodies.ts'
import { RemotingClient } from '../remoting/client.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { isSigned } from '../remoting/signature.ts'
import { AdminClient } from './admin.ts'
import { AuthAdmin } from './auth-admin.ts'
import { startServer, testRuntime } from './testing.ts'
import type { Answer } from './testing.ts'

const done: Answer = () => ({ code: ResponseCode.SUCCESS })
const USER = { username: 'app', password: null, userType: 'Normal', userStatus: 'enable' }
const POLICIES = [
  {
    policyType: 'Custom',
    entries: [{ resource: 'Topic:a', actions: ['Pub'], sourceIps: [], decision: 'Allow' }],
  },
]

async function withBroker(
  answers: Readonly<Record<number, Answer>>,
  use: (auth: AuthAdmin, address: string) => Promise<void>,
) {
  await using broker = await startServer(answers)
  await using client = new RemotingClient({
    ...testRuntime,
    logger: silentLogger,
    credentials: () => ({ accessKey: 'root', secretKey: 'secret' }),
  })
  await use(new AuthAdmin(new AdminClient(client)), broker.address)
  return broker.requests.map(({ command }) => command)
}

test('users are created and changed with what is said of them', async () => {
  const commands = await withBroker(
    { [RequestCode.AUTH_CREATE_USER]: done, [RequestCode.AUTH_UPDATE_USER]: done },
    async (auth, address) => {
      await auth.createUser(address, 'app', { password: 'p', userType: 'Super' })
      await auth.updateUser(address, 'app', { userStatus: 'disable' })
    },
  )

  expect(commands.map(({ extFields }) => extFields.get('username'))).toEqual(['app', 'app'])
  expect(commands.map(({ body }) => decodeUserInfo(Buffer.from(body)))).toEqual([
    { username: 'app', password: 'p', userType: 'Super', userStatus: null },
    { username: 'app', password: null, userType: null, userStatus: 'disable' },
  ])
})

test('a user and policies that are not there are null, lists empty', async () => {
  await withBroker(
    {
      [RequestCode.AUTH_GET_USER]: done,
      [RequestCode.AUTH_LIST_USER]: done,
      [RequestCode.AUTH_GET_ACL]: done,
      [RequestCode.AUTH_LIST_ACL]: done,
    },
    async (auth, address) => {
      expect(await auth.user(address, 'app')).toBe(null)
      expect(await auth.users(address)).toEqual([])
      expect(await auth.acl(address, 'User:app')).toBe(null)
      expect(await auth.acls(address)).toEqual([])
    },
  )
})

test('what a broker tells is read', async () => {
  const acl = { subject: 'User:app', policies: POLICIES }
  const answer =
    (body: Buffer): Answer =>
    () => ({ code: ResponseCode.SUCCESS, body })
  const commands = await withBroker(
    {
      [RequestCode.AUTH_GET_USER]: answer(encodeUserInfo(USER)),
      [RequestCode.AUTH_LIST_USER]: answer(encodeUserList([USER])),
      [RequestCode.AUTH_GET_ACL]: answer(encodeAclInfo(acl)),
      [RequestCode.AUTH_LIST_ACL]: answer(encodeAclList([acl])),
    },
    async (auth, address) => {
      expect(await auth.user(address, 'app')).toEqual(USER)
      expect(await auth.users(address, 'ap')).toEqual([USER])
      expect(await auth.acl(address, 'User:app')).toEqual(acl)
      expect(await auth.acls(address, { subjectFilter: 'app' })).toEqual([acl])
    },
  )

  expect(commands[1]?.extFields.get('filter')).toBe('ap')
  expect(commands[3]?.extFields.get('subjectFilter')).toBe('app')
})

test('policies are put and taken away, users deleted', async () => {
  const commands = await withBroker(
    {
      [RequestCode.AUTH_UPDATE_ACL]: done,
      [RequestCode.AUTH_DELETE_ACL]: done,
      [RequestCode.AUTH_DELETE_USER]: done,
    },
    async (auth, address) => {
      await auth.putAcl(address, 'User:app', POLICIES)
      await auth.deleteAcl(address, 'User:app', { resource: 'Topic:a' })
      await auth.deleteUser(address, 'app')
    },
  )

  const [put, taken, deleted] = commands
  expect(decodeAclInfo(Buffer.from(put?.body ?? ''))).toEqual({
    subject: 'User:app',
    policies: POLICIES,
  })
  expect(taken?.extFields.get('resource')).toBe('Topic:a')
  expect(deleted?.extFields.get('username')).toBe('app')
})

test('a client with credentials signs each request', async () => {
  const commands = await withBroker(
    { [RequestCode.AUTH_DELETE_USER]: done },
    async (auth, address) => {
      await auth.deleteUser(address, 'app')
    },
  )

  expect(commands[0]?.extFields.get('AccessKey')).toBe('root')
  expect(commands.every((command) => isSigned(command, 'secret'))).toBe(true)
})
