/** Scenario E11: what a person changes by hand in the operator's objects is put right, and an Event tells of it. */
import { afterEach, expect, test } from 'vitest'
import { Kube, eventually } from './kube.ts'
import type { Kind, KubeObject } from './kube.ts'
import { deleteNamespace, groupName, incarnations } from './kube-cluster.ts'
import { expectCommonRule, startScenario } from './kube-scenario.ts'
import { at, listAt, numberAt, textAt } from './json.ts'

const NAMESPACE = 'e2e-drift'

afterEach(async () => {
  await deleteNamespace(new Kube(), NAMESPACE)
})

test('E11: hand edits of replicas, a port, a config file and a deleted budget are repaired within 10 s', async () => {
  const scenario = await startScenario(NAMESPACE)
  const { fixture, namespace, name } = scenario
  const { kube } = fixture
  const brokers = await incarnations(kube, namespace, name, 'broker')
  const group = groupName(name, 1)
  const budget = await nameOfOwned(kube, 'PodDisruptionBudget', group)
  const configMap = await nameOfOwned(kube, 'ConfigMap', group)
  const port = numberAt(await kube.need('Service', namespace, group), 'spec', 'ports', 0, 'port')
  const file = dataOf(await kube.need('ConfigMap', namespace, configMap))
  const [fileName = ''] = Object.keys(file)
  const took: Record<string, number> = {}

  await kube.patch('StatefulSet', namespace, `${name}-namesrv`, { spec: { replicas: 4 } })
  took['replicas'] = await repaired('replicas', async () => {
    const object = await kube.need('StatefulSet', namespace, `${name}-namesrv`)
    return numberAt(object, 'spec', 'replicas') === 3
  })
  const ports = listAt(await kube.need('Service', namespace, group), 'spec', 'ports')
  await kube.patch('Service', namespace, group, {
    spec: {
      ports: ports.map((one, index) => (index === 0 ? { ...objectOf(one), port: 4242 } : one)),
    },
  })
  took['port'] = await repaired('Service port', async () => {
    const found = listAt(await kube.need('Service', namespace, group), 'spec', 'ports')
    return found.length === ports.length && numberAt(found, 0, 'port') === port
  })
  await kube.patch('ConfigMap', namespace, configMap, { data: { [fileName]: 'brokerName=mine\n' } })
  took['configMap'] = await repaired('ConfigMap', async () => {
    const found = dataOf(await kube.need('ConfigMap', namespace, configMap))
    return found[fileName] === file[fileName]
  })
  await kube.delete('PodDisruptionBudget', namespace, budget)
  took['budget'] = await repaired(
    'PodDisruptionBudget',
    async () => (await kube.get('PodDisruptionBudget', namespace, budget)) !== null,
  )

  const { answer: repairs } = await eventually(
    'an Event tells of each repair',
    20_000,
    async () => {
      const found = await repairEvents(kube)
      return found.length >= 4 ? found : null
    },
  )
  const brokersAfter = await incarnations(kube, namespace, name, 'broker')
  const summary = await expectCommonRule(scenario, { scenario: 'E11', tookMs: took, repairs })
  expect(Math.max(...Object.values(took))).toBeLessThanOrEqual(10_000)
  for (const kind of ['StatefulSet', 'Service', 'ConfigMap', 'PodDisruptionBudget']) {
    expect(repairs.join('\n')).toContain(kind)
  }
  expect(brokersAfter).toEqual(brokers)
  expect(summary.failedSends).toBe(0)
})

async function repaired(what: string, isRight: () => Promise<boolean>): Promise<number> {
  const { elapsedMs } = await eventually(`the ${what} is repaired`, 30_000, async () =>
    (await isRight()) ? true : null,
  )
  return elapsedMs
}

/** The one object of a kind which belongs to a broker group. */
async function nameOfOwned(kube: Kube, kind: Kind, group: string): Promise<string> {
  const found = (await kube.list(kind, NAMESPACE)).find((object) =>
    object.metadata.name.startsWith(group),
  )
  if (found === undefined) throw new Error(`${group} has no ${kind}`)
  return found.metadata.name
}

/** Notes of the operator's Events about repairs. */
async function repairEvents(kube: Kube): Promise<readonly string[]> {
  const events = await kube.list('Event', NAMESPACE)
  return events
    .filter((event) => textAt(event, 'reason') === 'DriftRepaired')
    .map((event) => textAt(event, 'note'))
}

function dataOf(object: KubeObject): Readonly<Record<string, unknown>> {
  return objectOf(at(object, 'data'))
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
