import { beforeEach, describe, expect, test } from 'vitest'
import { iterateRecords } from '../../common/message-codec.ts'
import { formatProperties } from '../../common/properties.ts'
import { topicConfig } from '../../remoting/bodies/topic-config.ts'
import { subscriptionGroupConfig } from '../../remoting/bodies/subscription-group-config.ts'
import { PullSysFlag, pullFields } from '../../remoting/pull-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { FakeConnection } from '../testing.ts'
import { createBrokerWorld } from '../testing-world.ts'
import type { ConsumerData } from '../../remoting/bodies/heartbeat-data.ts'
import type { FakeRequest, FakeRequestOptions } from '../testing.ts'
import type { BrokerWorld } from '../testing-world.ts'

let world: BrokerWorld

beforeEach(async () => {
  world = await createBrokerWorld()
  const saved = world.parts.topics.put(topicConfig('T', { readQueueNums: 2, writeQueueNums: 2 }))
  await world.time.settle()
  await saved
})

function pull(
  fields: Readonly<Record<string, string>> = {},
  given: Partial<FakeRequestOptions> = {},
): FakeRequestOptions {
  return {
    code: RequestCode.PULL_MESSAGE,
    extFields: {
      ...pullFields({
        consumerGroup: 'G',
        topic: 'T',
        queueId: 0,
        queueOffset: 0,
        suspendTimeoutMs: 15_000,
      }),
      ...fields,
    },
    ...given,
  }
}

async function sendMessage(body: string, tag = ''): Promise<void> {
  const properties = formatProperties([
    ['UNIQ_KEY', `U-${body}`],
    ['TAGS', tag],
  ])
  await world.call({
    code: RequestCode.SEND_MESSAGE_V2,
    extFields: {
      a: 'P',
      b: 'T',
      c: 'TBW102',
      d: '4',
      e: '0',
      f: '0',
      g: '1',
      h: '0',
      i: properties,
    },
    body: Buffer.from(body),
  })
}

function bodiesOf(request: FakeRequest): readonly string[] {
  const body = request.response?.body ?? []
  const bytes = Buffer.isBuffer(body) ? body : Buffer.concat(body)
  return [...iterateRecords(bytes)].map((message) => message.body.toString())
}

test('stored messages are answered with their offsets', async () => {
  await sendMessage('one')
  await sendMessage('two')

  const request = await world.call(pull())

  expect(request.response).toMatchObject({ code: ResponseCode.SUCCESS, remark: 'FOUND' })
  expect(bodiesOf(request)).toEqual(['one', 'two'])
  expect(request.field('nextBeginOffset')).toBe('2')
  expect(request.field('minOffset')).toBe('0')
  expect(request.field('maxOffset')).toBe('2')
  expect(request.field('suggestWhichBrokerId')).toBe('0')
})

test('no more messages are answered than asked for', async () => {
  for (const body of ['one', 'two', 'three']) await sendMessage(body)

  const request = await world.call(pull({ maxMsgNums: '2' }))

  expect(bodiesOf(request)).toEqual(['one', 'two'])
  expect(request.field('nextBeginOffset')).toBe('2')
})

test('only messages with a tag of the subscription are answered', async () => {
  await sendMessage('one', 'A')
  await sendMessage('two', 'B')
  await sendMessage('three', 'C')

  const request = await world.call(pull({ subscription: 'A || C' }))

  expect(bodiesOf(request)).toEqual(['one', 'three'])
})

test('when no message matches, the client goes on behind them', async () => {
  await sendMessage('one', 'A')

  const request = await world.call(pull({ subscription: 'B' }))

  expect(request.response).toMatchObject({
    code: ResponseCode.PULL_RETRY_IMMEDIATELY,
    remark: 'NO_MATCHED_MESSAGE',
  })
  expect(request.field('nextBeginOffset')).toBe('1')
})

describe('long polling', () => {
  test('a pull that finds nothing is answered when a message comes', async () => {
    const request = await world.call(pull())
    expect(request.response).toBeNull()

    await sendMessage('one')
    await world.time.settle()

    expect(request.response).toMatchObject({ code: ResponseCode.SUCCESS, isLongPolling: true })
    expect(bodiesOf(request)).toEqual(['one'])
  })

  test('it is answered 19 with all offsets when its time is over', async () => {
    const request = await world.call(pull({ suspendTimeoutMillis: '1000' }))

    await world.time.advance(1000)
    world.parts.longPolling.expire()
    await world.time.settle()

    expect(request.response).toMatchObject({ code: ResponseCode.PULL_NOT_FOUND })
    expect(request.field('nextBeginOffset')).toBe('0')
    expect(request.field('maxOffset')).toBe('0')
  })

  test('it is never held when the client did not ask for it', async () => {
    const request = await world.call(pull({ sysFlag: String(PullSysFlag.SUBSCRIPTION) }))

    expect(request.response).toMatchObject({ code: ResponseCode.PULL_NOT_FOUND })
  })

  test('no more pulls are held than allowed', async () => {
    world.config.update([{ key: 'pullThreadPoolQueueCapacity', value: '1' }], 0)
    const held = await world.call(pull())

    const answered = await world.call(pull())

    expect(held.response).toBeNull()
    expect(answered.response).toMatchObject({ code: ResponseCode.PULL_NOT_FOUND })
  })
})

describe('offsets', () => {
  test('a pull carries a commit', async () => {
    await sendMessage('one')

    await world.call(
      pull({
        sysFlag: String(PullSysFlag.SUBSCRIPTION | PullSysFlag.COMMIT_OFFSET),
        queueOffset: '1',
        commitOffset: '1',
      }),
    )

    expect(world.parts.offsets.query('G', 'T', 0)).toBe(1)
  })

  test('an offset behind the end is moved back to the end', async () => {
    await sendMessage('one')

    const request = await world.call(pull({ queueOffset: '5' }))

    expect(request.response).toMatchObject({ code: ResponseCode.PULL_OFFSET_MOVED })
    expect(request.field('nextBeginOffset')).toBe('1')
  })

  test('a reset moves the next pull, once', async () => {
    for (const body of ['one', 'two', 'three']) await sendMessage(body)
    const fields = {
      group: 'G',
      topic: 'T',
      timestamp: '0',
      isForce: 'true',
      offset: '1',
      queueId: '0',
    }
    world.parts.groups.find('G')

    const reset = await world.call({
      code: RequestCode.INVOKE_BROKER_TO_RESET_OFFSET,
      extFields: { ...fields, isForce: 'true' },
    })
    const moved = await world.call(pull({ queueOffset: '3' }))
    const next = await world.call(pull({ queueOffset: '1' }))

    expect(reset.response?.code).toBe(ResponseCode.SUCCESS)
    expect(moved.response).toMatchObject({ code: ResponseCode.PULL_OFFSET_MOVED })
    expect(moved.field('nextBeginOffset')).toBe('1')
    expect(bodiesOf(next)).toEqual(['two', 'three'])
  })
})

describe('a pull that is refused', () => {
  const consumer = (given: Partial<ConsumerData> = {}): ConsumerData => ({
    groupName: 'G',
    consumeType: 'CONSUME_PASSIVELY',
    messageModel: 'CLUSTERING',
    consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
    subscriptions: [
      {
        topic: 'T',
        subString: '*',
        tagsSet: [],
        codeSet: [],
        subVersion: 5,
        expressionType: 'TAG',
        classFilterMode: false,
      },
    ],
    unitMode: false,
    ...given,
  })
  const register = (given: Partial<ConsumerData> = {}) =>
    world.parts.clients.registerConsumer(consumer(given), {
      clientId: 'c',
      connection: new FakeConnection(9),
      language: 0,
      version: 513,
    })

  test('by a broker that may not be read', async () => {
    world.config.update([{ key: 'brokerPermission', value: '2' }], 0)

    const request = await world.call(pull())

    expect(request.response?.code).toBe(ResponseCode.NO_PERMISSION)
    expect(request.field('forbiddenType')).toBe('1')
  })

  test('of a group that is switched off', async () => {
    const saved = world.parts.groups.put(subscriptionGroupConfig('G', { consumeEnable: false }))
    await world.time.settle()
    await saved

    const request = await world.call(pull())

    expect(request.response?.code).toBe(ResponseCode.NO_PERMISSION)
    expect(request.field('forbiddenType')).toBe('2')
  })

  test.each([
    ['an unknown topic', { topic: 'U' }, ResponseCode.TOPIC_NOT_EXIST],
    ['a queue that is not there', { queueId: '2' }, ResponseCode.INVALID_PARAMETER],
    [
      'an expression that cannot be read',
      { subscription: '||' },
      ResponseCode.SUBSCRIPTION_PARSE_FAILED,
    ],
    ['a filter language that is not there', { expressionType: 'SQL92' }, ResponseCode.SYSTEM_ERROR],
    ['a group that is not connected', { sysFlag: '0' }, ResponseCode.SUBSCRIPTION_NOT_EXIST],
  ])('for %s', async (_what, fields, code) => {
    const request = await world.call(pull(fields))

    expect(request.response?.code).toBe(code)
  })

  test('for a topic that the connected group does not subscribe to', async () => {
    register({ subscriptions: [] })

    const request = await world.call(pull({ sysFlag: '0' }))

    expect(request.response?.code).toBe(ResponseCode.SUBSCRIPTION_NOT_EXIST)
  })

  test('for a subscription newer than the one of the heartbeat', async () => {
    register()

    const newer = await world.call(pull({ sysFlag: '0', subVersion: '6' }))
    const same = await world.call(pull({ sysFlag: '0', subVersion: '5' }))

    expect(newer.response?.code).toBe(ResponseCode.SUBSCRIPTION_NOT_LATEST)
    expect(same.response?.code).toBe(ResponseCode.PULL_NOT_FOUND)
  })

  test('for a broadcasting group that may not', async () => {
    const saved = world.parts.groups.put(
      subscriptionGroupConfig('G', { consumeBroadcastEnable: false }),
    )
    await world.time.settle()
    await saved
    register({ messageModel: 'BROADCASTING' })

    const request = await world.call(pull({ sysFlag: '0' }))

    expect(request.field('forbiddenType')).toBe('4')
  })

  test('for a topic that the group is forbidden to read, whatever it subscribes to', async () => {
    register()
    const forbidden = world.parts.groups.setMayRead('G', 'T', false)
    await world.time.settle()
    await forbidden

    const request = await world.call(pull({ sysFlag: '0' }))

    expect(request.response).toMatchObject({
      code: ResponseCode.NO_PERMISSION,
      remark: 'the consumer group[G] is forbidden for topic[T]',
    })
    expect(request.field('forbiddenType')).toBe('5')
  })

  test('by the lite code when that is switched off', async () => {
    world.config.update([{ key: 'litePullMessageEnable', value: 'false' }], 0)

    const request = await world.call(pull({}, { code: RequestCode.LITE_PULL_MESSAGE }))

    expect(request.response?.code).toBe(ResponseCode.NO_PERMISSION)
  })
})

test('a pull that is held when the broker leads no more is answered such that its client pauses', async () => {
  const held = await world.call(pull())
  const before = held.response

  world.parts.longPolling.close()
  await world.time.settle()
  const late = await world.call(pull())
  await sendMessage('a')
  const found = await world.call(pull())

  expect(before).toBeNull()
  expect(held.response?.code).toBe(ResponseCode.SYSTEM_BUSY)
  expect(late.response?.code).toBe(ResponseCode.SYSTEM_BUSY)
  expect(found.response?.code).toBe(ResponseCode.SUCCESS)
})
