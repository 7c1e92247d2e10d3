/** Pulls by SQL92 expressions over the properties of messages, and what the broker says of an expression before. */
import { beforeEach, describe, expect, test } from 'vitest'
import { iterateRecords } from '../../common/message-codec.ts'
import { formatProperties } from '../../common/properties.ts'
import { topicConfig } from '../../remoting/bodies/topic-config.ts'
import { PullSysFlag, pullFields } from '../../remoting/pull-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { FakeConnection, FakeRequest } from '../testing.ts'
import { createBrokerWorld } from '../testing-world.ts'
import type { FakeRequestOptions } from '../testing.ts'
import type { BrokerWorld } from '../testing-world.ts'

let world: BrokerWorld

async function open(keys: Readonly<Record<string, string>>): Promise<void> {
  world = await createBrokerWorld(keys)
  const saved = world.parts.topics.put(topicConfig('T'))
  await world.time.settle()
  await saved
}

beforeEach(() => open({ enablePropertyFilter: 'true' }))

async function send(body: string, properties: Readonly<Record<string, string>>): Promise<void> {
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
      i: formatProperties(Object.entries(properties)),
    },
    body: Buffer.from(body),
  })
}

function pull(
  subscription: string,
  fields: Readonly<Record<string, string>> = {},
): FakeRequestOptions {
  return {
    code: RequestCode.PULL_MESSAGE,
    extFields: {
      ...pullFields({
        consumerGroup: 'G',
        topic: 'T',
        queueId: 0,
        queueOffset: 0,
        expression: subscription,
      }),
      expressionType: 'SQL92',
      suspendTimeoutMillis: '15000',
      ...fields,
    },
  }
}

function bodiesOf({ response }: FakeRequest): readonly string[] {
  const body = response?.body ?? []
  const bytes = Buffer.isBuffer(body) ? body : Buffer.concat(body)
  return [...iterateRecords(bytes)].map((message) => message.body.toString())
}

async function heartbeat(expression: string): Promise<void> {
  const subscription = {
    topic: 'T',
    subString: expression,
    expressionType: 'SQL92',
    tagsSet: [],
    codeSet: [],
    subVersion: 7,
  }
  const group = {
    groupName: 'G',
    consumeType: 'CONSUME_PASSIVELY',
    messageModel: 'CLUSTERING',
    consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
    unitMode: false,
    subscriptionDataSet: [subscription],
  }
  const data = { clientID: 'c', producerDataSet: [], consumerDataSet: [group] }
  await world.call({
    code: RequestCode.HEART_BEAT,
    connection: new FakeConnection(5),
    body: Buffer.from(JSON.stringify(data)),
  })
}

test('only messages whose properties match are answered', async () => {
  await send('one', { a: '1' })
  await send('two', { a: '7', b: 'abc' })
  await send('three', { a: '8', b: 'x' })
  await send('four', {})

  const request = await world.call(pull("a > 5 AND b = 'abc'"))
  const none = await world.call(pull('a > 100'))

  expect(bodiesOf(request)).toEqual(['two'])
  expect(request.field('nextBeginOffset')).toBe('4')
  expect(none.response?.code).toBe(ResponseCode.PULL_RETRY_IMMEDIATELY)
  expect(none.field('nextBeginOffset')).toBe('4')
})

test('the tag of a message is a property too', async () => {
  await send('one', { TAGS: 'A', a: '1' })
  await send('two', { TAGS: 'B', a: '1' })

  expect(bodiesOf(await world.call(pull("TAGS IN ('B', 'C') AND a IS NOT NULL")))).toEqual(['two'])
})

test('the expression of the heartbeat counts for a pull that has none', async () => {
  await send('one', { a: '1' })
  await send('two', { a: '7' })
  await heartbeat('a > 5')

  const request = await world.call(pull('', { sysFlag: '0', subVersion: '7' }))
  const newer = await world.call(pull('', { sysFlag: '0', subVersion: '8' }))

  expect(bodiesOf(request)).toEqual(['two'])
  expect(newer.response?.code).toBe(ResponseCode.SUBSCRIPTION_NOT_LATEST)
})

test('a pull that is held is woken by a message that matches, and by no other', async () => {
  const held = await world.call(
    pull('a > 5', {
      sysFlag: String(PullSysFlag.SUBSCRIPTION | PullSysFlag.SUSPEND),
      queueOffset: '0',
    }),
  )
  await send('one', { a: '1' })
  await send('two', { b: '7' })
  const before = held.response

  await send('three', { a: '7' })

  expect(before).toBeNull()
  expect(bodiesOf(held)).toEqual(['three'])
})

describe('an expression is refused', () => {
  const check = (subString: string, expressionType = 'SQL92'): FakeRequestOptions => {
    const subscriptionData = { topic: 'T', subString, expressionType, subVersion: 1 }
    const body = { clientId: 'c', group: 'G', subscriptionData }
    return { code: RequestCode.CHECK_CLIENT_CONFIG, body: Buffer.from(JSON.stringify(body)) }
  }

  test('that no parser can read', async () => {
    await heartbeat('a >')

    const pulled = await world.call(pull('a >'))
    const empty = await world.call(pull(''))
    const byHeartbeat = await world.call(pull('', { sysFlag: '0', subVersion: '7' }))
    const checked = await world.call(check('a >'))

    expect(pulled.response?.code).toBe(ResponseCode.SUBSCRIPTION_PARSE_FAILED)
    expect(empty.response?.code).toBe(ResponseCode.SUBSCRIPTION_PARSE_FAILED)
    expect(byHeartbeat.response?.code).toBe(ResponseCode.FILTER_DATA_NOT_EXIST)
    expect(checked.response).toMatchObject({
      code: ResponseCode.SUBSCRIPTION_PARSE_FAILED,
      remark: expect.stringContaining('unexpected the end'),
    })
  })

  test('of a kind that nobody knows', async () => {
    const answers = [
      await world.call(check('a', 'XPATH')),
      await world.call(pull('a', { expressionType: 'XPATH' })),
    ]

    for (const { response } of answers) {
      expect(response).toMatchObject({
        code: ResponseCode.SUBSCRIPTION_PARSE_FAILED,
        remark: 'The broker does not support consumer to filter message by XPATH',
      })
    }
  })

  test('by a broker whose property filter is off', async () => {
    await open({})
    await heartbeat('a > 5')
    const remark = 'The broker does not support consumer to filter message by SQL92'

    const checked = await world.call(check('a > 5'))
    const pulled = await world.call(pull('a > 5'))
    const byHeartbeat = await world.call(pull('', { sysFlag: '0', subVersion: '7' }))

    for (const { response } of [checked, pulled, byHeartbeat]) {
      expect(response).toMatchObject({ code: ResponseCode.SYSTEM_ERROR, remark })
    }
  })

  test('and not when it is fine', async () => {
    expect((await world.call(check('a > 5'))).response?.code).toBe(ResponseCode.SUCCESS)
    expect((await world.call(check('a || b', 'TAG'))).response?.code).toBe(ResponseCode.SUCCESS)
  })
})
