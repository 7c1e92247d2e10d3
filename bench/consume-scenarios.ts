/** Consuming: what is in the tail, and a backlog from the page cache and from the disk. */
import { join } from 'node:path'
import { sleep } from '../tools/bench/time.ts'
import { canDropCaches, dropCaches, gibibytes, readSequentially } from './machine.ts'
import { ratioTarget } from './metrics.ts'
import type { Metric } from './metrics.ts'
import type { Scenario, ScenarioContext } from './scenario.ts'

const TAIL_RATIO = 4
const CACHED_RATIO = 2
/** A cold backlog takes at most this much longer than the disk needs to read it. */
const COLD_OF_DISK = 1.2
const MEANWHILE_RATIO = 2
const POP_OF_PULL = 0.5
const SIZE = 1024
/** What a message of 1 KiB takes in the log. */
const RECORD_SIZE = 1_250
/** Fits every broker's idea of what is in memory. */
const TAIL_MESSAGES = 16_000
const TAIL_FILL = 200_000
const MEANWHILE_RATE = 1_000
/** Sends before the backlog is read. */
const MEANWHILE_WARMUP_S = 2
/** No backlog takes longer. */
const MEANWHILE_MAX_S = 600
const MAX_SEQUENTIAL_BYTES = gibibytes(5)

const tail: Scenario = {
  id: 'tail',
  point: 3,
  title: 'Consuming the newest messages again and again, 1 KiB, 32 to a pull',
  config: { flushDiskType: 'ASYNC_FLUSH' },
  metrics: [
    {
      id: 'tail.rate',
      title: 'tail',
      unit: 'msg/s',
      better: 'more',
      target: ratioTarget(TAIL_RATIO),
    },
    {
      id: 'tail.cpu',
      title: 'tail: CPU of the broker',
      unit: 's per million',
      better: 'less',
      digits: 1,
    },
  ],
  run: async (context) => {
    await context.fill('tail', SIZE, TAIL_FILL)
    const flags = { topic: 'tail', from: -TAIL_MESSAGES, loop: true, connections: 8 }
    if (context.options.warmupSeconds > 0) {
      await context.load('consumer', { ...flags, duration: context.options.warmupSeconds })
    }
    const result = await context.load('consumer', flags)
    context.note('tail.rate', result.rate)
    context.note('tail.cpu', result.cpuPerMillion)
  },
}

const pop: Scenario = {
  id: 'pop',
  point: 3,
  title: 'Popping and acknowledging beside pulling, 1 KiB, 32 to a request',
  config: { flushDiskType: 'ASYNC_FLUSH' },
  metrics: [
    { id: 'pop.pull.rate', title: 'pulls of these messages', unit: 'msg/s', better: 'more' },
    popCpu('pop.pull.cpu'),
    {
      id: 'pop.rate',
      title: 'pops, each acknowledged by one request',
      unit: 'msg/s',
      better: 'more',
      target: { type: 'relative', to: 'pop.pull.rate', atLeast: POP_OF_PULL },
    },
    popCpu('pop.cpu'),
    {
      id: 'pop.each.rate',
      title: 'pops, each message acknowledged by a request',
      unit: 'msg/s',
      better: 'more',
    },
    popCpu('pop.each.cpu'),
  ],
  run: async (context) => {
    await context.fill('pop', SIZE, TAIL_FILL)
    const flags = { topic: 'pop', from: 'first', loop: true, connections: 8 }
    const loads = [
      ['pop.pull', {}],
      ['pop', { mode: 'pop', group: 'pop' }],
      ['pop.each', { mode: 'pop', group: 'each', 'ack-each': true }],
    ] as const
    for (const [id, more] of loads) {
      if (context.options.warmupSeconds > 0) {
        const warmup = { duration: context.options.warmupSeconds / 2 }
        await context.load('consumer', { ...flags, ...more, ...warmup })
      }
      const result = await context.load('consumer', { ...flags, ...more })
      context.note(`${id}.rate`, result.rate)
      context.note(`${id}.cpu`, result.cpuPerMillion)
    }
  },
}

function popCpu(id: string): Metric {
  return {
    id,
    title: 'the same: CPU of the broker',
    unit: 's per million',
    better: 'less',
    digits: 1,
  }
}

const backlog: Scenario = {
  id: 'backlog',
  point: 3,
  title: 'Catching up with a backlog, 1 KiB',
  config: { flushDiskType: 'ASYNC_FLUSH' },
  metrics: [
    {
      id: 'backlog.cached.rate',
      title: 'backlog from the page cache',
      unit: 'msg/s',
      better: 'more',
      target: ratioTarget(CACHED_RATIO),
    },
    {
      id: 'backlog.cached.cpu',
      title: 'the same: CPU of the broker',
      unit: 's per million',
      better: 'less',
      digits: 1,
    },
    {
      id: 'backlog.cold.log',
      title: 'backlog from a cold cache, bytes of the log',
      unit: 'MB/s',
      better: 'more',
      target: { type: 'relative', to: 'backlog.disk', atLeast: 1 / COLD_OF_DISK },
    },
    { id: 'backlog.cold.rate', title: 'the same', unit: 'msg/s', better: 'more' },
    { id: 'backlog.disk', title: 'the disk itself, sequentially', unit: 'MB/s', better: 'more' },
    {
      id: 'backlog.alone.p99',
      title: `sends at ${MEANWHILE_RATE}/s with nobody reading: p99`,
      unit: 'ms',
      better: 'less',
      digits: 2,
    },
    {
      id: 'backlog.meanwhile.p99',
      title: 'the same sends while the cold backlog is read: p99',
      unit: 'ms',
      better: 'less',
      digits: 2,
      target: { type: 'relative', to: 'backlog.alone.p99', atMost: MEANWHILE_RATIO },
    },
  ],
  run: runBacklogScenario,
}

async function runBacklogScenario(context: ScenarioContext): Promise<void> {
  const { cluster, options } = context
  const messages = Math.floor(gibibytes(options.backlogGib) / RECORD_SIZE)
  const drain = () => context.load('backlog', { topic: 'backlog', fill: 0 })
  await context.fill('backlog', SIZE, messages)
  const cached = await drain()
  context.note('backlog.cached.rate', cached.rate)
  context.note('backlog.cached.cpu', cached.cpuPerMillion)
  const paced = { topic: 'alone', rate: MEANWHILE_RATE, connections: 4, 'in-flight': 256 }
  const alone = await context.load('producer', paced)
  context.note('backlog.alone.p99', alone.latency('send', 'p99'))
  if (!canDropCaches()) {
    context.problems.push('the page cache can only be emptied by root: nothing was read cold')
    return
  }
  dropCaches()
  context.warmMemory()
  const log = join(cluster.storeFolder, 'commitlog')
  context.note('backlog.disk', readSequentially(log, MAX_SEQUENTIAL_BYTES))
  await cool(context)
  const cold = await drain()
  context.note('backlog.cold.rate', cold.rate)
  context.note('backlog.cold.log', (cold.rate * RECORD_SIZE) / 1e6)
  await cool(context)
  const sends = { ...paced, warmup: MEANWHILE_WARMUP_S, duration: MEANWHILE_MAX_S }
  const meanwhile = await context.loadDuring('producer', sends, async () => {
    await sleep(MEANWHILE_WARMUP_S * 1000)
    await drain()
  })
  context.note('backlog.meanwhile.p99', meanwhile.latency('send', 'p99'))
}

/** Files that a broker has mapped stay in the cache while it runs: it starts anew. */
async function cool(context: ScenarioContext): Promise<void> {
  const { cluster } = context
  await cluster.stopBroker()
  dropCaches()
  context.warmMemory()
  cluster.startBroker()
  await cluster.registered()
}

export const CONSUME_SCENARIOS: readonly Scenario[] = [tail, pop, backlog]
