import { expect, test } from 'vitest'
import { securedWorld } from '../broker/auth/testing.ts'
import { AuthAdmin } from '../client/auth-admin.ts'
import { rejection } from '../client/errors.ts'
import { NO_BODY } from '../remoting/command.ts'
import { FakeRequest } from '../broker/testing.ts'
import { copyUsers, missingUsers } from './copy-users.ts'
import type { AdminClient } from '../client/admin.ts'
import type { RemotingCommand, RequestContent } from '../remoting/command.ts'

const ALLOW = {
  resource: 'Topic:a*',
  actions: ['Pub'],
  sourceIps: ['10.0.0.0/8'],
  decision: 'Allow',
}

/** Two broker groups with users of their own; the administrator is a super user. */
async function twoGroups(): Promise<Pick<AdminClient, 'ask'>> {
  const groups = new Map([
    ['source', await securedWorld()],
    ['target', await securedWorld()],
  ])
  return {
    ask: async (address: string, request: RequestContent): Promise<RemotingCommand> => {
      const group = groups.get(address)
      if (group === undefined) throw new Error(`no group ${address}`)
      const fields = request.extFields instanceof Map ? request.extFields : new Map()
      const extFields = { ...Object.fromEntries(fields), ...plain(request.extFields) }
      const answer = await group.ask({ ...request, extFields })
      const { command } = new FakeRequest({ code: answer.code })
      const body = Buffer.isBuffer(answer.body) ? answer.body : NO_BODY
      const result = { ...command, remark: answer.remark ?? null, body }
      if (answer.code !== 0) throw rejection('ask', result)
      return result
    },
  }
}

function plain(fields: RequestContent['extFields']): Readonly<Record<string, string>> {
  if (fields === undefined || fields instanceof Map) return {}
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}

test('a new group gets the users and policies of another one, and then lacks nothing', async () => {
  const admin = await twoGroups()
  const auth = new AuthAdmin(admin)
  await auth.createUser('source', 'app', { password: 'p', userStatus: 'disable' })
  await auth.putAcl('source', 'User:app', [{ policyType: 'Custom', entries: [ALLOW] }])

  const before = await missingUsers(admin, 'source', 'target')
  await copyUsers(admin, 'source', 'target')

  expect(before.users.map(({ username }) => username)).toEqual(['app'])
  expect(before.acls.map(({ subject }) => subject)).toEqual(['User:app'])
  expect(await missingUsers(admin, 'source', 'target')).toEqual({ users: [], acls: [] })
  expect(await auth.user('target', 'app')).toMatchObject({ password: 'p', userStatus: 'disable' })
  expect(await auth.acl('target', 'User:app')).toEqual(await auth.acl('source', 'User:app'))
})

test('a password that was changed is carried over; what the new group has besides stays', async () => {
  const admin = await twoGroups()
  const auth = new AuthAdmin(admin)
  await auth.createUser('source', 'app', { password: 'new' })
  await auth.createUser('target', 'app', { password: 'old' })
  await auth.createUser('target', 'own', { password: 'x' })

  await copyUsers(admin, 'source', 'target')

  expect((await auth.user('target', 'app'))?.password).toBe('new')
  expect((await auth.user('target', 'own'))?.password).toBe('x')
})
