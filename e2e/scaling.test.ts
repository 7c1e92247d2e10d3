/** Scenarios E2 and E3: broker groups come and go while messages flow. */
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { Kube, eventually } from './kube.ts'
import {
  deleteNamespace,
  groupName,
  groupStatus,
  incarnations,
  phaseOf,
  untilPhase,
  untilReady,
} from './kube-cluster.ts'
import type { Fixture } from './kube-cluster.ts'
import { commandLine, runClient } from './kube-load.ts'
import { kubectlGantry } from './kubectl-plugin.ts'
import { brokerMetadata } from './kube-remoting.ts'
import { expectCommonRule, startScenario } from './kube-scenario.ts'
import { listAt } from './json.ts'

const NAMESPACE = 'e2e-scaling'
const HELD = 300

beforeEach(async () => {
  await deleteNamespace(new Kube(), NAMESPACE)
})

afterEach(async () => {
  await deleteNamespace(new Kube(), NAMESPACE)
})

afterAll(async () => {
  await deleteNamespace(new Kube(), NAMESPACE)
})

test('E2: new groups carry every topic and group before they take messages, and no send fails', async () => {
  const scenario = await startScenario(NAMESPACE)
  const { fixture, namespace, name, load } = scenario
  const { kube } = fixture
  await produce(fixture, 'Orders')
  await consume(fixture, 'Orders')
  const wanted = await brokerMetadata(namespace, `${groupName(name, 0)}-0`)

  const start = performance.now()
  await setGroups(kube, 4)
  await Promise.all(
    [2, 3].map((group) => untilPhase(kube, { namespace, name }, group, ['Serving'], 180_000)),
  )
  const servingMs = Math.round(performance.now() - start)
  const metadata = await Promise.all(
    [0, 1, 2, 3].map((group) => brokerMetadata(namespace, `${groupName(name, group)}-0`)),
  )
  const shares = await sharesOfNewGroups(scenario, [2, 3])

  const summary = await expectCommonRule(scenario, { scenario: 'E2', servingMs, shares })
  expect(servingMs).toBeLessThanOrEqual(180_000)
  for (const one of metadata) {
    expect(one.topics).toEqual(expect.arrayContaining(wanted.topics.filter(isUsers)))
    expect(one.consumerGroups).toEqual(expect.arrayContaining([...wanted.consumerGroups]))
  }
  expect(Math.min(...shares)).toBeGreaterThanOrEqual(0.15)
  expect(summary.failedSends).toBe(0)
  expect(load.failedSends).toBe(0)
})

test('E3: a group leaves only when it is empty, may come back half-way, and keeps its volume', async () => {
  const scenario = await startScenario(NAMESPACE, { groups: 3, drain: { settleSeconds: 35 } })
  const { fixture, namespace, name, load } = scenario
  const { kube } = fixture
  const cluster = { namespace, name }
  const leaving = groupName(name, 2)
  await produce(fixture, 'Held')
  const podsBefore = await incarnations(kube, namespace, name, 'broker')

  // Down and back again while messages that nobody reads keep the group from going.
  await setGroups(kube, 2)
  await untilPhase(kube, cluster, 2, ['Draining'], 120_000)
  const cancelled = performance.now()
  await setGroups(kube, 3)
  await untilPhase(kube, cluster, 2, ['Serving'], 60_000)
  const backMs = Math.round(performance.now() - cancelled)
  const podsAfter = await incarnations(kube, namespace, name, 'broker')
  await untilReady(kube, namespace, name)

  // Down for good.
  await setGroups(kube, 2)
  await untilPhase(kube, cluster, 2, ['WriteDisabled', 'Draining'], 60_000)
  await delay(40_000)
  const writtenThen = load.perBroker()[leaving] ?? 0
  const draining = await untilPhase(kube, cluster, 2, ['Draining'], 120_000)
  const blockedBy = JSON.stringify(listAt(groupStatus(draining.cluster, 2), 'drain', 'blockedBy'))
  await delay(15_000)
  const shown = await kubectlGantry(['status', name, '-n', namespace])
  const still = await kube.need('RocketMQCluster', namespace, name)
  const writtenLater = load.perBroker()[leaving] ?? 0
  await consume(fixture, 'Held')
  const { elapsedMs: removedMs } = await eventually(`${leaving} is gone`, 180_000, async () =>
    (await kube.get('StatefulSet', namespace, leaving)) === null ? true : null,
  )
  const claims = (await kube.list('PersistentVolumeClaim', namespace)).filter((claim) =>
    claim.metadata.name.includes(leaving),
  )

  // And up again, on the volume that was kept.
  await setGroups(kube, 3)
  await untilPhase(kube, cluster, 2, ['Serving'], 180_000)

  const summary = await expectCommonRule(scenario, { scenario: 'E3', backMs, removedMs, blockedBy })
  expect(backMs).toBeLessThanOrEqual(30_000)
  expect(podsAfter).toEqual(podsBefore)
  expect(blockedBy).toContain('Held')
  expect(shown.stdout).toMatch(
    new RegExp(`^ {2}${leaving} is emptied: [0-9]+ messages left, ETA .+$`, 'mu'),
  )
  expect(shown.stdout).toMatch(/^ {4}waits for .*Held/mu)
  expect(phaseOf(still, 2)).toBe('Draining')
  expect(writtenLater).toBe(writtenThen)
  expect(claims.length).toBe(1)
  expect(summary.failedSends / summary.acked).toBeLessThanOrEqual(0.001)
})

async function setGroups(kube: Kube, groups: number): Promise<void> {
  await kube.patch('RocketMQCluster', NAMESPACE, 'prod', { spec: { broker: { groups } } })
}

async function produce(fixture: Fixture, topic: string): Promise<void> {
  await runGo(fixture, `produce-${topic.toLowerCase()}`, 'produce', {
    topic,
    group: `${topic}-producer`,
    count: HELD,
    retries: 5,
    mode: 'sync',
  })
}

async function consume(fixture: Fixture, topic: string): Promise<void> {
  await runGo(fixture, `consume-${topic.toLowerCase()}`, 'push-consume', {
    topic,
    group: `${topic}-consumer`,
    from: 'first',
    expect: HELD,
  })
}

async function runGo(
  fixture: Fixture,
  name: string,
  scenario: string,
  flags: Readonly<Record<string, string | number>>,
): Promise<void> {
  const all = { namesrv: 'prod-namesrv:9876', ...flags }
  await runClient(fixture, { namespace: NAMESPACE, name }, 'java5', commandLine(scenario, all))
}

/** The least share of ten seconds' sends that each new group reaches within 60 s. */
async function sharesOfNewGroups(
  scenario: Awaited<ReturnType<typeof startScenario>>,
  groups: readonly number[],
): Promise<readonly number[]> {
  const { load, name } = scenario
  let best = groups.map(() => 0)
  for (let window = 0; window < 6; window++) {
    const before = load.perBroker()
    await delay(10_000)
    const after = load.perBroker()
    const delta = (broker: string): number => (after[broker] ?? 0) - (before[broker] ?? 0)
    const total = Object.keys(after).reduce((sum, broker) => sum + delta(broker), 0)
    best = groups.map((group, index) =>
      Math.max(best[index] ?? 0, delta(groupName(name, group)) / Math.max(total, 1)),
    )
    if (best.every((share) => share >= 0.15)) break
  }
  return best
}

const SYSTEM =
  /^(TBW102|SELF_TEST_TOPIC|SCHEDULE_TOPIC_XXXX|OFFSET_MOVED_EVENT|BenchmarkTest|RMQ_SYS_.*|rmq_sys_.*|.*_REPLY_TOPIC|prod.*)$/

function isUsers(topic: string): boolean {
  return !SYSTEM.test(topic)
}
