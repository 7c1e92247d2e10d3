/**
 * HTTP to an API server: the one file that knows the Kubernetes client library, which gives the address, the credentials and TLS.
 * Everything above it speaks through `KubeTransport`.
 */
import http from 'node:http'
import https from 'node:https'
import { StringDecoder } from 'node:string_decoder'
import { KubeConfig } from '@kubernetes/client-node'
import { messageOf } from '../common/errors.ts'
import type { Clock } from '../common/ports.ts'
import type { KubeRequest, KubeStreamRequest, KubeTransport } from './kube-api.ts'
import { KubeError, kubeErrorCodeOf } from './kube-error.ts'

/** A page of 500 objects of at most 1.5 MiB would be far larger; nothing of ours comes near. */
const MAX_BODY_BYTES = 256 * 1024 * 1024
const MAX_LINE_CHARS = 16 * 1024 * 1024
const DEFAULT_TIMEOUT_MS = 30_000
/** An error answer to a watch is small; more of it is not read. */
const MAX_ERROR_CHARS = 64 * 1024

export interface KubeTransportOptions {
  readonly config: KubeConfig
  readonly clock: Clock
  /** Told of every finished call, for the metrics; `code` is 0 when no answer came. */
  readonly onCall?: (call: {
    readonly method: string
    readonly path: string
    readonly code: number
    readonly seconds: number
  }) => void
}

/** The configuration of `$KUBECONFIG`, `~/.kube/config`, or the pod's service account, in this order. */
export function loadKubeConfig(): KubeConfig {
  const config = new KubeConfig()
  config.loadFromDefault()
  return config
}

/** A plain configuration for one address; for tests against a server of their own. */
export function kubeConfigFor(server: string): KubeConfig {
  const config = new KubeConfig()
  config.loadFromOptions({
    clusters: [{ name: 'test', server, skipTLSVerify: true }],
    users: [{ name: 'test' }],
    contexts: [{ name: 'test', cluster: 'test', user: 'test' }],
    currentContext: 'test',
  })
  return config
}

/** Connections are kept and reused; `close()` drops them all. */
export function createKubeTransport(options: KubeTransportOptions): KubeTransport {
  return new HttpTransport(options)
}

class HttpTransport implements KubeTransport {
  readonly #options: KubeTransportOptions
  readonly #base: URL
  readonly #usesProxy: boolean
  // Node keys an agent's connections by the TLS options of each request, so rotated certificates get connections of their own.
  readonly #secureAgent: https.Agent = new https.Agent({ keepAlive: true })
  readonly #plainAgent: http.Agent = new http.Agent({ keepAlive: true })

  constructor(options: KubeTransportOptions) {
    this.#options = options
    const cluster = options.config.getCurrentCluster()
    if (cluster === null) {
      throw new KubeError('invalid', 'the kubeconfig names no current cluster')
    }
    this.#base = new URL(cluster.server)
    this.#usesProxy = cluster.proxyUrl !== undefined
  }

  async request(request: KubeRequest): Promise<unknown> {
    const { clock, onCall } = this.#options
    const started = clock.monotonic()
    let code = 0
    try {
      const response = await this.#send(request, AbortSignal.timeout(timeoutOf(request)))
      code = response.statusCode ?? 0
      const text = await readAll(response)
      if (code < 200 || code > 299) throw errorOf(request, response, text)
      return text === '' ? null : parseJson(text, request.path)
    } catch (error) {
      throw asKubeError(error, request)
    } finally {
      const seconds = (clock.monotonic() - started) / 1000
      onCall?.({ method: request.method, path: request.path, code, seconds })
    }
  }

  async stream(request: KubeStreamRequest): Promise<void> {
    try {
      const response = await this.#send({ method: 'GET', ...request }, request.signal)
      if (response.statusCode !== 200) throw errorOf(request, response, await readStart(response))
      await readLines(response, request.onLine)
    } catch (error) {
      if (request.signal.aborted) return
      throw asKubeError(error, request)
    }
  }

  close(): void {
    this.#secureAgent.destroy()
    this.#plainAgent.destroy()
  }

  async #send(request: KubeRequest, signal: AbortSignal): Promise<http.IncomingMessage> {
    const base = this.#base
    const query = new URLSearchParams(request.query).toString()
    const body = request.body === undefined ? null : Buffer.from(JSON.stringify(request.body))
    const options: https.RequestOptions = {
      method: request.method,
      hostname: base.hostname,
      path: `${base.pathname.replace(/\/$/, '')}${request.path}${query === '' ? '' : `?${query}`}`,
      ...(base.port === '' ? {} : { port: base.port }),
      signal,
    }
    await this.#options.config.applyToHTTPSOptions(options)
    const isSecure = base.protocol === 'https:'
    // The library's own agent opens a connection for each request.
    if (!this.#usesProxy) options.agent = isSecure ? this.#secureAgent : this.#plainAgent
    options.headers = {
      ...Object.fromEntries(Object.entries(options.headers ?? {})),
      accept: 'application/json',
      'user-agent': 'gantry-operator',
      ...(body === null
        ? {}
        : {
            'content-type': request.contentType ?? 'application/json',
            'content-length': String(body.length),
          }),
    }
    return await new Promise((resolve, reject) => {
      const outgoing = (isSecure ? https : http).request(options, resolve)
      outgoing.on('error', reject)
      outgoing.end(body ?? undefined)
    })
  }
}

function timeoutOf(request: KubeRequest): number {
  return request.timeoutMs ?? DEFAULT_TIMEOUT_MS
}

async function readAll(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) continue
    size += chunk.length
    if (size > MAX_BODY_BYTES) throw new KubeError('unavailable', `answer above ${MAX_BODY_BYTES}`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

async function readStart(response: http.IncomingMessage): Promise<string> {
  const decoder = new StringDecoder('utf8')
  let text = ''
  for await (const chunk of response) {
    if (Buffer.isBuffer(chunk)) text += decoder.write(chunk)
    if (text.length > MAX_ERROR_CHARS) break
  }
  return text
}

async function readLines(
  response: http.IncomingMessage,
  onLine: (line: string) => void,
): Promise<void> {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) continue
    const lines = (rest + decoder.write(chunk)).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > MAX_LINE_CHARS) throw new KubeError('unavailable', 'watch line too long')
    for (const line of lines) {
      if (line !== '') onLine(line)
    }
  }
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new KubeError('unavailable', `${path}: the answer is no JSON`, { cause: error })
  }
}

function errorOf(
  request: { readonly path: string; readonly method?: string },
  response: http.IncomingMessage,
  text: string,
): KubeError {
  const status = response.statusCode ?? 0
  const { message, reason, retryAfterSeconds } = statusOf(text)
  const header = Number(response.headers['retry-after'] ?? Number.NaN)
  const seconds = Number.isFinite(header) ? header : retryAfterSeconds
  return new KubeError(
    kubeErrorCodeOf(status),
    `${request.method ?? 'GET'} ${request.path}: ${status} ${message}`.trim(),
    { reason, retryAfterMs: seconds === null ? null : seconds * 1000 },
  )
}

/** What a `Status` object says; a body that is none is quoted in part. */
function statusOf(text: string): {
  readonly message: string
  readonly reason: string
  readonly retryAfterSeconds: number | null
} {
  try {
    const body: unknown = JSON.parse(text)
    if (typeof body === 'object' && body !== null) {
      const message = 'message' in body ? String(body.message) : ''
      const reason = 'reason' in body ? String(body.reason) : ''
      const details = 'details' in body ? body.details : null
      const retryAfterSeconds =
        typeof details === 'object' && details !== null && 'retryAfterSeconds' in details
          ? Number(details.retryAfterSeconds)
          : null
      return { message, reason, retryAfterSeconds }
    }
  } catch {
    // No JSON: a proxy's page or an empty body.
  }
  return { message: text.slice(0, 200), reason: '', retryAfterSeconds: null }
}

function asKubeError(error: unknown, request: { readonly path: string }): KubeError {
  if (error instanceof KubeError) return error
  return new KubeError('unavailable', `${request.path}: ${messageOf(error)}`, { cause: error })
}
