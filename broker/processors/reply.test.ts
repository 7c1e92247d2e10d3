import { beforeEach, describe, expect, test } from 'vitest'
import { decodeOffsetMessageId } from '../../common/message-id.ts'
import { formatProperties, parseProperties } from '../../common/properties.ts'
import { LanguageCode } from '../../remoting/command.ts'
import { RemotingError } from '../../remoting/errors.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { createBrokerWorld } from '../testing-world.ts'
import { FakeConnection, answerOf } from '../testing.ts'
import type { FakeRequest } from '../testing.ts'
import type { BrokerWorld } from '../testing-world.ts'

const REPLY_TOPIC = 'DefaultCluster_REPLY_TOPIC'

let world: BrokerWorld
let requester: FakeConnection

beforeEach(async () => {
  world = await createBrokerWorld()
  requester = new FakeConnection(9)
  requester.answer = () => Promise.resolve(answerOf(ResponseCode.SUCCESS))
  const client = {
    clientId: 'q1',
    connection: requester,
    language: LanguageCode.JAVA,
    version: 513,
  }
  world.parts.clients.registerProducer('Q', client)
})

function reply(
  replyTo = 'q1',
  fields: Readonly<Record<string, string>> = {},
): Promise<FakeRequest> {
  return world.call({
    code: RequestCode.SEND_REPLY_MESSAGE_V2,
    extFields: {
      a: 'R',
      b: REPLY_TOPIC,
      c: 'TBW102',
      d: '4',
      e: '0',
      f: '0',
      g: '1700000000000',
      h: '3',
      i: formatProperties([
        ['CORRELATION_ID', 'cid'],
        ['MSG_TYPE', 'reply'],
        ['REPLY_TO_CLIENT', replyTo],
      ]),
      ...fields,
    },
    body: Buffer.from('pong'),
  })
}

describe('a reply', () => {
  test('is pushed to the requester with what it needs, and stored', async () => {
    const request = await reply()

    expect(request.response?.code).toBe(ResponseCode.SUCCESS)
    const [pushed] = requester.invoked
    expect(pushed).toMatchObject({
      code: RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT,
      body: Buffer.from('pong'),
      extFields: {
        producerGroup: 'R',
        topic: REPLY_TOPIC,
        flag: '3',
        queueId: '0',
        bornHost: '10.0.0.7:40001',
        storeHost: '10.0.0.1:10911',
        storeTimestamp: String(world.time.now()),
      },
    })
    const properties = new Map(Object.entries(pushed?.extFields ?? {})).get('properties')
    expect(Object.fromEntries(parseProperties(properties ?? ''))).toEqual({
      CORRELATION_ID: 'cid',
      MSG_TYPE: 'reply',
      REPLY_TO_CLIENT: 'q1',
      PUSH_REPLY_TIME: String(world.time.now()),
    })
    const offset = decodeOffsetMessageId(request.field('msgId') ?? '')?.physicalOffset ?? -1
    expect(world.parts.store.messageAt(offset)).toMatchObject({
      topic: REPLY_TOPIC,
      body: Buffer.from('pong'),
    })
  })

  test('is only pushed where replies are not stored', async () => {
    world = await createBrokerWorld({ storeReplyMessageEnable: 'false' })
    world.parts.clients.registerProducer('Q', {
      clientId: 'q1',
      connection: requester,
      language: LanguageCode.JAVA,
      version: 513,
    })

    const request = await reply()

    expect(request.response?.code).toBe(ResponseCode.SUCCESS)
    expect([request.field('msgId'), request.field('queueOffset')]).toEqual(['0', '0'])
    expect(requester.invoked).toHaveLength(1)
    expect(world.parts.store.maxOffsetInQueue(REPLY_TOPIC, 0)).toBe(0)
  })

  test('to a client that is not connected is an error, and stored all the same', async () => {
    const request = await reply('q2')

    expect(request.response).toMatchObject({
      code: ResponseCode.SYSTEM_ERROR,
      remark: 'push reply message fail, channel of <q2> not found.',
    })
    expect(world.parts.store.maxOffsetInQueue(REPLY_TOPIC, 0)).toBe(1)
  })

  describe('to a client of which no heartbeat has come yet', () => {
    function ask(fields: Readonly<Record<string, string>>): Promise<FakeRequest> {
      return world.call({
        code: RequestCode.SEND_MESSAGE_V2,
        extFields: {
          ...{ a: 'Q2', b: 'Questions', c: 'TBW102', d: '4', e: '0', f: '0', g: '1', h: '0' },
          i: formatProperties([
            ['CORRELATION_ID', 'cid'],
            ['REPLY_TO_CLIENT', 'q2'],
          ]),
          ...fields,
        },
        body: Buffer.from('ping'),
        connection: requester,
      })
    }

    test('goes where its request came from', async () => {
      const asked = await ask({})
      const { response } = await reply('q2')

      expect([asked.response?.code, response?.code]).toEqual([0, 0])
      expect(requester.invoked).toHaveLength(1)
      expect(world.parts.clients.producers('Q2')?.map(({ clientId }) => clientId)).toEqual(['q2'])
    })

    test.each<[string, Parameters<typeof ask>[0]]>([
      ['another member of the group has passed on', { gantryForwarded: 'true' }],
      ['a consumer gives back', { b: '%RETRY%G' }],
      [
        'is an answer itself',
        {
          i: formatProperties([
            ['MSG_TYPE', 'reply'],
            ['REPLY_TO_CLIENT', 'q2'],
          ]),
        },
      ],
    ])('goes nowhere by a message that %s', async (_what, fields) => {
      await ask(fields)
      const { response } = await reply('q2')

      expect(response?.remark).toBe('push reply message fail, channel of <q2> not found.')
    })

    test('goes to who is connected under its name, whoever else uses that', async () => {
      const other = new FakeConnection(10)
      other.answer = requester.answer
      const client = { clientId: 'q2', language: LanguageCode.GO, version: 1 }
      world.parts.clients.registerProducer('Q2', { ...client, connection: other })

      await ask({})
      await reply('q2')

      expect([other.invoked.length, requester.invoked.length]).toEqual([1, 0])
    })
  })

  test('to a client that has gone is an error', async () => {
    requester.close()

    const request = await reply()

    expect(request.response?.remark).toBe('push reply message fail, channel of <q1> not found.')
  })

  test('without a requester is an error', async () => {
    const { response } = await reply('')

    expect(response).toMatchObject({
      code: ResponseCode.SYSTEM_ERROR,
      remark: 'reply message properties[REPLY_TO_CLIENT] is null',
    })
  })

  test.each([
    ['refuses it', () => Promise.resolve(answerOf(ResponseCode.SYSTEM_ERROR))],
    ['is too slow', () => Promise.reject(new RemotingError('timeout', 'late'))],
  ])('to a client that %s is an error', async (_, answer) => {
    requester.answer = answer

    const { response } = await reply()

    expect(response).toMatchObject({
      code: ResponseCode.SYSTEM_ERROR,
      remark: 'push reply message to q1fail.',
    })
  })

  test('is neither pushed nor stored when the broker takes no messages', async () => {
    world.config.update([{ key: 'brokerPermission', value: '4' }], 9)

    const { response } = await reply()

    expect(response?.code).toBe(ResponseCode.NO_PERMISSION)
    expect(requester.invoked).toEqual([])
  })
})
