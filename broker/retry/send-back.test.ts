/** Messages that consumers give back: the retry topic of their group by way of the delay levels, and its dead letter queue. */
import { beforeEach, describe, expect, test } from 'vitest'
import { encodeOffsetMessageId, decodeOffsetMessageId } from '../../common/message-id.ts'
import { formatProperties, parseProperties } from '../../common/properties.ts'
import { subscriptionGroupConfig } from '../../remoting/bodies/subscription-group-config.ts'
import { topicConfig } from '../../remoting/bodies/topic-config.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { FakeRequest } from '../testing.ts'
import { OtherMembers, createBrokerWorld } from '../testing-world.ts'
import type { StoredMessage } from '../../common/message.ts'
import type { SubscriptionGroupConfig } from '../../remoting/bodies/subscription-group-config.ts'
import type { BrokerWorld } from '../testing-world.ts'

let world: BrokerWorld

beforeEach(async () => {
  world = await createBrokerWorld()
})

/** Sends a message and returns where it lies. */
async function send(
  properties: Readonly<Record<string, string>> = {},
  fields: Readonly<Record<string, string>> = {},
): Promise<number> {
  const request = await world.call({
    code: RequestCode.SEND_MESSAGE_V2,
    extFields: {
      a: 'P',
      b: 'T',
      c: 'TBW102',
      d: '4',
      e: '1',
      f: '0',
      g: '1700000000000',
      h: '5',
      i: formatProperties(Object.entries({ UNIQ_KEY: 'U1', TAGS: 'a', ...properties })),
      ...fields,
    },
    body: Buffer.from('hello'),
  })
  const id = decodeOffsetMessageId(request.field('msgId') ?? '')
  if (id === null) throw new Error(`not sent: ${request.response?.remark}`)
  return id.physicalOffset
}

function sendBack(
  physicalOffset: number,
  fields: Readonly<Record<string, string>> = {},
  version?: number,
): Promise<FakeRequest> {
  return world.call({
    code: RequestCode.CONSUMER_SEND_MSG_BACK,
    extFields: {
      offset: String(physicalOffset),
      group: 'G',
      delayLevel: '0',
      originMsgId: 'any',
      originTopic: 'T',
      unitMode: 'false',
      ...fields,
    },
    ...(version === undefined ? {} : { version }),
  })
}

async function putGroup(given: Partial<SubscriptionGroupConfig>): Promise<void> {
  const saved = world.parts.groups.put(subscriptionGroupConfig('G', given))
  await world.time.settle()
  await saved
}

/** The message at an offset of a queue. */
function at(topic: string, queueId: number, queueOffset = 0): StoredMessage {
  const { store } = world.parts
  const physicalOffset = store.physicalOffsetAt(topic, queueId, queueOffset)
  const message = physicalOffset === null ? null : store.messageAt(physicalOffset)
  if (message === null) throw new Error(`nothing at ${topic}:${queueId}:${queueOffset}`)
  return message
}

function propertiesOf(message: StoredMessage): Readonly<Record<string, string>> {
  return Object.fromEntries(parseProperties(message.properties))
}

/** The delay level at which the only message waits. */
function levelOf(): number {
  const { store } = world.parts
  const queues = Array.from({ length: 18 }, (_, index) => index)
  return (
    queues.findIndex((queueId) => store.maxOffsetInQueue('SCHEDULE_TOPIC_XXXX', queueId) > 0) + 1
  )
}

describe('a message that is sent back', () => {
  test('waits at the level of its attempt, with all that says where it comes from', async () => {
    const origin = await send({ KEYS: 'k' })

    const request = await sendBack(origin)

    expect(request.response).toEqual({ code: ResponseCode.SUCCESS })
    const waiting = at('SCHEDULE_TOPIC_XXXX', 2)
    const originId = encodeOffsetMessageId({ ip: Buffer.from([10, 0, 0, 1]), port: 10_911 }, origin)
    expect(waiting).toMatchObject({ flag: 5, reconsumeTimes: 1, bornTimestamp: 1_700_000_000_000 })
    expect(waiting.bornHost).toEqual({ ip: Buffer.from([10, 0, 0, 7]), port: 40_001 })
    expect(waiting.body.toString()).toBe('hello')
    expect(propertiesOf(waiting)).toMatchObject({
      RETRY_TOPIC: 'T',
      ORIGIN_MESSAGE_ID: originId,
      DELAY: '3',
      REAL_TOPIC: '%RETRY%G',
      REAL_QID: '0',
      UNIQ_KEY: 'U1',
      TAGS: 'a',
      KEYS: 'k',
    })
    expect(world.parts.topics.get('%RETRY%G')).toMatchObject({
      readQueueNums: 1,
      writeQueueNums: 1,
      perm: 6,
    })
  })

  test('keeps the first topic and id over several attempts, and waits longer each time', async () => {
    const origin = await send({ RETRY_TOPIC: 'First', ORIGIN_MESSAGE_ID: 'ID' }, { j: '4' })

    await sendBack(origin)

    expect(levelOf()).toBe(7)
    const waiting = at('SCHEDULE_TOPIC_XXXX', 6)
    expect(waiting.reconsumeTimes).toBe(5)
    expect(propertiesOf(waiting)).toMatchObject({ RETRY_TOPIC: 'First', ORIGIN_MESSAGE_ID: 'ID' })
  })

  test('waits at the level that the consumer asks for, at most at the last one', async () => {
    const origin = await send()

    await sendBack(origin, { delayLevel: '99' })

    expect(levelOf()).toBe(18)
  })

  test.each([
    [
      'exponential, of the fifth attempt: 16 s',
      'EXPONENTIAL',
      { initial: 1000, max: 60_000, multiplier: 2 },
      '4',
      4,
    ],
    [
      'exponential, at its maximum',
      'EXPONENTIAL',
      { initial: 1000, max: 60_000, multiplier: 2 },
      '12',
      5,
    ],
    ['longer than all levels', 'EXPONENTIAL', { initial: 9e7, max: 9e7, multiplier: 2 }, '0', 18],
  ] as const)(
    'waits at the level next to the delay of its policy: %s',
    async (_what, type, exponentialRetryPolicy, attempts, level) => {
      await putGroup({
        groupRetryPolicy: { type, exponentialRetryPolicy, customizedRetryPolicy: null },
      })

      await sendBack(await send({}, { j: attempts }))

      expect(levelOf()).toBe(level)
    },
  )

  test.each([
    ['0', 5],
    ['1', 6],
    ['9', 6],
  ])('after %s attempts waits as long as the list of its group says', async (attempts, level) => {
    const next = [1000, 5000, 60_000, 120_000]
    await putGroup({
      groupRetryPolicy: {
        type: 'CUSTOMIZED',
        exponentialRetryPolicy: null,
        customizedRetryPolicy: { next },
      },
    })

    await sendBack(await send({}, { j: attempts }))

    expect(levelOf()).toBe(level)
  })

  test('goes to one of the queues that both group and topic have', async () => {
    await putGroup({ retryQueueNums: 8 })
    const saved = world.parts.topics.put(
      topicConfig('%RETRY%G', { readQueueNums: 2, writeQueueNums: 2 }),
    )
    await world.time.settle()
    await saved
    const origin = await send()

    for (let count = 0; count < 20; count++) await sendBack(origin)

    const queues = Array.from(
      { length: 20 },
      (_, index) => propertiesOf(at('SCHEDULE_TOPIC_XXXX', 2, index))['REAL_QID'],
    )
    expect(new Set(queues)).toEqual(new Set(['0', '1']))
  })

  test('is counted', async () => {
    const origin = await send()

    await sendBack(origin)
    await sendBack(origin, { delayLevel: '-1' })

    const sumOf = (name: string, key: string) => world.parts.stats.item(name, key).sum
    expect(sumOf('SNDBCK_PUT_NUMS', 'T@G')).toBe(2)
    expect(sumOf('DLQ_PUT_NUMS', 'T@G')).toBe(1)
  })
})

describe('a message that is given up', () => {
  test.each([
    ['the consumer says so', '0', { delayLevel: '-1' }, undefined],
    ['it was tried as often as the group allows', '16', {}, undefined],
    ['it was tried as often as the consumer allows', '2', { maxReconsumeTimes: '2' }, undefined],
    ['an old client cannot say how often', '16', { maxReconsumeTimes: '99' }, 120],
  ] as const)('becomes a dead letter: %s', async (_what, attempts, fields, version) => {
    const origin = await send({ RETRY_TOPIC: 'First', ORIGIN_MESSAGE_ID: 'ID' }, { j: attempts })

    const request = await sendBack(origin, fields, version)

    expect(request.response).toEqual({ code: ResponseCode.SUCCESS })
    const dead = at('%DLQ%G', 0)
    expect(dead).toMatchObject({ topic: '%DLQ%G', reconsumeTimes: Number(attempts) + 1 })
    expect(dead.body.toString()).toBe('hello')
    expect(propertiesOf(dead)).toMatchObject({
      RETRY_TOPIC: 'First',
      ORIGIN_MESSAGE_ID: 'ID',
      DLQ_ORIGIN_TOPIC: 'First',
      DLQ_ORIGIN_MESSAGE_ID: 'U1',
      UNIQ_KEY: 'U1',
    })
    expect(levelOf()).toBe(0)
    expect(world.parts.topics.get('%DLQ%G')).toMatchObject({
      readQueueNums: 1,
      writeQueueNums: 1,
      perm: 6,
    })
  })

  test.each([
    ['15', {}],
    ['2', { maxReconsumeTimes: '3' }],
  ])('is tried once more after %s attempts with %j', async (attempts, fields) => {
    await sendBack(await send({}, { j: attempts }), fields)

    expect(levelOf()).toBeGreaterThan(0)
    expect(world.parts.topics.get('%DLQ%G')).toBeUndefined()
  })

  test('is given up by the group, when that allows fewer attempts', async () => {
    await putGroup({ retryMaxTimes: 2 })

    await sendBack(await send({}, { j: '2' }))

    expect(at('%DLQ%G', 0).reconsumeTimes).toBe(3)
  })

  test('can be sent again from the dead letter queue', async () => {
    await sendBack(await send({}, { j: '16' }))
    const dead = at('%DLQ%G', 0)

    await sendBack(dead.physicalOffset, { delayLevel: '1', maxReconsumeTimes: '32' })

    const waiting = at('SCHEDULE_TOPIC_XXXX', 0)
    expect(propertiesOf(waiting)).toMatchObject({ RETRY_TOPIC: 'T', REAL_TOPIC: '%RETRY%G' })
  })
})

describe('sending back is refused', () => {
  test('for a message that is not there, or that no consumer was ever given', async () => {
    const parked = await send({ DELAY: '5' })
    const remarkOf = async (offset: number) => (await sendBack(offset)).response

    for (const offset of [parked + 1, 10_000_000, -1, parked]) {
      expect(await remarkOf(offset)).toEqual({
        code: ResponseCode.SYSTEM_ERROR,
        remark: `look message by offset failed, ${offset}`,
      })
    }
  })

  test('for a group that does not exist and may not be made', async () => {
    const offset = await send()
    world.config.update([{ key: 'autoCreateSubscriptionGroup', value: 'false' }], 0)

    expect((await sendBack(offset)).response).toMatchObject({
      code: ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
      remark: expect.stringContaining('subscription group not exist, G'),
    })
  })

  test('by a broker, or to a retry topic, that takes no writes', async () => {
    const offset = await send()
    const saved = world.parts.topics.put(topicConfig('%RETRY%G', { perm: 4 }))
    await world.time.settle()
    await saved
    const byTopic = await sendBack(offset)
    world.config.update([{ key: 'brokerPermission', value: '4' }], 0)
    const byBroker = await sendBack(offset)

    expect(byTopic.response?.remark).toBe('the topic[%RETRY%G] sending message is forbidden')
    expect(byBroker.response?.remark).toBe(
      'the broker[10.0.0.1:10911] sending message is forbidden',
    )
    for (const { response } of [byTopic, byBroker]) {
      expect(response?.code).toBe(ResponseCode.NO_PERMISSION)
    }
  })

  test('silently for a group without retry queues', async () => {
    await putGroup({ retryQueueNums: 0 })

    const request = await sendBack(await send())

    expect(request.response).toEqual({ code: ResponseCode.SUCCESS })
    expect(levelOf()).toBe(0)
  })

  test('when the log does not take the copy', async () => {
    const long = 'v'.repeat(32_550)
    const offset = await send({ long })

    const request = await sendBack(offset, { group: 'G'.repeat(120) })

    expect(request.response).toMatchObject({ code: ResponseCode.SYSTEM_ERROR })
  })
})

describe('when the others of the group are away', () => {
  const others = new OtherMembers()
  let physicalOffset = 0

  beforeEach(async () => {
    others.return()
    world = await createBrokerWorld({}, undefined, others)
    physicalOffset = await send()
    await sendBack(physicalOffset)
  })

  /** Asks, and waits for no answer. */
  function ask(): FakeRequest {
    const extFields = { offset: String(physicalOffset), group: 'G', delayLevel: '0' }
    const request = new FakeRequest({ code: RequestCode.CONSUMER_SEND_MSG_BACK, extFields })
    void world.processors.byCode.get(request.command.code)?.(request)
    return request
  }

  test('a copy that is committed while the client waits is a success: the client need not write it again', async () => {
    others.leave()
    const request = ask()
    await world.time.advance(4000)
    const early = request.response

    others.return()
    await world.time.advance(200)
    await world.time.settle()

    expect(early).toBeNull()
    expect(request.response?.code).toBe(ResponseCode.SUCCESS)
  })

  test('a copy that is not committed by then is told as one of which nothing is known', async () => {
    others.leave()
    const request = ask()

    await world.time.advance(4900)
    await world.time.settle()

    expect(request.response?.code).toBe(ResponseCode.SYSTEM_BUSY)
  })
})
