/** A real Prometheus as a process of the test, with its own storage. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { stringify } from 'yaml'
import { listAt, textAt } from './json.ts'

export interface ScrapeJob {
  readonly name: string
  readonly path: string
  /** Targets `host:port` with labels of their own. */
  readonly targets: readonly { readonly target: string; readonly labels: Labels }[]
}

type Labels = Readonly<Record<string, string>>

/** One series of an instant query. */
export interface Sample {
  readonly labels: Labels
  readonly value: number
}

const READY_MS = 60_000

export class Prometheus implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #folder: string
  readonly #url: string
  readonly #closed: Promise<unknown>
  #output = ''

  private constructor(child: ChildProcess, folder: string, url: string) {
    this.#child = child
    this.#folder = folder
    this.#url = url
    this.#closed = once(child, 'close')
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#output = `${this.#output}${chunk.toString('utf8')}`.slice(-8000)
    })
  }

  static async start(options: {
    readonly port: number
    readonly intervalSeconds: number
    readonly ruleFile: string
    readonly jobs: readonly ScrapeJob[]
  }): Promise<Prometheus> {
    const { port, jobs, ruleFile, intervalSeconds } = options
    const folder = await mkdtemp(join(tmpdir(), 'gantry-prometheus-'))
    const interval = `${intervalSeconds}s`
    const config = {
      global: {
        scrape_interval: interval,
        scrape_timeout: interval,
        evaluation_interval: interval,
      },
      rule_files: [ruleFile],
      scrape_configs: jobs.map(({ name, path, targets }) => ({
        job_name: name,
        metrics_path: path,
        honor_labels: true,
        static_configs: targets.map(({ target, labels }) => ({ targets: [target], labels })),
      })),
    }
    const file = join(folder, 'prometheus.yml')
    await writeFile(file, stringify(config))
    const address = `127.0.0.1:${port}`
    const args = [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`,
    ]
    const child = spawn('prometheus', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    const started = new Prometheus(child, folder, `http://${address}`)
    await started.#untilReady()
    return started
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGTERM')
    await this.#closed
    await rm(this.#folder, { recursive: true })
  }

  /** The answer to an instant query; throws what Prometheus has against it. */
  async query(expr: string): Promise<readonly Sample[]> {
    const data = await this.get(`/api/v1/query?query=${encodeURIComponent(expr)}`)
    return listAt(data, 'result').map((one) => ({
      labels: labelsOf(one),
      value: Number(listAt(one, 'value')[1]),
    }))
  }

  /** `data` of an answer of the API. */
  async get(path: string): Promise<unknown> {
    const response = await fetch(this.#url + path)
    const answer: unknown = await response.json()
    if (textAt(answer, 'status') !== 'success') {
      throw new Error(`${path}: ${textAt(answer, 'error')}`)
    }
    return typeof answer === 'object' && answer !== null && 'data' in answer ? answer.data : null
  }

  async #untilReady(): Promise<void> {
    for (let waited = 0; waited < READY_MS; waited += 200) {
      if (this.#child.exitCode !== null) throw new Error(`prometheus ended:\n${this.#output}`)
      const response = await fetch(`${this.#url}/-/ready`).catch(() => null)
      if (response?.ok === true) return
      await delay(200)
    }
    throw new Error(`prometheus is not ready:\n${this.#output}`)
  }
}

function labelsOf(one: unknown): Labels {
  if (typeof one !== 'object' || one === null || !('metric' in one)) return {}
  const { metric } = one
  if (typeof metric !== 'object' || metric === null) return {}
  return Object.fromEntries(Object.entries(metric).map(([name, value]) => [name, String(value)]))
}
