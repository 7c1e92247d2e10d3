/** Name servers and brokers as processes of their own: Gantry's, and Apache RocketMQ's from `e2e/java-broker`. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import process from 'node:process'
import { ROOT, run } from './environment.ts'

export type ServerKind = 'gantry' | 'java'
export type ServerRole = 'namesrv' | 'broker'

export interface ServerOptions {
  readonly kind: ServerKind
  readonly role: ServerRole
  /** Where the configuration file and logs go. */
  readonly folder: string
  /** Of `namesrv.conf` or `broker.conf`: RocketMQ's keys, the same for both kinds; `listenPort` must be among them. */
  readonly config: Readonly<Record<string, string | number | boolean>>
  /** The checkout of Gantry to start; this one unless given. */
  readonly checkout?: string
  /** Where it answers; this machine unless given. */
  readonly host?: string
  /** A command that runs it, such as `ip netns exec NAME`; must become it (`exec`), so that signals reach it. */
  readonly prefix?: readonly string[]
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>
}

const START_TIMEOUT_MS = 120_000
const STOP_TIMEOUT_MS = 60_000
const POLL_MS = 5
const KEPT_OUTPUT = 16_000
const HOST = '127.0.0.1'

/** Resolves the jars of `e2e/java-broker`; quick when they are there, needs the network only the first time. */
export async function buildJavaBroker(): Promise<void> {
  await run(join(ROOT, 'e2e', 'java-broker', 'build'), [])
}

export class ServerProcess {
  readonly pid: number
  readonly port: number
  readonly kind: ServerKind
  readonly host: string
  /** `performance.now()` when it was started. */
  readonly startedAt: number
  readonly #child: ChildProcess
  readonly #name: string
  readonly #closed: Promise<unknown>
  #output = ''

  private constructor(options: ServerOptions, child: ChildProcess, pid: number) {
    this.startedAt = performance.now()
    this.kind = options.kind
    this.pid = pid
    this.host = options.host ?? HOST
    this.port = Number(options.config['listenPort'])
    this.#child = child
    this.#name = `${options.kind} ${options.role}`
    this.#closed = once(child, 'close')
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-KEPT_OUTPUT)
      })
    }
  }

  /** Starts it and returns at once. */
  static start(options: ServerOptions): ServerProcess {
    const { kind, role, folder, config } = options
    mkdirSync(folder, { recursive: true })
    const file = join(folder, `${role}.conf`)
    const lines = Object.entries(config).map(([key, value]) => `${key}=${value}\n`)
    writeFileSync(file, lines.join(''))
    const program =
      kind === 'gantry'
        ? join(options.checkout ?? ROOT, 'gantry')
        : join(ROOT, 'e2e', 'java-broker', 'run')
    const [command, ...args] = [...(options.prefix ?? []), program, role, '-c', file]
    const child = spawn(command, args, {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, JAVA_BROKER_HOME: join(folder, 'java-home'), ...options.env },
    })
    if (child.pid === undefined) throw new Error(`${kind} ${role} does not start`)
    return new ServerProcess(options, child, child.pid)
  }

  get address(): string {
    return `${this.host}:${this.port}`
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** The end of what it printed. */
  get output(): string {
    return this.#output
  }

  /** Resolves when its port accepts connections; rejects with its output when it ends before, or takes too long. */
  async ready(): Promise<this> {
    const deadline = performance.now() + START_TIMEOUT_MS
    while (!(await accepts(this.host, this.port))) {
      if (this.hasEnded) {
        throw new Error(`${this.#name} has ended:\n${this.#output}`)
      }
      if (performance.now() > deadline) {
        throw new Error(`${this.#name} does not listen on ${this.port}:\n${this.#output}`)
      }
      await delay(POLL_MS)
    }
    return this
  }

  /** Ends it in good order; by force when that takes longer than a minute, which rejects. */
  async stop(): Promise<void> {
    if (this.hasEnded) return
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await this.#closed
    clearTimeout(timer)
    if (this.#child.signalCode === 'SIGKILL') {
      throw new Error(`${this.#name} did not end on SIGTERM:\n${this.#output}`)
    }
  }

  /** SIGSTOP or SIGCONT. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(name)
  }

  /** kill -9; resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.hasEnded) return
    this.#child.kill('SIGKILL')
    await this.#closed
  }
}

/** Rejects when something listens on the port already: whatever is asked later would be answered by that. */
export async function expectFreePort(port: number): Promise<void> {
  if (await accepts(HOST, port)) throw new Error(`port ${port} is in use by another process`)
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

function delay(delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delayMs)
  })
}
