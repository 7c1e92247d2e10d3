/** A server of RocketMQ's own that is one executable jar: its console or its exporter. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

export class JavaServer {
  /** All that it has printed. */
  output = ''
  readonly #child: ChildProcess

  /** It keeps its files in `folder`. */
  constructor(jar: string, folder: string, args: readonly string[]) {
    // The console's export needs it on Java 17.
    const opened = '--add-opens=java.base/java.lang=ALL-UNNAMED'
    const flags = [opened, '-Djava.awt.headless=true', `-Duser.home=${folder}`, '-Xmx512m']
    this.#child = spawn('java', [...flags, '-jar', jar, ...args], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      this.output += chunk.toString('utf8')
    })
  }

  assertRuns(): void {
    if (this.#child.exitCode !== null) throw new Error(`the server ended:\n${this.output}`)
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return
    this.#child.kill('SIGTERM')
    await once(this.#child, 'close')
  }
}
