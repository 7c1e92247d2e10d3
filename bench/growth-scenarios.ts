/** Memory, start-up, and what many topics and connections cost. */
import { memoryOf } from '../tools/bench/server-usage.ts'
import { sleep } from '../tools/bench/time.ts'
import { gibibytes } from './machine.ts'
import { limitTarget, sendMetrics } from './metrics.ts'
import type { Metric } from './metrics.ts'
import { secondsToFirstSend } from './probe.ts'
import type { Scenario } from './scenario.ts'

const MIB = 1024 * 1024
const KIB = 1024
const IDLE_BROKER_MIB = 100
const IDLE_NAMESRV_MIB = 70
const LOADED_MIB = 400
const START_S = 1.5
const RECOVERY_S = 3
const IDLE_CONNECTION_KIB = 30
const MAX_FALL = 0.8
const IDLE_MS = 10_000
const BATCH_RECORD_SIZE = 1_250
const RECOVERY_SIZE = 4_096
const RECOVERY_RECORD_SIZE = 4_330
/** Of new topics: their queues' files are made, and on the disk, a while after their first messages. */
const TOPICS_PER_SECOND = 1500
const LOAD = { connections: 8, 'in-flight': 32 } as const

const memory: Scenario = {
  id: 'memory',
  point: 4,
  title: 'Memory (resident set)',
  config: { flushDiskType: 'ASYNC_FLUSH' },
  metrics: [
    memoryMetric('memory.idle.broker', 'broker, idle', IDLE_BROKER_MIB),
    memoryMetric('memory.idle.namesrv', 'name server, idle', IDLE_NAMESRV_MIB),
    memoryMetric('memory.loaded', 'broker under load, 1 KiB, 8x32', LOADED_MIB),
    memoryMetric('memory.filled', 'broker after a long fill', LOADED_MIB),
    memoryMetric('memory.filled.anonymous', 'the same without mapped files', LOADED_MIB),
  ],
  run: async (context) => {
    const { cluster, options } = context
    await sleep(IDLE_MS)
    context.note('memory.idle.broker', rssMib(cluster.broker.pid))
    context.note('memory.idle.namesrv', rssMib(cluster.namesrv.pid))
    const loaded = await context.load('producer', LOAD)
    context.note('memory.loaded', loaded.rssBytes / MIB)
    await context.fill('fill', KIB, Math.floor(gibibytes(options.memoryGib) / BATCH_RECORD_SIZE))
    context.note('memory.filled', rssMib(cluster.broker.pid))
    const { anonymousBytes } = memoryOf(cluster.broker.pid)
    context.note('memory.filled.anonymous', anonymousBytes / MIB)
  },
}

const start: Scenario = {
  id: 'start',
  point: 4,
  title: 'From exec to the first acknowledged send (the name server runs)',
  config: { flushDiskType: 'ASYNC_FLUSH' },
  metrics: [
    secondsMetric('start.again', 'on a store that was closed in good order', START_S),
    secondsMetric('start.empty', 'on an empty store', START_S),
  ],
  run: async (context) => {
    const { cluster } = context
    // The first start has read the programs into the page cache.
    await secondsToFirstSend(cluster.broker, 'probe')
    await cluster.stopBroker()
    context.note('start.again', await secondsToFirstSend(cluster.startBroker(), 'probe'))
    await cluster.stopBroker()
    cluster.emptyStore()
    context.note('start.empty', await secondsToFirstSend(cluster.startBroker(), 'probe'))
  },
}

const recovery: Scenario = {
  id: 'recovery',
  point: 4,
  title: 'From exec to the first acknowledged send after kill -9 with a long log',
  config: { flushDiskType: 'ASYNC_FLUSH' },
  metrics: [secondsMetric('recovery.seconds', 'after kill -9', RECOVERY_S)],
  run: async (context) => {
    const { cluster, options } = context
    const messages = Math.floor(gibibytes(options.logGib) / RECOVERY_RECORD_SIZE)
    await context.fill('recovery', RECOVERY_SIZE, messages)
    await cluster.killBrokers()
    context.note('recovery.seconds', await secondsToFirstSend(cluster.startBroker(), 'probe'))
  },
}

const topics: Scenario = {
  id: 'topics',
  point: 5,
  title: 'Sends of 1 KiB over many topics of two queues, 8x32',
  config: { flushDiskType: 'ASYNC_FLUSH' },
  metrics: [
    ...sendMetrics('topics.1', 'one topic', {}),
    ...fallingMetrics('topics.1000', '1,000 topics', 'topics.1.rate'),
    ...fallingMetrics('topics.many', 'all topics', 'topics.1.rate'),
    {
      id: 'topics.rss',
      title: 'broker with all topics: resident set',
      unit: 'MiB',
      better: 'less',
    },
  ],
  run: async (context) => {
    await context.warmUp(LOAD)
    const steps = [
      { id: 'topics.1', count: 1 },
      { id: 'topics.1000', count: 1_000 },
      { id: 'topics.many', count: context.options.topics },
    ]
    for (const { id, count } of steps) {
      const flags = { topic: `t${count}`, topics: count, queues: 2, ...LOAD }
      // What is measured is the topics' cost and not that of making their files, nor of memory that the step before has used up.
      await context.load('topics', { ...flags, duration: Math.max(1, count / TOPICS_PER_SECOND) })
      context.warmMemory()
      const result = await context.load('topics', flags)
      context.note(`${id}.rate`, result.rate)
      context.note(`${id}.cpu`, result.cpuPerMillion)
      context.note(`${id}.p99`, result.latency('send', 'p99'))
    }
    context.note('topics.rss', rssMib(context.cluster.broker.pid))
  },
}

const connections: Scenario = {
  id: 'connections',
  point: 5,
  title: 'Sends of 1 KiB, 8x32, beside idle connections',
  config: { flushDiskType: 'ASYNC_FLUSH' },
  metrics: [
    ...sendMetrics('connections.10', '10 idle connections', {}),
    ...fallingMetrics('connections.1000', '1,000 idle connections', 'connections.10.rate'),
    ...fallingMetrics('connections.many', 'all idle connections', 'connections.10.rate'),
    {
      id: 'connections.kib',
      title: 'resident set of an idle connection',
      unit: 'KiB',
      better: 'less',
      digits: 1,
      target: limitTarget(IDLE_CONNECTION_KIB),
    },
  ],
  run: async (context) => {
    await context.warmUp(LOAD)
    const steps = [
      { id: 'connections.10', idle: 10 },
      { id: 'connections.1000', idle: 1_000 },
      { id: 'connections.many', idle: context.options.idleConnections },
    ]
    for (const { id, idle } of steps) {
      const result = await context.load('connections', {
        topic: 'c',
        idle,
        heartbeat: true,
        ...LOAD,
      })
      context.note(`${id}.rate`, result.rate)
      context.note(`${id}.cpu`, result.cpuPerMillion)
      context.note(`${id}.p99`, result.latency('send', 'p99'))
      if (id === 'connections.many') {
        context.note('connections.kib', result.detail('rssBytesPerIdleConnection') / KIB)
      }
    }
  },
}

export const GROWTH_SCENARIOS: readonly Scenario[] = [memory, start, recovery, topics, connections]

function memoryMetric(id: string, title: string, atMost: number): Metric {
  return { id, title, unit: 'MiB', better: 'less', target: limitTarget(atMost) }
}

function secondsMetric(id: string, title: string, atMost: number): Metric {
  return { id, title, unit: 's', better: 'less', digits: 2, target: limitTarget(atMost) }
}

function fallingMetrics(id: string, title: string, to: string): readonly Metric[] {
  return sendMetrics(id, title, { rate: { type: 'relative', to, atLeast: MAX_FALL } })
}

function rssMib(pid: number): number {
  return memoryOf(pid).rssBytes / MIB
}
