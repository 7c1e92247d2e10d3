/** Sending: pipelined with ASYNC_FLUSH at three sizes, SYNC_FLUSH, and latency at a fixed rate. */
import { measureSync } from './machine.ts'
import { diskMetric, ratioTarget, sendMetrics } from './metrics.ts'
import type { Metric } from './metrics.ts'
import type { Scenario, ScenarioContext } from './scenario.ts'

const WINDOWS = [
  { connections: 8, inFlight: 32 },
  { connections: 8, inFlight: 128 },
  { connections: 16, inFlight: 64 },
] as const
const SIZES = [
  { size: 128, ratio: 8 },
  { size: 1024, ratio: 6 },
  { size: 4096, ratio: 8 },
] as const
const CPU_RATIO = 8
const SYNC_RATIO = 4
const SYNC_OF_DISK = 1.3
const LATENCY_RATE = 5_000
const LATENCY_RATIO = 2
/** What a record of 1 KiB takes on disk. */
const SYNC_RECORD_SIZE = 1_280

function windowName({ connections, inFlight }: { connections: number; inFlight: number }): string {
  return `${connections}x${inFlight}`
}

const pipelined: readonly Scenario[] = SIZES.map(({ size, ratio }) => ({
  id: `send-${size}`,
  point: 1,
  title: `Pipelined sends of ${size} bytes, ASYNC_FLUSH, warm segments`,
  // Both touch the pages of a segment before it is written to: what is measured is not the kernel handing out memory.
  config: { flushDiskType: 'ASYNC_FLUSH', warmMapedFileEnable: 'true' },
  metrics: WINDOWS.flatMap((window) =>
    sendMetrics(`send-${size}.${windowName(window)}`, `${size} B, ${windowName(window)}`, {
      rate: ratioTarget(ratio),
      cpu: ratioTarget(CPU_RATIO),
    }),
  ),
  run: async (context) => {
    await context.warmUp({ size, connections: 8, 'in-flight': 32 })
    for (const window of WINDOWS) {
      await sendAt(context, `send-${size}.${windowName(window)}`, { size, ...window })
    }
  },
}))

async function sendAt(
  context: ScenarioContext,
  id: string,
  load: { readonly size: number; readonly connections: number; readonly inFlight: number },
): Promise<void> {
  const { size, connections, inFlight } = load
  const result = await context.load('producer', { size, connections, 'in-flight': inFlight })
  context.note(`${id}.rate`, result.rate)
  context.note(`${id}.cpu`, result.cpuPerMillion)
  context.note(`${id}.p99`, result.latency('send', 'p99'))
}

const syncFlush: Scenario = {
  id: 'sync',
  point: 1,
  title: 'SYNC_FLUSH, 1 KiB',
  config: { flushDiskType: 'SYNC_FLUSH' },
  metrics: [
    ...sendMetrics('sync.8x32', 'SYNC_FLUSH, 8x32', { rate: ratioTarget(SYNC_RATIO) }),
    ...sendMetrics('sync.8x128', 'SYNC_FLUSH, 8x128', { rate: ratioTarget(SYNC_RATIO) }),
    {
      id: 'sync.1x1.p50',
      title: 'SYNC_FLUSH, one in flight: p50',
      unit: 'ms',
      better: 'less',
      digits: 3,
      target: { type: 'relative', to: 'sync.disk', atMost: SYNC_OF_DISK },
    },
    diskMetric('sync.disk'),
  ],
  run: async (context) => {
    await context.warmUp({ connections: 8, 'in-flight': 32 })
    await sendAt(context, 'sync.8x32', { size: 1024, connections: 8, inFlight: 32 })
    await sendAt(context, 'sync.8x128', { size: 1024, connections: 8, inFlight: 128 })
    const one = await context.load('producer', { connections: 1, 'in-flight': 1 })
    context.note('sync.1x1.p50', one.latency('send', 'p50'))
    context.note('sync.disk', measureSync(context.cluster.folder, SYNC_RECORD_SIZE))
  },
}

const latency: Scenario = {
  id: 'latency',
  point: 2,
  title: `Latency at ${LATENCY_RATE} messages of 1 KiB a second`,
  config: { flushDiskType: 'ASYNC_FLUSH' },
  metrics: [
    ...latencyMetrics('send', 'send'),
    ...latencyMetrics('endToEnd', 'send to receive'),
    { id: 'latency.cpu', title: 'CPU of the broker', unit: 's per million', better: 'less' },
  ],
  run: async (context) => {
    await context.warmUp({ connections: 4, 'in-flight': 64 })
    const result = await context.load('latency', { rate: LATENCY_RATE, warmup: 3 })
    for (const which of ['send', 'endToEnd'] as const) {
      for (const quantile of ['p50', 'p99', 'p999'] as const) {
        context.note(`latency.${which}.${quantile}`, result.latency(which, quantile))
      }
    }
    context.note('latency.cpu', result.cpuPerMillion)
  },
}

function latencyMetrics(which: string, title: string): readonly Metric[] {
  return (['p50', 'p99', 'p999'] as const).map((quantile) => ({
    id: `latency.${which}.${quantile}`,
    title: `${title}: ${quantile === 'p999' ? 'p99.9' : quantile}`,
    unit: 'ms',
    better: 'less',
    digits: 2,
    target: ratioTarget(LATENCY_RATIO),
  }))
}

export const SEND_SCENARIOS: readonly Scenario[] = [...pipelined, syncFlush, latency]
