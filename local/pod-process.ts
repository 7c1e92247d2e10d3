/**
 * The process behind one pod: started, watched, started again with a growing pause when it dies, and stopped for good when the pod goes.
 * Its output goes to a log file of its own.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync, fstatSync, openSync, readSync, renameSync, statSync } from 'node:fs'
import http from 'node:http'
import { fileURLToPath } from 'node:url'
import { messageOf } from '../common/errors.ts'
import type { Clock, Timer, Timers } from '../common/ports.ts'
import { portInUse } from './port-owner.ts'

export interface PodProcessOptions {
  readonly name: string
  readonly argv: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly logFile: string
  readonly host: string
  readonly adminPort: number
  /** Checked to be free before each start. */
  readonly ports: readonly number[]
  readonly stopGraceMs: number
  readonly clock: Clock
  readonly timers: Timers
  readonly onChange: (state: PodState) => void
}

export interface PodState {
  readonly phase: 'starting' | 'running' | 'waiting' | 'stopping' | 'stopped'
  readonly isReady: boolean
  readonly pid: number | null
  readonly restarts: number
  /** Why it is not running, with the last lines of its log after a crash; empty while all is well. */
  readonly problem: string
  readonly exitCode: number | null
}

const RESTART_MIN_MS = 200
const RESTART_MAX_MS = 10_000
/** A process that lived this long starts over with the shortest pause. */
const STEADY_MS = 10_000
const PROBE_FAST_MS = 40
const PROBE_SLOW_MS = 1_000
/** Readiness is asked for often at first, then now and then. */
const FAST_PROBES_FOR_MS = 15_000
const PROBE_TIMEOUT_MS = 2_000
const LOG_MAX_BYTES = 10 * 1024 * 1024
const LAST_LINES = 6
const TAIL_BYTES = 4_096

const GANTRY = fileURLToPath(new URL('../tools/main.ts', import.meta.url))
const GUARD = new URL('child-guard.ts', import.meta.url).href

export class PodProcess {
  readonly #options: PodProcessOptions
  #state: PodState = {
    phase: 'starting',
    isReady: false,
    pid: null,
    restarts: 0,
    problem: '',
    exitCode: null,
  }
  #child: ChildProcess | null = null
  #startedAt = 0
  /** Where the output of the present process begins in the log. */
  #logStart = 0
  #backOffMs = RESTART_MIN_MS
  #timer: Timer | null = null
  #isStopping = false
  readonly #stopped: PromiseWithResolvers<void> = Promise.withResolvers<void>()

  constructor(options: PodProcessOptions) {
    this.#options = options
  }

  get state(): PodState {
    return this.#state
  }

  start(): void {
    void this.#start()
  }

  /** SIGTERM, and SIGKILL after the grace period. Resolves when the process is gone. */
  stop(): Promise<void> {
    if (this.#isStopping) return this.#stopped.promise
    this.#isStopping = true
    this.#timer?.cancel()
    const child = this.#child
    if (child === null) {
      this.#finish()
    } else {
      this.#set({ phase: 'stopping', isReady: false })
      child.kill('SIGTERM')
      this.#timer = this.#options.timers.after(this.#options.stopGraceMs, () => this.kill())
    }
    return this.#stopped.promise
  }

  /** SIGKILL at once. */
  kill(): void {
    this.#child?.kill('SIGKILL')
  }

  async #start(): Promise<void> {
    const { host, ports, clock, name } = this.#options
    const busy = await portInUse(host, ports)
    if (this.#isStopping) return
    if (busy !== null) {
      this.#wait(busy, null)
      return
    }
    let log: number
    try {
      log = openLog(this.#options.logFile)
      this.#logStart = fstatSync(log).size
    } catch (error) {
      this.#wait(`the log file of ${name}: ${messageOf(error)}`, null)
      return
    }
    const child = spawn(process.execPath, ['--import', GUARD, GANTRY, ...this.#options.argv], {
      stdio: ['pipe', log, log],
      // A group of its own: Ctrl-C in the terminal is for the parent, which then stops its pods in order.
      detached: true,
      env: { ...process.env, ...this.#options.environment },
    })
    closeSync(log)
    this.#child = child
    this.#startedAt = clock.monotonic()
    child.stdin?.on('error', () => undefined)
    child.once('error', (error) => this.#ended(null, null, messageOf(error)))
    child.once('exit', (code, signal) => this.#ended(code, signal, null))
    this.#set({ phase: 'running', pid: child.pid ?? null, problem: '', exitCode: null })
    this.#probeLater()
  }

  #ended(code: number | null, signal: string | null, failure: string | null): void {
    if (this.#child === null) return
    this.#child = null
    this.#timer?.cancel()
    if (this.#isStopping) {
      this.#finish()
      return
    }
    const how = failure ?? (signal === null ? `exit code ${code ?? '?'}` : `signal ${signal}`)
    const tail = signal === 'SIGKILL' ? '' : `\n${lastLines(this.#options.logFile, this.#logStart)}`
    this.#wait(`${this.#options.name} ended: ${how}${tail}`.trimEnd(), code)
  }

  #wait(problem: string, exitCode: number | null): void {
    const { clock, timers } = this.#options
    const lived = clock.monotonic() - this.#startedAt
    if (this.#startedAt > 0 && lived > STEADY_MS) this.#backOffMs = RESTART_MIN_MS
    const restarts = this.#startedAt > 0 ? this.#state.restarts + 1 : this.#state.restarts
    this.#set({ phase: 'waiting', isReady: false, pid: null, problem, exitCode, restarts })
    this.#timer = timers.after(this.#backOffMs, () => this.start())
    this.#backOffMs = Math.min(RESTART_MAX_MS, this.#backOffMs * 2)
  }

  #finish(): void {
    this.#timer?.cancel()
    this.#set({ phase: 'stopped', isReady: false, pid: null })
    this.#stopped.resolve()
  }

  #probeLater(): void {
    const { timers, clock } = this.#options
    const isYoung = clock.monotonic() - this.#startedAt < FAST_PROBES_FOR_MS
    const delayMs = isYoung && !this.#state.isReady ? PROBE_FAST_MS : PROBE_SLOW_MS
    const child = this.#child
    this.#timer = timers.after(delayMs, () => {
      void this.#probe().then((isReady) => {
        if (this.#child !== child || child === null || this.#isStopping) return
        if (isReady !== this.#state.isReady) this.#set({ isReady })
        this.#probeLater()
      })
    })
  }

  async #probe(): Promise<boolean> {
    const { host, adminPort } = this.#options
    return (await httpGet(host, adminPort, '/readyz')).status === 200
  }

  #set(change: Partial<PodState>): void {
    this.#state = { ...this.#state, ...change }
    this.#options.onChange(this.#state)
  }
}

/** Status 0: no answer. */
export function httpGet(
  host: string,
  port: number,
  path: string,
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve) => {
    const none = { status: 0, body: '' }
    const options = { host, port, path, agent: false, timeout: PROBE_TIMEOUT_MS } as const
    const request = http.get(options, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (body += chunk))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      response.on('error', () => resolve(none))
    })
    request.on('timeout', () => request.destroy())
    request.on('error', () => resolve(none))
  })
}

/** Opens for appending; a log that has grown large is put aside as `….log.1` first. */
function openLog(file: string): number {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  if (size > LOG_MAX_BYTES) renameSync(file, `${file}.1`)
  return openSync(file, 'a')
}

/** The end of what was written since `start`. */
function lastLines(file: string, start: number): string {
  const written = (statSync(file, { throwIfNoEntry: false })?.size ?? 0) - start
  if (written <= 0) return ''
  const buffer = Buffer.alloc(Math.min(written, TAIL_BYTES))
  const descriptor = openSync(file, 'r')
  try {
    readSync(descriptor, buffer, 0, buffer.length, start + written - buffer.length)
  } finally {
    closeSync(descriptor)
  }
  const lines = buffer.toString('utf8').trimEnd().split('\n')
  return lines
    .slice(-LAST_LINES)
    .map((line) => `  | ${line}`)
    .join('\n')
}
