/** A running broker of a one-member group: the store, the tables and the processors behind two remoting servers, and the admin port. */
import { AdminServer } from '../common/admin-server.ts'
import { UniqueIdGenerator } from '../common/message-id.ts'
import { StateFile } from '../raft/state-file.ts'
import { RemotingClient } from '../remoting/client.ts'
import { createRemotingMetrics } from '../remoting/metrics.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { RemotingServer } from '../remoting/server.ts'
import { adminRoutes, raftFacts } from './admin.ts'
import { AdvertisedAddress } from './advertised-address.ts'
import { ClientRegistry } from './client-registry.ts'
import { BrokerConfig } from './config.ts'
import { ConsumerOffsets } from './consumer-offsets.ts'
import { GroupTables } from './group-tables.ts'
import { Delays } from './delay/delays.ts'
import { GroupNotices } from './group-notices.ts'
import { LeaderEndpoint } from './leader-endpoint.ts'
import { LongPolling, RECHECK_MS } from './long-polling.ts'
import { registerBrokerMetrics } from './metrics.ts'
import { OuterApi } from './outer-api.ts'
import { NOT_ON_VIP_PORT, createProcessors } from './processors.ts'
import { notifyMembers } from './processors/clients.ts'
import { RequestModes } from './pop/request-modes.ts'
import { QueueLocks } from './queue-locks.ts'
import { BrokerStats, SAMPLE_MS } from './stats.ts'
import { StoreRetention } from './store-retention.ts'
import { SubscriptionGroups } from './subscription-groups.ts'
import { TopicTable } from './topics.ts'
import type { BrokerValues } from './config.ts'
import type { BrokerParts } from './parts.ts'
import type { BrokerProcessors } from './processors.ts'
import type { LeaderService } from './leader-service.ts'
import type { ConfigFolder } from './persisted-table.ts'
import type { KubernetesRequest, PodIdentity } from './leader-endpoint.ts'
import type { Registration } from './registration-request.ts'
import type { HostAddress } from '../common/message.ts'
import type { Logger } from '../common/log.ts'
import type { Registry } from '../common/metrics.ts'
import type { Runtime, Timer, Timers } from '../common/ports.ts'
import type { Processor } from '../remoting/connection.ts'
import type { FrameProcessor } from '../remoting/request-frame.ts'
import type { Retention, Store, StoreConfig } from '../store/types.ts'

const VIP_PORT_DISTANCE = 2
const EXPIRE_PULLS_MS = 200
const SWEEP_MS = 10_000
/** Consumers' progress reaches the log this often. */
const FLUSH_OFFSETS_MS = 1000
/** From this version on a client takes GO_AWAY as what it is and sends its request again elsewhere (V5_3_1). */
const GO_AWAY_VERSION = 475

export interface StoreOptions {
  readonly config: StoreConfig
  readonly runtime: Runtime
  readonly logger: Logger
  /** The address that records hold, which may change. */
  readonly storeHost: () => HostAddress
  readonly retention: Retention
  /** A write or sync failed for good: nothing more may be acknowledged. */
  readonly onFailure: (error: Error) => void
}

export interface BrokerOptions {
  readonly values: BrokerValues
  readonly runtime: Runtime
  readonly logger: Logger
  readonly registry: Registry
  readonly openStore: (options: StoreOptions) => Store
  readonly configFolder: (path: string) => ConfigFolder
  /** What the pod is, and how it speaks to the API server; null outside Kubernetes. */
  readonly kubernetes: { readonly pod: PodIdentity; readonly request: KubernetesRequest } | null
  /** DNS name of the group's leader Service, or null. */
  readonly leaderService: string | null
  /** Name of this member for `/admin/v1/raft`. */
  readonly member: string
  readonly pid: number
  /** The broker cannot go on; the process has to end. */
  readonly onFatal: (error: Error) => void
}

export class Broker implements AsyncDisposable {
  readonly #options: BrokerOptions
  readonly #config: BrokerConfig
  readonly #address: AdvertisedAddress
  readonly #parts: BrokerParts
  readonly #servers: readonly RemotingServer[]
  readonly #client: RemotingClient
  readonly #outerApi: OuterApi
  readonly #processors: BrokerProcessors
  /** In the order of their start; stopped in reverse. */
  readonly #leaderServices: readonly LeaderService[]
  readonly #timers: Timer[] = []
  readonly #abort = new AbortController()
  #admin: AdminServer | null = null
  #raftState: StateFile | null = null
  #leaderEndpoint: LeaderEndpoint | null = null
  #state: 'starting' | 'recovering' | 'serving' | 'closing' = 'starting'
  #isStoreOpen = false
  #closing: Promise<void> | null = null

  constructor(options: BrokerOptions) {
    const { values, runtime, logger, registry } = options
    const { network, clock, timers, random } = runtime
    this.#options = options
    this.#config = new BrokerConfig(values, clock.now())
    this.#address = new AdvertisedAddress({
      network,
      timers,
      logger,
      brokerIP1: values.brokerIP1,
      listenPort: values.advertisedPort === 0 ? values.listenPort : values.advertisedPort,
      leaderService: options.leaderService,
    })
    this.#parts = this.#createParts()
    this.#client = new RemotingClient({ network, clock, timers, logger })
    this.#outerApi = new OuterApi({
      client: this.#client,
      network,
      clock,
      timers,
      random,
      logger,
      periodMs: values.registerNameServerPeriod,
      timeoutMs: values.registerBrokerTimeoutMills,
      partSize: values.enableSplitRegistration ? values.splitRegistrationSize : null,
      nameServers: () => this.#config.values.namesrvAddr,
      registration: () => this.#registration(),
    })
    this.#processors = createProcessors({
      parts: this.#parts,
      registered: (timeoutMs) => this.#outerApi.settled(timeoutMs),
      route: (topic) => this.#outerApi.route(topic),
      group: {
        facts: () =>
          raftFacts({ parts: this.#parts, term: () => this.#raftState?.hardState.term ?? 0 }),
        transfer: () => 'the group has one member',
      },
    })
    this.#leaderServices = this.#processors.leaderServices
    this.#servers = this.#createServers()
    registerBrokerMetrics(registry, this.#parts, this.#processors)
    this.#connectParts()
  }

  /** Recovers the store and serves; rejects with what keeps it from that and leaves nothing running then. */
  async start(): Promise<void> {
    try {
      await this.#start()
    } catch (error) {
      await this.close()
      throw error
    }
  }

  /** Leaves the name servers, answers what was accepted, flushes everything. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #createParts(): BrokerParts {
    const { values, runtime, logger, configFolder, openStore, pid, onFatal } = this.#options
    const { clock, timers, random } = runtime
    const config = this.#config
    const store = openStore({
      config: config.storeConfig(),
      runtime,
      logger,
      storeHost: () => this.#address.hostOrUnspecified,
      retention: new StoreRetention(() => ({ ...this.#parts, timers })),
      onFailure: onFatal,
    })
    const folder = configFolder(`${values.storePathRootDir}/config`)
    const tables = new GroupTables({
      log: store,
      folder,
      timers,
      logger,
      segmentSize: values.mappedFileSizeCommitLog,
    })
    let uniqueIds: UniqueIdGenerator | null = null
    return {
      config,
      store,
      tables,
      topics: new TopicTable({
        config,
        tables,
        clock,
        onDelete: (topic, physicalOffset) => store.deleteTopic(topic, physicalOffset),
      }),
      groups: new SubscriptionGroups({ config, tables, clock }),
      offsets: new ConsumerOffsets({ tables, saveAfterMs: values.flushConsumerOffsetInterval }),
      requestModes: new RequestModes({ config, tables }),
      clients: new ClientRegistry(clock),
      locks: new QueueLocks(clock),
      longPolling: new LongPolling({
        clock,
        timers,
        store,
      }),
      stats: new BrokerStats(clock),
      delays: new Delays(config),
      configFolder: folder,
      clock,
      timers,
      random,
      logger,
      diskSpace: () => {
        const path = values.storePathCommitLog
        return runtime.disk.statusSync(path) === null ? null : runtime.disk.spaceSync(path)
      },
      uniqueId: () => {
        uniqueIds ??= new UniqueIdGenerator({ clock, random, ip: this.#address.host.ip, pid })
        return uniqueIds.next()
      },
      storeHost: () => this.#address.host,
      brokerAddress: () => this.#address.address,
    }
  }

  /** The ordinary port and the VIP port, which takes everything but pulls. */
  #createServers(): readonly RemotingServer[] {
    const { values, runtime, logger, registry } = this.#options
    const { network, clock, timers } = runtime
    const metrics = createRemotingMetrics(registry)
    const limits = {
      maxConnections: values.maxConnections,
      idleTimeoutMs: values.serverChannelMaxIdleTimeSeconds * 1000,
    }
    const make = () => new RemotingServer({ network, clock, timers, logger, metrics, limits })
    const ordinary = make()
    const vip = make()
    for (const [code, processor] of this.#processors.byCode) {
      ordinary.register(code, this.#guarded(processor))
      if (!NOT_ON_VIP_PORT.includes(code)) vip.register(code, this.#guarded(processor))
    }
    for (const [code, processor] of this.#processors.byFrame) {
      const guarded: FrameProcessor = (connection, frame) =>
        this.#state === 'serving' && processor(connection, frame)
      ordinary.registerFrameProcessor(code, guarded)
      if (!NOT_ON_VIP_PORT.includes(code)) vip.registerFrameProcessor(code, guarded)
    }
    return [ordinary, vip]
  }

  /** While the broker stops, clients that understand it are sent away. */
  #guarded(processor: Processor): Processor {
    return (request) => {
      if (this.#state === 'closing' && request.command.version > GO_AWAY_VERSION) {
        request.respond({ code: ResponseCode.GO_AWAY, remark: 'please go away' })
        return undefined
      }
      return processor(request)
    }
  }

  #connectParts(): void {
    const { topics, clients, groups } = this.#parts
    topics.onChange((names) => this.#outerApi.changed(names))
    const notices = new GroupNotices(this.#options.runtime.timers, (group) =>
      notifyMembers({ config: this.#config, clients, groups }, group),
    )
    clients.onGroupChange((group) => notices.changed(group))
    this.#address.onChange(() => this.#outerApi.changed())
    this.#config.onChange((keys) => {
      if (keys.includes('namesrvAddr')) this.#outerApi.nameServersChanged()
      if (keys.includes('brokerPermission')) {
        // A failed write is logged by the file, and the version stands in memory all the same.
        topics.bumpVersion().catch(() => undefined)
      }
      this.#options.logger.info({ keys }, 'live configuration keys have changed')
    })
  }

  async #start(): Promise<void> {
    const { values, logger, registry, runtime } = this.#options
    this.#admin = await AdminServer.listen({
      host: values.metricsPromExporterHost,
      port: values.metricsPromExporterPort,
      logger,
      routes: adminRoutes({
        parts: this.#parts,
        registry,
        member: this.#options.member,
        term: () => this.#raftState?.hardState.term ?? 0,
        inFlightSends: () => this.#processors.send.inFlight,
        delayedMessages: () => this.#processors.levels.waiting,
        notStarted: () => this.#notStarted(),
        notReady: () => this.#notReady(),
      }),
    })
    await this.#address.start(this.#abort.signal)
    this.#state = 'recovering'
    this.#isStoreOpen = true
    await this.#parts.store.start()
    await this.#parts.tables.load()
    this.#raftState = StateFile.open(runtime.disk, values.storePathRootDir)
    const term = this.#raftState.hardState.term + 1
    this.#raftState.save({ term, votedFor: null })
    const [ordinary, vip] = this.#servers
    await ordinary?.listen(values.bindAddress, values.listenPort)
    await vip?.listen(values.bindAddress, values.listenPort - VIP_PORT_DISTANCE)
    this.#state = 'serving'
    this.#startTimers()
    for (const service of this.#leaderServices) service.startLeading()
    this.#outerApi.start()
    this.#startLeaderEndpoint()
    logger.info(
      {
        brokerName: values.brokerName,
        address: this.#address.address,
        listenPort: values.listenPort,
        adminPort: this.#admin.port,
        term,
        storePathRootDir: values.storePathRootDir,
      },
      'the broker has started',
    )
  }

  #startTimers(): void {
    const { timers } = this.#options.runtime
    const { longPolling, locks, clients } = this.#parts
    const { channelExpiredTimeout } = this.#config.values
    this.#timers.push(
      timers.every(EXPIRE_PULLS_MS, () => longPolling.expire()),
      timers.every(RECHECK_MS, () => longPolling.recheck()),
      timers.every(SAMPLE_MS, () => this.#sample()),
      timers.every(SWEEP_MS, () => {
        locks.sweep()
        clients.expire(channelExpiredTimeout)
      }),
      timers.every(FLUSH_OFFSETS_MS, () => {
        void this.#flushOffsets()
      }),
    )
  }

  /** A disk that is full or a role that is lost: what the log does not take now is tried again. */
  async #flushOffsets(): Promise<void> {
    try {
      await this.#parts.offsets.flush()
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'consumer offsets have not reached the log')
    }
  }

  #sample(): void {
    this.#processors.rates.sample()
    inTurns(this.#options.runtime.timers, this.#parts.stats.sample())
  }

  #startLeaderEndpoint(): void {
    const { kubernetes, runtime, logger } = this.#options
    if (kubernetes === null) return
    this.#leaderEndpoint = new LeaderEndpoint({
      ...kubernetes,
      timers: runtime.timers,
      random: runtime.random,
      logger,
      term: () => this.#raftState?.hardState.term ?? 0,
      // The only member of its group is its leader: a volume that was lost must not lock it out for ever.
      onNewerTerm: (term) => {
        this.#raftState?.save({ term: term + 1, votedFor: null })
        this.#outerApi.changed()
      },
    })
    this.#leaderEndpoint.start()
  }

  #notStarted(): string | null {
    return this.#state === 'starting' || this.#state === 'recovering' ? this.#state : null
  }

  #notReady(): string | null {
    if (this.#state !== 'serving') return this.#state
    if (!this.#outerApi.hasRegistered) return 'no name server has taken the broker yet'
    if (this.#leaderEndpoint !== null && !this.#leaderEndpoint.isWritten) {
      return 'the leader Service does not lead here yet'
    }
    return null
  }

  #registration(): Registration {
    const { values } = this.#config
    const { topics } = this.#parts
    const host = this.#address.address.slice(0, this.#address.address.lastIndexOf(':'))
    return {
      clusterName: values.brokerClusterName,
      brokerName: values.brokerName,
      brokerId: values.brokerId,
      brokerAddr: this.#address.address,
      haServerAddr: `${host}:${values.listenPort + 1}`,
      term: this.#raftState?.hardState.term ?? 0,
      dataVersion: topics.dataVersion,
      topics: topics.all,
      brokerPermission: values.brokerPermission,
    }
  }

  async #close(): Promise<void> {
    const wasServing = this.#state === 'serving'
    this.#state = 'closing'
    this.#abort.abort()
    this.#address.close()
    for (const timer of this.#timers) timer.cancel()
    if (wasServing) await Promise.all([this.#leaderEndpoint?.close(), this.#outerApi.close()])
    if (wasServing) {
      for (const service of this.#leaderServices.toReversed()) await service.stopLeading()
    }
    this.#parts.longPolling.close()
    await Promise.all(this.#servers.map((server) => server.close()))
    await this.#client.close()
    try {
      if (wasServing) await this.#flushOffsets()
    } finally {
      await this.#parts.tables.close()
      if (this.#isStoreOpen) await this.#parts.store.close()
      this.#raftState?.close()
      await this.#admin?.close()
    }
  }
}

/** Goes through the steps of a long task, one in each turn of the event loop. */
function inTurns(timers: Pick<Timers, 'soon'>, steps: Iterable<void>): void {
  const iterator = steps[Symbol.iterator]()
  const next = () => {
    if (iterator.next().done !== true) timers.soon(next)
  }
  next()
}
