import { beforeEach, describe, expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { SeededRandom } from '../simulation/random.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { KubernetesError, LeaderEndpoint } from './leader-endpoint.ts'
import type { KubernetesRequest } from './leader-endpoint.ts'

const PATH = '/apis/discovery.k8s.io/v1/namespaces/ns/endpointslices/demo-broker-0'

/** An API server with one slice, which checks the precondition as the real one does. */
class FakeApi {
  slice: {
    metadata: { resourceVersion: string; annotations: Record<string, string> }
    endpoints: { addresses: string[] }[]
  } | null
  failures = 0
  requests = 0

  constructor(term: string | null, address: string | null) {
    const annotations: Record<string, string> = {}
    if (term !== null) annotations['rocketmq.gantry.dev/term'] = term
    const endpoints = address === null ? [] : [{ addresses: [address] }]
    this.slice = { metadata: { resourceVersion: '1', annotations }, endpoints }
  }

  readonly request: KubernetesRequest = ({ method, path, body }) => {
    this.requests++
    if (path !== PATH) return Promise.reject(new KubernetesError('refused', `no ${path}`, 404))
    if (this.failures-- > 0) return Promise.reject(new KubernetesError('unreachable', 'no route'))
    if (this.slice === null) return Promise.reject(new KubernetesError('refused', 'not found', 404))
    if (method === 'GET') return Promise.resolve(structuredClone(this.slice))
    const patch = body as Pick<NonNullable<FakeApi['slice']>, 'metadata' | 'endpoints'>
    if (patch.metadata.resourceVersion !== this.slice.metadata.resourceVersion) {
      return Promise.reject(new KubernetesError('refused', 'conflict', 409))
    }
    const resourceVersion = String(Number(this.slice.metadata.resourceVersion) + 1)
    const annotations = { ...this.slice.metadata.annotations, ...patch.metadata.annotations }
    this.slice = { metadata: { resourceVersion, annotations }, endpoints: patch.endpoints }
    return Promise.resolve(this.slice)
  }

  get addresses(): readonly (string | undefined)[] {
    return this.slice?.endpoints.map((endpoint) => endpoint.addresses[0]) ?? []
  }
}

let time: SimulatedTime
let term: number

beforeEach(() => {
  time = new SimulatedTime()
  term = 3
})

function endpointOn(
  api: FakeApi,
  onNewerTerm: (newer: number) => void = () => undefined,
): LeaderEndpoint {
  return new LeaderEndpoint({
    pod: {
      leaderService: 'demo-broker-0.ns.svc',
      podIP: '10.1.0.9',
      podName: 'demo-broker-0-0',
      namespace: 'ns',
      apiHost: 'api',
      apiPort: 443,
    },
    request: api.request,
    timers: time,
    random: new SeededRandom(1),
    logger: silentLogger,
    term: () => term,
    onNewerTerm,
  })
}

describe('the leader endpoint', () => {
  test('leads to this pod once it is written, with the term', async () => {
    const api = new FakeApi(null, null)
    const endpoint = endpointOn(api)

    endpoint.start()
    await time.settle()

    expect(endpoint.isWritten).toBe(true)
    expect(api.addresses).toEqual(['10.1.0.9'])
    expect(api.slice?.metadata.annotations['rocketmq.gantry.dev/term']).toBe('3')
    expect(api.slice?.endpoints[0]).toMatchObject({
      conditions: { ready: true },
      targetRef: { kind: 'Pod', name: 'demo-broker-0-0', namespace: 'ns' },
    })
  })

  test('an older term never overwrites a newer one', async () => {
    const api = new FakeApi('9', '10.1.0.5')
    const endpoint = endpointOn(api)

    endpoint.start()
    await time.advance(60_000)

    expect(endpoint.isWritten).toBe(false)
    expect(api.addresses).toEqual(['10.1.0.5'])
    await endpoint.close()
  })

  test('a member that may raise its term takes the slice over', async () => {
    const api = new FakeApi('9', '10.1.0.5')
    const endpoint = endpointOn(api, (newer) => {
      term = newer + 1
    })

    endpoint.start()
    await time.settle()

    expect(api.addresses).toEqual(['10.1.0.9'])
    expect(api.slice?.metadata.annotations['rocketmq.gantry.dev/term']).toBe('10')
  })

  test('it tries again until the API server takes it', async () => {
    const api = new FakeApi(null, null)
    api.failures = 5
    const endpoint = endpointOn(api)

    endpoint.start()
    await time.advance(30_000)

    expect(endpoint.isWritten).toBe(true)
    await endpoint.close()
  })

  test('a change by somebody else is repaired', async () => {
    const api = new FakeApi(null, null)
    const endpoint = endpointOn(api)
    endpoint.start()
    await time.settle()
    if (api.slice !== null) api.slice.endpoints = []

    await time.advance(30_000)

    expect(api.addresses).toEqual(['10.1.0.9'])
    await endpoint.close()
  })

  test('nothing is written when nothing has changed', async () => {
    const api = new FakeApi(null, null)
    const endpoint = endpointOn(api)
    endpoint.start()
    await time.advance(95_000)

    expect(api.slice?.metadata.resourceVersion).toBe('2')
    await endpoint.close()
  })

  test('a stopped broker takes itself out, and asks no more', async () => {
    const api = new FakeApi(null, null)
    const endpoint = endpointOn(api)
    endpoint.start()
    await time.settle()

    await endpoint.close()
    const { requests } = api
    await time.advance(120_000)

    expect(api.addresses).toEqual([])
    expect(api.requests).toBe(requests)
  })
})
