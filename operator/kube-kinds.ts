/** The kinds that the operator reads and writes, and the API paths they live under: a table instead of discovery. */
import { KubeError } from './kube-error.ts'

/** Kind -> plural name in paths. All of these are namespaced. */
const PLURALS: Readonly<Record<string, string>> = {
  ConfigMap: 'configmaps',
  EndpointSlice: 'endpointslices',
  Event: 'events',
  Lease: 'leases',
  PersistentVolumeClaim: 'persistentvolumeclaims',
  Pod: 'pods',
  PodDisruptionBudget: 'poddisruptionbudgets',
  RocketMQCluster: 'rocketmqclusters',
  Role: 'roles',
  RoleBinding: 'rolebindings',
  Secret: 'secrets',
  Service: 'services',
  ServiceAccount: 'serviceaccounts',
  StatefulSet: 'statefulsets',
}

export interface KindPath {
  readonly apiVersion: string
  readonly kind: string
  /** Absent: the collection of all namespaces. */
  readonly namespace?: string | undefined
  /** Absent: the collection. */
  readonly name?: string | undefined
  readonly subresource?: 'status' | 'eviction'
}

/** `/apis/apps/v1/namespaces/x/statefulsets/y`; throws `KubeError` (`invalid`) for a kind that is not in the table. */
export function pathOf(target: KindPath): string {
  const plural = pluralOf(target.kind)
  const root = target.apiVersion.includes('/') ? '/apis/' : '/api/'
  const namespace =
    target.namespace === undefined ? '' : `/namespaces/${encodeURIComponent(target.namespace)}`
  const name = target.name === undefined ? '' : `/${encodeURIComponent(target.name)}`
  const subresource = target.subresource === undefined ? '' : `/${target.subresource}`
  return `${root}${target.apiVersion}${namespace}/${plural}${name}${subresource}`
}

/** The plural name of a kind; throws `KubeError` (`invalid`) for one that is not in the table. */
export function pluralOf(kind: string): string {
  const plural = Object.hasOwn(PLURALS, kind) ? PLURALS[kind] : undefined
  if (plural === undefined) throw new KubeError('invalid', `kind ${kind} is not in the table`)
  return plural
}

/** What the operator watches: clusters, and everything that it may own or that its decisions depend on. */
export const WATCHED_KINDS: readonly { readonly apiVersion: string; readonly kind: string }[] = [
  { apiVersion: 'rocketmq.gantry.dev/v1alpha1', kind: 'RocketMQCluster' },
  { apiVersion: 'apps/v1', kind: 'StatefulSet' },
  { apiVersion: 'v1', kind: 'Pod' },
  { apiVersion: 'v1', kind: 'PersistentVolumeClaim' },
  { apiVersion: 'v1', kind: 'Service' },
  { apiVersion: 'v1', kind: 'ConfigMap' },
  { apiVersion: 'v1', kind: 'ServiceAccount' },
  { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget' },
  { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' },
  { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role' },
  { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'RoleBinding' },
]
