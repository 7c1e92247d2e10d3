/** Timers: what a million that wait take in memory, and how late others are delivered meanwhile. */
import { memoryOf } from '../tools/bench/server-usage.ts'
import { limitTarget } from './metrics.ts'
import type { Metric } from './metrics.ts'
import type { Scenario } from './scenario.ts'

const MIB = 1024 * 1024
const PENDING = 1_000_000
const PENDING_MIB = 200
const LATE_MS = 1_000
const SIZE = 128
const RATE = 5_000
/** Scattered over a quarter of an hour, a day later. */
const LATER = { 'delay-ms': 24 * 3_600_000, 'spread-ms': 900_000 } as const
/** Due from 2 to 10 seconds after they were sent. */
const SOON = { 'delay-ms': 2_000, 'spread-ms': 8_000 } as const
const WARM_UP_S = 12
const LOAD = { size: SIZE, connections: 8, 'in-flight': 64 } as const

const timers: Scenario = {
  id: 'timers',
  point: 7,
  title: `${PENDING.toLocaleString('en-US')} timers that wait a day, and ${RATE.toLocaleString('en-US')} a second due in 2 to 10 s`,
  config: { flushDiskType: 'ASYNC_FLUSH' },
  metrics: [
    {
      id: 'timers.memory',
      title: 'resident set after they were sent, above that after as many plain messages',
      unit: 'MiB',
      better: 'less',
      target: limitTarget(PENDING_MIB),
    },
    latenessMetric('p50', 'due to received: p50'),
    { ...latenessMetric('p99', 'due to received: p99'), target: limitTarget(LATE_MS) },
    latenessMetric('p999', 'due to received: p99.9'),
    {
      id: 'timers.early',
      title: 'received before they were due',
      unit: 'messages',
      better: 'less',
      target: limitTarget(0),
    },
    {
      id: 'timers.cpu',
      title: 'CPU of the broker, sends and pulls included',
      unit: 's per million',
      better: 'less',
      digits: 1,
    },
  ],
  run: async (context) => {
    const { broker } = context.cluster
    const all = { ...LOAD, messages: PENDING, duration: 900, warmup: 0 }
    await context.load('producer', { topic: 'plain', ...all })
    const before = memoryOf(broker.pid).rssBytes
    await context.load('producer', { topic: 'later', ...all, ...LATER })
    context.note('timers.memory', (memoryOf(broker.pid).rssBytes - before) / MIB)
    const result = await context.load('latency', {
      topic: 'soon',
      size: SIZE,
      rate: RATE,
      warmup: WARM_UP_S,
      ...SOON,
    })
    for (const quantile of ['p50', 'p99', 'p999'] as const) {
      context.note(`timers.late.${quantile}`, result.latency('endToEnd', quantile))
    }
    context.note('timers.early', result.early)
    context.note('timers.cpu', result.cpuPerMillion)
  },
}

function latenessMetric(quantile: string, title: string): Metric {
  return { id: `timers.late.${quantile}`, title, unit: 'ms', better: 'less', digits: 1 }
}

export const TIMER_SCENARIOS: readonly Scenario[] = [timers]
