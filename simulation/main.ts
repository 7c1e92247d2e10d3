/**
 * `npm run simulate -- [--seed N] [--count M] [--members 3|5] [--operations K] [--workload NAME] [--planted NAME] [--jobs J] [--all]
 * [--replay] [--json] [--trace FILE]`
 *
 * Runs one simulated broker group for each seed from N on, J at a time: as many as there are cores, if nothing is said. The last line
 * is a summary; the exit code is 1 when a rule was broken, and the line says by which seed, and how to see it again.
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { PLANTS, plantOf } from './planted.ts'
import { putUpGuard } from './guard.ts'
import type { Guard } from './guard.ts'
import { NOT_THE_SAME, replay } from './replay.ts'
import { simulate } from './run.ts'
import type { RunResult } from './run.ts'
import { WORKLOADS } from './settings.ts'
import type { WorkloadName } from './settings.ts'

const USAGE = 2
/** Below this many seeds a second thread costs more than it brings. */
const SEEDS_PER_WORKER = 8
const WHOLE_SEEDS_PER_WORKER = 2
const JOBS_MAX = 64
const PROGRESS_MS = 5000
const TRACE_CHARS = 64 * 1024

interface Arguments {
  readonly seed: number
  readonly count: number
  readonly members: number
  readonly operations: number
  readonly planted: string | null
  readonly workload: WorkloadName
  readonly isJson: boolean
  readonly trace: string | null
  readonly jobs: number
  /** Ends with the first broken rule. */
  readonly stopsAtFirst: boolean
  /** Runs each seed twice, and compares all that happens. */
  readonly replays: boolean
}

interface Totals {
  seeds: number
  /** Seeds whose second run was the first one to the bit. */
  identical: number
  steps: number
  operations: number
  acknowledged: number
  faults: number
  readonly failures: RunResult[]
}

async function main(): Promise<void> {
  const given = parse(process.argv.slice(2))
  const totals: Totals = {
    seeds: 0,
    identical: 0,
    steps: 0,
    operations: 0,
    acknowledged: 0,
    faults: 0,
    failures: [],
  }
  const startedAt = performance.now()
  const seconds = (): number => (performance.now() - startedAt) / 1000
  if (!given.isJson) {
    console.log(`seeds ${given.seed} to ${given.seed + given.count - 1}, ${given.members} members`)
  }
  const progress = setInterval(() => {
    const perSecond = (totals.seeds / seconds()).toFixed(1)
    if (!given.isJson) console.log(`${totals.seeds} of ${given.count} seeds, ${perSecond} seeds/s`)
  }, PROGRESS_MS)
  await runAll(given, (result) => add(totals, result))
  clearInterval(progress)
  report(given, totals, seconds())
  process.exitCode = totals.failures.length > 0 ? 1 : 0
}

function parse(args: readonly string[]): Arguments {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string', default: '1' },
      count: { type: 'string', default: '1' },
      members: { type: 'string', default: '3' },
      operations: { type: 'string', default: '2000' },
      planted: { type: 'string' },
      workload: { type: 'string', default: 'store' },
      jobs: { type: 'string', default: String(availableParallelism()) },
      json: { type: 'boolean', default: false },
      trace: { type: 'string' },
      all: { type: 'boolean', default: false },
      replay: { type: 'boolean', default: false },
    },
  })
  const number = (
    name: 'seed' | 'count' | 'members' | 'operations' | 'jobs',
    max: number,
  ): number => {
    const value = Number(values[name])
    if (!Number.isSafeInteger(value) || value < 1 || value > max) {
      fail(`--${name} ${values[name]}: a number from 1 to ${max} is needed`)
    }
    return value
  }
  const planted = values.planted ?? null
  if (planted !== null && plantOf(planted) === null) {
    fail(`--planted ${planted}: there is ${PLANTS.map(({ name }) => name).join(', ')}`)
  }
  const workload = WORKLOADS.find((name) => name === values.workload)
  if (workload === undefined) {
    fail(`--workload ${values.workload}: there is ${WORKLOADS.join(', ')}`)
  }
  const count = number('count', 1_000_000_000)
  const trace = values.trace ?? null
  if (trace !== null && count !== 1) fail('--trace is for one seed')
  if (trace !== null && values.replay) fail('--trace is for one run, --replay makes two')
  return {
    seed: number('seed', 2 ** 31),
    count,
    members: number('members', 7),
    operations: number('operations', 1_000_000),
    planted,
    workload,
    isJson: values.json,
    trace,
    jobs: number('jobs', JOBS_MAX),
    stopsAtFirst: !values.all,
    replays: values.replay,
  }
}

function fail(problem: string): never {
  console.error(`simulate: ${problem}`)
  process.exit(USAGE)
}

/** Seeds are dealt out one by one, so that the slow ones are spread. */
async function runAll(given: Arguments, onResult: (result: RunResult) => void): Promise<void> {
  const perWorker = given.workload === 'store' ? SEEDS_PER_WORKER : WHOLE_SEEDS_PER_WORKER
  const count = Math.min(given.jobs, Math.ceil(given.count / perWorker))
  if (count === 1) {
    await runHere(given, onResult)
    return
  }
  const end = given.seed + given.count
  let next = given.seed
  let isOver = false
  const work = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL(import.meta.url), {
        workerData: given,
        // Events leave much behind that is garbage at once.
        resourceLimits: { maxYoungGenerationSizeMb: 64 },
      })
      const deal = (): void => tell(worker, isOver || next >= end ? null : next++)
      worker.on('message', (result: RunResult) => {
        onResult(result)
        isOver ||= given.stopsAtFirst && result.violation !== null
        deal()
      })
      worker.on('error', reject)
      worker.on('exit', () => resolve())
      deal()
    })
  await Promise.all(Array.from({ length: count }, work))
}

async function runHere(given: Arguments, onResult: (result: RunResult) => void): Promise<void> {
  const trace = given.trace === null ? null : new TraceFile(given.trace)
  const guard = putUpGuard()
  for (let seed = given.seed; seed < given.seed + given.count; seed++) {
    const result = await runOne({ ...given, seed }, guard, trace)
    onResult(result)
    if (given.stopsAtFirst && result.violation !== null) break
  }
  guard.remove()
  trace?.close()
}

function runOne(given: Arguments, guard: Guard, trace: TraceFile | null): Promise<RunResult> {
  return given.replays ? replay(given, guard) : simulate(given, trace?.add ?? null, guard)
}

/** Written before the run goes on: a pipe gets all of it, also when the process ends at once. */
class TraceFile {
  readonly #file: number
  #text = ''

  constructor(path: string) {
    this.#file = openSync(path, 'w')
  }

  readonly add = (line: string): void => {
    this.#text += `${line}\n`
    if (this.#text.length > TRACE_CHARS) this.#write()
  }

  close(): void {
    this.#write()
    closeSync(this.#file)
  }

  #write(): void {
    const bytes = Buffer.from(this.#text)
    this.#text = ''
    for (let at = 0; at < bytes.length;) at += writeSync(this.#file, bytes, at)
  }
}

function runWorker(given: Arguments): void {
  const guard = putUpGuard()
  parentPort?.on('message', (seed: number | null) => {
    if (seed === null) {
      parentPort?.close()
      return
    }
    void runOne({ ...given, seed }, guard, null).then((result) => tell(parentPort, result))
  })
}

function tell(port: Pick<Worker, 'postMessage'> | null, message: unknown): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  port?.postMessage(message)
}

function add(totals: Totals, result: RunResult): void {
  totals.seeds++
  if (result.violation?.rule !== NOT_THE_SAME) totals.identical++
  totals.steps += result.steps
  totals.operations += result.counts['operations'] ?? 0
  totals.acknowledged += result.counts['acknowledged'] ?? 0
  for (const count of Object.values(result.faults)) totals.faults += count
  if (result.violation !== null) totals.failures.push(result)
}

function report(given: Arguments, totals: Totals, seconds: number): void {
  const { seeds, identical, steps, operations, acknowledged, faults, failures } = totals
  if (given.isJson) {
    console.log(JSON.stringify({ ...totals, seconds, members: given.members }))
    return
  }
  const inOrder = failures.toSorted((left, right) => left.seed - right.seed)
  // Of threads that stop at the first broken rule others may have found one of a later seed.
  for (const { seed, violation } of given.stopsAtFirst ? inOrder.slice(0, 1) : inOrder) {
    if (violation === null) continue
    console.log(`seed ${seed}, step ${violation.step}: ${violation.rule}\n  ${violation.message}`)
    const workload = given.workload === 'store' ? '' : ` --workload ${given.workload}`
    const planted = given.planted === null ? '' : ` --planted ${given.planted}`
    console.log(
      `  again: npm run simulate -- --seed ${seed} --members ${given.members}` +
        ` --operations ${given.operations}${workload}${planted} --trace trace.txt`,
    )
  }
  if (given.replays) console.log(`${identical} of ${seeds} replays identical`)
  console.log(
    `${seeds} seeds, ${failures.length} broken; ${operations} operations, ${acknowledged} acknowledged, ${faults} faults, ` +
      `${steps} steps; ${seconds.toFixed(1)} s, ${(seeds / seconds).toFixed(1)} seeds/s`,
  )
}

if (isMainThread) await main()
else runWorker(workerData as Arguments)
