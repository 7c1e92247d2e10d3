/** Scenario E12: three clusters in three namespaces under one operator do not know of each other. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Kube, eventually } from './kube.ts'
import {
  clusterManifest,
  createNamespace,
  deleteNamespace,
  groupName,
  incarnations,
  podsOf,
  untilReady,
  withOperator,
} from './kube-cluster.ts'
import { registrations } from './kube-remoting.ts'
import { expectCommonRule, startScenario } from './kube-scenario.ts'
import { listAt, textAt } from './json.ts'

const LOADED = 'e2e-tenancy-a'
const OTHERS = ['e2e-tenancy-b', 'e2e-tenancy-c'] as const
const ALL = [LOADED, ...OTHERS]

beforeEach(removeAll)
afterEach(removeAll)

test('E12: three clusters roll at once without mixing, and one namespace goes without touching the others', async () => {
  const { kube, images } = await withOperator()
  for (const namespace of OTHERS) {
    await createNamespace(kube, namespace)
    await kube.apply(
      clusterManifest({ name: 'prod', namespace, version: images.tag, nameServers: 1, groups: 1 }),
    )
  }
  const scenario = await startScenario(LOADED, { nameServers: 2, groups: 2 })
  for (const namespace of OTHERS) await untilReady(kube, namespace, 'prod')
  const before = await Promise.all(
    ALL.map((namespace) => incarnations(kube, namespace, 'prod', 'broker')),
  )

  const rollStart = performance.now()
  for (const namespace of ALL) {
    await kube.patch('RocketMQCluster', namespace, 'prod', {
      spec: { broker: { config: { registerNameServerPeriod: '20000' } } },
    })
  }
  await eventually('every broker of all three was replaced', 400_000, async () => {
    for (const [index, namespace] of ALL.entries()) {
      const now = await incarnations(kube, namespace, 'prod', 'broker')
      const old = before[index] ?? {}
      if (Object.keys(old).some((pod) => now[pod] === undefined || now[pod] === old[pod]))
        return null
    }
    return true
  })
  for (const namespace of ALL) await untilReady(kube, namespace, 'prod', 300_000)
  const rollMs = Math.round(performance.now() - rollStart)
  for (const namespace of ALL) await expectOwnAddressesOnly(kube, namespace)

  const steady = await incarnations(kube, OTHERS[1], 'prod', 'broker')
  const goneMs = await deleteNamespace(kube, OTHERS[0])
  const steadyAfter = await incarnations(kube, OTHERS[1], 'prod', 'broker')
  await untilReady(kube, OTHERS[1], 'prod')

  await expectCommonRule(scenario, { scenario: 'E12', rollMs, goneMs })
  expect(goneMs).toBeLessThanOrEqual(120_000)
  expect(steadyAfter).toEqual(steady)
})

/** Each name server knows the groups of its own namespace, at their own Services' addresses, and no other. */
async function expectOwnAddressesOnly(kube: Kube, namespace: string): Promise<void> {
  const cluster = await kube.need('RocketMQCluster', namespace, 'prod')
  const groups = listAt(cluster, 'status', 'groups').map((_, index) => groupName('prod', index))
  const own: Record<string, string> = {}
  for (const group of groups) {
    const service = await kube.need('Service', namespace, group)
    own[group] = `${textAt(service, 'spec', 'clusterIP')}:10911`
  }
  for (const pod of (await podsOf(kube, namespace, 'prod', 'namesrv')).keys()) {
    expect(await registrations(namespace, pod)).toEqual(own)
  }
}

async function removeAll(): Promise<void> {
  const kube = new Kube()
  await Promise.all(ALL.map((namespace) => deleteNamespace(kube, namespace)))
}
