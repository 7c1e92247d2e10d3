/** Broker groups of three members beside Java's DLedger groups, and beside one member alone. */
import { cpuSecondsOf } from '../tools/bench/server-usage.ts'
import { sleep } from '../tools/bench/time.ts'
import { measureSync } from './machine.ts'
import { diskMetric, limitTarget, ratioTarget, sendMetrics } from './metrics.ts'
import { secondsToNextSend } from './probe.ts'
import type { Scenario, ScenarioContext } from './scenario.ts'
import { median } from './statistics.ts'

const RATIO = 6
const SYNC_RATIO = 3
const CPU_RATIO = 8
const LEADER_COST = 1.6
const FOLLOWER_COST = 0.5
const SYNC_OF_DISK = 2.5
const START_S = 3
const FAILOVER_MEDIAN_S = 1
const FAILOVER_WORST_S = 3
const LEADER_TIMEOUT_MS = 60_000
/** A member that has come back follows again by then. */
const SETTLE_MS = 15_000
const BEFORE_KILL_MS = 2_000
/** What a record of 1 KiB takes on disk. */
const SYNC_RECORD_SIZE = 1_280
const WINDOW = { size: 1024, connections: 8, 'in-flight': 128 } as const

const sends: Scenario = {
  id: 'group',
  point: 6,
  title: 'Pipelined sends of 1 KiB to a group of three, ASYNC_FLUSH, 8x128',
  members: 3,
  config: { flushDiskType: 'ASYNC_FLUSH' },
  metrics: sendMetrics('group.send', 'group of three', {
    rate: ratioTarget(RATIO),
    cpu: ratioTarget(CPU_RATIO),
  }),
  run: async (context) => {
    await context.warmUp({ connections: 8, 'in-flight': 32 })
    await sendTo(context, 'group.send')
  },
}

const syncSends: Scenario = {
  id: 'group-sync',
  point: 6,
  title: 'The same with SYNC_FLUSH on every member, against DLedger as it comes',
  members: 3,
  config: {},
  gantryConfig: { flushDiskType: 'SYNC_FLUSH' },
  metrics: [
    ...sendMetrics('group-sync.send', 'group of three, on disk', { rate: ratioTarget(SYNC_RATIO) }),
    {
      id: 'group-sync.1x1.p50',
      title: 'one in flight: p50',
      unit: 'ms',
      better: 'less',
      digits: 3,
      target: { type: 'relative', to: 'group-sync.disk', atMost: SYNC_OF_DISK },
    },
    diskMetric('group-sync.disk'),
  ],
  run: async (context) => {
    await context.warmUp({ connections: 8, 'in-flight': 32 })
    await sendTo(context, 'group-sync.send')
    const one = await context.load('producer', { size: 1024, connections: 1, 'in-flight': 1 })
    context.note('group-sync.1x1.p50', one.latency('send', 'p50'))
    context.note('group-sync.disk', measureSync(context.cluster.folder, SYNC_RECORD_SIZE))
  },
}

const cost: Scenario = {
  id: 'group-cost',
  point: 6,
  title: 'CPU of a send by member, ASYNC_FLUSH, 1 KiB, 8x128',
  members: 3,
  config: { flushDiskType: 'ASYNC_FLUSH' },
  metrics: [
    cpuMetric('group-cost.alone', 'a broker alone'),
    cpuMetric('group-cost.leader', 'the leader of three', LEADER_COST),
    cpuMetric('group-cost.follower', 'one of its followers', FOLLOWER_COST),
  ],
  run: async (context) => {
    const { cluster } = context
    await context.warmUp({ connections: 8, 'in-flight': 32 })
    const leader = await cluster.leader(LEADER_TIMEOUT_MS)
    const before = cluster.brokers.map(({ pid }) => cpuSecondsOf(pid))
    const messages = await messagesSent(context)
    cluster.brokers.forEach((broker, member) => {
      const seconds = cpuSecondsOf(broker.pid) - (before[member] ?? 0)
      const perMillion = (seconds * 1e6) / messages
      if (broker === leader) context.note('group-cost.leader', perMillion)
      else context.note('group-cost.follower', perMillion)
    })
    await cluster.startGroup(1)
    context.warmMemory()
    await context.warmUp({ connections: 8, 'in-flight': 32 })
    const alone = cpuSecondsOf(cluster.broker.pid)
    const sent = await messagesSent(context)
    const seconds = cpuSecondsOf(cluster.broker.pid) - alone
    context.note('group-cost.alone', (seconds * 1e6) / sent)
  },
}

const start: Scenario = {
  id: 'group-start',
  point: 6,
  title: 'From exec of three members to the first acknowledged send',
  members: 3,
  config: { flushDiskType: 'ASYNC_FLUSH' },
  metrics: [
    secondsMetric('group-start.empty', 'on empty stores', START_S),
    secondsMetric('group-start.again', 'after kill -9 of all three', START_S),
  ],
  run: async (context) => {
    const { cluster } = context
    await cluster.killBrokers()
    cluster.emptyStore()
    context.note('group-start.empty', await secondsToStart(context))
    await cluster.killBrokers()
    context.note('group-start.again', await secondsToStart(context))
  },
}

const failover: Scenario = {
  id: 'failover',
  point: 6,
  title: 'From kill -9 of the leader to the next acknowledged send',
  members: 3,
  config: { flushDiskType: 'ASYNC_FLUSH' },
  metrics: [
    secondsMetric('failover.median', 'median', FAILOVER_MEDIAN_S),
    secondsMetric('failover.worst', 'worst', FAILOVER_WORST_S),
  ],
  run: async (context) => {
    const { cluster, options } = context
    const gaps: number[] = []
    for (let kill = 0; kill < options.kills; kill++) {
      await secondsToNextSend(cluster.nameServer, 'probe', performance.now())
      await sleep(BEFORE_KILL_MS)
      const leader = await cluster.leader(LEADER_TIMEOUT_MS)
      const member = cluster.brokers.indexOf(leader)
      const since = performance.now()
      await leader.kill()
      gaps.push(await secondsToNextSend(cluster.nameServer, 'probe', since))
      cluster.startMember(member)
      await sleep(SETTLE_MS)
    }
    context.note('failover.median', median(gaps) ?? Number.NaN)
    context.note('failover.worst', Math.max(...gaps))
  },
}

export const GROUP_SCENARIOS: readonly Scenario[] = [sends, syncSends, cost, start, failover]

async function sendTo(context: ScenarioContext, id: string): Promise<void> {
  const result = await context.load('producer', WINDOW)
  context.note(`${id}.rate`, result.rate)
  context.note(`${id}.cpu`, result.cpuPerMillion)
  context.note(`${id}.p99`, result.latency('send', 'p99'))
}

/** A load without time before the measurement, so that all of its messages were paid for in it. */
async function messagesSent(context: ScenarioContext): Promise<number> {
  const result = await context.load('producer', { ...WINDOW, warmup: 0 })
  return result.rate * context.options.seconds
}

async function secondsToStart({ cluster }: ScenarioContext): Promise<number> {
  const since = performance.now()
  for (let member = 0; member < 3; member++) cluster.startMember(member)
  return secondsToNextSend(cluster.nameServer, 'probe', since)
}

function cpuMetric(id: string, title: string, atMost?: number): Scenario['metrics'][number] {
  const metric = { id, title, unit: 's per million', better: 'less', digits: 1 } as const
  if (atMost === undefined) return metric
  return { ...metric, target: { type: 'relative', to: 'group-cost.alone', atMost } }
}

function secondsMetric(id: string, title: string, atMost: number): Scenario['metrics'][number] {
  return { id, title, unit: 's', better: 'less', digits: 2, target: limitTarget(atMost) }
}
