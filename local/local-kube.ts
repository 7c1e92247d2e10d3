/**
 * The API server of `gantry dev`: objects in memory, with as much of Kubernetes' behaviour as the controller relies on. Versions and uids,
 * server-side apply by one manager, preconditions, removal of what a deleted owner owns, eviction under disruption budgets.
 *
 * Pods are ended by the runtime: a deleted pod keeps its object, marked with a deletion time, until its process is gone.
 */
import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '../common/ports.ts'
import { deepFreeze, referenceOf } from '../operator/kube-api.ts'
import { KubeError } from '../operator/kube-error.ts'
import { MemoryObjectCache } from '../operator/object-cache.ts'
import type {
  KubeApi,
  KubeObject,
  ObjectMeta,
  ObjectReference,
  OwnerReference,
} from '../operator/ports.ts'
import { budgetOf, isReady } from './disruption-budget.ts'

/** What is kept from one run to the next. */
export interface LocalKubeSnapshot {
  readonly version: number
  readonly objects: readonly KubeObject[]
  /** What was applied last, by key: it tells which members may be taken away again. */
  readonly applied: Readonly<Record<string, KubeObject>>
}

interface DeletePreconditions {
  readonly uid: string
  readonly resourceVersion?: string
  readonly orphan?: boolean
}

/** On an object that was removed without what it owns, as subscribers see it. */
export const ORPHAN_ANNOTATION = 'dev.gantry/orphan'

export class LocalKube implements KubeApi {
  readonly cache: MemoryObjectCache = new MemoryObjectCache()
  readonly #clock: Clock
  readonly #applied: Map<string, KubeObject> = new Map()
  #version = 0

  constructor(clock: Clock, snapshot: LocalKubeSnapshot | null) {
    this.#clock = clock
    if (snapshot === null) return
    this.#version = snapshot.version
    for (const object of snapshot.objects) this.cache.put(deepFreeze(object))
    for (const [key, object] of Object.entries(snapshot.applied)) this.#applied.set(key, object)
  }

  /** Everything but pods, which end with the processes behind them. */
  snapshot(kinds: readonly string[]): LocalKubeSnapshot {
    return {
      version: this.#version,
      objects: kinds.flatMap((kind) => this.cache.all(kind)),
      applied: Object.fromEntries(this.#applied),
    }
  }

  get(reference: ObjectReference): Promise<KubeObject | null> {
    return Promise.resolve(this.cache.get(reference))
  }

  list(options: {
    readonly kind: string
    readonly namespace?: string
    readonly labelSelector?: string
  }): Promise<readonly KubeObject[]> {
    const { kind, namespace, labelSelector = '' } = options
    const labels = parseSelector(labelSelector)
    const inNamespace =
      namespace === undefined ? this.cache.all(kind) : this.cache.list(kind, namespace, {})
    return Promise.resolve(inNamespace.filter((object) => hasLabels(object, labels)))
  }

  apply(object: KubeObject): Promise<KubeObject> {
    return asPromise(() => {
      const reference = referenceOf(object)
      const before = this.cache.get(reference)
      const former = this.#applied.get(keyOf(reference))
      const after = before === null ? this.#create(object) : this.#merge(before, object, former)
      this.#applied.set(keyOf(reference), deepFreeze(structuredClone(object)))
      return this.#store(before, after)
    })
  }

  applyStatus(object: KubeObject): Promise<KubeObject> {
    return asPromise(() => this.setStatus(referenceOf(object), object.status ?? {}))
  }

  patchMetadata(
    reference: ObjectReference,
    metadata: Readonly<Record<string, unknown>>,
  ): Promise<KubeObject> {
    return asPromise(() => {
      const before = this.#mustGet(reference)
      const { resourceVersion, annotations, labels, finalizers } = metadata
      checkVersion(before, resourceVersion)
      return this.#store(before, {
        ...before,
        metadata: {
          ...before.metadata,
          annotations: mergePatch(before.metadata.annotations, annotations),
          labels: mergePatch(before.metadata.labels, labels),
          ...(Array.isArray(finalizers) ? { finalizers: finalizers.map(String) } : {}),
        },
      })
    })
  }

  delete(reference: ObjectReference, preconditions: DeletePreconditions): Promise<void> {
    return asPromise(() => {
      const object = this.cache.get(reference)
      if (object === null) return
      checkUid(object, preconditions.uid)
      checkVersion(object, preconditions.resourceVersion)
      this.#remove(object, preconditions.orphan === true)
    })
  }

  evict(pod: ObjectReference, { uid }: { readonly uid: string }): Promise<void> {
    return asPromise(() => {
      const object = this.cache.get(pod)
      if (object === null) return
      checkUid(object, uid)
      const budgets = this.cache.list('PodDisruptionBudget', pod.namespace, {})
      const pods = this.cache.list('Pod', pod.namespace, {})
      const blocking = budgets.find((budget) => budgetOf(budget, pods, object) === 'forbids')
      if (blocking !== undefined && isReady(object)) {
        const { name } = blocking.metadata
        throw new KubeError('tooManyRequests', `the disruption budget ${name} forbids it`)
      }
      this.#remove(object, false)
    })
  }

  create(object: KubeObject): Promise<KubeObject> {
    return asPromise(() => {
      if (this.cache.get(referenceOf(object)) === null) return this.add(object)
      throw new KubeError('conflict', `${object.kind} ${object.metadata.name} is there already`)
    })
  }

  /** Creates an object of the runtime's own: a pod or a claim. */
  add(object: KubeObject): KubeObject {
    return this.#store(null, this.#create(object))
  }

  setStatus(reference: ObjectReference, status: Readonly<Record<string, unknown>>): KubeObject {
    const before = this.#mustGet(reference)
    return this.#store(before, { ...before, status: structuredClone(status) })
  }

  /** Gives a pod to the set that now has its name. */
  adopt(reference: ObjectReference, owner: OwnerReference): void {
    const pod = this.#mustGet(reference)
    this.#store(pod, { ...pod, metadata: { ...pod.metadata, ownerReferences: [owner] } })
  }

  /** Takes a pod away whose process has ended. */
  forget(reference: ObjectReference): void {
    const object = this.cache.get(reference)
    if (object !== null) this.cache.remove(this.#stamped(object))
  }

  #mustGet(reference: ObjectReference): KubeObject {
    const object = this.cache.get(reference)
    if (object !== null) return object
    throw new KubeError('notFound', `${reference.kind} ${reference.name} is not there`)
  }

  #create(object: KubeObject): KubeObject {
    const creationTimestamp = new Date(this.#clock.now()).toISOString()
    const metadata = { ...object.metadata, uid: randomUUID(), creationTimestamp, generation: 1 }
    return { ...structuredClone(object), metadata: structuredClone(metadata) }
  }

  /** Server-side apply: what was applied before and is no longer goes, what others added stays. */
  #merge(before: KubeObject, object: KubeObject, former: KubeObject | undefined): KubeObject {
    const { metadata, ...members } = structuredClone(object)
    const gone = Object.keys(former ?? {}).filter((name) => !(name in object))
    const kept = Object.fromEntries(Object.entries(before).filter(([name]) => !gone.includes(name)))
    const isSame = isDeepStrictEqual(before.spec, object.spec)
    return {
      ...kept,
      ...members,
      // The status is written by `applyStatus` alone.
      ...(before.status === undefined ? {} : { status: before.status }),
      metadata: {
        ...before.metadata,
        ...metadata,
        ...idOf(before.metadata),
        labels: mergeKeys(before.metadata.labels, metadata.labels, former?.metadata.labels),
        annotations: mergeKeys(
          before.metadata.annotations,
          metadata.annotations,
          former?.metadata.annotations,
        ),
        generation: (before.metadata.generation ?? 1) + (isSame ? 0 : 1),
      },
    }
  }

  #store(before: KubeObject | null, after: KubeObject): KubeObject {
    const clean = withoutEmptyMaps(after)
    if (before !== null && isDeepStrictEqual(before, clean)) return before
    const stored = this.#stamped(clean)
    this.cache.put(stored)
    return stored
  }

  #stamped(object: KubeObject): KubeObject {
    this.#version += 1
    const metadata = { ...object.metadata, resourceVersion: String(this.#version) }
    return deepFreeze({ ...object, metadata })
  }

  #remove(object: KubeObject, orphan: boolean): void {
    this.#applied.delete(keyOf(referenceOf(object)))
    if (object.kind === 'Pod') {
      if (object.metadata.deletionTimestamp !== undefined) return
      const deletionTimestamp = new Date(this.#clock.now()).toISOString()
      this.#store(object, { ...object, metadata: { ...object.metadata, deletionTimestamp } })
      return
    }
    if (!orphan) {
      this.cache.remove(this.#stamped(object))
      this.#removeOwned(object)
      return
    }
    const annotations = { ...object.metadata.annotations, [ORPHAN_ANNOTATION]: 'true' }
    this.cache.remove(this.#stamped({ ...object, metadata: { ...object.metadata, annotations } }))
  }

  #removeOwned(owner: KubeObject): void {
    for (const kind of OWNED_KINDS) {
      for (const object of this.cache.all(kind)) {
        const owners = object.metadata.ownerReferences ?? []
        if (owners.some(({ uid }) => uid === owner.metadata.uid)) this.#remove(object, false)
      }
    }
  }
}

const OWNED_KINDS = [
  'StatefulSet',
  'Pod',
  'PersistentVolumeClaim',
  'Service',
  'ConfigMap',
  'ServiceAccount',
  'PodDisruptionBudget',
  'EndpointSlice',
  'Role',
  'RoleBinding',
  'Secret',
] as const

export function hasLabels(object: KubeObject, labels: Readonly<Record<string, string>>): boolean {
  const has = object.metadata.labels ?? {}
  return Object.entries(labels).every(([key, value]) => has[key] === value)
}

/** Turns what is thrown into a rejection, as a remote server's refusal would be. */
function asPromise<Result>(work: () => Result): Promise<Result> {
  return new Promise((resolve) => resolve(work()))
}

function keyOf({ kind, namespace, name }: ObjectReference): string {
  return `${kind}/${namespace}/${name}`
}

function idOf(metadata: ObjectMeta): Partial<ObjectMeta> {
  const { uid, resourceVersion, creationTimestamp, deletionTimestamp } = metadata
  return {
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
  }
}

type Texts = Readonly<Record<string, string>>

function mergeKeys(before: Texts = {}, applied: Texts = {}, former: Texts = {}): Texts {
  const kept = Object.entries(before).filter(([key]) => !(key in former))
  return { ...Object.fromEntries(kept), ...applied }
}

/** RFC 7386 on a map of texts: null takes a key away. */
function mergePatch(before: Texts = {}, patch: unknown): Texts {
  if (typeof patch !== 'object' || patch === null) return before
  const merged = new Map(Object.entries(before))
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key)
    else merged.set(key, String(value))
  }
  return Object.fromEntries(merged)
}

/** Absent and empty labels and annotations are the same. */
function withoutEmptyMaps(object: KubeObject): KubeObject {
  const { labels, annotations, ...rest } = object.metadata
  return {
    ...object,
    metadata: {
      ...rest,
      ...(labels === undefined || Object.keys(labels).length === 0 ? {} : { labels }),
      ...(annotations === undefined || Object.keys(annotations).length === 0
        ? {}
        : { annotations }),
    },
  }
}

function checkUid(object: KubeObject, uid: string): void {
  if (object.metadata.uid === uid) return
  throw new KubeError('conflict', `${object.kind} ${object.metadata.name} is another one by now`)
}

function checkVersion(object: KubeObject, version: unknown): void {
  if (version === undefined || object.metadata.resourceVersion === version) return
  throw new KubeError('conflict', `${object.kind} ${object.metadata.name} has been changed`)
}

/** `a=b,c=d`: the controller uses no more. */
function parseSelector(selector: string): Texts {
  const pairs = selector.split(',').filter((part) => part !== '')
  return Object.fromEntries(
    pairs.map((part) => {
      const at = part.indexOf('=')
      if (at < 1) throw new KubeError('invalid', `selector ${part}: expected key=value`)
      return [part.slice(0, at), part.slice(at + 1)]
    }),
  )
}
