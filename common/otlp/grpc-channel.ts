/** One unary gRPC call after the other over HTTP/2, which is all that a push of metrics needs. */
import assert from 'node:assert/strict'
import process from 'node:process'
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2'
import { GantryError, messageOf } from '../errors.ts'
import type { Timers } from '../ports.ts'

/** `refused`: the server has answered, and not with OK. */
export type GrpcErrorCode = 'unreachable' | 'timedOut' | 'refused' | 'badAnswer'

export class GrpcError extends GantryError<GrpcErrorCode> {}

/** Compressed flag (1) and length (4, big-endian) before each message. */
const PREFIX_SIZE = 5
const ANSWER_MAX_BYTES = 65_536

export interface GrpcChannelOptions {
  /** `http:` is plain HTTP/2. */
  readonly target: URL
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly timers: Pick<Timers, 'after'>
}

/** Connects with the first call; whoever makes it closes it. */
export class GrpcChannel {
  readonly #options: GrpcChannelOptions
  #session: ClientHttp2Session | null = null

  constructor(options: GrpcChannelOptions) {
    this.#options = options
  }

  /** The answer's message; rejects with a `GrpcError`. */
  call(path: string, message: Buffer): Promise<Buffer> {
    const { headers, timeoutMs, timers } = this.#options
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
    const stream = this.#connected().request({
      ...headers,
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    const timer = timers.after(timeoutMs, () => {
      reject(new GrpcError('timedOut', `no answer within ${timeoutMs} ms`))
      this.close()
    })
    answerOf(stream).then(resolve, reject)
    stream.end(Buffer.concat([prefixOf(message), message]))
    return promise.finally(() => timer.cancel())
  }

  /** Drops what is under way. Idempotent. */
  close(): void {
    this.#session?.destroy()
    this.#session = null
  }

  #connected(): ClientHttp2Session {
    // An import would load it in every role.
    const http2 = process.getBuiltinModule('node:http2')
    assert(http2 !== undefined)
    if (this.#session === null) {
      this.#session = http2.connect(this.#options.target)
      // The calls tell.
      this.#session.on('error', () => undefined)
    }
    return this.#session
  }
}

function prefixOf(message: Buffer): Buffer {
  const prefix = Buffer.alloc(PREFIX_SIZE)
  prefix.writeUInt32BE(message.length, 1)
  return prefix
}

function answerOf(stream: ClientHttp2Stream): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    let headers: IncomingHttpHeaders = {}
    stream.on('response', (received) => {
      headers = { ...headers, ...received }
    })
    stream.on('trailers', (received) => {
      headers = { ...headers, ...received }
    })
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= ANSWER_MAX_BYTES) chunks.push(chunk)
      else stream.destroy(new Error('the answer is too long'))
    })
    stream.on('error', (error) => {
      reject(new GrpcError('unreachable', messageOf(error), error))
    })
    stream.on('close', () => {
      const problem = problemOf(headers)
      if (problem === null) resolve(Buffer.concat(chunks).subarray(PREFIX_SIZE))
      else reject(problem)
    })
  })
}

/** Status and message stand in the trailers, or, without a body, in the headers. */
function problemOf(headers: IncomingHttpHeaders): GrpcError | null {
  const httpStatus = headers[':status']
  const status = headers['grpc-status']
  if (httpStatus === undefined) return new GrpcError('unreachable', 'closed without an answer')
  if (status === '0') return null
  if (status === undefined) {
    return new GrpcError('badAnswer', `HTTP status ${String(httpStatus)} and no gRPC status`)
  }
  const message = headers['grpc-message']
  const text = typeof message === 'string' ? `: ${decoded(message)}` : ''
  return new GrpcError('refused', `gRPC status ${String(status)}${text}`)
}

/** Other than ASCII is percent-encoded; what is not well-formed is told as it came. */
function decoded(message: string): string {
  try {
    return decodeURIComponent(message)
  } catch {
    return message
  }
}
