import { expect, test } from 'vitest'
import {
  decodeAclInfo,
  decodeAclList,
  decodeUserInfo,
  decodeUserList,
  encodeAclInfo,
  encodeAclList,
  encodeUserInfo,
  encodeUserList,
} from './auth-bodies.ts'
import type { AclInfo, UserInfo } from './auth-bodies.ts'

const USER: UserInfo = {
  username: 'orders-app',
  password: 'größe',
  userType: 'Normal',
  userStatus: 'enable',
}
const ACL: AclInfo = {
  subject: 'User:orders-app',
  policies: [
    {
      policyType: 'Custom',
      entries: [
        {
          resource: 'Topic:orders*',
          actions: ['Pub', 'Sub'],
          sourceIps: ['10.0.0.0/8'],
          decision: 'Allow',
        },
        { resource: 'Group:*', actions: ['Sub'], sourceIps: [], decision: 'Deny' },
      ],
    },
  ],
}

test('a user and a list of users are read as they were written', () => {
  expect(decodeUserInfo(encodeUserInfo(USER))).toEqual(USER)
  expect(decodeUserList(encodeUserList([USER, USER]))).toEqual([USER, USER])
})

test('policies and a list of them are read as they were written', () => {
  expect(decodeAclInfo(encodeAclInfo(ACL))).toEqual(ACL)
  expect(decodeAclList(encodeAclList([ACL]))).toEqual([ACL])
})

test('an answer without a body is no users and no policies', () => {
  expect(decodeUserList(Buffer.alloc(0))).toEqual([])
  expect(decodeAclList(Buffer.alloc(0))).toEqual([])
})

test('what Java leaves out is null or empty', () => {
  expect(decodeUserInfo(Buffer.from('{"username":"a"}'))).toEqual({
    username: 'a',
    password: null,
    userType: null,
    userStatus: null,
  })
  expect(decodeAclInfo(Buffer.from('{}'))).toEqual({ subject: null, policies: [] })
})

test.each(['[]', '"User"', '{"policies":{}}', '{"policies":[{"entries":[{"actions":"Pub"}]}]}'])(
  '%s is refused as policies',
  (text) => {
    expect(() => decodeAclInfo(Buffer.from(text))).toThrow(/is no|are no/u)
  },
)
