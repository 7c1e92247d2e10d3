import { expect, test } from 'vitest'
import {
  decodeAclInfo,
  decodeAclList,
  decodeUserInfo,
  decodeUserList,
} from '../../remoting/bodies/auth-bodies.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { APP, ROOT, securedWorld } from './testing.ts'
import type { SecuredWorld } from './testing.ts'
import type { Credentials } from '../../common/credentials.ts'
import type { ResponseContent } from '../../remoting/command.ts'

const { SUCCESS, NO_PERMISSION, SYSTEM_ERROR, INVALID_PARAMETER } = ResponseCode

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function bodyOf({ body }: ResponseContent): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.alloc(0)
}

async function createUser(
  world: SecuredWorld,
  username: string,
  user: Readonly<Record<string, unknown>>,
  as: Credentials = ROOT,
): Promise<ResponseContent> {
  return world.ask(
    { code: RequestCode.AUTH_CREATE_USER, extFields: { username }, body: json(user) },
    as,
  )
}

async function putAcl(
  world: SecuredWorld,
  entries: readonly unknown[],
  subject: string = 'User:app',
): Promise<ResponseContent> {
  return world.ask({
    code: RequestCode.AUTH_CREATE_ACL,
    extFields: { subject },
    body: json({ policies: [{ entries }] }),
  })
}

const PUB_ORDERS = { resource: 'Topic:orders*', actions: ['Pub'], decision: 'Allow' }

async function withApp(): Promise<SecuredWorld> {
  const world = await securedWorld()
  expect((await createUser(world, 'app', { password: APP.secretKey })).code).toBe(SUCCESS)
  return world
}

test('a user is created as a normal one that is enabled, listed, changed and deleted', async () => {
  const world = await withApp()
  const get = () => world.ask({ code: RequestCode.AUTH_GET_USER, extFields: { username: 'app' } })

  expect(decodeUserInfo(bodyOf(await get()))).toEqual({
    username: 'app',
    password: APP.secretKey,
    userType: 'Normal',
    userStatus: 'enable',
  })
  await world.ask({
    code: RequestCode.AUTH_UPDATE_USER,
    extFields: { username: 'app' },
    body: json({ userStatus: 'disable' }),
  })
  expect(decodeUserInfo(bodyOf(await get()))).toMatchObject({
    userStatus: 'disable',
    password: APP.secretKey,
  })
  const listed = await world.ask({ code: RequestCode.AUTH_LIST_USER, extFields: { filter: 'p' } })
  expect(decodeUserList(bodyOf(listed)).map(({ username }) => username)).toEqual(['app'])
  await world.ask({ code: RequestCode.AUTH_DELETE_USER, extFields: { username: 'app' } })
  expect(await get()).toEqual({ code: SUCCESS })
})

test('two users of one name cannot be, and what is not there is not changed', async () => {
  const world = await withApp()

  expect(await createUser(world, 'app', { password: 'p' })).toEqual({
    code: NO_PERMISSION,
    remark: 'The user is existed',
  })
  const update = { code: RequestCode.AUTH_UPDATE_USER, extFields: { username: 'x' } }
  expect(await world.ask({ ...update, body: json({ password: 'p' }) })).toEqual({
    code: NO_PERMISSION,
    remark: 'The user is not exist',
  })
  const unknown = { code: RequestCode.AUTH_DELETE_USER, extFields: { username: 'x' } }
  expect((await world.ask(unknown)).code).toBe(SUCCESS)
})

test.each([
  ['', { password: 'p' }, INVALID_PARAMETER, 'The username is blank'],
  ['u', {}, NO_PERMISSION, 'password can not be blank'],
  ['u', { password: ' ' }, NO_PERMISSION, 'password can not be blank'],
  ['u', { password: 'p', userType: 'Admin' }, NO_PERMISSION, 'The user type Admin is unknown.'],
  ['u', { password: 'p', userStatus: 'on' }, NO_PERMISSION, 'The user status on is unknown.'],
  ['u'.repeat(256), { password: 'p' }, NO_PERMISSION, 'username is over 255 characters'],
  ['u', { password: 'p'.repeat(1025) }, NO_PERMISSION, 'password is over 1024 characters'],
  ['a\tb', { password: 'p' }, NO_PERMISSION, 'username has control characters'],
])('the user %j with %j is refused', async (username, user, code, remark) => {
  const world = await securedWorld()

  expect(await createUser(world, username, user)).toEqual({ code, remark })
})

test('a normal user with rights to the cluster makes no super users, and is shown no passwords', async () => {
  const world = await withApp()
  await putAcl(world, [{ resource: 'Cluster:*', actions: ['All'], decision: 'Allow' }])

  expect(await createUser(world, 'x', { password: 'p', userType: 'Super' }, APP)).toEqual({
    code: SYSTEM_ERROR,
    remark: 'The super user can only be create by super user',
  })
  const change = (username: string, user: unknown) =>
    world.ask(
      { code: RequestCode.AUTH_UPDATE_USER, extFields: { username }, body: json(user) },
      APP,
    )
  const onlySuper = 'The super user can only be update by super user'
  expect((await change('app', { userType: 'Super' })).remark).toBe(onlySuper)
  expect((await change('root', { password: 'mine' })).remark).toBe(onlySuper)
  const gone = { code: RequestCode.AUTH_DELETE_USER, extFields: { username: 'root' } }
  expect((await world.ask(gone, APP)).remark).toBe(onlySuper)
  const listed = await world.ask({ code: RequestCode.AUTH_LIST_USER }, APP)
  expect(decodeUserList(bodyOf(listed)).map(({ password }) => password)).toEqual([null, null])
  expect((await createUser(world, 'y', { password: 'p' }, APP)).code).toBe(SUCCESS)
})

test('an entry of a policy replaces the one of its resource, others are added', async () => {
  const world = await withApp()
  await putAcl(world, [PUB_ORDERS, { resource: 'Group:g', actions: ['Sub'], decision: 'Deny' }])
  await putAcl(world, [
    { ...PUB_ORDERS, actions: ['pub', 'SUB'], sourceIps: ['10.0.0.0/8'], decision: 'deny' },
    { resource: 'topic:new', actions: ['All'], decision: 'Allow' },
  ])

  const got = await world.ask({
    code: RequestCode.AUTH_GET_ACL,
    extFields: { subject: 'User:app' },
  })
  expect(decodeAclInfo(bodyOf(got))).toEqual({
    subject: 'User:app',
    policies: [
      {
        policyType: 'Custom',
        entries: [
          {
            resource: 'Topic:orders*',
            actions: ['Pub', 'Sub'],
            sourceIps: ['10.0.0.0/8'],
            decision: 'Deny',
          },
          { resource: 'Group:g', actions: ['Sub'], sourceIps: [], decision: 'Deny' },
          { resource: 'Topic:new', actions: ['All'], sourceIps: [], decision: 'Allow' },
        ],
      },
    ],
  })
})

test('an entry is deleted by its resource, the last one with the policies', async () => {
  const world = await withApp()
  await putAcl(world, [PUB_ORDERS, { resource: '*', actions: ['Get'], decision: 'Allow' }])
  const remove = (extFields: Readonly<Record<string, string>>) =>
    world.ask({ code: RequestCode.AUTH_DELETE_ACL, extFields })
  const list = async (extFields: Readonly<Record<string, string>> = {}) => {
    const listed = await world.ask({ code: RequestCode.AUTH_LIST_ACL, extFields })
    return decodeAclList(bodyOf(listed)).flatMap(({ policies }) =>
      policies.flatMap(({ entries }) => entries.map(({ resource }) => resource)),
    )
  }

  expect(await list()).toEqual(['Topic:orders*', '*'])
  expect(await list({ resourceFilter: 'orders' })).toEqual(['Topic:orders*'])
  expect(await list({ subjectFilter: 'other' })).toEqual([])
  await remove({ subject: 'User:app', resource: '*' })
  expect(await list()).toEqual(['Topic:orders*'])
  await remove({ subject: 'User:app', resource: 'Topic:orders*' })
  expect(await list()).toEqual([])
  expect(await remove({ subject: 'User:app' })).toEqual({
    code: NO_PERMISSION,
    remark: 'The acl is not exist.',
  })
})

test.each([
  [{}, 'The resource is null.'],
  [{ resource: 'Queue:a' }, 'The resource type Queue is unknown.'],
  [{ resource: 'Topic:' }, 'The resource Topic: has no name.'],
  [{ resource: 'Topic:a*b*' }, 'The resource Topic:a*b* has a * inside.'],
  [{ ...PUB_ORDERS, actions: [] }, 'The actions is empty.'],
  [{ ...PUB_ORDERS, actions: ['Any'] }, 'The actions can not be Any.'],
  [{ ...PUB_ORDERS, actions: ['Send'] }, 'The action Send is unknown.'],
  [{ ...PUB_ORDERS, sourceIps: [''] }, 'The source ip is empty.'],
  [{ ...PUB_ORDERS, sourceIps: ['10.0.0'] }, 'The source ip is invalid: 10.0.0'],
  [{ ...PUB_ORDERS, decision: 'Maybe' }, 'The decision is null or illegal.'],
])('the entry %j is refused', async (entry, remark) => {
  const world = await withApp()

  expect(await putAcl(world, [entry])).toEqual({ code: NO_PERMISSION, remark })
})

test('policies are for users that are there, and have bounds', async () => {
  const world = await withApp()
  const many = Array.from({ length: 1001 }, (_, at) => ({
    ...PUB_ORDERS,
    resource: `Topic:t${at}`,
  }))

  expect(await putAcl(world, [PUB_ORDERS], 'User:x')).toEqual({
    code: NO_PERMISSION,
    remark: 'The subject of User:x is not exist.',
  })
  await expect(putAcl(world, [PUB_ORDERS], 'Role:x')).rejects.toThrow(/User:<username>/u)
  expect((await putAcl(world, many)).remark).toMatch(/more than 1000/u)
  expect((await putAcl(world, [])).remark).toBe('The policy entries is empty.')
})

test('users and policies outlive the broker, in the file and in the log', async () => {
  const world = await withApp()
  await putAcl(world, [PUB_ORDERS])

  const { time, disk } = world
  disk.crash()
  const again = await securedWorld({}, { time, disk })

  expect(again.parts.users.user('app')?.password).toBe(APP.secretKey)
  expect(again.parts.users.policies('app')[0]?.entries[0]?.resource.key).toBe('Topic:orders*')
})
