/**
 * The operator's runtime against a real API server: what a fake one cannot vouch for. Needs `KUBECONFIG`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { createRuntime } from '../common/runtime.ts'
import { KubeEventRecorder } from '../operator/event-recorder.ts'
import { createKubeApi, createKubeWatcher } from '../operator/kube-api.ts'
import type { KubeTransport } from '../operator/kube-api.ts'
import { KubeError } from '../operator/kube-error.ts'
import { createKubeTransport, loadKubeConfig } from '../operator/kube.ts'
import { LeaseElector } from '../operator/lease.ts'
import { MemoryObjectCache } from '../operator/object-cache.ts'
import type { KubeApi, KubeObject } from '../operator/ports.ts'
import { Reflector } from '../operator/reflector.ts'
import type { RestartCause } from '../operator/reflector.ts'

const runtime = createRuntime()
const namespace = `runtime-${Date.now().toString(36)}`
const NAMESPACES = '/api/v1/namespaces'

let transport: KubeTransport
let api: KubeApi

function configMap(name: string, data: Readonly<Record<string, string>>): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data }
}

async function until(
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const end = Date.now() + timeoutMs
  while (!(await condition())) {
    if (Date.now() > end) throw new Error('the condition was not met in time')
    await sleep(50)
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

beforeAll(async () => {
  if (process.env['KUBECONFIG'] === undefined) {
    throw new Error('KUBECONFIG is not set: this suite needs a Kubernetes cluster')
  }
  transport = createKubeTransport({ config: loadKubeConfig(), clock: runtime.clock })
  api = createKubeApi(transport)
  await transport.request({
    method: 'POST',
    path: NAMESPACES,
    body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
  })
})

afterAll(async () => {
  await transport.request({ method: 'DELETE', path: `${NAMESPACES}/${namespace}` })
  transport.close()
})

test('applying the same object again changes nothing, and a member that is no longer applied goes', async () => {
  const first = await api.apply(configMap('apply', { a: '1', b: '2' }))
  const again = await api.apply(configMap('apply', { a: '1', b: '2' }))
  const less = await api.apply(configMap('apply', { a: '1' }))

  expect(again.metadata.resourceVersion).toBe(first.metadata.resourceVersion)
  expect(less.data).toEqual({ a: '1' })
  expect(await api.get({ ...configMap('apply', {}), namespace, name: 'absent' })).toBeNull()
})

test('a stale uid or resourceVersion deletes and patches nothing', async () => {
  const made = await api.apply(configMap('guarded', { a: '1' }))
  const reference = { apiVersion: 'v1', kind: 'ConfigMap', namespace, name: 'guarded' }
  const { uid = '', resourceVersion = '' } = made.metadata
  await api.apply(configMap('guarded', { a: '2' }))

  expect(await codeOf(api.delete(reference, { uid: 'another' }))).toBe('conflict')
  expect(await codeOf(api.delete(reference, { uid, resourceVersion }))).toBe('conflict')
  expect(
    await codeOf(api.patchMetadata(reference, { resourceVersion, annotations: { a: 'b' } })),
  ).toBe('conflict')
  await api.delete(reference, { uid })
  await api.delete(reference, { uid })

  expect(await api.get(reference)).toBeNull()
})

test('a reflector over a paged list follows what is added and deleted', async () => {
  await Promise.all(
    Array.from({ length: 520 }, (_, index) => api.apply(configMap(`many-${index}`, {}))),
  )
  const collection = { apiVersion: 'v1', kind: 'ConfigMap', namespace }
  const cache = new MemoryObjectCache()
  const restarts: RestartCause[] = []
  await using reflector = new Reflector({
    ...runtime,
    watcher: createKubeWatcher(transport),
    collection,
    handler: cache.handlerOf(collection),
    logger: silentLogger,
    onRestart: (cause) => restarts.push(cause),
  })
  reflector.start()
  await until(() => cache.hasSynced)
  expect(cache.list('ConfigMap', namespace, {}).length).toBeGreaterThanOrEqual(520)

  await api.apply(configMap('late', { a: '1' }))
  const late = { apiVersion: 'v1', kind: 'ConfigMap', namespace, name: 'late' }
  await until(() => cache.get(late)?.data?.['a'] === '1')
  const { uid = '' } = cache.get(late)?.metadata ?? {}
  await api.delete(late, { uid })
  await until(() => cache.get(late) === null)

  expect(restarts).toEqual([])
})

test('of two electors one leads, and the other follows at once when it is released', async () => {
  const events: string[] = []
  const elector = (identity: string): LeaseElector =>
    new LeaseElector({
      ...runtime,
      transport,
      namespace,
      name: 'election',
      identity,
      logger: silentLogger,
      onLeading: () => events.push(`${identity} leads`),
      onLost: (reason) => events.push(`${identity} lost: ${reason}`),
    })
  const first = elector('a')
  const second = elector('b')
  first.start()
  await until(() => first.mayAct())
  second.start()
  await sleep(3_000)
  expect(second.mayAct()).toBe(false)

  const released = Date.now()
  await first.close()
  await until(() => second.mayAct())
  const handOverMs = Date.now() - released
  await second.close()

  expect(events).toEqual(['a leads', 'b leads'])
  expect(handOverMs).toBeLessThan(5_000)
})

test('an Event is taken by the server, and can be found by what it regards', async () => {
  const regarding = await api.apply(configMap('regarded', {}))
  await using recorder = new KubeEventRecorder({
    ...runtime,
    transport,
    logger: silentLogger,
    instance: 'e2e',
  })

  recorder.record(regarding, { type: 'Normal', reason: 'Tried', action: 'Try', note: 'a note' })
  const events = async (): Promise<readonly KubeObject[]> =>
    await api.list({ apiVersion: 'events.k8s.io/v1', kind: 'Event', namespace })
  await until(async () => (await events()).length > 0)

  expect(recorder.dropped).toBe(0)
  expect((await events())[0]).toMatchObject({ reason: 'Tried', regarding: { name: 'regarded' } })
})

test('a pod is evicted by its own uid only, and an absent one is no failure', async () => {
  const labels = { app: 'evicted' }
  const podReference = { apiVersion: 'v1', kind: 'Pod', namespace, name: 'evicted' }
  await transport.request({
    method: 'POST',
    path: `${NAMESPACES}/${namespace}/pods`,
    body: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'evicted', namespace, labels },
      spec: {
        containers: [{ name: 'none', image: 'none.invalid/none' }],
        terminationGracePeriodSeconds: 0,
      },
    },
  })
  const pod = await api.get(podReference)
  const uid = pod?.metadata.uid ?? ''

  expect(await codeOf(api.evict(podReference, { uid: 'another' }))).toBe('conflict')
  await api.evict(podReference, { uid })
  await until(async () => (await api.get(podReference)) === null)
  await api.evict(podReference, { uid })
})
