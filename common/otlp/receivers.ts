/** Where metrics are pushed to, by what the configuration says. */
import assert from 'node:assert/strict'
import { pairsOf, targetOf } from './config-keys.ts'
import { GrpcChannel } from './grpc-channel.ts'
import { MetricsPush } from './metrics-push.ts'
import { encodeMetricsRequest, metricJson, rejectionIn } from './metrics-request.ts'
import type { MetricsValues } from './config-keys.ts'
import type { MetricsReceiver, PushedBatch } from './metrics-push.ts'
import type { MetricsRequest } from './metrics-request.ts'
import type { Logger } from '../log.ts'
import type { Registry } from '../metrics.ts'
import type { Runtime } from '../ports.ts'

const PATH = '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export'

export interface StartMetricsPushOptions {
  readonly values: MetricsValues
  readonly registry: Registry
  /** What tells this process from the others of its kind. */
  readonly instance: string
  readonly runtime: Pick<Runtime, 'clock' | 'timers'>
  readonly logger: Logger
}

const NO_PUSH: Pick<MetricsPush, 'finish' | 'close'> = {
  finish: () => Promise.resolve(),
  close: () => Promise.resolve(),
}

/** Starts to push, when the configuration asks for it. */
export function startMetricsPush(
  options: StartMetricsPushOptions,
): Pick<MetricsPush, 'finish' | 'close'> {
  const { values, registry, runtime, logger } = options
  const receiver = receiverOf(options)
  if (receiver === null) return NO_PUSH
  const { clock, timers } = runtime
  const push = new MetricsPush({
    registry,
    receiver,
    intervalMs:
      values.metricsExporterType === 'LOG'
        ? values.metricLoggingExporterIntervalInMills
        : values.metricGrpcExporterIntervalInMills,
    temporality: values.metricsInDelta ? 'delta' : 'cumulative',
    batchMax: values.metricsExportBatchMaxDataPoints,
    clock,
    timers,
    logger,
  })
  push.start()
  return push
}

function receiverOf(options: StartMetricsPushOptions): MetricsReceiver | null {
  const { metricsExporterType: type } = options.values
  switch (type) {
    case 'OTLP_GRPC':
      return collector(options)
    case 'LOG':
      return new LogReceiver(options.logger)
    case 'PROM':
    case 'DISABLE':
      return null
  }
}

function collector(options: StartMetricsPushOptions): MetricsReceiver {
  const { values, registry, instance, runtime } = options
  const target = targetOf(values.metricsGrpcExporterTarget)
  assert(target !== null, 'the configuration has been checked')
  const { cluster = '', node_type: nodeType = '' } = registry.commonLabels
  const headers = pairsOf(values.metricsGrpcExporterHeader)
  return new OtlpReceiver(
    new GrpcChannel({
      target,
      headers: Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value])),
      timeoutMs: values.metricGrpcExporterTimeOutInMills,
      timers: runtime.timers,
    }),
    target.origin,
    {
      resource: {
        'service.name': `rocketmq-${nodeType}`,
        'service.namespace': cluster,
        'service.instance.id': instance,
      },
      scope: `${nodeType}-meter`,
    },
  )
}

class OtlpReceiver implements MetricsReceiver {
  readonly name: string
  readonly #channel: GrpcChannel
  readonly #source: Pick<MetricsRequest, 'resource' | 'scope'>

  constructor(
    channel: GrpcChannel,
    name: string,
    source: Pick<MetricsRequest, 'resource' | 'scope'>,
  ) {
    this.name = name
    this.#channel = channel
    this.#source = source
  }

  async deliver(batch: PushedBatch): Promise<string | null> {
    const request = encodeMetricsRequest({ ...this.#source, ...batch })
    return rejectionIn(await this.#channel.call(PATH, request))
  }

  end(): void {
    this.#channel.close()
  }
}

class LogReceiver implements MetricsReceiver {
  readonly name = 'log'
  readonly #logger: Logger

  constructor(logger: Logger) {
    this.#logger = logger
  }

  deliver({ metrics, temporality }: PushedBatch): Promise<null> {
    for (const metric of metrics) {
      this.#logger.info({ metric: metricJson(metric, temporality) }, 'a metric')
    }
    return Promise.resolve(null)
  }

  end(): void {
    // The log stays.
  }
}
