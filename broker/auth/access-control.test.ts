import { expect, test } from 'vitest'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { signed } from '../../remoting/signature.ts'
import { FakeRequest } from '../testing.ts'
import { APP, ROOT, loggedLines, securedWorld } from './testing.ts'
import type { SecuredWorld } from './testing.ts'
import type { Credentials } from '../../common/credentials.ts'
import type { ResponseContent } from '../../remoting/command.ts'

const { SUCCESS, NO_PERMISSION } = ResponseCode
const NOW = { code: RequestCode.GET_MAX_OFFSET, extFields: { topic: 'orders', queueId: '0' } }

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

async function withApp(
  entries: readonly unknown[] = [],
  keys: Readonly<Record<string, string>> = {},
): Promise<SecuredWorld> {
  const world = await securedWorld(keys)
  await world.ask({
    code: RequestCode.AUTH_CREATE_USER,
    extFields: { username: 'app' },
    body: json({ password: APP.secretKey }),
  })
  if (entries.length > 0) await allow(world, entries)
  return world
}

async function allow(world: SecuredWorld, entries: readonly unknown[]): Promise<void> {
  await world.ask({
    code: RequestCode.AUTH_UPDATE_ACL,
    extFields: { subject: 'User:app' },
    body: json({ policies: [{ policyType: 'Custom', entries }] }),
  })
}

function may(resource: string, ...actions: readonly string[]): unknown {
  return { resource, actions, decision: 'Allow' }
}

function send(
  world: SecuredWorld,
  topic: string,
  as: Credentials | null = APP,
  host?: string,
): Promise<ResponseContent> {
  const extFields = {
    a: 'p',
    b: topic,
    c: 'TBW102',
    d: '1',
    e: '0',
    f: '0',
    g: '1',
    h: '0',
    i: '',
    j: '0',
  }
  const body = Buffer.from('x')
  return world.ask({ code: RequestCode.SEND_MESSAGE_V2, extFields, body }, as, host)
}

test('a request without a user, of an unknown one or with a wrong secret is refused', async () => {
  const world = await withApp()
  const refusal = async (credentials: Credentials | null) => {
    const { code, remark } = await world.ask(NOW, credentials)
    expect(code).toBe(NO_PERMISSION)
    return remark
  }

  expect(await refusal(null)).toBe('username cannot be null.')
  expect(await refusal({ accessKey: 'x', secretKey: 'x' })).toBe('User:x is not found.')
  expect(await refusal({ ...ROOT, secretKey: 'guessed' })).toBe(
    'User:root: check signature failed.',
  )
})

test('a disabled user is refused at once, and taken again when enabled', async () => {
  const world = await withApp([may('Topic:orders', 'Pub')])
  const set = (userStatus: string) =>
    world.ask({
      code: RequestCode.AUTH_UPDATE_USER,
      extFields: { username: 'app' },
      body: json({ userStatus }),
    })

  expect((await send(world, 'orders')).code).toBe(SUCCESS)
  await set('disable')
  expect(await send(world, 'orders')).toEqual({
    code: NO_PERMISSION,
    remark: 'User:app is disabled.',
  })
  await set('enable')
  expect((await send(world, 'orders')).code).toBe(SUCCESS)
})

test('a user may what its policies say, where from, and nothing else', async () => {
  const world = await withApp([
    { ...Object(may('Topic:orders*', 'Pub')), sourceIps: ['10.0.0.0/8'] },
    { resource: 'Topic:orders-secret', actions: ['Pub'], decision: 'Deny' },
  ])
  const remark = async (answer: Promise<ResponseContent>) => (await answer).remark

  expect((await send(world, 'orders-1')).code).toBe(SUCCESS)
  expect(await remark(send(world, 'other'))).toBe(
    'User:app has no permission to access Topic:other from 10.0.0.7, no matched policies.',
  )
  expect(await remark(send(world, 'orders-secret'))).toBe(
    'User:app has no permission to access Topic:orders-secret from 10.0.0.7, the decision is deny.',
  )
  expect(await remark(send(world, 'orders-1', APP, '192.168.0.1'))).toMatch(/no matched policies/u)
  expect(await remark(world.ask(NOW, APP))).toMatch(/no matched policies/u)
  expect(await remark(world.ask({ code: RequestCode.GET_BROKER_CONFIG }, APP))).toMatch(
    /Cluster:C/u,
  )
})

test('a super user may everything, also without a policy', async () => {
  const world = await withApp()

  expect((await send(world, 'orders', ROOT)).code).toBe(SUCCESS)
  expect((await world.ask({ code: RequestCode.GET_BROKER_CONFIG })).code).toBe(SUCCESS)
})

test('with authentication alone each user may everything', async () => {
  const world = await withApp([], { authorizationEnabled: 'false' })

  expect((await send(world, 'orders')).code).toBe(SUCCESS)
  expect((await send(world, 'orders', null)).code).toBe(NO_PERMISSION)
})

test('with authorization alone signatures are checked all the same', async () => {
  const world = await withApp([may('Topic:orders', 'Pub')], { authenticationEnabled: 'false' })

  expect((await send(world, 'orders')).code).toBe(SUCCESS)
  expect((await send(world, 'orders', { ...APP, secretKey: 'x' })).code).toBe(NO_PERMISSION)
})

test('codes on the white lists need no user, or a user without rights', async () => {
  const world = await withApp([], { authorizationWhitelist: '28, 30' })

  expect((await world.ask(NOW, APP)).code).toBe(SUCCESS)
  expect((await world.ask(NOW, null)).code).toBe(NO_PERMISSION)
  world.config.update([{ key: 'authenticationWhitelist', value: '30' }], 1)
  expect((await world.ask(NOW, null)).code).toBe(SUCCESS)
  world.config.update([{ key: 'authorizationWhitelist', value: '' }], 1)
  expect((await world.ask(NOW, null)).code).toBe(NO_PERMISSION)
})

test('while both switches are off nobody is asked who he is', async () => {
  const off = { authenticationEnabled: 'false', authorizationEnabled: 'false' }
  const world = await securedWorld(off)

  expect((await send(world, 'orders', null)).code).toBe(SUCCESS)
  expect((await send(world, 'orders', { accessKey: 'x', secretKey: 'x' })).code).toBe(SUCCESS)
})

test('a message is shown by its place only to who may read its topic', async () => {
  const world = await withApp([may('Topic:mine', 'Pub', 'Sub')])
  await send(world, 'mine')
  await send(world, 'others', ROOT)
  const place = (topic: string) => world.parts.store.physicalOffsetAt(topic, 0, 0)
  const view = (offset: number | null, as: Credentials) =>
    world.ask({ code: RequestCode.VIEW_MESSAGE_BY_ID, extFields: { offset: String(offset) } }, as)

  expect((await view(place('mine'), APP)).code).toBe(SUCCESS)
  expect((await view(place('others'), APP)).code).toBe(NO_PERMISSION)
  expect((await view(place('others'), ROOT)).code).toBe(SUCCESS)
})

test('records that hold the secrets of users are shown to nobody', async () => {
  const world = await withApp()
  const places: number[] = []
  await world.parts.store.replayControl(0, (physicalOffset) => places.push(physicalOffset))

  expect(places.length).toBeGreaterThan(0)
  for (const offset of places) {
    const extFields = { offset: String(offset) }
    const { code, body } = await world.ask({ code: RequestCode.VIEW_MESSAGE_BY_ID, extFields })
    expect([code, body]).toEqual([ResponseCode.SYSTEM_ERROR, undefined])
  }
})

test('a request that another member passes on counts as from where it came to that member', async () => {
  const world = await withApp([{ ...Object(may('Topic:orders', 'Sub')), sourceIps: ['10.0.0.7'] }])
  const { access } = world
  const fields = new Map<string, string>()
  const ask = (more: ReadonlyMap<string, string>) => {
    const content = signed(NOW, APP)
    const own = content.extFields instanceof Map ? content.extFields : new Map<string, string>()
    const extFields = Object.fromEntries([...own, ...more])
    return world.ask({ ...NOW, extFields }, null, '10.0.9.9')
  }
  const content = signed(NOW, APP)
  const own = new Map(content.extFields instanceof Map ? content.extFields : [])
  access.seal(own, new FakeRequest({ code: NOW.code }))
  for (const [name, value] of own) if (name.startsWith('gantry')) fields.set(name, value)

  expect((await ask(fields)).code).toBe(SUCCESS)
  expect((await ask(new Map())).code).toBe(NO_PERMISSION)
  expect((await ask(new Map(fields).set('gantryForwardedFrom', '10.0.0.8'))).code).toBe(
    NO_PERMISSION,
  )
  expect((await ask(new Map(fields).set('gantryForwardedProof', 'x'))).code).toBe(NO_PERMISSION)
})

test('changes and refusals are logged with who, what, where from and the outcome, without secrets', async () => {
  const { logger, lines } = loggedLines()
  const world = await securedWorld({}, undefined, logger)
  await world.ask({
    code: RequestCode.AUTH_CREATE_USER,
    extFields: { username: 'app' },
    body: json({ password: APP.secretKey }),
  })
  await world.ask({ ...NOW }, APP)

  const audits = lines.filter((line) => line.includes('"audit":true'))
  expect(audits.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    {
      action: 'AUTH_CREATE_USER',
      username: 'root',
      remoteAddress: '10.0.0.7:40001',
      fields: { username: 'app' },
      responseCode: 0,
    },
    { action: 'GET_MAX_OFFSET', username: 'app', reason: expect.stringContaining('Topic:orders') },
  ])
  expect(lines.join()).not.toContain(APP.secretKey)
  expect(lines.join()).not.toContain(ROOT.secretKey)
})

test('while it is off nobody has to sign, and whoever signs as a super user administers from anywhere', async () => {
  const off = { authenticationEnabled: 'false', authorizationEnabled: 'false' }
  const world = await securedWorld(off)
  const users = { code: RequestCode.AUTH_LIST_USER, extFields: {} }
  const app = { username: 'app' }
  const made = await world.ask({
    code: RequestCode.AUTH_CREATE_USER,
    extFields: app,
    body: json({ password: APP.secretKey }),
  })

  expect(made.code).toBe(SUCCESS)
  expect((await world.ask(users, ROOT)).code).toBe(SUCCESS)
  expect((await world.ask(users, null, '127.0.0.1')).code).toBe(SUCCESS)
  for (const asker of [null, APP, { ...ROOT, secretKey: 'wrong' }]) {
    const { code, remark } = await world.ask(users, asker)
    expect([code, remark]).toEqual([
      NO_PERMISSION,
      expect.stringContaining('AUTH_LIST_USER is for administrators'),
    ])
  }
  expect((await send(world, 'orders', null)).code).toBe(SUCCESS)
  expect((await send(world, 'orders', { ...ROOT, secretKey: 'wrong' })).code).toBe(SUCCESS)
})
