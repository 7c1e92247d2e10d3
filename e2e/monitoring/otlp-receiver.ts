/** A receiver of OTLP, made of its official Go modules, as a process of the test. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { ROOT, run } from '../environment.ts'
import { at, listAt, textAt } from '../json.ts'

const FOLDER = join(ROOT, 'e2e', 'otlp')

/** Builds it; quick when it is up to date, needs the network only the first time. */
export async function buildOtlpReceiver(): Promise<void> {
  await run(join(FOLDER, 'build'), [])
}

/** A point with what stands around it. */
export interface ReceivedPoint {
  readonly metric: string
  readonly unit: string
  readonly labels: Readonly<Record<string, string>>
  readonly resource: Readonly<Record<string, string>>
  /** 1 is delta, 2 cumulative. */
  readonly temporality: unknown
  readonly timeUnixNano: string
  /** As protobuf's JSON has it. */
  readonly point: unknown
}

export class OtlpReceiver {
  readonly #child: ChildProcess
  /** As gRPC's metadata, of each request. */
  readonly headers: unknown[] = []
  readonly points: ReceivedPoint[] = []

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  /** With files of a certificate and its key it speaks TLS. */
  static async start(port: number, secure: readonly string[] = []): Promise<OtlpReceiver> {
    const program = join(FOLDER, 'bin', 'otlp-receiver')
    const child = spawn(program, [`127.0.0.1:${port}`, ...secure], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const receiver = new OtlpReceiver(child)
    await new Promise<void>((resolve, reject) => {
      child.once('close', () => reject(new Error('the receiver of OTLP has ended')))
      createInterface({ input: child.stdout }).on('line', (text) => {
        const line: unknown = JSON.parse(text)
        if (textAt(line, 'event') === 'ready') resolve()
        else receiver.#take(line)
      })
    })
    return receiver
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const closed = once(this.#child, 'close')
    this.#child.kill('SIGKILL')
    await closed
  }

  #take(line: unknown): void {
    this.headers.push(at(line, 'headers'))
    for (const one of listAt(line, 'request', 'resourceMetrics')) {
      const resource = attributesOf(at(one, 'resource'))
      for (const metric of listAt(one, 'scopeMetrics', 0, 'metrics')) {
        const data = at(metric, 'gauge') ?? at(metric, 'sum') ?? at(metric, 'histogram')
        for (const point of listAt(data, 'dataPoints')) {
          this.points.push({
            metric: textAt(metric, 'name'),
            unit: textAt(metric, 'unit'),
            labels: attributesOf(point),
            resource,
            temporality: at(data, 'aggregationTemporality') ?? null,
            timeUnixNano: textAt(point, 'timeUnixNano'),
            point,
          })
        }
      }
    }
  }
}

function attributesOf(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(
    listAt(value, 'attributes').map((each) => [
      textAt(each, 'key'),
      textAt(each, 'value', 'stringValue'),
    ]),
  )
}
