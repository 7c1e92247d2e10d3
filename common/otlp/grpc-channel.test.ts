import { createServer } from 'node:http2'
import type { Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { afterEach, expect, test } from 'vitest'
import { createRuntime } from '../runtime.ts'
import { GrpcChannel } from './grpc-channel.ts'

const PATH = '/a.Service/Method'
const cleanups: (() => void)[] = []

afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

interface Call {
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

/** A server that answers as `answer` does, once it has all of the call. */
async function channelTo(
  answer: (stream: ServerHttp2Stream) => void,
  timeoutMs = 10_000,
): Promise<{ readonly channel: GrpcChannel; readonly calls: readonly Call[] }> {
  const calls: Call[] = []
  const server: Http2Server = createServer()
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    const chunks: Buffer[] = []
    stream.on('error', () => undefined)
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.once('end', () => {
      calls.push({ headers, body: Buffer.concat(chunks).toString('hex') })
      answer(stream)
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const channel = new GrpcChannel({
    target: new URL(`http://127.0.0.1:${port}`),
    headers: { authorization: 'Bearer x' },
    timeoutMs,
    timers: createRuntime().timers,
  })
  cleanups.push(
    () => channel.close(),
    () => server.close(),
  )
  return { channel, calls }
}

function answers(status: string, body: Buffer, message = '') {
  return (stream: ServerHttp2Stream) => {
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc' },
      { waitForTrailers: true },
    )
    stream.on('wantTrailers', () =>
      stream.sendTrailers({ 'grpc-status': status, 'grpc-message': message }),
    )
    stream.end(body)
  }
}

test('a call has its headers, prefix and message, and the answer its message', async () => {
  const answer = Buffer.from([0, 0, 0, 0, 2, 7, 8])
  const { channel, calls } = await channelTo(answers('0', answer))

  const first = await channel.call(PATH, Buffer.from([1, 2, 3]))
  await channel.call(PATH, Buffer.alloc(0))

  expect(first).toEqual(Buffer.from([7, 8]))
  expect(calls.map(({ body }) => body)).toEqual(['0000000003010203', '0000000000'])
  expect(calls[0]?.headers).toMatchObject({
    ':path': PATH,
    'content-type': 'application/grpc',
    te: 'trailers',
    authorization: 'Bearer x',
  })
})

test('what the server has against it is told', async () => {
  const { channel } = await channelTo(answers('8', Buffer.alloc(0), 'too%20much'))

  await expect(channel.call(PATH, Buffer.alloc(1))).rejects.toMatchObject({
    code: 'refused',
    message: 'gRPC status 8: too much',
  })
})

test('an answer of headers alone counts, and one that is no gRPC does not', async () => {
  const bare = await channelTo((stream) =>
    stream.respond({ ':status': 200, 'grpc-status': '16' }, { endStream: true }),
  )
  const other = await channelTo((stream) => {
    stream.respond({ ':status': 404 }, { endStream: true })
  })

  await expect(bare.channel.call(PATH, Buffer.alloc(1))).rejects.toMatchObject({ code: 'refused' })
  await expect(other.channel.call(PATH, Buffer.alloc(1))).rejects.toMatchObject({
    code: 'badAnswer',
    message: 'HTTP status 404 and no gRPC status',
  })
})

test('a server that does not answer is given up, one that is away or breaks off is unreachable', async () => {
  const silent = await channelTo(() => undefined, 50)
  const broken = await channelTo((stream) => stream.close(2))
  const away = new GrpcChannel({
    target: new URL('http://127.0.0.1:1'),
    headers: {},
    timeoutMs: 10_000,
    timers: createRuntime().timers,
  })

  await expect(silent.channel.call(PATH, Buffer.alloc(1))).rejects.toMatchObject({
    code: 'timedOut',
  })
  await expect(broken.channel.call(PATH, Buffer.alloc(1))).rejects.toMatchObject({
    code: 'unreachable',
  })
  await expect(away.call(PATH, Buffer.alloc(1))).rejects.toMatchObject({ code: 'unreachable' })
})

test('an answer that never ends is cut', async () => {
  const { channel } = await channelTo(answers('0', Buffer.alloc(100_000)))

  await expect(channel.call(PATH, Buffer.alloc(1))).rejects.toThrow('too long')
})

test('a channel that was closed connects again', async () => {
  const { channel } = await channelTo(answers('0', Buffer.alloc(5)))
  await channel.call(PATH, Buffer.alloc(1))
  channel.close()

  expect(await channel.call(PATH, Buffer.alloc(1))).toEqual(Buffer.alloc(0))
})
