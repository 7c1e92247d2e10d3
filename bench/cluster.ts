/** One name server and a broker group of a kind, each member a process of its own, as users start them. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createRuntime } from '../common/runtime.ts'
import { Target } from '../tools/bench/target.ts'
import { sleep } from '../tools/bench/time.ts'
import { ServerProcess, expectFreePort } from '../e2e/server-process.ts'
import type { ServerKind } from '../e2e/server-process.ts'

export interface ClusterOptions {
  readonly kind: ServerKind
  /** Emptied before and removed after. */
  readonly folder: string
  /** The name server's; the broker's ports follow. */
  readonly port: number
  /** Of the broker group: 1, or 3 that replicate by Raft (DLedger). */
  readonly members: number
  /** Keys of broker.conf beside those that both need. */
  readonly config: Readonly<Record<string, string | number>>
  /** The checkout of Gantry to run. */
  readonly checkout: string
}

const ADMIN_PORT = 2
/** A member has ten ports: VIP, its own, Java's for replication, metrics, Raft. */
const BROKER_PORT = 10
const MEMBER_PORTS = 10
const BROKER_ADMIN_PORT = 4
const RAFT_PORT = 6
/** Java's groups of three take half a minute. */
const REGISTER_TIMEOUT_MS = 120_000
const POLL_MS = 100
const LAST_WORDS = 200
const HOST = '127.0.0.1'
const BROKER_NAME = 'broker-a'
const SINGLE = { brokerId: 0, brokerRole: 'ASYNC_MASTER' } as const

export class Cluster {
  readonly kind: ServerKind
  readonly folder: string
  readonly nameServer: string
  readonly #options: ClusterOptions
  #namesrv: ServerProcess | null = null
  #brokers: ServerProcess[] = []
  #members: number
  #isDestroyed = false

  constructor(options: ClusterOptions) {
    this.#options = options
    this.#members = options.members
    this.kind = options.kind
    this.folder = options.folder
    this.nameServer = `${HOST}:${options.port}`
  }

  /** All members of the group that were started, dead ones too. */
  get brokers(): readonly ServerProcess[] {
    return this.#brokers
  }

  /** The only broker, or the first member. */
  get broker(): ServerProcess {
    const [broker] = this.#brokers
    if (broker === undefined) throw new Error('the broker does not run')
    return broker
  }

  get namesrv(): ServerProcess {
    if (this.#namesrv === null) throw new Error('the name server does not run')
    return this.#namesrv
  }

  /** What a broker said last that has ended by itself; null when none has. */
  get lastWords(): string | null {
    const ended = this.#brokers.find(({ hasEnded }) => hasEnded)
    return ended?.output.slice(-LAST_WORDS) ?? null
  }

  /** Where the log of the first member is; both kinds lay it out alike. */
  get storeFolder(): string {
    return this.#storeOf(0)
  }

  /** With empty stores. Resolves when the group has registered. */
  async start(): Promise<void> {
    rmSync(this.folder, { recursive: true, force: true })
    const { kind, folder, port, checkout } = this.#options
    await expectFreePort(port)
    for (let member = 0; member < this.#members; member++) {
      await expectFreePort(this.#portOf(member))
    }
    this.#namesrv = ServerProcess.start({
      kind,
      role: 'namesrv',
      folder,
      checkout,
      config: {
        listenPort: port,
        bindAddress: HOST,
        kvConfigPath: join(folder, 'kvConfig.json'),
        configStorePath: join(folder, 'namesrv.properties'),
        metricsPromExporterPort: port + ADMIN_PORT,
      },
    })
    await this.#namesrv.ready()
    await this.startGroup(this.#members)
  }

  /** Ends what runs, and starts a group of so many members with empty stores; resolves when it has registered. */
  async startGroup(members: number): Promise<void> {
    await this.killBrokers()
    this.emptyStore()
    this.#members = members
    for (let member = 0; member < members; member++) this.startMember(member)
    await this.registered()
  }

  /** Resolves when the name server knows a master. */
  async registered(): Promise<void> {
    await Promise.all(this.#brokers.map((broker) => broker.ready()))
    await this.leader(REGISTER_TIMEOUT_MS)
  }

  /** The member that the name server calls the master. Rejects when there is none for so long. */
  async leader(timeoutMs: number): Promise<ServerProcess> {
    await using target = new Target(createRuntime(), [this.nameServer])
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const [master] = await target.masters().catch(() => [])
      const leader = this.#brokers.find(({ address }) => address === master?.address)
      if (leader?.hasEnded === false) return leader
      if (performance.now() > deadline) throw new Error('no broker registers as the master')
      await sleep(POLL_MS)
    }
  }

  /** Starts the broker on the store as it is, and returns at once. */
  startBroker(): ServerProcess {
    return this.startMember(0)
  }

  /** Starts a member on its store as it is, and returns at once. */
  startMember(member: number): ServerProcess {
    if (this.#isDestroyed) throw new Error('the comparison has been interrupted')
    const { kind, folder, config, checkout } = this.#options
    const store = this.#storeOf(member)
    const port = this.#portOf(member)
    const broker = ServerProcess.start({
      kind,
      role: 'broker',
      folder: this.#members === 1 ? folder : join(folder, `member-${member}`),
      checkout,
      config: {
        brokerClusterName: 'DefaultCluster',
        brokerName: BROKER_NAME,
        brokerIP1: HOST,
        brokerIP2: HOST,
        listenPort: port,
        namesrvAddr: this.nameServer,
        storePathRootDir: store,
        storePathCommitLog: join(store, 'commitlog'),
        metricsPromExporterPort: port + BROKER_ADMIN_PORT,
        diskMaxUsedSpaceRatio: 95,
        ...(this.#members === 1 ? SINGLE : this.#groupConfig(member)),
        ...config,
      },
    })
    this.#brokers[member] = broker
    return broker
  }

  /** No broker may run. */
  emptyStore(): void {
    for (let member = 0; member < this.#members; member++) {
      rmSync(this.#storeOf(member), { recursive: true, force: true })
    }
  }

  async stopBroker(): Promise<void> {
    await this.broker.stop()
    this.#brokers = []
  }

  async killBrokers(): Promise<void> {
    await Promise.all(this.#brokers.map((broker) => broker.kill()))
    this.#brokers = []
  }

  /** Ends all at once and removes everything; safe to call twice. */
  async destroy(): Promise<void> {
    this.#isDestroyed = true
    await this.killBrokers()
    await this.#namesrv?.kill()
    this.#namesrv = null
    rmSync(this.folder, { recursive: true, force: true })
  }

  #portOf(member: number): number {
    return this.#options.port + BROKER_PORT + member * MEMBER_PORTS
  }

  #storeOf(member: number): string {
    return join(this.folder, this.#members === 1 ? 'store' : `store-${member}`)
  }

  /** As DLedger's users write it. */
  #groupConfig(self: number): Readonly<Record<string, string | number | boolean>> {
    const members = Array.from({ length: this.#members }, (_, member) => member)
    return {
      enableDLegerCommitLog: true,
      dLegerGroup: BROKER_NAME,
      dLegerPeers: members
        .map((member) => `n${member}-${HOST}:${this.#portOf(member) + RAFT_PORT}`)
        .join(';'),
      dLegerSelfId: `n${self}`,
      // As in the configuration that RocketMQ brings along for such groups.
      sendMessageThreadPoolNums: 16,
    }
  }
}
