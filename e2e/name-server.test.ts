/** Scenarios E8 and E9: name servers go and come while messages flow. */
import { afterEach, expect, test } from 'vitest'
import { Kube, eventually } from './kube.ts'
import { deleteNamespace, groupName, incarnations, podsOf, untilReady } from './kube-cluster.ts'
import type { Fixture } from './kube-cluster.ts'
import { commandLine, runClient } from './kube-load.ts'
import { registrations } from './kube-remoting.ts'
import { expectCommonRule, startScenario } from './kube-scenario.ts'
import { listAt, textAt } from './json.ts'

const NAMESPACE = 'e2e-name-server'
const ADMIN_PORT = 5557

afterEach(async () => {
  await deleteNamespace(new Kube(), NAMESPACE)
})

test('E8: clients go on while every name server is away, and new ones connect soon after', async () => {
  const scenario = await startScenario(NAMESPACE)
  const { fixture, namespace, name, load } = scenario
  const { kube } = fixture
  const brokers = await incarnations(kube, namespace, name, 'broker')
  const ackedBefore = load.acked
  const failedBefore = load.failedSends

  const start = performance.now()
  const nameServers = await podsOf(kube, namespace, name, 'namesrv')
  await Promise.all(
    [...nameServers.keys()].map((pod) =>
      kube.delete('Pod', namespace, pod, { gracePeriodSeconds: 0 }),
    ),
  )
  let attempt = 0
  await eventually('a new client sends', 60_000, async () => {
    attempt += 1
    await sendTen(fixture, `new-client-${attempt}`)
    return true
  })
  const newClientMs = Math.round(performance.now() - start)
  await untilReady(kube, namespace, name)
  const brokersAfter = await incarnations(kube, namespace, name, 'broker')
  const sent = load.acked - ackedBefore
  const failed = load.failedSends - failedBefore

  await expectCommonRule(scenario, { scenario: 'E8', newClientMs, sent, failed })
  expect(newClientMs).toBeLessThanOrEqual(60_000)
  expect(sent / (sent + failed)).toBeGreaterThanOrEqual(0.999)
  expect(brokersAfter).toEqual(brokers)
})

test('E9: every broker knows and is known by exactly the present name servers, without a restart', async () => {
  const scenario = await startScenario(NAMESPACE)
  const { fixture, namespace, name } = scenario
  const { kube } = fixture
  const brokers = await incarnations(kube, namespace, name, 'broker')
  const took: number[] = []

  for (const replicas of [5, 2]) {
    await kube.patch('RocketMQCluster', namespace, name, { spec: { nameServer: { replicas } } })
    const { elapsedMs } = await eventually(
      `all brokers and ${replicas} name servers know each other`,
      90_000,
      async () => ((await isFullMesh(kube, namespace, name, replicas)) ? true : null),
    )
    took.push(elapsedMs)
  }
  const brokersAfter = await incarnations(kube, namespace, name, 'broker')

  const summary = await expectCommonRule(scenario, { scenario: 'E9', tookMs: took })
  expect(Math.max(...took)).toBeLessThanOrEqual(45_000)
  expect(brokersAfter).toEqual(brokers)
  expect(summary.failedSends).toBe(0)
})

async function sendTen(fixture: Fixture, pod: string): Promise<void> {
  await runClient(
    fixture,
    { namespace: NAMESPACE, name: pod },
    'java5',
    commandLine('produce', {
      namesrv: 'prod-namesrv:9876',
      topic: 'ControlLoad',
      group: 'new-client',
      count: 10,
      mode: 'sync',
    }),
  )
}

async function isFullMesh(
  kube: Kube,
  namespace: string,
  name: string,
  replicas: number,
): Promise<boolean> {
  const cluster = await kube.need('RocketMQCluster', namespace, name)
  const listed = listAt(cluster, 'status', 'nameServers').map(String)
  const pods = await podsOf(kube, namespace, name, 'namesrv')
  if (listed.length !== replicas || pods.size !== replicas) return false

  const groups = [groupName(name, 0), groupName(name, 1)]
  for (const pod of pods.keys()) {
    const known = await registrations(namespace, pod)
    if (groups.some((group) => known[group] === undefined)) return false
  }
  for (const group of groups) {
    const config = await kube.podGet(namespace, `${group}-0`, ADMIN_PORT, '/admin/v1/config')
    const told = textAt(config, 'entries', 'namesrvAddr', 'value').split(';')
    if (told.toSorted().join() !== listed.toSorted().join()) return false
  }
  return true
}
