/** The console of `gantry dev`: a process beside the pods. The cluster runs without it too. */
import type { Clock, Timers } from '../common/ports.ts'
import { environmentWith } from '../common/credentials.ts'
import type { Credentials } from '../common/credentials.ts'
import type { DataFolder } from './data-folder.ts'
import { PodProcess } from './pod-process.ts'
import { portsOf } from './ports.ts'
import type { DevPodStatus } from './status.ts'

export interface DashboardProcessOptions {
  readonly folder: DataFolder
  readonly bindHost: string
  readonly advertisedHost: string
  readonly portOffset: number
  readonly clock: Clock
  readonly timers: Timers
  readonly onChange: () => void
  readonly onProblem: (sentence: string) => void
}

const NAME = 'dashboard'
const STOP_GRACE_MS = 10_000

export class DashboardProcess {
  readonly #options: DashboardProcessOptions
  readonly #port: number
  #process: PodProcess | null = null
  /** What it was started with. */
  #running = ''
  #isClosed = false

  constructor(options: DashboardProcessOptions) {
    this.#options = options
    const slot = { role: 'dashboard', slot: 0, adminSlot: 0 } as const
    this.#port = portsOf(slot, options.portOffset).remoting
  }

  get url(): string {
    return `http://${this.#options.advertisedHost}:${this.#port}`
  }

  get dataFolder(): string {
    return this.#options.folder.claimFolder(NAME, 'data')
  }

  /** Starts it, or anew when the name servers (`host:port;host:port`) or the credentials are others. */
  async follow(nameServers: string, credentials: Credentials | null): Promise<void> {
    const environment = environmentWith(credentials)
    const wanted = JSON.stringify([nameServers, environment])
    if (wanted === this.#running || this.#isClosed) return
    this.#running = wanted
    await this.#process?.stop()
    // Asked again: closed while it stopped.
    if (!this.#isClosed) this.#start(nameServers, environment)
  }

  #start(nameServers: string, environment: Readonly<Record<string, string>>): void {
    const { folder, bindHost, clock, timers, onChange, onProblem } = this.#options
    this.#process = new PodProcess({
      name: NAME,
      argv: [
        'dashboard',
        '--namesrv',
        nameServers,
        '--listen',
        `${bindHost}:${this.#port}`,
        '--data',
        this.dataFolder,
      ],
      environment,
      logFile: folder.logFile(NAME),
      host: bindHost,
      adminPort: this.#port,
      ports: [this.#port],
      stopGraceMs: STOP_GRACE_MS,
      clock,
      timers,
      onChange: ({ problem }) => {
        if (problem !== '') onProblem(`the console: ${problem}`)
        onChange()
      },
    })
    this.#process.start()
  }

  get status(): DevPodStatus | null {
    if (this.#process === null) return null
    const { pid, isReady } = this.#process.state
    return {
      name: NAME,
      kind: 'dashboard',
      group: null,
      role: null,
      pid,
      address: `${this.#options.advertisedHost}:${this.#port}`,
      dataDir: this.dataFolder,
      ready: isReady,
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#process?.stop()
  }

  kill(): void {
    this.#process?.kill()
  }
}
