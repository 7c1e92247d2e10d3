import { expect, test } from 'vitest'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { RouteTable } from './route-table.ts'
import type { RouteTableOptions } from './route-table.ts'
import { DEFAULT_OPTIONS, registration, topicTable } from './testing.ts'

function routeTable(options: Partial<RouteTableOptions> = {}): RouteTable {
  return new RouteTable(() => ({ ...DEFAULT_OPTIONS, ...options }))
}

function permissions(table: RouteTable, topic: string): readonly number[] | undefined {
  return table.route(topic)?.queueDatas.map(({ perm }) => perm)
}

test('a registered topic has a route with its queues and the addresses of its group', () => {
  const table = routeTable()

  const result = table.register(registration(), 0)

  expect(result).toMatchObject({ type: 'registered', isNew: true, masterAddr: null })
  expect(table.route('T1')).toEqual({
    orderTopicConf: null,
    queueDatas: [
      { brokerName: 'broker-a', readQueueNums: 8, writeQueueNums: 8, perm: 6, topicSysFlag: 0 },
    ],
    brokerDatas: [
      {
        cluster: 'c1',
        brokerName: 'broker-a',
        brokerAddrs: new Map([[0, '10.0.0.1:10911']]),
        zoneName: null,
        enableActingMaster: false,
      },
    ],
    topicQueueMappingByBroker: null,
  })
  expect(table.route('T2')).toBeNull()
})

test('a slave is told the addresses of its master and brings no topics', () => {
  const table = routeTable()
  table.register(registration(), 0)

  const result = table.register(
    registration({
      brokerId: 1,
      brokerAddr: '10.0.0.2:10911',
      topicTable: topicTable(['T8', 'T9']),
    }),
    0,
  )

  expect(result).toMatchObject({ masterAddr: '10.0.0.1:10911', haServerAddr: '10.0.0.1:10912' })
  expect(table.topics()).toEqual(['T1', 'TBW102'])
  expect([...(table.route('T1')?.brokerDatas[0]?.brokerAddrs ?? [])]).toEqual([
    [0, '10.0.0.1:10911'],
    [1, '10.0.0.2:10911'],
  ])
})

test('a single topic is taken from a registered broker only', () => {
  const table = routeTable()
  const single = registration({ topicTable: topicTable(['T5'], { counter: 1 }) })

  const before = table.register(single, 0)
  table.register(registration(), 0)
  const after = table.register(single, 0)

  expect(before).toEqual({ type: 'refused' })
  expect(table.clusterInfo().brokers.size).toBe(1)
  expect(after.type).toBe('registered')
  expect(table.topics()).toEqual(['T1', 'T5', 'TBW102'])
})

test('a slave that becomes master gives up its old id, and the route shows the change at once', () => {
  const table = routeTable()
  table.register(registration(), 0)
  table.register(registration({ brokerId: 1, brokerAddr: 'b:1', connectionId: 2 }), 0)

  table.register(registration({ brokerAddr: 'b:1', connectionId: 2 }), 1)

  expect([...(table.route('T1')?.brokerDatas[0]?.brokerAddrs ?? [])]).toEqual([[0, 'b:1']])
  expect(table.brokersOf(1)).toEqual([])
})

test('an older state version does not take the place of a newer one', () => {
  const table = routeTable()
  table.register(registration({ topicTable: topicTable(['T1', 'T2'], { stateVersion: 5 }) }), 0)

  const result = table.register(
    registration({
      brokerAddr: 'old:1',
      topicTable: topicTable(['T1', 'T3'], { stateVersion: 4 }),
    }),
    1,
  )

  expect(result).toEqual({ type: 'outdated', term: 0 })
  expect(table.topics()).toEqual(['T1', 'T2'])
  expect(table.memberGroup('c1', 'broker-a').brokerAddrs.get(0)).toBe('10.0.0.1:10911')
})

test('the larger term wins even with one address for all members', () => {
  const table = routeTable()
  table.register(registration({ term: 3, connectionId: 1 }), 0)
  table.register(
    registration({
      term: 4,
      connectionId: 2,
      topicTable: topicTable(['T1', 'T4'], { counter: 1 }),
    }),
    1,
  )

  const deposed = table.register(
    registration({
      term: 3,
      connectionId: 1,
      topicTable: topicTable(['T1', 'T3'], { counter: 9 }),
    }),
    2,
  )
  const java = table.register(registration({ connectionId: 3 }), 3)

  expect(deposed).toEqual({ type: 'outdated', term: 4 })
  expect(java).toEqual({ type: 'outdated', term: 4 })
  expect(table.brokersOf(2)).toHaveLength(1)
  expect(table.topics()).toEqual(['T1', 'T4', 'TBW102'])
})

test('a deposed leader that leaves does not take the present one away', () => {
  const table = routeTable()
  const brokerAddr = '10.0.0.1:10911'
  table.register(registration({ term: 3 }), 0)
  table.register(registration({ term: 4, connectionId: 2 }), 0)

  table.unregister([{ brokerName: 'broker-a', brokerAddr, term: 3 }])
  const kept = table.route('T1')
  table.unregister([{ brokerName: 'broker-a', brokerAddr, term: null }])

  expect(kept).not.toBeNull()
  expect(table.route('T1')).toBeNull()
})

test('the last member that goes takes group, cluster and topics with it', () => {
  const table = routeTable()
  table.register(registration(), 0)
  table.register(registration({ brokerId: 1, brokerAddr: 'b:1' }), 0)

  table.unregister([{ brokerName: 'broker-a', brokerAddr: '10.0.0.1:10911', term: null }])
  const withSlave = table.topics()
  table.unregister([{ brokerName: 'broker-a', brokerAddr: 'b:1', term: null }])

  expect(withSlave).toEqual(['T1', 'TBW102'])
  expect(table.topics()).toEqual([])
  expect(table.clusterInfo()).toEqual({ brokers: new Map(), clusters: new Map() })
  expect(table.brokerCount).toBe(0)
})

test('a broker expires after its own time-out, and a sign of life prolongs it', () => {
  const table = routeTable()
  table.register(registration({ heartbeatTimeoutMs: 1000 }), 0)
  table.register(registration({ brokerName: 'broker-b', brokerAddr: 'b:1' }), 0)

  table.touch('10.0.0.1:10911', 500)

  expect(table.expired(1500)).toEqual([])
  expect(table.expired(1501).map(({ brokerName }) => brokerName)).toEqual(['broker-a'])
  expect(table.expired(120_000).map(({ brokerName }) => brokerName)).toEqual(['broker-a'])
  expect(table.expired(120_001)).toHaveLength(2)
})

test('a wiped write permission stays wiped until the topics of the broker change', () => {
  const table = routeTable()
  table.register(registration(), 0)

  const count = table.wipeWritePermission('broker-a')
  table.register(registration(), 1)
  const afterSame = permissions(table, 'T1')
  table.register(registration({ topicTable: topicTable(['TBW102', 'T1'], { counter: 1 }) }), 2)

  expect(count).toBe(2)
  expect(afterSame).toEqual([4])
  expect(permissions(table, 'T1')).toEqual([6])
})

test('restored write permission is read and write on every topic of the broker', () => {
  const table = routeTable()
  table.register(
    registration({ topicTable: topicTable(['T1', topicConfig('T2', { perm: 4 })]) }),
    0,
  )
  table.wipeWritePermission('broker-a')

  const count = table.addWritePermission('broker-a')

  expect(count).toBe(2)
  expect(permissions(table, 'T1')).toEqual([6])
  expect(permissions(table, 'T2')).toEqual([6])
  expect(table.addWritePermission('unknown')).toBe(0)
})

test('topics stay after a registration without them, unless configured otherwise', () => {
  const keeps = routeTable()
  const deletes = routeTable({ deleteTopicWithBrokerRegistration: true })
  const later = registration({ topicTable: topicTable(['T1', 'T2'], { counter: 1 }) })

  for (const table of [keeps, deletes]) {
    table.register(registration(), 0)
    table.register(later, 1)
  }

  expect(keeps.topics()).toEqual(['T1', 'T2', 'TBW102'])
  expect(deletes.topics()).toEqual(['T1', 'T2'])
})

test('the lowest surviving slave stands in for the master, read-only', () => {
  const table = routeTable({ supportActingMaster: true })
  const acting = { enableActingMaster: true }
  table.register(registration(acting), 0)
  table.register(registration({ ...acting, brokerId: 2, brokerAddr: 'b:2' }), 0)
  table.register(registration({ ...acting, brokerId: 3, brokerAddr: 'b:3' }), 0)

  table.unregister([{ brokerName: 'broker-a', brokerAddr: '10.0.0.1:10911', term: null }])
  const route = table.route('T1')
  table.register(
    registration({ ...acting, topicTable: topicTable(['T1', 'T2'], { counter: 1 }) }),
    1,
  )

  expect(route?.queueDatas[0]?.perm).toBe(4)
  expect([...(route?.brokerDatas[0]?.brokerAddrs ?? [])]).toEqual([
    [0, 'b:2'],
    [3, 'b:3'],
  ])
  expect(permissions(table, 'T1')).toEqual([6])
})

test('members are notified of a changed lowest id: all that are left after a loss, the others after an arrival', () => {
  const table = routeTable({ notifyMinBrokerIdChanged: true })
  const acting = { enableActingMaster: true }
  table.register(registration(acting), 0)
  table.register(registration({ ...acting, brokerId: 1, brokerAddr: 'b:1' }), 0)
  table.register(registration({ ...acting, brokerId: 2, brokerAddr: 'b:2' }), 0)

  const lost = table.unregister([
    { brokerName: 'broker-a', brokerAddr: '10.0.0.1:10911', term: null },
  ])
  const arrived = table.register(registration(acting), 1)

  expect(lost).toEqual([
    {
      brokerName: 'broker-a',
      minBrokerId: 1,
      minBrokerAddr: 'b:1',
      offlineBrokerAddr: '10.0.0.1:10911',
      haBrokerAddr: null,
      recipients: ['b:1', 'b:2'],
    },
  ])
  expect(arrived).toMatchObject({
    notifications: [{ minBrokerId: 0, haBrokerAddr: '10.0.0.1:10912', recipients: ['b:1', 'b:2'] }],
  })
})

test('a topic is deleted everywhere, or in one cluster only', () => {
  const table = routeTable()
  table.register(registration(), 0)
  table.register(registration({ clusterName: 'c2', brokerName: 'broker-b', brokerAddr: 'b:1' }), 0)

  table.deleteTopic('T1', 'c2')
  const left = table.route('T1')?.queueDatas.map(({ brokerName }) => brokerName)
  table.deleteTopic('T1', null)

  expect(left).toEqual(['broker-a'])
  expect(table.route('T1')).toBeNull()
  expect(table.topicsOfCluster('c2')).toEqual(['TBW102'])
})

test('a topic registered by hand needs known groups', () => {
  const table = routeTable()
  table.register(registration(), 0)
  const queues = { readQueueNums: 2, writeQueueNums: 2, perm: 6, topicSysFlag: 0 }

  table.registerTopic('T7', [{ brokerName: 'broker-a', ...queues }])
  table.registerTopic('T8', [{ brokerName: 'broker-x', ...queues }])

  expect(table.topics()).toEqual(['T1', 'T7', 'TBW102'])
})

test('lists by unit flag, cluster and system follow the first group of each topic', () => {
  const table = routeTable()
  const topics = [
    topicConfig('plain'),
    topicConfig('unit', { topicSysFlag: 1 }),
    topicConfig('sub', { topicSysFlag: 2 }),
    topicConfig('both', { topicSysFlag: 3 }),
  ]
  table.register(registration({ topicTable: topicTable(topics) }), 0)

  expect(table.unitTopics()).toEqual(['both', 'unit'])
  expect(table.unitSubscribedTopics()).toEqual(['both', 'sub'])
  expect(table.unitSubscribedOrdinaryTopics()).toEqual(['sub'])
  expect(table.topicsOfCluster('c1')).toHaveLength(4)
  expect(table.topicsOfCluster('unknown')).toEqual([])
  expect(table.systemTopics()).toEqual({
    topics: ['c1', 'broker-a'],
    brokerAddr: '10.0.0.1:10911',
  })
})

test('an address that another group takes over is no longer the first group’s', () => {
  const table = routeTable()
  table.register(registration(), 0)

  table.register(registration({ brokerName: 'broker-b' }), 1)

  expect([...table.clusterInfo().brokers.keys()]).toEqual(['broker-b'])
  expect(table.brokerCount).toBe(1)
})

test('a group belongs to the cluster that it named last, and to no other', () => {
  const table = routeTable()
  table.register(registration(), 0)

  table.register(registration({ clusterName: 'c2' }), 1)

  expect(table.clusterInfo().clusters).toEqual(new Map([['c2', ['broker-a']]]))
  expect(table.route('T1')?.brokerDatas[0]?.cluster).toBe('c2')
})

test('a slave that registers alone brings its topics without the write bit', () => {
  const table = routeTable({ supportActingMaster: true })

  table.register(registration({ brokerId: 2, brokerAddr: 'b:2', enableActingMaster: true }), 0)

  expect(permissions(table, 'T1')).toEqual([4])
  expect(table.route('T1')?.brokerDatas[0]?.brokerAddrs).toEqual(new Map([[0, 'b:2']]))
})

test('a registration in parts removes only the topics that stand in none of them', () => {
  const table = routeTable({ deleteTopicWithBrokerRegistration: true })
  table.register(registration({ topicTable: topicTable(['A', 'B', 'C', 'OLD']) }), 0)
  const part = (name: 'first' | 'middle' | 'last', counter: number, ...topics: string[]) =>
    table.register(registration({ part: name, topicTable: topicTable(topics, { counter }) }), 1)

  part('first', -1, 'A')
  part('middle', -2, 'B')
  const before = table.topics()
  part('last', 2, 'C')

  expect(before).toEqual(['A', 'B', 'C', 'OLD'])
  expect(table.topics()).toEqual(['A', 'B', 'C'])
})

test('a few changed topics are taken over, and no other is touched', () => {
  const table = routeTable({ deleteTopicWithBrokerRegistration: true })
  table.register(registration({ topicTable: topicTable(['A', 'B']) }), 0)
  const changed = topicTable([topicConfig('B', { perm: 4 }), 'C'], { counter: 2 })

  const result = table.register(registration({ part: 'some', topicTable: changed }), 1)

  expect(result.type).toBe('registered')
  expect(table.topics()).toEqual(['A', 'B', 'C'])
  expect(permissions(table, 'B')).toEqual([4])
})

test.each(['some', 'middle', 'last'] as const)(
  'a broker that is not known cannot begin with part %s',
  (part) => {
    const table = routeTable()

    const result = table.register(registration({ part }), 0)

    expect(result).toEqual({ type: 'refused' })
    expect(table.topics()).toEqual([])
  },
)

test('the version changes with whatever changes a route, and not with a sign of life', () => {
  const table = routeTable()
  const versions = [table.version]
  const step = (act: () => unknown) => {
    act()
    versions.push(table.version)
  }

  step(() => table.register(registration(), 0))
  step(() => table.wipeWritePermission('broker-a'))
  step(() => table.registerTopic('T9', []))
  step(() => table.deleteTopic('T1', null))
  step(() =>
    table.unregister([{ brokerName: 'broker-a', brokerAddr: '10.0.0.1:10911', term: null }]),
  )

  expect(new Set(versions).size).toBe(versions.length)
  const { version } = table
  table.touch('10.0.0.1:10911', 5)
  expect(table.version).toBe(version)
})
