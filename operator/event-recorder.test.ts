import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { createRuntime } from '../common/runtime.ts'
import { KubeEventRecorder } from './event-recorder.ts'
import { FakeApiServer } from './fake-api-server.ts'
import type { KubeTransport } from './kube-api.ts'
import { createKubeTransport, kubeConfigFor } from './kube.ts'
import { createManualTime } from './manual-time.ts'
import type { ManualTime } from './manual-time.ts'
import type { KubeObject } from './ports.ts'

const CLUSTER: KubeObject = {
  apiVersion: 'rocketmq.gantry.dev/v1alpha1',
  kind: 'RocketMQCluster',
  metadata: { name: 'demo', namespace: 'ns', uid: 'u1', resourceVersion: '7' },
}
const REPAIRED = {
  type: 'Normal',
  reason: 'Repaired',
  action: 'Apply',
  note: 'Service demo',
} as const

let server: FakeApiServer
let transport: KubeTransport
let time: ManualTime
let recorder: KubeEventRecorder

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 200_000; turn += 1) {
    if (condition()) return
    await nextTurn()
  }
  throw new Error('the condition was never met')
}

function events(): readonly Record<string, unknown>[] {
  return [...server.objects.values()]
}

beforeEach(async () => {
  server = await FakeApiServer.start()
  time = createManualTime()
  transport = createKubeTransport({ config: kubeConfigFor(server.url), clock: time.clock })
  const { random } = createRuntime()
  const { clock, timers } = time
  const shared = { transport, clock, timers, random, logger: silentLogger }
  recorder = new KubeEventRecorder({ ...shared, instance: 'operator-0' })
})

afterEach(async () => {
  await recorder.close()
  transport.close()
  await server[Symbol.asyncDispose]()
})

test('an event names what it regards, who reports it and when', async () => {
  recorder.record(CLUSTER, REPAIRED)
  await until(() => server.objects.size === 1)

  expect(events()[0]).toMatchObject({
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    eventTime: '2023-11-14T22:13:20.000000Z',
    reportingController: 'rocketmq.gantry.dev/operator',
    reportingInstance: 'operator-0',
    type: 'Normal',
    reason: 'Repaired',
    action: 'Apply',
    note: 'Service demo',
    regarding: { kind: 'RocketMQCluster', name: 'demo', namespace: 'ns', uid: 'u1' },
  })
})

test('equal events become one with a series, which is written at most every half minute', async () => {
  recorder.record(CLUSTER, REPAIRED)
  await until(() => server.objects.size === 1)

  for (let repeat = 0; repeat < 9; repeat += 1) recorder.record(CLUSTER, REPAIRED)
  time.advance(29_999)
  expect(server.requests).toHaveLength(1)
  time.advance(1)
  await until(() => server.requests.length === 2)
  await until(() => events()[0]?.['series'] !== undefined)

  expect(events()).toHaveLength(1)
  expect(events()[0]).toMatchObject({ series: { count: 10 } })
})

test('different notes are different events, and an old series is not continued', async () => {
  recorder.record(CLUSTER, REPAIRED)
  recorder.record(CLUSTER, { ...REPAIRED, note: 'ConfigMap demo' })
  await until(() => server.objects.size === 2)

  time.advance(600_000)
  recorder.record(CLUSTER, REPAIRED)
  await until(() => server.objects.size === 3)

  expect(events().filter((event) => event['series'] !== undefined)).toEqual([])
})

test('a failing server is tried again, a refusing one is not', async () => {
  server.fail(() => true, 503)
  recorder.record(CLUSTER, REPAIRED)
  await until(() => time.waiting.includes(1_000))
  time.advance(1_000)
  await until(() => server.objects.size === 1)

  server.fail(() => true, 403)
  recorder.record(CLUSTER, { ...REPAIRED, note: 'other' })
  await until(() => recorder.dropped === 1)

  expect(server.requests).toHaveLength(3)
})

test('what does not fit into the queue is dropped and counted', async () => {
  for (let index = 0; index < 300; index += 1) {
    recorder.record(CLUSTER, { ...REPAIRED, note: `note ${index}` })
  }

  expect(recorder.dropped).toBeGreaterThan(30)
  await until(() => server.objects.size + recorder.dropped === 300)
})

test('a long note is cut to what the API takes', async () => {
  recorder.record(CLUSTER, { ...REPAIRED, note: 'x'.repeat(5_000) })
  await until(() => server.objects.size === 1)

  expect(String(events()[0]?.['note'])).toHaveLength(1_024)
})

test('close writes what waits', async () => {
  recorder.record(CLUSTER, REPAIRED)
  recorder.record(CLUSTER, { ...REPAIRED, note: 'second' })

  await recorder.close()

  expect(server.objects.size).toBe(2)
})
