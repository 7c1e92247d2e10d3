/** Runs `gantry bench` as a process of its own and reads its result. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import process from 'node:process'
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

/** The load that runs now, so that an interrupted comparison can end it. */
export class LoadRunner {
  #running: ChildProcess | null = null

  /** Rejects when the load cannot run at all; refused messages and the like are problems of the result. */
  async run(scenario: string, flags: LoadFlags): Promise<LoadResult> {
    const args = Object.entries(flags).flatMap(([name, value]) => {
      if (value === false) return []
      return value === true ? [`--${name}`] : [`--${name}`, String(value)]
    })
    const child = spawn(join(ROOT, 'gantry'), ['bench', scenario, '--json', '--quiet', ...args], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: process.env,
    })
    this.#running = child
    let output = ''
    let errors = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text
    })
    await once(child, 'close')
    this.#running = null
    const line = output.trim().split('\n').at(-1) ?? ''
    if (line === '') {
      throw new Error(`gantry bench ${scenario} ${args.join(' ')} has no result: ${errors.trim()}`)
    }
    return new LoadResult(JSON.parse(line))
  }

  stop(): void {
    this.#running?.kill('SIGKILL')
  }
}
