/** The console's parts, wired: what is collected, what is kept of it, and the web server over both. */
import process from 'node:process'
import type { FastifyInstance } from 'fastify'
import { AdminClient } from '../client/admin.ts'
import type { ClusterPicture } from '../client/cluster-picture.ts'
import { DEFAULT_LIMITS, verdictsOf } from '../client/health-verdicts.ts'
import type { Finding } from '../client/health-verdicts.ts'
import { Producer } from '../client/producer.ts'
import { RouteCache } from '../client/route.ts'
import type { Logger } from '../common/log.ts'
import { UniqueIdGenerator } from '../common/message-id.ts'
import type { Registry } from '../common/metrics.ts'
import type { Runtime, Timer } from '../common/ports.ts'
import { RemotingClient } from '../remoting/client.ts'
import { AlarmService } from './alarms/alarm-service.ts'
import type { AlarmConfig } from './alarms/alarm-config.ts'
import { registerAlarmMetrics } from './alarms/alarm-metrics.ts'
import { sendersOf } from './alarms/senders.ts'
import type { BrokerRates, EventRow, OperationRow } from './api-types.ts'
import { loadAssets } from './assets.ts'
import { PasswordChecks } from './auth/password-checks.ts'
import { Sessions } from './auth/sessions.ts'
import { LoginThrottle } from './auth/throttle.ts'
import { Users } from './auth/users.ts'
import { BrokerUsers } from './broker-users.ts'
import { Collector } from './collector.ts'
import { addressList, lagLimitsOf } from './config.ts'
import type { DashboardValues } from './config.ts'
import { eventsBetween, findingEvents } from './events.ts'
import { loadHistory, saveHistory } from './history.ts'
import type { History } from './history.ts'
import { Journal } from './journal.ts'
import { eventRowOf, operationRowOf } from './journal-rows.ts'
import { seriesOf } from './series.ts'
import { createWebServer } from './web-server.ts'

import type { Credentials } from '../common/credentials.ts'

export interface DashboardOptions {
  readonly values: DashboardValues
  /** Of `admin`, when there are no users yet; null: one is made. */
  readonly firstPassword: string | null
  readonly alarms: AlarmConfig
  /** What brokers that ask for it are shown. */
  readonly credentials: Credentials | null
  readonly runtime: Runtime
  readonly logger: Logger
  readonly registry: Registry
}

const EVENTS_MAX = 2_000
const OPERATIONS_MAX = 5_000
const EVENT_SAVE_MS = 2_000
const OPERATION_SAVE_MS = 50
const HISTORY_SAVE_MS = 60_000
/** A history of more series is written less often: it may have 30 MiB. */
const SMALL_HISTORY = 300
const LARGE_HISTORY_SAVE_MS = 600_000
const PRODUCER_GROUP = 'gantry-console'
const OWN_IP = Buffer.from([127, 0, 0, 1])

export class Dashboard {
  readonly #options: DashboardOptions
  readonly #client: RemotingClient
  readonly #collector: Collector
  readonly #history: History
  readonly #events: Journal<EventRow>
  readonly #operations: Journal<OperationRow>
  readonly #alarms: AlarmService
  #app: FastifyInstance | null = null
  #findings: readonly Finding[] = []
  #saveTimer: Timer | null = null
  #saving: Promise<void> = Promise.resolve()
  #closed: Promise<void> | null = null

  constructor(options: DashboardOptions) {
    const { values, runtime, logger } = options
    const { storePathRootDir: folder } = values
    const { disk, timers, clock } = runtime
    this.#options = options
    const { credentials } = options
    this.#client = new RemotingClient({ ...runtime, logger, credentials: () => credentials })
    const hosts = addressList(values.allowedBrokers)
    disk.makeDirectorySync(folder)
    this.#history = loadHistory(disk, `${folder}/history.bin`, logger)
    const kept = { disk, timers, logger }
    this.#events = new Journal({
      ...kept,
      path: `${folder}/events.jsonl`,
      max: EVENTS_MAX,
      entryOf: eventRowOf,
      saveAfterMs: EVENT_SAVE_MS,
    })
    this.#operations = new Journal({
      ...kept,
      path: `${folder}/operations.jsonl`,
      max: OPERATIONS_MAX,
      entryOf: operationRowOf,
      saveAfterMs: OPERATION_SAVE_MS,
    })
    this.#alarms = new AlarmService({
      ...runtime,
      logger,
      config: options.alarms,
      senders: sendersOf(options.alarms.receivers, disk, timers),
      path: `${folder}/alarms.json`,
      onEvent: (event) => this.#events.add(event),
      onAttempt: registerAlarmMetrics(
        options.registry,
        options.alarms.receivers.map(({ name }) => name),
        () => this.#alarms.totals,
      ),
    })
    this.#collector = new Collector({
      admin: new AdminClient(this.#client, values.requestTimeoutMs),
      nameServers: addressList(values.namesrvAddr),
      clock,
      timers,
      logger,
      intervalMs: values.pollIntervalMs,
      allowedHosts: hosts.length === 0 ? null : new Set(hosts),
      onPicture: (picture, before, rates) => this.#take(picture, before, rates),
    })
  }

  /** Resolves with where the console is, once it listens; `passwordFile`: where a first password that was made stands. */
  async start(): Promise<{ readonly url: string; readonly passwordFile: string | null }> {
    const { values, runtime, logger, registry, firstPassword } = this.#options
    const { clock, random, disk } = runtime
    const folder = values.storePathRootDir
    const opened = await Users.open({ disk, random, logger, folder, firstPassword })
    const nameServers = addressList(values.namesrvAddr)
    const admin = new AdminClient(this.#client, values.requestTimeoutMs)
    const routes = new RouteCache({ client: this.#client, clock, nameServers })
    const uniqueIds = new UniqueIdGenerator({ clock, random, ip: OWN_IP, pid: process.pid })
    const producerGroup = PRODUCER_GROUP
    const { users, madeAt } = opened
    const app = await createWebServer({
      api: {
        admin,
        producer: new Producer({ client: this.#client, routes, clock, producerGroup, uniqueIds }),
        nameServers,
        clock,
        collector: this.#collector,
        history: this.#history,
        users,
        passwords: new PasswordChecks({ users, throttle: new LoginThrottle(clock) }),
        brokerUsers: new BrokerUsers({ admin, clock, random }),
        alarms: this.#alarms,
        events: this.#events,
        operations: this.#operations,
        findings: () => this.#findings,
        viewersSeeBodies: values.viewersSeeBodies,
      },
      sessions: new Sessions({ clock, random, users, idleMs: values.sessionIdleMinutes * 60_000 }),
      assets: loadAssets(disk),
      logger,
      clock,
      secureCookie: values.secureCookie,
      notReady: () => (this.#collector.picture === null ? 'no picture of the cluster yet' : null),
      metrics: async () => ({
        body: await registry.metrics(),
        contentType: registry.contentType,
      }),
    })
    this.#app = app
    const url = await app.listen({ host: values.bindAddress, port: values.listenPort })
    this.#alarms.start()
    this.#collector.start()
    this.#saveHistoryLater()
    return { url, passwordFile: madeAt }
  }

  /** Idempotent; what has not been written is written. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#saveTimer?.cancel()
    await this.#app?.close()
    await this.#client.close()
    await this.#collector.close()
    await this.#alarms.close()
    await this.#saving
    await this.#saveHistory()
    this.#events.close()
    this.#operations.close()
  }

  #take(
    picture: ClusterPicture,
    before: ClusterPicture | null,
    rates: ReadonlyMap<string, BrokerRates>,
  ): void {
    const limits = { ...DEFAULT_LIMITS, ...lagLimitsOf(this.#options.values) }
    this.#alarms.take(picture)
    const findings = [...this.#alarms.findings, ...verdictsOf(picture, limits)]
    const events = [
      ...(before === null ? [] : eventsBetween(before, picture)),
      ...findingEvents(picture.at, this.#findings, findings),
    ]
    for (const event of events) this.#events.add(event)
    this.#findings = findings
    this.#history.record(picture.at, seriesOf(picture, rates))
  }

  #saveHistoryLater(): void {
    const { timers } = this.#options.runtime
    const isSmall = this.#history.size <= SMALL_HISTORY
    const delayMs = isSmall ? HISTORY_SAVE_MS : LARGE_HISTORY_SAVE_MS
    this.#saveTimer = timers.after(delayMs, () => {
      this.#saving = this.#saveHistory().finally(() => {
        if (this.#closed === null) this.#saveHistoryLater()
      })
    })
  }

  async #saveHistory(): Promise<void> {
    const { values, runtime, logger } = this.#options
    const path = `${values.storePathRootDir}/history.bin`
    this.#history.prune()
    try {
      await saveHistory(runtime.disk, path, this.#history)
    } catch (error) {
      logger.warn({ err: error, path }, 'the history could not be written')
    }
  }
}
