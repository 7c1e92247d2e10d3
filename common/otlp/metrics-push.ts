/**
 * Pushes a registry's metrics every so often: to a collector of OpenTelemetry, or into the log.
 *
 * One push at a time, and none waits for it; what has not arrived is told by the next one, since a count since the last time is one since
 * the last time that arrived.
 */
import { messageOf } from '../errors.ts'
import { deltaOf, headOf, pointsOf } from './metric-points.ts'
import type { MetricHead, Point } from './metric-points.ts'
import type { MetricsRequest, PushedMetric, Temporality, TimedPoint } from './metrics-request.ts'
import type { Logger } from '../log.ts'
import type { MetricLabels, Registry } from '../metrics.ts'
import type { Clock, Timer, Timers } from '../ports.ts'

export type PushedBatch = Pick<MetricsRequest, 'temporality' | 'metrics'>

/** Takes the batches of a push, one after the other. */
export interface MetricsReceiver {
  /** For the log. */
  readonly name: string
  /** Rejects when it has not arrived; resolves with what the receiver has against a part of it, else null. */
  deliver(batch: PushedBatch): Promise<string | null>
  /** Nothing more comes in this push. */
  end(): void
}

export interface MetricsPushOptions {
  readonly registry: Registry
  readonly receiver: MetricsReceiver
  readonly intervalMs: number
  readonly temporality: Temporality
  /** Points of a batch. */
  readonly batchMax: number
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
}

interface Delivered {
  readonly point: Point
  readonly timestamp: number
  /** The push that told it. */
  readonly number: number
}

export class MetricsPush {
  readonly #options: MetricsPushOptions
  readonly #startedAt: number
  readonly #labels: MetricLabels
  /** By metric and labels, what the receiver has; for counts since the last time only. */
  readonly #delivered = new Map<string, Delivered>()
  readonly #results = { success: 0, failure: 0 }
  #timer: Timer | null = null
  #running: Promise<void> | null = null
  /** Of the push under way. */
  #number = 0
  #isFailing = false
  #isClosed = false

  constructor(options: MetricsPushOptions) {
    const { registry, clock, temporality } = options
    this.#options = options
    this.#startedAt = clock.now()
    const aggregation = temporality === 'delta' ? { aggregation: 'delta' } : {}
    this.#labels = { ...registry.commonLabels, ...aggregation }
    registry.registerSampled({
      name: 'rocketmq_metrics_pushes_total',
      help: 'Pushes of these metrics, by result',
      type: 'counter',
      samples: () =>
        Object.entries(this.#results).map(([result, value]) => ({
          suffix: '',
          labels: { result },
          value,
        })),
    })
  }

  start(): void {
    this.#timer = this.#options.timers.every(this.#options.intervalMs, () => void this.push())
  }

  /** Tells what has come since the last push, unless that one failed, and closes. */
  async finish(): Promise<void> {
    this.#timer?.cancel()
    await this.#running
    if (!this.#isFailing) await this.push()
    await this.close()
  }

  /** Drops what is under way. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#options.receiver.end()
    await this.#running
  }

  /** Pushes now; joins the push that is under way. Never rejects. */
  push(): Promise<void> {
    this.#running ??= this.#push().finally(() => {
      this.#running = null
    })
    return this.#running
  }

  async #push(): Promise<void> {
    const { receiver, logger } = this.#options
    const problem = await this.#deliverAll().catch((error: unknown) => messageOf(error))
    receiver.end()
    if (this.#isClosed) return
    if (problem === null) {
      this.#results.success++
      if (this.#isFailing) logger.info({ receiver: receiver.name }, 'metrics are pushed again')
    } else {
      this.#results.failure++
      if (!this.#isFailing) {
        logger.warn({ receiver: receiver.name, problem }, 'metrics are not pushed')
      }
    }
    this.#isFailing = problem !== null
  }

  /** What is wrong with a part, or null. */
  async #deliverAll(): Promise<string | null> {
    const { registry, clock, batchMax } = this.#options
    let problem: string | null = null
    const timestamp = clock.now()
    this.#number++
    let batch = new Batch()
    for await (const family of registry.families()) {
      if (this.#isClosed) return null
      const head = headOf(family)
      for (const each of pointsOf(family)) {
        const point = { ...each, labels: { ...this.#labels, ...each.labels } }
        batch.add(head, point, this.#timed(head, point, timestamp))
        if (batch.size < batchMax) continue
        problem = (await this.#deliver(batch, timestamp)) ?? problem
        batch = new Batch()
      }
    }
    if (batch.size > 0) problem = (await this.#deliver(batch, timestamp)) ?? problem
    // Series that are no more.
    for (const [key, last] of this.#delivered) {
      if (last.number !== this.#number) this.#delivered.delete(key)
    }
    return problem
  }

  #timed(head: MetricHead, point: Point, timestamp: number): TimedPoint {
    if (head.type === 'gauge') return { point, startTimestamp: 0, timestamp }
    const before = this.#delivered.get(keyOf(head, point))
    if (before === undefined) return { point, startTimestamp: this.#startedAt, timestamp }
    return { point: deltaOf(point, before.point), startTimestamp: before.timestamp, timestamp }
  }

  async #deliver(batch: Batch, timestamp: number): Promise<string | null> {
    const { receiver, temporality } = this.#options
    const problem = await receiver.deliver({ temporality, metrics: batch.metrics })
    if (temporality === 'cumulative') return problem
    // Also of what was rejected: the protocol forbids to send it again.
    for (const { head, point } of batch.counted) {
      this.#delivered.set(keyOf(head, point), { point, timestamp, number: this.#number })
    }
    return problem
  }
}

class Batch {
  readonly metrics: PushedMetric[] = []
  /** Counts as the registry has them. */
  readonly counted: { readonly head: MetricHead; readonly point: Point }[] = []
  size = 0
  #head: MetricHead | null = null
  #points: TimedPoint[] = []

  add(head: MetricHead, point: Point, timed: TimedPoint): void {
    if (head !== this.#head) {
      this.#head = head
      this.#points = []
      this.metrics.push({ head, points: this.#points })
    }
    this.#points.push(timed)
    this.size++
    if (head.type !== 'gauge') this.counted.push({ head, point })
  }
}

function keyOf({ name }: MetricHead, { labels }: Point): string {
  return `${name}\0${Object.entries(labels).flat().join('\0')}`
}
