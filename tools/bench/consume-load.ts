/** All consuming connections of a run, whether they pull or pop. */
import { messageOf } from '../../common/errors.ts'
import { leanNetwork } from './lean-network.ts'
import type { Connector } from './lean-network.ts'
import type { PullTotals } from './pull-totals.ts'

/** Of each connection: several answers fit in. */
const RECEIVE_BUFFER_SIZE = 256 * 1024

export interface ConsumingEvents {
  readonly onClosed: (error: Error | null) => void
  /** Nothing is left to consume, and everything is acknowledged. */
  readonly onDone: () => void
}

export interface ConsumingConnection {
  connect(network: Connector, events: ConsumingEvents): Promise<void>
  start(): void
  close(): void
}

export class ConsumeLoad {
  readonly totals: PullTotals
  readonly #connections: readonly ConsumingConnection[]
  readonly #open = new Set<ConsumingConnection>()
  #consuming = 0
  #isStopping = false

  constructor(totals: PullTotals, connections: readonly ConsumingConnection[]) {
    this.totals = totals
    this.#connections = connections
  }

  /** False once every connection has found nothing more, or none is left. */
  get isRunning(): boolean {
    return this.#consuming > 0 && this.#open.size > 0
  }

  async open(): Promise<void> {
    const network = leanNetwork(RECEIVE_BUFFER_SIZE)
    await Promise.all(
      this.#connections.map(async (connection) => {
        await connection.connect(network, {
          onClosed: (error) => this.#onClosed(connection, error),
          onDone: () => {
            this.#consuming--
          },
        })
        this.#open.add(connection)
      }),
    )
  }

  start(): void {
    this.#consuming = this.#connections.length
    for (const connection of this.#connections) connection.start()
  }

  stop(): void {
    this.#isStopping = true
    for (const connection of this.#open) connection.close()
  }

  #onClosed(connection: ConsumingConnection, error: Error | null): void {
    this.#open.delete(connection)
    if (this.#isStopping) return
    this.totals.fail(error === null ? 'the server closed a connection' : messageOf(error))
  }
}
