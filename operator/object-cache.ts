/** The objects that reflectors keep current, by name, by label and by owner. */
import type { KubeCollection } from './kube-api.ts'
import type { KubeObject, ObjectCache, ObjectReference } from './ports.ts'
import type { ReflectorHandler } from './reflector.ts'

type Listener = (object: KubeObject) => void

/** One cache stands above several collections: of each kind one, or one for each namespace. */
export class MemoryObjectCache implements ObjectCache {
  /** kind -> namespace -> name -> object. */
  readonly #objects: Map<string, Map<string, Map<string, KubeObject>>> = new Map()
  readonly #listeners: Listener[] = []
  readonly #unsynced: Set<object> = new Set()

  get hasSynced(): boolean {
    return this.#unsynced.size === 0
  }

  get(reference: ObjectReference): KubeObject | null {
    const found = this.#objects.get(reference.kind)?.get(reference.namespace)?.get(reference.name)
    return found ?? null
  }

  /** In the order of their names. */
  list(
    kind: string,
    namespace: string,
    labels: Readonly<Record<string, string>>,
  ): readonly KubeObject[] {
    const wanted = Object.entries(labels)
    const found: KubeObject[] = []
    for (const object of this.#objects.get(kind)?.get(namespace)?.values() ?? []) {
      const has = object.metadata.labels ?? {}
      if (wanted.every(([key, value]) => has[key] === value)) found.push(object)
    }
    return found.sort(byName)
  }

  /** Everything of a kind, whatever its namespace. */
  all(kind: string): readonly KubeObject[] {
    const namespaces = [...(this.#objects.get(kind)?.values() ?? [])]
    return namespaces.flatMap((objects) => [...objects.values()])
  }

  subscribe(listener: Listener): void {
    this.#listeners.push(listener)
  }

  /** The handler of a reflector for `collection`; until its first list, the cache has not synced. */
  handlerOf(collection: KubeCollection): ReflectorHandler {
    const token = {}
    this.#unsynced.add(token)
    return {
      onList: (objects) => {
        this.replace(collection, objects)
        this.#unsynced.delete(token)
      },
      onChange: (object) => this.put(object),
      onDelete: (object) => this.remove(object),
    }
  }

  /** Puts an object in the place of its former self. */
  put(object: KubeObject): void {
    this.#set(object)
    this.#tell(object)
  }

  /** Absent is fine. */
  remove(object: KubeObject): void {
    const { namespace = '', name } = object.metadata
    if (this.#objects.get(object.kind)?.get(namespace)?.delete(name) === true) this.#tell(object)
  }

  /** Makes `objects` the whole content of a collection, and tells of those that differ. */
  replace(collection: KubeCollection, objects: readonly KubeObject[]): void {
    const before = new Map(this.#contentOf(collection).map((object) => [keyOf(object), object]))
    const changed: KubeObject[] = []
    for (const object of objects) {
      const former = before.get(keyOf(object))
      before.delete(keyOf(object))
      const version = object.metadata.resourceVersion
      if (former !== undefined && former.metadata.resourceVersion === version) continue
      this.#set(object)
      changed.push(object)
    }
    for (const gone of before.values()) this.remove(gone)
    for (const object of changed) this.#tell(object)
  }

  #contentOf(collection: KubeCollection): readonly KubeObject[] {
    if (collection.namespace === undefined) return this.all(collection.kind)
    return [...(this.#objects.get(collection.kind)?.get(collection.namespace)?.values() ?? [])]
  }

  #set(object: KubeObject): void {
    const { namespace = '', name } = object.metadata
    const namespaces = this.#objects.get(object.kind) ?? new Map<string, Map<string, KubeObject>>()
    this.#objects.set(object.kind, namespaces)
    const names = namespaces.get(namespace) ?? new Map<string, KubeObject>()
    namespaces.set(namespace, names)
    names.set(name, object)
  }

  #tell(object: KubeObject): void {
    for (const listener of this.#listeners) listener(object)
  }
}

/** `namespace/name` of the cluster that an object belongs to, or null: what an event puts into the work queue. */
export function clusterKeyOf(object: KubeObject): string | null {
  const { namespace, name, labels } = object.metadata
  if (namespace === undefined) return null
  if (object.kind === 'RocketMQCluster') return `${namespace}/${name}`
  const cluster = labels?.['rocketmq.gantry.dev/cluster']
  return cluster === undefined || cluster === '' ? null : `${namespace}/${cluster}`
}

function keyOf(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`
}

function byName(left: KubeObject, right: KubeObject): number {
  return left.metadata.name < right.metadata.name ? -1 : 1
}
