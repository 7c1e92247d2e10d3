/** Where the queues of topics are, as the name servers tell; asked again every half minute, as RocketMQ's clients do. */
import { messageOf } from '../common/errors.ts'
import type { Clock } from '../common/ports.ts'
import { Permission } from '../remoting/bodies/topic-config.ts'
import type { QueueData, TopicRouteData } from '../remoting/bodies/topic-route-data.ts'
import type { MessageQueue } from '../remoting/bodies/message-queue.ts'
import type { RemotingClient } from '../remoting/client.ts'
import { AdminClient } from './admin.ts'
import { ClientError } from './errors.ts'

export const ROUTE_LIFETIME_MS = 30_000
const ROUTE_TIMEOUT_MS = 3_000
const MASTER_ID = 0

/** A queue and the address of the master that holds it. */
export interface RoutedQueue extends MessageQueue {
  readonly address: string
}

interface CachedRoute {
  readonly route: TopicRouteData
  readonly fetchedAt: number
}

export class RouteCache {
  readonly #admin: AdminClient
  readonly #clock: Clock
  readonly #nameServers: readonly string[]
  readonly #routes = new Map<string, CachedRoute>()
  readonly #running = new Map<string, Promise<TopicRouteData | null>>()
  /** The one that answered last is asked first. */
  #current = 0

  constructor(options: {
    readonly client: RemotingClient
    readonly clock: Clock
    /** `host:port` of each. */
    readonly nameServers: readonly string[]
  }) {
    this.#admin = new AdminClient(options.client, ROUTE_TIMEOUT_MS)
    this.#clock = options.clock
    this.#nameServers = options.nameServers
  }

  /** The route of a topic, at most half a minute old if the name servers answer; null when they know none. Rejects with `ClientError` (`noNameServer`). */
  async get(topic: string): Promise<TopicRouteData | null> {
    const cached = this.#routes.get(topic)
    if (cached === undefined) return this.refresh(topic)
    if (this.#clock.monotonic() - cached.fetchedAt < ROUTE_LIFETIME_MS) return cached.route
    // An old route serves better than none while the name servers are away.
    return this.refresh(topic).catch(() => cached.route)
  }

  /** Asks now; null when the name servers know no such topic. */
  refresh(topic: string): Promise<TopicRouteData | null> {
    const running = this.#running.get(topic)
    if (running !== undefined) return running
    const asked = this.#ask(topic).finally(() => this.#running.delete(topic))
    this.#running.set(topic, asked)
    return asked
  }

  async #ask(topic: string): Promise<TopicRouteData | null> {
    const problems: string[] = []
    for (let tried = 0; tried < this.#nameServers.length; tried++) {
      const index = (this.#current + tried) % this.#nameServers.length
      const nameServer = this.#nameServers[index]
      if (nameServer === undefined) break
      try {
        const route = await this.#admin.route(nameServer, topic)
        this.#current = index
        if (route !== null) {
          this.#routes.set(topic, { route, fetchedAt: this.#clock.monotonic() })
        } else this.#routes.delete(topic)
        return route
      } catch (error) {
        problems.push(messageOf(error))
      }
    }
    throw new ClientError('noNameServer', `no name server answers: ${problems.join('; ')}`)
  }
}

/** The queues that take writes: on writable groups with a master. */
export function writeQueues(topic: string, route: TopicRouteData): readonly RoutedQueue[] {
  return queuesOf(topic, route, (queueData) =>
    (queueData.perm & Permission.WRITE) === 0 ? 0 : queueData.writeQueueNums,
  )
}

/** The queues that can be read at a master. */
export function readQueues(topic: string, route: TopicRouteData): readonly RoutedQueue[] {
  return queuesOf(topic, route, (queueData) =>
    (queueData.perm & Permission.READ) === 0 ? 0 : queueData.readQueueNums,
  )
}

function queuesOf(
  topic: string,
  route: TopicRouteData,
  countOf: (queueData: QueueData) => number,
): readonly RoutedQueue[] {
  const queues: RoutedQueue[] = []
  for (const queueData of route.queueDatas) {
    const { brokerName } = queueData
    const broker = route.brokerDatas.find((data) => data.brokerName === brokerName)
    const address = broker?.brokerAddrs.get(MASTER_ID)
    if (address === undefined) continue
    for (let queueId = 0; queueId < countOf(queueData); queueId++) {
      queues.push({ topic, brokerName, queueId, address })
    }
  }
  return queues
}
