/** The operator's own metrics (prefix `rocketmq_operator_`), most of them read off what the runtime already knows. */
import { Counter, Gauge, Histogram, Registry } from '../common/metrics.ts'
import { listAt, textAt, valueAt } from './json.ts'
import type { EventRecorder, KubeObject } from './ports.ts'
import type { RestartCause } from './reflector.ts'
import type { WorkPass } from './work-queue.ts'

/** The action of Events that tell of a change which was only seen. */
const OBSERVED = 'reconcile'
const SECONDS_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

export interface OperatorMetricsSources {
  readonly queueDepth: () => number
  readonly isLeading: () => boolean
  readonly droppedEvents: () => number
  /** Kind -> milliseconds since its watch last said anything; the worst of its namespaces. */
  readonly watchQuietMs: () => ReadonlyMap<string, number>
  readonly clusters: () => readonly KubeObject[]
}

export interface OperatorMetrics {
  readonly registry: Registry
  passDone(pass: WorkPass): void
  watchRestarted(kind: string, cause: RestartCause): void
  apiCalled(call: {
    readonly method: string
    readonly path: string
    readonly code: number
    readonly seconds: number
  }): void
  acted(action: string, reason: string): void
}

export function createOperatorMetrics(sources: OperatorMetricsSources): OperatorMetrics {
  const registry = new Registry()
  const registers = [registry]
  const reconciles = new Counter({
    name: 'rocketmq_operator_reconcile_total',
    help: 'Reconcile passes.',
    labelNames: ['kind', 'result'],
    registers,
  })
  const reconcileSeconds = new Histogram({
    name: 'rocketmq_operator_reconcile_seconds',
    help: 'Duration of a reconcile pass.',
    labelNames: ['kind'],
    buckets: SECONDS_BUCKETS,
    registers,
  })
  const waitSeconds = new Histogram({
    name: 'rocketmq_operator_queue_wait_seconds',
    help: 'Time a key waited for a worker.',
    buckets: SECONDS_BUCKETS,
    registers,
  })
  const acts = new Counter({
    name: 'rocketmq_operator_acts_total',
    help: 'Acts on running clusters, as they were recorded in Events.',
    labelNames: ['act', 'reason'],
    registers,
  })
  const watchRestarts = new Counter({
    name: 'rocketmq_operator_watch_restarts_total',
    help: 'Watches that did not end in an orderly way.',
    labelNames: ['kind', 'cause'],
    registers,
  })
  const apiSeconds = new Histogram({
    name: 'rocketmq_operator_api_seconds',
    help: 'Duration of calls to the API server; code 0: no answer.',
    labelNames: ['verb', 'resource', 'code'],
    buckets: SECONDS_BUCKETS,
    registers,
  })
  addGauges(registers, sources)
  addClusterGauges(registers, sources)

  return {
    registry,
    passDone({ result, waitedMs, tookMs }) {
      reconciles.inc({ kind: 'RocketMQCluster', result })
      reconcileSeconds.observe({ kind: 'RocketMQCluster' }, tookMs / 1000)
      waitSeconds.observe(waitedMs / 1000)
    },
    watchRestarted: (kind, cause) => watchRestarts.inc({ kind, cause }),
    apiCalled({ method, path, code, seconds }) {
      apiSeconds.observe({ verb: method, resource: resourceOf(path), code: String(code) }, seconds)
    },
    acted: (act, reason) => acts.inc({ act, reason }),
  }
}

/** An EventRecorder that also counts the acts it is told of: what was done, not what was seen or failed. */
export function countActs(recorder: EventRecorder, metrics: OperatorMetrics): EventRecorder {
  return {
    record(regarding, event) {
      const isAct = event.type === 'Normal' && event.action !== OBSERVED
      if (isAct) metrics.acted(event.action, event.reason)
      recorder.record(regarding, event)
    },
  }
}

function addGauges(registers: Registry[], sources: OperatorMetricsSources): void {
  gauge(registers, 'queue_depth', 'Clusters that wait for a worker.', () => sources.queueDepth())
  gauge(registers, 'leader', '1 while this operator holds the Lease.', () =>
    sources.isLeading() ? 1 : 0,
  )
  gauge(registers, 'events_dropped', 'Events that could not be written.', () =>
    sources.droppedEvents(),
  )
  const quiet: Gauge<'kind'> = new Gauge({
    name: 'rocketmq_operator_watch_last_event_seconds',
    help: 'Time since the API server last said anything on the watch of a kind.',
    labelNames: ['kind'],
    registers,
    collect: () => {
      for (const [kind, quietMs] of sources.watchQuietMs()) quiet.set({ kind }, quietMs / 1000)
    },
  })
}

/** What the clusters' own status says; absent for a cluster without one. */
function addClusterGauges(registers: Registry[], sources: OperatorMetricsSources): void {
  const conditions: Gauge<'ns' | 'name' | 'type'> = new Gauge({
    name: 'rocketmq_operator_cluster_condition',
    help: '1: the condition is True, 0: False, -1: Unknown.',
    labelNames: ['ns', 'name', 'type'],
    registers,
    collect: () => {
      conditions.reset()
      for (const cluster of sources.clusters()) {
        for (const { type, status } of conditionsOf(cluster)) {
          conditions.set({ ...namesOf(cluster), type }, valueOf(status))
        }
      }
    },
  })
  const planLength: Gauge<'ns' | 'cluster'> = new Gauge({
    name: 'rocketmq_operator_plan_length',
    help: 'Actions that are still to be done.',
    labelNames: ['ns', 'cluster'],
    registers,
    collect: () => {
      planLength.reset()
      for (const cluster of sources.clusters()) {
        const { ns, name } = namesOf(cluster)
        planLength.set({ ns, cluster: name }, listAt(cluster.status, 'plan').length)
      }
    },
  })
  const remaining: Gauge<'ns' | 'group'> = new Gauge({
    name: 'rocketmq_operator_drain_remaining_messages',
    help: 'Messages that a group which is being removed still holds for its consumers.',
    labelNames: ['ns', 'group'],
    registers,
    collect: () => {
      remaining.reset()
      for (const cluster of sources.clusters()) {
        for (const { group, messages } of drainsOf(cluster)) {
          remaining.set({ ns: namesOf(cluster).ns, group }, messages)
        }
      }
    },
  })
}

function gauge(registers: Registry[], name: string, help: string, value: () => number): void {
  const made: Gauge = new Gauge({
    name: `rocketmq_operator_${name}`,
    help,
    registers,
    collect: () => made.set(value()),
  })
}

function namesOf(cluster: KubeObject): { readonly ns: string; readonly name: string } {
  return { ns: cluster.metadata.namespace ?? '', name: cluster.metadata.name }
}

function conditionsOf(
  cluster: KubeObject,
): readonly { readonly type: string; readonly status: string }[] {
  return listAt(cluster.status, 'conditions').flatMap((condition) => {
    const type = textAt(condition, 'type')
    const status = textAt(condition, 'status')
    return type === null || status === null ? [] : [{ type, status }]
  })
}

function drainsOf(
  cluster: KubeObject,
): readonly { readonly group: string; readonly messages: number }[] {
  return listAt(cluster.status, 'groups').flatMap((entry) => {
    const group = textAt(entry, 'name')
    const messages = valueAt(entry, 'drain', 'remainingMessages')
    return group !== null && typeof messages === 'number' ? [{ group, messages }] : []
  })
}

function valueOf(status: string): number {
  if (status === 'True') return 1
  return status === 'False' ? 0 : -1
}

/** `statefulsets`, `pods/eviction` … of a path; names and namespaces would be labels without bound. */
export function resourceOf(path: string): string {
  const parts = path.split('/').slice(path.startsWith('/apis/') ? 4 : 3)
  const inNamespace = parts[0] === 'namespaces' && parts.length > 2 ? parts.slice(2) : parts
  const [plural = '', , subresource] = inNamespace
  return subresource === undefined ? plural : `${plural}/${subresource}`
}
