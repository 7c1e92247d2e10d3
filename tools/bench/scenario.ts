/** What the scenarios of `gantry bench` share: their options, the measured part, and the result. */
import type { Runtime } from '../../common/ports.ts'
import type { SerializeType } from '../../remoting/command.ts'
import type { LatencySummary } from './histogram.ts'
import type { PullTotals } from './pull-totals.ts'
import type { SendDelay } from './send-frames.ts'
import type { SendPlan } from './send-load.ts'
import type { SendTotals } from './send-totals.ts'
import type { Usage } from './server-usage.ts'
import { UsageMeter } from './server-usage.ts'
import { Target } from './target.ts'
import { sleep } from './time.ts'

const PROGRESS_INTERVAL_MS = 1_000
const POLL_MS = 20
const MEGABYTE = 1e6

/** Flags that every scenario takes. */
export interface BenchOptions {
  readonly runtime: Runtime
  readonly nameServers: readonly string[]
  readonly topic: string
  readonly group: string
  readonly queues: number
  readonly bodySize: number
  readonly batch: number
  readonly connections: number
  readonly inFlight: number
  readonly serializeType: SerializeType
  readonly delay: SendDelay
  readonly rate: number
  readonly messages: number
  readonly warmupMs: number
  /** Infinity: until everything has been sent or read. */
  readonly durationMs: number
  readonly timeoutMs: number
  readonly pids: readonly number[]
  readonly run: number
  readonly checksCrc: boolean
  readonly progress: (text: string) => void
  /** Set once the user wants it to end. */
  readonly isInterrupted: () => boolean
}

export interface SendResult {
  readonly sent: number
  readonly acknowledged: number
  /** Messages answered with an error, or never. */
  readonly refused: number
  readonly unanswered: number
  readonly codes: Readonly<Record<string, number>>
  readonly latencyMs: LatencySummary
  /** How late the generator sent, when paced; it is part of the latency. */
  readonly lagMs: LatencySummary | null
}

export interface ConsumeResult {
  readonly messages: number
  readonly bytes: number
  readonly pulls: number
  readonly codes: Readonly<Record<string, number>>
  readonly corrupt: number
  readonly foreign: number
  readonly outOfOrder: number
  readonly duplicates: number
  /** Numbers of senders that never came, between the first and the last that did. */
  readonly gaps: number
  /** Delayed messages that were here before they were due. */
  readonly early: number
  readonly pullLatencyMs: LatencySummary
}

export interface BenchResult {
  readonly scenario: string
  readonly topic: string
  readonly parameters: Readonly<Record<string, number | string>>
  /** The measured part, without the warm-up. */
  readonly seconds: number
  readonly messages: number
  readonly messagesPerSecond: number
  readonly megabytesPerSecond: number
  readonly send: SendResult | null
  readonly consume: ConsumeResult | null
  /** From when a message was due, to be sent or to be delivered, until it was consumed. */
  readonly endToEndMs: LatencySummary | null
  readonly usage: Usage
  readonly details: Readonly<Record<string, unknown>>
  /** Empty: everything was as it should be. */
  readonly problems: readonly string[]
}

/** Runs `body` with a connection to the cluster that is closed afterwards. */
export async function withTarget<Result>(
  options: BenchOptions,
  body: (target: Target) => Promise<Result>,
): Promise<Result> {
  await using target = new Target(options.runtime, options.nameServers)
  return await body(target)
}

export function sendPlanOf(options: BenchOptions): SendPlan {
  return { ...options, topics: 1 }
}

export interface Measured {
  readonly totals: { isMeasuring: boolean }
  /** False: there is nothing left to do. */
  readonly isRunning: () => boolean
  /** Messages so far. */
  readonly count: () => number
  /** Called about every second. */
  readonly onSecond?: () => void
}

export interface Measurement {
  readonly seconds: number
  readonly messages: number
  readonly usage: Usage
}

/** Waits for the warm-up, then for the measured time or the end of the work, telling how it goes. */
export async function measure(
  options: BenchOptions,
  parts: readonly Measured[],
): Promise<Measurement> {
  const [main] = parts
  if (main === undefined) throw new Error('there is nothing to measure')
  const meter = new UsageMeter(options.pids)
  const teller = new Teller(options, parts)
  await teller.wait(options.warmupMs, 'warm-up')
  meter.restart()
  const before = main.count()
  const startedAt = performance.now()
  for (const part of parts) part.totals.isMeasuring = true
  await teller.wait(options.durationMs, 'measured')
  for (const part of parts) part.totals.isMeasuring = false
  const messages = main.count() - before
  return {
    seconds: Math.max((performance.now() - startedAt) / 1000, 0.001),
    messages,
    usage: meter.end(messages),
  }
}

class Teller {
  readonly #options: BenchOptions
  readonly #parts: readonly Measured[]
  #toldAt = performance.now()
  #toldCount = 0

  constructor(options: BenchOptions, parts: readonly Measured[]) {
    this.#options = options
    this.#parts = parts
  }

  async wait(durationMs: number, phase: string): Promise<void> {
    const startedAt = performance.now()
    for (;;) {
      const elapsedMs = performance.now() - startedAt
      if (elapsedMs >= durationMs || this.#options.isInterrupted()) return
      if (!this.#parts.every((part) => part.isRunning())) return
      await sleep(Math.min(POLL_MS, durationMs - elapsedMs))
      if (performance.now() - this.#toldAt >= PROGRESS_INTERVAL_MS) {
        this.#tell(phase, (performance.now() - startedAt) / 1000, durationMs / 1000)
      }
    }
  }

  #tell(phase: string, elapsed: number, all: number): void {
    const now = performance.now()
    const count = this.#parts[0]?.count() ?? 0
    const rate = ((count - this.#toldCount) * 1000) / (now - this.#toldAt)
    const of = Number.isFinite(all) ? ` of ${all.toFixed(0)}` : ''
    this.#options.progress(
      `${phase} ${elapsed.toFixed(0)}${of} s, ${count} messages, ${Math.round(rate)} msg/s`,
    )
    this.#toldAt = now
    this.#toldCount = count
    for (const part of this.#parts) part.onSecond?.()
  }
}

export function sendResultOf(totals: SendTotals): SendResult {
  return {
    sent: totals.sent,
    acknowledged: totals.acknowledged,
    refused: totals.refused,
    unanswered: totals.unanswered,
    codes: totals.codes,
    latencyMs: totals.latency.summary(),
    lagMs: totals.lag.count === 0 ? null : totals.lag.summary(),
  }
}

export function consumeResultOf(totals: PullTotals): ConsumeResult {
  const seen = totals.sequences?.summary()
  return {
    messages: totals.messages,
    bytes: totals.bytes,
    pulls: totals.pulls,
    codes: totals.codes,
    corrupt: totals.corrupt,
    foreign: totals.foreign,
    outOfOrder: totals.disordered,
    duplicates: seen?.duplicates ?? 0,
    gaps: seen?.gaps ?? 0,
    early: totals.early,
    pullLatencyMs: totals.pullLatency.summary(),
  }
}

/** What is wrong with a send load, in sentences. */
export function sendProblems(totals: SendTotals): readonly string[] {
  const problems: string[] = []
  if (totals.refused > 0) problems.push(`${totals.refused} messages were refused`)
  if (totals.unanswered > 0) problems.push(`${totals.unanswered} messages were not answered`)
  if (totals.firstError !== null) problems.push(`the first error: ${totals.firstError}`)
  return problems
}

/** What is wrong with what was consumed, in sentences; `isComplete`: it was everything that was ever sent. */
export function consumeProblems(totals: PullTotals, isComplete: boolean): readonly string[] {
  const seen = totals.sequences?.summary()
  const problems: string[] = []
  if (totals.corrupt > 0) problems.push(`${totals.corrupt} messages are corrupt`)
  if (totals.early > 0) problems.push(`${totals.early} messages came before they were due`)
  if (totals.disordered > 0) problems.push(`${totals.disordered} queue offsets are out of order`)
  if (seen !== undefined && seen.duplicates > 0) {
    problems.push(`${seen.duplicates} messages came twice`)
  }
  if (isComplete && seen !== undefined && seen.gaps > 0) {
    problems.push(`${seen.gaps} sequence numbers are missing: refused when sent, or lost`)
  }
  if (totals.firstError !== null) problems.push(`the first error: ${totals.firstError}`)
  return problems
}

export interface ResultParts {
  readonly scenario: string
  readonly parameters: Readonly<Record<string, number | string>>
  readonly measurement: Measurement
  readonly bytes: number
  readonly send?: SendTotals
  readonly consume?: PullTotals
  readonly details?: Readonly<Record<string, unknown>>
  readonly problems: readonly string[]
}

export function resultOf(options: BenchOptions, parts: ResultParts): BenchResult {
  const { seconds, messages, usage } = parts.measurement
  return {
    scenario: parts.scenario,
    topic: options.topic,
    parameters: parts.parameters,
    seconds: Math.round(seconds * 1000) / 1000,
    messages,
    messagesPerSecond: Math.round(messages / seconds),
    megabytesPerSecond: Math.round((parts.bytes / seconds / MEGABYTE) * 10) / 10,
    send: parts.send === undefined ? null : sendResultOf(parts.send),
    consume: parts.consume === undefined ? null : consumeResultOf(parts.consume),
    endToEndMs:
      parts.consume === undefined || parts.consume.endToEnd.count === 0
        ? null
        : parts.consume.endToEnd.summary(),
    usage,
    details: parts.details ?? {},
    problems: parts.problems,
  }
}
