/** The drivers of `e2e/clients` as child processes of this machine: built when missing, started, read, ended. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { ROOT, environmentVariable, run } from './environment.ts'
import { numberAt, textAt } from './json.ts'

export const CLIENTS = ['java-5.5.0', 'java-4.9.8', 'go'] as const
/** With Python's, which has a suite of its own: its library does less. */
export type Client = (typeof CLIENTS)[number] | 'python'
export type Scenario =
  | 'produce'
  | 'push-consume'
  | 'lite-pull'
  | 'control-load'
  | 'quickstart'
  | 'steady-send'
  | 'pop-consume'
  | 'pop-raw'
  | 'transact'
  | 'request'
  | 'respond'
  | 'light-queue'
  | 'open-tracing'

/** `true` is a switch, `false` is left out. */
export type Flags = Readonly<Record<string, string | number | boolean>>

export interface ClientResult {
  /** Null when a signal ended it. */
  readonly exitCode: number | null
  readonly lines: readonly unknown[]
  /** The `summary` line, or null when it ended without one. */
  readonly summary: unknown
  readonly stderr: string
}

export interface ClientProcess {
  /** The JSON lines so far. */
  readonly lines: readonly unknown[]
  /** Resolves with the first line, old or new, that `wanted` accepts; rejects after `timeoutMs` or when the process ends first. */
  line(what: string, timeoutMs: number, wanted: (line: unknown) => boolean): Promise<unknown>
  /** Resolves when it has ended by itself. */
  finished(): Promise<ClientResult>
  /** Ends it by SIGTERM, which lets it shut its client down and print its summary. */
  stop(): Promise<ClientResult>
  /** Ends it by SIGKILL. */
  kill(): Promise<ClientResult>
  /** Stops it by SIGSTOP: it does nothing more, and its connections stand. */
  freeze(): void
}

/** The name of a client on the command line of the clients' image; Python's is not in it. */
const KIND_IN_IMAGE: Readonly<Record<Client, string>> = {
  'java-5.5.0': 'java5',
  'java-4.9.8': 'java4',
  go: 'go',
  python: 'python',
}
const FOLDER = join(ROOT, 'e2e', 'clients')
/** A busy machine is no reason to fail, or to send twice. Loads that measure failures keep the clients' own time-outs. */
const PATIENT_MS = 15_000
const PATIENT: ReadonlySet<Scenario> = new Set<Scenario>([
  'produce',
  'push-consume',
  'lite-pull',
  'pop-consume',
  'pop-raw',
  'transact',
])

/** Builds the drivers; quick when they are up to date, needs the network only the first time. */
export async function buildClients(): Promise<void> {
  await run(join(FOLDER, 'java', 'build'), [])
  await run(join(FOLDER, 'go', 'build'), [])
}

/** The same for Python's, which its own suite needs only. */
export async function buildPythonClient(): Promise<void> {
  await run(join(FOLDER, 'python', 'build'), [])
}

/** Starts a scenario against the name servers `namesrv`; `env` is added to its environment. */
export function startClient(
  client: Client,
  scenario: Scenario,
  namesrv: string,
  flags: Flags,
  env: Readonly<Record<string, string>> = {},
): ClientProcess {
  const { command, args } = commandOf(client)
  const patience: Flags = PATIENT.has(scenario) ? { 'timeout-ms': PATIENT_MS } : {}
  const all = flagsOf({ namesrv, ...patience, ...flags })
  const child = spawn(command, [...args, scenario, ...all], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NAMESRV_ADDR: namesrv, ...env },
  })
  return new Driver(child, `${client} ${scenario}`)
}

/** Runs a scenario to its end; rejects with what it printed when it does not exit with 0. */
export async function runClient(
  client: Client,
  scenario: Scenario,
  namesrv: string,
  flags: Flags,
): Promise<ClientResult> {
  const result = await startClient(client, scenario, namesrv, flags).finished()
  if (result.exitCode !== 0) {
    const last = result.lines.slice(-5).map((line) => JSON.stringify(line))
    throw new Error(
      `${client} ${scenario} ${flagsOf(flags).join(' ')} exited with ${result.exitCode}:\n` +
        `${last.join('\n')}\n${result.stderr.slice(-3000)}`,
    )
  }
  return result
}

/** The lines of one kind. */
export function events(lines: readonly unknown[], event: string): readonly unknown[] {
  return lines.filter((line) => textAt(line, 'event') === event)
}

/** One message as a driver reports it, acknowledged or received. */
export interface Message {
  readonly id: string
  readonly seq: number
  readonly key: string
  readonly tags: string
  readonly msgId: string
  readonly offsetMsgId: string
  /** `broker:queueId`. */
  readonly queue: string
  readonly queueOffset: number
  readonly bodySize: number
}

/** The `ack` or `message` lines as messages, in the order they came. */
export function messages(lines: readonly unknown[], event: 'ack' | 'message'): readonly Message[] {
  return events(lines, event).map((line) => ({
    id: textAt(line, 'id'),
    seq: numberAt(line, 'seq'),
    key: textAt(line, 'key'),
    tags: textAt(line, 'tags'),
    msgId: textAt(line, 'msgId'),
    offsetMsgId: textAt(line, 'offsetMsgId'),
    queue: `${textAt(line, 'broker')}:${numberAt(line, 'queueId')}`,
    queueOffset: numberAt(line, 'queueOffset'),
    bodySize: numberAt(line, 'bodySize'),
  }))
}

function commandOf(client: Client): { readonly command: string; readonly args: readonly string[] } {
  const pod = environmentVariable('GANTRY_E2E_CLIENTS_POD')
  if (pod !== '') return { command: join(FOLDER, 'in-pod'), args: [pod, KIND_IN_IMAGE[client]] }
  if (client === 'go') return { command: join(FOLDER, 'go', 'bin', 'go-client'), args: [] }
  if (client === 'python') {
    const folder = join(FOLDER, 'python')
    return { command: join(folder, 'venv', 'bin', 'python'), args: [join(folder, 'main.py')] }
  }
  const jars = join(FOLDER, 'java', 'target', client.replace('java', 'client'))
  return {
    command: 'java',
    args: [
      '-Xmx256m',
      '-XX:+UseSerialGC',
      '-XX:TieredStopAtLevel=1',
      '-cp',
      `${jars}/*:${jars}/lib/*`,
      'gantry.e2e.Main',
    ],
  }
}

function flagsOf(flags: Flags): readonly string[] {
  return Object.entries(flags).flatMap(([name, value]) => {
    if (value === false) return []
    return value === true ? [`--${name}`] : [`--${name}`, String(value)]
  })
}

interface Waiter {
  readonly wanted: (line: unknown) => boolean
  readonly resolve: (line: unknown) => void
  readonly reject: (error: Error) => void
}

class Driver implements ClientProcess {
  readonly lines: unknown[] = []
  readonly #child: ChildProcess
  readonly #name: string
  readonly #ended: Promise<ClientResult>
  readonly #waiters = new Set<Waiter>()
  #stderr = ''

  constructor(child: ChildProcess, name: string) {
    this.#child = child
    this.#name = name
    if (child.stdout === null || child.stderr === null) throw new Error(`${name} has no output`)
    createInterface({ input: child.stdout }).on('line', (text) => this.#take(text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-16_000)
    })
    this.#ended = this.#result()
    // Whoever waits for the end hears of a failed start; nobody may be waiting yet.
    this.#ended.catch(() => undefined)
  }

  line(what: string, timeoutMs: number, wanted: (line: unknown) => boolean): Promise<unknown> {
    const found = this.lines.find((line) => wanted(line))
    if (found !== undefined) return Promise.resolve(found)
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer)
        this.#waiters.delete(waiter)
      }
      const waiter: Waiter = {
        wanted,
        resolve: (line) => {
          end()
          resolve(line)
        },
        reject: (error) => {
          end()
          reject(error)
        },
      }
      const timer = setTimeout(() => {
        waiter.reject(new Error(`${this.#name}: ${what}: not within ${timeoutMs} ms`))
      }, timeoutMs)
      this.#waiters.add(waiter)
      if (this.#child.exitCode !== null) waiter.reject(this.#gone(what))
    })
  }

  finished(): Promise<ClientResult> {
    return this.#ended
  }

  stop(): Promise<ClientResult> {
    this.#child.kill('SIGTERM')
    return this.#ended
  }

  kill(): Promise<ClientResult> {
    this.#child.kill('SIGKILL')
    return this.#ended
  }

  freeze(): void {
    this.#child.kill('SIGSTOP')
  }

  async #result(): Promise<ClientResult> {
    await once(this.#child, 'close')
    for (const waiter of this.#waiters) waiter.reject(this.#gone('its output'))
    return {
      exitCode: this.#child.exitCode,
      lines: this.lines,
      summary: events(this.lines, 'summary').at(-1) ?? null,
      stderr: this.#stderr,
    }
  }

  #gone(what: string): Error {
    return new Error(`${this.#name} ended before: ${what}\n${this.#stderr.slice(-2000)}`)
  }

  #take(text: string): void {
    let line: unknown
    try {
      line = JSON.parse(text)
    } catch (error) {
      throw new Error(`${this.#name} printed something other than JSON: ${text}`, { cause: error })
    }
    this.lines.push(line)
    for (const waiter of this.#waiters) if (waiter.wanted(line)) waiter.resolve(line)
  }
}
