import { beforeEach, describe, expect, test } from 'vitest'
import { encodeBatchBody, iterateRecords } from '../../common/message-codec.ts'
import { decodeOffsetMessageId } from '../../common/message-id.ts'
import { formatProperties, parseProperties } from '../../common/properties.ts'
import { topicConfig } from '../../remoting/bodies/topic-config.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { createBrokerWorld } from '../testing-world.ts'
import type { StoredMessage } from '../../common/message.ts'
import type { FakeRequestOptions } from '../testing.ts'
import type { BrokerWorld } from '../testing-world.ts'

let world: BrokerWorld

beforeEach(async () => {
  world = await createBrokerWorld()
})

function send(
  fields: Readonly<Record<string, string>> = {},
  given: Partial<FakeRequestOptions> = {},
): FakeRequestOptions {
  return {
    code: RequestCode.SEND_MESSAGE_V2,
    extFields: {
      a: 'P',
      b: 'T',
      c: 'TBW102',
      d: '4',
      e: '0',
      f: '0',
      g: '1700000000000',
      h: '0',
      i: formatProperties([
        ['UNIQ_KEY', 'U1'],
        ['TAGS', 'a'],
      ]),
      ...fields,
    },
    body: Buffer.from('hello'),
    ...given,
  }
}

function storedAt(msgId: string | undefined): StoredMessage {
  const record = world.parts.store.recordAt(
    decodeOffsetMessageId(msgId ?? '')?.physicalOffset ?? -1,
  )
  const [message] = iterateRecords(record ?? Buffer.alloc(0))
  if (message === undefined) throw new Error('no record')
  return message
}

describe('a send that is taken', () => {
  test('creates its topic from the template and answers with ids and offsets', async () => {
    const first = await world.call(send())
    const second = await world.call(send())

    expect(first.response).toMatchObject({ code: ResponseCode.SUCCESS })
    expect(first.field('queueId')).toBe('0')
    expect([first.field('queueOffset'), second.field('queueOffset')]).toEqual(['0', '1'])
    expect(first.field('transactionId')).toBe('U1')
    expect(first.field('MSG_REGION')).toBe('DefaultRegion')
    expect(first.field('TRACE_ON')).toBe('true')
    expect(world.parts.topics.get('T')).toMatchObject({
      readQueueNums: 4,
      writeQueueNums: 4,
      perm: 6,
    })
  })

  test('stores the message with its properties and those of the broker', async () => {
    const request = await world.call(send())

    const message = storedAt(request.field('msgId'))
    expect(message).toMatchObject({ topic: 'T', queueId: 0, reconsumeTimes: 0 })
    expect(message.body.toString()).toBe('hello')
    expect(message.bornHost).toEqual({ ip: Buffer.from([10, 0, 0, 7]), port: 40_001 })
    expect(Object.fromEntries(parseProperties(message.properties))).toMatchObject({
      UNIQ_KEY: 'U1',
      TAGS: 'a',
      MSG_REGION: 'DefaultRegion',
      TRACE_ON: 'true',
      CLUSTER: 'DefaultCluster',
    })
  })

  test('a message without a unique id gets one', async () => {
    const request = await world.call(send({ i: '' }))

    const { properties } = storedAt(request.field('msgId'))
    expect(parseProperties(properties).get('UNIQ_KEY')).toBe('UNIQUE0')
  })

  test('the broker chooses a queue when the client asks it to', async () => {
    const queues = new Set<string | undefined>()
    for (let count = 0; count < 40; count++)
      queues.add((await world.call(send({ e: '-1' }))).field('queueId'))

    expect(queues).toEqual(new Set(['0', '1', '2', '3']))
  })

  test('the long names of the old code mean the same', async () => {
    const { extFields = {} } = send()
    const names = {
      producerGroup: extFields['a'] ?? '',
      topic: extFields['b'] ?? '',
      defaultTopic: extFields['c'] ?? '',
      defaultTopicQueueNums: '4',
      queueId: '2',
      sysFlag: '0',
      bornTimestamp: '1',
      flag: '7',
    }

    const request = await world.call({
      code: RequestCode.SEND_MESSAGE,
      extFields: names,
      body: Buffer.from('hello'),
    })

    expect(request.field('queueId')).toBe('2')
    expect(storedAt(request.field('msgId')).flag).toBe(7)
  })

  test('each message of a batch has an id and the next offset', async () => {
    const part = (text: string) => ({
      flag: 0,
      body: Buffer.from(text),
      properties: Buffer.from(formatProperties([['UNIQ_KEY', `U-${text}`]])),
    })
    const body = encodeBatchBody([part('one'), part('two'), part('three')])

    const request = await world.call(
      send({ m: 'true' }, { code: RequestCode.SEND_BATCH_MESSAGE, body }),
    )

    const ids = request.field('msgId')?.split(',') ?? []
    expect(request.field('queueOffset')).toBe('0')
    expect(ids.map((id) => storedAt(id).body.toString())).toEqual(['one', 'two', 'three'])
    expect(ids.map((id) => storedAt(id).queueOffset)).toEqual([0, 1, 2])
    expect(parseProperties(storedAt(ids[1]).properties).get('UNIQ_KEY')).toBe('U-two')
  })

  test('the properties of a batch are stored as those of single messages', async () => {
    const part = (properties: string) => ({
      flag: 0,
      body: Buffer.from('b'),
      properties: Buffer.from(properties),
    })
    const body = encodeBatchBody([
      part('UNIQ_KEY\u0001U-1\u0002WAIT\u0001true\u0002TAGS\u0001a'),
      part('WAIT\u0001false\u0002KEYS\u0001k\u0002'),
    ])

    const request = await world.call(
      send({ m: 'true' }, { code: RequestCode.SEND_BATCH_MESSAGE, body }),
    )

    const ids = request.field('msgId')?.split(',') ?? []
    const own = { MSG_REGION: 'DefaultRegion', TRACE_ON: 'true', CLUSTER: 'DefaultCluster' }
    const stored = ids.map((id) => Object.fromEntries(parseProperties(storedAt(id).properties)))
    expect(stored).toEqual([
      { UNIQ_KEY: 'U-1', WAIT: 'true', TAGS: 'a', ...own, '__CRC32#': expect.any(String) },
      { UNIQ_KEY: 'UNIQUE0', WAIT: 'false', KEYS: 'k', ...own, '__CRC32#': expect.any(String) },
    ])
  })

  test('WAIT is read and stored', async () => {
    const request = await world.call(send({ i: 'WAIT\u0001true\u0002UNIQ_KEY\u0001U\u0002' }))

    const { properties } = storedAt(request.field('msgId'))
    expect(parseProperties(properties).get('WAIT')).toBe('true')
  })

  test('a message given up by its consumers lands in the dead letter queue', async () => {
    world.parts.groups.find('G')
    const properties = formatProperties([
      ['UNIQ_KEY', 'U1'],
      ['DELAY', '3'],
      ['RETRY_TOPIC', 'T'],
    ])

    const request = await world.call(send({ b: '%RETRY%G', j: '17', i: properties }))

    const message = storedAt(request.field('msgId'))
    expect(message.topic).toBe('%DLQ%G')
    const stored = parseProperties(message.properties)
    expect(stored.has('DELAY')).toBe(false)
    expect(stored.get('DLQ_ORIGIN_TOPIC')).toBe('T')
    expect(stored.get('DLQ_ORIGIN_MESSAGE_ID')).toBe('U1')
    expect(world.parts.topics.get('%DLQ%G')).toMatchObject({ writeQueueNums: 1, perm: 6 })
  })
})

test('a message of a committed transaction that is sent back does not wait for its end again', async () => {
  const request = await world.call(
    send({ f: '4', j: '1', i: 'TRAN_MSG\u0001true\u0002PGROUP\u0001P\u0002DELAY\u00013\u0002' }),
  )

  expect(storedAt(request.field('msgId'))).toMatchObject({
    topic: 'SCHEDULE_TOPIC_XXXX',
    sysFlag: 0,
  })
  expect(world.parts.store.maxOffsetInQueue('SCHEDULE_TOPIC_XXXX', 2)).toBe(1)
})

describe('a send that is refused', () => {
  test.each([
    [
      'an unknown topic without a template',
      { b: 'T', c: 'NONE' },
      ResponseCode.TOPIC_NOT_EXIST,
      'topic[T] not exist',
    ],
    ['a bad name', { b: '../T' }, ResponseCode.INVALID_PARAMETER, 'contains illegal characters'],
    ['a forbidden topic', { b: 'SCHEDULE_TOPIC_XXXX' }, ResponseCode.NO_PERMISSION, 'is forbidden'],
    [
      'a queue that is not there',
      { e: '4' },
      ResponseCode.INVALID_PARAMETER,
      'request queueId[4] is illegal',
    ],
    ['a delay level that is none', { i: 'DELAY\u0001x\u0002' }, ResponseCode.SYSTEM_ERROR, 'DELAY'],
    [
      'a batch with a delay',
      { i: 'DELAY\u00013\u0002', m: 'true' },
      ResponseCode.MESSAGE_ILLEGAL,
      'batch',
    ],
    [
      'a transaction by its flag alone',
      { f: '4' },
      ResponseCode.MESSAGE_ILLEGAL,
      'sysFlag[4] says that the message is part of a transaction',
    ],
    [
      'properties that are too long',
      { i: `k\u0001${'v'.repeat(33_000)}\u0002` },
      ResponseCode.MESSAGE_ILLEGAL,
      'msg properties length limit 32KB',
    ],
  ])('%s', async (_what, fields, code, remark) => {
    const request = await world.call(send(fields))

    expect(request.response).toMatchObject({ code, remark: expect.stringContaining(remark) })
    expect(world.parts.store.queues().filter(({ maxOffset }) => maxOffset > 0)).toEqual([])
  })

  test('a body over the limit', async () => {
    const request = await world.call(send({}, { body: Buffer.alloc(64 * 1024 + 1) }))

    expect(request.response?.code).toBe(ResponseCode.MESSAGE_ILLEGAL)
  })

  test('every send while the broker takes no writes', async () => {
    world.config.update([{ key: 'brokerPermission', value: '4' }], 0)

    const request = await world.call(send())

    expect(request.response).toMatchObject({
      code: ResponseCode.NO_PERMISSION,
      remark: 'the broker[10.0.0.1:10911] sending message is forbidden',
    })
  })

  test('a send before the time from which they are taken', async () => {
    const from = world.time.now() + 1000
    world.config.update([{ key: 'startAcceptSendRequestTimeStamp', value: String(from) }], 0)

    const early = await world.call(send())
    await world.time.advance(1000)
    const late = await world.call(send())

    expect(early.response).toMatchObject({ code: ResponseCode.SYSTEM_ERROR })
    expect(late.response).toMatchObject({ code: ResponseCode.SUCCESS })
  })

  test('an unknown topic when topics are not created by sends', async () => {
    world = await createBrokerWorld({ autoCreateTopicEnable: 'false' })

    const request = await world.call(send())

    expect(request.response?.code).toBe(ResponseCode.TOPIC_NOT_EXIST)
  })

  test('a topic that cannot be written to disk', async () => {
    world.disk.failOn('write', 1, 'EIO')

    const sending = world.call(send())

    await expect(sending).rejects.toThrow('EIO')
    expect(world.parts.store.maxOffsetInQueue('T', 0)).toBe(0)
  })

  test('a batch whose body is damaged', async () => {
    const saved = world.parts.topics.put(topicConfig('T'))
    await world.time.settle()
    await saved
    const body = Buffer.from('no batch at all, only text')

    const request = await world.call(
      send({ m: 'true' }, { code: RequestCode.SEND_BATCH_MESSAGE, body }),
    )

    expect(request.response?.code).toBe(ResponseCode.MESSAGE_ILLEGAL)
  })

  test('a retried message of an unknown group', async () => {
    world = await createBrokerWorld({ autoCreateSubscriptionGroup: 'false' })

    const request = await world.call(send({ b: '%RETRY%G', j: '1' }))

    expect(request.response?.code).toBe(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST)
  })
})
