/** The charts as an administrator uses them: install, test, upgrade, uninstall; definitions and data outlive the uninstall. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { figures, run } from './environment.ts'
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
import { numberAt, textAt } from './json.ts'

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

async function installCluster(groups: number, version: string): Promise<void> {
  await helm(`upgrade --install shop charts/gantry-cluster --namespace ${NAMESPACE}`, [
    `version=${version}`,
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
