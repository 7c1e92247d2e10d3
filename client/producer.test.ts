import { afterEach, expect, test } from 'vitest'
import { decodeBatchBody } from '../common/message-codec.ts'
import { UniqueIdGenerator } from '../common/message-id.ts'
import { silentLogger } from '../common/log.ts'
import { parseProperties } from '../common/properties.ts'
import { RemotingClient } from '../remoting/client.ts'
import type { ResponseContent } from '../remoting/command.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { Producer, isTransient } from './producer.ts'
import { RouteCache } from './route.ts'
import { startNameServer, startServer, testRuntime } from './testing.ts'
import type { ScriptedServer } from './testing.ts'

const stack: AsyncDisposable[] = []

afterEach(async () => {
  for (const each of stack.splice(0).toReversed()) await each[Symbol.asyncDispose]()
})

function kept<Kept extends AsyncDisposable>(each: Kept): Kept {
  stack.push(each)
  return each
}

function createProducer(nameServers: readonly string[], retries = 2): Producer {
  const client = kept(new RemotingClient({ ...testRuntime, logger: silentLogger }))
  const routes = new RouteCache({ client, clock: testRuntime.clock, nameServers })
  const uniqueIds = new UniqueIdGenerator({
    ...testRuntime,
    ip: Buffer.from([127, 0, 0, 1]),
    pid: 1,
  })
  const { clock } = testRuntime
  return new Producer({ client, routes, clock, uniqueIds, producerGroup: 'p', retries })
}

async function startBroker(answer: Partial<ResponseContent> = {}): Promise<ScriptedServer> {
  let stored = 0
  const store = ({
    command,
  }: {
    readonly command: { readonly extFields: ReadonlyMap<string, string> }
  }) => ({
    code: ResponseCode.SUCCESS,
    extFields: {
      msgId: 'OFFSETID',
      queueId: command.extFields.get('e') ?? '',
      queueOffset: String(stored++),
    },
    ...answer,
  })
  return kept(
    await startServer({
      [RequestCode.SEND_MESSAGE_V2]: store,
      [RequestCode.SEND_BATCH_MESSAGE]: store,
    }),
  )
}

test('messages go to all queues of all brokers in turn', async () => {
  const [a, b] = [await startBroker(), await startBroker()]
  const namesrv = kept(
    await startNameServer(() => ({
      T1: [
        { brokerName: 'a', address: a.address },
        { brokerName: 'b', address: b.address },
      ],
    })),
  )
  const producer = createProducer([namesrv.address])

  const used: string[] = []
  for (let count = 0; count < 8; count++) {
    const { status, queue } = await producer.send({ topic: 'T1', body: Buffer.from('x') })
    used.push(`${status} ${queue.brokerName}:${queue.queueId}`)
  }

  expect(used).toEqual([
    'SEND_OK a:0',
    'SEND_OK a:1',
    'SEND_OK b:0',
    'SEND_OK b:1',
    'SEND_OK a:0',
    'SEND_OK a:1',
    'SEND_OK b:0',
    'SEND_OK b:1',
  ])
  expect(namesrv.requests).toHaveLength(1)
})

test('a message carries its tag, keys, properties and unique id', async () => {
  const broker = await startBroker()
  const namesrv = kept(
    await startNameServer(() => ({ T1: [{ brokerName: 'a', address: broker.address }] })),
  )

  const { messageId, offsetMessageId } = await createProducer([namesrv.address]).send({
    topic: 'T1',
    body: Buffer.from('hello'),
    tags: 'A',
    keys: ['k1', 'k2'],
    properties: { color: 'red' },
  })

  const command = broker.requests[0]?.command
  expect(Object.fromEntries(parseProperties(command?.extFields.get('i') ?? ''))).toEqual({
    TAGS: 'A',
    KEYS: 'k1 k2',
    color: 'red',
    UNIQ_KEY: messageId,
    WAIT: 'true',
  })
  expect(offsetMessageId).toBe('OFFSETID')
  expect(messageId).toHaveLength(32)
})

test('what one broker refuses for now goes to another', async () => {
  const [busy, free] = [
    await startBroker({ code: ResponseCode.SERVICE_NOT_AVAILABLE, remark: 'disk full' }),
    await startBroker(),
  ]
  const namesrv = kept(
    await startNameServer(() => ({
      T1: [
        { brokerName: 'a', address: busy.address },
        { brokerName: 'b', address: free.address },
      ],
    })),
  )

  const result = await createProducer([namesrv.address]).send({
    topic: 'T1',
    body: Buffer.from('x'),
  })

  expect(result).toMatchObject({ status: 'SEND_OK', attempts: 2, queue: { brokerName: 'b' } })
})

test('a broker that is away is left for another, and the route is asked anew', async () => {
  const [gone, here] = [await startBroker(), await startBroker()]
  const namesrv = kept(
    await startNameServer(() => ({
      T1: [
        { brokerName: 'a', address: gone.address },
        { brokerName: 'b', address: here.address },
      ],
    })),
  )
  await gone.close()

  const result = await createProducer([namesrv.address]).send({
    topic: 'T1',
    body: Buffer.from('x'),
  })

  expect(result.queue.brokerName).toBe('b')
  expect(namesrv.requests).toHaveLength(2)
})

test('a refusal for good is told at once, with code and remark', async () => {
  const broker = await startBroker({ code: ResponseCode.MESSAGE_ILLEGAL, remark: 'too big' })
  const namesrv = kept(
    await startNameServer(() => ({ T1: [{ brokerName: 'a', address: broker.address }] })),
  )

  const failure: unknown = await createProducer([namesrv.address])
    .send({ topic: 'T1', body: Buffer.from('x') })
    .catch((error: unknown) => error)

  expect(failure).toMatchObject({ code: 'rejected', responseCode: ResponseCode.MESSAGE_ILLEGAL })
  expect(String(failure)).toContain('MESSAGE_ILLEGAL (13): too big')
  expect(isTransient(failure)).toBe(false)
  expect(broker.requests).toHaveLength(1)
})

test('a stored message whose flush took too long is a result with its place', async () => {
  const broker = await startBroker({ code: ResponseCode.FLUSH_DISK_TIMEOUT })
  const namesrv = kept(
    await startNameServer(() => ({ T1: [{ brokerName: 'a', address: broker.address }] })),
  )

  const result = await createProducer([namesrv.address]).send({
    topic: 'T1',
    body: Buffer.from('x'),
  })

  expect(result).toMatchObject({ status: 'FLUSH_DISK_TIMEOUT', queueOffset: 0 })
})

test('a message to a wanted queue is not tried elsewhere', async () => {
  const [busy, free] = [await startBroker({ code: ResponseCode.SYSTEM_BUSY }), await startBroker()]
  const namesrv = kept(
    await startNameServer(() => ({
      T1: [
        { brokerName: 'a', address: busy.address },
        { brokerName: 'b', address: free.address },
      ],
    })),
  )

  const sent = createProducer([namesrv.address]).send(
    { topic: 'T1', body: Buffer.from('x') },
    { queue: { brokerName: 'a', queueId: 1 } },
  )

  await expect(sent).rejects.toMatchObject({ responseCode: ResponseCode.SYSTEM_BUSY })
  expect(busy.requests[0]?.command.extFields.get('e')).toBe('1')
  expect(free.requests).toHaveLength(0)
})

test('an unknown topic is sent to at most four queues of the default topic', async () => {
  const broker = await startBroker()
  const namesrv = kept(
    await startNameServer(() => ({
      TBW102: [{ brokerName: 'a', address: broker.address, queues: 8, perm: 7 }],
    })),
  )
  const producer = createProducer([namesrv.address])

  const queues: number[] = []
  for (let count = 0; count < 8; count++) {
    const { queue } = await producer.send({ topic: 'New', body: Buffer.from('x') })
    queues.push(queue.queueId)
  }

  expect(queues).toEqual([0, 1, 2, 3, 0, 1, 2, 3])
  expect(broker.requests[0]?.command.extFields.get('b')).toBe('New')
})

test('a batch is one request of one topic', async () => {
  const broker = await startBroker()
  const namesrv = kept(
    await startNameServer(() => ({ T1: [{ brokerName: 'a', address: broker.address }] })),
  )

  const { messageId } = await createProducer([namesrv.address]).sendBatch([
    { topic: 'T1', body: Buffer.from('one'), tags: 'A' },
    { topic: 'T1', body: Buffer.from('two') },
  ])

  const command = broker.requests[0]?.command
  const messages = decodeBatchBody(command?.body ?? Buffer.alloc(0))
  expect(command?.code).toBe(RequestCode.SEND_BATCH_MESSAGE)
  expect(command?.extFields.get('m')).toBe('true')
  expect(messages.map(({ body }) => body.toString())).toEqual(['one', 'two'])
  expect(messages.map(({ properties }) => parseProperties(properties).get('UNIQ_KEY'))).toEqual(
    messageId.split(','),
  )
})

test('without a writable queue, or without any name server, the reason is told', async () => {
  const namesrv = kept(
    await startNameServer(() => ({ T1: [{ brokerName: 'a', address: '127.0.0.1:1', perm: 4 }] })),
  )
  const away = await startNameServer(() => ({}))
  await away.close()
  const message = { topic: 'T1', body: Buffer.from('x') }

  const readOnly: unknown = await createProducer([namesrv.address])
    .send(message)
    .catch((error: unknown) => error)
  const alone: unknown = await createProducer([away.address])
    .send(message)
    .catch((error: unknown) => error)

  expect(readOnly).toMatchObject({ code: 'noRoute' })
  expect(alone).toMatchObject({ code: 'noNameServer' })
})

test('a name server that is away is passed over', async () => {
  const broker = await startBroker()
  const away = await startNameServer(() => ({}))
  await away.close()
  const here = kept(
    await startNameServer(() => ({ T1: [{ brokerName: 'a', address: broker.address }] })),
  )

  const result = await createProducer([away.address, here.address]).send({
    topic: 'T1',
    body: Buffer.from('x'),
  })

  expect(result.status).toBe('SEND_OK')
})
