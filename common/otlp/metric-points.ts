/** A registry's metrics in the model of OpenTelemetry: the unit apart from the name, and the buckets of a histogram each for itself. */
import type { MetricFamily, MetricLabels, MetricSample } from '../metrics.ts'

export interface NumberPoint {
  readonly type: 'number'
  readonly labels: MetricLabels
  readonly value: number
}

export interface HistogramPoint {
  readonly type: 'histogram'
  readonly labels: MetricLabels
  readonly count: number
  readonly sum: number
  /** Upper bounds, inclusive; the last count is of what is above them all. */
  readonly bounds: readonly number[]
  readonly bucketCounts: readonly number[]
}

export type Point = NumberPoint | HistogramPoint

/** What is told with a metric besides its points. */
export interface MetricHead {
  readonly name: string
  readonly description: string
  readonly unit: string
  readonly type: 'counter' | 'gauge' | 'histogram'
}

/** Prometheus has the unit of an instrument behind its name. */
const UNIT = /_(milliseconds|seconds|bytes)$/u
/** Instruments that RocketMQ itself names with it. */
const NAMED_WITH_UNIT: ReadonlySet<string> = new Set([
  'rocketmq_storage_flush_behind_bytes',
  'rocketmq_storage_dispatch_behind_bytes',
])

export function headOf({ name, help, type }: Omit<MetricFamily, 'samples'>): MetricHead {
  const unit = UNIT.exec(name)?.[1] ?? ''
  const isBare = unit === '' || NAMED_WITH_UNIT.has(name)
  return {
    name: isBare ? name : name.slice(0, -unit.length - 1),
    description: help,
    unit,
    type,
  }
}

export function pointsOf({ type, samples }: MetricFamily): Iterable<Point> {
  if (type === 'histogram') return histogramPoints(samples)
  return samples.map(({ labels, value }) => ({ type: 'number', labels, value }))
}

/** Samples of one histogram follow each other: its buckets, each with all that are below it, then sum and count. */
function* histogramPoints(samples: readonly MetricSample[]): Iterable<Point> {
  let bounds: number[] = []
  let bucketCounts: number[] = []
  let below = 0
  let sum = 0
  for (const { suffix, labels, value } of samples) {
    if (suffix === '_bucket') {
      const { le = '+Inf' } = labels
      if (le !== '+Inf') bounds.push(Number(le))
      bucketCounts.push(value - below)
      below = value
    } else if (suffix === '_sum') {
      sum = value
    } else {
      yield { type: 'histogram', labels, count: value, sum, bounds, bucketCounts }
      bounds = []
      bucketCounts = []
      below = 0
    }
  }
}

/** What has come since `before`. A count that has fallen began anew. */
export function deltaOf(now: Point, before: Point | undefined): Point {
  if (now.type === 'number') {
    const earlier = before?.type === 'number' ? before.value : 0
    return { ...now, value: now.value < earlier ? now.value : now.value - earlier }
  }
  if (before?.type !== 'histogram') return now
  const bucketCounts = now.bucketCounts.map(
    (count, index) => count - (before.bucketCounts[index] ?? 0),
  )
  if (bucketCounts.some((count) => count < 0)) return now
  return {
    ...now,
    count: now.count - before.count,
    sum: now.sum - before.sum,
    bucketCounts,
  }
}
