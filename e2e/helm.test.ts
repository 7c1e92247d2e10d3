/**
 * The charts as an administrator uses them: install, test, upgrade, uninstall; definitions and data outlive the uninstall. Monitors and rules come
 * where the Prometheus operator has its definitions.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { figures, run } from './environment.ts'
import { covers } from './features.ts'
import { images } from './kube-images.ts'
import type { Images } from './kube-images.ts'
import {
  OPERATOR_NAMESPACE,
  OPERATOR_RELEASE,
  createNamespace,
  deleteNamespace,
  helm,
  installOperator,
  podsOf,
  untilReady,
} from './kube-cluster.ts'
import { Kube, eventually } from './kube.ts'
import { commandLine, runClient } from './kube-load.ts'
import { at, listAt, numberAt, recordAt, textAt } from './json.ts'
import { installDefinitions } from './prometheus-operator.ts'

/** After the upgrade, with the chart's own number of members. */
const GROUPS = 3
const MEMBERS = 3
const NAMESPACE = 'e2e-helm'
const CRD = 'rocketmqclusters.rocketmq.gantry.dev'

let kube: Kube
let built: Images

beforeAll(async () => {
  kube = new Kube()
  built = await images(kube)
  await createNamespace(kube, NAMESPACE)
})

afterAll(async () => {
  await installOperator(built)
  await deleteNamespace(kube, NAMESPACE)
})

test('both charts install, test, upgrade and uninstall, and the messages are there afterwards', async () => {
  await installOperator(built)
  await installCluster(2, built.tag)
  const ready = await untilReady(kube, NAMESPACE, 'shop')
  const tested = await helm(`test shop --namespace ${NAMESPACE} --logs --timeout 120s`)
  await runGo('produce', { count: 50, retries: 5, mode: 'sync' })
  const console = await consolePage()

  await installCluster(3, built.nextTag)
  await installOperator(built, ['logLevel=debug'])
  const grown = await untilReady(kube, NAMESPACE, 'shop', 300_000)
  const running = await podsOf(kube, NAMESPACE, 'shop', 'broker')

  await helm(`uninstall shop --namespace ${NAMESPACE} --wait`)
  await eventually('the pods are gone', 120_000, async () =>
    (await kube.list('Pod', NAMESPACE, 'rocketmq.gantry.dev/cluster=shop')).length === 0
      ? true
      : null,
  )
  await helm(`uninstall ${OPERATOR_RELEASE} --namespace ${OPERATOR_NAMESPACE} --wait`)
  const definition = await kube.get('CustomResourceDefinition', '', CRD)
  const claims = (await kube.list('PersistentVolumeClaim', NAMESPACE)).filter((claim) =>
    claim.metadata.name.includes('-broker-'),
  )

  await installOperator(built)
  await installCluster(3, built.nextTag)
  const again = await untilReady(kube, NAMESPACE, 'shop')
  await runGo('push-consume', { from: 'first', expect: 50 })

  figures('helm', {
    readyMs: ready.elapsedMs,
    grownMs: grown.elapsedMs,
    againMs: again.elapsedMs,
    claims: claims.length,
  })
  expect(tested).toContain('Succeeded')
  expect(console).toContain('<title>')
  expect([...running.values()].map((pod) => textAt(pod, 'spec', 'containers', 0, 'image'))).toEqual(
    Array.from({ length: GROUPS * MEMBERS }, () => `${built.repository}:${built.nextTag}`),
  )
  expect(numberAt(grown.cluster, 'status', 'brokerGroups')).toBe(3)
  expect(definition).not.toBeNull()
  expect(claims.length).toBe(GROUPS * MEMBERS)
})

test('where the Prometheus operator is, the API server takes monitors and rules, and they find every pod', async ({
  task,
}) => {
  covers(task, 'K15', 'A16')
  const uninstall = `uninstall ${OPERATOR_RELEASE} --namespace ${OPERATOR_NAMESPACE} --wait`
  await helm(uninstall)
  await using _definitions = await installDefinitions()
  const monitors = (await rendered()).filter((object) =>
    textAt(object, 'apiVersion').startsWith('monitoring.coreos.com/'),
  )
  // Strictly: what the definitions do not know is refused, not left out in silence.
  await applyForTrial(monitors)
  const wrong = monitors.map((object) => ({
    ...recordAt(object),
    spec: { podMetricEndpoints: [] },
  }))
  await expect(applyForTrial(wrong)).rejects.toThrow(/unknown field|Required value|missing/u)

  await installOperator(built)
  const found = await eventually('the objects are there', 60_000, objectsOfMonitoring)
  const reached = await reachedBy(monitors.filter((one) => textAt(one, 'kind') === 'PodMonitor'))
  await helm(uninstall)
  const left = (await objectsOfMonitoring()) ?? []

  expect(monitors.length).toBe(4)
  expect(found.answer.map((object) => textAt(object, 'kind')).toSorted()).toEqual([
    'PodMonitor',
    'PodMonitor',
    'PrometheusRule',
    'ServiceMonitor',
  ])
  expect(left).toEqual([])
  expect(reached.filter((name) => !/^shop-(?:namesrv|broker)-/u.test(name))).toEqual([
    expect.stringMatching(/^shop-dashboard-/u),
  ])
  expect(reached.length).toBe(GROUPS * MEMBERS + 1 + 1)
})

/** What the chart would make in this cluster. */
async function rendered(): Promise<readonly unknown[]> {
  const { stdout } = await run('helm', [
    'template',
    OPERATOR_RELEASE,
    'charts/gantry-operator',
    `--namespace=${OPERATOR_NAMESPACE}`,
    '--set=monitoring.enabled=true',
  ])
  return parseAllDocuments(stdout).map((document): unknown => document.toJS())
}

/** Rejects with what the API server says against one of them. */
async function applyForTrial(objects: readonly unknown[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-monitors-'))
  const file = join(folder, 'monitors.json')
  await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
  try {
    await run('kubectl', ['apply', '--dry-run=server', '--validate=strict', '-f', file])
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Null while there are none. */
async function objectsOfMonitoring(): Promise<readonly unknown[] | null> {
  const kinds = 'podmonitors,servicemonitors,prometheusrules'
  const { stdout } = await run('kubectl', ['get', kinds, '-n', OPERATOR_NAMESPACE, '-o', 'json'])
  const items = listAt(JSON.parse(stdout), 'items')
  return items.length === 0 ? null : items
}

/** The pods that monitors select, by their labels and the name of a port, and that answer there as Prometheus would ask. */
async function reachedBy(monitors: readonly unknown[]): Promise<readonly string[]> {
  const reached: string[] = []
  for (const monitor of monitors) {
    const labels = Object.entries(recordAt(monitor, 'spec', 'selector', 'matchLabels'))
    const selector = labels.map(([label, value]) => `${label}=${String(value)}`).join(',')
    const [endpoint] = listAt(monitor, 'spec', 'podMetricsEndpoints')
    for (const pod of await kube.list('Pod', NAMESPACE, selector)) {
      const { name } = pod.metadata
      const port = listAt(pod, 'spec', 'containers', 0, 'ports').find(
        (one) => textAt(one, 'name') === textAt(endpoint, 'port'),
      )
      const path = textAt(endpoint, 'path')
      const answer = await kube.podGet(NAMESPACE, name, numberAt(port, 'containerPort'), path)
      expect([name, String(answer)]).toEqual([name, expect.stringContaining('# TYPE process_')])
      expect([name, at(pod, 'status', 'phase')]).toEqual([name, 'Running'])
      reached.push(name)
    }
  }
  return reached
}

async function installCluster(groups: number, version: string): Promise<void> {
  await helm(`upgrade --install shop charts/gantry-cluster --namespace ${NAMESPACE}`, [
    `version=${version}`,
    // Clients of this test sign nothing.
    'accessControl.enabled=false',
    `broker.groups=${groups}`,
    'nameServer.replicas=1',
    'broker.storage.size=1Gi',
    'broker.resources.requests.cpu=50m',
    'broker.resources.requests.memory=256Mi',
    `test.image.repository=${built.repository}`,
    `test.image.tag=${built.tag}`,
    `dashboard.image.repository=${built.repository}`,
    `dashboard.image.tag=${built.tag}`,
  ])
}

/** What a browser is given first, once the console has seen the cluster. */
async function consolePage(): Promise<string> {
  const service = `/api/v1/namespaces/${NAMESPACE}/services/shop-dashboard:8080/proxy`
  await eventually('the console is ready', 120_000, () =>
    run('kubectl', ['get', '--raw', `${service}/readyz`]),
  )
  const { stdout } = await run('kubectl', ['get', '--raw', `${service}/`])
  return stdout
}

async function runGo(
  scenario: string,
  flags: Readonly<Record<string, string | number>>,
): Promise<void> {
  const where = { namespace: NAMESPACE, name: scenario }
  const all = { namesrv: 'shop-namesrv:9876', topic: 'Kept', group: `kept-${scenario}`, ...flags }
  await runClient({ kube, images: built }, where, 'java5', commandLine(scenario, all))
}
