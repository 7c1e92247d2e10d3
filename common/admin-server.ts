/**
 * The admin port of a role: health, metrics and the facts of `admin-contract.ts` over plain HTTP.
 *
 * Requests are few and small: bodies and connections are limited, and every error is answered as JSON.
 */
import assert from 'node:assert/strict'
import process from 'node:process'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { GantryError, messageOf } from './errors.ts'
import type { Logger } from './log.ts'
import type { Registry } from './metrics.ts'

export const ADMIN_MAX_BODY_BYTES = 65_536
export const ADMIN_MAX_CONNECTIONS = 64
const REQUEST_TIMEOUT_MS = 10_000

export interface AdminRequest {
  /** Without the query. */
  readonly path: string
  readonly query: URLSearchParams
  /** At most `ADMIN_MAX_BODY_BYTES`. */
  readonly body: string
}

export interface AdminAnswer {
  readonly status: number
  /** Text is sent as it is, anything else as JSON. */
  readonly body: unknown
  /** `application/json` or `text/plain` by the kind of body when absent. */
  readonly contentType?: string
}

export type AdminHandler = (request: AdminRequest) => AdminAnswer | Promise<AdminAnswer>

/** Handlers by method and path: `GET /admin/v1/raft`. */
export type AdminRoutes = Readonly<Record<string, AdminHandler>>

export type AdminErrorCode = 'badRequest' | 'conflict' | 'notFound' | 'unavailable'

/** Thrown by a handler: answered with the fitting status and its message. */
export class AdminError extends GantryError<AdminErrorCode> {}

const STATUS: Readonly<Record<AdminErrorCode, number>> = {
  badRequest: 400,
  notFound: 404,
  conflict: 409,
  unavailable: 503,
}

export class AdminServer {
  readonly host: string
  /** The port in use, also when 0 was asked for. */
  readonly port: number
  readonly #server: Server
  #closed: Promise<void> | null = null

  private constructor(server: Server, host: string, port: number) {
    this.#server = server
    this.host = host
    this.port = port
  }

  /** Listens; rejects with the system's error (`EADDRINUSE` …). Port 0: any free one. An empty host is every address. */
  static async listen(options: {
    readonly host: string
    readonly port: number
    readonly routes: AdminRoutes
    readonly logger: Logger
  }): Promise<AdminServer> {
    const { host, port, routes, logger } = options
    // An import would load all that the module exports, Node's HTTP client and WebSocket among it: 10 MiB of RSS.
    const http = process.getBuiltinModule('node:http')
    assert(http !== undefined)
    const server = http.createServer(
      { requestTimeout: REQUEST_TIMEOUT_MS },
      (request, response) => {
        answer(routes, request, response).catch((error: unknown) => {
          logger.warn({ err: error, path: request.url }, 'an admin request failed')
          response.destroy()
        })
      },
    )
    server.maxConnections = ADMIN_MAX_CONNECTIONS
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ port, ...(host === '' ? {} : { host }) }, () => {
        server.off('error', reject)
        resolve()
      })
    })
    server.on('error', (err) => logger.warn({ err }, 'the admin port had an error'))
    const address = server.address()
    const actual = address === null || typeof address === 'string' ? port : address.port
    return new AdminServer(server, host, actual)
  }

  /** Stops listening, and drops the connections once their requests are answered. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeIdleConnections()
    })
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

export interface Health {
  /** True while the process can do its work at all; false makes Kubernetes restart it. */
  readonly isLive: () => boolean
  /** Null when requests may be sent here, else the reason why not. */
  readonly notReady: () => string | null
  /** Null once start-up is done, else what it is at. */
  readonly notStarted: () => string | null
}

/** `/livez`, `/readyz`, `/startupz` and `/metrics`, which every role has. */
export function commonAdminRoutes(health: Health, registry: Registry): AdminRoutes {
  return {
    'GET /livez': () => healthAnswer(health.isLive() ? null : 'not live'),
    'GET /readyz': () => healthAnswer(health.notReady()),
    'GET /startupz': () => healthAnswer(health.notStarted()),
    'GET /metrics': async () => ({
      status: 200,
      body: await registry.metrics(),
      contentType: registry.contentType,
    }),
  }
}

function healthAnswer(problem: string | null): AdminAnswer {
  return problem === null
    ? { status: 200, body: 'ok\n' }
    : { status: 503, body: { error: problem } }
}

async function answer(
  routes: AdminRoutes,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { status, body, contentType } = await handle(routes, request)
  const isText = typeof body === 'string'
  const bytes = Buffer.from(isText ? body : `${JSON.stringify(body)}\n`)
  response.writeHead(status, {
    'content-type': contentType ?? (isText ? 'text/plain; charset=utf-8' : 'application/json'),
    'content-length': bytes.length,
    // What is told here changes from one moment to the next.
    'cache-control': 'no-store',
  })
  response.end(request.method === 'HEAD' ? undefined : bytes)
}

async function handle(routes: AdminRoutes, request: IncomingMessage): Promise<AdminAnswer> {
  try {
    const url = new URL(request.url ?? '/', 'http://admin')
    const method = request.method === 'HEAD' ? 'GET' : (request.method ?? 'GET')
    const key = `${method} ${url.pathname}`
    const handler = Object.hasOwn(routes, key) ? routes[key] : undefined
    if (handler === undefined) return noSuchRoute(routes, method, url.pathname)
    const body = await readBody(request)
    if (body === null) return { status: 413, body: { error: 'the request body is too large' } }
    return await handler({ path: url.pathname, query: url.searchParams, body })
  } catch (error) {
    const status = error instanceof AdminError ? STATUS[error.code] : 500
    return { status, body: { error: messageOf(error) } }
  }
}

function noSuchRoute(routes: AdminRoutes, method: string, path: string): AdminAnswer {
  const methods = Object.keys(routes).filter((key) => key.endsWith(` ${path}`))
  if (methods.length === 0) return { status: 404, body: { error: `no such path: ${path}` } }
  return { status: 405, body: { error: `${path} does not take ${method}` } }
}

/** Null when the body is over the limit. */
async function readBody(request: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk))
    size += bytes.length
    if (size > ADMIN_MAX_BODY_BYTES) return null
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString('utf8')
}
