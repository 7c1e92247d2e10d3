/** prom-client behind one door: each role makes a registry of its own, so that two roles can live in one process. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'

export { Counter, Gauge, Histogram, Registry }

export type NodeType = 'broker' | 'nameserver' | 'proxy' | 'operator'

/** A registry whose samples all carry RocketMQ's common labels (`cluster`, `node_type`, `node_id`). */
export function createRegistry(labels: {
  readonly cluster: string
  readonly nodeType: NodeType
  readonly nodeId: string
}): Registry {
  const registry = new Registry()
  registry.setDefaultLabels({
    cluster: labels.cluster,
    node_type: labels.nodeType,
    node_id: labels.nodeId,
  })
  return registry
}

/** Adds Node's process metrics (event-loop delay, heap, CPU). Roles call it; tests need not. */
export function collectProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry })
}
