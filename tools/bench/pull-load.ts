/** All pulling connections of a run. */
import { messageOf } from '../../common/errors.ts'
import type { SerializeType } from '../../remoting/command.ts'
import { leanNetwork } from './lean-network.ts'
import { PullConnection } from './pull-connection.ts'
import { PullTotals } from './pull-totals.ts'
import { SequenceCheck } from './sequence-check.ts'

/** Of each connection: several answers of pulls fit in. */
const RECEIVE_BUFFER_SIZE = 256 * 1024

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

export class PullLoad {
  readonly totals: PullTotals
  readonly #connections: readonly PullConnection[]
  readonly #open = new Set<PullConnection>()
  #reading = 0
  #isStopping = false

  constructor(plan: PullPlan) {
    this.totals = new PullTotals(plan.loops ? null : new SequenceCheck())
    const connections: PullConnection[] = []
    for (const address of new Set(plan.spans.map((span) => span.address))) {
      const spans = plan.spans.filter((span) => span.address === address)
      const count = Math.min(plan.connections, spans.length)
      for (let index = 0; index < count; index++) {
        const queues = spans.filter((_, position) => position % count === index)
        connections.push(new PullConnection({ ...plan, address, queues, totals: this.totals }))
      }
    }
    this.#connections = connections
  }

  /** False once every queue has been read to its end, or no connection is left. */
  get isRunning(): boolean {
    return this.#reading > 0 && this.#open.size > 0
  }

  async open(): Promise<void> {
    const network = leanNetwork(RECEIVE_BUFFER_SIZE)
    await Promise.all(
      this.#connections.map(async (connection) => {
        await connection.connect(network, {
          onClosed: (error) => this.#onClosed(connection, error),
          onDone: () => {
            this.#reading--
          },
        })
        this.#open.add(connection)
      }),
    )
  }

  start(): void {
    this.#reading = this.#connections.length
    for (const connection of this.#connections) connection.start()
  }

  stop(): void {
    this.#isStopping = true
    for (const connection of this.#open) connection.close()
  }

  #onClosed(connection: PullConnection, error: Error | null): void {
    this.#open.delete(connection)
    if (this.#isStopping) return
    this.totals.fail(error === null ? 'the server closed a connection' : messageOf(error))
  }
}
