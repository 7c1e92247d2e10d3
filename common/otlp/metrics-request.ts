/** `ExportMetricsServiceRequest` of opentelemetry-proto (metrics/v1) as protobuf, and its metrics as JSON. Numbers are fields of the definition. */
import { protobufFields } from './protobuf-fields.ts'
import { ProtobufWriter } from './protobuf-writer.ts'
import type { MetricHead, Point } from './metric-points.ts'
import type { MetricLabels } from '../metrics.ts'

export const TEMPORALITY = { delta: 1, cumulative: 2 } as const
export type Temporality = keyof typeof TEMPORALITY

export interface TimedPoint {
  readonly point: Point
  /** Milliseconds since 1970, between which it was counted. */
  readonly startTimestamp: number
  readonly timestamp: number
}

export interface PushedMetric {
  readonly head: MetricHead
  readonly points: readonly TimedPoint[]
}

export interface MetricsRequest {
  /** Of the process. */
  readonly resource: MetricLabels
  /** The name of the instrumentation scope. */
  readonly scope: string
  readonly temporality: Temporality
  readonly metrics: readonly PushedMetric[]
}

export function encodeMetricsRequest(request: MetricsRequest): Buffer {
  const { resource, scope, temporality, metrics } = request
  const writer = new ProtobufWriter()
  writer.message(1, () => {
    writer.message(1, () => writeAttributes(writer, 1, resource))
    writer.message(2, () => {
      writer.message(1, () => writer.string(1, scope))
      for (const metric of metrics)
        writer.message(2, () => writeMetric(writer, metric, temporality))
    })
  })
  return writer.finish()
}

const DATA_FIELD = { gauge: 5, counter: 7, histogram: 9 } as const

function writeMetric(
  writer: ProtobufWriter,
  { head, points }: PushedMetric,
  temporality: Temporality,
): void {
  writer.string(1, head.name)
  writer.string(2, head.description)
  writer.string(3, head.unit)
  writer.message(DATA_FIELD[head.type], () => {
    for (const point of points) writer.message(1, () => writePoint(writer, point))
    if (head.type === 'gauge') return
    writer.uint32(2, TEMPORALITY[temporality])
    if (head.type === 'counter') writer.uint32(3, 1)
  })
}

function writePoint(
  writer: ProtobufWriter,
  { point, startTimestamp, timestamp }: TimedPoint,
): void {
  writer.fixed64(2, nanosecondsOf(startTimestamp))
  writer.fixed64(3, nanosecondsOf(timestamp))
  if (point.type === 'number') {
    writeAttributes(writer, 7, point.labels)
    writer.double(4, point.value)
    return
  }
  writer.fixed64(4, BigInt(point.count))
  writer.double(5, point.sum)
  writer.packedFixed64(6, point.bucketCounts)
  writer.packedDoubles(7, point.bounds)
  writeAttributes(writer, 9, point.labels)
}

function writeAttributes(writer: ProtobufWriter, field: number, labels: MetricLabels): void {
  for (const [name, value] of attributesOf(labels)) {
    writer.message(field, () => {
      writer.string(1, name)
      writer.message(2, () => writer.string(1, value))
    })
  }
}

/** An empty label is none, and `le` is told by the bounds. */
function* attributesOf(labels: MetricLabels): Iterable<readonly [name: string, value: string]> {
  for (const name of Object.keys(labels)) {
    const value = labels[name] ?? ''
    if (value !== '' && name !== 'le') yield [name, value]
  }
}

/** What `ExportMetricsServiceResponse` says of points that were not taken, or null; throws when it is none. */
export function rejectionIn(response: Buffer): string | null {
  let count = 0
  let text = ''
  for (const { field, value } of protobufFields(response)) {
    if (field !== 1 || typeof value === 'number') continue
    for (const part of protobufFields(value)) {
      if (part.field === 1 && typeof part.value === 'number') count = part.value
      if (part.field === 2 && typeof part.value !== 'number') text = part.value.toString('utf8')
    }
  }
  return count === 0 && text === '' ? null : `${count} points rejected: ${text}`
}

/** The metric as OTLP has it in JSON. */
export function metricJson({ head, points }: PushedMetric, temporality: Temporality): object {
  const { name, description, unit, type } = head
  const dataPoints = points.map((point) => pointJson(point))
  const aggregationTemporality = TEMPORALITY[temporality]
  if (type === 'gauge') return { name, description, unit, gauge: { dataPoints } }
  if (type === 'histogram') {
    return { name, description, unit, histogram: { dataPoints, aggregationTemporality } }
  }
  const sum = { dataPoints, aggregationTemporality, isMonotonic: true }
  return { name, description, unit, sum }
}

function pointJson({ point, startTimestamp, timestamp }: TimedPoint): object {
  const common = {
    attributes: Array.from(attributesOf(point.labels), ([key, value]) => ({
      key,
      value: { stringValue: value },
    })),
    startTimeUnixNano: String(nanosecondsOf(startTimestamp)),
    timeUnixNano: String(nanosecondsOf(timestamp)),
  }
  if (point.type === 'number') return { ...common, asDouble: point.value }
  return {
    ...common,
    count: String(point.count),
    sum: point.sum,
    bucketCounts: point.bucketCounts.map((count) => String(count)),
    explicitBounds: point.bounds,
  }
}

function nanosecondsOf(timestamp: number): bigint {
  return BigInt(Math.round(timestamp)) * 1_000_000n
}
