import { beforeEach, describe, expect, test } from 'vitest'
import { decodeRecord } from '../../common/message-codec.ts'
import { formatFastjson } from '../../remoting/bodies/fastjson.ts'
import { LanguageCode } from '../../remoting/command.ts'
import { RemotingError } from '../../remoting/errors.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { createBrokerWorld } from '../testing-world.ts'
import { FakeConnection, answerOf } from '../testing.ts'
import type { BrokerWorld } from '../testing-world.ts'

let world: BrokerWorld
let consumer: FakeConnection

beforeEach(async () => {
  world = await createBrokerWorld()
  consumer = new FakeConnection(5)
  register(consumer, 'c1')
})

function register(connection: FakeConnection, clientId: string, version = 513): void {
  world.parts.clients.registerConsumer(
    {
      groupName: 'G',
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: 'CLUSTERING',
      consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
      subscriptions: [],
      unitMode: false,
    },
    { clientId, connection, language: LanguageCode.JAVA, version },
  )
}

async function send(): Promise<string> {
  const request = await world.call({
    code: RequestCode.SEND_MESSAGE_V2,
    extFields: { a: 'P', b: 'T', c: 'TBW102', d: '1', e: '0', f: '0', g: '1', h: '0' },
    body: Buffer.from('hello'),
  })
  return request.field('msgId') ?? ''
}

describe('a request that is passed on to a consumer', () => {
  test('brings back what the consumer answers, and keeps its bytes', async () => {
    const received = Buffer.from('{"jstack":"…"}')
    consumer.answer = () => Promise.resolve(answerOf(0, received))

    const { response } = await world.call({
      code: RequestCode.GET_CONSUMER_RUNNING_INFO,
      extFields: { consumerGroup: 'G', clientId: 'c1', jstackEnable: 'true' },
    })
    received.fill(0)

    expect(response).toMatchObject({ code: 0, body: Buffer.from('{"jstack":"…"}') })
    expect(consumer.invoked).toMatchObject([{ code: RequestCode.GET_CONSUMER_RUNNING_INFO }])
    expect(consumer.invoked[0]?.extFields).toEqual(
      new Map([
        ['consumerGroup', 'G'],
        ['clientId', 'c1'],
        ['jstackEnable', 'true'],
      ]),
    )
  })

  test.each([
    ['G', 'c2', 'The Consumer <G> <c2> not online'],
    ['H', 'c1', 'The Consumer <H> <c1> not online'],
  ])('of group %s and client %s, which is not there, says so', async (group, clientId, remark) => {
    const { response } = await world.call({
      code: RequestCode.GET_CONSUMER_RUNNING_INFO,
      extFields: { consumerGroup: group, clientId },
    })

    expect(response).toEqual({ code: ResponseCode.SYSTEM_ERROR, remark })
  })

  test('is not passed on to a client that is too old', async () => {
    register(new FakeConnection(6), 'old', 61)

    const { response } = await world.call({
      code: RequestCode.GET_CONSUMER_RUNNING_INFO,
      extFields: { consumerGroup: 'G', clientId: 'old' },
    })

    expect(response?.code).toBe(ResponseCode.SYSTEM_ERROR)
    expect(response?.remark).toContain('too low to finish')
  })

  test.each([
    ['timeout', ResponseCode.CONSUME_MSG_TIMEOUT, 'consumer <G> <c1> Timeout: '],
    ['closed', ResponseCode.SYSTEM_ERROR, 'invoke consumer <G> <c1> Exception: '],
  ] as const)('that ends in %s is answered %i', async (error, code, remark) => {
    consumer.answer = () => Promise.reject(new RemotingError(error, 'why'))

    const { response } = await world.call({
      code: RequestCode.GET_CONSUMER_RUNNING_INFO,
      extFields: { consumerGroup: 'G', clientId: 'c1' },
    })

    expect(response).toEqual({ code, remark: `${remark}why` })
  })

  test('has the whole record of a message that is to be consumed at once', async () => {
    consumer.answer = () => Promise.resolve(answerOf(0, Buffer.from('{}')))
    const msgId = await send()

    const { response } = await world.call({
      code: RequestCode.CONSUME_MESSAGE_DIRECTLY,
      extFields: { consumerGroup: 'G', clientId: 'c1', msgId, topic: 'T' },
    })

    expect(response?.code).toBe(0)
    const [passed] = consumer.invoked
    expect(decodeRecord(passed?.body ?? Buffer.alloc(0)).body.toString()).toBe('hello')
    expect(passed?.extFields).toEqual(
      new Map([
        ['consumerGroup', 'G'],
        ['clientId', 'c1'],
        ['msgId', msgId],
        ['topic', 'T'],
        ['brokerName', 'broker-a'],
        ['topicSysFlag', '0'],
      ]),
    )
  })

  test.each(['', 'xyz', '0A00000100002A9F00000000000003E7'])(
    'for a message %j that is not there says so',
    async (msgId) => {
      const { response } = await world.call({
        code: RequestCode.CONSUME_MESSAGE_DIRECTLY,
        extFields: { consumerGroup: 'G', clientId: 'c1', msgId },
      })

      expect(response).toEqual({
        code: ResponseCode.SYSTEM_ERROR,
        remark: `can not find message by the msgId, ${msgId}`,
      })
    },
  )
})

describe('the status of a group', () => {
  const queue = { topic: 'T', brokerName: 'broker-a', queueId: 0 }
  const status = formatFastjson({ messageQueueTable: new Map([[queue, 7]]) })

  test('is that of all members, without those that do not answer', async () => {
    const silent = new FakeConnection(6)
    register(silent, 'c2')
    silent.answer = () => Promise.reject(new RemotingError('timeout', 'late'))
    consumer.answer = () => Promise.resolve(answerOf(0, status))

    const { response } = await world.call({
      code: RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS,
      extFields: { topic: 'T', group: 'G', clientAddr: '' },
    })

    expect(String(response?.body)).toBe(
      '{"consumerTable":{"c1":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:7}},"messageQueueTable":{}}',
    )
    expect(silent.invoked).toHaveLength(1)
  })

  test('of nobody is an error', async () => {
    const { response } = await world.call({
      code: RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS,
      extFields: { topic: 'T', group: 'H' },
    })

    expect(response).toEqual({
      code: ResponseCode.SYSTEM_ERROR,
      remark: 'No Any Consumer online in the consumer group: [H]',
    })
  })
})

test('the table of producers names each with its address and its last heartbeat', async () => {
  world.parts.clients.registerProducer('P', {
    clientId: 'p1',
    connection: new FakeConnection(7),
    language: LanguageCode.GO,
    version: 317,
  })
  const at = world.time.now()
  await world.time.advance(5000)

  const { response } = await world.call({ code: RequestCode.GET_ALL_PRODUCER_INFO })

  expect(JSON.parse(String(response?.body))).toEqual({
    data: {
      P: [
        {
          clientId: 'p1',
          language: 'GO',
          lastUpdateTimestamp: at,
          remoteIP: '/10.0.0.7:40007',
          version: 317,
        },
      ],
    },
  })
})

describe('cloned offsets', () => {
  beforeEach(async () => {
    await send()
    world.parts.offsets.commit('S', 'T', 0, 11)
    world.parts.offsets.commit('S', 'T', 1, 12)
    world.parts.offsets.commit('S', 'gone', 0, 13)
  })

  test.each([{ topic: 'T' }, { topic: '' }, {}] as const)(
    'of %j are those of the other group',
    async (fields) => {
      const { response } = await world.call({
        code: RequestCode.CLONE_GROUP_OFFSET,
        extFields: { srcGroup: 'S', destGroup: 'D', offline: 'false', ...fields },
      })

      expect(response?.code).toBe(0)
      expect(world.parts.offsets.queuesOf('D', 'T')).toEqual([
        [0, 11],
        [1, 12],
      ])
      expect(world.parts.offsets.topicsOf('D')).toEqual(['T'])
    },
  )
})
