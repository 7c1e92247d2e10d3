/** Scenarios E4, E6 and E7, and growing and shrinking: broker groups of several members, under the control load. */
import { afterEach, expect, test } from 'vitest'
import { at, listAt, numberAt, textAt } from './json.ts'
import { conditionOf, Kube, eventually } from './kube.ts'
import type { KubeObject } from './kube.ts'
import {
  deleteNamespace,
  groupName,
  groupStatus,
  incarnations,
  podsOf,
  untilReady,
} from './kube-cluster.ts'
import { expectCommonRule, startScenario } from './kube-scenario.ts'
import type { Scenario } from './kube-scenario.ts'

const NAMESPACE = 'e2e-members'

afterEach(async () => {
  await deleteNamespace(new Kube(), NAMESPACE)
})

test.each([
  ['nothing acknowledged is lost', 1],
  ['no send fails while there is another group', 2],
])('E7: a killed leader is followed by another within seconds; %s', async (_what, groups) => {
  const scenario = await startScenario(NAMESPACE, { members: 3, groups })
  const { kube } = scenario.fixture
  const before = await leaderOf(scenario)
  const term = await termOf(scenario)

  const killed = performance.now()
  await kube.delete('Pod', NAMESPACE, before, { gracePeriodSeconds: 0 })
  const { elapsedMs: endpointMs } = await eventually(
    'the leader Service leads to another pod',
    60_000,
    async () => {
      const pod = await endpointOf(scenario)
      return pod === '' || pod === before ? null : pod
    },
  )
  const healed = await untilReady(kube, NAMESPACE, scenario.name, 120_000)

  const healedMs = Math.round(performance.now() - killed)
  const figures = { scenario: 'E7', groups, endpointMs, healedMs }
  const summary = await expectCommonRule(scenario, figures)
  expect(textAt(groupStatus(healed.cluster, 0), 'inSync')).toBe('3/3')
  expect(numberAt(groupStatus(healed.cluster, 0), 'term')).toBeGreaterThan(term)
  expect(endpointMs).toBeLessThanOrEqual(5_000)
  expect(healedMs).toBeLessThanOrEqual(60_000)
  expect(summary.maxGapMs).toBeLessThanOrEqual(35_000)
  if (groups > 1) expect(summary.failedSends).toBe(0)
})

test('E4: a roll takes followers first, one pod of a group at a time, and changes each leader once', async () => {
  const scenario = await startScenario(NAMESPACE, { members: 3 })
  const { kube } = scenario.fixture
  const terms = await Promise.all([0, 1].map((group) => termOf(scenario, group)))
  const before = await incarnations(kube, NAMESPACE, scenario.name, 'broker')
  let mostDown = 0

  const start = performance.now()
  await kube.patch('RocketMQCluster', NAMESPACE, scenario.name, {
    metadata: {
      annotations: { 'rocketmq.gantry.dev/restart-at': new Date().toISOString() },
    },
  })
  await eventually('every broker was replaced', 600_000, async () => {
    const pods = await podsOf(kube, NAMESPACE, scenario.name, 'broker')
    mostDown = Math.max(mostDown, ...[0, 1].map((group) => downIn(pods, scenario, group)))
    const now = await incarnations(kube, NAMESPACE, scenario.name, 'broker')
    const isReplaced = Object.keys(before).every((pod) => now[pod] !== before[pod])
    return isReplaced && Object.keys(now).length === Object.keys(before).length ? true : null
  })
  await untilReady(kube, NAMESPACE, scenario.name)
  const rollMs = Math.round(performance.now() - start)
  const after = await Promise.all([0, 1].map((group) => termOf(scenario, group)))

  const summary = await expectCommonRule(scenario, { scenario: 'E4', rollMs, mostDown })
  expect(mostDown).toBeLessThanOrEqual(1)
  expect(after).toEqual(terms.map((term) => term + 1))
  expect(rollMs).toBeLessThanOrEqual(600_000)
  expect(summary.failedSends).toBe(0)
  expect(summary.p99SendMs).toBeLessThanOrEqual(2_000)
})

test('a group grows from one member to three and five and shrinks to three, and no send fails', async () => {
  const scenario = await startScenario(NAMESPACE, { members: 1, groups: 2 })
  const { kube } = scenario.fixture
  const seen: string[] = []

  for (const members of [3, 5, 3]) {
    await kube.patch('RocketMQCluster', NAMESPACE, scenario.name, {
      spec: { broker: { replicasPerGroup: members } },
    })
    const { cluster } = await untilReady(kube, NAMESPACE, scenario.name, 600_000)
    seen.push(textAt(groupStatus(cluster, 0), 'inSync'))
  }
  const claims = await kube.list('PersistentVolumeClaim', NAMESPACE)

  const summary = await expectCommonRule(scenario, { scenario: 'members', seen })
  expect(seen).toEqual(['3/3', '5/5', '3/3'])
  // Volumes of members that left stay, as the spec says by default.
  expect(claims.length).toBe(10)
  expect(summary.failedSends).toBe(0)
})

test('a member whose volume is deleted comes back with an empty one and copies the log', async () => {
  const scenario = await startScenario(NAMESPACE, { members: 3, groups: 1 })
  const { kube } = scenario.fixture
  const leader = await leaderOf(scenario)
  const [follower = ''] = [0, 1, 2]
    .map((id) => `${groupName(scenario.name, 0)}-${id}`)
    .filter((pod) => pod !== leader)

  await kube.delete('PersistentVolumeClaim', NAMESPACE, `data-${follower}`)
  await kube.delete('Pod', NAMESPACE, follower)
  const { cluster, elapsedMs } = await untilReady(kube, NAMESPACE, scenario.name, 180_000)

  await expectCommonRule(scenario, { scenario: 'volume lost', healedMs: elapsedMs })
  expect(textAt(groupStatus(cluster, 0), 'inSync')).toBe('3/3')
})

test('E6: volumes grow without a restart where the StorageClass allows it, and the status says so where not', async () => {
  const scenario = await startScenario(NAMESPACE, { members: 3, groups: 1 })
  const { kube } = scenario.fixture
  const before = await incarnations(kube, NAMESPACE, scenario.name, 'broker')

  await kube.patch('RocketMQCluster', NAMESPACE, scenario.name, {
    spec: { broker: { storage: { size: '2Gi' } } },
  })
  const { answer } = await eventually('the volumes have grown, or cannot', 300_000, async () => {
    const cluster = await kube.need('RocketMQCluster', NAMESPACE, scenario.name)
    const condition = listAt(cluster, 'status', 'conditions').find(
      (one) => textAt(one, 'type') === 'StorageResizing',
    )
    if (textAt(condition, 'reason') === 'NotExpandable') return 'refused'
    const actual = textAt(groupStatus(cluster, 0), 'storage', 'actual')
    return actual === '2Gi' ? 'grown' : null
  })
  const after = await incarnations(kube, NAMESPACE, scenario.name, 'broker')
  const claims = await kube.list('PersistentVolumeClaim', NAMESPACE)
  const capacities = claims.map((claim) => textAt(claim, 'status', 'capacity', 'storage'))
  if (answer === 'refused') {
    // Nothing else can be asked of this StorageClass; the spec cannot shrink back, so the cluster stays as it is.
    await scenario.load.stop()
    expect(capacities.every((size) => size === '1Gi')).toBe(true)
    return
  }

  await expectCommonRule(scenario, { scenario: 'E6', capacities })
  const template = await kube.need('StatefulSet', NAMESPACE, groupName(scenario.name, 0))
  const size = ['volumeClaimTemplates', 0, 'spec', 'resources', 'requests', 'storage'] as const
  expect(capacities).toEqual(['2Gi', '2Gi', '2Gi'])
  expect(at(template, 'spec', ...size)).toBe('2Gi')
  expect(after).toEqual(before)
})

async function leaderOf({ fixture, name }: Scenario, group = 0): Promise<string> {
  const cluster = await fixture.kube.need('RocketMQCluster', NAMESPACE, name)
  return textAt(groupStatus(cluster, group), 'leader')
}

async function termOf({ fixture, name }: Scenario, group = 0): Promise<number> {
  const cluster = await fixture.kube.need('RocketMQCluster', NAMESPACE, name)
  return numberAt(groupStatus(cluster, group), 'term')
}

/** The pod that the leader Service leads to; empty while to none. */
async function endpointOf({ fixture, name }: Scenario): Promise<string> {
  const slice = await fixture.kube.need('EndpointSlice', NAMESPACE, groupName(name, 0))
  return textAt(slice, 'endpoints', 0, 'targetRef', 'name')
}

function downIn(pods: ReadonlyMap<string, KubeObject>, { name }: Scenario, group: number): number {
  return [0, 1, 2].filter((id) => {
    const pod = pods.get(`${groupName(name, group)}-${id}`)
    return conditionOf(pod, 'Ready') !== 'True'
  }).length
}
