/** A name server and a broker as processes of the test, which kills and restarts them. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ServerProcess } from './server-process.ts'

/** Registered at the name server, which the broker does as soon as it serves. */
const REGISTERED_MS = 1500

export class OwnCluster {
  readonly namesrv: string
  readonly brokerPort: number
  readonly adminPort: number
  broker: ServerProcess
  readonly #folder: string
  readonly #nameServer: ServerProcess
  readonly #config: Readonly<Record<string, string | number | boolean>>
  readonly #env: Readonly<Record<string, string>>

  private constructor(
    folder: string,
    nameServer: ServerProcess,
    config: Readonly<Record<string, string | number | boolean>>,
    env: Readonly<Record<string, string>>,
  ) {
    this.#env = env
    this.#folder = folder
    this.#nameServer = nameServer
    this.#config = config
    this.namesrv = nameServer.address
    this.brokerPort = Number(config['listenPort'])
    this.adminPort = Number(config['metricsPromExporterPort'])
    this.broker = this.#startBroker()
  }

  /** `portOffset` is added to RocketMQ's ports, `config` are keys of broker.conf, `env` is for the broker; the name server has its `bindAddress`. */
  static async start(
    portOffset: number,
    config: Readonly<Record<string, string | number | boolean>> = {},
    env: Readonly<Record<string, string>> = {},
  ): Promise<OwnCluster> {
    const folder = await mkdtemp(join(tmpdir(), 'gantry-e2e-'))
    const nameServer = await ServerProcess.start({
      kind: 'gantry',
      role: 'namesrv',
      folder,
      config: {
        listenPort: 9876 + portOffset,
        metricsPromExporterPort: 5558 + portOffset,
        bindAddress: config['bindAddress'] ?? '0.0.0.0',
      },
    }).ready()
    const values = {
      brokerClusterName: 'DefaultCluster',
      brokerName: 'broker-a',
      brokerIP1: '127.0.0.1',
      listenPort: 10_911 + portOffset,
      metricsPromExporterPort: 5557 + portOffset,
      namesrvAddr: nameServer.address,
      storePathRootDir: join(folder, 'store'),
      ...config,
    }
    const cluster = new OwnCluster(folder, nameServer, values, env)
    await cluster.#ready()
    return cluster
  }

  /** kill -9, and the broker comes back on the same store after `downMs`. */
  async killBroker(downMs = 0): Promise<void> {
    await this.broker.kill()
    await delay(downMs)
    this.broker = this.#startBroker()
    await this.#ready()
  }

  /** In good order. */
  async restartBroker(): Promise<void> {
    await this.broker.stop()
    this.broker = this.#startBroker()
    await this.#ready()
  }

  async stop(): Promise<void> {
    await this.broker.stop()
    await this.#nameServer.stop()
    await rm(this.#folder, { recursive: true })
  }

  #startBroker(): ServerProcess {
    const { namesrv } = this
    return ServerProcess.start({
      kind: 'gantry',
      role: 'broker',
      folder: this.#folder,
      config: { ...this.#config, namesrvAddr: namesrv },
      env: this.#env,
    })
  }

  async #ready(): Promise<void> {
    await this.broker.ready()
    await delay(REGISTERED_MS)
  }
}
