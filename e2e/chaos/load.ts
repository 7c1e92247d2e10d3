/** The official Java client sending all the while, a reader beside it, and what both have seen. */
import { AdminClient } from '../../client/admin.ts'
import { RouteCache, readQueues } from '../../client/route.ts'
import { PullConsumer } from '../../client/pull-consumer.ts'
import { silentLogger } from '../../common/log.ts'
import type { StoredMessage } from '../../common/message.ts'
import { createRuntime } from '../../common/runtime.ts'
import { RemotingClient } from '../../remoting/client.ts'
import { startClient } from '../clients.ts'
import type { ClientProcess } from '../clients.ts'
import { numberAt, textAt } from '../json.ts'
import { judge } from './history.ts'
import type { Attempt, Stored, Verdict } from './history.ts'

const GROUP = 'chaos-reader'
const THREADS = 4
const RATE = 100
const TIMEOUT_MS = 1_000
const QUIET_MS = 3_000
const START_TIMEOUT_MS = 60_000
const POLL_MS = 200

export class ChaosLoad {
  readonly #nameServer: string
  readonly #topic: string
  readonly #client: ClientProcess
  readonly #watch: Reader

  private constructor(nameServer: string, topic: string) {
    this.#nameServer = nameServer
    this.#topic = topic
    this.#client = startClient('java-5.5.0', 'steady-send', nameServer, {
      topic,
      threads: THREADS,
      rate: RATE,
      size: 200,
      'timeout-ms': TIMEOUT_MS,
      'poll-route-ms': 1_000,
    })
    this.#watch = new Reader(nameServer, topic)
  }

  /** Resolves when messages are acknowledged. */
  static async start(nameServer: string, topic: string): Promise<ChaosLoad> {
    const load = new ChaosLoad(nameServer, topic)
    await load.acknowledgedAfter(0, START_TIMEOUT_MS)
    await load.#watch.start()
    await load.#watch.keepAll()
    return load
  }

  /** Resolves when a message is acknowledged after `since` (wall clock). */
  async acknowledgedAfter(since: number, timeoutMs: number): Promise<void> {
    await this.#client.line('an acknowledgement', timeoutMs, (one) => ackedAt(one) > since)
  }

  /** The longest time without an acknowledgement from `since` (wall clock) on, in milliseconds. */
  longestGap(since: number): number {
    const times = this.#client.lines.map(ackedAt).filter((at) => at > since)
    let longest = 0
    let last = since
    for (const at of times.toSorted((left, right) => left - right)) {
      longest = Math.max(longest, at - last)
      last = at
    }
    return longest
  }

  async kill(): Promise<void> {
    await this.#watch.close()
    await this.#client.kill()
  }

  /** Ends the load, reads all that is stored and holds it against what was sent. */
  async verdict(): Promise<Verdict> {
    const { lines } = await this.#client.stop()
    await this.#watch.close()
    const reader = new Reader(this.#nameServer, this.#topic)
    await reader.start()
    await reader.quiet()
    await reader.close()
    return judge(lines.flatMap(attemptOf), reader.seen, this.#watch.seen)
  }
}

/** NaN for other lines. */
function ackedAt(line: unknown): number {
  return textAt(line, 'event') === 'ack' ? numberAt(line, 'at') : Number.NaN
}

function attemptOf(line: unknown): readonly Attempt[] {
  const event = textAt(line, 'event')
  if (event !== 'ack' && event !== 'unknown') return []
  const queue = `${textAt(line, 'broker')}:${numberAt(line, 'queueId')}`
  const place = event === 'unknown' ? null : { queue, queueOffset: numberAt(line, 'queueOffset') }
  return [{ sender: textAt(line, 'id'), seq: numberAt(line, 'seq'), place }]
}

/** Reads a topic from its first message on. */
class Reader {
  readonly seen: Stored[] = []
  readonly #topic: string
  readonly #client: RemotingClient
  readonly #routes: RouteCache
  readonly #consumer: PullConsumer
  #changedAt = performance.now()

  constructor(nameServer: string, topic: string) {
    const runtime = createRuntime()
    this.#topic = topic
    this.#client = new RemotingClient({ ...runtime, logger: silentLogger })
    this.#routes = new RouteCache({
      client: this.#client,
      clock: runtime.clock,
      nameServers: [nameServer],
    })
    this.#consumer = new PullConsumer({
      client: this.#client,
      routes: this.#routes,
      timers: runtime.timers,
      logger: silentLogger,
      consumerGroup: GROUP,
      topic,
      from: 'first',
      commit: false,
      onMessages: (messages, { brokerName, queueId }) => {
        for (const message of messages) this.#take(message, `${brokerName}:${queueId}`)
        return Promise.resolve()
      },
    })
  }

  start(): Promise<void> {
    return this.#consumer.start()
  }

  /** The group has read nothing, as far as the brokers know: on a full disk they refuse messages, and delete none. */
  async keepAll(): Promise<void> {
    const route = await this.#routes.get(this.#topic)
    const [queue] = route === null ? [] : readQueues(this.#topic, route)
    if (queue === undefined) throw new Error(`${this.#topic} has no queue`)
    const admin = new AdminClient(this.#client)
    await admin.updateConsumerOffset(queue.address, queue, { consumerGroup: GROUP, queueOffset: 0 })
  }

  /** Resolves when nothing more comes. */
  async quiet(): Promise<void> {
    this.#changedAt = performance.now()
    while (performance.now() - this.#changedAt < QUIET_MS) {
      await new Promise((resolve) => {
        setTimeout(resolve, POLL_MS)
      })
    }
  }

  async close(): Promise<void> {
    await this.#consumer.close()
    await this.#client.close()
  }

  #take({ body, queueOffset }: StoredMessage, queue: string): void {
    const [sender = '', , seq = ''] = body.toString('utf8', 0, 200).split(' ', 3)
    this.seen.push({ sender, seq: Number(seq), queue, queueOffset })
    this.#changedAt = performance.now()
  }
}
