/** Connections that pop a topic and acknowledge what they got: `gantry bench consumer --mode pop`. */
import { messageOf } from '../../common/errors.ts'
import type { Runtime } from '../../common/ports.ts'
import { leanNetwork } from './lean-network.ts'
import { PopConnection } from './pop-connection.ts'
import type { PopRound } from './pop-connection.ts'
import { PullTotals } from './pull-totals.ts'
import { SequenceCheck } from './sequence-check.ts'
import type { QueueSpan } from './target.ts'

/** Of each connection: several answers of pops fit in. */
const RECEIVE_BUFFER_SIZE = 256 * 1024

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

export class PopLoad {
  readonly totals: PullTotals
  readonly #plan: PopPlan
  readonly #connections: readonly PopConnection[]
  readonly #open = new Set<PopConnection>()
  #popping = 0
  #isStopping = false

  constructor(plan: PopPlan) {
    this.#plan = plan
    this.totals = new PullTotals(plan.loops ? null : new SequenceCheck())
    const connections: PopConnection[] = []
    for (const address of new Set(plan.spans.map((span) => span.address))) {
      const roundAfter = this.#rounds(address)
      for (let index = 0; index < plan.connections; index++) {
        const { clock } = plan.runtime
        connections.push(
          new PopConnection({ ...plan, clock, address, totals: this.totals, roundAfter }),
        )
      }
    }
    this.#connections = connections
  }

  /** False once every connection has found nothing more, or none is left. */
  get isRunning(): boolean {
    return this.#popping > 0 && this.#open.size > 0
  }

  async open(): Promise<void> {
    const network = leanNetwork(RECEIVE_BUFFER_SIZE)
    await Promise.all(
      this.#connections.map(async (connection) => {
        await connection.connect(network, {
          onClosed: (error) => this.#onClosed(connection, error),
          onDone: () => {
            this.#popping--
          },
        })
        this.#open.add(connection)
      }),
    )
  }

  start(): void {
    this.#popping = this.#connections.length
    for (const connection of this.#connections) connection.start()
  }

  stop(): void {
    this.#isStopping = true
    for (const connection of this.#open) connection.close()
  }

  /** The groups that pop from one broker, one after the other. */
  #rounds(address: string): (before: PopRound | null) => PopRound | null {
    const { loops, group, run, spans } = this.#plan
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

  #onClosed(connection: PopConnection, error: Error | null): void {
    this.#open.delete(connection)
    if (this.#isStopping) return
    this.totals.fail(error === null ? 'the server closed a connection' : messageOf(error))
  }
}
