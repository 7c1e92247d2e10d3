/**
 * What the broker asks of name servers: registration with each of them, and leaving.
 *
 * A name in `namesrvAddr` stands for all of its addresses. The broker registers with each address when it starts; when topics changed, it
 * tells of these only; every `registerNameServerPeriod` it asks whether the name server has its version, and registers if not. With one
 * that failed or closed the connection it tries again within seconds. Nothing waits for a name server.
 */
import { messageOf } from '../common/errors.ts'
import { decodeTopicRouteData } from '../remoting/bodies/topic-route-data.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { splitNameServers } from './config.ts'
import { partialRegistration, versionQuery, wholeRegistration } from './registration-request.ts'
import type { Logger } from '../common/log.ts'
import type { Clock, Network, Random, Timer, Timers } from '../common/ports.ts'
import type { TopicRouteData } from '../remoting/bodies/topic-route-data.ts'
import type { RemotingClient } from '../remoting/client.ts'
import type { RemotingCommand, RequestContent } from '../remoting/command.ts'
import type { Registration } from './registration-request.ts'

const CHECK_MS = 500
const RESOLVE_MS = 30_000
const RETRY_MIN_MS = 500
const RETRY_MAX_MS = 5000
const UNREGISTER_TIMEOUT_MS = 1000
/** Changes that are remembered one by one; a name server that has missed more is told everything. */
const CHANGES_MAX = 1000

export interface OuterApiOptions {
  readonly client: RemotingClient
  readonly network: Network
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly logger: Logger
  readonly periodMs: number
  readonly timeoutMs: number
  /** Topics in one request, when they may be told in several; null: always all of them in one. */
  readonly partSize: number | null
  /** `namesrvAddr` as it is now. */
  readonly nameServers: () => string
  readonly registration: () => Registration
}

interface NameServer {
  readonly address: string
  /** Counts changes of what is registered; a server whose number is older has to be told. */
  toldChange: number
  isBusy: boolean
  nextAttemptAt: number
  failures: number
  isRegistered: boolean
  /** What it knows is in doubt, because a request failed or the connection closed. */
  needsAll: boolean
}

/** Names of the topics that one change was about; null: not only topics. */
type Change = readonly string[] | null

export class OuterApi {
  readonly #options: OuterApiOptions
  readonly #servers = new Map<string, NameServer>()
  #change = 1
  /** The latest changes, the last of them being number `#change`. */
  readonly #changes: Change[] = []
  #nextResolveAt = 0
  #isResolving = false
  #hasRegistered = false
  #timer: Timer | null = null
  #waiters: (() => void)[] = []

  constructor(options: OuterApiOptions) {
    this.#options = options
  }

  /** True once one name server has taken the broker, or there is none to ask; it stays so when name servers go away. */
  get hasRegistered(): boolean {
    return this.#hasRegistered || splitNameServers(this.#options.nameServers()).length === 0
  }

  /** Addresses which have the registration as it is now. */
  get registeredWith(): readonly string[] {
    return [...this.#servers.values()]
      .filter((server) => server.isRegistered && server.toldChange === this.#change)
      .map((server) => server.address)
  }

  start(): void {
    this.#timer ??= this.#options.timers.every(CHECK_MS, () => this.#check())
    this.#check()
  }

  /** Another member leads, and is the one to register: what name servers know of the group is left to it. */
  pause(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#hasRegistered = false
    for (const server of this.#servers.values()) {
      server.isRegistered = false
      server.needsAll = true
      server.nextAttemptAt = 0
    }
  }

  /** Something that name servers are told has changed: tells them at once. `topics`: only these were made or changed. */
  changed(topics: Change = null): void {
    this.#change++
    this.#changes.push(topics)
    if (this.#changes.length > CHANGES_MAX) this.#changes.splice(0, CHANGES_MAX / 2)
    for (const server of this.#servers.values()) server.nextAttemptAt = 0
    if (this.#timer !== null) this.#check()
  }

  /** The list of name servers has changed. */
  nameServersChanged(): void {
    this.#nextResolveAt = 0
    if (this.#timer !== null) this.#check()
  }

  /** Resolves when every reachable name server has been told of all changes so far, or after `timeoutMs`. */
  settled(timeoutMs: number): Promise<void> {
    if (this.#isSettled()) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = this.#options.timers.after(timeoutMs, resolve)
      this.#waiters.push(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  /** A topic's route as a name server tells it; null when none knows it, or none answers. */
  async route(topic: string): Promise<TopicRouteData | null> {
    const extFields = { topic, acceptStandardJsonOnly: 'true' }
    const request = { code: RequestCode.GET_ROUTEINFO_BY_TOPIC, extFields }
    for (const { address, isRegistered } of this.#servers.values()) {
      if (!isRegistered) continue
      try {
        const answer = await this.#options.client.invoke(address, request, this.#options.timeoutMs)
        if (answer.code === ResponseCode.SUCCESS) return decodeTopicRouteData(answer.body)
        if (answer.code === ResponseCode.TOPIC_NOT_EXIST) return null
      } catch (error) {
        this.#options.logger.debug({ nameServer: address, topic, err: error }, 'no route is told')
      }
    }
    return null
  }

  /** Takes the broker out of every name server that has it. */
  async close(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = null
    const { clusterName, brokerName, brokerId, brokerAddr, term } = this.#options.registration()
    // The term keeps a deposed leader that leaves from taking its successor's registration away.
    const extFields = {
      brokerName,
      brokerAddr,
      clusterName,
      brokerId: String(brokerId),
      term: String(term),
    }
    const request = { code: RequestCode.UNREGISTER_BROKER, extFields }
    const servers = [...this.#servers.values()].filter((server) => server.isRegistered)
    await Promise.allSettled(
      servers.map(({ address }) =>
        this.#options.client.invoke(address, request, UNREGISTER_TIMEOUT_MS),
      ),
    )
  }

  #isSettled(): boolean {
    return [...this.#servers.values()].every(
      (server) => server.failures > 0 || server.toldChange === this.#change,
    )
  }

  #check(): void {
    const now = this.#options.clock.monotonic()
    if (now >= this.#nextResolveAt && !this.#isResolving) {
      this.#nextResolveAt = now + RESOLVE_MS
      this.#isResolving = true
      void this.#resolve()
    }
    for (const server of this.#servers.values()) {
      if (server.isBusy || now < server.nextAttemptAt) continue
      server.isBusy = true
      void this.#register(server)
    }
  }

  /** Brings the set of servers to the addresses of the list; a name that cannot be resolved keeps the addresses that it had. */
  async #resolve(): Promise<void> {
    const { network, nameServers, logger, clock } = this.#options
    const found = new Set<string>()
    let isComplete = true
    for (const item of splitNameServers(nameServers())) {
      const colon = item.lastIndexOf(':')
      const port = item.slice(colon + 1)
      try {
        for (const address of await network.resolve(item.slice(0, colon))) {
          found.add(address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`)
        }
      } catch (error) {
        isComplete = false
        logger.debug({ nameServer: item, err: error }, 'a name server cannot be resolved')
      }
    }
    this.#isResolving = false
    if (!isComplete)
      this.#nextResolveAt = Math.min(this.#nextResolveAt, clock.monotonic() + RETRY_MAX_MS)
    for (const address of this.#servers.keys()) {
      if (isComplete && !found.has(address)) this.#servers.delete(address)
    }
    for (const address of found) {
      if (this.#servers.has(address)) continue
      this.#servers.set(address, {
        address,
        toldChange: 0,
        isBusy: false,
        nextAttemptAt: 0,
        failures: 0,
        isRegistered: false,
        needsAll: true,
      })
    }
    if (this.#timer !== null) this.#check()
  }

  async #register(server: NameServer): Promise<void> {
    const { clock, periodMs, logger, random } = this.#options
    const change = this.#change
    try {
      await this.#tell(server)
      if (!server.isRegistered || server.failures > 0) {
        logger.info({ nameServer: server.address }, 'registered with a name server')
        await this.#watch(server)
      }
      server.isRegistered = true
      server.failures = 0
      server.needsAll = false
      server.toldChange = change
      server.nextAttemptAt = this.#change === change ? clock.monotonic() + periodMs : 0
      this.#hasRegistered = true
    } catch (error) {
      server.failures++
      server.needsAll = true
      const waitMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(server.failures - 1, 10))
      server.nextAttemptAt = clock.monotonic() + waitMs * (0.5 + random.next() / 2)
      // The address may belong to nobody any more: ask the name again.
      this.#nextResolveAt = Math.min(this.#nextResolveAt, server.nextAttemptAt)
      if (server.failures === 1) {
        const fields = { nameServer: server.address, reason: messageOf(error) }
        logger.warn(fields, 'a name server cannot be reached')
      }
    }
    server.isBusy = false
    if (this.#isSettled()) {
      for (const resolve of this.#waiters.splice(0)) resolve()
    }
    if (this.#timer !== null && server.nextAttemptAt === 0) this.#check()
  }

  /** A name server that closes the connection has forgotten the broker: it is told again soon. */
  async #watch(server: NameServer): Promise<void> {
    const connection = await this.#options.client.connection(server.address, RETRY_MAX_MS)
    connection.onClose(() => {
      if (this.#timer === null || this.#servers.get(server.address) !== server) return
      server.isRegistered = false
      server.needsAll = true
      server.nextAttemptAt = this.#options.clock.monotonic() + RETRY_MIN_MS
    })
  }

  /** Brings a name server to what the broker has now, with as little as is sure to do it; rejects when that fails. */
  async #tell(server: NameServer): Promise<void> {
    const registration = this.#options.registration()
    if (!server.needsAll && server.isRegistered && server.toldChange === this.#change) {
      const answer = await this.#invoke(server, versionQuery(registration))
      const hasAll =
        answer.code === ResponseCode.SUCCESS && answer.extFields.get('changed') === 'false'
      if (hasAll) return
      server.needsAll = true
    }
    for (const request of this.#requests(server, registration)) {
      const answer = await this.#invoke(server, request)
      if (answer.code !== ResponseCode.SUCCESS) {
        throw new Error(answer.remark ?? `code ${answer.code}`)
      }
    }
  }

  #requests(server: NameServer, registration: Registration): Iterable<RequestContent> {
    const { partSize } = this.#options
    if (partSize === null) return wholeRegistration(registration, Infinity)
    const isFollowing = !server.needsAll && server.isRegistered
    const topics = isFollowing ? this.#topicsSince(server.toldChange) : null
    if (topics === null) return wholeRegistration(registration, partSize)
    return partialRegistration(registration, topics, partSize)
  }

  #invoke(server: NameServer, request: RequestContent): Promise<RemotingCommand> {
    return this.#options.client.invoke(server.address, request, this.#options.timeoutMs)
  }

  /** The topics that changed after a change; null when there was more to it, or it is too long ago. */
  #topicsSince(toldChange: number): ReadonlySet<string> | null {
    const count = this.#change - toldChange
    if (count > this.#changes.length) return null
    const topics = new Set<string>()
    for (const change of this.#changes.slice(this.#changes.length - count)) {
      if (change === null) return null
      for (const topic of change) topics.add(topic)
    }
    return topics
  }
}
