/**
 * An API server for tests: objects in memory behind real HTTP on loopback, with pages, watches, preconditions and server-side apply as
 * far as the operator's runtime uses them, and faults on demand.
 */
import assert from 'node:assert/strict'
import http from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'

type Json = Record<string, unknown>

export interface FakeRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly contentType: string
  readonly body: unknown
}

interface Fault {
  readonly matches: (request: FakeRequest) => boolean
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  times: number
}

interface FakeWatch {
  readonly collection: string
  readonly response: ServerResponse
}

export class FakeApiServer implements AsyncDisposable {
  readonly url: string
  readonly requests: FakeRequest[] = []
  /** Objects by path. */
  readonly objects: Map<string, Json> = new Map()
  readonly #server: http.Server
  readonly #watches: Set<FakeWatch> = new Set()
  readonly #faults: Fault[] = []
  readonly #history: { readonly version: number; readonly path: string; readonly line: string }[] =
    []
  #version = 100
  #oldestVersion = 0

  private constructor(server: http.Server, port: number) {
    this.#server = server
    this.url = `http://127.0.0.1:${port}`
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      void this.#serve(request, response)
    })
  }

  static async start(): Promise<FakeApiServer> {
    const server = http.createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    assert(address !== null && typeof address === 'object')
    return new FakeApiServer(server, address.port)
  }

  get version(): string {
    return String(this.#version)
  }

  get watchCount(): number {
    return this.#watches.size
  }

  /** The next `times` requests that match are answered with `status` instead. */
  fail(
    matches: (request: FakeRequest) => boolean,
    status: number,
    {
      times = 1,
      headers = {},
    }: { times?: number; headers?: Readonly<Record<string, string>> } = {},
  ): void {
    this.#faults.push({ matches, status, headers, times })
  }

  put(path: string, object: Json): void {
    const type = this.objects.has(path) ? 'MODIFIED' : 'ADDED'
    this.#store(path, object, type)
  }

  remove(path: string): void {
    const object = this.objects.get(path)
    if (object === undefined) return
    this.objects.delete(path)
    this.#emit('DELETED', path, withVersion(object, this.#next()))
  }

  /** Forgets what happened, so that a watch from an older version is answered with 410. */
  forgetHistory(): void {
    this.#oldestVersion = this.#next()
    this.#history.length = 0
  }

  /** Writes a line to every open watch. */
  sendToWatches(event: Json): void {
    for (const watch of this.#watches) watch.response.write(`${JSON.stringify(event)}\n`)
  }

  sendBookmarks(): void {
    const metadata = { resourceVersion: String(this.#next()) }
    this.sendToWatches({ type: 'BOOKMARK', object: { metadata } })
  }

  /** Ends every watch in an orderly way, or by a reset. */
  endWatches(how: 'end' | 'reset'): void {
    for (const watch of this.#watches) {
      if (how === 'end') watch.response.end()
      else watch.response.destroy()
    }
    this.#watches.clear()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', this.url)
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(Buffer.from(chunk as Buffer))
    const text = Buffer.concat(chunks).toString('utf8')
    const request: FakeRequest = {
      method: incoming.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      contentType: incoming.headers['content-type'] ?? '',
      body: text === '' ? null : JSON.parse(text),
    }
    this.requests.push(request)
    const fault = this.#faults.find(
      (candidate) => candidate.times > 0 && candidate.matches(request),
    )
    if (fault !== undefined) {
      fault.times -= 1
      answer(response, fault.status, statusBody(fault.status, 'injected'), fault.headers)
      return
    }
    if (request.query.get('watch') === 'true') this.#watch(request, response)
    else this.#handle(request, response)
  }

  #watch(request: FakeRequest, response: ServerResponse): void {
    const from = Number(request.query.get('resourceVersion'))
    if (from < this.#oldestVersion) {
      answer(response, 410, statusBody(410, 'too old resource version'))
      return
    }
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    const watch = { collection: request.path, response }
    for (const { version, path, line } of this.#history) {
      if (version > from && isIn(path, watch.collection)) response.write(line)
    }
    this.#watches.add(watch)
    response.on('close', () => this.#watches.delete(watch))
  }

  #handle(request: FakeRequest, response: ServerResponse): void {
    const { method, path } = request
    const object = this.objects.get(path)
    const isCollection = isCollectionPath(path)
    if (method === 'GET' && isCollection) this.#list(request, response)
    else if (method === 'POST' && path.endsWith('/eviction')) this.#evict(request, response)
    else if (method === 'POST') this.#create(request, response)
    else if (method === 'PATCH') this.#patch(request, response)
    else if (object === undefined) answer(response, 404, statusBody(404, `${path} not found`))
    else if (method === 'GET') answer(response, 200, object)
    else if (method === 'PUT') this.#replace(request, response, object)
    else if (method === 'DELETE') this.#delete(request, response, object)
    else answer(response, 405, statusBody(405, method))
  }

  #list(request: FakeRequest, response: ServerResponse): void {
    const all = [...this.objects].filter(([path]) => isIn(path, request.path))
    const start = Number(request.query.get('continue') ?? 0)
    const limit = Number(request.query.get('limit') ?? all.length)
    const page = all.slice(start, start + limit).map(([, object]) => object)
    const rest = start + limit < all.length ? { continue: String(start + limit) } : {}
    answer(response, 200, { metadata: { resourceVersion: this.version, ...rest }, items: page })
  }

  #create(request: FakeRequest, response: ServerResponse): void {
    const object = request.body as Json
    const path = `${request.path}/${String(metadataOf(object)['name'])}`
    if (this.objects.has(path)) answer(response, 409, statusBody(409, 'exists', 'AlreadyExists'))
    else answer(response, 201, this.#store(path, object, 'ADDED'))
  }

  /** Apply and merge patches alike: members of the body win, objects are merged, null deletes. */
  #patch(request: FakeRequest, response: ServerResponse): void {
    const path = request.path.replace(/\/status$/, '')
    const before = this.objects.get(path)
    const isApply = request.contentType.startsWith('application/apply-patch')
    if (before === undefined && !isApply) {
      answer(response, 404, statusBody(404, `${path} not found`))
      return
    }
    const wanted = metadataOf(request.body as Json)['resourceVersion']
    if (before !== undefined && typeof wanted === 'string' && wanted !== versionOf(before)) {
      answer(response, 409, statusBody(409, 'the object has been modified', 'Conflict'))
      return
    }
    const merged = merge(before ?? {}, request.body as Json)
    const type = before === undefined ? 'ADDED' : 'MODIFIED'
    const isSame = JSON.stringify(merged) === JSON.stringify(before)
    answer(response, 200, isSame ? merged : this.#store(path, merged, type))
  }

  #replace(request: FakeRequest, response: ServerResponse, before: Json): void {
    const body = request.body as Json
    if (versionOf(body) !== versionOf(before)) {
      answer(response, 409, statusBody(409, 'the object has been modified', 'Conflict'))
    } else answer(response, 200, this.#store(request.path, body, 'MODIFIED'))
  }

  #delete(request: FakeRequest, response: ServerResponse, before: Json): void {
    if (!this.#holds(request.body, before)) {
      answer(response, 409, statusBody(409, 'precondition failed', 'Conflict'))
      return
    }
    this.remove(request.path)
    answer(response, 200, statusBody(200, 'deleted'))
  }

  #evict(request: FakeRequest, response: ServerResponse): void {
    const path = request.path.replace(/\/eviction$/, '')
    const pod = this.objects.get(path)
    const { deleteOptions } = request.body as Json
    if (pod === undefined) answer(response, 404, statusBody(404, `${path} not found`))
    else if (!this.#holds(deleteOptions, pod)) {
      answer(response, 409, statusBody(409, 'precondition failed', 'Conflict'))
    } else {
      this.remove(path)
      answer(response, 201, statusBody(201, 'evicted'))
    }
  }

  #holds(options: unknown, object: Json): boolean {
    const preconditions = ((options ?? {}) as Json)['preconditions'] as Json | undefined
    const metadata = metadataOf(object)
    return Object.entries(preconditions ?? {}).every(([key, value]) => metadata[key] === value)
  }

  #store(path: string, object: Json, type: string): Json {
    const uid = metadataOf(this.objects.get(path) ?? {})['uid'] ?? `uid-${this.#version}`
    const stored = withVersion(
      { ...object, metadata: { uid, ...metadataOf(object) } },
      this.#next(),
    )
    this.objects.set(path, stored)
    this.#emit(type, path, stored)
    return stored
  }

  #emit(type: string, path: string, object: Json): void {
    const line = `${JSON.stringify({ type, object })}\n`
    this.#history.push({ version: this.#version, path, line })
    for (const watch of this.#watches) {
      if (isIn(path, watch.collection)) watch.response.write(line)
    }
  }

  #next(): number {
    this.#version += 1
    return this.#version
  }
}

function isCollectionPath(path: string): boolean {
  const parts = path.split('/').slice(path.startsWith('/apis/') ? 4 : 3)
  return parts[0] === 'namespaces' ? parts.length === 3 : parts.length === 1
}

/** Whether an object's path belongs to a collection of one or of all namespaces. */
function isIn(path: string, collection: string): boolean {
  if (path.startsWith(`${collection}/`)) return true
  const at = collection.lastIndexOf('/')
  const [root, plural] = [collection.slice(0, at), collection.slice(at + 1)]
  const parts = path.split('/')
  return path.startsWith(`${root}/namespaces/`) && parts.at(-2) === plural
}

function answer(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(body))
}

function statusBody(code: number, message: string, reason = ''): Json {
  return { apiVersion: 'v1', kind: 'Status', metadata: {}, code, message, reason }
}

function metadataOf(object: Json): Json {
  return (object['metadata'] ?? {}) as Json
}

function versionOf(object: Json): unknown {
  return metadataOf(object)['resourceVersion']
}

function withVersion(object: Json, version: number): Json {
  return { ...object, metadata: { ...metadataOf(object), resourceVersion: String(version) } }
}

function merge(base: Json, patch: Json): Json {
  const merged: Json = { ...base }
  for (const [key, value] of Object.entries(patch)) {
    const before = merged[key]
    if (value === null) delete merged[key]
    else if (isObject(value) && isObject(before)) merged[key] = merge(before, value)
    else merged[key] = value
  }
  return merged
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
