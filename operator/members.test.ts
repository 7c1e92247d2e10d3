/** Groups of several members on the small world: rolling, growing, shrinking, and lost volumes. */
import { expect, test } from 'vitest'
import { listAt, textAt, valueAt } from './json.ts'
import { objectNames, specOf, World } from './testing.ts'
import type { FakeGroup } from './testing-group.ts'

type Spec = Readonly<Record<string, unknown>>

function groupsOf(members: number, broker: Spec = {}, others: Spec = {}): Spec {
  const spec = { groups: 1, replicasPerGroup: members, ...broker }
  return specOf(spec, { nameServer: { replicas: 1 }, ...others })
}

async function readyWorld(spec: Spec = groupsOf(3)): Promise<World> {
  const world = new World()
  world.put(spec)
  await untilReady(world)
  return world
}

async function untilReady(world: World, limitMs = 900_000): Promise<void> {
  await world.pass()
  const isReady = await world.until(() => world.conditionOf('Ready') === 'True', limitMs)
  const plan = JSON.stringify(valueAt(world.cluster.status, 'plan'))
  expect(isReady, `still to do: ${plan}`).toBe(true)
  expect(rulesBroken(world)).toEqual([])
}

function rulesBroken(world: World): readonly string[] {
  return [...world.broken, ...[...world.groups.values()].flatMap(({ broken }) => broken)]
}

function groupIn(world: World, group = 0): FakeGroup {
  return world.groupOf(`prod-broker-${group}-0`)
}

/** Wants another value of a key that needs a restart. */
async function putRestartKey(world: World, spec: Spec = {}): Promise<void> {
  for (const { config } of world.brokers.values()) config.set('registerNameServerPeriod', '30000')
  world.put(groupsOf(3, { config: { registerNameServerPeriod: '20000' }, ...spec }))
  await world.pass()
}

function callsOf(world: World, verbs: readonly string[]): readonly string[] {
  return world.calls.filter((call) => verbs.some((verb) => call.startsWith(`${verb} `)))
}

function degradedIn(world: World): string {
  const found = listAt(world.cluster.status, 'conditions').find(
    (condition) => textAt(condition, 'type') === 'Degraded',
  )
  return `${textAt(found, 'reason') ?? ''}: ${textAt(found, 'message') ?? ''}`
}

test('a group of three is founded, opens and serves, and the status names its members', async () => {
  const world = await readyWorld()

  const status = valueAt(world.cluster.status, 'groups', 0)
  expect(groupIn(world).voters).toEqual([0, 1, 2])
  expect(valueAt(status, 'members')).toEqual([
    { id: 0, pod: 'prod-broker-0-0', role: 'leader', ready: true, lagBytes: 0 },
    { id: 1, pod: 'prod-broker-0-1', role: 'follower', ready: true, lagBytes: 0 },
    { id: 2, pod: 'prod-broker-0-2', role: 'follower', ready: true, lagBytes: 0 },
  ])
  expect(textAt(status, 'leader')).toBe('prod-broker-0-0')
  expect(textAt(status, 'inSync')).toBe('3/3')
  expect(valueAt(world.cluster.status, 'membersInSync')).toBe('3/3')
  expect(world.routes.get('prod-namesrv-0')?.get('prod-broker-0')).toBe(true)
})

test('followers restart first, the highest ordinal before, the leader hands over once and is the last', async () => {
  const world = await readyWorld()
  const term = groupIn(world).term
  const missing: number[] = []
  world.onCall = (call) => {
    if (call.startsWith('evict prod-broker'))
      missing.push(3 - groupIn(world).inSync(world.clock.now()).length)
  }

  world.put(groupsOf(3, {}, { version: '0.2.0' }))
  await untilReady(world)

  expect(callsOf(world, ['evict', 'transfer', 'wipe'])).toEqual([
    'evict prod-namesrv-0',
    'evict prod-broker-0-2',
    'evict prod-broker-0-1',
    'transfer prod-broker-0-0 1',
    'evict prod-broker-0-0',
  ])
  expect(missing).toEqual([0, 0, 0])
  expect(groupIn(world).term).toBe(term + 1)
})

test('two groups are rolled one after the other', async () => {
  const world = await readyWorld(groupsOf(3, { groups: 2 }))

  world.put(groupsOf(3, { groups: 2 }, { version: '0.2.0' }))
  await untilReady(world)

  const evicted = world.calls.flatMap((call) => /^evict prod-broker-(\d)-/.exec(call)?.[1] ?? [])
  expect(evicted).toEqual(['0', '0', '0', '1', '1', '1'])
})

test('a roll stops at the first pod that does not come back, and going back restarts that one alone', async () => {
  const world = await readyWorld()
  world.put(groupsOf(3, {}, { version: '0.2.0' }))
  await world.until(() => world.calls.includes('evict prod-broker-0-2'))

  world.brokenImages.add('gantry:0.2.0')
  await world.until(() => false, 500_000)
  const evicted = callsOf(world, ['evict'])
  const degraded = degradedIn(world)
  const available = world.conditionOf('Available')
  world.put(groupsOf(3))
  await untilReady(world)

  expect(evicted).toEqual(['evict prod-namesrv-0', 'evict prod-broker-0-2'])
  expect(degraded).toContain('ImagePullBackOff: prod-broker-0-2')
  expect(available).toBe('True')
  expect(callsOf(world, ['evict']).filter((call) => call.includes('broker'))).toEqual([
    'evict prod-broker-0-2',
    'evict prod-broker-0-2',
  ])
  expect(groupIn(world).term).toBe(1)
})

test('no pod goes while a member has not caught up, and the status says for whom it waits', async () => {
  const world = await readyWorld()
  const behind = groupIn(world).running.get(2)
  if (behind === undefined) throw new Error('no member 2')
  behind.syncedAt = Number.MAX_SAFE_INTEGER

  await putRestartKey(world)
  await world.until(() => false, 120_000)
  const early = callsOf(world, ['evict', 'transfer'])
  const plan = JSON.stringify(valueAt(world.cluster.status, 'plan'))
  behind.syncedAt = 0
  await untilReady(world)

  expect(early).toEqual([])
  expect(plan).toContain('waits: prod-broker-0-2 is not ready')
  expect(callsOf(world, ['evict']).length).toBe(3)
})

test.each(['raft', 'config'])('without %s facts no member is taken away', async (fact) => {
  const world = await readyWorld()
  world.unreachable.add(fact)

  await putRestartKey(world)
  await world.until(() => false, 200_000)
  const early = callsOf(world, ['evict', 'transfer', 'remove'])
  world.unreachable.clear()
  await untilReady(world)

  expect(early).toEqual([])
})

test('one member becomes three without a restart: the others copy the log before they count', async () => {
  const world = await readyWorld(groupsOf(1))
  world.brokers.get('prod-broker-0-0')?.topics.add('Orders')

  world.put(groupsOf(3))
  await untilReady(world)

  expect(groupIn(world).voters).toEqual([0, 1, 2])
  expect(callsOf(world, ['evict'])).toEqual([])
  expect(world.volumes.get('data-prod-broker-0-0')?.topics.has('Orders')).toBe(true)
})

test('three members become five without restarting anybody', async () => {
  const world = await readyWorld()
  const uids = [0, 1, 2].map((id) => world.need('Pod', `prod-broker-0-${id}`).metadata.uid)

  world.put(groupsOf(5))
  await untilReady(world)

  expect(groupIn(world).voters).toEqual([0, 1, 2, 3, 4])
  expect([0, 1, 2].map((id) => world.need('Pod', `prod-broker-0-${id}`).metadata.uid)).toEqual(uids)
  expect(callsOf(world, ['evict', 'transfer'])).toEqual([])
  const file = world.need('ConfigMap', 'prod-broker-0-config').data?.['broker.conf']
  expect(file).toMatch(
    /^dLegerPeers=n0-.*;n4-prod-broker-0-4\.prod-broker-0-members\.shop\.svc\\?:40911$/m,
  )
})

test('five members become three and one: the highest leave the group first, then their pods go, volumes stay', async () => {
  const world = await readyWorld(groupsOf(5))

  world.put(groupsOf(3))
  await untilReady(world)
  const pods = objectNames(world, 'Pod').filter((name) => name.includes('broker'))
  world.put(groupsOf(1))
  await untilReady(world)

  expect(pods).toEqual(['prod-broker-0-0', 'prod-broker-0-1', 'prod-broker-0-2'])
  expect(callsOf(world, ['remove', 'transfer', 'evict'])).toEqual([
    'remove prod-broker-0 4',
    'remove prod-broker-0 3',
    'remove prod-broker-0 2',
    'remove prod-broker-0 1',
  ])
  expect(objectNames(world, 'PersistentVolumeClaim').length).toBe(5)
  expect(groupIn(world).voters).toEqual([0])
})

test('a leader that is to leave hands over before', async () => {
  const world = await readyWorld(groupsOf(5))
  groupIn(world).transfer(0, 4, world.clock.now())
  await untilReady(world)

  world.put(groupsOf(3))
  await untilReady(world)

  expect(callsOf(world, ['transfer', 'remove'])).toEqual([
    'transfer prod-broker-0-4 0',
    'remove prod-broker-0 4',
    'remove prod-broker-0 3',
  ])
})

test('no member leaves while the rest would have no majority in sync, and the status says for whom it waits', async () => {
  const world = await readyWorld(groupsOf(5))
  const behind = [1, 2].flatMap((id) => groupIn(world).running.get(id) ?? [])
  for (const member of behind) member.syncedAt = Number.MAX_SAFE_INTEGER

  world.put(groupsOf(3))
  await world.until(() => false, 60_000)
  const early = callsOf(world, ['remove'])
  const plan = JSON.stringify(valueAt(world.cluster.status, 'plan'))
  for (const member of behind) member.syncedAt = 0
  await untilReady(world)

  expect(early).toEqual([])
  expect(plan).toContain('prod-broker-0-4 leaves once prod-broker-0-1, prod-broker-0-2 caught up')
  expect(groupIn(world).voters).toEqual([0, 1, 2])
})

test('volumes of members that left go when the manifest says so, and no others', async () => {
  const storage = { size: '1Gi', retention: { whenScaled: 'Delete' } }
  const world = await readyWorld(groupsOf(3, { storage }))

  world.put(groupsOf(1, { storage }))
  await untilReady(world)
  world.put(groupsOf(3, { storage }))
  await untilReady(world)

  expect(callsOf(world, ['delete']).toSorted()).toEqual([
    'delete PersistentVolumeClaim data-prod-broker-0-1',
    'delete PersistentVolumeClaim data-prod-broker-0-2',
  ])
  expect(groupIn(world).voters).toEqual([0, 1, 2])
})

test('a group does not grow onto the volumes of members that left, and says which', async () => {
  const world = await readyWorld()
  world.put(groupsOf(1))
  await untilReady(world)

  world.put(groupsOf(3))
  await world.until(() => false, 60_000)
  const plan = JSON.stringify(valueAt(world.cluster.status, 'plan'))
  for (const id of [1, 2]) {
    const name = `data-prod-broker-0-${id}`
    const uid = world.need('PersistentVolumeClaim', name).metadata.uid ?? ''
    const kind = 'PersistentVolumeClaim'
    await world.delete({ apiVersion: 'v1', kind, namespace: 'shop', name }, { uid })
  }
  await untilReady(world)

  expect(plan).toContain('data-prod-broker-0-1, a volume of before: delete that claim')
  expect(groupIn(world).voters).toEqual([0, 1, 2])
})

test('peers are not changed before the group is founded', async () => {
  const world = new World()
  world.unschedulable.add('prod-broker-0-2')
  world.put(groupsOf(3))
  await world.until(() => false, 60_000)

  world.put(groupsOf(5))
  await world.until(() => false, 60_000)
  const file = world.need('ConfigMap', 'prod-broker-0-config').data?.['broker.conf'] ?? ''
  world.unschedulable.clear()
  const waiting = world.find('Pod', 'prod-broker-0-2')
  if (waiting !== null) world.kill(waiting)
  await untilReady(world)

  expect(file).not.toContain('n3-')
  expect(groupIn(world).voters).toEqual([0, 1, 2, 3, 4])
})

test('a member whose volume cannot be had gets an empty one after the time of the spec, and only when it may', async () => {
  const world = await readyWorld()
  world.unschedulable.add('prod-broker-0-1')
  world.kill(world.need('Pod', 'prod-broker-0-1'))

  await world.until(() => false, 900_000)
  const early = callsOf(world, ['delete'])
  const degraded = degradedIn(world)
  world.put(groupsOf(3, { pvcRecovery: { enabled: true, nodeGoneAfterSeconds: 60 } }))
  await untilReady(world)

  expect(early).toEqual([])
  expect(degraded).toContain('VolumeLost: prod-broker-0-1 waits for its volume')
  expect(callsOf(world, ['delete'])).toEqual(['delete PersistentVolumeClaim data-prod-broker-0-1'])
  expect(groupIn(world).voters).toEqual([0, 1, 2])
})

test('no volume is given up while another member is away', async () => {
  const recovery = { pvcRecovery: { enabled: true, nodeGoneAfterSeconds: 60 } }
  const world = await readyWorld(groupsOf(5, recovery))
  for (const id of [1, 2]) {
    world.unschedulable.add(`prod-broker-0-${id}`)
    world.kill(world.need('Pod', `prod-broker-0-${id}`))
  }

  await world.until(() => false, 600_000)

  expect(callsOf(world, ['delete'])).toEqual([])
  expect(degradedIn(world)).toContain('VolumeLost')
})

test('a group without a majority is told as such, with an Event, and nothing is forced', async () => {
  const world = await readyWorld()
  for (const id of [1, 2]) {
    world.unschedulable.add(`prod-broker-0-${id}`)
    world.kill(world.need('Pod', `prod-broker-0-${id}`))
  }

  await world.until(() => false, 60_000)

  expect(degradedIn(world)).toBe(
    'QuorumLost: prod-broker-0 has no leader: 0 of 3 members are ready; it takes no messages',
  )
  expect(world.phaseOf(0)).toBe('Unhealthy')
  expect(world.events.map(({ reason }) => reason)).toContain('QuorumLost')
  expect(callsOf(world, ['evict', 'delete'])).toEqual([])
})

test('an Event tells of a new leader', async () => {
  const world = await readyWorld()

  world.kill(world.need('Pod', 'prod-broker-0-0'))
  await untilReady(world)

  const notes = world.events.filter(({ reason }) => reason === 'LeaderChanged')
  expect(notes.map(({ note }) => note)).toEqual([
    'prod-broker-0: prod-broker-0-1 leads in term 2, before prod-broker-0-0',
  ])
})

test('volumes grow first, then the StatefulSet is made anew around its pods', async () => {
  const world = await readyWorld()
  const uids = objectNames(world, 'Pod').map((name) => world.need('Pod', name).metadata.uid)
  const before = world.calls.length

  world.put(groupsOf(3, { storage: { size: '2Gi' } }))
  await untilReady(world)

  const calls = world.calls.slice(before)
  const size = ['volumeClaimTemplates', 0, 'spec', 'resources', 'requests', 'storage'] as const
  const last = calls.lastIndexOf('apply PersistentVolumeClaim data-prod-broker-0-2')
  expect(textAt(world.need('StatefulSet', 'prod-broker-0').spec, ...size)).toBe('2Gi')
  expect(calls.indexOf('orphan StatefulSet prod-broker-0')).toBeGreaterThan(last)
  expect(last).toBeGreaterThan(0)
  expect(objectNames(world, 'Pod').map((name) => world.need('Pod', name).metadata.uid)).toEqual(
    uids,
  )
  expect(callsOf(world, ['evict', 'wipe', 'copy'])).toEqual([])
})

test('a cluster is not Ready while its volumes grow, and volumes of members that left do not count', async () => {
  const world = await readyWorld()
  world.put(groupsOf(1))
  await untilReady(world)
  world.isSlowToGrow = true

  world.put(groupsOf(1, { storage: { size: '2Gi' } }))
  await world.until(() => false, 60_000)
  const ready = world.conditionOf('Ready')
  const plan = JSON.stringify(valueAt(world.cluster.status, 'plan'))
  const resizing = world.conditionOf('StorageResizing')
  world.finishGrowing()
  await untilReady(world)

  expect(ready).toBe('False')
  expect(plan).toContain('data-prod-broker-0-0 (1Gi) grow to 2Gi')
  expect(resizing).toBe('True')
  expect(world.conditionOf('StorageResizing')).toBe('False')
})

test('a StorageClass that does not let volumes grow is told, and the rest of the spec is still applied', async () => {
  const world = await readyWorld()
  world.isExpandable = false

  await putRestartKey(world, { storage: { size: '2Gi' } })
  await world.until(() => callsOf(world, ['evict']).length === 3)

  const condition = listAt(world.cluster.status, 'conditions').find(
    (one) => textAt(one, 'type') === 'StorageResizing',
  )
  expect(textAt(condition, 'reason')).toBe('NotExpandable')
  expect(textAt(condition, 'message')).toContain('does not resize')
  expect(callsOf(world, ['orphan'])).toEqual([])
  expect(callsOf(world, ['evict']).length).toBe(3)
})

test('a hibernating cluster of three keeps every volume, and wakes up with its members', async () => {
  const world = await readyWorld()

  world.put(groupsOf(3, {}, { hibernate: true }))
  await world.until(() => world.conditionOf('Hibernated') === 'True')
  const pods = objectNames(world, 'Pod')
  world.put(groupsOf(3))
  await untilReady(world)

  expect(pods).toEqual([])
  expect(objectNames(world, 'PersistentVolumeClaim').length).toBe(3)
  expect(groupIn(world).voters).toEqual([0, 1, 2])
})

test('a second group of three has every topic before it takes writes, whoever leads the first', async () => {
  const world = await readyWorld()
  groupIn(world).transfer(0, 2, world.clock.now())
  world.settle()
  world.brokers.get('prod-broker-0-2')?.topics.add('Orders')

  world.put(groupsOf(3, { groups: 2 }))
  await untilReady(world)

  expect(callsOf(world, ['copy'])).toEqual(['copy prod-broker-0-2 prod-broker-1-0'])
  expect(world.routes.get('prod-namesrv-0')?.get('prod-broker-1')).toBe(true)
})

test('a leader that is elected while its group leaves is closed as well', async () => {
  const world = await readyWorld(groupsOf(3, { groups: 2 }))
  const leader = world.brokers.get('prod-broker-1-0')
  if (leader !== undefined)
    leader.lags = [{ topic: 'T', consumerGroup: 'G', messages: 1, queueId: 0 }]

  world.put(groupsOf(3, { groups: 1 }))
  await world.until(() => world.phaseOf(1) === 'Draining')
  const permissions = [0, 1, 2].map((id) =>
    world.brokers.get(`prod-broker-1-${id}`)?.config.get('brokerPermission'),
  )
  groupIn(world, 1).transfer(0, 1, world.clock.now())
  world.settle()
  const successor = world.brokers.get('prod-broker-1-1')
  if (successor !== undefined) successor.lags = []
  await untilReady(world)

  expect(permissions).toEqual(['4', '4', '4'])
  expect(objectNames(world, 'StatefulSet')).toEqual(['prod-broker-0', 'prod-namesrv'])
})
