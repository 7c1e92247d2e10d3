/** A console as a process of the test, which ends and restarts it. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { eventually } from './console-world.ts'
import { ROOT } from './environment.ts'

export interface ConsoleProcessOptions {
  readonly namesrv: string
  /** Of this machine. */
  readonly port: number
  readonly data: string
  /** `key=value`. */
  readonly keys: readonly string[]
  /** More of it, or other values. */
  readonly environment?: Readonly<Record<string, string>>
}

const OUTPUT_KEPT = 200_000

export class ConsoleProcess {
  readonly #child: ChildProcess
  readonly #closed: Promise<unknown>
  #output = ''

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#closed = once(child, 'close')
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue
      createInterface({ input: stream }).on('line', (line) => {
        this.#output = `${this.#output}${line}\n`.slice(-OUTPUT_KEPT)
      })
    }
  }

  /** Resolves when it has seen the cluster. */
  static async start({
    namesrv,
    port,
    data,
    keys,
    environment = {},
  }: ConsoleProcessOptions): Promise<ConsoleProcess> {
    const listen = `127.0.0.1:${port}`
    const args = ['dashboard', '-n', namesrv, '--listen', listen, '--data', data]
    const given = [...args, ...keys.flatMap((key) => ['-p', key])]
    const child = spawn(join(ROOT, 'gantry'), given, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    })
    const started = new ConsoleProcess(child)
    await eventually(async () => (await fetch(`http://${listen}/readyz`)).ok)
    return started
  }

  /** All that it has logged and printed. */
  get output(): string {
    return this.#output
  }

  get exitCode(): number | null {
    return this.#child.exitCode
  }

  /** Resolves when it has ended. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.#child.kill(signal)
    await this.#closed
  }
}
