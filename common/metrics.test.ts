import { expect, test } from 'vitest'
import { BucketCounts, Counter, Gauge, Histogram, Registry, createRegistry } from './metrics.ts'
import { silentLogger } from './log.ts'
import type { MetricFamily } from './metrics.ts'
import { checkFilesLimit, collectProcessMetrics, openFilesLimit } from './process-metrics.ts'
import { createRuntime } from './runtime.ts'

test('a scrape shows help, type and samples, the common labels behind their own', async () => {
  const registry = createRegistry({ cluster: 'c', nodeType: 'broker', nodeId: 'n' })
  const gauge = new Gauge({
    name: 'a_gauge',
    help: 'What it is',
    labelNames: ['kind'],
    registers: [registry],
  })
  gauge.set({ kind: 'x' }, 3)
  gauge.inc({ kind: 'x' })
  gauge.dec({ kind: 'y' }, 2)

  expect(await registry.metrics()).toBe(
    '# HELP a_gauge What it is\n# TYPE a_gauge gauge\n' +
      'a_gauge{kind="x",cluster="c",node_type="broker",node_id="n"} 4\n' +
      'a_gauge{kind="y",cluster="c",node_type="broker",node_id="n"} -2\n\n',
  )
})

test('without labels there is one sample from the start, and a counter never goes down', async () => {
  const registry = new Registry()
  const counter = new Counter({ name: 'a_total', help: 'h', registers: [registry] })
  const before = await registry.metrics()
  counter.inc()
  counter.inc(2.5)

  expect(before).toContain('\na_total 0\n')
  expect(await registry.metrics()).toContain('\na_total 3.5\n')
  expect(() => counter.inc(-1)).toThrow('decrease')
})

test('a gauge is read when it is asked for', async () => {
  const registry = new Registry()
  let value = 1
  const gauge: Gauge = new Gauge({
    name: 'g',
    help: 'h',
    registers: [registry],
    collect: () => gauge.set(value),
  })
  await registry.metrics()
  value = Number.POSITIVE_INFINITY

  expect(await registry.metrics()).toContain('\ng +Inf\n')
})

test('buckets are cumulative, with sum and count', async () => {
  const registry = new Registry()
  const histogram = new Histogram({
    name: 'h',
    help: 'h',
    labelNames: ['code'],
    buckets: [1, 10],
    registers: [registry],
  })
  for (const value of [0.5, 1, 2, 100]) histogram.observe({ code: '0' }, value)

  expect((await registry.metrics()).split('\n').slice(2, 7)).toEqual([
    'h_bucket{le="1",code="0"} 2',
    'h_bucket{le="10",code="0"} 3',
    'h_bucket{le="+Inf",code="0"} 4',
    'h_sum{code="0"} 103.5',
    'h_count{code="0"} 4',
  ])
})

test('several equal values are counted at once', () => {
  const counts = new BucketCounts([1, 10])

  counts.add(5, 32)

  expect(Array.from(counts.samples({}), ({ value }) => value)).toEqual([0, 32, 32, 160, 32])
})

test('whatever stands in a label stays in its line', async () => {
  const registry = new Registry({ common: 'back\\slash' })
  const gauge = new Gauge({ name: 'g', help: 'h', labelNames: ['l'], registers: [registry] })
  gauge.set({ l: 'a"b\nc\\d' }, 1)

  expect(await registry.metrics()).toContain('g{l="a\\"b\\nc\\\\d",common="back\\\\slash"} 1\n')
})

test('labels that look alike when joined are told apart', async () => {
  const registry = new Registry()
  const gauge = new Gauge({ name: 'g', help: 'h', labelNames: ['a', 'b'], registers: [registry] })
  gauge.set({ a: 'x', b: '' }, 1)
  gauge.set({ b: 'x', a: '' }, 2)

  const text = await registry.metrics()

  expect(text).toContain('g{a="x",b=""} 1')
  expect(text).toContain('g{b="x",a=""} 2')
})

test('a long scrape gives others their turn, and misses nothing', async () => {
  const registry = new Registry()
  registry.registerSampled({
    name: 'g',
    help: 'h',
    type: 'gauge',
    *samples() {
      for (let value = 0; value < 5000; value++) {
        yield { suffix: '', labels: { n: String(value) }, value }
      }
    },
  })
  let turns = 0
  let isDone = false
  const count = () => {
    turns++
    if (!isDone) setImmediate(count)
  }
  setImmediate(count)

  const text = await registry.metrics()
  isDone = true

  expect(text.match(/^g\{/gm)).toHaveLength(5000)
  expect(turns).toBeGreaterThan(10)
})

test('one name cannot be registered twice', () => {
  const registry = new Registry()
  const make = () => new Gauge({ name: 'g', help: 'h', registers: [registry] })
  make()

  expect(make).toThrow('the name g has already been registered')
})

test('a process tells its memory, CPU and the delay of its event loop', async () => {
  const registry = new Registry()
  collectProcessMetrics(registry, createRuntime().disk)

  const text = await registry.metrics()

  for (const name of [
    'process_cpu_seconds_total',
    'process_resident_memory_bytes',
    'nodejs_heap_size_used_bytes',
    'nodejs_eventloop_lag_p99_seconds',
    'nodejs_eventloop_lag_max_seconds',
  ]) {
    expect(text).toMatch(new RegExp(`^${name} \\d`, 'm'))
  }
})

test('a limit of open files below what is configured is warned of', () => {
  const warnings: unknown[] = []
  const logger = { ...silentLogger, warn: (fields: unknown) => warnings.push(fields) }
  const disk = {
    readFileSync: () =>
      Buffer.from('Limit  Soft\nMax open files            1024                 4096     files\n'),
  }

  checkFilesLimit(disk, 20, logger)
  const enough = [...warnings]
  checkFilesLimit(disk, 20_000, logger)
  checkFilesLimit({ readFileSync: () => null }, 20_000, logger)

  expect(openFilesLimit(disk)).toBe(1024)
  expect(enough).toEqual([])
  expect(warnings).toEqual([{ openFiles: 1024, maxConnections: 20_000, wanted: 21_000 }])
})

test('a common label gives way to a sample that has one of its name', async () => {
  const registry = createRegistry({
    cluster: 'c',
    nodeType: 'broker',
    nodeId: 'n',
    more: { topic: 'all', zone: 'z' },
  })
  registry.registerSampled({
    name: 'a',
    help: 'h',
    type: 'gauge',
    samples: () => [{ suffix: '', labels: { topic: 'Orders' }, value: 1 }],
  })

  expect(await registry.metrics()).toContain(
    '\na{topic="Orders",zone="z",cluster="c",node_type="broker",node_id="n"} 1\n',
  )
})

test('families are what a scrape shows', async () => {
  const registry = new Registry()
  const histogram = new Histogram({
    name: 'h',
    help: 'one',
    labelNames: ['code'],
    buckets: [1],
    registers: [registry],
  })
  histogram.observe({ code: 'x' }, 3)
  registry.registerSampled({
    name: 'a',
    help: 'two',
    type: 'gauge',
    samples: () => [{ suffix: '', labels: {}, value: 1 }],
  })

  const families: MetricFamily[] = []
  for await (const family of registry.families()) families.push(family)

  expect(families).toEqual([
    {
      name: 'h',
      help: 'one',
      type: 'histogram',
      samples: [
        { suffix: '_bucket', labels: { le: '1', code: 'x' }, value: 0 },
        { suffix: '_bucket', labels: { le: '+Inf', code: 'x' }, value: 1 },
        { suffix: '_sum', labels: { code: 'x' }, value: 3 },
        { suffix: '_count', labels: { code: 'x' }, value: 1 },
      ],
    },
    { name: 'a', help: 'two', type: 'gauge', samples: [{ suffix: '', labels: {}, value: 1 }] },
  ])
})
