/** `gantry bench consumer`: pulls a topic, from where it is told, or pops it. */
import type { ConsumeLoad } from './consume-load.ts'
import type { QueueSpan, Target } from './target.ts'
import { popLoad } from './pop-load.ts'
import { pullLoad } from './pull-load.ts'
import type { PullSpan } from './pull-load.ts'
import { consumeProblems, measure, resultOf, withTarget } from './scenario.ts'
import type { BenchOptions, BenchResult, Measured } from './scenario.ts'

/** Where to begin: the oldest message, new ones, the group's committed offset, or so many messages before the end. */
export type ConsumeFrom = 'first' | 'last' | 'committed' | number

export interface ConsumeOptions {
  readonly from: ConsumeFrom
  /** Messages to a pull. */
  readonly pullBatch: number
  /** Begins again and again, until the time is over. */
  readonly loops: boolean
  /** Goes on with what comes later, instead of ending where the topic ends now. */
  readonly follows: boolean
  /** `pop`: from where the group is, and with acknowledgements. */
  readonly mode: 'pull' | 'pop'
  /** Of pops: one acknowledgement for each message instead of one for each pop. */
  readonly acksEach: boolean
}

export function runConsumer(options: BenchOptions, consume: ConsumeOptions): Promise<BenchResult> {
  if (consume.mode === 'pop') return runPops(options, consume)
  return withTarget(options, async (target) => {
    const spans = await spansOf(target, options, consume)
    const load = pullLoad({ ...options, ...consume, batch: consume.pullBatch, spans })
    await load.open()
    load.start()
    const measurement = await measure(options, [measuredPull(load)])
    load.stop()
    const { totals } = load
    const isComplete = consume.from === 'first' && !load.isRunning && !options.isInterrupted()
    return resultOf(options, {
      scenario: 'consumer',
      parameters: {
        connections: options.connections,
        queues: spans.length,
        pullBatch: consume.pullBatch,
        from: consume.from,
        serializeType: options.serializeType,
      },
      measurement,
      bytes: totals.messages === 0 ? 0 : (totals.bytes / totals.messages) * measurement.messages,
      consume: totals,
      problems: consumeProblems(totals, isComplete),
    })
  })
}

function runPops(options: BenchOptions, consume: ConsumeOptions): Promise<BenchResult> {
  return withTarget(options, async (target) => {
    const spans = await target.queueSpans(options.topic)
    const load = popLoad({ ...options, ...consume, spans, batch: consume.pullBatch })
    await load.open()
    load.start()
    const measurement = await measure(options, [measuredPull(load)])
    load.stop()
    const { totals } = load
    return resultOf(options, {
      scenario: 'consumer',
      parameters: {
        connections: options.connections,
        queues: spans.length,
        popBatch: consume.pullBatch,
        mode: 'pop',
        acknowledged: consume.acksEach ? 'each' : 'batch',
      },
      measurement,
      bytes: totals.messages === 0 ? 0 : (totals.bytes / totals.messages) * measurement.messages,
      consume: totals,
      problems: consumeProblems(totals, false),
    })
  })
}

export function measuredPull(load: ConsumeLoad): Measured {
  return {
    totals: load.totals,
    isRunning: () => load.isRunning,
    count: () => load.totals.messages,
  }
}

async function spansOf(
  target: Target,
  options: BenchOptions,
  { from, follows }: ConsumeOptions,
): Promise<readonly PullSpan[]> {
  const spans = await target.queueSpans(options.topic)
  const each = typeof from === 'number' ? Math.ceil(from / spans.length) : 0
  return Promise.all(
    spans.map(async (span) => ({
      address: span.address,
      queueId: span.queueId,
      from: await startOf(span),
      until: follows || from === 'last' ? null : span.maxOffset,
    })),
  )

  async function startOf(span: QueueSpan): Promise<number> {
    if (from === 'first') return span.minOffset
    if (from === 'last') return span.maxOffset
    if (from !== 'committed') return Math.max(span.maxOffset - each, span.minOffset)
    return (await target.committedOffset(options.group, options.topic, span)) ?? span.minOffset
  }
}
