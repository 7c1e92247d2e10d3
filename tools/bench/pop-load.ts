/** Connections that pop a topic and acknowledge what they got: `gantry bench consumer --mode pop`. */
import type { Runtime } from '../../common/ports.ts'
import { ConsumeLoad } from './consume-load.ts'
import { PopConnection } from './pop-connection.ts'
import type { PopRound } from './pop-connection.ts'
import { PullTotals } from './pull-totals.ts'
import { SequenceCheck } from './sequence-check.ts'
import type { QueueSpan } from './target.ts'

export interface PopPlan {
  readonly runtime: Runtime
  readonly topic: string
  readonly group: string
  readonly run: number
  readonly spans: readonly QueueSpan[]
  /** To each broker. */
  readonly connections: number
  /** Messages to a pop. */
  readonly batch: number
  readonly acksEach: boolean
  readonly checksCrc: boolean
  /** Begins again and again with new groups, each of which gets everything. */
  readonly loops: boolean
}

export function popLoad(plan: PopPlan): ConsumeLoad {
  const totals = new PullTotals(plan.loops ? null : new SequenceCheck())
  const connections: PopConnection[] = []
  for (const address of new Set(plan.spans.map((span) => span.address))) {
    const roundAfter = roundsOf(plan, address)
    for (let index = 0; index < plan.connections; index++) {
      const { clock } = plan.runtime
      connections.push(new PopConnection({ ...plan, clock, address, totals, roundAfter }))
    }
  }
  return new ConsumeLoad(totals, connections)
}

/** The groups that pop from one broker, one after the other. */
function roundsOf(
  { loops, group, run, spans }: PopPlan,
  address: string,
): (before: PopRound | null) => PopRound | null {
  const messages = spans
    .filter((span) => span.address === address)
    .reduce((sum, { minOffset, maxOffset }) => sum + maxOffset - minOffset, 0)
  let number = 0
  let current: PopRound = { group, left: Infinity }
  return (before) => {
    if (!loops) return before === null ? current : null
    // Whoever is the first to find the round at its end begins the next one.
    if (number === 0 || before === current) {
      number++
      current = { group: `${group}-${run}-${number}`, left: messages }
    }
    return current
  }
}
