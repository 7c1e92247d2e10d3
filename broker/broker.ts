/** A running member of a broker group: the store, the tables and the processors behind two remoting servers, and the admin port. */
import assert from 'node:assert/strict'
import { AdminServer } from '../common/admin-server.ts'
import { UniqueIdGenerator } from '../common/message-id.ts'
import { RemotingClient } from '../remoting/client.ts'
import { createRemotingMetrics } from '../remoting/metrics.ts'
import { RemotingServer } from '../remoting/server.ts'
import { adminRoutes } from './admin.ts'
import { AdvertisedAddress } from './advertised-address.ts'
import { ClientRegistry } from './client-registry.ts'
import { AuthTable } from './auth/auth-table.ts'
import { BrokerConfig } from './config.ts'
import { ConsumerOffsets } from './consumer-offsets.ts'
import { groupOf } from './group-config.ts'
import { GroupTables } from './group-tables.ts'
import { Delays } from './delay/delays.ts'
import { ConsumerStatuses } from './consumer-statuses.ts'
import { exporterMetrics } from './exporter-metrics.ts'
import { GroupNotices } from './group-notices.ts'
import { LeaderEndpoint } from './leader-endpoint.ts'
import { Leadership } from './leadership.ts'
import { LongPolling, RECHECK_MS } from './long-polling.ts'
import { registerGroupMetrics } from './group-metrics.ts'
import { registerBrokerMetrics } from './metrics.ts'
import { TIMER_TOPIC } from './names.ts'
import { OuterApi } from './outer-api.ts'
import { NOT_ON_VIP_PORT, createProcessors } from './processors.ts'
import { notifyMembers } from './processors/clients.ts'
import { RequestModes } from './pop/request-modes.ts'
import { QueueLocks } from './queue-locks.ts'
import { BrokerStats, SAMPLE_MS } from './stats.ts'
import { RaftMember } from './raft-member.ts'
import { RequestGate } from './request-gate.ts'
import { SoleMember } from './sole-member.ts'
import { StoreRetention } from './store-retention.ts'
import { SubscriptionGroups } from './subscription-groups.ts'
import { TopicTable } from './topics.ts'
import type { BrokerValues } from './config.ts'
import type { BrokerParts } from './parts.ts'
import type { BrokerProcessors } from './processors.ts'
import type { ConfigFolder } from './persisted-table.ts'
import type { KubernetesRequest, PodIdentity } from './leader-endpoint.ts'
import type { Registration } from './registration-request.ts'
import type { HostAddress } from '../common/message.ts'
import type { Logger } from '../common/log.ts'
import type { Registry } from '../common/metrics.ts'
import type { Runtime, Timer, Timers } from '../common/ports.ts'
import type { GroupMember } from './group-member.ts'
import type { MessageStore } from '../store/message-store.ts'
import type { Replication, Retention, StoreConfig } from '../store/types.ts'

const VIP_PORT_DISTANCE = 2
const EXPIRE_PULLS_MS = 200
const SWEEP_MS = 10_000
/** Consumers' progress reaches the log this often. */
const FLUSH_OFFSETS_MS = 1000

export interface StoreOptions {
  readonly config: StoreConfig
  readonly runtime: Runtime
  readonly logger: Logger
  /** The address that records hold, which may change. */
  readonly storeHost: () => HostAddress
  readonly retention: Retention
  /** In a group of several members. */
  readonly replication?: Replication
  /** A write or sync failed for good: nothing more may be acknowledged. */
  readonly onFailure: (error: Error) => void
}

export interface BrokerOptions {
  readonly values: BrokerValues
  readonly runtime: Runtime
  readonly logger: Logger
  readonly registry: Registry
  readonly openStore: (options: StoreOptions) => MessageStore
  readonly configFolder: (path: string) => ConfigFolder
  /** What the pod is, and how it speaks to the API server; null outside Kubernetes. */
  readonly kubernetes: { readonly pod: PodIdentity; readonly request: KubernetesRequest } | null
  /** DNS name of the group's leader Service, or null. */
  readonly leaderService: string | null
  readonly pid: number
  /** Opens the admin port; absent: over HTTP, as `AdminServer` does. */
  readonly listenAdmin?: (options: Parameters<typeof AdminServer.listen>[0]) => Promise<AdminPort>
  /** The broker cannot go on; the process has to end. */
  readonly onFatal: (error: Error) => void
}

export type AdminPort = Pick<AdminServer, 'port' | 'close'>

export class Broker implements AsyncDisposable {
  readonly #options: BrokerOptions
  readonly #config: BrokerConfig
  readonly #address: AdvertisedAddress
  readonly #member: GroupMember
  readonly #store: MessageStore
  readonly #parts: BrokerParts
  readonly #servers: readonly RemotingServer[]
  readonly #client: RemotingClient
  readonly #outerApi: OuterApi
  readonly #processors: BrokerProcessors
  readonly #leadership: Leadership
  readonly #timers: Timer[] = []
  readonly #abort = new AbortController()
  #admin: AdminPort | null = null
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
    this.#member = this.#createMember()
    this.#store = this.#openStore()
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
        facts: () => {
          const { facts } = this.#member
          assert(facts !== null, 'requests come after the start')
          return facts
        },
        epochs: () => this.#member.epochs,
        transfer: (to) => {
          if (!this.#leadership.isLeading) return 'this member does not lead'
          void this.#leadership.handOver(to)
          return null
        },
      },
    })
    this.#leadership = new Leadership({
      member: this.#member,
      parts: this.#parts,
      outerApi: this.#outerApi,
      services: this.#processors.leaderServices,
      servers: () => this.#servers,
      newEndpoint: () => this.#newEndpoint(),
      timers,
      logger,
    })
    this.#servers = this.#createServers()
    registerBrokerMetrics(registry, this.#parts, this.#processors)
    registerGroupMetrics(registry, this.#member)
    this.#connectParts()
  }

  /** For who looks behind the broker. */
  get member(): GroupMember {
    return this.#member
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

  #createMember(): GroupMember {
    const { values, runtime, logger, onFatal } = this.#options
    const { storePathRootDir, brokerClusterName, brokerName, bindAddress, listenPort } = values
    const events = {
      onLeading: () => {
        if (this.#state === 'serving') this.#leadership.begin()
      },
      onFollowing: () => this.#leadership.end(),
      onNoRoom: (successor: number) => void this.#leadership.handOver(successor),
    }
    const group = groupOf(values)
    if (group === null) {
      return new SoleMember({
        disk: runtime.disk,
        storePathRootDir,
        address: `${values.brokerIP1}:${listenPort}`,
        store: () => this.#store,
        events,
      })
    }
    return new RaftMember({
      runtime,
      logger,
      storePathRootDir,
      group: `${brokerClusterName}/${values.dLegerGroup || brokerName}`,
      ...group,
      listenHost: bindAddress,
      clientPort: listenPort,
      store: () => this.#store,
      tables: () => this.#parts.tables,
      events,
      onFailure: onFatal,
    })
  }

  #openStore(): MessageStore {
    const { runtime, logger, openStore, onFatal } = this.#options
    const { replication } = this.#member
    return openStore({
      config: this.#config.storeConfig(),
      runtime,
      logger,
      storeHost: () => this.#address.hostOrUnspecified,
      retention: new StoreRetention(() => ({
        ...this.#parts,
        consumers: this.#processors.consumers,
      })),
      ...(replication === null ? {} : { replication }),
      onFailure: onFatal,
    })
  }

  #createParts(): BrokerParts {
    const { values, runtime, logger, configFolder, pid } = this.#options
    const { clock, timers, random } = runtime
    const config = this.#config
    const store = this.#store
    const folder = configFolder(`${values.storePathRootDir}/config`)
    const tables = new GroupTables({
      log: store,
      folder,
      timers,
      logger,
      segmentSize: values.mappedFileSizeCommitLog,
    })
    const stats = new BrokerStats(clock)
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
      users: new AuthTable(tables),
      clients: new ClientRegistry(clock),
      locks: new QueueLocks(clock),
      longPolling: new LongPolling({
        clock,
        timers,
        store,
      }),
      stats,
      delays: new Delays(config, clock, stats),
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
    const { access, byCode, byFrame } = this.#processors
    const ordinary = make()
    const vip = make()
    const gate = new RequestGate({
      client: this.#client,
      timers,
      isClosing: () => this.#state === 'closing',
      isOpen: () => this.#leadership.isOpen,
      isLeaving: () => this.#leadership.isLeaving,
      leaderAddress: () => this.#member.leaderAddress,
      heldCodes: NOT_ON_VIP_PORT,
      seal: (fields, request) => access.seal(fields, request),
    })
    for (const [code, free] of byCode) {
      const processor = access.guarded(code, free)
      ordinary.register(code, gate.guarded(processor))
      if (!NOT_ON_VIP_PORT.includes(code)) vip.register(code, gate.guarded(processor))
    }
    for (const [code, processor] of access.isOn ? [] : byFrame) {
      ordinary.registerFrameProcessor(code, gate.guardedFrames(processor))
      if (!NOT_ON_VIP_PORT.includes(code)) {
        vip.registerFrameProcessor(code, gate.guardedFrames(processor))
      }
    }
    return [ordinary, vip]
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
      if (keys.includes('brokerPermission') && this.#leadership.isLeading) {
        // Another leader registers with its own permission and a newer term.
        topics.bumpVersion().catch(() => undefined)
      }
      this.#options.logger.info({ keys }, 'live configuration keys have changed')
    })
  }

  async #start(): Promise<void> {
    const { values, logger, registry } = this.#options
    const listenAdmin = this.#options.listenAdmin ?? ((admin) => AdminServer.listen(admin))
    const statuses = new ConsumerStatuses(this.#parts, (topic) => this.#outerApi.route(topic))
    this.#admin = await listenAdmin({
      host: values.metricsPromExporterHost,
      port: values.metricsPromExporterPort,
      logger,
      routes: adminRoutes({
        parts: this.#parts,
        registry,
        member: this.#member,
        transfer: (to) => this.#leadership.handOver(to),
        inFlightSends: () => this.#processors.send.inFlight,
        delayedMessages: () => delayedMessages(this.#processors, this.#parts),
        exporterMetrics: async () =>
          exporterMetrics({
            parts: this.#parts,
            rates: this.#processors.rates,
            inFlightSends: () => this.#processors.send.inFlight,
            statuses: await statuses.current(),
          }),
        notStarted: () => this.#notStarted(),
        notReady: () => this.#notReady(),
      }),
    })
    await this.#address.start(this.#abort.signal)
    this.#state = 'recovering'
    this.#isStoreOpen = true
    await this.#parts.store.start()
    await this.#parts.tables.load()
    const [ordinary, vip] = this.#servers
    await ordinary?.listen(values.bindAddress, values.listenPort)
    await vip?.listen(values.bindAddress, values.listenPort - VIP_PORT_DISTANCE)
    this.#state = 'serving'
    this.#startTimers()
    await this.#member.start()
    logger.info(
      {
        brokerName: values.brokerName,
        address: this.#address.address,
        listenPort: values.listenPort,
        adminPort: this.#admin.port,
        term: this.#member.term,
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
        if (this.#leadership.isLeading) void this.#leadership.flushOffsets()
      }),
    )
  }

  #sample(): void {
    this.#processors.rates.sample()
    inTurns(this.#options.runtime.timers, this.#parts.stats.sample())
  }

  #newEndpoint(): LeaderEndpoint | null {
    const { kubernetes, runtime, logger } = this.#options
    if (kubernetes === null) return null
    return new LeaderEndpoint({
      ...kubernetes,
      timers: runtime.timers,
      random: runtime.random,
      logger,
      term: () => this.#member.term,
      onNewerTerm: (term) => {
        this.#member.passTerm(term)
        this.#outerApi.changed()
      },
    })
  }

  #notStarted(): string | null {
    return this.#state === 'starting' || this.#state === 'recovering' ? this.#state : null
  }

  #notReady(): string | null {
    if (this.#state !== 'serving') return this.#state
    if (this.#leadership.isLeading) return this.#leadership.notReached
    return this.#member.facts?.isReady === true ? null : 'not in sync with a leader'
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
      term: this.#member.term,
      dataVersion: topics.dataVersion,
      topics: topics.all,
      brokerPermission: values.brokerPermission,
    }
  }

  async #close(): Promise<void> {
    if (this.#leadership.isLeading) await this.#leadership.leave()
    const wasLeading = this.#leadership.isLeading
    this.#state = 'closing'
    this.#abort.abort()
    this.#address.close()
    for (const timer of this.#timers) timer.cancel()
    await this.#leadership.close()
    this.#parts.longPolling.close()
    await Promise.all(this.#servers.map((server) => server.close()))
    await this.#client.close()
    try {
      if (wasLeading) await this.#leadership.flushOffsets()
      await this.#parts.tables.close()
    } finally {
      await this.#member.close()
      if (this.#isStoreOpen) await this.#parts.store.close()
      await this.#admin?.close()
    }
  }
}

/** Messages that wait for their time; of a member that does not know the timers, all that it ever had. */
function delayedMessages({ levels, timers }: BrokerProcessors, { store }: BrokerParts): number {
  const parked = store.maxOffsetInQueue(TIMER_TOPIC, 0) - store.minOffsetInQueue(TIMER_TOPIC, 0)
  return levels.waiting + (timers.waiting ?? parked)
}

/** Goes through the steps of a long task, one in each turn of the event loop. */
function inTurns(timers: Pick<Timers, 'soon'>, steps: Iterable<void>): void {
  const iterator = steps[Symbol.iterator]()
  const next = () => {
    if (iterator.next().done !== true) timers.soon(next)
  }
  next()
}
