/**
 * What the reconciler needs from the outside: an API server (or the local runtime of `gantry dev`, which answers the same calls
 * with processes and folders), and the brokers and name servers themselves.
 */
import type { Credentials } from '../common/credentials.ts'
import type { ConfigFacts, DrainFacts, RaftFacts, StoreFacts } from '../common/admin-contract.ts'

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
  readonly blockOwnerDeletion?: boolean
}

export interface ObjectMeta {
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly generation?: number
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly ownerReferences?: readonly OwnerReference[]
  readonly finalizers?: readonly string[]
}

/** A Kubernetes object as the API has it. Members besides these are read with a check at the place that needs them. */
export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly spec?: Readonly<Record<string, unknown>>
  readonly status?: Readonly<Record<string, unknown>>
  readonly data?: Readonly<Record<string, string>>
  readonly [member: string]: unknown
}

export interface ObjectReference {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
}

export type KubeErrorCode =
  | 'notFound'
  | 'conflict'
  | 'invalid'
  | 'forbidden'
  | 'tooManyRequests'
  /** A list or watch can no longer go on from where it was (HTTP 410). */
  | 'expired'
  | 'unavailable'

/** Every call is live (no cache) and rejects with a `KubeError` of these codes. */
export interface KubeApi {
  get(reference: ObjectReference): Promise<KubeObject | null>
  list(options: {
    readonly apiVersion: string
    readonly kind: string
    /** All namespaces when absent. */
    readonly namespace?: string
    readonly labelSelector?: string
  }): Promise<readonly KubeObject[]>
  /** Server-side apply by the manager `rocketmq-operator`, forced. Returns what the server has now. */
  apply(object: KubeObject): Promise<KubeObject>
  /** Server-side apply of the status subresource by the manager `rocketmq-operator-status`. */
  applyStatus(object: KubeObject): Promise<KubeObject>
  /** `conflict` when it is there already. */
  create(object: KubeObject): Promise<KubeObject>
  /** JSON merge patch of metadata (annotations, finalizers) with a resourceVersion precondition when given. */
  patchMetadata(
    reference: ObjectReference,
    metadata: Readonly<Record<string, unknown>>,
  ): Promise<KubeObject>
  /** Deletes what has this uid (and resourceVersion, when given); absent is fine. */
  delete(
    reference: ObjectReference,
    preconditions: {
      readonly uid: string
      readonly resourceVersion?: string
      readonly orphan?: boolean
    },
  ): Promise<void>
  /** Removes a pod through the Eviction API, so that PodDisruptionBudgets hold; `tooManyRequests` when one forbids it. */
  evict(pod: ObjectReference, preconditions: { readonly uid: string }): Promise<void>
}

/**
 * The watched objects, kept current by reflectors. Objects are frozen.
 *
 * It holds the clusters, and of all other kinds what carries the label `rocketmq.gantry.dev/cluster`: that an object is absent here
 * does not say that its name is free; only `KubeApi.get` does.
 */
export interface ObjectCache {
  get(reference: ObjectReference): KubeObject | null
  list(
    kind: string,
    namespace: string,
    labels: Readonly<Record<string, string>>,
  ): readonly KubeObject[]
  /** Called with every object that was added, changed or deleted. */
  subscribe(listener: (object: KubeObject) => void): void
  /** False until the first list of every kind has arrived. */
  readonly hasSynced: boolean
}

export interface EventRecorder {
  /** An Event (events.k8s.io/v1) on `regarding`; equal ones are aggregated into a series. `reason` is of the closed list in `events.ts`. */
  record(
    regarding: KubeObject,
    event: {
      readonly type: 'Normal' | 'Warning'
      readonly reason: string
      readonly action: string
      readonly note: string
    },
  ): void
}

/** Where one pod of ours is reached: from its podIP and its named container ports `remoting` and `admin`. */
export interface PodEndpoint {
  readonly pod: string
  readonly host: string
  readonly remotingPort: number
  readonly adminPort: number
}

/** Facts and acts of the data plane. Null: not reachable or not known within the budget; never guessed. */
export interface DataPlane {
  raft(pod: PodEndpoint): Promise<RaftFacts | null>
  drain(pod: PodEndpoint): Promise<DrainFacts | null>
  store(pod: PodEndpoint): Promise<StoreFacts | null>
  config(pod: PodEndpoint): Promise<ConfigFacts | null>
  /** What one name server knows (request 106 and the routes): brokerName -> registered address and whether its topics are writable there. */
  registrations(namesrv: PodEndpoint): Promise<ReadonlyMap<string, BrokerRegistration> | null>
  /** UPDATE_BROKER_CONFIG (25) with live keys. Rejects when refused. */
  updateBrokerConfig(broker: PodEndpoint, entries: Readonly<Record<string, string>>): Promise<void>
  /** Copies all topic and subscription-group configs (21/201 -> 18/225) of `from` to `to`; resolves with the counts. */
  copyMetadata(
    from: PodEndpoint,
    to: PodEndpoint,
  ): Promise<{ readonly topics: number; readonly consumerGroups: number }>
  /** True when every topic and group of `from` is on `to`. Null: unknown. */
  hasMetadataOf(from: PodEndpoint, to: PodEndpoint): Promise<boolean | null>
  /** WIPE_WRITE_PERM_OF_BROKER (205) / ADD_WRITE_PERM_OF_BROKER (327) at one name server. */
  setWritePermission(namesrv: PodEndpoint, brokerName: string, writable: boolean): Promise<void>
  /** UNREGISTER_BROKER (104) at one name server. */
  unregisterBroker(namesrv: PodEndpoint, clusterName: string, brokerName: string): Promise<void>
  /** Asks the leader to hand over, to the member that is furthest when `to` is null. Resolves when it has begun, rejects with the refusal. */
  transferLeadership(leader: PodEndpoint, to: number | null): Promise<void>
  /** Asks the leader to take a member out of the group's configuration. Resolves when it has begun, rejects with the refusal. */
  removeMember(leader: PodEndpoint, id: number): Promise<void>
}

/** The servers of a cluster are asked by the user that the cluster has for it; null: without a signature. */
export interface DataPlanes {
  as(credentials: Credentials | null): DataPlane
}

export interface BrokerRegistration {
  readonly clusterName: string
  readonly address: string
  readonly writableTopics: number
  readonly topics: number
}

/**
 * How parts find each other: DNS names of pods and Services on Kubernetes, 127.0.0.1 with ports locally. Pure.
 */
export interface Addressing {
  /** `host:port` of name server `ordinal`, as brokers are told (`namesrvAddr`). */
  nameServer(cluster: string, namespace: string, ordinal: number): string
  /** `host:port` where the other members of a group reach one. */
  member(cluster: string, namespace: string, group: number, ordinal: number): string
  /** What clients are told of a group with so many members; null: the broker resolves its leader Service itself (Kubernetes). */
  advertised(
    cluster: string,
    group: number,
    members: number,
  ): { readonly host: string; readonly port: number | null } | null
}
