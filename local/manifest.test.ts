import { expect, test } from 'vitest'
import type { ClusterSpec } from '../operator/cluster-types.ts'
import { defaultManifest, ManifestError, readManifest } from './manifest.ts'

const GOOD = `apiVersion: rocketmq.gantry.dev/v1alpha1
kind: RocketMQCluster
metadata:
  name: demo
spec:
  version: 0.1.0
  nameServer:
    replicas: 2
  broker:
    groups: 3
    replicasPerGroup: 1
    storage:
      size: 10Gi
`

async function messageOfBad(text: string, previous: ClusterSpec | null = null): Promise<string> {
  try {
    await readManifest('c.yaml', text, previous)
  } catch (error) {
    if (error instanceof ManifestError) return error.message
    throw error
  }
  return 'no error'
}

test('the default manifest is one name server and one broker', () => {
  const { cluster } = defaultManifest(null)

  expect(cluster.name).toBe('dev')
  expect(cluster.spec.nameServer.replicas).toBe(1)
  expect(cluster.spec.broker.groups).toBe(1)
})

test('a good manifest is read with the defaults of the schema, and a shorter settling time is told', async () => {
  const { cluster, notes } = await readManifest('c.yaml', GOOD, null)

  expect(cluster.namespace).toBe('default')
  expect(cluster.spec.broker.groups).toBe(3)
  expect(cluster.spec.broker.flush).toBe('Async')
  expect(cluster.spec.broker.drain.settleSeconds).toBe(35)
  expect(notes).toHaveLength(1)
})

test('a settling time that the manifest gives is kept', async () => {
  const text = `${GOOD}    drain:\n      settleSeconds: 90\n`

  const { cluster, notes } = await readManifest('c.yaml', text, null)

  expect(cluster.spec.broker.drain.settleSeconds).toBe(90)
  expect(notes).toEqual([])
})

test('the cluster is found among other documents, which are named as not used', async () => {
  const text = `---\napiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n---\n${GOOD}---\n`

  const { cluster, notes } = await readManifest('c.yaml', text, null)

  expect(cluster.name).toBe('demo')
  expect(notes).toContain('not used here: Namespace')
})

test('Secrets of the cluster’s namespace come along as an API server would store them', async () => {
  const secret = (name: string, more: string): string =>
    `---\napiVersion: v1\nkind: Secret\nmetadata: {name: ${name}}\n${more}`
  const own = secret('users', 'data: {a: YQ==, b: Yg==}\nstringData: {b: c}\n')
  const other = secret('other', '').replace('other}', 'other, namespace: elsewhere}')

  const { secrets, notes } = await readManifest('c.yaml', `${GOOD}${own}${other}`, null)

  expect(secrets).toEqual([
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'users', namespace: 'default' },
      data: { a: 'YQ==', b: 'Yw==' },
    },
  ])
  expect(notes).toContain('not used here: Secret')
})

test('a wrong value is told with file, line and field', async () => {
  const message = await messageOfBad(GOOD.replace('replicasPerGroup: 1', 'replicasPerGroup: 2'))

  expect(message).toMatch(/^c\.yaml:11: spec\.broker\.replicasPerGroup: .*1, 3, 5$/)
})

test('an unknown field is told with its line and the nearest name', async () => {
  const message = await messageOfBad(GOOD.replace('groups: 3', 'group: 3'))

  expect(message).toMatch(/^c\.yaml:10: spec\.broker\.group: .*groups/)
})

test('every problem has a line of its own', async () => {
  const text = GOOD.replace('groups: 3', 'groups: 0').replace('replicas: 2', 'replicas: 99')

  const lines = (await messageOfBad(text)).split('\n')

  expect(lines.map((line) => line.split(' ')[0])).toEqual(
    expect.arrayContaining(['c.yaml:8:', 'c.yaml:10:']),
  )
})

test('bad YAML is told with its line', async () => {
  const message = await messageOfBad(GOOD.replace('  name: demo', '  name: "demo'))

  expect(message).toMatch(/^c\.yaml:\d+: /)
})

test('storage that shrinks against what runs is refused in the words of the schema', async () => {
  const { cluster } = await readManifest('c.yaml', GOOD, null)

  const message = await messageOfBad(GOOD.replace('10Gi', '5Gi'), cluster.spec)

  expect(message).toContain('c.yaml:13: spec.broker.storage.size: storage cannot shrink')
})

test('a bad name is refused with its limit', async () => {
  const message = await messageOfBad(GOOD.replace('name: demo', 'name: 1demo'))

  expect(message).toMatch(/^c\.yaml:4: metadata\.name: .*40/)
})

test('a file without a cluster, and one with two, are refused', async () => {
  expect(await messageOfBad('kind: Namespace\n')).toBe('c.yaml:1: no RocketMQCluster in this file')
  expect(await messageOfBad(`${GOOD}---\n${GOOD}`)).toMatch(/^c\.yaml:16: a second RocketMQCluster/)
})

test('a document that is no object, or has no name, is refused and not read wrongly', async () => {
  const texts = [
    '',
    '- kind: RocketMQCluster\n',
    'kind: RocketMQCluster\n',
    'kind: RocketMQCluster\nmetadata: 5\n',
    'kind: RocketMQCluster\nmetadata: {name: [a]}\n',
    GOOD.replace(/spec:[^]*/, 'spec: 7\n'),
    GOOD.replace(/broker:[^]*/, 'broker: []\n'),
  ]
  for (const text of texts) expect(await messageOfBad(text)).toMatch(/^c\.yaml:\d+: /)
})
