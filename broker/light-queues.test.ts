import { describe, expect, test } from 'vitest'
import { iterateRecords } from '../common/message-codec.ts'
import { formatProperties, parseProperties } from '../common/properties.ts'
import { pullFields } from '../remoting/pull-fields.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { createBrokerWorld } from './testing-world.ts'
import type { StoredMessage } from '../common/message.ts'
import type { FakeRequest, FakeRequestOptions } from './testing.ts'
import type { BrokerWorld } from './testing-world.ts'

const LIGHT = { enableLmq: 'true', enableMultiDispatch: 'true' }

function send(properties: Readonly<Record<string, string>>, topic = 'T'): FakeRequestOptions {
  return {
    code: RequestCode.SEND_MESSAGE_V2,
    extFields: {
      ...{ a: 'P', b: topic, c: 'TBW102', d: '4', e: '0', f: '0', g: '1700000000000', h: '0' },
      i: formatProperties(Object.entries({ UNIQ_KEY: 'U1', ...properties })),
    },
    body: Buffer.from('hello'),
  }
}

function pull(topic: string, group: string, queueOffset = 0): FakeRequestOptions {
  return {
    code: RequestCode.PULL_MESSAGE,
    extFields: pullFields({ consumerGroup: group, topic, queueId: 0, queueOffset }),
  }
}

function bodyOf({ response }: FakeRequest): readonly StoredMessage[] {
  const body = response?.body ?? []
  return [...iterateRecords(Buffer.isBuffer(body) ? body : Buffer.concat(body))]
}

async function pulled(world: BrokerWorld, topic: string, group = 'G'): Promise<number> {
  return bodyOf(await world.call(pull(topic, group))).length
}

describe('light queues of a broker', () => {
  test('are pulled without a topic, by groups of any name, and have offsets', async () => {
    const world = await createBrokerWorld(LIGHT)
    await world.call(send({ INNER_MULTI_DISPATCH: '%LMQ%a,%LMQ%b' }))

    expect(await pulled(world, '%LMQ%a')).toBe(1)
    expect(await pulled(world, '%LMQ%b', '%LMQ%group')).toBe(1)
    const offset = { topic: '%LMQ%b', queueId: '0', consumerGroup: '%LMQ%group' }
    const update = {
      code: RequestCode.UPDATE_CONSUMER_OFFSET,
      extFields: { ...offset, commitOffset: '1' },
    }
    await world.call(update)
    const told = await world.call({ code: RequestCode.QUERY_CONSUMER_OFFSET, extFields: offset })
    expect(told.field('offset')).toBe('1')
    expect(world.parts.topics.all.has('%LMQ%a')).toBe(false)
    expect(world.parts.groups.all.has('%LMQ%group')).toBe(false)
  })

  test('take messages that are sent to them by name', async () => {
    const world = await createBrokerWorld(LIGHT)

    const sent = await world.call(send({}, '%LMQ%a'))
    await world.call(send({ INNER_MULTI_DISPATCH: '%LMQ%a' }))

    expect(sent.response?.code).toBe(ResponseCode.SUCCESS)
    expect(await pulled(world, '%LMQ%a')).toBe(2)
  })

  test('do not exist in a broker with the usual configuration', async () => {
    const world = await createBrokerWorld()

    await world.call(send({ INNER_MULTI_DISPATCH: '%LMQ%a', INNER_MULTI_QUEUE_OFFSET: '5' }))
    const { response } = await world.call(pull('%LMQ%a', 'G'))

    expect(response?.code).toBe(ResponseCode.TOPIC_NOT_EXIST)
    const [message] = bodyOf(await world.call(pull('T', 'G')))
    const properties = parseProperties(message?.properties.toString() ?? '')
    expect(properties.get('INNER_MULTI_DISPATCH')).toBe('%LMQ%a')
    expect(properties.has('INNER_MULTI_QUEUE_OFFSET')).toBe(false)
  })

  test('get a delayed message when it is delivered, not when it is sent', async () => {
    const world = await createBrokerWorld(LIGHT)
    world.processors.levels.startLeading()
    await world.call(send({ INNER_MULTI_DISPATCH: '%LMQ%a', DELAY: '1' }))
    const before = world.parts.store.maxOffsetInQueue('%LMQ%a', 0)

    await world.time.advance(2000)
    await world.time.settle()

    expect([before, await pulled(world, '%LMQ%a')]).toEqual([0, 1])
  })
})
