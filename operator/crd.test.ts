import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseCluster } from './crd.ts'
import type { ClusterSpec } from './cluster-types.ts'
import { staleFiles } from './generate.ts'
import { valueAt } from './json.ts'
import { clusterCrd } from './crd.ts'
import type { KubeObject } from './ports.ts'

const VALID = { version: '0.1.0', broker: { storage: { size: '10Gi' } } }

function cluster(spec: Readonly<Record<string, unknown>>, name = 'prod'): KubeObject {
  return {
    apiVersion: 'rocketmq.gantry.dev/v1alpha1',
    kind: 'RocketMQCluster',
    metadata: { name, namespace: 'shop' },
    spec,
  }
}

function broker(changes: Readonly<Record<string, unknown>>): KubeObject {
  return cluster({ ...VALID, broker: { ...VALID.broker, ...changes } })
}

function problemsOf(object: KubeObject, previous: ClusterSpec | null = null): readonly string[] {
  const parsed = parseCluster(object, previous)
  return parsed.type === 'valid'
    ? []
    : parsed.problems.map(({ path, message }) => `${path}: ${message}`)
}

function specOf(object: KubeObject): ClusterSpec {
  const parsed = parseCluster(object)
  if (parsed.type === 'invalid') throw new Error(JSON.stringify(parsed.problems))
  return parsed.cluster.spec
}

test('what is generated from the schema is on disk as it would be generated now', () => {
  expect(staleFiles()).toEqual([])
})

test('the smallest manifest has every default', () => {
  const spec = specOf(cluster(VALID))

  expect(spec.nameServer.replicas).toBe(3)
  expect(spec.broker.groups).toBe(1)
  expect(spec.broker.replicasPerGroup).toBe(3)
  expect(spec.broker.pvcRecovery).toEqual({ enabled: false, nodeGoneAfterSeconds: 600 })
  expect(spec.broker.drain).toEqual({
    timeoutSeconds: 0,
    onTimeout: 'Block',
    unconsumed: 'Wait',
    settleSeconds: 60,
  })
  expect(spec.broker.storage.retention).toEqual({ whenDeleted: 'Retain', whenScaled: 'Retain' })
  expect(spec.broker.resources.limits).toEqual({ memory: '2Gi' })
})

test.each([
  ['a misspelt field', { ...VALID, brokr: {} }, 'spec.brokr: unknown field; did you mean broker?'],
  ['no broker', { version: '0.1.0' }, 'spec.broker: Required value'],
  [
    'no size',
    { version: '0.1.0', broker: { storage: {} } },
    'spec.broker.storage.size: Required value',
  ],
  ['no version', { broker: VALID.broker }, 'spec: version or image.digest is required'],
  [
    'a bad digest',
    { ...VALID, image: { digest: 'sha256:1' } },
    "spec.image.digest: 'sha256:1' should match ^sha256:[0-9a-f]{64}$",
  ],
])('%s is refused with the path of the field', (_what, spec, expected) => {
  expect(problemsOf(cluster(spec))).toEqual([expected])
})

test.each([
  ['groups', { groups: 65 }, 'spec.broker.groups: 65 should be from 1 to 64'],
  ['groups', { groups: 'two' }, 'spec.broker.groups: must be an integer, not string'],
  [
    'replicasPerGroup',
    { replicasPerGroup: 2 },
    'spec.broker.replicasPerGroup: Unsupported value: 2: supported values: 1, 3, 5',
  ],
  [
    'storage',
    { storage: { size: '100Mi' } },
    'spec.broker.storage.size: storage must be at least 1Gi',
  ],
  ['resources', { resources: { limits: {} } }, 'spec.broker.resources: limits.memory is required'],
  [
    'config',
    { config: { brokerPermission: 4 } },
    'spec.broker.config: brokerPermission must be a string, not number: put it in quotes',
  ],
  [
    'drain',
    { drain: { timeoutSeconds: 5 } },
    'spec.broker.drain.timeoutSeconds: timeoutSeconds must be 0 or from 60 to 604800',
  ],
])('a bad %s is refused: %j', (_field, changes, expected) => {
  expect(problemsOf(broker(changes))).toEqual([expected])
})

test.each([
  'brokerName',
  'brokerPermission',
  'namesrvAddr',
  'storePathRootDir',
  'tlsMode',
  'allowUnauthenticatedAdmin',
  'authenticationEnabled',
  'initAuthenticationUser',
])('config may not set %s, which the operator owns', (key) => {
  const [problem = ''] = problemsOf(broker({ config: { [key]: 'x' } }))

  expect(problem).toContain('config may not set keys that the operator owns')
})

test('a value of two lines cannot smuggle a key into the file', () => {
  const [problem = ''] = problemsOf(broker({ config: { traceOn: 'true\nbrokerName=x' } }))

  expect(problem).toContain('values of one line')
})

test.each(['1prod', 'Prod', '-a', 'a-', 'a'.repeat(41)])('the name %s is refused', (name) => {
  expect(problemsOf(cluster(VALID, name)).length).toBe(1)
})

test.each([
  ['a smaller volume', { storage: { size: '5Gi' } }, 'storage cannot shrink'],
  [
    'another storage class',
    { storage: { size: '10Gi', storageClassName: 'fast' } },
    'storageClassName is immutable',
  ],
])('%s than before is refused', (_what, changes, message) => {
  const previous = specOf(cluster(VALID))

  expect(problemsOf(broker(changes), previous)[0]).toContain(message)
})

test.each([
  ['fewer members', { replicasPerGroup: 1 }],
  ['a larger volume', { storage: { size: '20Gi' } }],
])('%s than before are taken', (_what, changes) => {
  const previous = specOf(broker({ replicasPerGroup: 3 }))

  expect(problemsOf(broker({ replicasPerGroup: 3, ...changes }), previous)).toEqual([])
})

test('the same size in other units is no change', () => {
  const previous = specOf(cluster(VALID))

  expect(problemsOf(broker({ storage: { size: '10240Mi' } }), previous)).toEqual([])
})

test('whatever stands in a manifest is answered with a result, never an exception', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue(), (spec, inner) => {
      const results = [
        parseCluster(cluster(spec)),
        parseCluster(broker({ groups: inner, config: inner, drain: inner, storage: inner })),
      ]

      expect(results.every(({ type }) => type === 'valid' || type === 'invalid')).toBe(true)
    }),
  )
})

test('the definition has the status and scale subresources, nine columns and three wide ones', () => {
  const version = valueAt(clusterCrd(), 'spec', 'versions', 0)
  const columns = valueAt(version, 'additionalPrinterColumns')

  expect(valueAt(version, 'subresources', 'scale', 'specReplicasPath')).toBe('.spec.broker.groups')
  expect(valueAt(version, 'subresources', 'status')).toEqual({})
  expect(
    Array.isArray(columns) && columns.filter((one) => valueAt(one, 'priority') === 1).length,
  ).toBe(3)
  expect(Array.isArray(columns) && columns.length).toBe(12)
})
