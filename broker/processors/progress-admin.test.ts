import { beforeEach, expect, test } from 'vitest'
import { decodeBrokerConsumeStats } from '../../remoting/bodies/broker-consume-stats.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { createBrokerWorld } from '../testing-world.ts'
import type { FakeRequest } from '../testing.ts'
import type { BrokerWorld } from '../testing-world.ts'

let world: BrokerWorld

beforeEach(async () => {
  world = await createBrokerWorld()
  await ask(RequestCode.UPDATE_AND_CREATE_TOPIC, {
    topic: 'Orders',
    defaultTopic: 'TBW102',
    readQueueNums: '2',
    writeQueueNums: '2',
    perm: '6',
    topicFilterType: 'SINGLE_TAG',
    order: 'false',
  })
  await send('0')
  await send('0')
  await send('1')
})

function ask(code: number, extFields: Readonly<Record<string, string>>): Promise<FakeRequest> {
  return world.call({ code, extFields })
}

function bodyOf(request: FakeRequest): Buffer {
  const body = request.response?.body
  return Buffer.isBuffer(body) ? body : Buffer.concat(body ?? [])
}

function jsonOf(request: FakeRequest): unknown {
  return JSON.parse(bodyOf(request).toString())
}

async function send(queueId: string): Promise<void> {
  const fields = { a: 'P', b: 'Orders', c: 'TBW102', d: '2', e: queueId, f: '0', g: '1', h: '0' }
  await world.call({
    code: RequestCode.SEND_MESSAGE_V2,
    extFields: { ...fields, i: 'TAGS\u0001A\u0002' },
    body: Buffer.from('x'),
  })
  await world.time.advance(1000)
}

test('the progress of all groups is what each of them has committed in each topic', async () => {
  world.parts.groups.find('readers')
  world.parts.offsets.commit('readers', 'Orders', 0, 1)

  const answer = await ask(RequestCode.GET_BROKER_CONSUME_STATS, { isOrder: 'false' })

  const stats = decodeBrokerConsumeStats(bodyOf(answer))
  expect(stats.brokerAddr).toBe('10.0.0.1:10911')
  expect(stats.totalDiff).toBe(2)
  const readers = stats.groups.find(({ group }) => group === 'readers')
  expect(
    readers?.topics.map(({ queues }) =>
      queues.map(({ queue, brokerOffset, consumerOffset }) => [
        queue.queueId,
        brokerOffset,
        consumerOffset,
      ]),
    ),
  ).toEqual([
    [
      [0, 2, 1],
      [1, 1, 0],
    ],
  ])
})

test('asked for ordered topics only, the progress in others is left out', async () => {
  world.parts.groups.find('readers')
  world.parts.offsets.commit('readers', 'Orders', 0, 1)

  const answer = await ask(RequestCode.GET_BROKER_CONSUME_STATS, { isOrder: 'true' })

  const { groups } = decodeBrokerConsumeStats(bodyOf(answer))
  expect(groups.flatMap(({ topics }) => topics)).toEqual([])
})

test('the time span of a queue reaches from its first to its last message', async () => {
  world.parts.offsets.commit('readers', 'Orders', 0, 1)
  const timeOf = (queueOffset: number) =>
    world.parts.store.storeTimestampAt('Orders', 0, queueOffset)

  const answer = await ask(RequestCode.QUERY_CONSUME_TIME_SPAN, {
    topic: 'Orders',
    group: 'readers',
  })

  expect(jsonOf(answer)).toMatchObject({
    consumeTimeSpanSet: [
      {
        messageQueue: { topic: 'Orders', brokerName: 'broker-a', queueId: 0 },
        minTimeStamp: timeOf(0),
        maxTimeStamp: timeOf(1),
        consumeTimeStamp: timeOf(0),
        delayTime: world.time.now() - (timeOf(1) ?? 0),
      },
      { messageQueue: { queueId: 1 } },
    ],
  })
})

test('the time span of an unknown topic is refused', async () => {
  const answer = await ask(RequestCode.QUERY_CONSUME_TIME_SPAN, { topic: 'Nothing', group: 'g' })

  expect(answer.response?.code).toBe(ResponseCode.TOPIC_NOT_EXIST)
})

test('the units of a queue are shown as they lie on disk', async () => {
  const answer = await ask(RequestCode.QUERY_CONSUME_QUEUE, {
    topic: 'Orders',
    queueId: '0',
    index: '1',
    count: '10',
    consumerGroup: 'nobody',
  })

  const physicOffset = world.parts.store.physicalOffsetAt('Orders', 0, 1)
  const physicSize = world.parts.store.recordAt(physicOffset ?? -1)?.length
  expect(jsonOf(answer)).toEqual({
    filterData: 'nobody@Orders is not online!',
    maxQueueIndex: 2,
    minQueueIndex: 0,
    queueData: [{ physicOffset, physicSize, tagsCode: 65, eval: false }],
  })
})

test('a queue that does not exist has no units', async () => {
  const fields = { topic: 'Orders', queueId: '9', index: '0', count: '10' }

  const answer = await ask(RequestCode.QUERY_CONSUME_QUEUE, fields)

  expect(answer.response).toEqual({
    code: ResponseCode.SYSTEM_ERROR,
    remark: '9@Orders is not exist!',
  })
})

test('corrections are the least offsets of the other groups, where the compared group is not behind them', async () => {
  const { offsets } = world.parts
  offsets.commit('a', 'Orders', 0, 1)
  offsets.commit('a', 'Orders', 1, 1)
  offsets.commit('b', 'Orders', 0, 2)
  offsets.commit('mine', 'Orders', 0, 2)
  offsets.commit('mine', 'Orders', 1, 0)

  const answer = await ask(RequestCode.QUERY_CORRECTION_OFFSET, {
    topic: 'Orders',
    compareGroup: 'mine',
    filterGroups: 'mine',
  })

  expect(bodyOf(answer).toString()).toBe('{"correctionOffsets":{"0":1,"1":9223372036854775807}}')
})

test('a group without members subscribes to nothing', async () => {
  const fields = { topic: 'Orders', group: 'nobody' }

  const answer = await ask(RequestCode.QUERY_SUBSCRIPTION_BY_CONSUMER, fields)

  expect(jsonOf(answer)).toEqual({ group: 'nobody', topic: 'Orders' })
})
