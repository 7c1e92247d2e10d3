/** Clusters with access control in the small world of the reconciler: whose credentials are used, and what changes of the Secret lead to. */
import { expect, test } from 'vitest'
import { listAt, textAt, valueAt } from './json.ts'
import { specOf, World } from './testing.ts'

const USERS = {
  username: 'root',
  password: 'root-secret',
  innerUsername: 'inner',
  innerPassword: 'inner-secret',
}
const NAMED = specOf({}, { accessControl: { enabled: true, secretName: 'mine' } })

function messageOf(world: World, type: string): string {
  const conditions = listAt(world.cluster.status, 'conditions')
  return (
    textAt(
      conditions.find((one) => textAt(one, 'type') === type),
      'message',
    ) ?? ''
  )
}

async function readyWorld(): Promise<World> {
  const world = new World()
  world.putSecret('mine', USERS)
  world.put(NAMED)
  expect(await world.until(() => world.conditionOf('Ready') === 'True')).toBe(true)
  world.calls.length = 0
  return world
}

/** Passes over what was changed, and the restarts that follow. */
async function restartsAfter(world: World): Promise<readonly string[]> {
  await world.pass()
  await world.until(() => world.conditionOf('Ready') === 'True')
  world.advance(60_000)
  await world.until(() => world.conditionOf('Ready') === 'True')
  return world.calls.filter((call) => call.startsWith('evict'))
}

test('an empty namespace gets a Secret, brokers that take users from it, and an operator that signs with it', async () => {
  const world = new World()
  world.put(specOf({}, { accessControl: { enabled: true } }))

  const isReady = await world.until(() => world.conditionOf('Ready') === 'True')

  expect(isReady).toBe(true)
  const secret = world.need('Secret', 'prod-users')
  const name = atob(secret.data?.['innerUsername'] ?? '')
  expect(world.signedBy?.accessKey).toBe(name)
  expect(world.calls.filter((call) => call === 'create Secret prod-users').length).toBe(1)
  expect(world.events.filter(({ reason }) => reason === 'SecretMade').length).toBe(1)
  const pod = world.need('Pod', 'prod-broker-0-0')
  const environment = JSON.stringify(valueAt(pod.spec, 'containers', 0, 'env'))
  expect(environment).toContain(name)
  expect(environment).toContain('"secretKeyRef":{"name":"prod-users","key":"innerPassword"}')
  expect(world.brokers.get('prod-broker-0-0')?.config.get('authorizationEnabled')).toBe('true')
  const everything = JSON.stringify([
    ...['StatefulSet', 'ConfigMap', 'Pod'].flatMap((kind) => world.cache.all(kind)),
    world.cluster,
    world.events,
  ])
  for (const key of ['password', 'innerPassword']) {
    expect(everything).not.toContain(atob(secret.data?.[key] ?? ''))
  }
})

test('without its Secret nothing is begun, and the field and the keys are told, until the Secret is there', async () => {
  const world = new World()
  world.put(NAMED)

  const pause = await world.pass()
  await world.pass()
  const calls = [...world.calls]
  world.putSecret('mine', USERS)
  const isReady = await world.until(() => world.conditionOf('Ready') === 'True')

  expect(pause).toBeLessThanOrEqual(10_000)
  expect(calls).toEqual(['applyStatus prod'])
  const [event, ...more] = world.events.filter(({ reason }) => reason === 'SecretNotUsable')
  expect(event?.note).toMatch(/^spec\.accessControl\.secretName: Secret mine .*innerPassword/u)
  expect(more).toEqual([])
  expect(isReady).toBe(true)
})

test('a running cluster whose Secret is taken away or spoilt is degraded and left as it is', async () => {
  const world = await readyWorld()

  world.removeSecret('mine')
  world.put({ ...NAMED, broker: { ...(specOf()['broker'] as object), flush: 'Sync' } })
  await world.until(() => false, 120_000)
  const missing = messageOf(world, 'Degraded')
  world.putSecret('mine', { ...USERS, password: 'short' })
  await world.until(() => false, 120_000)

  expect(missing).toContain('Secret mine is not there')
  expect(messageOf(world, 'Degraded')).toContain('bad password')
  expect(world.conditionOf('Ready')).toBe('False')
  expect(world.conditionOf('Available')).toBe('True')
  expect(world.calls.filter((call) => !call.startsWith('applyStatus'))).toEqual([])
})

test('another password is signed with at once and restarts nobody', async () => {
  const world = await readyWorld()

  world.putSecret('mine', { ...USERS, innerPassword: 'another-secret' })

  expect(await restartsAfter(world)).toEqual([])
  expect(world.signedBy).toEqual({ accessKey: 'inner', secretKey: 'another-secret' })
})

test.each([
  ['another administrator', () => ({ ...USERS, username: 'boss' })],
  ['another inner user', () => ({ ...USERS, innerUsername: 'inner-2' })],
])('%s restarts the brokers one at a time, which make the user', async (_what, values) => {
  const world = await readyWorld()

  world.putSecret('mine', values())

  expect(await restartsAfter(world)).toEqual(['evict prod-broker-0-0', 'evict prod-broker-1-0'])
})

test('access control is switched on and off in running clusters by a restart of the brokers alone', async () => {
  const world = new World()
  world.put(specOf())
  await world.until(() => world.conditionOf('Ready') === 'True')
  world.advance(60_000)
  world.calls.length = 0

  world.putSecret('mine', USERS)
  world.put(NAMED)
  const on = await restartsAfter(world)
  const signedBy = world.signedBy
  world.calls.length = 0
  world.put(specOf())
  const off = await restartsAfter(world)

  expect(on).toEqual(['evict prod-broker-0-0', 'evict prod-broker-1-0'])
  expect(signedBy?.accessKey).toBe('inner')
  expect(off).toEqual(on)
  expect(world.signedBy).toBeNull()
  expect(world.brokers.get('prod-broker-0-0')?.config.has('authenticationEnabled')).toBe(false)
})

test('a made Secret that is lost is made anew with new users', async () => {
  const world = new World()
  let seed = 0
  world.random.bytes = (size) => Buffer.alloc(size, (seed += 1))
  world.put(specOf({}, { accessControl: { enabled: true } }))
  await world.until(() => world.conditionOf('Ready') === 'True')
  world.advance(60_000)
  const before = world.signedBy?.accessKey
  world.calls.length = 0

  world.removeSecret('prod-users')

  expect(await restartsAfter(world)).toEqual(['evict prod-broker-0-0', 'evict prod-broker-1-0'])
  expect(world.signedBy?.accessKey).toMatch(/^gantry-/u)
  expect(world.signedBy?.accessKey).not.toBe(before)
})
