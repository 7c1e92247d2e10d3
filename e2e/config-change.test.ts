/** Scenario E5: a live key takes effect without a restart, another one by a safe roll. */
import { afterEach, expect, test } from 'vitest'
import { Kube, eventually } from './kube.ts'
import {
  deleteNamespace,
  groupName,
  incarnations,
  MEMBERS,
  podsOf,
  untilReady,
} from './kube-cluster.ts'
import { brokerConfig } from './kube-remoting.ts'
import { expectCommonRule, startScenario } from './kube-scenario.ts'
import { conditionOf } from './kube.ts'

const NAMESPACE = 'e2e-config-change'
const LIVE_KEY = 'shortPollingTimeMills'
const RESTART_KEY = 'registerNameServerPeriod'
const RESTART_VALUE = '20000'

afterEach(async () => {
  await deleteNamespace(new Kube(), NAMESPACE)
})

test('E5: a live key is effective at once, a restart key after one roll that loses nothing', async () => {
  const scenario = await startScenario(NAMESPACE)
  const { fixture, namespace, name } = scenario
  const { kube } = fixture
  const groups = [groupName(name, 0), groupName(name, 1)]
  const brokers = groups.flatMap((group) =>
    Array.from({ length: MEMBERS }, (_, id) => `${group}-${id}`),
  )
  const before = await incarnations(kube, namespace, name, 'broker')

  await setConfig(kube, { [LIVE_KEY]: '900' })
  const live = await eventually('the live key is effective everywhere', 60_000, async () =>
    (await everywhere(brokers, LIVE_KEY, '900')) ? true : null,
  )
  const afterLive = await incarnations(kube, namespace, name, 'broker')

  let mostDown = 0
  const rollStart = performance.now()
  await setConfig(kube, { [LIVE_KEY]: '900', [RESTART_KEY]: RESTART_VALUE })
  await eventually('every broker was replaced', 900_000, async () => {
    const pods = await podsOf(kube, namespace, name, 'broker')
    mostDown = Math.max(mostDown, brokers.filter((pod) => !isReady(pods.get(pod))).length)
    const now = await incarnations(kube, namespace, name, 'broker')
    return brokers.every((pod) => (now[pod] ?? '') !== (before[pod] ?? '')) &&
      brokers.every((pod) => isReady(pods.get(pod)))
      ? true
      : null
  })
  const rollMs = Math.round(performance.now() - rollStart)
  await untilReady(kube, namespace, name)
  const seen = await everywhere(brokers, RESTART_KEY, RESTART_VALUE)
  const afterRoll = await incarnations(kube, namespace, name, 'broker')

  const summary = await expectCommonRule(scenario, {
    scenario: 'E5',
    liveMs: live.elapsedMs,
    rollMs,
    mostDown,
  })
  expect(live.elapsedMs).toBeLessThanOrEqual(15_000)
  expect(afterLive).toEqual(before)
  expect(seen).toBe(true)
  expect(mostDown).toBeLessThanOrEqual(1)
  // Replaced, not crashed: a new pod whose container started once.
  expect(Object.values(afterRoll).every((incarnation) => incarnation.endsWith('/0'))).toBe(true)
  expect(summary.failedSends).toBe(0)
})

async function setConfig(kube: Kube, config: Readonly<Record<string, string>>): Promise<void> {
  await kube.patch('RocketMQCluster', NAMESPACE, 'prod', { spec: { broker: { config } } })
}

async function everywhere(
  brokers: readonly string[],
  key: string,
  value: string,
): Promise<boolean> {
  for (const pod of brokers) {
    const config = await brokerConfig(NAMESPACE, pod)
    if (config.get(key) !== value) return false
  }
  return true
}

function isReady(pod: unknown): boolean {
  return conditionOf(pod, 'Ready') === 'True'
}
