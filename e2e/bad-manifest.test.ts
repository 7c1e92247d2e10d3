/** What the API server itself refuses, in the words that a person then reads. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { ROOT } from './environment.ts'
import { OPERATOR_NAMESPACE, OPERATOR_RELEASE, deleteNamespace } from './kube-cluster.ts'
import { Kube, eventually } from './kube.ts'
import type { KubeObject } from './kube.ts'
import { listAt, textAt } from './json.ts'

const NAMESPACE = 'e2e-bad-manifest'
const CRD = 'rocketmqclusters.rocketmq.gantry.dev'

const kube = new Kube()

beforeAll(async () => {
  await kube.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } })
  if ((await kube.get('CustomResourceDefinition', '', CRD)) === null) {
    await kube.apply(await definitionOfChart())
  }
  await eventually('the definition is established', 30_000, async () => {
    const definition = await kube.need('CustomResourceDefinition', '', CRD)
    return listAt(definition, 'status', 'conditions').some(
      (one) => textAt(one, 'type') === 'Established' && textAt(one, 'status') === 'True',
    )
      ? true
      : null
  })
  // Paused: what stands there is never acted on.
  await eventually('the API server takes clusters', 30_000, () => kube.apply(manifest('there', {})))
})

afterAll(async () => {
  await deleteNamespace(kube, NAMESPACE)
})

test.each([
  ['two members', { broker: { replicasPerGroup: 2 } }, /supported values: .*1.*3.*5/],
  ['no group', { broker: { groups: 0 } }, /groups.*greater than or equal to 1|use spec.hibernate/],
  ['a key that the operator owns', { broker: { config: { brokerName: 'x' } } }, /brokerName/],
  ['a data folder of its own', { broker: { config: { storePathRootDir: '/x' } } }, /storePath/],
  ['no version and no digest', { version: undefined }, /version or image.digest is required/],
  ['a version that is none', { version: 'latest' }, /spec.version/],
  ['a size that is none', { broker: { storage: { size: 'lots' } } }, /size/],
  ['a volume that is too small', { broker: { storage: { size: '1Mi' } } }, /size/],
  ['a drain that is too short', { broker: { drain: { timeoutSeconds: 5 } } }, /timeoutSeconds/],
])('a manifest with %s is refused', async (_, spec, message) => {
  await expect(kube.apply(manifest('bad', spec))).rejects.toThrow(message)
})

test.each(['1prod', 'Prod', 'a'.repeat(41)])('the name %s is refused', async (name) => {
  await expect(kube.apply(manifest(name, {}))).rejects.toThrow(/metadata.name|RFC 1123/)
})

test.each([
  ['a smaller volume', { broker: { storage: { size: '1Gi' } } }, /storage cannot shrink/],
  ['another storage class', { broker: { storage: { storageClassName: 'x' } } }, /immutable/],
])('changing a cluster to %s is refused', async (_, spec, message) => {
  await expect(kube.patch('RocketMQCluster', NAMESPACE, 'there', { spec })).rejects.toThrow(message)
})

test('scaling to no group is refused too', async () => {
  const scaled = kube.patch(
    'RocketMQCluster',
    NAMESPACE,
    'there',
    { spec: { replicas: 0 } },
    '/scale',
  )

  await expect(scaled).rejects.toThrow(/groups/)
})

/** As the chart would install it, so that the chart takes it over later. */
async function definitionOfChart(): Promise<KubeObject> {
  const definition = parse(await readFile(`${ROOT}crds/rocketmqclusters.yaml`, 'utf8'))
  definition.metadata.labels = { 'app.kubernetes.io/managed-by': 'Helm' }
  definition.metadata.annotations = {
    'meta.helm.sh/release-name': OPERATOR_RELEASE,
    'meta.helm.sh/release-namespace': OPERATOR_NAMESPACE,
    'helm.sh/resource-policy': 'keep',
  }
  return definition
}

function manifest(name: string, change: Readonly<Record<string, unknown>>): KubeObject {
  const { broker, ...rest } = change
  return {
    apiVersion: 'rocketmq.gantry.dev/v1alpha1',
    kind: 'RocketMQCluster',
    metadata: { name, namespace: NAMESPACE },
    spec: {
      version: '0.1.0',
      paused: true,
      ...rest,
      broker: { storage: { size: '10Gi' }, ...objectOf(broker) },
    },
  }
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
