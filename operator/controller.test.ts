import { expect, test } from 'vitest'
import { listAt, textAt, valueAt } from './json.ts'
import { NAMESPACE, objectNames, specOf, World } from './testing.ts'

async function readyWorld(spec = specOf()): Promise<World> {
  const world = new World()
  world.put(spec)
  expect(await world.until(() => world.conditionOf('Ready') === 'True')).toBe(true)
  return world
}

test('a manifest becomes name servers and groups that open without copying', async () => {
  const world = await readyWorld()

  expect(objectNames(world, 'StatefulSet')).toEqual([
    'prod-broker-0',
    'prod-broker-1',
    'prod-namesrv',
  ])
  expect(objectNames(world, 'Pod').length).toBe(4)
  expect(world.calls.some((call) => call.startsWith('copy'))).toBe(false)
  expect(world.conditionOf('Available')).toBe('True')
  expect(valueAt(world.cluster.status, 'observedGeneration')).toBe(1)
  expect(valueAt(world.cluster.status, 'plan')).toEqual([])
})

test('a cluster that is as specified is left alone', async () => {
  const world = await readyWorld()
  await world.pass()
  const before = world.calls.length

  for (let pass = 0; pass < 5; pass++) world.advance(await world.pass())

  expect(world.calls.slice(before)).toEqual([])
})

test('a new group has every topic before it takes writes', async () => {
  const world = await readyWorld()
  world.brokers.get('prod-broker-0-0')?.topics.add('Orders')
  const opened: boolean[] = []
  world.onCall = (call) => {
    if (call !== 'configure prod-broker-2-0 brokerPermission') return
    opened.push(world.brokers.get('prod-broker-2-0')?.topics.has('Orders') === true)
  }

  world.put(specOf({ groups: 3 }))
  const isServing = await world.until(() => world.phaseOf(2) === 'Serving')

  expect(isServing).toBe(true)
  expect(opened).toEqual([true])
  expect(world.routes.get('prod-namesrv-0')?.get('prod-broker-2')).toBe(true)
})

test('a leaving group takes no writes, waits for its readers and keeps its volume', async () => {
  const world = await readyWorld()
  const broker = world.brokers.get('prod-broker-1-0')
  if (broker === undefined) throw new Error('no broker')
  broker.lags = [{ topic: 'Held', consumerGroup: null, messages: 300, queueId: 0 }]

  world.put(specOf({ groups: 1 }))
  await world.until(() => world.phaseOf(1) === 'Draining')
  await world.until(() => false, 120_000)
  const stillDraining = world.phaseOf(1)
  const blockedBy = JSON.stringify(valueAt(world.cluster.status, 'groups', 1, 'drain', 'blockedBy'))
  broker.lags = []
  const isReady = await world.until(() => world.conditionOf('Ready') === 'True')

  expect(stillDraining).toBe('Draining')
  expect(blockedBy).toContain('Held')
  expect(isReady).toBe(true)
  expect(objectNames(world, 'StatefulSet')).toEqual(['prod-broker-0', 'prod-namesrv'])
  expect(objectNames(world, 'Service')).toEqual([
    'prod-broker-0',
    'prod-broker-0-members',
    'prod-namesrv',
  ])
  expect(objectNames(world, 'PersistentVolumeClaim')).toContain('data-prod-broker-1-0')
  expect(world.routes.get('prod-namesrv-0')?.has('prod-broker-1')).toBe(false)
})

test('writes end at the name servers first, and at the broker when clients have had time', async () => {
  const world = await readyWorld()
  const at: Record<string, number> = {}
  world.onCall = (call) => {
    at[call] ??= world.clock.now()
  }

  world.put(specOf({ groups: 1, drain: { settleSeconds: 40 } }))
  await world.until(() => world.phaseOf(1) === 'Draining')

  const wiped = at['wipe prod-broker-1 prod-namesrv-0'] ?? 0
  const closed = at['configure prod-broker-1-0 brokerPermission'] ?? 0
  expect(closed - wiped).toBeGreaterThanOrEqual(40_000)
})

test.each(['WriteDisabled', 'Draining', 'Drained'])(
  'a group that is %s serves again on the same pod when groups is raised',
  async (phase) => {
    const world = await readyWorld()
    const uid = world.need('Pod', 'prod-broker-1-0').metadata.uid

    world.put(specOf({ groups: 1 }))
    expect(await world.until(() => world.phaseOf(1) === phase)).toBe(true)
    world.put(specOf({ groups: 2 }))
    const isServing = await world.until(() => world.phaseOf(1) === 'Serving', 30_000)

    expect(isServing).toBe(true)
    expect(world.need('Pod', 'prod-broker-1-0').metadata.uid).toBe(uid)
    expect(world.routes.get('prod-namesrv-1')?.get('prod-broker-1')).toBe(true)
    expect(world.brokers.get('prod-broker-1-0')?.config.get('brokerPermission')).toBe('6')
  },
)

test('the volume of a removed group goes when the manifest says so', async () => {
  const retention = { whenScaled: 'Delete' }
  const world = await readyWorld(specOf({ storage: { size: '1Gi', retention } }))

  world.put(specOf({ groups: 1, storage: { size: '1Gi', retention } }))
  await world.until(() => world.conditionOf('Ready') === 'True')

  expect(objectNames(world, 'PersistentVolumeClaim')).toEqual(['data-prod-broker-0-0'])
})

test('a live key is pushed without a restart', async () => {
  const world = await readyWorld()
  const uid = world.need('Pod', 'prod-broker-0-0').metadata.uid
  world.brokers.get('prod-broker-0-0')?.config.set('shortPollingTimeMills', '1000')
  world.brokers.get('prod-broker-1-0')?.config.set('shortPollingTimeMills', '1000')

  world.put(specOf({ config: { shortPollingTimeMills: '900' } }))
  const isReady = await world.until(() => world.conditionOf('Ready') === 'True', 15_000)

  expect(isReady).toBe(true)
  expect(world.brokers.get('prod-broker-1-0')?.config.get('shortPollingTimeMills')).toBe('900')
  expect(world.need('Pod', 'prod-broker-0-0').metadata.uid).toBe(uid)
})

test('another key restarts the groups one after the other, each after its clients have left', async () => {
  const world = await readyWorld()
  for (const broker of world.brokers.values())
    broker.config.set('registerNameServerPeriod', '30000')
  let mostDown = 0
  const writableAtEviction: boolean[] = []
  world.onCall = (call) => {
    const ready = objectNames(world, 'Pod').filter((name) => world.brokers.has(name))
    mostDown = Math.max(mostDown, 2 - ready.length)
    const pod = /^evict (prod-broker-\d)-0$/.exec(call)?.[1]
    if (pod !== undefined) {
      writableAtEviction.push(world.routes.get('prod-namesrv-0')?.get(pod) === true)
    }
  }

  world.put(specOf({ config: { registerNameServerPeriod: '20000' } }))
  await world.pass()
  const isReady = await world.until(() => world.conditionOf('Ready') === 'True')

  expect(isReady).toBe(true)
  expect(world.calls.filter((call) => call.startsWith('evict'))).toEqual([
    'evict prod-broker-0-0',
    'evict prod-broker-1-0',
  ])
  expect(writableAtEviction).toEqual([false, false])
  expect(mostDown).toBeLessThanOrEqual(1)
})

test('a new image rolls name servers first, one at a time, then the groups', async () => {
  const world = await readyWorld()

  world.put(specOf({}, { version: '0.2.0' }))
  await world.pass()
  const isReady = await world.until(() => world.conditionOf('Ready') === 'True')

  expect(isReady).toBe(true)
  expect(world.calls.filter((call) => call.startsWith('evict'))).toEqual([
    'evict prod-namesrv-1',
    'evict prod-namesrv-0',
    'evict prod-broker-0-0',
    'evict prod-broker-1-0',
  ])
  expect(valueAt(world.cluster.status, 'version')).toBe('0.2.0')
})

test('an image that cannot be pulled stops the roll at its first pod, and going back heals it', async () => {
  const world = await readyWorld()
  world.brokenImages.add('gantry:0.2.0')

  world.put(specOf({}, { version: '0.2.0' }))
  await world.until(() => false, 400_000)
  const degraded = listAt(world.cluster.status, 'conditions').find(
    (condition) => textAt(condition, 'type') === 'Degraded',
  )
  const available = world.conditionOf('Available')
  const evictions = world.calls.filter((call) => call.startsWith('evict'))
  world.put(specOf())
  const isReady = await world.until(() => world.conditionOf('Ready') === 'True')

  expect(textAt(degraded, 'reason')).toBe('ImagePullBackOff')
  expect(available).toBe('True')
  expect(evictions.length).toBe(1)
  expect(isReady).toBe(true)
})

test('hand edits and deletions are repaired, each with an Event', async () => {
  const world = await readyWorld()
  const service = world.need('Service', 'prod-broker-1')
  await world.apply({ ...service, spec: { ...service.spec, ports: [] } })
  const budget = world.need('PodDisruptionBudget', 'prod-broker-1')
  await world.delete(
    {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      namespace: NAMESPACE,
      name: 'prod-broker-1',
    },
    { uid: budget.metadata.uid ?? '' },
  )

  await world.pass()

  expect(listAt(world.need('Service', 'prod-broker-1').spec, 'ports').length).toBe(2)
  expect(objectNames(world, 'PodDisruptionBudget')).toContain('prod-broker-1')
  const notes = world.events
    .filter(({ reason }) => reason === 'DriftRepaired')
    .map(({ note }) => note)
  expect(notes).toEqual([
    'Service prod-broker-1 was changed and is as it should be again',
    'PodDisruptionBudget prod-broker-1 was deleted and is there again',
  ])
})

test('more name servers reach the brokers without a restart, and fewer leave only after brokers were told', async () => {
  const world = await readyWorld()
  const uid = world.need('Pod', 'prod-broker-0-0').metadata.uid

  world.put(specOf({}, { nameServer: { replicas: 4 } }))
  await world.until(() => world.conditionOf('Ready') === 'True')
  const registered = [...world.routes.values()].map((routes) => [...routes.keys()].sort())
  const toldWhenLeaving: boolean[] = []
  world.onCall = (call) => {
    if (call !== 'apply StatefulSet prod-namesrv') return
    const lists = [...world.brokers.values()].map(
      ({ config }) => config.get('namesrvAddr')?.split(';').length,
    )
    toldWhenLeaving.push(lists.every((count) => count === 1))
  }
  world.put(specOf({}, { nameServer: { replicas: 1 } }))
  await world.pass()
  await world.until(() => world.conditionOf('Ready') === 'True')

  expect(registered).toEqual(Array.from({ length: 4 }, () => ['prod-broker-0', 'prod-broker-1']))
  expect(toldWhenLeaving).toEqual([true])
  expect(objectNames(world, 'Pod').filter((name) => name.includes('namesrv')).length).toBe(1)
  expect(world.need('Pod', 'prod-broker-0-0').metadata.uid).toBe(uid)
})

test('nothing but status is written while paused', async () => {
  const world = await readyWorld()
  const before = world.calls.length

  world.put(specOf({ groups: 4 }, { paused: true }))
  for (let pass = 0; pass < 5; pass++) world.advance(await world.pass())

  expect(new Set(world.calls.slice(before))).toEqual(new Set(['applyStatus prod']))
  expect(world.conditionOf('Paused')).toBe('True')
})

test('a foreign object of a needed name is never adopted, and named', async () => {
  const world = new World()
  await world.apply({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'prod-broker-0', namespace: NAMESPACE },
    spec: { foreign: true },
  })
  world.put(specOf())

  for (let pass = 0; pass < 3; pass++) world.advance(await world.pass())

  expect(world.need('Service', 'prod-broker-0').spec).toEqual({ foreign: true })
  const degraded = listAt(world.cluster.status, 'conditions').find(
    (condition) => textAt(condition, 'type') === 'Degraded',
  )
  expect(textAt(degraded, 'reason')).toBe('NameConflict')
  expect(textAt(degraded, 'message')).toContain('Service prod-broker-0')
})

test('without enough of the Lease left no act is performed', async () => {
  const world = await readyWorld()
  world.mayAct = false

  world.put(specOf({ groups: 1 }))
  for (let pass = 0; pass < 20; pass++) world.advance(await world.pass())

  expect(world.phaseOf(1)).toBe('WriteDisabled')
  expect(world.calls.filter((call) => /^(wipe|evict|delete|configure)/.test(call))).toEqual([])
})

test.each(['registrations', 'config', 'drain'])(
  'a group is not removed while %s cannot be had',
  async (fact) => {
    const world = await readyWorld()
    world.unreachable.add(fact)

    world.put(specOf({ groups: 1 }))
    await world.until(() => false, 300_000)
    const kept = objectNames(world, 'StatefulSet')
    world.unreachable.clear()
    const isReady = await world.until(() => world.conditionOf('Ready') === 'True')

    expect(kept).toContain('prod-broker-1')
    expect(isReady).toBe(true)
  },
)

test('a drain past its time is forced only with the name of the group in the annotation', async () => {
  const drain = { timeoutSeconds: 60, onTimeout: 'Force', settleSeconds: 35 }
  const world = await readyWorld(specOf({ drain }))
  const broker = world.brokers.get('prod-broker-1-0')
  if (broker !== undefined)
    broker.lags = [{ topic: 'T', consumerGroup: 'G', messages: 5, queueId: 0 }]

  world.put(specOf({ groups: 1, drain }))
  await world.until(() => false, 150_000)
  const before = world.phaseOf(1)
  world.put(specOf({ groups: 1, drain }), {
    'rocketmq.gantry.dev/confirm-data-loss': 'prod-broker-1',
  })
  await world.until(() => world.conditionOf('Ready') === 'True')

  expect(before).toBe('Draining')
  expect(objectNames(world, 'StatefulSet')).not.toContain('prod-broker-1')
  expect(world.events.map(({ reason }) => reason)).toContain('DataLossConfirmed')
})

test('a hibernating cluster has no pods, keeps its volumes, and wakes up', async () => {
  const world = await readyWorld()

  world.put(specOf({}, { hibernate: true }))
  const isAsleep = await world.until(() => world.conditionOf('Hibernated') === 'True')
  const pods = objectNames(world, 'Pod')
  world.put(specOf())
  const isReady = await world.until(() => world.conditionOf('Ready') === 'True')

  expect(isAsleep).toBe(true)
  expect(pods).toEqual([])
  expect(isReady).toBe(true)
})

test('a spec that cannot be used is answered with the path of the field', async () => {
  const world = new World()
  world.put({ version: '0.1.0', broker: { groups: 0, storage: { size: '1Gi' } } })

  await world.pass()

  expect(JSON.stringify(world.cluster.status)).toContain(
    'spec.broker.groups: groups cannot be 0: use spec.hibernate',
  )
  expect(world.calls).toEqual(['applyStatus prod'])
})

test('the annotation restart-at restarts every pod that is older', async () => {
  const world = await readyWorld()
  world.advance(60_000)

  world.put(specOf(), {
    'rocketmq.gantry.dev/restart-at': new Date(world.clock.now()).toISOString(),
  })
  await world.pass()
  await world.until(() => world.conditionOf('Ready') === 'True')

  expect(world.calls.filter((call) => call.startsWith('evict')).length).toBe(4)
})
