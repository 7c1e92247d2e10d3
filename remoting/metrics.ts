/** Metrics of remoting servers: RocketMQ's `rocketmq_rpc_latency_milliseconds`, and counters of what was refused or closed, by reason. */
import { BucketCounts, Counter, Gauge } from '../common/metrics.ts'
import type { SampledMetric, MetricSample, Registry } from '../common/metrics.ts'
import { requestCodeName } from './request-code.ts'
import { responseCodeName } from './response-code.ts'

const BUCKETS_MS: readonly number[] = [1, 3, 5, 7, 10, 100, 1_000, 2_000, 3_000]
type Label = 'protocol_type' | 'request_code' | 'response_code' | 'is_long_polling' | 'result'

const RESULTS = ['success', 'oneway', 'process_request_failed', 'write_channel_failed'] as const
export type RpcResult = (typeof RESULTS)[number]

/** Why a server or client gave a connection up. `peer` is an orderly end by the other side. */
export type CloseReason =
  | 'peer'
  | 'error'
  | 'local'
  | 'idle'
  | 'halfFrame'
  | 'malformed'
  | 'tooLarge'
  | 'tls'
  | 'proxyProtocol'
  | 'outputLimit'
  | 'tooManyConnections'

export interface RpcSample {
  readonly requestCode: number
  /** Null when nothing was answered. */
  readonly responseCode: number | null
  readonly isLongPolling: boolean
  readonly result: RpcResult
  readonly latencyMs: number
}

interface Cell {
  readonly labels: Readonly<Record<Label, string>>
  readonly latency: BucketCounts
}

/** Counts in plain arrays by number; labels and cumulative buckets are made when somebody scrapes. */
class RpcLatency implements SampledMetric {
  readonly name = 'rocketmq_rpc_latency_milliseconds'
  readonly help = 'Milliseconds from the arrival of a request to its answer'
  readonly type = 'histogram'
  readonly #cells = new Map<number, Cell>()

  record(sample: RpcSample, count: number): void {
    const key = keyOf(sample)
    let cell = this.#cells.get(key)
    if (cell === undefined) {
      cell = newCell(sample)
      this.#cells.set(key, cell)
    }
    cell.latency.add(sample.latencyMs, count)
  }

  *samples(): Iterable<MetricSample> {
    for (const { labels, latency } of this.#cells.values()) yield* latency.samples(labels)
  }
}

/** One number for all labels. Unknown codes share one: a peer must not be able to make new cells. */
function keyOf({ requestCode, responseCode, isLongPolling, result }: RpcSample): number {
  const request = requestCodeName(requestCode) === null ? 0 : requestCode
  const response =
    responseCode === null || responseCodeName(responseCode) === null ? 5_000 : responseCode
  const codes = request * 16_384 + response + 2_000
  return codes * 8 + RESULTS.indexOf(result) * 2 + (isLongPolling ? 1 : 0)
}

function newCell(sample: RpcSample): Cell {
  const { requestCode, responseCode, isLongPolling, result } = sample
  const responseName = responseCode === null ? null : responseCodeName(responseCode)
  return {
    labels: {
      protocol_type: 'remoting',
      request_code: requestCodeName(requestCode)?.toLowerCase() ?? 'unknown',
      response_code: responseName?.toLowerCase() ?? 'unknown',
      is_long_polling: String(isLongPolling),
      result,
    },
    latency: new BucketCounts(BUCKETS_MS),
  }
}

/** What servers report; one object serves all servers of a role (the broker's main and VIP ports). */
export interface RemotingMetrics {
  /** `count` requests (one, when not given) that ended alike. */
  readonly recordRpc: (sample: RpcSample, count?: number) => void
  readonly connectionOpened: () => void
  readonly connectionClosed: (reason: CloseReason) => void
  /** A connection or request that was turned away. */
  readonly rejected: (reason: 'tooManyConnections' | 'unsupportedCode') => void
}

/** Registers the metrics; once per registry. */
export function createRemotingMetrics(registry: Registry): RemotingMetrics {
  const registers = [registry]
  const latency = new RpcLatency()
  registry.registerSampled(latency)
  const connections = new Gauge({
    name: 'rocketmq_remoting_connections',
    help: 'Open remoting connections',
    registers,
  })
  const closed = new Counter({
    name: 'rocketmq_remoting_closed_connections_total',
    help: 'Remoting connections closed, by reason',
    labelNames: ['reason'],
    registers,
  })
  const rejected = new Counter({
    name: 'rocketmq_remoting_rejects_total',
    help: 'Connections and requests turned away, by reason',
    labelNames: ['reason'],
    registers,
  })
  // From 0 on, so that the first one is seen as a rise.
  rejected.inc({ reason: 'tooManyConnections' }, 0)
  rejected.inc({ reason: 'unsupportedCode' }, 0)
  return {
    recordRpc: (sample, count = 1) => latency.record(sample, count),
    connectionOpened: () => connections.inc(),
    connectionClosed: (reason) => {
      connections.dec()
      closed.inc({ reason })
    },
    rejected: (reason) => rejected.inc({ reason }),
  }
}

/** For clients and tests. */
export const NO_METRICS: RemotingMetrics = {
  recordRpc: () => undefined,
  connectionOpened: () => undefined,
  connectionClosed: () => undefined,
  rejected: () => undefined,
}
