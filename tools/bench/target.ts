/** The cluster that is measured: its masters, and the topic that is sent to. */
import { AdminClient } from '../../client/admin.ts'
import { ClientError } from '../../client/errors.ts'
import { RouteCache, readQueues, writeQueues } from '../../client/route.ts'
import { messageOf } from '../../common/errors.ts'
import { silentLogger } from '../../common/log.ts'
import type { Runtime } from '../../common/ports.ts'
import { topicConfig } from '../../remoting/bodies/topic-config.ts'
import { RemotingClient } from '../../remoting/client.ts'
import { sleep } from './time.ts'

const MASTER_ID = 0
const ROUTE_TIMEOUT_MS = 30_000
const ROUTE_POLL_MS = 50
const ADMIN_TIMEOUT_MS = 30_000
/** Topics in one request. */
const TOPICS_AT_ONCE = 500

export interface Master {
  readonly brokerName: string
  readonly address: string
}

export interface QueueSpan {
  readonly address: string
  readonly queueId: number
  readonly minOffset: number
  readonly maxOffset: number
}

export class Target implements AsyncDisposable {
  readonly #client: RemotingClient
  readonly #admin: AdminClient
  readonly #routes: RouteCache
  readonly #nameServers: readonly string[]

  constructor(runtime: Runtime, nameServers: readonly string[]) {
    const { network, clock, timers } = runtime
    this.#client = new RemotingClient({ network, clock, timers, logger: silentLogger })
    this.#admin = new AdminClient(this.#client, ADMIN_TIMEOUT_MS)
    this.#routes = new RouteCache({ client: this.#client, clock, nameServers })
    this.#nameServers = nameServers
  }

  /** All masters, from the first name server that answers. Rejects with `ClientError` (`noNameServer`). */
  async masters(): Promise<readonly Master[]> {
    let failure: unknown = null
    for (const nameServer of this.#nameServers) {
      try {
        const { brokers } = await this.#admin.clusterInfo(nameServer)
        const masters = [...brokers].flatMap(([brokerName, { brokerAddrs }]) => {
          const address = brokerAddrs.get(MASTER_ID)
          return address === undefined ? [] : [{ brokerName, address }]
        })
        if (masters.length > 0) return masters
        failure = new Error('no broker is registered')
      } catch (error) {
        failure = error
      }
    }
    const reason = `no broker is known at ${this.#nameServers.join(';')}: ${messageOf(failure)}`
    throw new ClientError('noNameServer', reason, { cause: failure })
  }

  /** Makes sure that the topic is on every master, with `queues` queues unless it exists; resolves when its route is known. */
  async ensureTopic(topic: string, queues: number): Promise<readonly Master[]> {
    const masters = await this.masters()
    const existing = await this.#routes.refresh(topic)
    const known = new Set(existing?.queueDatas.map((queue) => queue.brokerName) ?? [])
    const config = topicConfig(topic, { readQueueNums: queues, writeQueueNums: queues })
    for (const { brokerName, address } of masters) {
      if (!known.has(brokerName)) await this.#admin.createTopic(address, config)
    }
    await this.#waitForRoute(topic, masters.length)
    return masters
  }

  /** Makes many topics on every master. `onProgress` is told how many there are. */
  async createTopics(
    names: readonly string[],
    queues: number,
    onProgress: (done: number) => void,
  ): Promise<readonly Master[]> {
    const masters = await this.masters()
    for (let start = 0; start < names.length; start += TOPICS_AT_ONCE) {
      const configs = names
        .slice(start, start + TOPICS_AT_ONCE)
        .map((name) => topicConfig(name, { readQueueNums: queues, writeQueueNums: queues }))
      for (const { address } of masters) await this.#admin.createTopics(address, configs)
      onProgress(start + configs.length)
    }
    return masters
  }

  /** Queues that every master has of the topic. */
  async queuesOf(topic: string): Promise<number> {
    const route = await this.#routes.get(topic)
    if (route === null) throw new ClientError('noRoute', `the topic ${topic} has no route`)
    const ids = writeQueues(topic, route).map((queue) => queue.queueId)
    return Math.max(...ids) + 1
  }

  /** Where the queues of a topic begin and end now. Rejects with `ClientError` (`noRoute`). */
  async queueSpans(topic: string): Promise<readonly QueueSpan[]> {
    const route = await this.#routes.refresh(topic)
    if (route === null) throw new ClientError('noRoute', `the topic ${topic} has no route`)
    return Promise.all(
      readQueues(topic, route).map(async ({ address, queueId }) => ({
        address,
        queueId,
        minOffset: await this.#admin.minOffset(address, { topic, queueId }),
        maxOffset: await this.#admin.maxOffset(address, { topic, queueId }),
      })),
    )
  }

  /** The committed offset of a group; null when there is none. */
  committedOffset(group: string, topic: string, span: QueueSpan): Promise<number | null> {
    return this.#admin.consumerOffset(span.address, { topic, queueId: span.queueId }, group)
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #waitForRoute(topic: string, brokers: number): Promise<void> {
    const deadline = performance.now() + ROUTE_TIMEOUT_MS
    for (;;) {
      const route = await this.#routes.refresh(topic)
      if (route !== null && route.queueDatas.length >= brokers) return
      if (performance.now() > deadline) {
        throw new ClientError('noRoute', `the topic ${topic} has no route on every broker`)
      }
      await sleep(ROUTE_POLL_MS)
    }
  }
}
