/**
 * `gantry bench latency`: sends at a fixed rate and consumes at the same time.
 *
 * Durations count from when a message was due, not from when it could be sent: a broker that stalls is charged for the messages
 * that had to wait meanwhile (coordinated omission).
 */
import { pullLoad } from './pull-load.ts'
import { measuredPull } from './consumer.ts'
import { measuredSend, parametersOf } from './producer.ts'
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
import { sleep } from './time.ts'

/** After the last send, for what is still on its way to the consumer. */
const SETTLE_MS = 3_000
const SETTLE_POLL_MS = 10

export function runLatency(
  options: BenchOptions,
  consume: { readonly pullBatch: number },
): Promise<BenchResult> {
  return withTarget(options, async (target) => {
    const masters = await target.ensureTopic(options.topic, options.queues)
    const spans = await target.queueSpans(options.topic)
    const queues = await target.queuesOf(options.topic)
    const pulls = pullLoad({
      ...options,
      spans: spans.map((span) => ({ ...span, from: span.maxOffset, until: null })),
      batch: consume.pullBatch,
      loops: false,
    })
    const sends = new SendLoad({ ...sendPlanOf(options), queues }, masters)
    await pulls.open()
    await sends.open()
    pulls.start()
    sends.start()
    const measurement = await measure(options, [measuredSend(sends), measuredPull(pulls)])
    await sends.stop()
    const { delayMs, spreadMs } = options.delay
    const deadline = performance.now() + SETTLE_MS + delayMs + spreadMs
    const expected = sends.totals.acknowledged
    while (pulls.totals.messages < expected && performance.now() < deadline) {
      await sleep(SETTLE_POLL_MS)
    }
    pulls.stop()
    const missing = Math.max(expected - pulls.totals.messages, 0)
    return resultOf(options, {
      scenario: 'latency',
      parameters: { ...parametersOf(options), pullBatch: consume.pullBatch },
      measurement,
      bytes: measurement.messages * options.bodySize,
      send: sends.totals,
      consume: pulls.totals,
      problems: [
        ...sendProblems(sends.totals),
        ...consumeProblems(pulls.totals, true),
        ...(missing > 0 ? [`${missing} acknowledged messages were not consumed`] : []),
      ],
    })
  })
}
