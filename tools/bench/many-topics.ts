/** `gantry bench topics`: sends round robin over many topics. */
import { measuredSend, parametersOf } from './producer.ts'
import { measure, resultOf, sendPlanOf, sendProblems, withTarget } from './scenario.ts'
import type { BenchOptions, BenchResult } from './scenario.ts'
import { numberedTopic } from './send-frames.ts'
import { SendLoad } from './send-load.ts'
import { memoryOf } from './server-usage.ts'

export interface ManyTopicsOptions {
  readonly topics: number
  /** False: they are there already. */
  readonly creates: boolean
}

export function runManyTopics(
  options: BenchOptions,
  { topics, creates }: ManyTopicsOptions,
): Promise<BenchResult> {
  return withTarget(options, async (target) => {
    const names = Array.from({ length: topics }, (_, number) =>
      topics === 1 ? options.topic : numberedTopic(options.topic, number),
    )
    const before = options.pids.map((pid) => memoryOf(pid))
    const startedAt = performance.now()
    const masters = creates
      ? await target.createTopics(names, options.queues, (done) =>
          options.progress(`created ${done} of ${topics} topics`),
        )
      : await target.masters()
    const creationSeconds = (performance.now() - startedAt) / 1000
    const load = new SendLoad({ ...sendPlanOf(options), topics }, masters)
    await load.open()
    load.start()
    const measurement = await measure(options, [measuredSend(load)])
    await load.stop()
    return resultOf(options, {
      scenario: 'topics',
      parameters: { ...parametersOf(options), topics },
      measurement,
      bytes: measurement.messages * options.bodySize,
      send: load.totals,
      details: { creationSeconds, memoryBefore: before },
      problems: sendProblems(load.totals),
    })
  })
}
