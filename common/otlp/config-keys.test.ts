import { describe, expect, test } from 'vitest'
import { ConfigError, loadConfig } from '../config.ts'
import { METRICS_KEYS, metricsProblem, pairsOf, targetOf } from './config-keys.ts'

function loaded(entries: Readonly<Record<string, string>>) {
  const list = Object.entries(entries).map(([key, value]) => ({ key, value }))
  return loadConfig({ schema: METRICS_KEYS, sources: [{ origin: 'test', entries: list }] }).values
}

describe('the exporter', () => {
  test.for([
    ['DISABLE', 'DISABLE'],
    ['OTLP_GRPC', 'OTLP_GRPC'],
    ['0', 'DISABLE'],
    ['1', 'OTLP_GRPC'],
    ['2', 'PROM'],
    ['3', 'LOG'],
  ])('%s is %s', ([given, type]) => {
    expect(loaded({ metricsExporterType: String(given) }).metricsExporterType).toBe(type)
  })

  test.for(['otlp', '4', ''])('%s is none', (given) => {
    expect(() => loaded({ metricsExporterType: given })).toThrow(ConfigError)
  })
})

test('an address is secure unless it says that it is plain', () => {
  const origins = ['otel:4317', 'http://otel:4317', 'https://otel', 'http://', 'a b', ''].map(
    (target) => targetOf(target)?.origin ?? null,
  )

  expect(origins).toEqual([
    'https://otel:4317',
    'http://otel:4317',
    'https://otel',
    null,
    null,
    null,
  ])
})

test('pairs are cut at the first colon', () => {
  expect(pairsOf(' a:1, b : x:y ,,c')).toEqual([
    ['a', '1'],
    ['b', 'x:y'],
    ['c', ''],
  ])
})

test.for([
  [{ metricsExporterType: 'OTLP_GRPC' }, 'metricsGrpcExporterTarget'],
  [{ metricsGrpcExporterHeader: 'authorization' }, 'metricsGrpcExporterHeader'],
  [{ metricsGrpcExporterHeader: ':path:/x' }, 'metricsGrpcExporterHeader'],
  [{ metricsLabel: 'my-zone:1' }, 'metricsLabel'],
  [{ metricsLabel: 'zone' }, 'metricsLabel'],
] as const)('%o is refused by its key', ([entries, key]) => {
  expect(metricsProblem(loaded(entries))?.key).toBe(key)
})

test('what is complete is taken', () => {
  const values = loaded({
    metricsExporterType: 'OTLP_GRPC',
    metricsGrpcExporterTarget: 'otel:4317',
    metricsGrpcExporterHeader: 'Authorization:Bearer a:b',
    metricsLabel: 'zone:1,rack:2',
  })

  expect(metricsProblem(values)).toBeNull()
})
