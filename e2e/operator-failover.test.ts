/**
 * Scenario E10: the active operator is killed in the middle of a roll, and the other one goes on.
 *
 * GANTRY_E2E_OPERATOR_KILLS sets how often (2).
 */
import { afterEach, expect, test } from 'vitest'
import { environmentVariable } from './environment.ts'
import { at, numberAt, textAt } from './json.ts'
import { Kube, conditionOf, eventually } from './kube.ts'
import {
  OPERATOR_NAMESPACE,
  deleteNamespace,
  groupName,
  groupStatus,
  incarnations,
  podsOf,
  untilReady,
} from './kube-cluster.ts'
import { expectCommonRule, startScenario } from './kube-scenario.ts'
import type { Scenario } from './kube-scenario.ts'

const NAMESPACE = 'e2e-operator-failover'
const KILLS = Number(environmentVariable('GANTRY_E2E_OPERATOR_KILLS') || '2')
const GROUPS = 2
const MEMBERS = 3
/** A kill comes at some instant of so many milliseconds after the one before, or after the roll began. */
const KILL_WITHIN_MS = 40_000

afterEach(async () => {
  await deleteNamespace(new Kube(), NAMESPACE)
})

test('E10: the other operator goes on with a roll within 20 s, and never are two pods of a group down', async () => {
  const scenario = await startScenario(NAMESPACE, { members: MEMBERS, groups: GROUPS })
  const { kube } = scenario.fixture
  const termsBefore = await sumOfTerms(scenario)
  const takeovers: number[] = []
  let rolls = 0
  let mostDown = 0

  while (takeovers.length < KILLS) {
    const before = await incarnations(kube, NAMESPACE, scenario.name, 'broker')
    await kube.patch('RocketMQCluster', NAMESPACE, scenario.name, {
      metadata: {
        annotations: { 'rocketmq.gantry.dev/restart-at': new Date().toISOString() },
      },
    })
    rolls += 1
    let killAt = performance.now() + Math.random() * KILL_WITHIN_MS
    await eventually('every broker was replaced', 600_000, async () => {
      if (takeovers.length < KILLS && performance.now() >= killAt) {
        takeovers.push(await killActiveOperator(kube))
        killAt = performance.now() + Math.random() * KILL_WITHIN_MS
      }
      const pods = await podsOf(kube, NAMESPACE, scenario.name, 'broker')
      for (let group = 0; group < GROUPS; group++) {
        const names = Array.from(
          { length: MEMBERS },
          (_, id) => `${groupName('prod', group)}-${id}`,
        )
        const down = names.filter((name) => conditionOf(pods.get(name), 'Ready') !== 'True')
        mostDown = Math.max(mostDown, down.length)
      }
      const now = await incarnations(kube, NAMESPACE, scenario.name, 'broker')
      const isReplaced = Object.keys(before).every((pod) => now[pod] !== before[pod])
      return isReplaced && Object.keys(now).length === Object.keys(before).length ? true : null
    })
    await untilReady(kube, NAMESPACE, scenario.name, 300_000)
  }
  const leaderChanges = (await sumOfTerms(scenario)) - termsBefore

  await untilOperators(kube)
  const summary = await expectCommonRule(scenario, {
    scenario: 'E10',
    takeovers,
    rolls,
    mostDown,
    leaderChanges,
  })
  expect(Math.max(...takeovers)).toBeLessThanOrEqual(20_000)
  expect(mostDown).toBeLessThanOrEqual(1)
  expect(leaderChanges).toBeLessThanOrEqual(rolls * GROUPS + KILLS)
  expect(summary.failedSends / summary.acked).toBeLessThanOrEqual(0.001)
})

/** SIGKILL of the pod that holds the Lease; the milliseconds until another one holds it. */
async function killActiveOperator(kube: Kube): Promise<number> {
  await untilOperators(kube)
  const active = await holder(kube)
  const start = performance.now()
  await kube.delete('Pod', OPERATOR_NAMESPACE, active, { gracePeriodSeconds: 0 })
  await eventually('another operator holds the Lease', 120_000, async () => {
    const now = await holder(kube)
    return now !== '' && now !== active ? true : null
  })
  return Math.round(performance.now() - start)
}

/** The pod whose operator is active; empty when none is. */
async function holder(kube: Kube): Promise<string> {
  const [lease] = await kube.list('Lease', OPERATOR_NAMESPACE)
  const [pod = ''] = textAt(lease, 'spec', 'holderIdentity').split('_')
  return pod
}

async function untilOperators(kube: Kube): Promise<void> {
  await eventually('two operators are ready', 120_000, async () => {
    const pods = await kube.list('Pod', OPERATOR_NAMESPACE)
    const ready = pods.filter(
      (pod) =>
        conditionOf(pod, 'Ready') === 'True' &&
        at(pod, 'metadata', 'deletionTimestamp') === undefined,
    )
    return ready.length >= 2 ? true : null
  })
}

async function sumOfTerms({ fixture, name }: Scenario): Promise<number> {
  const cluster = await fixture.kube.need('RocketMQCluster', NAMESPACE, name)
  const groups = Array.from({ length: GROUPS }, (_, group) => groupStatus(cluster, group))
  return groups.reduce<number>((sum, group) => sum + numberAt(group, 'term'), 0)
}
