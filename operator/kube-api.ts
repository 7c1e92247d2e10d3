/** The `KubeApi` port over a `KubeTransport`, with the list pages and watches that reflectors live on. */
import type { KubeApi, KubeObject, ObjectReference } from './ports.ts'
import { isRecord } from './json.ts'
import { KubeError } from './kube-error.ts'
import { pathOf } from './kube-kinds.ts'

export interface KubeRequest {
  readonly method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  /** `application/json` when absent. */
  readonly contentType?: string
  readonly body?: unknown
  readonly timeoutMs?: number
}

export interface KubeStreamRequest {
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly signal: AbortSignal
  /** Called with each line; what it throws ends the stream. */
  readonly onLine: (line: string) => void
}

/** Authenticated HTTP to one API server. */
export interface KubeTransport {
  /** The JSON of a 2xx answer; rejects with `KubeError` otherwise. */
  request(request: KubeRequest): Promise<unknown>
  /** Resolves when the server or `signal` ends the stream; rejects with `KubeError` when it breaks. */
  stream(request: KubeStreamRequest): Promise<void>
  close(): void
}

export interface KubeCollection {
  readonly apiVersion: string
  readonly kind: string
  /** All namespaces when absent. */
  readonly namespace?: string
  readonly labelSelector?: string
}

export interface KubeList {
  readonly items: readonly KubeObject[]
  readonly resourceVersion: string
}

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'
  readonly object: KubeObject
}

/** What a reflector stands on. */
export interface KubeWatcher {
  /** Everything, in pages; consistent as of `resourceVersion`. */
  listAll(collection: KubeCollection, resourceVersion?: string): Promise<KubeList>
  /** Resolves when the server has ended the watch in an orderly way; rejects with `KubeError` (`expired` for 410). */
  watch(
    collection: KubeCollection,
    options: {
      readonly resourceVersion: string
      readonly timeoutSeconds: number
      readonly signal: AbortSignal
      readonly onEvent: (event: WatchEvent) => void
    },
  ): Promise<void>
}

export const FIELD_MANAGER = 'rocketmq-operator'
export const STATUS_FIELD_MANAGER = 'rocketmq-operator-status'
const APPLY_PATCH = 'application/apply-patch+yaml'
const MERGE_PATCH = 'application/merge-patch+json'
const LIST_PAGE_SIZE = '500'
/** Pages of one list; 500 times as many objects. */
const MAX_LIST_PAGES = 2_000

/** The port of the controller. Objects come back frozen, with `apiVersion` and `kind` filled in. */
export function createKubeApi(transport: KubeTransport): KubeApi {
  async function patch(
    object: KubeObject,
    fieldManager: string,
    subresource?: 'status',
  ): Promise<KubeObject> {
    const body = await transport.request({
      method: 'PATCH',
      path: pathOf({
        ...referenceOf(object),
        ...(subresource === undefined ? {} : { subresource }),
      }),
      query: { fieldManager, force: 'true' },
      contentType: APPLY_PATCH,
      body: object,
    })
    return parseObject(body, object)
  }

  return {
    async get(reference) {
      try {
        return parseObject(
          await transport.request({ method: 'GET', path: pathOf(reference) }),
          reference,
        )
      } catch (error) {
        if (error instanceof KubeError && error.code === 'notFound') return null
        throw error
      }
    },
    list: async (collection) => (await listPages(transport, collection)).items,
    apply: (object) => patch(object, FIELD_MANAGER),
    applyStatus: (object) => patch(object, STATUS_FIELD_MANAGER, 'status'),
    create: (object) => create(transport, object),
    async patchMetadata(reference, metadata) {
      const body = await transport.request({
        method: 'PATCH',
        path: pathOf(reference),
        query: { fieldManager: FIELD_MANAGER },
        contentType: MERGE_PATCH,
        body: { metadata },
      })
      return parseObject(body, reference)
    },
    async delete(reference, { uid, resourceVersion, orphan = false }) {
      const body = {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        propagationPolicy: orphan ? 'Orphan' : 'Background',
        preconditions: { uid, ...(resourceVersion === undefined ? {} : { resourceVersion }) },
      }
      await unlessGone(transport.request({ method: 'DELETE', path: pathOf(reference), body }))
    },
    async evict(pod, { uid }) {
      const body = {
        apiVersion: 'policy/v1',
        kind: 'Eviction',
        metadata: { name: pod.name, namespace: pod.namespace },
        deleteOptions: { preconditions: { uid } },
      }
      const path = pathOf({ ...pod, subresource: 'eviction' })
      await unlessGone(transport.request({ method: 'POST', path, body }))
    },
  }
}

async function create(transport: KubeTransport, object: KubeObject): Promise<KubeObject> {
  const { apiVersion, kind, namespace } = referenceOf(object)
  const path = pathOf({ apiVersion, kind, namespace })
  const query = { fieldManager: FIELD_MANAGER }
  const body = await transport.request({ method: 'POST', path, query, body: object })
  return parseObject(body, object)
}

export function createKubeWatcher(transport: KubeTransport): KubeWatcher {
  return {
    listAll: (collection, resourceVersion) => listPages(transport, collection, resourceVersion),
    async watch(collection, { resourceVersion, timeoutSeconds, signal, onEvent }) {
      await transport.stream({
        path: pathOf(collection),
        query: {
          watch: 'true',
          allowWatchBookmarks: 'true',
          resourceVersion,
          timeoutSeconds: String(timeoutSeconds),
          ...selectorOf(collection),
        },
        signal,
        onLine: (line) => onEvent(parseWatchEvent(line, collection)),
      })
    },
  }
}

async function unlessGone(call: Promise<unknown>): Promise<void> {
  try {
    await call
  } catch (error) {
    if (error instanceof KubeError && error.code === 'notFound') return
    throw error
  }
}

async function listPages(
  transport: KubeTransport,
  collection: KubeCollection,
  resourceVersion?: string,
): Promise<KubeList> {
  const items: KubeObject[] = []
  let next = ''
  for (let page = 0; page < MAX_LIST_PAGES; page += 1) {
    // A continued list goes on at the version of its first page.
    const position =
      next !== '' ? { continue: next } : resourceVersion === undefined ? {} : { resourceVersion }
    const body = await transport.request({
      method: 'GET',
      path: pathOf(collection),
      query: { limit: LIST_PAGE_SIZE, ...selectorOf(collection), ...position },
    })
    const list = parseList(body, collection)
    items.push(...list.items)
    if (list.next === '') return { items, resourceVersion: list.resourceVersion }
    next = list.next
  }
  throw new KubeError('unavailable', `${collection.kind}: a list of over ${MAX_LIST_PAGES} pages`)
}

function selectorOf(collection: KubeCollection): Readonly<Record<string, string>> {
  return collection.labelSelector === undefined ? {} : { labelSelector: collection.labelSelector }
}

/** Where an object lives; throws `KubeError` (`invalid`) without a namespace. */
export function referenceOf(object: KubeObject): ObjectReference {
  const { apiVersion, kind, metadata } = object
  if (metadata.namespace === undefined) {
    throw new KubeError('invalid', `${kind} ${metadata.name} has no namespace`)
  }
  return { apiVersion, kind, namespace: metadata.namespace, name: metadata.name }
}

function parseList(
  body: unknown,
  collection: KubeCollection,
): KubeList & { readonly next: string } {
  if (!isRecord(body) || !Array.isArray(body['items']) || !isRecord(body['metadata'])) {
    throw new KubeError('unavailable', `${collection.kind}: the answer is no list`)
  }
  const { resourceVersion, continue: next } = body['metadata']
  return {
    // The items of a typed list come without apiVersion and kind.
    items: body['items'].map((item: unknown) => parseObject(item, collection)),
    resourceVersion: typeof resourceVersion === 'string' ? resourceVersion : '',
    next: typeof next === 'string' ? next : '',
  }
}

function parseWatchEvent(line: string, collection: KubeCollection): WatchEvent {
  let event: unknown
  try {
    event = JSON.parse(line)
  } catch (error) {
    throw new KubeError('unavailable', `${collection.kind}: a watch line is no JSON`, {
      cause: error,
    })
  }
  if (!isRecord(event) || !isRecord(event['object'])) {
    throw new KubeError('unavailable', `${collection.kind}: not a watch event`)
  }
  const { type, object } = event
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type, object: parseObject(object, collection) }
    case 'BOOKMARK':
      // A bookmark's object has a resourceVersion and nothing else.
      return { type, object: parseBookmark(object, collection) }
    default: {
      const isExpired = object['code'] === 410
      throw new KubeError(
        isExpired ? 'expired' : 'unavailable',
        `${collection.kind}: watch ended: ${String(object['message'] ?? type)}`,
      )
    }
  }
}

function parseBookmark(object: Record<string, unknown>, collection: KubeCollection): KubeObject {
  const metadata = object['metadata']
  const version = isRecord(metadata) ? metadata['resourceVersion'] : undefined
  return {
    apiVersion: collection.apiVersion,
    kind: collection.kind,
    metadata: { name: '', ...(typeof version === 'string' ? { resourceVersion: version } : {}) },
  }
}

/** Checks what every object must have, and freezes it through and through. */
export function parseObject(
  value: unknown,
  expected: { readonly apiVersion: string; readonly kind: string },
): KubeObject {
  if (!isRecord(value) || !isRecord(value['metadata'])) {
    throw new KubeError('unavailable', `${expected.kind}: the answer is no object`)
  }
  const { name } = value['metadata']
  if (typeof name !== 'string') {
    throw new KubeError('unavailable', `${expected.kind}: an object without a name`)
  }
  const object = { ...value, apiVersion: expected.apiVersion, kind: expected.kind }
  // Checked above; the API server vouches for the rest of the metadata.
  return deepFreeze(object as unknown as KubeObject)
}

export function deepFreeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const member of Object.values(value)) deepFreeze(member)
  return value
}
