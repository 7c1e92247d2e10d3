/** One name server and one broker of a kind, each a process of its own, as users start them. */
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
  /** Keys of broker.conf beside those that both need. */
  readonly config: Readonly<Record<string, string | number>>
  /** The checkout of Gantry to run. */
  readonly checkout: string
}

const ADMIN_PORT = 2
const BROKER_PORT = 10
const BROKER_ADMIN_PORT = 14
const REGISTER_TIMEOUT_MS = 60_000
const POLL_MS = 100
const LAST_WORDS = 200
const HOST = '127.0.0.1'

export class Cluster {
  readonly kind: ServerKind
  readonly folder: string
  readonly nameServer: string
  readonly #options: ClusterOptions
  #namesrv: ServerProcess | null = null
  #broker: ServerProcess | null = null
  #isDestroyed = false

  constructor(options: ClusterOptions) {
    this.#options = options
    this.kind = options.kind
    this.folder = options.folder
    this.nameServer = `${HOST}:${options.port}`
  }

  get broker(): ServerProcess {
    if (this.#broker === null) throw new Error('the broker does not run')
    return this.#broker
  }

  get namesrv(): ServerProcess {
    if (this.#namesrv === null) throw new Error('the name server does not run')
    return this.#namesrv
  }

  /** What the broker said last, when it has ended by itself; null otherwise. */
  get lastWords(): string | null {
    return this.#broker?.hasEnded === true ? this.#broker.output.slice(-LAST_WORDS) : null
  }

  /** Where the log is; both kinds lay it out alike. */
  get storeFolder(): string {
    return join(this.folder, 'store')
  }

  /** With an empty store. Resolves when the ports of both are open. */
  async start(): Promise<void> {
    rmSync(this.folder, { recursive: true, force: true })
    const { kind, folder, port, checkout } = this.#options
    await expectFreePort(port)
    await expectFreePort(port + BROKER_PORT)
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
    this.startBroker()
    await this.registered()
  }

  /** Resolves when the name server knows the broker. */
  async registered(): Promise<void> {
    await this.broker.ready()
    await using target = new Target(createRuntime(), [this.nameServer])
    const deadline = performance.now() + REGISTER_TIMEOUT_MS
    for (;;) {
      const masters = await target.masters().catch(() => [])
      if (masters.length > 0) return
      if (performance.now() > deadline) throw new Error('the broker does not register')
      await sleep(POLL_MS)
    }
  }

  /** Starts the broker on the store as it is, and returns at once. */
  startBroker(): ServerProcess {
    if (this.#isDestroyed) throw new Error('the comparison has been interrupted')
    const { kind, folder, port, config, checkout } = this.#options
    this.#broker = ServerProcess.start({
      kind,
      role: 'broker',
      folder,
      checkout,
      config: {
        brokerClusterName: 'DefaultCluster',
        brokerName: 'broker-a',
        brokerId: 0,
        brokerRole: 'ASYNC_MASTER',
        brokerIP1: HOST,
        brokerIP2: HOST,
        listenPort: port + BROKER_PORT,
        namesrvAddr: this.nameServer,
        storePathRootDir: this.storeFolder,
        storePathCommitLog: join(this.storeFolder, 'commitlog'),
        metricsPromExporterPort: port + BROKER_ADMIN_PORT,
        diskMaxUsedSpaceRatio: 95,
        ...config,
      },
    })
    return this.#broker
  }

  /** The broker must not run. */
  emptyStore(): void {
    rmSync(this.storeFolder, { recursive: true, force: true })
  }

  async stopBroker(): Promise<void> {
    await this.#broker?.stop()
    this.#broker = null
  }

  async killBroker(): Promise<void> {
    await this.#broker?.kill()
    this.#broker = null
  }

  /** Ends both at once and removes everything; safe to call twice. */
  async destroy(): Promise<void> {
    this.#isDestroyed = true
    await this.killBroker()
    await this.#namesrv?.kill()
    this.#namesrv = null
    rmSync(this.folder, { recursive: true, force: true })
  }
}
