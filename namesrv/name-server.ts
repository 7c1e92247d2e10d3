/** A running name server: the route table behind a remoting server, with the admin port beside it. */
import { AdminServer, commonAdminRoutes } from '../common/admin-server.ts'
import type { Logger } from '../common/log.ts'
import { Gauge } from '../common/metrics.ts'
import type { Registry } from '../common/metrics.ts'
import type { Runtime, Timer } from '../common/ports.ts'
import { RemotingClient } from '../remoting/client.ts'
import type { Connection } from '../remoting/connection.ts'
import { createRemotingMetrics } from '../remoting/metrics.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { RemotingServer } from '../remoting/server.ts'
import type { MinBrokerIdChange } from './broker-group.ts'
import { NamesrvSettings } from './config.ts'
import type { NamesrvValues } from './config.ts'
import { KvConfig } from './kv-config.ts'
import { createProcessors } from './processors.ts'
import { RouteTable } from './route-table.ts'
import type { LiveBroker } from './route-table.ts'

/** What Java gives a broker to take the notice. */
const NOTIFY_TIMEOUT_MS = 300

export interface NameServerOptions {
  readonly values: NamesrvValues
  readonly runtime: Runtime
  readonly logger: Logger
  readonly registry: Registry
}

export class NameServer implements AsyncDisposable {
  readonly #options: NameServerOptions
  readonly #routes: RouteTable
  readonly #server: RemotingServer
  /** For notices to brokers, who take them on their own port only. */
  readonly #client: RemotingClient
  /** Connections over which brokers have registered, by id. */
  readonly #brokerConnections = new Map<number, Connection>()
  #admin: AdminServer | null = null
  #scan: Timer | null = null
  #port: number | null = null
  #closing: Promise<void> | null = null

  /** Throws `KvConfigError`. */
  constructor(options: NameServerOptions) {
    const { values, runtime, logger, registry } = options
    const { network, clock, timers, disk } = runtime
    this.#options = options
    const settings = new NamesrvSettings(values)
    this.#routes = new RouteTable(() => settings.values)
    this.#client = new RemotingClient({ network, clock, timers, logger })
    this.#server = new RemotingServer({
      network,
      clock,
      timers,
      logger,
      metrics: createRemotingMetrics(registry),
      limits: {
        maxConnections: values.maxConnections,
        idleTimeoutMs: values.serverChannelMaxIdleTimeSeconds * 1000,
      },
    })
    const processors = createProcessors({
      routes: this.#routes,
      kvConfig: KvConfig.open(disk, values.kvConfigPath),
      settings,
      clock,
      logger,
      watch: (connection) => this.#watch(connection),
      notify: (change) => this.#notify(change),
    })
    for (const [code, processor] of processors) this.#server.register(code, processor)
    registerGauges(registry, this.#routes)
  }

  /** The port in use, once started. */
  get port(): number | null {
    return this.#port
  }

  get adminPort(): number | null {
    return this.#admin?.port ?? null
  }

  /** Listens on both ports; rejects with the system's error (`EADDRINUSE` …) and leaves nothing behind then. */
  async start(): Promise<void> {
    const { values, runtime, logger, registry } = this.#options
    try {
      this.#port = (await this.#server.listen(values.bindAddress, values.listenPort)).port
      const isServing = () => (this.#closing === null ? null : 'the name server is closing')
      this.#admin = await AdminServer.listen({
        host: values.metricsPromExporterHost,
        port: values.metricsPromExporterPort,
        routes: commonAdminRoutes(
          { isLive: () => true, notReady: isServing, notStarted: () => null },
          registry,
        ),
        logger,
      })
    } catch (error) {
      await this.close()
      throw error
    }
    this.#scan = runtime.timers.every(values.scanNotActiveBrokerInterval, () => this.#expire())
    logger.info(
      {
        address: `${values.bindAddress}:${this.#port}`,
        adminPort: this.#admin.port,
        kvConfigPath: values.kvConfigPath,
      },
      'the name server has started',
    )
  }

  /** Answers what it has accepted, then closes everything. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#scan?.cancel()
    await this.#server.close()
    await this.#client.close()
    await this.#admin?.close()
  }

  #watch(connection: Connection): void {
    if (this.#brokerConnections.has(connection.id)) return
    this.#brokerConnections.set(connection.id, connection)
    connection.onClose(() => {
      this.#brokerConnections.delete(connection.id)
      if (this.#closing !== null) return
      for (const broker of this.#routes.brokersOf(connection.id)) {
        this.#remove(broker, 'a broker has gone: its connection is closed')
      }
    })
  }

  #expire(): void {
    for (const broker of this.#routes.expired(this.#options.runtime.clock.monotonic())) {
      this.#remove(broker, 'a broker has gone: nothing was heard of it for too long')
      this.#brokerConnections.get(broker.connectionId)?.close()
    }
  }

  #remove(broker: LiveBroker, message: string): void {
    const { clusterName, brokerName, brokerId, brokerAddr, term } = broker
    const changes = this.#routes.unregister([{ brokerName, brokerAddr, term }])
    this.#options.logger.warn({ clusterName, brokerName, brokerId, brokerAddr, term }, message)
    for (const change of changes) this.#notify(change)
  }

  #notify(change: MinBrokerIdChange): void {
    const { brokerName, minBrokerId, minBrokerAddr, offlineBrokerAddr, haBrokerAddr } = change
    const request = {
      code: RequestCode.NOTIFY_MIN_BROKER_ID_CHANGE,
      extFields: {
        brokerName,
        minBrokerId: String(minBrokerId),
        minBrokerAddr,
        ...(offlineBrokerAddr === null ? {} : { offlineBrokerAddr }),
        ...(haBrokerAddr === null ? {} : { haBrokerAddr }),
      },
    }
    for (const address of change.recipients) {
      this.#client.invokeOneway(address, request, NOTIFY_TIMEOUT_MS).catch((err: unknown) => {
        this.#options.logger.warn({ err, brokerName, address }, 'a broker could not be notified')
      })
    }
  }
}

function registerGauges(registry: Registry, routes: RouteTable): void {
  const gauges: readonly (readonly [string, string, () => number])[] = [
    ['rocketmq_nameserver_broker_number', 'Registered brokers', () => routes.brokerCount],
    ['rocketmq_nameserver_topic_number', 'Topics with a route', () => routes.topicCount],
  ]
  for (const [name, help, value] of gauges) {
    const gauge: Gauge = new Gauge({ name, help, collect: () => gauge.set(value()), registers: [] })
    registry.registerMetric(gauge)
  }
}
