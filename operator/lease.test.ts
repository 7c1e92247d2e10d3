import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import type { Random } from '../common/ports.ts'
import { FakeApiServer } from './fake-api-server.ts'
import type { KubeTransport } from './kube-api.ts'
import { createKubeTransport, kubeConfigFor } from './kube.ts'
import { LeaseElector } from './lease.ts'
import { createManualTime } from './manual-time.ts'
import type { ManualTime } from './manual-time.ts'

const LEASE = '/apis/coordination.k8s.io/v1/namespaces/ns/leases/op'
/** With this jitter a retry never falls together with a deadline. */
const RETRY_MS = 2_002
const jitter: Random = { next: () => 0.005, integer: () => 0, bytes: (size) => Buffer.alloc(size) }

let server: FakeApiServer
let transport: KubeTransport
let time: ManualTime
const electors: LeaseElector[] = []

interface Candidate {
  readonly elector: LeaseElector
  readonly events: string[]
}

function candidate(identity: string): Candidate {
  const events: string[] = []
  const elector = new LeaseElector({
    transport,
    namespace: 'ns',
    name: 'op',
    identity,
    clock: time.clock,
    timers: time.timers,
    random: jitter,
    logger: silentLogger,
    onLeading: () => events.push('leading'),
    onLost: () => events.push('lost'),
  })
  electors.push(elector)
  return { elector, events }
}

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 200_000; turn += 1) {
    if (condition()) return
    await nextTurn()
  }
  throw new Error('the condition was never met')
}

/** Lets so many retry periods pass, each after the attempts of the one before have ended. */
async function pass(periods: number, running: number): Promise<void> {
  const allWait = (): boolean =>
    time.waiting.filter((delay) => delay === RETRY_MS).length >= running
  for (let period = 0; period < periods; period += 1) {
    await until(allWait)
    time.advance(RETRY_MS)
  }
  await until(allWait)
}

function holder(): unknown {
  const spec = server.objects.get(LEASE)?.['spec']
  return typeof spec === 'object' && spec !== null && 'holderIdentity' in spec
    ? spec.holderIdentity
    : null
}

beforeEach(async () => {
  server = await FakeApiServer.start()
  time = createManualTime()
  transport = createKubeTransport({ config: kubeConfigFor(server.url), clock: time.clock })
})

afterEach(async () => {
  for (const elector of electors.splice(0)) await elector.close()
  transport.close()
  await server[Symbol.asyncDispose]()
})

test('the first one creates the lease and leads, the second waits', async () => {
  const first = candidate('a')
  const second = candidate('b')
  first.elector.start()
  await until(() => first.elector.mayAct())

  second.elector.start()
  await pass(30, 2)

  expect(first.events).toEqual(['leading'])
  expect(second.events).toEqual([])
  expect(second.elector.mayAct()).toBe(false)
  expect(holder()).toBe('a')
})

test('a lease that is given up is taken at the next try', async () => {
  const first = candidate('a')
  const second = candidate('b')
  first.elector.start()
  await until(() => first.elector.isLeading)
  second.elector.start()
  await pass(2, 2)

  await first.elector.close()
  expect(first.elector.mayAct()).toBe(false)
  await pass(2, 1)

  expect(second.events).toEqual(['leading'])
  expect(first.events).toEqual(['leading'])
})

test('a dead holder is followed after its lease has run out, measured here and not by its clock', async () => {
  server.put(LEASE, {
    metadata: { name: 'op', namespace: 'ns' },
    spec: {
      holderIdentity: 'dead',
      leaseDurationSeconds: 15,
      renewTime: '1999-01-01T00:00:00.000000Z',
    },
  })
  const { elector, events } = candidate('b')
  elector.start()

  await pass(7, 1)
  expect(events).toEqual([])
  await pass(2, 1)

  expect(events).toEqual(['leading'])
  expect(holder()).toBe('b')
})

test('with less than 5 s of the lease left nothing may be acted on, and at the renew deadline it is lost', async () => {
  const { elector, events } = candidate('a')
  elector.start()
  await until(() => elector.mayAct())
  server.fail(() => true, 500, { times: 1_000 })

  await pass(4, 1)
  expect(elector.mayAct()).toBe(true)
  time.advance(1_991)
  expect(elector.mayAct()).toBe(true)
  time.advance(2)

  expect(elector.mayAct()).toBe(false)
  expect(events).toEqual(['leading', 'lost'])
})

test('mayAct ends with the margin even when no timer could fire', async () => {
  let now = 0
  const elector = new LeaseElector({
    transport,
    namespace: 'ns',
    name: 'op',
    identity: 'a',
    clock: { now: () => now, monotonic: () => now },
    timers: time.timers,
    random: jitter,
    logger: silentLogger,
    onLeading: () => undefined,
    onLost: () => undefined,
  })
  electors.push(elector)
  elector.start()
  await until(() => elector.mayAct())

  now = 10_001

  expect(elector.mayAct()).toBe(false)
})

test('a holder whose lease was taken by another is told at once', async () => {
  const { elector, events } = candidate('a')
  elector.start()
  await until(() => elector.isLeading)
  const lease = server.objects.get(LEASE) ?? {}

  server.put(LEASE, { ...lease, spec: { holderIdentity: 'thief', leaseDurationSeconds: 15 } })
  await until(() => time.waiting.includes(RETRY_MS))
  time.advance(RETRY_MS)
  await until(() => events.length === 2)

  expect(events).toEqual(['leading', 'lost'])
  expect(elector.mayAct()).toBe(false)
  expect(holder()).toBe('thief')
})

test('of two that see a free lease at the same moment one wins', async () => {
  const first = candidate('a')
  const second = candidate('b')

  first.elector.start()
  second.elector.start()
  await pass(3, 2)

  expect([...first.events, ...second.events]).toEqual(['leading'])
})

test('a passing failure of the server does not cost the lease', async () => {
  const { elector, events } = candidate('a')
  elector.start()
  await until(() => elector.mayAct())

  server.fail(() => true, 503, { times: 3 })
  await pass(10, 1)

  expect(events).toEqual(['leading'])
  expect(elector.mayAct()).toBe(true)
})
