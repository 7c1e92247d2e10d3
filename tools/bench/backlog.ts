/** `gantry bench backlog`: fills a topic, or takes it as it is, and reads it to its end, with sends at a rate meanwhile when asked. */
import { pullLoad } from './pull-load.ts'
import { measuredPull } from './consumer.ts'
import { measuredSend, parametersOf, runProducer } from './producer.ts'
import {
  consumeProblems,
  measure,
  resultOf,
  sendPlanOf,
  sendProblems,
  withTarget,
} from './scenario.ts'
import type { BenchOptions, BenchResult } from './scenario.ts'
import { SendLoad } from './send-load.ts'

const FILL_BATCH = 32

export interface BacklogOptions {
  readonly pullBatch: number
  /** Messages to send first; 0: read what is there. */
  readonly fill: number
  /** Sends go to this topic while the backlog is read, at the rate of the options. */
  readonly sendTopic: string
}

/** The rate of the options is that of the sends meanwhile; 0: none. */
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
    const sends = await sendsMeanwhile()
    await pulls.open()
    sends?.start()
    pulls.start()
    const measurement = await measure({ ...options, warmupMs: 0, durationMs: Infinity }, [
      measuredPull(pulls),
      ...(sends === null ? [] : [measuredSend(sends)]),
    ])
    await sends?.stop()
    pulls.stop()
    const expected = spans.reduce((sum, span) => sum + span.maxOffset - span.minOffset, 0)
    const missing = Math.max(expected - pulls.totals.messages, 0)
    return resultOf(options, {
      scenario: 'backlog',
      parameters: { ...parametersOf(options), pullBatch: backlog.pullBatch },
      measurement,
      bytes: pulls.totals.bytes,
      consume: pulls.totals,
      ...(sends === null ? {} : { send: sends.totals }),
      details: { expected, fill: filled },
      problems: [
        ...(filled?.problems ?? []),
        ...consumeProblems(pulls.totals, true),
        ...(sends === null ? [] : sendProblems(sends.totals)),
        ...(missing > 0 && !options.isInterrupted() ? [`${missing} messages were not read`] : []),
      ],
    })

    async function sendsMeanwhile(): Promise<SendLoad | null> {
      if (options.rate === 0) return null
      const masters = await target.ensureTopic(backlog.sendTopic, options.queues)
      const topic = backlog.sendTopic
      const load = new SendLoad({ ...sendPlanOf(options), topic, messages: 0 }, masters)
      await load.open()
      return load
    }
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
