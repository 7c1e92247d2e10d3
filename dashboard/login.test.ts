/** What is to be said of a login, a session and a role, check by check: a row each, tried on a console of its own. */
import { argon2Sync } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { Writable } from 'node:stream'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { ROLES } from './api-types.ts'
import { PASSWORD_MAX_LENGTH, PASSWORD_MIN_LENGTH } from './auth/passwords.ts'
import { WebWorld } from './testing.ts'
import type { LoggedIn } from './testing.ts'

const MINUTE = 60_000
const WRONG = 'not the password'

type Check = (world: WebWorld) => Promise<void>

interface StoredUser {
  readonly name: string
  readonly hash: {
    readonly algorithm: string
    readonly memory: number
    readonly passes: number
    readonly nonce: string
    readonly tag: string
  }
}

function storedUsers({ folder }: WebWorld): readonly StoredUser[] {
  const { users }: { users: readonly StoredUser[] } = JSON.parse(
    readFileSync(`${folder}/users.json`, 'utf8'),
  )
  return users
}

const passwordOf = ({ passwords }: WebWorld, name: string): string => passwords.get(name) ?? ''

const isOpen = async (world: WebWorld, session: LoggedIn): Promise<boolean> =>
  (await world.ask('/api/session', { session })).statusCode === 200

async function statusOfLogin(world: WebWorld, name: string, password: string, from?: string) {
  const answer = await world.tryLogin(name, password, from === undefined ? {} : { from })
  return answer.statusCode
}

/** Wrong passwords of a name from addresses of their own, or from one. */
async function guess(
  world: WebWorld,
  times: number,
  who: { readonly name?: string; readonly from?: string },
): Promise<readonly number[]> {
  const statuses: number[] = []
  for (let at = 0; at < times; at++) {
    const { name = `user-${at}`, from = `10.1.0.${at}` } = who
    statuses.push(await statusOfLogin(world, name, WRONG, from))
  }
  return statuses
}

async function cookieOf(world: WebWorld): Promise<readonly string[]> {
  const answer = await world.tryLogin('admin', passwordOf(world, 'admin'))
  return String(answer.headers['set-cookie'])
    .split(';')
    .map((part) => part.trim())
}

const changeOwn = (world: WebWorld, session: LoggedIn, current: string, password: string) =>
  world.ask('/api/password', { method: 'POST', session, body: { current, password } })

const PASSWORDS: readonly (readonly [what: string, check: Check])[] = [
  [
    'are kept as argon2id with at least what OWASP asks for: 19 MiB and two passes',
    async (world) => {
      const { algorithm, memory, passes, nonce, tag } = storedUsers(world)[0]?.hash ?? {
        algorithm: '',
        memory: 0,
        passes: 0,
        nonce: '',
        tag: '',
      }
      const made = argon2Sync('argon2id', {
        message: passwordOf(world, 'admin'),
        nonce: Buffer.from(nonce, 'base64'),
        memory,
        passes,
        parallelism: 1,
        tagLength: 32,
      })
      expect(algorithm).toBe('argon2id')
      expect(memory).toBeGreaterThanOrEqual(19 * 1024)
      expect(passes).toBeGreaterThanOrEqual(2)
      expect(made.toString('base64')).toBe(tag)
      await Promise.resolve()
    },
  ],
  [
    'have a nonce of 16 random bytes each, so that equal ones are not seen to be',
    async (world) => {
      for (const name of ['operator', 'viewer']) {
        await world.api.users.setPassword(name, 'the same password')
      }
      const hashes = storedUsers(world).map(({ hash }) => hash)
      expect(hashes.map(({ nonce }) => Buffer.from(nonce, 'base64').length)).toEqual([16, 16, 16])
      expect(new Set(hashes.map(({ nonce }) => nonce)).size).toBe(3)
      expect(new Set(hashes.map(({ tag }) => tag)).size).toBe(3)
    },
  ],
  [
    'stand in no file of users',
    async (world) => {
      const text = readFileSync(`${world.folder}/users.json`, 'utf8')
      for (const password of world.passwords.values()) expect(text).not.toContain(password)
      await Promise.resolve()
    },
  ],
  [
    'and their hashes may be read by the owner of the folder only',
    async ({ folder }) => {
      expect(statSync(`${folder}/users.json`).mode & 0o777).toBe(0o600)
      expect(statSync(`${folder}/initial-password`).mode & 0o777).toBe(0o600)
      await Promise.resolve()
    },
  ],
  [
    'are made with 120 random bits, the first one too: there is none that everybody knows',
    async (world) => {
      await using other = await WebWorld.start()
      const made = [...world.passwords.values(), ...other.passwords.values()]
      for (const password of made) expect(password).toMatch(/^[\w-]{20}$/u)
      expect(new Set(made).size).toBe(made.length)
      for (const known of ['admin', 'password', 'gantry', 'rocketmq', '']) {
        expect(await world.api.users.check('admin', known)).toBeNull()
      }
    },
  ],
  [
    'that were made go from their file when they are changed',
    async (world) => {
      const session = await world.login('admin')
      await changeOwn(world, session, passwordOf(world, 'admin'), 'another password')
      expect(() => statSync(`${world.folder}/initial-password`)).toThrow('ENOENT')
    },
  ],
  [
    `have ${PASSWORD_MIN_LENGTH} to ${PASSWORD_MAX_LENGTH} characters`,
    async (world) => {
      const statuses: number[] = []
      for (const length of [9, 10, 256, 257]) {
        const { users } = world.api
        await users.setPassword('viewer', 'the present one')
        const session = await sessionOf(world, 'viewer', 'the present one')
        const answer = await changeOwn(world, session, 'the present one', 'x'.repeat(length))
        statuses.push(answer.statusCode)
      }
      expect(statuses).toEqual([400, 200, 200, 400])
    },
  ],
  [
    'may be of any characters, blanks too',
    async (world) => {
      for (const password of ['a b  c d e f', 'пароль пароль', '🔑🔑🔑🔑🔑', '"\'<>&;%00\\']) {
        await world.api.users.setPassword('viewer', password)
        expect(await statusOfLogin(world, 'viewer', password)).toBe(200)
      }
    },
  ],
  [
    'count to their last character, and their case and blanks count',
    async (world) => {
      const long = 'x'.repeat(PASSWORD_MAX_LENGTH - 1)
      await world.api.users.setPassword('viewer', `${long}y`)
      expect(await statusOfLogin(world, 'viewer', `${long}z`)).toBe(401)
      await world.api.users.setPassword('viewer', 'Some Password')
      for (const near of ['some password', 'Some Password ', ' Some Password', 'SomePassword']) {
        expect(await statusOfLogin(world, 'viewer', near)).toBe(401)
      }
    },
  ],
  [
    'are changed by whoever knows the present one only',
    async (world) => {
      const session = await world.login('viewer')
      const answer = await changeOwn(world, session, WRONG, 'another password')
      expect(answer.statusCode).toBe(403)
      expect(await statusOfLogin(world, 'viewer', passwordOf(world, 'viewer'))).toBe(200)
    },
  ],
  [
    'cannot be guessed by whoever has got hold of a session',
    async (world) => {
      const session = await world.login('viewer')
      for (let at = 0; at < 10; at++) await changeOwn(world, session, WRONG, 'another password')
      const answer = await changeOwn(
        world,
        session,
        passwordOf(world, 'viewer'),
        'another password',
      )
      expect(answer.statusCode).toBe(429)
    },
  ],
  [
    'are told by no list of users, nor their hashes',
    async (world) => {
      const session = await world.login('admin')
      const { body } = await world.ask('/api/users', { session })
      expect(JSON.parse(body)[0]).toEqual({ name: 'admin', role: 'admin' })
      for (const { hash } of storedUsers(world)) expect(body).not.toContain(hash.tag)
    },
  ],
]

const LOGINS: readonly (readonly [what: string, check: Check])[] = [
  [
    'tells nobody whether a name is known',
    async (world) => {
      const known = await world.tryLogin('admin', WRONG)
      const unknown = await world.tryLogin('nobody', WRONG)
      expect([known.statusCode, unknown.statusCode]).toEqual([401, 401])
      expect(known.body).toBe(unknown.body)
      expect(Object.keys(known.headers).toSorted()).toEqual(Object.keys(unknown.headers).toSorted())
    },
  ],
  [
    'lets a name wait after ten failures, wherever they come from, and whoever knows the password then too',
    async (world) => {
      expect(await guess(world, 12, { name: 'viewer' })).toEqual([
        ...Array.from({ length: 10 }, () => 401),
        429,
        429,
      ])
      const right = await world.tryLogin('viewer', passwordOf(world, 'viewer'), {
        from: '10.2.0.1',
      })
      expect(right.statusCode).toBe(429)
      expect(Number(right.headers['retry-after'])).toBe(15 * 60)
    },
  ],
  [
    'lets an address wait after ten failures, whatever the names',
    async (world) => {
      await guess(world, 10, { from: '10.2.0.1' })
      const password = passwordOf(world, 'admin')
      expect(await statusOfLogin(world, 'admin', password, '10.2.0.1')).toBe(429)
      expect(await statusOfLogin(world, 'admin', password, '10.2.0.2')).toBe(200)
    },
  ],
  [
    'lets one name wait, not the others',
    async (world) => {
      await guess(world, 10, { name: 'viewer' })
      expect(await statusOfLogin(world, 'admin', passwordOf(world, 'admin'))).toBe(200)
    },
  ],
  [
    'is tried again a quarter of an hour after the first failure, and not a minute before',
    async (world) => {
      const password = passwordOf(world, 'viewer')
      await guess(world, 10, { name: 'viewer' })
      await world.time.advance(14 * MINUTE)
      expect(await statusOfLogin(world, 'viewer', password)).toBe(429)
      await world.time.advance(MINUTE)
      expect(await statusOfLogin(world, 'viewer', password)).toBe(200)
    },
  ],
  [
    'waits no longer because somebody goes on trying',
    async (world) => {
      await guess(world, 10, { name: 'viewer' })
      await world.time.advance(14 * MINUTE)
      await guess(world, 5, { name: 'viewer' })
      await world.time.advance(MINUTE)
      expect(await statusOfLogin(world, 'viewer', passwordOf(world, 'viewer'))).toBe(200)
    },
  ],
  [
    'forgives nine failures when the tenth attempt is right',
    async (world) => {
      const password = passwordOf(world, 'viewer')
      await guess(world, 9, { name: 'viewer' })
      expect(await statusOfLogin(world, 'viewer', password)).toBe(200)
      expect(await guess(world, 9, { name: 'viewer' })).not.toContain(429)
    },
  ],
  [
    'counts attempts that are made at once',
    async (world) => {
      const at = Array.from({ length: 40 }, (_, index) => index)
      const statuses = await Promise.all(
        at.map((index) => statusOfLogin(world, 'viewer', WRONG, `10.1.0.${index}`)),
      )
      expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(10)
      expect(new Set(statuses)).toEqual(new Set([401, 429]))
    },
  ],
  [
    'is no matter of other sites',
    async (world) => {
      const headers = { origin: 'https://elsewhere.example' }
      const answer = await world.tryLogin('admin', passwordOf(world, 'admin'), { headers })
      expect(answer.statusCode).toBe(403)
      expect(answer.headers['set-cookie']).toBeUndefined()
    },
  ],
  [
    'takes no form of a page, nor an address with a password in it',
    async (world) => {
      const password = passwordOf(world, 'admin')
      const headers = { 'content-type': 'application/x-www-form-urlencoded' }
      const body = `name=admin&password=${password}`
      const form = await world.ask('/api/login', { method: 'POST', headers, body })
      const address = await world.ask(`/api/login?${body}`)
      expect([form.statusCode, address.statusCode]).toEqual([415, 404])
    },
  ],
  [
    'is logged with name and address, and without the password',
    async () => {
      const lines: string[] = []
      const sink = new Writable({
        write: (chunk: Buffer, _encoding, done) => {
          lines.push(chunk.toString())
          done()
        },
      })
      await using world = await WebWorld.start({ logger: pino({ level: 'trace' }, sink) })
      const password = passwordOf(world, 'admin')
      await world.tryLogin('admin', 'a wrong secret')
      const { cookie, token } = await world.login('admin')
      const log = lines.join('')
      expect(log).toMatch(
        /"userName":"admin","remoteAddress":"10.0.0.9","msg":"a login was refused"/u,
      )
      expect(log).toMatch(
        /"userName":"admin","remoteAddress":"10.0.0.9","msg":"a user has logged in"/u,
      )
      for (const secret of [password, 'a wrong secret', cookie.split('=')[1] ?? '', token]) {
        expect(log).not.toContain(secret)
      }
    },
  ],
]

async function sessionOf(world: WebWorld, name: string, password: string): Promise<LoggedIn> {
  const answer = await world.tryLogin(name, password)
  const [cookie = ''] = String(answer.headers['set-cookie']).split(';')
  return { cookie, token: answer.json<{ csrf: string }>().csrf }
}

const SESSIONS: readonly (readonly [what: string, check: Check])[] = [
  [
    'has 256 random bits in its cookie, and as many in its token',
    async (world) => {
      const { cookie, token } = await world.login('admin')
      expect(cookie).toMatch(/^gantry_session=[\w-]{43}$/u)
      expect(token).toMatch(/^[\w-]{43}$/u)
      expect(cookie).not.toContain(token)
    },
  ],
  [
    'has a cookie that scripts do not see',
    async (world) => expect(await cookieOf(world)).toContain('HttpOnly'),
  ],
  [
    'has a cookie that no other site can have sent',
    async (world) => expect(await cookieOf(world)).toContain('SameSite=Strict'),
  ],
  [
    'has a cookie of this host only, which goes with the browser',
    async (world) => {
      const cookie = (await cookieOf(world)).slice(1)
      expect(cookie.toSorted()).toEqual(['HttpOnly', 'Path=/', 'SameSite=Strict'])
    },
  ],
  [
    'has a cookie that goes over TLS only, with secureCookie=true',
    async () => {
      await using world = await WebWorld.start({ secureCookie: true })
      expect(await cookieOf(world)).toContain('Secure')
    },
  ],
  [
    'is told by its cookie, and in no other way',
    async (world) => {
      const { cookie } = await world.login('admin')
      const token = cookie.split('=')[1] ?? ''
      const answers = [
        await world.ask(`/api/session?gantry_session=${token}`),
        await world.ask('/api/session', { headers: { authorization: `Bearer ${token}` } }),
        await world.ask('/api/session', { headers: { gantry_session: token } }),
      ]
      expect(answers.map(({ statusCode }) => statusCode)).toEqual([401, 401, 401])
    },
  ],
  [
    'never stands in an answer but for the cookie',
    async (world) => {
      const session = await world.login('admin')
      const token = session.cookie.split('=')[1] ?? ''
      const answer = await world.ask('/api/session', { session })
      expect(answer.body).not.toContain(token)
      expect(answer.headers['set-cookie']).toBeUndefined()
    },
  ],
  [
    'is a new one at each login, and the former ends',
    async (world) => {
      const first = await world.login('admin')
      const answer = await world.tryLogin('admin', passwordOf(world, 'admin'), { session: first })
      const [cookie = ''] = String(answer.headers['set-cookie']).split(';')
      const { csrf } = answer.json<{ csrf: string }>()
      expect(cookie).not.toBe(first.cookie)
      expect(csrf).not.toBe(first.token)
      expect(await isOpen(world, first)).toBe(false)
      expect(await isOpen(world, { cookie, token: csrf })).toBe(true)
    },
  ],
  [
    'is never one that the browser has brought along',
    async (world) => {
      const planted = { cookie: `gantry_session=${'x'.repeat(43)}`, token: 'x'.repeat(43) }
      const answer = await world.tryLogin('admin', passwordOf(world, 'admin'), { session: planted })
      expect(answer.statusCode).toBe(200)
      expect(String(answer.headers['set-cookie'])).not.toContain(planted.token)
      expect(await isOpen(world, planted)).toBe(false)
    },
  ],
  [
    'lives through 30 minutes without a request',
    async (world) => {
      const session = await world.login('admin')
      await world.time.advance(30 * MINUTE)
      expect(await isOpen(world, session)).toBe(true)
    },
  ],
  [
    'ends after more than 30 minutes without a request',
    async (world) => {
      const session = await world.login('admin')
      await world.time.advance(30 * MINUTE + 1)
      expect(await isOpen(world, session)).toBe(false)
    },
  ],
  [
    'ends after 12 hours, however busy it is',
    async (world) => {
      const session = await world.login('admin')
      for (let at = 0; at < 12 * 3; at++) {
        await world.time.advance(20 * MINUTE)
        expect(await isOpen(world, session)).toBe(true)
      }
      await world.time.advance(1)
      expect(await isOpen(world, session)).toBe(false)
    },
  ],
  [
    'ends at logout, on the server and in the browser',
    async (world) => {
      const session = await world.login('admin')
      const answer = await world.ask('/api/logout', { method: 'POST', session })
      expect(String(answer.headers['set-cookie'])).toMatch(
        /^gantry_session=; .*Expires=Thu, 01 Jan 1970/u,
      )
      expect(await isOpen(world, session)).toBe(false)
    },
  ],
  [
    'ends alone: another of the same user goes on',
    async (world) => {
      const sessions = [await world.login('admin'), await world.login('admin')] as const
      await world.ask('/api/logout', { method: 'POST', session: sessions[0] })
      expect(await isOpen(world, sessions[1])).toBe(true)
    },
  ],
  [
    'ends with its password, wherever it was begun',
    async (world) => {
      const sessions = [await world.login('viewer'), await world.login('viewer')] as const
      await changeOwn(world, sessions[0], passwordOf(world, 'viewer'), 'another password')
      expect([await isOpen(world, sessions[0]), await isOpen(world, sessions[1])]).toEqual([
        false,
        false,
      ])
    },
  ],
  [
    'ends when the role of its user changes',
    async (world) => {
      const session = await world.login('operator')
      world.api.users.setRole('operator', 'viewer')
      expect(await isOpen(world, session)).toBe(false)
    },
  ],
  [
    'ends with its user',
    async (world) => {
      const session = await world.login('viewer')
      world.api.users.remove('viewer')
      expect(await isOpen(world, session)).toBe(false)
    },
  ],
  [
    'is not taken over by another user of the same name',
    async (world) => {
      const session = await world.login('viewer')
      world.api.users.remove('viewer')
      await world.api.users.add('viewer', 'admin')
      expect(await isOpen(world, session)).toBe(false)
    },
  ],
]

const RIGHTS: readonly (readonly [what: string, check: Check])[] = [
  [
    'are three, each with what the one before has',
    async (world) => {
      const asked = ['/api/events', '/api/dead-letters/g/export', '/api/users']
      const seen: (readonly boolean[])[] = []
      for (const role of ROLES) {
        const session = await world.login(role)
        const answers = await Promise.all(asked.map((path) => world.ask(path, { session })))
        seen.push(answers.map(({ statusCode }) => statusCode !== 403))
      }
      expect(seen).toEqual([
        [true, false, false],
        [true, true, false],
        [true, true, true],
      ])
    },
  ],
  [
    'are given by administrators only: nobody raises himself',
    async (world) => {
      for (const name of ['viewer', 'operator']) {
        const session = await world.login(name)
        const body = { role: 'admin' }
        const answer = await world.ask(`/api/users/${name}`, { method: 'PUT', session, body })
        expect(answer.statusCode).toBe(403)
      }
      expect(world.api.users.all.filter(({ role }) => role === 'admin')).toHaveLength(1)
    },
  ],
  [
    'of an unknown kind are refused',
    async (world) => {
      const session = await world.login('admin')
      const body = { name: 'x', role: 'root' }
      const answer = await world.ask('/api/users', { method: 'POST', session, body })
      expect(answer.statusCode).toBe(400)
    },
  ],
  [
    'of the last administrator stay',
    async (world) => {
      const session = await world.login('admin')
      const body = { role: 'viewer' }
      const answers = [
        await world.ask('/api/users/admin', { method: 'PUT', session, body }),
        await world.ask('/api/users/admin', { method: 'DELETE', session, body: {} }),
      ]
      expect(answers.map(({ statusCode }) => statusCode)).toEqual([409, 409])
      expect(await isOpen(world, session)).toBe(true)
    },
  ],
  [
    'are looked up at each request: what the browser says of them is nothing',
    async (world) => {
      const session = await world.login('viewer')
      const headers = { 'x-role': 'admin', cookie: `${session.cookie}; role=admin` }
      const answer = await world.ask('/api/users?role=admin', { session, headers })
      expect(answer.statusCode).toBe(403)
    },
  ],
]

test.each([
  ...PASSWORDS.map(([what, check]) => ['passwords', what, check] as const),
  ...LOGINS.map(([what, check]) => ['a login', what, check] as const),
  ...SESSIONS.map(([what, check]) => ['a session', what, check] as const),
  ...RIGHTS.map(([what, check]) => ['roles', what, check] as const),
])('%s %s', async (_about, _what, check) => {
  await using world = await WebWorld.start()

  await check(world)
})
