import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { encodeMetricsRequest, metricJson, rejectionIn } from './metrics-request.ts'
import type { MetricsRequest, PushedMetric, Temporality } from './metrics-request.ts'

const START = 1_764_000_000_000
const NOW = 1_764_000_060_123

const METRICS: readonly PushedMetric[] = [
  {
    head: {
      name: 'rocketmq_storage_size',
      description: 'Bytes in use',
      unit: 'bytes',
      type: 'gauge',
    },
    points: [
      gaugePoint({ storage_type: 'local', cluster: '' }, 0),
      gaugePoint({ storage_type: 'remote' }, -1.5),
    ],
  },
  {
    head: {
      name: 'rocketmq_messages_in_total',
      description: 'Messages: ä漢',
      unit: '',
      type: 'counter',
    },
    points: [
      {
        point: {
          type: 'number',
          labels: { topic: 'Orders', cluster: 'c' },
          value: Number.MAX_SAFE_INTEGER,
        },
        startTimestamp: START,
        timestamp: NOW,
      },
    ],
  },
  {
    head: {
      name: 'rocketmq_rpc_latency',
      description: 'x'.repeat(300),
      unit: 'milliseconds',
      type: 'histogram',
    },
    points: [
      {
        point: {
          type: 'histogram',
          labels: { request_code: 'send_message', le: '+Inf' },
          count: 6,
          sum: 12.25,
          bounds: [1, 3, 100],
          bucketCounts: [0, 4, 0, 2],
        },
        startTimestamp: START,
        timestamp: NOW,
      },
      {
        point: {
          type: 'histogram',
          labels: {},
          count: 0,
          sum: 0,
          bounds: [],
          bucketCounts: [0],
        },
        startTimestamp: START,
        timestamp: NOW,
      },
    ],
  },
]

function gaugePoint(labels: Readonly<Record<string, string>>, value: number) {
  return {
    point: { type: 'number', labels, value },
    startTimestamp: 0,
    timestamp: NOW,
  } as const
}

function requestOf(temporality: Temporality): MetricsRequest {
  return {
    resource: { 'service.name': 'rocketmq-broker', 'service.instance.id': 'host-1:5557' },
    scope: 'broker-meter',
    temporality,
    metrics: METRICS,
  }
}

// The .bin is what the official Go module makes of the .json: e2e/otlp/bin/otlp-receiver encode <cumulative.json >cumulative.bin
test.for(['cumulative', 'delta'] as const)(
  'a request of %s counts is, byte for byte, what the official definitions make of it',
  (temporality) => {
    const golden = readFileSync(new URL(`testdata/${temporality}.bin`, import.meta.url))

    expect(encodeMetricsRequest(requestOf(temporality)).toString('hex')).toBe(
      golden.toString('hex'),
    )
  },
)

test('metrics in JSON are those of the official definitions', () => {
  const file = new URL('testdata/delta.json', import.meta.url)
  const golden: unknown = JSON.parse(readFileSync(file, 'utf8'))
  const metrics = METRICS.map((metric) => metricJson(metric, 'delta'))

  expect(golden).toMatchObject({ resourceMetrics: [{ scopeMetrics: [{ metrics }] }] })
})

test('an answer tells what was rejected', () => {
  const partial = Buffer.concat([Buffer.from([0x08, 0xac, 0x02, 0x12, 3]), Buffer.from('why')])

  expect(rejectionIn(Buffer.concat([Buffer.from([0x0a, partial.length]), partial]))).toBe(
    '300 points rejected: why',
  )
  expect(rejectionIn(Buffer.from([0x0a, 0]))).toBeNull()
  expect(rejectionIn(Buffer.alloc(0))).toBeNull()
})
