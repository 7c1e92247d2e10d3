/** `gantry bench producer`: sends, as fast as the window allows or at a rate. */
import { SendLoad } from './send-load.ts'
import { measure, resultOf, sendPlanOf, sendProblems, withTarget } from './scenario.ts'
import type { BenchOptions, BenchResult, Measured } from './scenario.ts'

export function runProducer(options: BenchOptions): Promise<BenchResult> {
  return withTarget(options, async (target) => {
    const masters = await target.ensureTopic(options.topic, options.queues)
    const queues = await target.queuesOf(options.topic)
    const load = new SendLoad({ ...sendPlanOf(options), queues }, masters)
    await load.open()
    load.start()
    const measurement = await measure(options, [measuredSend(load)])
    await load.stop()
    return resultOf(options, {
      scenario: 'producer',
      parameters: parametersOf(options),
      measurement,
      bytes: measurement.messages * options.bodySize,
      send: load.totals,
      problems: sendProblems(load.totals),
    })
  })
}

export function measuredSend(load: SendLoad): Measured {
  return {
    totals: load.totals,
    isRunning: () => load.isRunning,
    count: () => load.totals.acknowledged,
    onSecond: () => load.checkTimeouts(),
  }
}

export function parametersOf(options: BenchOptions): Readonly<Record<string, number>> {
  const { bodySize, connections, inFlight, batch, rate, queues, serializeType, delay } = options
  return { bodySize, connections, inFlight, batch, rate, queues, serializeType, ...delay }
}
