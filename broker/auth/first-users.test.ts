import { expect, test } from 'vitest'
import { silentLogger } from '../../common/log.ts'
import { createBrokerWorld } from '../testing-world.ts'
import { FirstUsers } from './first-users.ts'
import { OtherMembers } from '../testing-world.ts'

const KEYS = {
  initAuthenticationUser: '{"username":"root","password":"root-secret"}',
  innerClientAuthenticationCredentials: '{"accessKey":"inner","secretKey":"inner-secret"}',
}

test('the users that the configuration names are made once, as super users, and count at once', async () => {
  const others = new OtherMembers()
  const { time, parts } = await createBrokerWorld(KEYS, undefined, others)
  others.leave()
  const first = new FirstUsers({ ...parts, logger: silentLogger })

  first.startLeading()

  expect([...first.waiting.keys()]).toEqual(['root', 'inner'])
  others.return()
  await time.settle()
  expect(parts.users.user('root')).toEqual({
    username: 'root',
    password: 'root-secret',
    userType: 'Super',
    userStatus: 'enable',
  })
  expect(parts.users.user('inner')?.userType).toBe('Super')
  expect(first.waiting.size).toBe(0)
  await first.stopLeading()
})

test('a user that is there stays as it is, whatever the configuration says by now', async () => {
  const { time, parts } = await createBrokerWorld(KEYS)
  const made = parts.users.create({
    username: 'root',
    password: 'changed',
    userType: 'Super',
    userStatus: 'enable',
  })
  await time.settle()
  await made
  const first = new FirstUsers({ ...parts, logger: silentLogger })

  first.startLeading()
  await time.settle()

  expect(parts.users.user('root')?.password).toBe('changed')
  await first.stopLeading()
})
