/** All sending connections of a run: opens them, paces them, waits for what is in flight. */
import { messageOf } from '../../common/errors.ts'
import type { SerializeType } from '../../remoting/command.ts'
import { leanNetwork } from './lean-network.ts'
import { Pacer } from './pacer.ts'
import { SendConnection } from './send-connection.ts'
import { SendFrames } from './send-frames.ts'
import type { SendDelay } from './send-frames.ts'
import { SendTotals } from './send-totals.ts'
import type { Master } from './target.ts'
import { sleep } from './time.ts'

/** Connections opened at a time. */
const CONNECT_AT_ONCE = 100
const DRAIN_POLL_MS = 10
/** Of each connection; answers to sends are short. */
const RECEIVE_BUFFER_SIZE = 64 * 1024

export interface SendPlan {
  readonly topic: string
  readonly topics: number
  readonly queues: number
  readonly bodySize: number
  readonly batch: number
  readonly connections: number
  readonly inFlight: number
  readonly serializeType: SerializeType
  readonly delay: SendDelay
  readonly group: string
  readonly run: number
  /** Messages a second in all; 0: as fast as the window allows. */
  readonly rate: number
  /** Messages in all; 0: no limit. */
  readonly messages: number
  /** A connection without any answer for so long has failed. */
  readonly timeoutMs: number
}

export class SendLoad {
  readonly totals: SendTotals
  readonly #plan: SendPlan
  readonly #connections: SendConnection[] = []
  readonly #open = new Set<SendConnection>()
  #pacer: Pacer | null = null
  #isStopping = false

  constructor(plan: SendPlan, masters: readonly Master[]) {
    this.#plan = plan
    this.totals = new SendTotals(plan.messages)
    const framesOf = new Map(
      masters.map(({ brokerName }) => [
        brokerName,
        new SendFrames({ ...plan, brokerName, producerGroup: plan.group }),
      ]),
    )
    for (let sender = 0; sender < plan.connections; sender++) {
      const master = masters[sender % masters.length]
      const frames = framesOf.get(master?.brokerName ?? '')
      if (master === undefined || frames === undefined) throw new Error('there is no master')
      this.#connections.push(
        new SendConnection({
          address: master.address,
          frames,
          totals: this.totals,
          sender,
          inFlight: plan.inFlight,
          queues: plan.queues,
          topics: plan.topics,
          batch: plan.batch,
          intervalMs: plan.rate === 0 ? 0 : (1000 * plan.connections * plan.batch) / plan.rate,
        }),
      )
    }
  }

  /** True while some connection lives and there is something left to send or to be answered. */
  get isRunning(): boolean {
    if (this.#open.size === 0) return false
    return !this.totals.isExhausted || this.#isBusy()
  }

  /** Opens all connections; rejects when one cannot be had. */
  async open(): Promise<void> {
    const network = leanNetwork(RECEIVE_BUFFER_SIZE)
    for (let start = 0; start < this.#connections.length; start += CONNECT_AT_ONCE) {
      const some = this.#connections.slice(start, start + CONNECT_AT_ONCE)
      await Promise.all(
        some.map(async (connection) => {
          await connection.connect(network, (error) => this.#onClosed(connection, error))
          this.#open.add(connection)
        }),
      )
    }
  }

  start(): void {
    const { rate, batch } = this.#plan
    const now = performance.now()
    const spacingMs = rate === 0 ? 0 : (1000 * batch) / rate
    for (const [index, connection] of this.#connections.entries()) {
      connection.start(now + index * spacingMs)
    }
    if (rate === 0) return
    this.#pacer = new Pacer(rate / batch, now, () => {
      const at = performance.now()
      for (const connection of this.#open) connection.tick(at)
    })
  }

  /** Sends nothing more and waits for the answers, but not longer than the time-out. */
  async stop(): Promise<void> {
    this.#isStopping = true
    await this.#pacer?.close()
    for (const connection of this.#open) connection.stop()
    const deadline = performance.now() + this.#plan.timeoutMs
    while (this.#isBusy() && performance.now() < deadline) await sleep(DRAIN_POLL_MS)
    for (const connection of this.#open) connection.close()
    while (this.#open.size > 0 && performance.now() < deadline) await sleep(DRAIN_POLL_MS)
  }

  /** Closes connections that have waited too long for an answer. */
  checkTimeouts(): void {
    const oldest = performance.now() - this.#plan.timeoutMs
    for (const connection of this.#open) {
      if (connection.inFlight === 0 || connection.lastAnswerAt > oldest) continue
      this.totals.fail(`no answer for ${this.#plan.timeoutMs} ms`)
      connection.close()
    }
  }

  #isBusy(): boolean {
    for (const connection of this.#open) if (connection.inFlight > 0) return true
    return false
  }

  #onClosed(connection: SendConnection, error: Error | null): void {
    this.#open.delete(connection)
    if (this.#isStopping) return
    this.totals.fail(error === null ? 'the server closed a connection' : messageOf(error))
  }
}
