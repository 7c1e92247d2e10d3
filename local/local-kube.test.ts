import { beforeEach, expect, test } from 'vitest'
import { KubeError } from '../operator/kube-error.ts'
import { createManualTime } from '../operator/manual-time.ts'
import type { KubeObject } from '../operator/ports.ts'
import { LocalKube, ORPHAN_ANNOTATION } from './local-kube.ts'

const NAMESPACE = 'ns'
const time = createManualTime()

let kube: LocalKube
let seen: string[]

beforeEach(() => {
  kube = new LocalKube(time.clock, null)
  seen = []
  kube.cache.subscribe((object) => seen.push(`${object.kind}/${object.metadata.name}`))
})

function configMap(
  data: Readonly<Record<string, string>>,
  more: Partial<KubeObject['metadata']> = {},
): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'c', namespace: NAMESPACE, ...more },
    data,
  }
}

function pod(name: string, isReady: boolean): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, labels: { app: 'x' } },
    status: { conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }] },
  }
}

function budget(spec: Readonly<Record<string, unknown>>): KubeObject {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name: 'b', namespace: NAMESPACE },
    spec: { selector: { matchLabels: { app: 'x' } }, ...spec },
  }
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call
  } catch (error) {
    return error instanceof KubeError ? error.code : String(error)
  }
  return 'no failure'
}

const C = { apiVersion: 'v1', kind: 'ConfigMap', namespace: NAMESPACE, name: 'c' }

test('applying the same again changes neither the version nor anybody’s mind', async () => {
  const first = await kube.apply(configMap({ a: '1' }))
  const again = await kube.apply(configMap({ a: '1' }))

  expect(again.metadata.resourceVersion).toBe(first.metadata.resourceVersion)
  expect(again.metadata.uid).toBe(first.metadata.uid)
  expect(seen).toEqual(['ConfigMap/c'])
})

test('what is no longer applied goes, what others added stays', async () => {
  await kube.apply(configMap({ a: '1', b: '2' }, { annotations: { ours: 'x', gone: 'y' } }))
  await kube.patchMetadata(C, { annotations: { theirs: 'z' } })

  const after = await kube.apply(configMap({ a: '1' }, { annotations: { ours: 'x2' } }))

  expect(after.data).toEqual({ a: '1' })
  expect(after.metadata.annotations).toEqual({ ours: 'x2', theirs: 'z' })
})

test('a changed spec raises the generation, a changed status or label does not', async () => {
  const set = { ...budget({ maxUnavailable: 1 }) }
  const first = await kube.apply(set)
  const labelled = await kube.apply({ ...set, metadata: { ...set.metadata, labels: { a: 'b' } } })
  const status = await kube.applyStatus({ ...set, status: { ok: true } })
  const changed = await kube.apply(budget({ maxUnavailable: 2 }))

  const generations = [first, labelled, status, changed].map(({ metadata }) => metadata.generation)
  expect(generations).toEqual([1, 1, 1, 2])
  expect(changed.status).toEqual({ ok: true })
})

test('a stale version or uid is a conflict and changes nothing', async () => {
  const { metadata } = await kube.apply(configMap({ a: '1' }))
  const uid = metadata.uid ?? ''
  const resourceVersion = metadata.resourceVersion ?? ''
  await kube.apply(configMap({ a: '2' }))

  expect(await codeOf(kube.patchMetadata(C, { resourceVersion, annotations: { a: 'b' } }))).toBe(
    'conflict',
  )
  expect(await codeOf(kube.delete(C, { uid: 'other' }))).toBe('conflict')
  expect(await codeOf(kube.delete(C, { uid, resourceVersion }))).toBe('conflict')
  expect((await kube.get(C))?.metadata.annotations).toBeUndefined()
  await kube.delete(C, { uid })
  await kube.delete(C, { uid })

  expect(await kube.get(C)).toBeNull()
})

test('what is created is there, and a second of the name is a conflict', async () => {
  const created = await kube.create(configMap({ a: '1' }))

  expect(await kube.get(C)).toBe(created)
  expect(await codeOf(kube.create(configMap({ a: '2' })))).toBe('conflict')
  expect((await kube.get(C))?.data).toEqual({ a: '1' })
})

test('what a deleted owner owns goes too, unless it is orphaned', async () => {
  const owner = await kube.apply(budget({}))
  const ownerReferences = [
    {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      name: 'b',
      uid: owner.metadata.uid ?? '',
    },
  ]
  await kube.apply(configMap({}, { ownerReferences }))
  const reference = { ...C, apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', name: 'b' }

  await kube.delete(reference, { uid: owner.metadata.uid ?? '', orphan: true })
  expect(await kube.get(C)).not.toBeNull()
  const again = await kube.apply(budget({}))
  const owners = ownerReferences.map((owner) => ({ ...owner, uid: again.metadata.uid ?? '' }))
  await kube.apply(configMap({}, { ownerReferences: owners }))
  await kube.delete(reference, { uid: again.metadata.uid ?? '' })

  expect(await kube.get(C)).toBeNull()
})

test('who watches sees that a removed owner has left its objects behind, and a new one may adopt them', async () => {
  const owner = await kube.apply(budget({}))
  const created = kube.add(pod('p', true))
  const seen: (string | undefined)[] = []
  kube.cache.subscribe((object) => {
    if (object.kind === owner.kind) seen.push(object.metadata.annotations?.[ORPHAN_ANNOTATION])
  })

  const reference = { ...C, apiVersion: owner.apiVersion, kind: owner.kind, name: 'b' }
  await kube.delete(reference, { uid: owner.metadata.uid ?? '', orphan: true })
  const again = await kube.apply(budget({}))
  const { apiVersion, kind } = again
  const podReference = { ...C, apiVersion: 'v1', kind: 'Pod', name: created.metadata.name }
  kube.adopt(podReference, { apiVersion, kind, name: 'b', uid: again.metadata.uid ?? '' })

  expect(seen).toEqual(['true', undefined])
  expect((await kube.get(podReference))?.metadata.ownerReferences?.[0]?.uid).toBe(
    again.metadata.uid,
  )
})

test('an evicted pod keeps its object, marked, until its process is gone', async () => {
  const created = kube.add(pod('p', true))
  const reference = { ...C, kind: 'Pod', name: 'p' }

  await kube.evict(reference, { uid: created.metadata.uid ?? '' })
  expect((await kube.get(reference))?.metadata.deletionTimestamp).toBeDefined()
  kube.forget(reference)

  expect(await kube.get(reference)).toBeNull()
})

test('a budget forbids the second eviction, and never that of a pod which is not ready', async () => {
  const first = kube.add(pod('p0', true))
  const second = kube.add(pod('p1', true))
  const broken = kube.add(pod('p2', false))
  await kube.apply(budget({ minAvailable: 1 }))
  const evict = (object: KubeObject): Promise<void> =>
    kube.evict(
      { ...C, kind: 'Pod', name: object.metadata.name },
      { uid: object.metadata.uid ?? '' },
    )

  expect(await codeOf(evict(first))).toBe('no failure')
  expect(await codeOf(evict(second))).toBe('tooManyRequests')
  expect(await codeOf(evict(broken))).toBe('no failure')
})

test('maxUnavailable counts the pods that are away already', async () => {
  kube.add(pod('p0', false))
  const second = kube.add(pod('p1', true))
  await kube.apply(budget({ maxUnavailable: 1 }))
  const reference = { ...C, kind: 'Pod', name: 'p1' }

  expect(await codeOf(kube.evict(reference, { uid: second.metadata.uid ?? '' }))).toBe(
    'tooManyRequests',
  )
})

test('a snapshot brings everything back: versions go on, and what was applied is still known', async () => {
  const before = await kube.apply(configMap({ a: '1', b: '2' }, { annotations: { ours: 'x' } }))
  const text = JSON.stringify(kube.snapshot(['ConfigMap']))

  const restored = new LocalKube(time.clock, JSON.parse(text))
  const after = await restored.apply(configMap({ a: '1' }))

  expect(after.metadata.uid).toBe(before.metadata.uid)
  expect(Number(after.metadata.resourceVersion)).toBeGreaterThan(
    Number(before.metadata.resourceVersion),
  )
  expect(after.data).toEqual({ a: '1' })
  expect(after.metadata.annotations).toBeUndefined()
})

test('objects are listed by label', async () => {
  await kube.apply(configMap({}, { labels: { a: 'b' } }))
  await kube.apply(configMap({}, { name: 'd', labels: { a: 'c' } }))

  const found = await kube.list({ kind: 'ConfigMap', labelSelector: 'a=b' })

  expect(found.map(({ metadata }) => metadata.name)).toEqual(['c'])
})
