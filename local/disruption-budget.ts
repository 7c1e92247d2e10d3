/** Whether a PodDisruptionBudget lets a pod go now. Pure. */
import { isRecord, listAt, textAt, valueAt } from '../operator/json.ts'
import type { KubeObject } from '../operator/ports.ts'

/** `forbids` when the budget covers `pod` and has no disruption left. */
export function budgetOf(
  budget: KubeObject,
  pods: readonly KubeObject[],
  pod: KubeObject,
): 'allows' | 'forbids' {
  const labels = matchLabelsOf(budget.spec?.['selector'])
  if (labels === null || !matches(pod, labels)) return 'allows'
  const covered = pods.filter((candidate) => matches(candidate, labels))
  const healthy = covered.filter((candidate) => isHealthy(candidate)).length
  const minimum = minimumOf(budget, covered.length)
  return healthy - 1 >= minimum ? 'allows' : 'forbids'
}

function minimumOf(budget: KubeObject, total: number): number {
  const minAvailable = budget.spec?.['minAvailable']
  const maxUnavailable = budget.spec?.['maxUnavailable']
  if (minAvailable !== undefined) return countOf(minAvailable, total)
  if (maxUnavailable !== undefined) return total - countOf(maxUnavailable, total)
  return 0
}

/** A number, or a percentage which is rounded up as Kubernetes does. */
function countOf(value: unknown, total: number): number {
  if (typeof value === 'number') return value
  const percent = typeof value === 'string' ? /^(\d+)%$/.exec(value)?.[1] : undefined
  return percent === undefined ? 0 : Math.ceil((Number(percent) * total) / 100)
}

function isHealthy(pod: KubeObject): boolean {
  return pod.metadata.deletionTimestamp === undefined && isReady(pod)
}

function matches(pod: KubeObject, labels: ReadonlyMap<string, unknown>): boolean {
  const has = pod.metadata.labels ?? {}
  return [...labels].every(([key, value]) => has[key] === value)
}

function matchLabelsOf(selector: unknown): ReadonlyMap<string, unknown> | null {
  const labels = valueAt(selector, 'matchLabels')
  return isRecord(labels) ? new Map(Object.entries(labels)) : null
}

/** Whether a pod's condition `Ready` is true. */
export function isReady(pod: KubeObject): boolean {
  return listAt(pod.status, 'conditions').some(
    (condition) => textAt(condition, 'type') === 'Ready' && textAt(condition, 'status') === 'True',
  )
}
