/** Connections that pull queues: `gantry bench consumer`. */
import type { SerializeType } from '../../remoting/command.ts'
import { ConsumeLoad } from './consume-load.ts'
import { PullConnection } from './pull-connection.ts'
import { PullTotals } from './pull-totals.ts'
import { SequenceCheck } from './sequence-check.ts'

export interface PullSpan {
  readonly address: string
  readonly queueId: number
  readonly from: number
  /** Null: goes on as messages come. */
  readonly until: number | null
}

export interface PullPlan {
  readonly topic: string
  readonly group: string
  readonly spans: readonly PullSpan[]
  /** At most; a queue is on one connection. */
  readonly connections: number
  readonly batch: number
  readonly serializeType: SerializeType
  readonly loops: boolean
  readonly checksCrc: boolean
  /** Count the latency of the messages of this run. */
  readonly run: number | null
}

export function pullLoad(plan: PullPlan): ConsumeLoad {
  const totals = new PullTotals(plan.loops ? null : new SequenceCheck())
  const connections: PullConnection[] = []
  for (const address of new Set(plan.spans.map((span) => span.address))) {
    const spans = plan.spans.filter((span) => span.address === address)
    const count = Math.min(plan.connections, spans.length)
    for (let index = 0; index < count; index++) {
      const queues = spans.filter((_, position) => position % count === index)
      connections.push(new PullConnection({ ...plan, address, queues, totals }))
    }
  }
  return new ConsumeLoad(totals, connections)
}
