/** What every command of an administrator works with: the cluster, its brokers, and where the answers go. */
import { AdminClient } from '../../client/admin.ts'
import { ClientError } from '../../client/errors.ts'
import { RouteCache } from '../../client/route.ts'
import { GantryError } from '../../common/errors.ts'
import { silentLogger } from '../../common/log.ts'
import type { Runtime } from '../../common/ports.ts'
import type { ClusterInfo } from '../../remoting/bodies/cluster-info.ts'
import type { TopicRouteData } from '../../remoting/bodies/topic-route-data.ts'
import { RemotingClient } from '../../remoting/client.ts'
import type { Credentials } from '../../common/credentials.ts'

export const MASTER_ID = 0
/** How soon a command that waits notices that it is interrupted. */
const INTERRUPT_MS = 100

/** Why a command ends without having done what it should; each has an exit code. */
export class AdminError extends GantryError<'usage' | 'notFound' | 'denied' | 'failed'> {}

/** The address of a broker group's leader. */
export interface Leader {
  readonly cluster: string
  readonly brokerName: string
  readonly address: string
}

export interface SessionOptions {
  readonly runtime: Runtime
  readonly nameServers: readonly string[]
  readonly timeoutMs: number
  /** What brokers that ask for it are shown. */
  readonly credentials: Credentials | null
  /** To standard output, as it is. */
  readonly print: (text: string) => void
  /** To standard error, a line each. */
  readonly warn: (line: string) => void
  /** Asks for a yes; null where nobody can be asked. */
  readonly confirm: ((question: string) => Promise<boolean>) | null
  readonly isInterrupted: () => boolean
}

export class Session implements AsyncDisposable {
  readonly options: SessionOptions
  readonly client: RemotingClient
  readonly admin: AdminClient
  readonly routes: RouteCache
  #info: Promise<ClusterInfo> | null = null

  constructor(options: SessionOptions) {
    const { runtime, nameServers, timeoutMs, credentials } = options
    const { clock, timers, network } = runtime
    this.options = options
    this.client = new RemotingClient({
      network,
      clock,
      timers,
      logger: silentLogger,
      credentials: () => credentials,
    })
    this.admin = new AdminClient(this.client, timeoutMs)
    this.routes = new RouteCache({ client: this.client, clock, nameServers })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close()
  }

  get now(): number {
    return this.options.runtime.clock.now()
  }

  /** One line. */
  line(text: string = ''): void {
    this.options.print(`${text}\n`)
  }

  /** Ends within a moment when the command is interrupted. */
  async pause(durationMs: number): Promise<void> {
    const { clock, timers } = this.options.runtime
    const end = clock.monotonic() + durationMs
    for (;;) {
      const left = end - clock.monotonic()
      if (left <= 0 || this.options.isInterrupted()) return
      await new Promise<void>((resolve) => timers.after(Math.min(left, INTERRUPT_MS), resolve))
    }
  }

  /** All name servers, for changes that each must know of. */
  get nameServers(): readonly string[] {
    return this.options.nameServers
  }

  /** What the first name server that answers says; asked once. */
  clusterInfo(): Promise<ClusterInfo> {
    this.#info ??= this.fromNameServer((address) => this.admin.clusterInfo(address))
    return this.#info
  }

  /** Asks one name server after the other. */
  async fromNameServer<Answer>(ask: (address: string) => Promise<Answer>): Promise<Answer> {
    let last: unknown = new AdminError('usage', 'no name server is given (-n or NAMESRV_ADDR)')
    for (const address of this.options.nameServers) {
      try {
        return await ask(address)
      } catch (error) {
        // Whoever answers, even with a no, has answered.
        if (error instanceof ClientError) throw error
        last = error
      }
    }
    throw last
  }

  /** The leaders of one cluster, or of all, in the order of their names. */
  async leaders(cluster: string | null = null): Promise<readonly Leader[]> {
    const { brokers, clusters } = await this.clusterInfo()
    if (cluster !== null && !clusters.has(cluster)) {
      throw new AdminError('notFound', `there is no cluster ${cluster}`)
    }
    const leaders: Leader[] = []
    for (const [name, brokerNames] of [...clusters].toSorted(byName)) {
      if (cluster !== null && name !== cluster) continue
      for (const brokerName of brokerNames.toSorted()) {
        const address = brokers.get(brokerName)?.brokerAddrs.get(MASTER_ID)
        if (address !== undefined) leaders.push({ cluster: name, brokerName, address })
      }
    }
    return leaders
  }

  /** The leaders that a topic is on; throws when there is no such topic. */
  async leadersOf(topic: string): Promise<readonly Leader[]> {
    const route = await this.route(topic)
    return route.brokerDatas.flatMap(({ cluster, brokerName, brokerAddrs }) => {
      const address = brokerAddrs.get(MASTER_ID)
      return address === undefined ? [] : [{ cluster, brokerName, address }]
    })
  }

  async route(topic: string): Promise<TopicRouteData> {
    const route = await this.routes.get(topic)
    if (route === null) throw new AdminError('notFound', `there is no topic ${topic}`)
    return route
  }

  /** The leader of one broker group. */
  async leaderNamed(brokerName: string): Promise<Leader> {
    const found = (await this.leaders()).find((leader) => leader.brokerName === brokerName)
    if (found === undefined) throw new AdminError('notFound', `there is no broker ${brokerName}`)
    return found
  }
}

function byName([left]: readonly [string, unknown], [right]: readonly [string, unknown]): number {
  return left < right ? -1 : 1
}
