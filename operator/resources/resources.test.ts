import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { createKubeAddressing } from '../addressing.ts'
import { parseCluster } from '../crd.ts'
import { listAt, textAt, valueAt } from '../json.ts'
import type { KubeObject } from '../ports.ts'
import { brokerConfig, brokerObjects } from './broker.ts'
import { imageOf, mergeOver } from './common.ts'
import type { ResourceContext } from './common.ts'
import { nameServerObjects } from './name-server.ts'

const OPEN = {
  group: 1,
  permission: '6',
  size: 1,
  replicas: 1,
  templateSize: null,
  volumesWhenDeleted: 'Retain',
  annotations: {},
} as const

function contextOf(
  spec: Readonly<Record<string, unknown>> = {},
  broker: object = {},
): ResourceContext {
  const parsed = parseCluster({
    apiVersion: 'rocketmq.gantry.dev/v1alpha1',
    kind: 'RocketMQCluster',
    metadata: { name: 'prod', namespace: 'shop', uid: 'u1' },
    spec: { version: '0.1.0', broker: { storage: { size: '10Gi' }, ...broker }, ...spec },
  })
  if (parsed.type === 'invalid') throw new Error(JSON.stringify(parsed.problems))
  return {
    cluster: parsed.cluster,
    addressing: createKubeAddressing(),
    operandImage: 'registry:5000/gantry:0.0.9',
    superUsers: null,
  }
}

function find(objects: readonly KubeObject[], kind: string, name: string): KubeObject {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name)
  if (found === undefined) throw new Error(`no ${kind} ${name}`)
  return found
}

test('every object is labelled, owned by the cluster, and in its namespace', () => {
  const context = contextOf()
  const objects = [...nameServerObjects(context, 3), ...brokerObjects(context, OPEN)]

  for (const { metadata } of objects) {
    expect(metadata.namespace).toBe('shop')
    expect(metadata.labels?.['rocketmq.gantry.dev/cluster']).toBe('prod')
    expect(metadata.ownerReferences?.[0]).toMatchObject({ uid: 'u1', controller: true })
  }
  expect(objects.length).toBe(13)
})

test('the same cluster gives the same objects, byte for byte', () => {
  expect(JSON.stringify(brokerObjects(contextOf(), OPEN))).toBe(
    JSON.stringify(brokerObjects(contextOf(), OPEN)),
  )
})

test('only our roller restarts pods, and volumes stay', () => {
  const { spec } = find(brokerObjects(contextOf(), OPEN), 'StatefulSet', 'prod-broker-1')

  expect(valueAt(spec, 'updateStrategy')).toEqual({ type: 'OnDelete' })
  expect(valueAt(spec, 'podManagementPolicy')).toBe('Parallel')
  expect(valueAt(spec, 'persistentVolumeClaimRetentionPolicy', 'whenDeleted')).toBe('Retain')
  expect(textAt(spec, 'volumeClaimTemplates', 0, 'spec', 'resources', 'requests', 'storage')).toBe(
    '10Gi',
  )
})

/**
 * Goal: nothing about the objects of a group changes by accident. Method: all of them as they are applied; after a wanted change run with `-u` and read the
 * difference.
 */
test('the objects of a group of three are those that were agreed on', async () => {
  const objects = brokerObjects(contextOf(), { ...OPEN, size: 3, replicas: 3 })
  const yaml = objects.map((object) => stringify(object, { lineWidth: 0 })).join('---\n')

  await expect(yaml).toMatchFileSnapshot('testdata/group-of-three.yaml')
})

test('members know themselves by the index of their pod, and each other by DNS names that are there before they are ready', () => {
  const objects = brokerObjects(contextOf(), { ...OPEN, size: 3, replicas: 3 })
  const { spec } = find(objects, 'StatefulSet', 'prod-broker-1')
  const service = find(objects, 'Service', 'prod-broker-1-members')
  const variables = listAt(spec, 'template', 'spec', 'containers', 0, 'env')

  expect(brokerConfig(contextOf(), { group: 1, permission: '6', size: 3 })).toMatchObject({
    enableDLegerCommitLog: 'true',
    dLegerGroup: 'prod-broker-1',
    dLegerPeers: [0, 1, 2]
      .map((id) => `n${id}-prod-broker-1-${id}.prod-broker-1-members.shop.svc:40911`)
      .join(';'),
  })
  expect(variables.slice(-3)).toEqual([
    {
      name: 'GANTRY_MEMBER_ID',
      valueFrom: {
        fieldRef: {
          apiVersion: 'v1',
          fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']",
        },
      },
    },
    { name: 'GANTRY_CONFIG_dLegerSelfId', value: 'n$(GANTRY_MEMBER_ID)' },
    { name: 'GANTRY_LEADER_SERVICE', value: 'prod-broker-1.shop.svc' },
  ])
  expect(valueAt(service.spec, 'publishNotReadyAddresses')).toBe(true)
  expect(listAt(service.spec, 'ports').map((port) => valueAt(port, 'port'))).toContain(40911)
})

test('a group of one has the same form, so that more members are an edit', () => {
  const config = brokerConfig(contextOf(), { group: 1, permission: '6', size: 1 })

  expect(config['dLegerPeers']).toBe('n0-prod-broker-1-0.prod-broker-1-members.shop.svc:40911')
})

test('more members do not change the template of the pods', () => {
  const revision = (size: number): string | null => {
    const objects = brokerObjects(contextOf(), { ...OPEN, size, replicas: size })
    const { spec } = find(objects, 'StatefulSet', 'prod-broker-1')
    return textAt(spec, 'template', 'metadata', 'annotations', 'rocketmq.gantry.dev/revision')
  }

  expect(revision(3)).toBe(revision(5))
  expect(revision(1)).toBe(revision(3))
})

test('a leader that is stopped by anybody hands over within its grace period', () => {
  const { spec } = find(brokerObjects(contextOf(), OPEN), 'StatefulSet', 'prod-broker-1')
  const pod = valueAt(spec, 'template', 'spec')
  const hook = valueAt(pod, 'containers', 0, 'lifecycle', 'preStop', 'exec', 'command')

  expect(hook).toEqual(['gantry', 'hand-over', '--admin-port', '5557', '--timeout', '30'])
  expect(valueAt(pod, 'terminationGracePeriodSeconds')).toBe(120)
})

test('the members of a group are spread over nodes and zones where that is possible', () => {
  const { spec } = find(brokerObjects(contextOf(), OPEN), 'StatefulSet', 'prod-broker-1')
  const pod = valueAt(spec, 'template', 'spec')
  const rules = ['affinity', 'podAntiAffinity', 'preferredDuringSchedulingIgnoredDuringExecution']
  const [first] = listAt(pod, ...rules)
  const members = {
    'rocketmq.gantry.dev/cluster': 'prod',
    'rocketmq.gantry.dev/role': 'broker',
    'rocketmq.gantry.dev/group': '1',
  }

  expect(valueAt(first, 'weight')).toBe(100)
  expect(valueAt(first, 'podAffinityTerm', 'labelSelector', 'matchLabels')).toEqual(members)
  expect(valueAt(pod, 'topologySpreadConstraints', 0)).toMatchObject({
    topologyKey: 'topology.kubernetes.io/zone',
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: { matchLabels: members },
  })
})

test('the leader Service selects nothing, and its slice has no endpoints of ours', () => {
  const objects = brokerObjects(contextOf(), OPEN)
  const service = find(objects, 'Service', 'prod-broker-1')
  const slice = find(objects, 'EndpointSlice', 'prod-broker-1')

  expect(valueAt(service.spec, 'selector')).toBeUndefined()
  expect(listAt(service.spec, 'ports').map((port) => valueAt(port, 'port'))).toEqual([10911, 10909])
  expect('endpoints' in slice).toBe(false)
  expect(slice.metadata.labels?.['kubernetes.io/service-name']).toBe('prod-broker-1')
})

test('a broker may read and patch its own slice and nothing else', () => {
  const role = find(brokerObjects(contextOf(), OPEN), 'Role', 'prod-broker-1')

  expect(role['rules']).toEqual([
    {
      apiGroups: ['discovery.k8s.io'],
      resources: ['endpointslices'],
      resourceNames: ['prod-broker-1'],
      verbs: ['get', 'patch'],
    },
  ])
})

test('pods hold the restricted standard', () => {
  const context = contextOf()
  const objects = [...nameServerObjects(context, 3), ...brokerObjects(context, OPEN)]
  const pods = objects.flatMap(({ kind, spec }) =>
    kind === 'StatefulSet' ? [valueAt(spec, 'template', 'spec')] : [],
  )

  expect(pods.length).toBe(2)
  for (const pod of pods) {
    expect(valueAt(pod, 'securityContext', 'runAsNonRoot')).toBe(true)
    expect(valueAt(pod, 'securityContext', 'seccompProfile', 'type')).toBe('RuntimeDefault')
    for (const container of [...listAt(pod, 'containers'), ...listAt(pod, 'initContainers')]) {
      expect(valueAt(container, 'securityContext')).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      })
    }
  }
})

test('a name server has no token, a broker has one for its slice', () => {
  const context = contextOf()
  const namesrv = find(nameServerObjects(context, 3), 'StatefulSet', 'prod-namesrv')
  const broker = find(brokerObjects(context, OPEN), 'StatefulSet', 'prod-broker-1')
  const token = ['template', 'spec', 'automountServiceAccountToken'] as const

  expect(valueAt(namesrv.spec, ...token)).toBe(false)
  expect(valueAt(broker.spec, ...token)).toBe(true)
})

test('the file of a broker says who it is, and keys of the spec win over fields of the spec', () => {
  const context = contextOf(
    {},
    { flush: 'Async', config: { flushDiskType: 'SYNC_FLUSH', traceOn: 'false' } },
  )
  const config = brokerConfig(context, { group: 1, permission: '4', size: 1 })

  expect(config).toMatchObject({
    brokerClusterName: 'prod',
    brokerName: 'prod-broker-1',
    brokerPermission: '4',
    flushDiskType: 'SYNC_FLUSH',
    traceOn: 'false',
    storePathRootDir: '/data/store',
    namesrvAddr:
      'prod-namesrv-0.prod-namesrv.shop.svc:9876;prod-namesrv-1.prod-namesrv.shop.svc:9876;prod-namesrv-2.prod-namesrv.shop.svc:9876',
  })
})

test('a changed configuration key does not change the revision of the pod template', () => {
  const revision = (context: ResourceContext): string | null => {
    const { spec } = find(brokerObjects(context, OPEN), 'StatefulSet', 'prod-broker-1')
    return textAt(spec, 'template', 'metadata', 'annotations', 'rocketmq.gantry.dev/revision')
  }

  expect(revision(contextOf({}, { config: { traceOn: 'false' } }))).toBe(revision(contextOf()))
  expect(revision(contextOf({ version: '0.2.0' }))).not.toBe(revision(contextOf()))
})

test.each([
  [{}, 'registry:5000/gantry:0.1.0'],
  [{ image: { repository: 'mine/gantry' } }, 'mine/gantry:0.1.0'],
  [
    { image: { digest: `sha256:${'a'.repeat(64)}` } },
    `registry:5000/gantry@sha256:${'a'.repeat(64)}`,
  ],
])('the image of %j is %s', (spec, expected) => {
  expect(imageOf(contextOf(spec))).toBe(expected)
})

test('an overlay adds to a pod, and what we set ourselves wins', () => {
  const podTemplate = {
    metadata: { annotations: { team: 'a' }, labels: { 'rocketmq.gantry.dev/role': 'mine' } },
    spec: {
      priorityClassName: 'high',
      affinity: {},
      containers: [
        { name: 'broker', image: 'mine', env: [{ name: 'TZ', value: 'UTC' }] },
        { name: 'sidecar', image: 'side' },
      ],
    },
  }
  const { spec } = find(
    brokerObjects(contextOf({}, { podTemplate }), OPEN),
    'StatefulSet',
    'prod-broker-1',
  )
  const pod = valueAt(spec, 'template', 'spec')
  const [broker, sidecar] = listAt(pod, 'containers')

  expect(textAt(pod, 'priorityClassName')).toBe('high')
  expect(valueAt(pod, 'affinity')).toEqual({})
  expect(textAt(broker, 'image')).toBe('registry:5000/gantry:0.1.0')
  expect(listAt(broker, 'env').map((entry) => textAt(entry, 'name'))).toContain('TZ')
  expect(textAt(sidecar, 'image')).toBe('side')
  expect(textAt(spec, 'template', 'metadata', 'labels', 'rocketmq.gantry.dev/role')).toBe('broker')
  expect(textAt(spec, 'template', 'metadata', 'annotations', 'team')).toBe('a')
})

test('lists without names are ours as a whole', () => {
  expect(mergeOver({ command: ['a', 'b'] }, { command: ['c'] })).toEqual({ command: ['c'] })
})
