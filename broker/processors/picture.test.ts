import { beforeEach, expect, test } from 'vitest'
import {
  decodePictureBroker,
  decodePictureGroups,
  decodePictureProducers,
  decodePictureTopics,
} from '../../remoting/bodies/broker-picture.ts'
import { encodeHeartbeatData } from '../../remoting/bodies/heartbeat-data.ts'
import { subscriptionGroupConfig } from '../../remoting/bodies/subscription-group-config.ts'
import { encodeSubscriptionGroupConfig } from '../../remoting/bodies/subscription-group-config.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { createBrokerWorld } from '../testing-world.ts'
import type { BrokerWorld } from '../testing-world.ts'

let world: BrokerWorld

beforeEach(async () => {
  world = await createBrokerWorld()
})

async function bodyOf(
  code: number,
  extFields: Readonly<Record<string, string>>,
  body: Buffer = Buffer.alloc(0),
): Promise<Buffer> {
  const { response } = await world.call({ code, extFields, body })
  expect(response?.code).toBe(ResponseCode.SUCCESS)
  const answered = response?.body
  return Buffer.isBuffer(answered) ? answered : Buffer.concat(answered ?? [])
}

function picture(section: string, more: Readonly<Record<string, string>> = {}): Promise<Buffer> {
  return bodyOf(RequestCode.GANTRY_BROKER_PICTURE, { section, ...more })
}

async function createTopic(topic: string): Promise<void> {
  await bodyOf(RequestCode.UPDATE_AND_CREATE_TOPIC, {
    topic,
    defaultTopic: 'TBW102',
    readQueueNums: '2',
    writeQueueNums: '2',
    perm: '6',
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: '0',
    order: 'false',
  })
}

async function send(topic: string, queueId: number): Promise<void> {
  await bodyOf(
    RequestCode.SEND_MESSAGE,
    {
      producerGroup: 'P',
      topic,
      defaultTopic: 'TBW102',
      defaultTopicQueueNums: '4',
      queueId: String(queueId),
      sysFlag: '0',
      bornTimestamp: '1',
      flag: '0',
      properties: '',
      reconsumeTimes: '0',
      unitMode: 'false',
      maxReconsumeTimes: '16',
      batch: 'false',
    },
    Buffer.from('x'),
  )
}

test('a broker tells who leads its group and how full its disk is', async () => {
  const broker = decodePictureBroker(await picture('broker'))

  expect(broker).toMatchObject({ role: 'leader', memberId: 0, term: 7, readOnlyReason: null })
  expect(broker.members).toEqual([
    { id: 0, role: 'leader', address: '10.0.0.1:10911', lagBytes: 0, isAlive: true },
  ])
  expect(broker.diskUsedBytes).toBeGreaterThan(0)
})

test('pages of topics, put together, are all topics with the offsets of their queues', async () => {
  for (const topic of ['a', 'b', 'c']) await createTopic(topic)
  await send('b', 1)
  await send('b', 1)

  const found = []
  let after: string | null = ''
  while (after !== null) {
    const page: ReturnType<typeof decodePictureTopics> = decodePictureTopics(
      await picture('topics', { after, limit: '2' }),
    )
    expect(page.entries.length).toBeLessThanOrEqual(2)
    found.push(...page.entries)
    after = page.next
  }

  expect(found.map(({ topic }) => topic)).toEqual([...world.parts.topics.all.keys()].toSorted())
  const b = found.find(({ topic }) => topic === 'b')
  expect(b).toMatchObject({ perm: 6, isSystem: false })
  expect(b?.queues).toEqual([
    [0, 0],
    [0, 2],
  ])
})

test('a group is told with its members and with what it has and has not read', async () => {
  await createTopic('orders')
  await send('orders', 0)
  await send('orders', 0)
  const group = subscriptionGroupConfig('billing')
  await bodyOf(
    RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
    {},
    encodeSubscriptionGroupConfig(group),
  )
  await bodyOf(
    RequestCode.HEART_BEAT,
    {},
    encodeHeartbeatData({
      clientID: 'client-1',
      producerGroups: ['shop'],
      consumers: [
        {
          groupName: 'billing',
          consumeType: 'CONSUME_PASSIVELY',
          messageModel: 'CLUSTERING',
          consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
          unitMode: false,
          subscriptions: [
            {
              topic: 'orders',
              subString: 'TagA',
              tagsSet: ['TagA'],
              codeSet: [2_598_919],
              subVersion: 1,
              expressionType: 'TAG',
              classFilterMode: false,
            },
          ],
        },
      ],
      heartbeatFingerprint: 0,
      withoutSub: false,
    }),
  )
  world.parts.offsets.commit('billing', 'orders', 0, 1)

  const { entries } = decodePictureGroups(await picture('groups'))
  const billing = entries.find((entry) => entry.group === 'billing')

  expect(billing?.config).toMatchObject({ consumeEnable: true, retryMaxTimes: 16 })
  expect(billing?.online).toMatchObject({
    consumeType: 'CONSUME_PASSIVELY',
    clientCount: 1,
    subscriptions: [{ topic: 'orders', expression: 'TagA' }],
  })
  expect(billing?.online?.clients.map(({ clientId }) => clientId)).toEqual(['client-1'])
  expect(billing?.progress).toEqual([
    {
      topic: 'orders',
      consumeTps: 0,
      oldestUnread: expect.any(Number),
      queues: [
        [0, 1, 2],
        [1, -1, 0],
      ],
    },
  ])
  const producers = decodePictureProducers(await picture('producers'))
  expect(producers.entries).toMatchObject([{ group: 'shop', clientCount: 1 }])
})

test.each([
  [{ section: 'else' }, 'section'],
  [{ section: 'topics', limit: '0' }, 'limit'],
  [{ section: 'topics', limit: '501' }, 'limit'],
])('%j is refused with the name of the field', async (extFields, field) => {
  const { response } = await world.call({ code: RequestCode.GANTRY_BROKER_PICTURE, extFields })

  expect(response?.code).toBe(ResponseCode.INVALID_PARAMETER)
  expect(response?.remark).toContain(field)
})
