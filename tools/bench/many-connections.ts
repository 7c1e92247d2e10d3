/** `gantry bench connections`: opens many connections that stay idle, then sends over some others. */
import { messageOf } from '../../common/errors.ts'
import type { Socket } from '../../common/ports.ts'
import { splitAddress } from '../../remoting/client.ts'
import { encodeCommand } from '../../remoting/command-codec.ts'
import { LanguageCode } from '../../remoting/command.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { measuredSend, parametersOf } from './producer.ts'
import { measure, resultOf, sendPlanOf, sendProblems, withTarget } from './scenario.ts'
import type { BenchOptions, BenchResult } from './scenario.ts'
import { FIRST_OPAQUE } from './send-frames.ts'
import { SendLoad } from './send-load.ts'
import { memoryOf } from './server-usage.ts'
import { sleep } from './time.ts'
import type { Master } from './target.ts'

const CONNECT_TIMEOUT_MS = 10_000
const OPEN_AT_ONCE = 100
/** For the broker to settle before its memory is read. */
const SETTLE_MS = 2_000

export interface ManyConnectionsOptions {
  /** Connections that do nothing once they are open. */
  readonly idle: number
  /** Each of them announces a producer, as clients do. */
  readonly heartbeats: boolean
}

export function runManyConnections(
  options: BenchOptions,
  { idle, heartbeats }: ManyConnectionsOptions,
): Promise<BenchResult> {
  return withTarget(options, async (target) => {
    const masters = await target.ensureTopic(options.topic, options.queues)
    const queues = await target.queuesOf(options.topic)
    await sleep(SETTLE_MS)
    const before = rssOf(options.pids)
    const idlers = new IdleConnections(options, masters)
    const openedMs = await idlers.open(idle, heartbeats)
    await sleep(SETTLE_MS)
    const after = rssOf(options.pids)
    const load = new SendLoad({ ...sendPlanOf(options), queues }, masters)
    await load.open()
    load.start()
    const measurement = await measure(options, [measuredSend(load)])
    await load.stop()
    const lost = idlers.lost
    idlers.close()
    return resultOf(options, {
      scenario: 'connections',
      parameters: { ...parametersOf(options), idle },
      measurement,
      bytes: measurement.messages * options.bodySize,
      send: load.totals,
      details: {
        openSeconds: openedMs / 1000,
        rssBytesBefore: before,
        rssBytesAfter: after,
        rssBytesPerIdleConnection:
          options.pids.length === 0 || idle === 0 ? null : Math.round((after - before) / idle),
        idleConnectionsLost: lost,
      },
      problems: [
        ...sendProblems(load.totals),
        ...(lost > 0 ? [`${lost} idle connections were closed: ${idlers.firstError ?? ''}`] : []),
      ],
    })
  })
}

class IdleConnections {
  lost = 0
  firstError: string | null = null
  readonly #options: BenchOptions
  readonly #masters: readonly Master[]
  readonly #sockets: Socket[] = []
  #isClosing = false

  constructor(options: BenchOptions, masters: readonly Master[]) {
    this.#options = options
    this.#masters = masters
  }

  /** Resolves with the milliseconds that it took. */
  async open(count: number, heartbeats: boolean): Promise<number> {
    const startedAt = performance.now()
    for (let start = 0; start < count; start += OPEN_AT_ONCE) {
      const some = Math.min(OPEN_AT_ONCE, count - start)
      await Promise.all(
        Array.from({ length: some }, (_, index) => this.#connect(start + index, heartbeats)),
      )
      this.#options.progress(`opened ${start + some} of ${count} idle connections`)
    }
    return performance.now() - startedAt
  }

  close(): void {
    this.#isClosing = true
    for (const socket of this.#sockets) socket.destroy()
  }

  async #connect(index: number, heartbeats: boolean): Promise<void> {
    const master = this.#masters[index % this.#masters.length]
    if (master === undefined) throw new Error('there is no master')
    const { host, port } = splitAddress(master.address)
    const socket = await this.#options.runtime.network.connect({
      host,
      port,
      timeoutMs: CONNECT_TIMEOUT_MS,
      onSocket: () => ({
        onData: () => undefined,
        onDrain: () => undefined,
        onClose: (error) => this.#onClosed(error),
      }),
    })
    this.#sockets.push(socket)
    if (heartbeats) socket.write(this.#heartbeat(index))
  }

  #onClosed(error: Error | null): void {
    if (this.#isClosing) return
    this.lost++
    this.firstError ??= error === null ? 'by the server' : messageOf(error)
  }

  #heartbeat(index: number): Buffer {
    const { group, serializeType, run } = this.#options
    return encodeCommand({
      code: RequestCode.HEART_BEAT,
      language: LanguageCode.NODE_JS,
      version: 485,
      opaque: FIRST_OPAQUE,
      flag: 0,
      remark: null,
      extFields: new Map(),
      body: Buffer.from(
        JSON.stringify({
          clientID: `127.0.0.1@bench-${run}-${index}`,
          consumerDataSet: [],
          producerDataSet: [{ groupName: group }],
        }),
      ),
      serializeType,
    })
  }
}

function rssOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + memoryOf(pid).rssBytes, 0)
}
