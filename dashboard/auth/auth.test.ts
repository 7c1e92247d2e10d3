import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { silentLogger } from '../../common/log.ts'
import { createRuntime } from '../../common/runtime.ts'
import { SimulatedTime } from '../../simulation/time.ts'
import { hashPassword, isPassword } from './passwords.ts'
import { SESSIONS_MAX, Sessions } from './sessions.ts'
import { LoginThrottle } from './throttle.ts'
import { Users } from './users.ts'

const { disk, random } = createRuntime()
const MINUTE = 60_000
let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gantry-users-'))
})

afterEach(() => rmSync(folder, { recursive: true }))

const options = (firstPassword: string | null = null) => ({
  disk,
  random,
  logger: silentLogger,
  folder,
  firstPassword,
})

test('a password fits its hash and no other, and equal passwords have different hashes', async () => {
  const hash = await hashPassword('correct horse', random)

  expect(await isPassword('correct horse', hash)).toBe(true)
  expect(await isPassword('correct horsf', hash)).toBe(false)
  expect((await hashPassword('correct horse', random)).tag).not.toBe(hash.tag)
})

test('the first password is made once, for the owner of the folder alone, and never stands in the file of users', async () => {
  const { users, madeAt } = await Users.open(options())
  const password = disk.readFileSync(`${folder}/initial-password`)?.toString().trim() ?? ''

  expect(madeAt).toBe(`${folder}/initial-password`)
  expect(password).toHaveLength(20)
  expect(statSync(`${folder}/initial-password`).mode & 0o777).toBe(0o600)
  expect(statSync(`${folder}/users.json`).mode & 0o777).toBe(0o600)
  expect(disk.readFileSync(`${folder}/users.json`)?.toString()).not.toContain(password)
  expect(await users.check('admin', password)).toMatchObject({ name: 'admin', role: 'admin' })
  const again = await Users.open(options())
  expect(again.madeAt).toBeNull()
  expect(await again.users.check('admin', password)).not.toBeNull()
})

test('a first password that is given is not written anywhere', async () => {
  const { users, madeAt } = await Users.open(options('given by a secret'))

  expect(madeAt).toBeNull()
  expect(disk.statusSync(`${folder}/initial-password`)).toBeNull()
  expect(await users.check('admin', 'given by a secret')).not.toBeNull()
})

test('the file of the first password goes when it is changed', async () => {
  const { users } = await Users.open(options())
  await users.setPassword('admin', 'another password')

  expect(disk.statusSync(`${folder}/initial-password`)).toBeNull()
})

test('there is always an administrator', async () => {
  const { users } = await Users.open(options('first password'))
  await users.add('otto', 'operator')

  expect(() => users.remove('admin')).toThrow('only administrator')
  expect(() => users.setRole('admin', 'viewer')).toThrow('only administrator')
  users.setRole('otto', 'admin')
  users.remove('admin')
  expect(users.all.map(({ name, role }) => [name, role])).toEqual([['otto', 'admin']])
})

test.each(['', 'a b', '../x', 'x'.repeat(65)])('%j is no name of a user', async (name) => {
  const { users } = await Users.open(options('first password'))

  await expect(users.add(name, 'viewer')).rejects.toThrow('a name has')
})

test('a file of users that is damaged stops the console, and names the file', async () => {
  await Users.open(options('first password'))
  const path = `${folder}/users.json`
  const good = disk.readFileSync(path)?.toString() ?? ''
  for (const bad of ['{', '{}', good.replace('"admin"', '7'), good.replace('"tag"', '"gat"')]) {
    const file = disk.openSync(path, 'write')
    file.truncateSync(0)
    file.writeSync(Buffer.from(bad), 0, Buffer.byteLength(bad), 0)
    file.closeSync()

    await expect(Users.open(options())).rejects.toThrow(path)
  }
})

async function sessionsWorld() {
  const time = new SimulatedTime()
  const { users } = await Users.open(options('first password'))
  const sessions = new Sessions({ clock: time, random, users, idleMs: 30 * MINUTE })
  const user = users.get('admin')
  if (user === null) throw new Error('there is no admin')
  return { time, users, sessions, user }
}

test('a session lasts as long as it is used, and half a day at most', async () => {
  const { time, sessions, user } = await sessionsWorld()
  const { token } = sessions.begin(user)

  await time.advance(29 * MINUTE)
  expect(sessions.find(token)).toMatchObject({ userName: 'admin', role: 'admin' })
  await time.advance(29 * MINUTE)
  expect(sessions.find(token)).not.toBeNull()
  await time.advance(31 * MINUTE)
  expect(sessions.find(token)).toBeNull()

  const { token: busy } = sessions.begin(user)
  for (let at = 0; at < 12 * 3; at++) {
    await time.advance(20 * MINUTE)
    sessions.find(busy)
  }
  await time.advance(MINUTE)
  expect(sessions.find(busy)).toBeNull()
})

test('a session ends with its password, its user, and by logging out', async () => {
  const { sessions, users, user } = await sessionsWorld()
  const first = sessions.begin(user).token
  sessions.end(first)
  expect(sessions.find(first)).toBeNull()

  const second = sessions.begin(user).token
  await users.setPassword('admin', 'another password')
  expect(sessions.find(second)).toBeNull()
  expect(sessions.find('no such token')).toBeNull()
})

test('sessions are bounded: the one that was used longest ago goes', async () => {
  const { sessions, user } = await sessionsWorld()
  const first = sessions.begin(user).token
  const second = sessions.begin(user).token
  sessions.find(first)
  for (let at = 0; at < SESSIONS_MAX - 1; at++) sessions.begin(user)

  expect(sessions.find(second)).toBeNull()
  expect(sessions.find(first)).not.toBeNull()
})

test('after ten failures in a quarter of an hour one has to wait for its end', async () => {
  const time = new SimulatedTime()
  const throttle = new LoginThrottle(time)
  for (let at = 0; at < 9; at++) throttle.failed('name otto')

  expect(throttle.waitMs('name otto')).toBe(0)
  throttle.failed('name otto')
  expect(throttle.waitMs('name otto')).toBe(15 * MINUTE)
  expect(throttle.waitMs('name anna')).toBe(0)
  await time.advance(15 * MINUTE)
  expect(throttle.waitMs('name otto')).toBe(0)
})

test('a login that succeeds forgives the failures before it', () => {
  const throttle = new LoginThrottle(new SimulatedTime())
  for (let at = 0; at < 9; at++) throttle.failed('name otto')
  throttle.succeeded('name otto')
  throttle.failed('name otto')

  expect(throttle.waitMs('name otto')).toBe(0)
})
