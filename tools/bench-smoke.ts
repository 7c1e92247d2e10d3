/** The smoke test of a cluster: every message that was sent to a fresh topic comes back. */
import process from 'node:process'
import { AdminClient } from '../client/admin.ts'
import { ClientError } from '../client/errors.ts'
import { Producer } from '../client/producer.ts'
import { PullConsumer } from '../client/pull-consumer.ts'
import { RouteCache, writeQueues } from '../client/route.ts'
import type { Credentials } from '../common/credentials.ts'
import { messageOf } from '../common/errors.ts'
import { silentLogger } from '../common/log.ts'
import { UniqueIdGenerator } from '../common/message-id.ts'
import type { Runtime } from '../common/ports.ts'
import { topicConfig } from '../remoting/bodies/topic-config.ts'
import { RemotingClient } from '../remoting/client.ts'

const MASTER_ID = 0
const QUEUES_PER_BROKER = 4
const POLL_INTERVAL_MS = 50
/** A cluster that has just come up is known everywhere by then: name servers have addresses first, and routes to them a moment later. */
const COMING_UP_MS = 15_000
const ASK_AGAIN_MS = 500

export interface SmokeOptions {
  readonly runtime: Runtime
  readonly nameServers: readonly string[]
  /** What brokers that ask for it are shown. */
  readonly credentials: Credentials | null
  readonly count: number
  /** For all of it. */
  readonly timeoutMs: number
}

export interface SmokeResult {
  readonly topic: string
  readonly brokers: readonly string[]
  readonly sent: number
  readonly received: number
  readonly missing: number
  readonly duplicates: number
  readonly elapsedMs: number
}

/** Creates a topic on every master, sends to all its queues, receives, deletes the topic. Rejects when a send fails or nobody answers. */
export async function smoke(options: SmokeOptions): Promise<SmokeResult> {
  const { runtime, nameServers, credentials } = options
  const { clock, timers, network, random } = runtime
  const client = new RemotingClient({
    network,
    clock,
    timers,
    logger: silentLogger,
    credentials: () => credentials,
  })
  const routes = new RouteCache({ client, clock, nameServers })
  const admin = new AdminClient(client)
  const suffix = random.bytes(4).toString('hex')
  const topic = `gantry-smoke-${suffix}`
  const run = new SmokeRun(options, {
    client,
    routes,
    topic,
    consumerGroup: `gantry-smoke-group-${suffix}`,
  })
  const masters = await awaitMasters(options, admin)
  try {
    for (const address of masters.values()) {
      await admin.createTopic(
        address,
        topicConfig(topic, { readQueueNums: QUEUES_PER_BROKER, writeQueueNums: QUEUES_PER_BROKER }),
      )
    }
    await run.waitForRoute(masters.size)
    return await run.sendAndReceive([...masters.keys()])
  } finally {
    for (const address of masters.values()) {
      await admin.deleteTopic(address, topic).catch(() => undefined)
      await admin
        .deleteGroup(address, run.consumerGroup, { cleanOffset: true })
        .catch(() => undefined)
    }
    await client.close()
  }
}

/** `mastersOf`, asked again for a while when nobody tells any. */
async function awaitMasters(
  { runtime, nameServers, timeoutMs }: SmokeOptions,
  admin: AdminClient,
): Promise<ReadonlyMap<string, string>> {
  const { clock, timers } = runtime
  const deadline = clock.monotonic() + Math.min(timeoutMs, COMING_UP_MS)
  for (;;) {
    try {
      return await mastersOf(admin, nameServers)
    } catch (error) {
      if (clock.monotonic() >= deadline) {
        const message = `no broker is known at ${nameServers.join(';')}: ${messageOf(error)}`
        throw new ClientError('noNameServer', message, { cause: error })
      }
    }
    await new Promise<void>((resolve) => void timers.after(ASK_AGAIN_MS, resolve))
  }
}

/** Addresses of all masters by broker name, from the first name server that knows any. Rejects with what the last one has said. */
async function mastersOf(
  admin: AdminClient,
  nameServers: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  let failure: unknown = null
  for (const nameServer of nameServers) {
    try {
      const { brokers } = await admin.clusterInfo(nameServer)
      const masters = new Map<string, string>()
      for (const [name, { brokerAddrs }] of brokers) {
        const address = brokerAddrs.get(MASTER_ID)
        if (address !== undefined) masters.set(name, address)
      }
      if (masters.size > 0) return masters
      failure = new Error('no broker is registered')
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

class SmokeRun {
  readonly consumerGroup: string
  readonly #options: SmokeOptions
  readonly #client: RemotingClient
  readonly #routes: RouteCache
  readonly #topic: string
  readonly #startedAt: number
  readonly #received = new Map<string, number>()

  constructor(
    options: SmokeOptions,
    parts: {
      readonly client: RemotingClient
      readonly routes: RouteCache
      readonly topic: string
      readonly consumerGroup: string
    },
  ) {
    this.#options = options
    this.#client = parts.client
    this.#routes = parts.routes
    this.#topic = parts.topic
    this.consumerGroup = parts.consumerGroup
    this.#startedAt = options.runtime.clock.monotonic()
  }

  /** Until the name servers know the topic on every broker. */
  async waitForRoute(brokers: number): Promise<void> {
    for (;;) {
      const route = await this.#routes.refresh(this.#topic)
      const names = new Set(
        route === null ? [] : writeQueues(this.#topic, route).map((queue) => queue.brokerName),
      )
      if (names.size >= brokers) return
      if (this.#isLate()) {
        throw new Error(`only ${names.size} of ${brokers} brokers have the topic ${this.#topic}`)
      }
      await this.#pause()
    }
  }

  async sendAndReceive(brokers: readonly string[]): Promise<SmokeResult> {
    const { runtime, count } = this.#options
    const { clock, timers, random } = runtime
    const consumer = new PullConsumer({
      client: this.#client,
      routes: this.#routes,
      timers,
      logger: silentLogger,
      consumerGroup: this.consumerGroup,
      topic: this.#topic,
      from: 'first',
      commit: true,
      onMessages: (messages) => {
        for (const { body } of messages) this.#count(body.toString())
        return Promise.resolve()
      },
    })
    const producer = new Producer({
      client: this.#client,
      routes: this.#routes,
      clock,
      producerGroup: this.consumerGroup,
      uniqueIds: new UniqueIdGenerator({
        clock,
        random,
        ip: Buffer.from([127, 0, 0, 1]),
        pid: process.pid,
      }),
    })
    await consumer.start()
    try {
      for (let index = 0; index < count; index++) {
        await producer.send({
          topic: this.#topic,
          tags: 'smoke',
          body: Buffer.from(`message ${index}`),
        })
      }
      while (this.#received.size < count && !this.#isLate()) await this.#pause()
    } finally {
      await consumer.close()
    }
    return this.#result(brokers)
  }

  #result(brokers: readonly string[]): SmokeResult {
    const { count, runtime } = this.#options
    const deliveries = [...this.#received.values()].reduce((sum, times) => sum + times, 0)
    return {
      topic: this.#topic,
      brokers,
      sent: count,
      received: this.#received.size,
      missing: count - this.#received.size,
      duplicates: deliveries - this.#received.size,
      elapsedMs: Math.round(runtime.clock.monotonic() - this.#startedAt),
    }
  }

  #count(body: string): void {
    this.#received.set(body, (this.#received.get(body) ?? 0) + 1)
  }

  #isLate(): boolean {
    const { runtime, timeoutMs } = this.#options
    return runtime.clock.monotonic() - this.#startedAt > timeoutMs
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#options.runtime.timers.after(POLL_INTERVAL_MS, resolve)
    })
  }
}
