/** RocketMQ's keys about metrics that are pushed or logged (BrokerConfig), for each role that has them. */
import { choice, flag, integer, text } from '../config.ts'
import type { ConfigKey, ConfigValues } from '../config.ts'

/** In the order of RocketMQ's numbers for them, which may be given as well. */
const EXPORTER_TYPES = ['DISABLE', 'OTLP_GRPC', 'PROM', 'LOG'] as const
type ExporterType = (typeof EXPORTER_TYPES)[number]

const exporterType = choice('PROM', EXPORTER_TYPES, {
  description:
    'OTLP_GRPC pushes metrics, LOG writes them into the log, as 1 and 3 do; `/metrics` is answered in any case.',
})

const TIME = { unit: 'ms', min: 100, max: 86_400_000 }

export const METRICS_KEYS: {
  readonly metricsExporterType: ConfigKey<ExporterType>
  readonly metricsGrpcExporterTarget: ConfigKey<string>
  readonly metricsGrpcExporterHeader: ConfigKey<string>
  readonly metricGrpcExporterTimeOutInMills: ConfigKey<number>
  readonly metricGrpcExporterIntervalInMills: ConfigKey<number>
  readonly metricLoggingExporterIntervalInMills: ConfigKey<number>
  readonly metricsExportBatchMaxDataPoints: ConfigKey<number>
  readonly metricsLabel: ConfigKey<string>
  readonly metricsInDelta: ConfigKey<boolean>
} = {
  metricsExporterType: {
    ...exporterType,
    parse: (value) =>
      exporterType.parse(EXPORTER_TYPES.find((_, index) => value === String(index)) ?? value),
  },
  metricsGrpcExporterTarget: text('', {
    description: 'Where OTLP_GRPC pushes to: `http://host:port` in plain, else over TLS.',
  }),
  metricsGrpcExporterHeader: text('', {
    description: 'Headers of each push, as name:value,name:value.',
    secret: true,
  }),
  metricGrpcExporterTimeOutInMills: integer(3000, {
    description: 'A push that takes longer has failed.',
    ...TIME,
  }),
  metricGrpcExporterIntervalInMills: integer(60_000, {
    description: 'How often OTLP_GRPC pushes.',
    ...TIME,
  }),
  metricLoggingExporterIntervalInMills: integer(10_000, {
    description: 'How often LOG writes.',
    ...TIME,
  }),
  metricsExportBatchMaxDataPoints: integer(1000, {
    description: 'Points in one push; more go in several.',
    unit: 'points',
    min: 1,
    max: 10_000,
  }),
  metricsLabel: text('', {
    description: 'Labels of every metric, as name:value,name:value.',
  }),
  metricsInDelta: flag(false, {
    description:
      'What is pushed or logged are counts since the last time, not since the start; never in `/metrics`.',
  }),
}

export type MetricsValues = ConfigValues<typeof METRICS_KEYS>

const LABEL_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/u
const HEADER_NAME = /^[a-z0-9_.-]+$/u
const HEADER_VALUE = /^[\u{20}-\u{7e}]+$/u

/** What is wrong across the keys, or null. */
export function metricsProblem(
  values: MetricsValues,
): { readonly key: keyof typeof METRICS_KEYS; readonly problem: string } | null {
  const { metricsExporterType, metricsGrpcExporterTarget: target } = values
  if (metricsExporterType === 'OTLP_GRPC' && targetOf(target) === null) {
    return { key: 'metricsGrpcExporterTarget', problem: `'${target}' is no address to push to` }
  }
  for (const [name, value] of pairsOf(values.metricsGrpcExporterHeader)) {
    if (HEADER_NAME.test(name.toLowerCase()) && HEADER_VALUE.test(value)) continue
    return { key: 'metricsGrpcExporterHeader', problem: `'${name}' is not name:value` }
  }
  for (const [name, value] of pairsOf(values.metricsLabel)) {
    if (LABEL_NAME.test(name) && value !== '') continue
    return { key: 'metricsLabel', problem: `'${name}' is not name:value` }
  }
  return null
}

/** The address as URL; what is not said to be plain is secure, as with Java. */
export function targetOf(target: string): URL | null {
  const url = URL.parse(target.startsWith('http') ? target : `https://${target}`)
  return url === null || url.hostname === '' ? null : url
}

/** `name:value,name:value`. */
export function pairsOf(list: string): readonly (readonly [name: string, value: string])[] {
  return list
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
    .map((item) => {
      const colon = item.indexOf(':')
      return colon < 0 ? [item, ''] : [item.slice(0, colon).trim(), item.slice(colon + 1).trim()]
    })
}
