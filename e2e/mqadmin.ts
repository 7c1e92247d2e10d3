/** The official mqadmin: built when missing, and run command by command in one process. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { ROOT, run } from './environment.ts'
import { textAt } from './json.ts'

const FOLDER = join(ROOT, 'e2e', 'mqadmin')
const JARS = join(FOLDER, 'target', 'mqadmin')
const COMMAND_TIMEOUT_MS = 60_000

export interface MqadminResult {
  readonly stdout: string
  readonly stderr: string
  /** False when it was still running at its time-out, as a command that repeats itself is. */
  readonly ended: boolean
}

/** Builds the driver; quick when it is up to date, needs the network only the first time. */
export async function buildMqadmin(): Promise<void> {
  await run(join(FOLDER, 'build'), [])
}

/** One JVM, which runs one command at a time. */
export class Mqadmin {
  readonly #child: ChildProcess
  readonly #answers: ((line: string) => void)[] = []

  /** Everything that the tool writes lands in `folder`. */
  constructor(folder: string) {
    const child = spawn(
      'java',
      [
        '-Xmx256m',
        '-XX:+UseSerialGC',
        '-XX:TieredStopAtLevel=1',
        `-Duser.home=${folder}`,
        `-Djava.io.tmpdir=${folder}`,
        '-cp',
        `${JARS}/*:${JARS}/lib/*`,
        'gantry.e2e.Mqadmin',
      ],
      { cwd: folder, stdio: ['pipe', 'pipe', 'ignore'], env: { ...process.env, NAMESRV_ADDR: '' } },
    )
    createInterface({ input: child.stdout }).on('line', (line) => this.#answers.shift()?.(line))
    child.once('close', () => {
      for (const answer of this.#answers.splice(0)) answer('null')
    })
    this.#child = child
  }

  async run(
    args: readonly string[],
    timeoutMs: number = COMMAND_TIMEOUT_MS,
  ): Promise<MqadminResult> {
    const { exitCode, signalCode } = this.#child
    if (exitCode !== null || signalCode !== null)
      throw new Error('the process of mqadmin has ended')
    const answered = new Promise<string>((resolve) => {
      this.#answers.push(resolve)
    })
    this.#child.stdin?.write(`${[String(timeoutMs), ...args].join('\t')}\n`)
    const answer: unknown = JSON.parse(await answered)
    if (answer === null) throw new Error(`mqadmin ended in: ${args.join(' ')}`)
    const ended = typeof answer === 'object' && 'ended' in answer && answer.ended === true
    return { stdout: textAt(answer, 'stdout'), stderr: textAt(answer, 'stderr'), ended }
  }

  async close(): Promise<void> {
    const { exitCode, signalCode } = this.#child
    if (exitCode !== null || signalCode !== null) return
    const closed = once(this.#child, 'close')
    this.#child.stdin?.end()
    await closed
  }
}
