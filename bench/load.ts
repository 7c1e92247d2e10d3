/** Runs `gantry bench` as a process of its own and reads its result. */
import { spawn } from 'node:child_process'
import type { ChildProcess, ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import process from 'node:process'
import type { Readable } from 'node:stream'
import { ROOT } from '../e2e/environment.ts'
import { at, listAt, numberAt } from '../e2e/json.ts'

export type LoadFlags = Readonly<Record<string, string | number | boolean>>

/** A result as `gantry bench --json` prints it. */
export class LoadResult {
  readonly json: unknown

  constructor(json: unknown) {
    this.json = json
  }

  get rate(): number {
    return numberAt(this.json, 'messagesPerSecond')
  }

  get megabytesPerSecond(): number {
    return numberAt(this.json, 'megabytesPerSecond')
  }

  get cpuPerMillion(): number {
    return numberAt(this.json, 'usage', 'server', 'cpuSecondsPerMillion')
  }

  get problems(): readonly string[] {
    return listAt(this.json, 'problems').map(String)
  }

  /** Milliseconds; `which`: `send.latencyMs`, `endToEndMs`. */
  latency(which: 'send' | 'endToEnd', quantile: 'p50' | 'p99' | 'p999'): number {
    return which === 'send'
      ? numberAt(this.json, 'send', 'latencyMs', quantile)
      : numberAt(this.json, 'endToEndMs', quantile)
  }

  /** Delayed messages that came before they were due. */
  get early(): number {
    return numberAt(this.json, 'consume', 'early')
  }

  detail(name: string): number {
    return numberAt(this.json, 'details', name)
  }

  /** RSS of the accounted process at the end. */
  get rssBytes(): number {
    return numberAt(at(this.json, 'usage', 'server'), 'processes', 0, 'rssBytes')
  }

  get anonymousBytes(): number {
    return numberAt(at(this.json, 'usage', 'server'), 'processes', 0, 'anonymousBytes')
  }
}

/** The loads that run now, so that an interrupted comparison can end them. */
export class LoadRunner {
  readonly #running = new Set<ChildProcess>()

  /** Rejects when the load cannot run at all; refused messages and the like are problems of the result. */
  run(scenario: string, flags: LoadFlags): Promise<LoadResult> {
    return this.#result(this.#start(scenario, flags))
  }

  /** Runs a load for as long as `work` takes. */
  async runDuring(
    scenario: string,
    flags: LoadFlags,
    work: () => Promise<unknown>,
  ): Promise<LoadResult> {
    const child = this.#start(scenario, flags)
    const worked = work().finally(() => child.kill('SIGINT'))
    const [result] = await Promise.all([this.#result(child), worked])
    return result
  }

  stop(): void {
    for (const child of this.#running) child.kill('SIGKILL')
  }

  #start(scenario: string, flags: LoadFlags): ChildProcessByStdio<null, Readable, Readable> {
    const args = Object.entries(flags).flatMap(([name, value]) => {
      if (value === false) return []
      return value === true ? [`--${name}`] : [`--${name}`, String(value)]
    })
    const child = spawn(join(ROOT, 'gantry'), ['bench', scenario, '--json', '--quiet', ...args], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: process.env,
    })
    this.#running.add(child)
    return child
  }

  async #result(child: ChildProcessByStdio<null, Readable, Readable>): Promise<LoadResult> {
    let output = ''
    let errors = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text
    })
    await once(child, 'close')
    this.#running.delete(child)
    const line = output.trim().split('\n').at(-1) ?? ''
    if (line === '') {
      const command = child.spawnargs.slice(1).join(' ')
      throw new Error(`gantry ${command} has no result: ${errors.trim()}`)
    }
    return new LoadResult(JSON.parse(line))
  }
}
