import http from 'node:http'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createRuntime } from '../common/runtime.ts'
import { FakeApiServer } from './fake-api-server.ts'
import { createKubeApi } from './kube-api.ts'
import type { KubeTransport } from './kube-api.ts'
import { KubeError } from './kube-error.ts'
import { createKubeTransport, kubeConfigFor } from './kube.ts'
import { resourceOf } from './metrics.ts'
import type { KubeApi, KubeObject } from './ports.ts'

const { clock } = createRuntime()
const POD_PATH = '/api/v1/namespaces/ns/pods/p'
const POD = { apiVersion: 'v1', kind: 'Pod', namespace: 'ns', name: 'p' }
const SERVICE: KubeObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 's', namespace: 'ns' },
  spec: { clusterIP: 'None' },
}

let server: FakeApiServer
let transport: KubeTransport
let api: KubeApi
const calls: { readonly method: string; readonly path: string; readonly code: number }[] = []

beforeEach(async () => {
  server = await FakeApiServer.start()
  calls.length = 0
  transport = createKubeTransport({
    config: kubeConfigFor(server.url),
    clock,
    onCall: ({ method, path, code }) => calls.push({ method, path, code }),
  })
  api = createKubeApi(transport)
})

afterEach(async () => {
  transport.close()
  await server[Symbol.asyncDispose]()
})

async function failureOf(call: Promise<unknown>): Promise<KubeError> {
  try {
    await call
  } catch (error) {
    if (error instanceof KubeError) return error
    throw error
  }
  throw new Error('the call did not fail')
}

test('an object that is not there is null', async () => {
  expect(await api.get(POD)).toBeNull()
})

test('apply is a forced server-side apply by the operator', async () => {
  const applied = await api.apply(SERVICE)

  const [request] = server.requests
  expect(request?.method).toBe('PATCH')
  expect(request?.path).toBe('/api/v1/namespaces/ns/services/s')
  expect(request?.contentType).toBe('application/apply-patch+yaml')
  expect(Object.fromEntries(request?.query ?? [])).toEqual({
    fieldManager: 'rocketmq-operator',
    force: 'true',
  })
  expect(applied.metadata.uid).toBeDefined()
  expect(Object.isFrozen(applied.metadata)).toBe(true)
})

test('what is created is posted, and a second of the name is a conflict', async () => {
  const created = await api.create(SERVICE)

  const failure = await failureOf(api.create(SERVICE))

  expect(server.requests[0]?.method).toBe('POST')
  expect(server.requests[0]?.path).toBe('/api/v1/namespaces/ns/services')
  expect(created.metadata.uid).toBeDefined()
  expect(failure.code).toBe('conflict')
})

test('the status is applied by a manager of its own to the subresource', async () => {
  await api.applyStatus({
    apiVersion: 'rocketmq.gantry.dev/v1alpha1',
    kind: 'RocketMQCluster',
    metadata: { name: 'demo', namespace: 'ns' },
    status: { observedGeneration: 1 },
  })

  const [request] = server.requests
  expect(request?.path).toBe(
    '/apis/rocketmq.gantry.dev/v1alpha1/namespaces/ns/rocketmqclusters/demo/status',
  )
  expect(request?.contentType).toBe('application/apply-patch+yaml')
  expect(request?.query.get('fieldManager')).toBe('rocketmq-operator-status')
})

test('metadata is merged, and a stale resourceVersion is a conflict', async () => {
  server.put(POD_PATH, { metadata: { name: 'p', namespace: 'ns', annotations: { a: '1' } } })
  const before = await api.get(POD)

  const after = await api.patchMetadata(POD, { annotations: { b: '2' } })
  const failure = await failureOf(
    api.patchMetadata(POD, { resourceVersion: before?.metadata.resourceVersion, annotations: {} }),
  )

  expect(after.metadata.annotations).toEqual({ a: '1', b: '2' })
  expect(failure.code).toBe('conflict')
})

test('delete takes what has the uid, leaves what has another, and does not mind an absence', async () => {
  server.put(POD_PATH, { metadata: { name: 'p', namespace: 'ns', uid: 'right' } })

  const failure = await failureOf(api.delete(POD, { uid: 'wrong' }))
  expect(failure.code).toBe('conflict')
  expect(server.objects.size).toBe(1)
  await api.delete(POD, { uid: 'right', orphan: true })
  await api.delete(POD, { uid: 'right' })

  expect(server.objects.size).toBe(0)
  expect(server.requests[1]?.body).toMatchObject({
    propagationPolicy: 'Orphan',
    preconditions: { uid: 'right' },
  })
})

test('a pod leaves by eviction, and a disruption budget that forbids it is told apart', async () => {
  server.put(POD_PATH, { metadata: { name: 'p', namespace: 'ns', uid: 'u' } })
  server.fail(() => true, 429, { headers: { 'retry-after': '10' } })

  const failure = await failureOf(api.evict(POD, { uid: 'u' }))
  expect(failure.code).toBe('tooManyRequests')
  expect(failure.retryAfterMs).toBe(10_000)
  await api.evict(POD, { uid: 'u' })

  expect(server.objects.size).toBe(0)
  expect(server.requests[1]?.path).toBe(`${POD_PATH}/eviction`)
  expect(server.requests[1]?.body).toMatchObject({
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    deleteOptions: { preconditions: { uid: 'u' } },
  })
})

test('each refusal has its code', async () => {
  const expected = {
    400: 'invalid',
    401: 'forbidden',
    403: 'forbidden',
    408: 'unavailable',
    409: 'conflict',
    410: 'expired',
    422: 'invalid',
    429: 'tooManyRequests',
    500: 'unavailable',
    503: 'unavailable',
  }
  for (const [status, code] of Object.entries(expected)) {
    server.fail(() => true, Number(status))

    const failure = await failureOf(api.apply(SERVICE))

    expect(`${status} ${failure.code}`).toBe(`${status} ${code}`)
  }
})

test('a server that is away is unavailable, with the cause kept', async () => {
  await server[Symbol.asyncDispose]()

  const failure = await failureOf(api.get(POD))

  expect(failure.code).toBe('unavailable')
  expect(failure.message).toContain('ECONNREFUSED')
  expect(failure.cause).toBeInstanceOf(Error)
  server = await FakeApiServer.start()
})

test('an answer that is no JSON, and one that is no object, are failures and not results', async () => {
  const bodies = ['<html>', '[]', '{}', '{"metadata":{}}']
  for (const body of bodies) {
    const web = http.createServer((_, response) => response.end(body))
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
    const address = web.address()
    const port = address === null || typeof address === 'string' ? 0 : address.port
    const config = kubeConfigFor(`http://127.0.0.1:${port}`)
    const other = createKubeTransport({ config, clock })

    const failure = await failureOf(createKubeApi(other).get(POD))

    expect(failure.code).toBe('unavailable')
    other.close()
    web.closeAllConnections()
    web.close()
  }
})

test('a kind that is not in the table is refused before anything is sent', async () => {
  const failure = await failureOf(api.get({ ...POD, kind: 'Node' }))

  expect(failure.code).toBe('invalid')
  expect(server.requests).toEqual([])
})

test('every call is told to the metrics with its code and a resource of few values', async () => {
  await api.apply(SERVICE)
  await api.get(POD)

  expect(calls).toEqual([
    { method: 'PATCH', path: '/api/v1/namespaces/ns/services/s', code: 200 },
    { method: 'GET', path: POD_PATH, code: 404 },
  ])
  expect(resourceOf('/api/v1/namespaces/ns/services/s')).toBe('services')
  expect(resourceOf('/api/v1/pods')).toBe('pods')
  expect(resourceOf('/api/v1/namespaces/ns/pods/p/eviction')).toBe('pods/eviction')
  expect(resourceOf('/apis/apps/v1/namespaces/ns/statefulsets')).toBe('statefulsets')
})
