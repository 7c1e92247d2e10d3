/** `gantry bench backlog`: fills a topic, or takes it as it is, and reads it to its end. */
import { pullLoad } from './pull-load.ts'
import { measuredPull } from './consumer.ts'
import { parametersOf, runProducer } from './producer.ts'
import { consumeProblems, measure, resultOf, withTarget } from './scenario.ts'
import type { BenchOptions, BenchResult } from './scenario.ts'

const FILL_BATCH = 32

export interface BacklogOptions {
  readonly pullBatch: number
  /** Messages to send first; 0: read what is there. */
  readonly fill: number
}

export async function runBacklog(
  options: BenchOptions,
  backlog: BacklogOptions,
): Promise<BenchResult> {
  const filled = backlog.fill === 0 ? null : await fill(options, backlog.fill)
  return withTarget(options, async (target) => {
    const spans = await target.queueSpans(options.topic)
    const pulls = pullLoad({
      ...options,
      run: null,
      spans: spans.map((span) => ({ ...span, from: span.minOffset, until: span.maxOffset })),
      batch: backlog.pullBatch,
      loops: false,
    })
    await pulls.open()
    pulls.start()
    const measurement = await measure({ ...options, warmupMs: 0, durationMs: Infinity }, [
      measuredPull(pulls),
    ])
    pulls.stop()
    const expected = spans.reduce((sum, span) => sum + span.maxOffset - span.minOffset, 0)
    const missing = Math.max(expected - pulls.totals.messages, 0)
    return resultOf(options, {
      scenario: 'backlog',
      parameters: { ...parametersOf(options), pullBatch: backlog.pullBatch },
      measurement,
      bytes: pulls.totals.bytes,
      consume: pulls.totals,
      details: { expected, fill: filled },
      problems: [
        ...(filled?.problems ?? []),
        ...consumeProblems(pulls.totals, true),
        ...(missing > 0 && !options.isInterrupted() ? [`${missing} messages were not read`] : []),
      ],
    })
  })
}

function fill(options: BenchOptions, messages: number): Promise<BenchResult> {
  return runProducer({
    ...options,
    messages,
    batch: FILL_BATCH,
    inFlight: 4,
    rate: 0,
    warmupMs: 0,
    durationMs: Infinity,
  })
}
