import { expect, test } from 'vitest'
import { mergePermissions, mergeUsers } from './cluster-users.ts'
import type { AclInfo, PolicyEntryInfo, UserInfo } from '../remoting/bodies/auth-bodies.ts'

const user = (username: string, more: Partial<UserInfo> = {}): UserInfo => ({
  username,
  password: 'hush',
  userType: 'Normal',
  userStatus: 'enable',
  ...more,
})
const acl = (username: string, ...entries: readonly Partial<PolicyEntryInfo>[]): AclInfo => ({
  subject: `User:${username}`,
  policies: [
    {
      policyType: 'Custom',
      entries: entries.map((entry) => ({
        resource: 'Topic:t',
        actions: ['Pub'],
        sourceIps: [],
        decision: 'Allow',
        ...entry,
      })),
    },
  ],
})

test('a user that is on all broker groups is one row, without a secret', () => {
  const merged = mergeUsers([
    { brokerName: 'a', entries: [user('olga'), user('alan', { userType: 'Super' })] },
    { brokerName: 'b', entries: [user('alan', { userType: 'Super' }), user('olga')] },
  ])

  expect(merged).toEqual([
    { name: 'alan', type: 'Super', status: 'enable', on: ['a', 'b'], isSame: true },
    { name: 'olga', type: 'Normal', status: 'enable', on: ['a', 'b'], isSame: true },
  ])
  expect(JSON.stringify(merged)).not.toContain('hush')
})

test('what broker groups say differently of a user is marked, and so is where it is', () => {
  const merged = mergeUsers([
    { brokerName: 'a', entries: [user('olga')] },
    { brokerName: 'b', entries: [user('olga', { userStatus: 'disable' })] },
    { brokerName: 'c', entries: [user('olga'), user('new')] },
  ])

  expect(merged).toMatchObject([
    { name: 'new', on: ['c'], isSame: true },
    { name: 'olga', status: 'enable', on: ['a', 'b', 'c'], isSame: false },
  ])
})

test('permissions are compared whatever the order of their actions', () => {
  const merged = mergePermissions([
    { brokerName: 'a', entries: [acl('olga', { actions: ['Sub', 'Pub'] })] },
    { brokerName: 'b', entries: [acl('olga', { actions: ['Pub', 'Sub'] })] },
  ])

  expect(merged).toMatchObject([
    { user: 'olga', resource: 'Topic:t', actions: ['Pub', 'Sub'], on: ['a', 'b'], isSame: true },
  ])
})

test.each([[{ decision: 'Deny' }], [{ actions: ['Pub', 'Sub'] }], [{ sourceIps: ['10.0.0.0/8'] }]])(
  'permissions that differ in %j are marked',
  (other) => {
    const merged = mergePermissions([
      { brokerName: 'a', entries: [acl('olga', {})] },
      { brokerName: 'b', entries: [acl('olga', other)] },
    ])

    expect(merged).toMatchObject([{ decision: 'Allow', isSame: false }])
  },
)

test('a subject that is no user, and an entry of another user, stay apart', () => {
  const merged = mergePermissions([
    {
      brokerName: 'a',
      entries: [acl('b:c', { resource: '*' }), acl('a', {}), { subject: null, policies: [] }],
    },
  ])

  expect(merged.map(({ user: name, resource }) => [name, resource])).toEqual([
    ['a', 'Topic:t'],
    ['b:c', '*'],
  ])
})
