import { expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { createRegistry } from '../common/metrics.ts'
import type { Network, SocketHandler } from '../common/ports.ts'
import { decodeCommand, encodeCommand } from './command-codec.ts'
import { LanguageCode, NO_BODY, NO_FIELDS, ONEWAY_FLAG, SerializeType } from './command.ts'
import type { RemotingCommand } from './command.ts'
import type { RemotingRequest } from './connection.ts'
import { FrameDecoder } from './frame-decoder.ts'
import type { RemotingLimits } from './limits.ts'
import { createRemotingMetrics } from './metrics.ts'
import { RemotingServer } from './server.ts'
import { FakeSocket, ManualTime } from './testing.ts'

function request(given: Partial<RemotingCommand>): Buffer {
  return encodeCommand({
    code: 1000,
    language: LanguageCode.JAVA,
    version: 479,
    opaque: 1,
    flag: 0,
    remark: null,
    extFields: NO_FIELDS,
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

/** A server on a network whose connections the test makes itself. */
async function startServer(limits: Partial<RemotingLimits> = {}) {
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
  const parked: RemotingRequest[] = []
  server.register(1000, (incoming) => incoming.respond({ code: 0, body: incoming.command.body }))
  server.register(1001, (incoming) => void parked.push(incoming))
  await server.listen('127.0.0.1', 10911)
  const connect = () => {
    const socket = new FakeSocket()
    return { socket, handler: accept(socket) }
  }
  const sample = async (line: string) => {
    const lines = (await registry.metrics()).split('\n')
    return Number(
      lines
        .find((each) => each.startsWith(line))
        ?.split(' ')
        .at(-1) ?? 0,
    )
  }
  return { server, time, parked, connect, sample, ...connect() }
}

test('all answers of one turn leave in one write, in order', async () => {
  const { socket, handler, time } = await startServer()
  const requests = [1, 2, 3].map((opaque) => request({ opaque, body: Buffer.from(`b${opaque}`) }))

  handler.onData(Buffer.concat(requests))
  time.settle()

  expect(socket.writes).toHaveLength(1)
  const answers = decodeAll(socket.writes)
  expect(answers.map(({ opaque, flag, body }) => [opaque, flag, String(body)])).toEqual([
    [1, 1, 'b1'],
    [2, 1, 'b2'],
    [3, 1, 'b3'],
  ])
})

test('a request is answered in its own serialization, both mixed on one connection', async () => {
  const { socket, handler, time } = await startServer()

  handler.onData(request({ opaque: 1, serializeType: SerializeType.ROCKETMQ }))
  handler.onData(request({ opaque: 2, serializeType: SerializeType.JSON }))
  time.settle()

  expect(decodeAll(socket.writes).map(({ serializeType }) => serializeType)).toEqual([
    SerializeType.ROCKETMQ,
    SerializeType.JSON,
  ])
})

test('small bodies are joined with their headers, and large ones arrive unharmed between them', async () => {
  const { socket, handler, time } = await startServer()
  const bodies = [10, 100_000, 20, 70_000, 16_384, 0].map((size, index) =>
    Buffer.alloc(size, index),
  )

  handler.onData(Buffer.concat(bodies.map((body, opaque) => request({ opaque, body }))))
  time.settle()

  const answers = decodeAll(socket.writes)
  expect(answers.map(({ body }, index) => body.equals(bodies[index] ?? NO_BODY))).toEqual(
    bodies.map(() => true),
  )
})

test('the output buffer is used again without mixing turns up', async () => {
  const { socket, handler, time } = await startServer()

  for (let opaque = 0; opaque < 50; opaque++) {
    handler.onData(request({ opaque, body: Buffer.alloc(3_000, opaque) }))
    time.settle()
  }

  const answers = decodeAll(socket.writes)
  expect(answers.every(({ opaque, body }) => body.equals(Buffer.alloc(3_000, opaque)))).toBe(true)
  expect(answers).toHaveLength(50)
})

// Goal: a request outlives the bytes it came in. Method: they are overwritten while it waits, whole and gathered from two pieces.
test('what is read next does not change a request that waits', async () => {
  const { handler, parked } = await startServer()
  const bytes = request({ code: 1001, opaque: 1, body: Buffer.from('first body') })
  const pieces = [bytes, bytes.subarray(0, 20), bytes.subarray(20)].map((each) => Buffer.from(each))

  for (const piece of pieces) {
    handler.onData(piece)
    piece.fill(0x2a)
  }

  expect(parked.map(({ command }) => String(command.body))).toEqual(['first body', 'first body'])
})

// Goal: bytes that the kernel has not taken are not overwritten. Method: one peer takes nothing while another is served.
test('the output of a slow peer is left alone while others are answered', async () => {
  const { socket, handler, time, connect } = await startServer()
  const other = connect()
  socket.isTaking = false
  handler.onData(request({ opaque: 1, body: Buffer.alloc(500, 'slow') }))
  time.settle()

  for (let opaque = 2; opaque < 10; opaque++) {
    other.handler.onData(request({ opaque, body: Buffer.alloc(700, 'fast') }))
    time.settle()
  }

  const [answer] = decodeAll(socket.writes)
  expect(answer?.opaque).toBe(1)
  expect(answer?.body.equals(Buffer.alloc(500, 'slow'))).toBe(true)
})

test('an unknown code is answered with 3, one that does not apply says why', async () => {
  const { socket, handler, time, sample } = await startServer()

  handler.onData(request({ code: 9999 }))
  handler.onData(request({ code: 1010 }))
  time.settle()

  expect(decodeAll(socket.writes).map(({ code, remark }) => [code, remark])).toEqual([
    [3, ' request type 9999 not supported'],
    [
      3,
      ' request type 1010 not supported: a broker group has no controller, its members elect their leader; ask a broker for its state',
    ],
  ])
  expect(await sample('rocketmq_remoting_rejects_total{reason="unsupportedCode"')).toBe(2)
})

test('a one-way request gets no answer, whatever its processor does', async () => {
  const { socket, handler, time, server, sample } = await startServer()
  server.register(1002, () => {
    throw new Error('broken')
  })

  for (const code of [1000, 1002, 9999]) handler.onData(request({ code, flag: ONEWAY_FLAG }))
  time.settle()

  const labels = 'is_long_polling="false",result="oneway"'
  const unknown = 'protocol_type="remoting",request_code="unknown",response_code="unknown"'
  expect(socket.writes).toEqual([])
  expect(await sample(`rocketmq_rpc_latency_milliseconds_count{${unknown},${labels}`)).toBe(2)
})

test('what a processor throws or rejects with is answered as SYSTEM_ERROR with its text', async () => {
  const { socket, handler, time, server } = await startServer()
  server.register(1002, () => {
    throw new Error('thrown')
  })
  server.register(1003, () => Promise.reject(new Error('rejected')))

  handler.onData(request({ code: 1002, opaque: 1 }))
  handler.onData(request({ code: 1003, opaque: 2 }))
  await Promise.resolve()
  await Promise.resolve()
  time.settle()

  const answers = decodeAll(socket.writes)
  expect(answers.map(({ code, opaque, remark }) => [code, opaque, remark])).toEqual([
    [1, 1, 'thrown'],
    [1, 2, 'rejected'],
  ])
})

test('only the first answer counts, also after the connection has closed', async () => {
  const { socket, handler, time, parked, server } = await startServer()
  handler.onData(request({ code: 1001, opaque: 1 }))
  handler.onData(request({ code: 1001, opaque: 2 }))

  parked[0]?.respond({ code: 0, remark: 'first' })
  parked[0]?.respond({ code: 0, remark: 'second' })
  time.settle()
  handler.onClose(null)
  parked[1]?.respond({ code: 0 })
  time.settle()

  expect(decodeAll(socket.writes).map(({ remark }) => remark)).toEqual(['first'])
  expect(server.connectionCount).toBe(0)
})

test('reading pauses while too many requests wait, and goes on when they are answered', async () => {
  const { socket, handler, time, parked } = await startServer({ maxInFlightPerConnection: 4 })

  for (const opaque of [1, 2, 3]) handler.onData(request({ code: 1001, opaque }))
  expect(socket.isPaused).toBe(false)
  handler.onData(request({ code: 1001, opaque: 4 }))
  expect(socket.isPaused).toBe(true)
  parked[0]?.respond({ code: 0 })
  expect(socket.isPaused).toBe(true)
  parked[1]?.respond({ code: 0 })
  time.settle()

  expect(socket.isPaused).toBe(false)
})

test('reading pauses when the bodies of waiting requests are too large together', async () => {
  const { socket, handler, parked } = await startServer({ maxInFlightBytesPerConnection: 10_000 })

  handler.onData(request({ code: 1001, opaque: 1, body: Buffer.alloc(9_000) }))
  expect(socket.isPaused).toBe(false)
  handler.onData(request({ code: 1001, opaque: 2, body: Buffer.alloc(1_000) }))
  expect(socket.isPaused).toBe(true)
  parked[0]?.respond({ code: 0 })

  expect(socket.isPaused).toBe(false)
})

test('reading pauses while the peer does not take its answers', async () => {
  const { socket, handler, time } = await startServer()
  socket.isTaking = false

  handler.onData(request({ body: Buffer.alloc(1_000) }))
  time.settle()
  expect(socket.isPaused).toBe(true)
  socket.pendingBytes = 0
  handler.onDrain()

  expect(socket.isPaused).toBe(false)
})

test('a peer that takes nothing is dropped when its output is over the limit', async () => {
  const { socket, handler, time, sample } = await startServer({ maxOutputBytes: 10_000 })
  socket.isTaking = false

  for (let opaque = 0; opaque < 12; opaque++) {
    handler.onData(request({ opaque, body: Buffer.alloc(1_000) }))
    time.settle()
  }

  expect(socket.isDestroyed).toBe(true)
  expect(await sample('rocketmq_remoting_closed_connections_total{reason="outputLimit"')).toBe(1)
})

test('an idle connection is closed after 120 s, one that is used is not', async () => {
  const { socket, handler, time, connect, sample } = await startServer()
  const busy = connect()

  for (let second = 0; second < 122; second++) {
    time.advance(1_000)
    busy.handler.onData(request({ opaque: second }))
  }
  handler.onClose(null)

  expect(socket.isDestroyed).toBe(true)
  expect(busy.socket.isDestroyed).toBe(false)
  expect(await sample('rocketmq_remoting_closed_connections_total{reason="idle"')).toBe(1)
})

test('a frame that trickles in is cut off after 30 s', async () => {
  const { socket, handler, time, sample } = await startServer()
  const bytes = request({ body: Buffer.alloc(1_000) })

  for (let at = 0; at < 32; at++) {
    handler.onData(bytes.subarray(at, at + 1))
    time.advance(1_000)
  }

  expect(socket.isDestroyed).toBe(true)
  expect(await sample('rocketmq_remoting_closed_connections_total{reason="halfFrame"')).toBe(1)
})

test.each([
  ['tls', Buffer.of(0x16, 0x03, 0x01, 0x02, 0x00)],
  ['proxyProtocol', Buffer.from('PROXY TCP5 10.0.0.1 10.0.0.2 1 2\r\n')],
  ['proxyProtocol', Buffer.from('0d0a0d0a000d0a515549540a31', 'hex')],
  ['tooLarge', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ['malformed', Buffer.alloc(4)],
  ['malformed', Buffer.from('00000010ffffffff', 'hex')],
])('first bytes that are no frame close the connection as %s', async (reason, bytes) => {
  const { socket, handler, sample } = await startServer()

  handler.onData(Buffer.concat([bytes, Buffer.alloc(64)]))

  expect(socket.isDestroyed).toBe(true)
  expect(await sample(`rocketmq_remoting_closed_connections_total{reason="${reason}"`)).toBe(1)
})

const PROXY_TEXT = Buffer.from('PROXY TCP4 192.0.2.1 10.0.0.2 56324 10911\r\n')
const PROXY_BINARY = Buffer.from('0d0a0d0a000d0a515549540a2111000cc0000201c0000202dc042a9f', 'hex')

test.each([
  ['text', PROXY_TEXT],
  ['binary', PROXY_BINARY],
])(
  'behind a load balancer that says so in %s, a connection is that of its client',
  async (_, header) => {
    const { handler, parked, socket, time } = await startServer()

    handler.onData(Buffer.concat([header, request({ code: 1001 }), request({ code: 1000 })]))
    time.settle()

    expect(parked.map(({ connection }) => connection.remoteAddress)).toEqual(['192.0.2.1:56324'])
    expect(parked[0]?.connection).toMatchObject({
      remoteHost: '192.0.2.1',
      remotePort: 56_324,
      socketHost: '10.0.0.9',
    })
    expect(decodeAll(socket.writes)).toHaveLength(1)
  },
)

test.each([
  ['text', PROXY_TEXT],
  ['binary', PROXY_BINARY],
])('a PROXY header in %s may come byte by byte', async (_, header) => {
  const { handler, parked } = await startServer()

  for (const byte of Buffer.concat([header, request({ code: 1001 })])) {
    handler.onData(Buffer.of(byte))
  }

  expect(parked.map(({ connection }) => connection.remoteAddress)).toEqual(['192.0.2.1:56324'])
})

test('a PROXY header that never ends closes the connection in time', async () => {
  const { handler, socket, time } = await startServer()

  handler.onData(PROXY_BINARY.subarray(0, 20))
  time.advance(32_000)

  expect(socket.isDestroyed).toBe(true)
})

test('a PROXY header behind the first frame is a broken frame', async () => {
  const { handler, parked, socket } = await startServer()

  handler.onData(request({ code: 1001 }))
  handler.onData(PROXY_TEXT)

  expect(parked).toHaveLength(1)
  expect(socket.isDestroyed).toBe(true)
})

test('after a broken frame nothing more of the connection is served', async () => {
  const { socket, handler, time, parked } = await startServer()
  const broken = request({})
  broken.write('XX', 8)

  handler.onData(Buffer.concat([broken, request({ code: 1001 })]))
  handler.onData(request({ code: 1001 }))
  time.settle()

  expect(parked).toEqual([])
  expect(socket.writes).toEqual([])
})

test('what follows in the chunk when a processor closes the connection is not served', async () => {
  const { handler, time, parked, server } = await startServer()
  server.register(1002, (incoming) => incoming.connection.close())

  handler.onData(Buffer.concat([request({ code: 1002 }), request({ code: 1001 })]))
  time.settle()

  expect(parked).toEqual([])
})

test('a request to the client is matched by its opaque, and its time-out ends with the answer', async () => {
  const { socket, handler, time, parked } = await startServer()
  handler.onData(request({ code: 1001 }))
  const timersBefore = time.timerCount

  const invoked = parked[0]?.connection.invoke({ code: 307 }, 5_000)
  time.settle()
  const [sent] = decodeAll(socket.writes)
  handler.onData(request({ code: 0, flag: 1, opaque: (sent?.opaque ?? 0) + 1, remark: 'foreign' }))
  handler.onData(request({ code: 0, flag: 1, opaque: sent?.opaque ?? 0, remark: 'mine' }))
  const answer = await invoked

  expect(sent?.code).toBe(307)
  expect(answer?.remark).toBe('mine')
  expect(time.timerCount).toBe(timersBefore)
})

test('connections over the limit are turned away and the others live on', async () => {
  const { socket, connect, sample } = await startServer({ maxConnections: 2 })
  const second = connect()
  const third = connect()

  expect([socket, second.socket, third.socket].map(({ isDestroyed }) => isDestroyed)).toEqual([
    false,
    false,
    true,
  ])
  expect(await sample('rocketmq_remoting_rejects_total{reason="tooManyConnections"')).toBe(1)
  expect(await sample('rocketmq_remoting_connections{')).toBe(2)
})

test('closing waits for accepted requests, takes no new ones and closes the connections', async () => {
  const { socket, handler, time, parked, server } = await startServer()
  handler.onData(request({ code: 1001, opaque: 1 }))

  const closing = server.close()
  await Promise.resolve()
  await Promise.resolve()
  expect(socket.isPaused).toBe(true)
  parked[0]?.respond({ code: 0, remark: 'late' })
  await closing

  expect(socket.isDestroyed).toBe(true)
  expect(decodeAll(socket.writes).map(({ remark }) => remark)).toEqual(['late'])
  expect(time.timerCount).toBe(0)
})

test('connections are ended each behind its next answer, or at last', async () => {
  const { time, parked, server, connect } = await startServer()
  const [idle, calm, asking, unheard] = [connect(), connect(), connect(), connect()]
  asking.handler.onData(request({ code: 1001, opaque: 1 }))
  unheard.handler.onData(request({ code: 1001, opaque: 2 }))
  const closed = () => [idle, calm, asking, unheard].map(({ socket }) => socket.isDestroyed)
  const advance = async (ms: number) => {
    time.advance(ms)
    await new Promise(setImmediate)
  }

  const ending = server.endConnections()
  await new Promise(setImmediate)
  const atOnce = closed()
  calm.handler.onData(request({ code: 1000, opaque: 3, body: Buffer.from('once') }))
  asking.handler.onData(request({ code: 1000, opaque: 4, body: Buffer.from('more') }))
  parked[0]?.respond({ code: 0, remark: 'late' })
  await new Promise(setImmediate)
  const answered = closed()
  await advance(1_000)
  const late = [closed(), unheard.socket.isPaused]
  await advance(1_000)
  await advance(50)
  await ending

  expect(atOnce).toEqual([false, false, false, false])
  expect(answered).toEqual([false, true, true, false])
  expect(decodeAll(calm.socket.writes).map(({ opaque }) => opaque)).toEqual([3])
  expect(decodeAll(asking.socket.writes).map(({ opaque }) => opaque)).toEqual([4, 1])
  expect(late).toEqual([[true, true, true, false], true])
  expect(closed()).toEqual([true, true, true, true])
  expect(time.timerCount).toBe(1)
})

test('a connection whose peer does not read is given its time to take what it was answered', async () => {
  const { time, server, connect } = await startServer()
  const { socket, handler } = connect()
  socket.pendingBytes = 100

  const ending = server.endConnections()
  handler.onData(request({ code: 1000, opaque: 1, body: Buffer.from('once') }))
  await new Promise(setImmediate)
  const answered = [socket.isEnded, socket.isDestroyed]
  time.advance(1_000)
  await ending

  expect(answered).toEqual([true, false])
  expect(socket.isDestroyed).toBe(true)
})

test('closing gives up on requests that are never answered', async () => {
  const { socket, handler, time, server } = await startServer({ closeTimeoutMs: 3_000 })
  handler.onData(request({ code: 1001 }))

  const closing = server.close()
  await new Promise(setImmediate)
  time.advance(3_000)
  await new Promise(setImmediate)
  time.advance(1_000)
  await closing

  expect(socket.isDestroyed).toBe(true)
  expect(time.timerCount).toBe(0)
})

test('latencies are exported by request, response and result under the name RocketMQ uses', async () => {
  const { handler, time, parked, sample } = await startServer()
  handler.onData(request({ code: 1001, opaque: 1 }))
  time.advance(6)

  parked[0]?.respond({ code: 19, isLongPolling: true })

  const labels =
    'protocol_type="remoting",request_code="controller_alter_sync_state_set",' +
    'response_code="pull_not_found",is_long_polling="true",result="success"'
  expect(await sample(`rocketmq_rpc_latency_milliseconds_bucket{le="5",${labels}`)).toBe(0)
  expect(await sample(`rocketmq_rpc_latency_milliseconds_bucket{le="7",${labels}`)).toBe(1)
  expect(await sample(`rocketmq_rpc_latency_milliseconds_count{${labels}`)).toBe(1)
  expect(await sample(`rocketmq_rpc_latency_milliseconds_sum{${labels}`)).toBe(6)
})

test('unknown codes share one label', async () => {
  const { handler, time, sample } = await startServer()

  for (let code = 6_000; code < 6_100; code++) handler.onData(request({ code }))
  time.settle()

  const labels = 'protocol_type="remoting",request_code="unknown"'
  expect(await sample(`rocketmq_rpc_latency_milliseconds_count{${labels}`)).toBe(100)
})
