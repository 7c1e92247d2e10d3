/**
 * What connected consumers tell of themselves (GET_CONSUMER_RUNNING_INFO): asked when somebody wants to know, and kept for a while.
 *
 * A consumer is connected to every broker group of its topics and tells each of them the same. Of each topic only the group that comes first
 * in its route passes it on, so that a sum over the cluster counts it once.
 */
import { decodeConsumerRunningInfo } from '../remoting/bodies/consumer-running-info.ts'
import { RemotingError } from '../remoting/errors.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { isCallable } from './client-registry.ts'
import type { TopicRouteData } from '../remoting/bodies/topic-route-data.ts'
import type { Client } from './client-registry.ts'
import type { BrokerParts } from './parts.ts'

/** The exporter asks once a minute. */
const KEPT_MS = 30_000
/** Below the time-out of a scrape, which is 10 s unless it is set. */
const ANSWER_MS = 3000
/** Clients that are asked each time. */
const CLIENTS_MAX = 500
/** Topics whose routes are asked for each time; of the others nothing is told. */
const TOPICS_MAX = 1000

/** One consumer's work on one topic. */
export interface ConsumerStatus {
  readonly group: string
  readonly topic: string
  readonly clientId: string
  /** host:port. */
  readonly clientAddress: string
  /** Java's members of ConsumeStatus, as text. */
  readonly facts: ReadonlyMap<string, string>
}

type Parts = Pick<BrokerParts, 'clients' | 'clock' | 'config' | 'logger'>

export class ConsumerStatuses {
  readonly #parts: Parts
  readonly #route: (topic: string) => Promise<TopicRouteData | null>
  #known: Promise<readonly ConsumerStatus[]> = Promise.resolve([])
  #askedAt = Number.NEGATIVE_INFINITY

  /** `route`: null when no name server tells it. */
  constructor(parts: Parts, route: (topic: string) => Promise<TopicRouteData | null>) {
    this.#parts = parts
    this.#route = route
  }

  /** Not older than half a minute. Consumers that do not answer within seconds are left out. */
  current(): Promise<readonly ConsumerStatus[]> {
    const now = this.#parts.clock.monotonic()
    if (now - this.#askedAt >= KEPT_MS) {
      this.#askedAt = now
      this.#known = this.#ask()
    }
    return this.#known
  }

  async #ask(): Promise<readonly ConsumerStatus[]> {
    const { clients } = this.#parts
    const members = clients.consumerGroups
      .flatMap((group) =>
        (clients.consumerGroup(group)?.clients ?? []).map((client) => ({ group, client })),
      )
      .filter(({ client }) => isCallable(client))
      .slice(0, CLIENTS_MAX)
    const answers = await Promise.all(
      members.map(({ group, client }) => this.#askOne(group, client)),
    )
    const statuses = answers.flat()
    const ours = await this.#oursOf(new Set(statuses.map(({ topic }) => topic)))
    return statuses.filter(({ topic }) => ours.has(topic))
  }

  async #askOne(group: string, client: Client): Promise<readonly ConsumerStatus[]> {
    const { clientId, connection } = client
    const extFields = { consumerGroup: group, clientId, jstackEnable: 'false' }
    const request = { code: RequestCode.GET_CONSUMER_RUNNING_INFO, extFields }
    try {
      const { code, body } = await connection.invoke(request, ANSWER_MS)
      if (code !== ResponseCode.SUCCESS) return []
      const clientAddress = connection.remoteAddress
      return [...decodeConsumerRunningInfo(body).statuses].map(([topic, facts]) => ({
        ...{ group, topic, clientId, clientAddress, facts },
      }))
    } catch (error) {
      if (!(error instanceof RemotingError)) throw error
      const fields = { consumerGroup: group, clientId, err: error }
      this.#parts.logger.debug(fields, 'a consumer tells nothing of itself')
      return []
    }
  }

  /** The topics in whose routes this broker group comes first, or which have none. */
  async #oursOf(topics: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    const { brokerName } = this.#parts.config.values
    const ours = await Promise.all(
      [...topics].slice(0, TOPICS_MAX).map(async (topic) => {
        const brokers = (await this.#route(topic))?.brokerDatas ?? []
        const isFirst = brokers.every((broker) => brokerName <= broker.brokerName)
        return isFirst ? [topic] : []
      }),
    )
    return new Set(ours.flat())
  }
}
