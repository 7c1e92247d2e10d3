import { expect, onTestFinished, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { createRuntime } from '../common/runtime.ts'
import { RemotingClient, splitAddress } from './client.ts'
import { SerializeType } from './command.ts'
import type { Connection } from './connection.ts'
import type { RemotingLimits } from './limits.ts'
import { RemotingServer } from './server.ts'

/** A server and a client on loopback. */
async function start(limits: Partial<RemotingLimits> = {}) {
  const shared = { ...createRuntime(), logger: silentLogger, limits }
  const server = new RemotingServer(shared)
  const client = new RemotingClient(shared)
  const peers: Connection[] = []
  server.register(1, (request) => {
    peers.push(request.connection)
    request.respond({
      code: 0,
      extFields: request.command.extFields,
      body: request.command.body,
    })
  })
  server.register(2, () => undefined)
  const { port } = await server.listen('127.0.0.1', 0)
  onTestFinished(async () => {
    await client.close()
    await server.close()
  })
  return { server, client, peers, address: `127.0.0.1:${port}` }
}

test('concurrent requests share one connection and each gets its own answer', async () => {
  const { server, client, address } = await start()
  const bodies = Array.from({ length: 200 }, (_, index) => Buffer.alloc(index * 100, index))

  const answers = await Promise.all(
    bodies.map((body) => client.invoke(address, { code: 1, body }, 5_000)),
  )

  expect(answers.map(({ body }, index) => body.equals(bodies[index] ?? body))).not.toContain(false)
  expect(server.connectionCount).toBe(1)
})

test('requests in the binary serialization are answered in it, codes over 32767 in JSON', async () => {
  const { address } = await start()
  const client = new RemotingClient({
    ...createRuntime(),
    logger: silentLogger,
    serializeType: SerializeType.ROCKETMQ,
  })

  const small = await client.invoke(address, { code: 1, extFields: { topic: 'T' } }, 5_000)
  const large = await client.invoke(address, { code: 200_050 }, 5_000)
  await client.close()

  expect(small.serializeType).toBe(SerializeType.ROCKETMQ)
  expect(small.extFields.get('topic')).toBe('T')
  expect(large.serializeType).toBe(SerializeType.JSON)
})

test('a body of 8 MiB crosses the connection both ways', async () => {
  const { client, address } = await start()
  const body = Buffer.alloc(8 * 1024 * 1024, 'payload')

  const answer = await client.invoke(address, { code: 1, body }, 10_000)

  expect(answer.body.equals(body)).toBe(true)
})

test('the server calls the client back on its own connection', async () => {
  const { client, peers, address } = await start()
  const notified: string[] = []
  client.register(40, (request) => {
    notified.push(request.command.extFields.get('consumerGroup') ?? '')
    request.respond({ code: 0, remark: 'noted' })
  })
  await client.invoke(address, { code: 1 }, 5_000)

  const extFields = { consumerGroup: 'G' }
  const wasSent = peers[0]?.invokeOneway({ code: 40, extFields })
  const answer = await peers[0]?.invoke({ code: 40, extFields }, 5_000)

  expect(wasSent).toBe(true)
  expect(answer?.remark).toBe('noted')
  expect(notified).toEqual(['G', 'G'])
})

test('a request that is not answered in time is rejected, and a late answer harms nobody', async () => {
  const { client, address } = await start()

  await expect(client.invoke(address, { code: 2 }, 50)).rejects.toMatchObject({ code: 'timeout' })

  const answer = await client.invoke(address, { code: 1 }, 5_000)
  expect(answer.code).toBe(0)
})

test('requests that wait are rejected when the connection closes, and the next one reconnects', async () => {
  const { client, peers, address } = await start()
  await client.invoke(address, { code: 1 }, 5_000)

  const [outcome] = await Promise.allSettled([
    client.invoke(address, { code: 2 }, 5_000),
    new Promise(setImmediate).then(() => peers[0]?.close()),
  ])
  const answer = await client.invoke(address, { code: 1 }, 5_000)
  expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'closed' } })
  expect(answer.code).toBe(0)
})

test('nobody at the address is a typed error', async () => {
  const { server, client, address } = await start()
  await server.close()

  const invoked = client.invoke(address, { code: 1 }, 5_000)

  await expect(invoked).rejects.toMatchObject({ code: 'connectFailed' })
})

test('too many requests at once are refused at once', async () => {
  const { client, address } = await start({ maxPendingInvocations: 2 })
  const connection = await client.connection(address, 5_000)

  const outcomes = await Promise.allSettled(
    [2, 2, 1].map((code) => connection.invoke({ code }, 100)),
  )

  expect(outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason.code)).toEqual([
    'timeout',
    'timeout',
    'tooManyInFlight',
  ])
})

test('one-way requests sent just before closing still arrive', async () => {
  const { server, client, address } = await start()
  const arrived = new Promise((resolve) => {
    server.register(15, (request) => {
      resolve(request.command.body.length)
    })
  })

  await client.invokeOneway(address, { code: 15, body: Buffer.alloc(100_000) }, 5_000)
  await client.close()

  expect(await arrived).toBe(100_000)
})

test('a closed client refuses requests, closing twice is fine', async () => {
  const { client, address } = await start()

  await client.close()
  await client.close()

  const invoked = client.invoke(address, { code: 1 }, 5_000)
  await expect(invoked).rejects.toMatchObject({ code: 'closed' })
})

test('the listener of a connection hears of its end once, even when it comes too late', async () => {
  const { client, server, address } = await start()
  const connection = await client.connection(address, 5_000)
  let heard = 0
  const ended = new Promise<void>((resolve) => {
    connection.onClose(() => {
      heard++
      resolve()
    })
  })

  await server.close()
  await ended
  connection.onClose(() => heard++)

  expect(heard).toBe(2)
  expect(connection.isOpen).toBe(false)
})

test.each([
  ['10.0.0.1:9876', '10.0.0.1', 9876],
  ['[::1]:9876', '::1', 9876],
  ['namesrv.default.svc:1', 'namesrv.default.svc', 1],
])('the address %s is split', (address, host, port) => {
  expect(splitAddress(address)).toEqual({ host, port })
})

test.each(['', 'host', 'host:', ':9876', 'host:0', 'host:65536', 'host:x'])(
  "'%s' is no address",
  (address) => {
    expect(() => splitAddress(address)).toThrow('is no address of the form host:port')
  },
)
