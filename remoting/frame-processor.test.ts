import { expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { createRegistry } from '../common/metrics.ts'
import type { Network, SocketHandler } from '../common/ports.ts'
import { decodeCommand, encodeCommand } from './command-codec.ts'
import { LanguageCode, NO_BODY, ONEWAY_FLAG, SerializeType } from './command.ts'
import type { RemotingCommand } from './command.ts'
import type { Connection } from './connection.ts'
import { FrameDecoder } from './frame-decoder.ts'
import type { RemotingLimits } from './limits.ts'
import { createRemotingMetrics } from './metrics.ts'
import type { FrameProcessor, RequestFrame } from './request-frame.ts'
import { RemotingServer } from './server.ts'
import { FakeSocket, ManualTime } from './testing.ts'

const CODE = 1000

function frameOf(given: Partial<RemotingCommand>): Buffer {
  return encodeCommand({
    code: CODE,
    language: LanguageCode.JAVA,
    version: 479,
    opaque: 1,
    flag: 0,
    remark: null,
    extFields: new Map([['a', 'x']]),
    body: NO_BODY,
    serializeType: SerializeType.JSON,
    ...given,
  })
}

function decodeAll(writes: readonly Buffer[]): RemotingCommand[] {
  const commands: RemotingCommand[] = []
  const decoder = new FrameDecoder(16_777_216, (source, start, end) => {
    commands.push(decodeCommand(source, start, end))
  })
  for (const bytes of writes) decoder.push(bytes)
  return commands
}

/** A taken request, with what its frame said at that time. */
interface Taken {
  readonly connection: Connection
  readonly opaque: number
  readonly body: string
  readonly bytes: number
  readonly receivedAt: number
}

function takenOf(connection: Connection, frame: RequestFrame): Taken {
  const { opaque, receivedAt, inFlightBytes: bytes } = frame
  const body = frame.source.toString('utf8', frame.bodyStart, frame.bodyEnd)
  return { connection, opaque, body, bytes, receivedAt }
}

/** Answers some taken requests of one connection together. */
function answer(taken: readonly Taken[], responseCode: number | null = 0): boolean {
  const [first] = taken
  if (first === undefined) throw new Error('nothing to answer')
  const frames =
    responseCode === null
      ? NO_BODY
      : Buffer.concat(taken.map(({ opaque }) => frameOf({ code: responseCode, flag: 1, opaque })))
  return first.connection.writeFrames(frames, 0, frames.length, {
    requestCode: CODE,
    responseCode,
    count: taken.length,
    bytes: taken.reduce((sum, { bytes }) => sum + bytes, 0),
    receivedAt: first.receivedAt,
    isLongPolling: false,
  })
}

/** A server whose ordinary processor answers 7, with a frame processor. */
async function startServer(processor: FrameProcessor, limits: Partial<RemotingLimits> = {}) {
  const time = new ManualTime()
  const registry = createRegistry({ cluster: 'c', nodeType: 'broker', nodeId: 'n' })
  let accept: (socket: FakeSocket) => SocketHandler = () => {
    throw new Error('not listening')
  }
  const network: Network = {
    listen: (host, port, onSocket) => {
      accept = onSocket
      return Promise.resolve({ host, port, close: () => Promise.resolve() })
    },
    connect: () => Promise.reject(new Error('unused')),
    resolve: () => Promise.resolve([]),
    localAddresses: () => [],
  }
  const server = new RemotingServer({
    network,
    clock: time,
    timers: time,
    logger: silentLogger,
    metrics: createRemotingMetrics(registry),
    limits,
  })
  server.register(CODE, (request) => request.respond({ code: 7 }))
  server.registerFrameProcessor(CODE, processor)
  await server.listen('127.0.0.1', 10911)
  const socket = new FakeSocket()
  const latencyLines = async () =>
    (await registry.metrics())
      .split('\n')
      .filter((line) => line.startsWith('rocketmq_rpc_latency_milliseconds'))
  return { server, time, socket, handler: accept(socket), latencyLines }
}

async function server(limits: Partial<RemotingLimits> = {}) {
  const taken: Taken[] = []
  const started = await startServer((connection, frame) => {
    taken.push(takenOf(connection, frame))
    return true
  }, limits)
  return { ...started, taken }
}

test('the answers of taken requests leave together when the callback is over, without waiting for the next turn', async () => {
  const { taken, handler, socket } = await server()
  handler.onData(Buffer.concat([1, 2, 3].map((opaque) => frameOf({ opaque }))))

  answer(taken.slice(0, 1))
  answer(taken.slice(1))
  await Promise.resolve()

  expect(socket.writes).toHaveLength(1)
  expect(decodeAll(socket.writes).map(({ opaque }) => opaque)).toEqual([1, 2, 3])
})

test('what the frame processor does not take goes the ordinary way', async () => {
  const { handler, socket, time } = await startServer(() => false)

  handler.onData(frameOf({ opaque: 9 }))
  time.settle()

  expect(decodeAll(socket.writes)).toMatchObject([{ code: 7, opaque: 9 }])
})

test('a header that the scanner does not read goes the ordinary way', async () => {
  const { taken, handler, socket, time } = await server()
  const header = Buffer.from(`{'code':${CODE},'opaque':5}`)
  const frame = Buffer.concat([Buffer.alloc(8), header])
  frame.writeInt32BE(4 + header.length)
  frame.writeInt32BE(header.length, 4)

  handler.onData(frame)
  time.settle()

  expect(taken).toEqual([])
  expect(decodeAll(socket.writes)).toMatchObject([{ code: 7, opaque: 5 }])
})

test('a frame processor that fails is answered with its error, once', async () => {
  const { handler, socket, time } = await startServer(() => {
    throw new Error('out of order')
  })

  handler.onData(frameOf({ opaque: 4 }))
  time.settle()

  expect(decodeAll(socket.writes)).toMatchObject([{ code: 1, opaque: 4, remark: 'out of order' }])
})

test('a frame processor that fails after its answer does no harm', async () => {
  const { handler, socket } = await startServer((connection, frame) => {
    answer([takenOf(connection, frame)])
    throw new Error('too late')
  })

  handler.onData(Buffer.concat([frameOf({ opaque: 4 }), frameOf({ opaque: 5 })]))
  await Promise.resolve()

  expect(decodeAll(socket.writes).map(({ opaque, code }) => [opaque, code])).toEqual([
    [4, 0],
    [5, 0],
  ])
})

test('frames that span chunks are taken whole, one after the other', async () => {
  const { taken, handler } = await server()
  const stream = Buffer.concat(
    Array.from({ length: 30 }, (_, opaque) =>
      frameOf({ opaque, body: Buffer.alloc(400, String(opaque % 10)) }),
    ),
  )

  for (let at = 0; at < stream.length; at += 701) {
    handler.onData(Buffer.from(stream.subarray(at, at + 701)))
  }

  expect(taken.map(({ opaque, body }) => [opaque, body])).toEqual(
    Array.from({ length: 30 }, (_, opaque) => [opaque, String(opaque % 10).repeat(400)]),
  )
})

test('reading pauses while taken requests wait, and goes on when they are answered', async () => {
  const { taken, handler, socket } = await server({ maxInFlightPerConnection: 4 })

  handler.onData(Buffer.concat([1, 2, 3, 4].map((opaque) => frameOf({ opaque }))))
  const isPausedWhileWaiting = socket.isPaused
  answer(taken)

  expect([isPausedWhileWaiting, socket.isPaused]).toEqual([true, false])
})

test('reading pauses by the bytes of taken requests too', async () => {
  const { taken, handler, socket } = await server({ maxInFlightBytesPerConnection: 5_000 })

  handler.onData(frameOf({ body: Buffer.alloc(4_600) }))
  const isPausedWhileWaiting = socket.isPaused
  answer(taken)

  expect([isPausedWhileWaiting, socket.isPaused]).toEqual([true, false])
})

test('requests that were not taken leave nothing behind in flow control', async () => {
  const { handler, socket, time } = await startServer(() => false, { maxInFlightPerConnection: 4 })

  for (let opaque = 0; opaque < 20; opaque++) handler.onData(frameOf({ opaque }))
  time.settle()

  expect(socket.isPaused).toBe(false)
  expect(decodeAll(socket.writes)).toHaveLength(20)
})

test('a closing server waits for the answers to taken requests', async () => {
  const { taken, handler, socket, server: remoting } = await server()
  handler.onData(frameOf({ opaque: 1 }))

  const closing = remoting.close()
  await Promise.resolve()
  const wasClosedBefore = socket.isDestroyed
  answer(taken)
  await closing

  expect([wasClosedBefore, socket.isDestroyed]).toEqual([false, true])
  expect(decodeAll(socket.writes).map(({ opaque }) => opaque)).toEqual([1])
})

test('answers to a connection that has gone end their requests all the same', async () => {
  const { taken, handler, latencyLines } = await server()
  handler.onData(frameOf({ opaque: 1 }))
  handler.onClose(null)

  const isWritten = answer(taken)

  expect(isWritten).toBe(false)
  expect((await latencyLines()).some((line) => line.includes('write_channel_failed'))).toBe(true)
})

test('each of the requests that are answered together counts in the latency', async () => {
  const { taken, handler, time, latencyLines } = await server()
  handler.onData(Buffer.concat([frameOf({ opaque: 1 }), frameOf({ opaque: 2 })]))
  time.advance(4)

  answer(taken)

  const lines = await latencyLines()
  const count = lines.find((line) => line.startsWith('rocketmq_rpc_latency_milliseconds_count'))
  const sum = lines.find((line) => line.startsWith('rocketmq_rpc_latency_milliseconds_sum'))
  expect([count?.split(' ').at(-1), sum?.split(' ').at(-1)]).toEqual(['2', '8'])
  expect(count).toContain('result="success"')
})

test('a one-way request that was taken ends without an answer', async () => {
  const { taken, handler, socket, latencyLines } = await server()
  handler.onData(frameOf({ flag: ONEWAY_FLAG }))

  answer(taken, null)
  await Promise.resolve()

  expect(socket.writes).toEqual([])
  expect((await latencyLines()).some((line) => line.includes('result="oneway"'))).toBe(true)
})

test('a code without an ordinary processor takes no frame processor', async () => {
  const { server: remoting } = await server()

  expect(() => remoting.registerFrameProcessor(CODE + 1, () => true)).toThrow(
    'request code 1001 has no ordinary processor',
  )
})

test('long answers arrive unharmed', async () => {
  const { taken, handler, socket } = await server()
  handler.onData(frameOf({ opaque: 1 }))
  const [first] = taken
  const long = frameOf({ code: 0, flag: 1, opaque: 1, body: Buffer.alloc(200_000, 'abcdefg') })

  first?.connection.writeFrames(long, 0, long.length, {
    requestCode: CODE,
    responseCode: 0,
    count: 1,
    bytes: first.bytes,
    receivedAt: 0,
    isLongPolling: false,
  })
  await Promise.resolve()

  expect(Buffer.concat(socket.writes)).toEqual(long)
})
