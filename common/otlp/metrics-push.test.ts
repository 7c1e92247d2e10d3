import { expect, test } from 'vitest'
import { SimulatedTime } from '../../simulation/time.ts'
import { BucketCounts, Counter, Gauge, createRegistry } from '../metrics.ts'
import { silentLogger } from '../log.ts'
import { MetricsPush } from './metrics-push.ts'
import type { Logger } from '../log.ts'
import type { MetricsReceiver, PushedBatch } from './metrics-push.ts'

class Receiver implements MetricsReceiver {
  readonly name = 'collector'
  readonly batches: PushedBatch[] = []
  /** Thrown by the next deliveries, one each. */
  readonly faults: (Error | null)[] = []
  rejects: string | null = null
  ends = 0

  async deliver(batch: PushedBatch): Promise<string | null> {
    await Promise.resolve()
    const fault = this.faults.shift() ?? null
    if (fault !== null) throw fault
    this.batches.push(batch)
    return this.rejects
  }

  end(): void {
    this.ends++
  }

  /** The points of one metric, in the order in which they came. */
  points(name: string): readonly unknown[] {
    return this.batches.flatMap(({ metrics }) =>
      metrics.filter(({ head }) => head.name === name).flatMap(({ points }) => points),
    )
  }
}

function setUp(options: { temporality?: 'delta'; batchMax?: number; logger?: Logger } = {}) {
  const time = new SimulatedTime()
  const registry = createRegistry({ cluster: 'c', nodeType: 'broker', nodeId: 'n' })
  const receiver = new Receiver()
  const push = new MetricsPush({
    registry,
    receiver,
    intervalMs: 1000,
    temporality: options.temporality ?? 'cumulative',
    batchMax: options.batchMax ?? 1000,
    clock: time,
    timers: time,
    logger: options.logger ?? silentLogger,
  })
  return { time, registry, receiver, push }
}

const COMMON = { cluster: 'c', node_type: 'broker', node_id: 'n' }

test('counts since the start have the time of the start, gauges none, and both the common labels', async () => {
  const { time, registry, receiver, push } = setUp()
  const startedAt = time.now()
  const counter = new Counter({ name: 'a_total', help: 'h', registers: [registry] })
  const gauge = new Gauge({ name: 'b_bytes', help: 'h', labelNames: ['of'], registers: [registry] })
  counter.inc(3)
  gauge.set({ of: 'x' }, 7)

  await push.push()

  expect(receiver.points('a_total')).toEqual([
    {
      point: { type: 'number', labels: COMMON, value: 3 },
      startTimestamp: startedAt,
      timestamp: time.now(),
    },
  ])
  expect(receiver.points('b')).toEqual([
    {
      point: { type: 'number', labels: { ...COMMON, of: 'x' }, value: 7 },
      startTimestamp: 0,
      timestamp: time.now(),
    },
  ])
})

test('counts since the last time begin where the last push that arrived ended', async () => {
  const { registry, receiver, push } = setUp({ temporality: 'delta' })
  const counter = new Counter({ name: 'a_total', help: 'h', registers: [registry] })
  const values = () => receiver.points('a_total').map((point) => point)
  counter.inc(3)
  await push.push()
  counter.inc(4)
  receiver.faults.push(new Error('away'))
  await push.push()
  counter.inc(5)
  await push.push()
  await push.push()

  expect(values()).toMatchObject([
    { point: { value: 3, labels: { aggregation: 'delta' } } },
    { point: { value: 9 } },
    { point: { value: 0 } },
  ])
})

test('a histogram has its buckets each for itself, and in delta what has come since', async () => {
  const { registry, receiver, push } = setUp({ temporality: 'delta' })
  const counts = new BucketCounts([1, 10])
  const samples = () => counts.samples({ code: 'x' })
  registry.registerSampled({ name: 'h_milliseconds', help: 'h', type: 'histogram', samples })
  counts.add(1, 2)
  counts.add(20, 1)
  await push.push()
  counts.add(5, 1)
  await push.push()

  expect(receiver.points('h')).toMatchObject([
    { point: { count: 3, sum: 22, bounds: [1, 10], bucketCounts: [2, 0, 1] } },
    { point: { count: 1, sum: 5, bounds: [1, 10], bucketCounts: [0, 1, 0] } },
  ])
})

test('a series that began anew, or went and came again, is told from nothing on', async () => {
  const { registry, receiver, push } = setUp({ temporality: 'delta' })
  let values: number[] = [8]
  registry.registerSampled({
    name: 'a_total',
    help: 'h',
    type: 'counter',
    samples: () => values.map((value) => ({ suffix: '', labels: {}, value })),
  })
  await push.push()
  values = [3]
  await push.push()
  values = []
  await push.push()
  values = [5]
  await push.push()

  expect(receiver.points('a_total')).toMatchObject([
    { point: { value: 8 } },
    { point: { value: 3 } },
    { point: { value: 5 } },
  ])
})

test('a batch has no more points than it may, and a push that breaks off goes on with what did not arrive', async () => {
  const { registry, receiver, push } = setUp({ temporality: 'delta', batchMax: 4 })
  const samples = () =>
    Array.from({ length: 10 }, (_, index) => ({
      suffix: '',
      labels: { index: String(index) },
      value: 1,
    }))
  registry.registerSampled({ name: 'a_total', help: 'h', type: 'counter', samples })
  receiver.faults.push(null, null, new Error('away'))
  await push.push()
  await push.push()

  const sizes = receiver.batches.map(({ metrics }) =>
    metrics.reduce((sum, { points }) => sum + points.length, 0),
  )
  const sum = receiver.batches
    .flatMap(({ metrics }) => metrics.filter(({ head }) => head.name === 'a_total'))
    .flatMap(({ points }) => points)
    .reduce((total, { point }) => total + (point.type === 'number' ? point.value : 0), 0)
  expect(Math.max(...sizes)).toBe(4)
  expect(sum).toBe(10)
})

test('a receiver that is away is told once, and again when it is back', async () => {
  const told: string[] = []
  const logger: Logger = {
    ...silentLogger,
    info: (_, message) => told.push(message),
    warn: ({ problem }, message) => told.push(`${message}: ${String(problem)}`),
  }
  const { registry, receiver, push } = setUp({ logger })
  receiver.faults.push(new Error('away'), new Error('away'), null, new Error('gone'))
  for (let times = 0; times < 4; times++) await push.push()
  receiver.rejects = '2 points rejected: no'
  await push.push()

  expect(told).toEqual([
    'metrics are not pushed: away',
    'metrics are pushed again',
    'metrics are not pushed: gone',
  ])
  expect(receiver.ends).toBe(5)
  expect(await registry.metrics()).toMatch(
    /^rocketmq_metrics_pushes_total\{result="failure",.*\} 4$/mu,
  )
})

test('it pushes every interval, never twice at a time, and not after its close', async () => {
  const { time, receiver, push } = setUp()
  push.start()
  expect(push.push()).toBe(push.push())
  await push.push()
  await time.advance(1000)
  await push.push()
  await push.close()
  const before = receiver.batches.length
  await time.advance(5000)

  expect(receiver.batches.length).toBe(before)
  expect(before).toBe(2)
})

test('at the end it tells what has come since the last push, unless that one failed', async () => {
  for (const isFailing of [false, true]) {
    const { registry, receiver, push } = setUp({ temporality: 'delta' })
    const counter = new Counter({ name: 'a_total', help: 'h', registers: [registry] })
    counter.inc(3)
    if (isFailing) receiver.faults.push(new Error('away'))
    await push.push()
    counter.inc(4)

    await push.finish()

    const values = isFailing ? [] : [3, 4]
    expect(receiver.points('a_total')).toEqual(
      values.map((value): unknown =>
        expect.objectContaining({ point: expect.objectContaining({ value }) }),
      ),
    )
    expect(receiver.ends).toBeGreaterThan(0)
  }
})
