import { beforeEach, describe, expect, test } from 'vitest'
import { parseJavaProperties } from '../../common/java-properties.ts'
import { decodeConsumeStats } from '../../remoting/bodies/consume-stats.ts'
import {
  decodeConsumerConnection,
  decodeConsumerIdList,
} from '../../remoting/bodies/client-connections.ts'
import { encodeHeartbeatData } from '../../remoting/bodies/heartbeat-data.ts'
import { decodeLockedQueues, encodeLockBatchBody } from '../../remoting/bodies/lock-batch-body.ts'
import { decodeTopicList } from '../../remoting/bodies/simple-bodies.ts'
import {
  decodeSubscriptionGroupTable,
  encodeSubscriptionGroupConfig,
  subscriptionGroupConfig,
} from '../../remoting/bodies/subscription-group-config.ts'
import {
  decodeTopicConfigTable,
  encodeTopicConfigList,
  topicConfig,
} from '../../remoting/bodies/topic-config.ts'
import { decodeTopicStatsTable } from '../../remoting/bodies/topic-stats-table.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { drainFacts } from '../admin.ts'
import { FakeConnection } from '../testing.ts'
import { createBrokerWorld } from '../testing-world.ts'
import type { ConsumerData, MessageModel } from '../../remoting/bodies/heartbeat-data.ts'
import type { FakeRequest } from '../testing.ts'
import type { BrokerWorld } from '../testing-world.ts'

let world: BrokerWorld

beforeEach(async () => {
  world = await createBrokerWorld()
})

function ask(
  code: number,
  extFields: Readonly<Record<string, string>> = {},
  body: Buffer = Buffer.alloc(0),
): Promise<FakeRequest> {
  return world.call({ code, extFields, body })
}

function bodyOf(request: FakeRequest): Buffer {
  const body = request.response?.body
  return Buffer.isBuffer(body) ? body : Buffer.concat(body ?? [])
}

async function createTopic(
  topic: string,
  fields: Readonly<Record<string, string>> = {},
): Promise<FakeRequest> {
  return ask(RequestCode.UPDATE_AND_CREATE_TOPIC, {
    topic,
    defaultTopic: 'TBW102',
    readQueueNums: '2',
    writeQueueNums: '2',
    perm: '6',
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: '0',
    order: 'false',
    ...fields,
  })
}

async function send(topic: string, count = 1, queueId = '0'): Promise<void> {
  for (let index = 0; index < count; index++) {
    const fields = {
      a: 'P',
      b: topic,
      c: 'TBW102',
      d: '2',
      e: queueId,
      f: '0',
      g: '1',
      h: '0',
      i: 'UNIQ_KEY\u0001U\u0002',
    }
    await world.call({
      code: RequestCode.SEND_MESSAGE_V2,
      extFields: fields,
      body: Buffer.from('x'),
    })
  }
}

interface Heartbeat {
  readonly clientId: string
  readonly group: string
  readonly topics: readonly string[]
  readonly model?: MessageModel
  readonly connection?: FakeConnection
}

async function heartbeat({
  clientId,
  group,
  topics,
  model = 'CLUSTERING',
  connection,
}: Heartbeat): Promise<FakeRequest> {
  const consumer: ConsumerData = {
    groupName: group,
    consumeType: 'CONSUME_PASSIVELY',
    messageModel: model,
    consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
    subscriptions: topics.map((topic) => ({
      topic,
      subString: '*',
      tagsSet: [],
      codeSet: [],
      subVersion: 1,
      expressionType: 'TAG',
      classFilterMode: false,
    })),
    unitMode: false,
  }
  const body = encodeHeartbeatData({
    clientID: clientId,
    producerGroups: ['P'],
    consumers: [consumer],
    heartbeatFingerprint: 0,
    withoutSub: false,
  })
  return world.call({
    code: RequestCode.HEART_BEAT,
    body,
    connection: connection ?? new FakeConnection(Math.random()),
  })
}

describe('heartbeats', () => {
  test('register the client, its group and the retry topic of the group', async () => {
    const request = await heartbeat({ clientId: 'c1', group: 'G', topics: ['T'] })

    expect(request.response?.code).toBe(ResponseCode.SUCCESS)
    expect(request.field('IS_SUPPORT_HEART_BEAT_V2')).toBe('true')
    expect(world.parts.groups.get('G')).toBeDefined()
    expect(world.parts.topics.get('%RETRY%G')).toMatchObject({ readQueueNums: 1, perm: 6 })
    const list = await ask(RequestCode.GET_CONSUMER_LIST_BY_GROUP, { consumerGroup: 'G' })
    expect(decodeConsumerIdList(bodyOf(list))).toEqual(['c1'])
  })

  test('all members are told when one comes or goes', async () => {
    const [first, second] = [new FakeConnection(1), new FakeConnection(2)]
    await heartbeat({ clientId: 'c1', group: 'G', topics: ['T'], connection: first })
    await heartbeat({ clientId: 'c2', group: 'G', topics: ['T'], connection: second })
    second.close()

    expect(first.sent.map((request) => request.code)).toEqual([40, 40, 40])
    expect(first.sent[0]?.extFields).toEqual({ consumerGroup: 'G' })
    expect(second.sent).toHaveLength(1)
  })

  test('a group that may not be created is passed over, its producers are not', async () => {
    world = await createBrokerWorld({ autoCreateSubscriptionGroup: 'false' })

    const request = await heartbeat({ clientId: 'c1', group: 'G', topics: ['T'] })

    expect(request.response?.code).toBe(ResponseCode.SUCCESS)
    expect(world.parts.clients.consumerGroup('G')).toBeNull()
    expect(world.parts.clients.producers('P')).toHaveLength(1)
  })

  test('a client that says goodbye is gone', async () => {
    const connection = new FakeConnection(1)
    await heartbeat({ clientId: 'c1', group: 'G', topics: ['T'], connection })

    const extFields = { clientID: 'c1', consumerGroup: 'G', producerGroup: 'P' }
    await world.call({ code: RequestCode.UNREGISTER_CLIENT, extFields, connection })

    const list = await ask(RequestCode.GET_CONSUMER_LIST_BY_GROUP, { consumerGroup: 'G' })
    expect(list.response).toMatchObject({ code: 1, remark: 'no consumer for this group, G' })
    expect(world.parts.clients.producers('P')).toBeNull()
  })
})

describe('offsets', () => {
  test('a group without a commit begins a young queue at 0, unless it asked to be told', async () => {
    await send('T')
    const fields = { consumerGroup: 'G', topic: 'T', queueId: '0' }

    const young = await ask(RequestCode.QUERY_CONSUMER_OFFSET, fields)
    const told = await ask(RequestCode.QUERY_CONSUMER_OFFSET, {
      ...fields,
      setZeroIfNotFound: 'false',
    })

    expect(young.field('offset')).toBe('0')
    expect(told.response?.code).toBe(ResponseCode.QUERY_NOT_FOUND)
  })

  test('a commit is answered with what was committed', async () => {
    await send('T')
    const fields = { consumerGroup: 'G', topic: 'T', queueId: '0' }

    const commit = await ask(RequestCode.UPDATE_CONSUMER_OFFSET, { ...fields, commitOffset: '1' })
    const query = await ask(RequestCode.QUERY_CONSUMER_OFFSET, fields)

    expect(commit.response?.code).toBe(ResponseCode.SUCCESS)
    expect(query.field('offset')).toBe('1')
  })

  test('commits for what is not there are refused', async () => {
    const fields = { consumerGroup: 'G', topic: 'T', queueId: '0', commitOffset: '1' }

    const unknown = await ask(RequestCode.UPDATE_CONSUMER_OFFSET, fields)
    await createTopic('T')
    const negative = await ask(RequestCode.UPDATE_CONSUMER_OFFSET, { ...fields, queueId: '-1' })

    expect(unknown.response?.code).toBe(ResponseCode.TOPIC_NOT_EXIST)
    expect(negative.response?.code).toBe(ResponseCode.INVALID_PARAMETER)
  })

  test('the ends of a queue, its first time and the offset at a time', async () => {
    const before = world.time.now()
    await send('T', 2)
    const fields = { topic: 'T', queueId: '0' }

    const answers = await Promise.all([
      ask(RequestCode.GET_MAX_OFFSET, fields),
      ask(RequestCode.GET_MIN_OFFSET, fields),
      ask(RequestCode.GET_EARLIEST_MSG_STORETIME, fields),
      ask(RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, { ...fields, timestamp: '9223372036854775807' }),
      ask(RequestCode.GET_EARLIEST_MSG_STORETIME, { topic: 'U', queueId: '0' }),
    ])

    const [max, min, first, latest, none] = answers
    expect([max?.field('offset'), min?.field('offset'), latest?.field('offset')]).toEqual([
      '2',
      '0',
      '2',
    ])
    expect(Number(first?.field('timestamp'))).toBeGreaterThanOrEqual(before)
    expect(none?.field('timestamp')).toBe('-1')
  })
})

test('queues are locked for one client at a time', async () => {
  const queues = [{ topic: 'T', brokerName: 'broker-a', queueId: 0 }]
  const lockBody = (clientId: string) =>
    encodeLockBatchBody({ consumerGroup: 'G', clientId, onlyThisBroker: false, queues })

  const first = await ask(RequestCode.LOCK_BATCH_MQ, {}, lockBody('c1'))
  const second = await ask(RequestCode.LOCK_BATCH_MQ, {}, lockBody('c2'))
  await ask(RequestCode.UNLOCK_BATCH_MQ, {}, lockBody('c1'))
  const third = await ask(RequestCode.LOCK_BATCH_MQ, {}, lockBody('c2'))

  expect(
    [first, second, third].map((request) => decodeLockedQueues(bodyOf(request)).length),
  ).toEqual([1, 0, 1])
})

describe('topics', () => {
  test('are created, changed, listed and deleted', async () => {
    const created = await createTopic('T', { attributes: '+message.type=FIFO' })
    await createTopic('T', { readQueueNums: '4', perm: '4' })

    const all = decodeTopicConfigTable(bodyOf(await ask(RequestCode.GET_ALL_TOPIC_CONFIG)))
    await send('U')
    const deleted = await ask(RequestCode.DELETE_TOPIC_IN_BROKER, { topic: 'U' })

    expect(created.response?.code).toBe(ResponseCode.SUCCESS)
    expect(all.topics.get('T')).toMatchObject({
      readQueueNums: 4,
      perm: 4,
      attributes: new Map([['message.type', 'FIFO']]),
    })
    expect(deleted.response?.code).toBe(ResponseCode.SUCCESS)
    expect(world.parts.topics.get('U')).toBeUndefined()
    const { store } = world.parts
    expect(store.minOffsetInQueue('U', 0)).toBe(store.maxOffsetInQueue('U', 0))
  })

  test.each([
    ['../T', {}, 'contains illegal characters'],
    ['TBW102', {}, 'is conflict with system topic'],
    ['DefaultCluster', {}, 'is conflict with system topic'],
    ['T', { perm: '9' }, 'perm 9 is outside 0 to 7'],
    ['T', { readQueueNums: '-1' }, 'readQueueNums -1 is outside'],
    ['T', { attributes: '+message.type=MIXED' }, 'MIXED message type is not supported.'],
  ])('%s with %j is refused', async (topic, fields, remark) => {
    const request = await createTopic(topic, fields)

    expect(request.response).toMatchObject({ code: 29, remark: expect.stringContaining(remark) })
  })

  test('a list is taken whole or not at all', async () => {
    const body = encodeTopicConfigList([topicConfig('A'), topicConfig('../B')])

    const request = await ask(RequestCode.UPDATE_AND_CREATE_TOPIC_LIST, {}, body)

    expect(request.response?.code).toBe(ResponseCode.INVALID_PARAMETER)
    expect(world.parts.topics.get('A')).toBeUndefined()
  })

  test('a page holds what it is asked for', async () => {
    const page = await ask(RequestCode.GET_ALL_TOPIC_CONFIG, { topicSeq: '1', maxTopicNum: '2' })

    expect(decodeTopicConfigTable(bodyOf(page)).topics.size).toBe(2)
    expect(Number(page.field('totalTopicNum'))).toBe(world.parts.topics.all.size)
  })

  test('an unknown topic is told as such', async () => {
    const request = await ask(RequestCode.GET_TOPIC_CONFIG, { topic: 'U' })

    expect(request.response?.code).toBe(ResponseCode.TOPIC_NOT_EXIST)
  })

  test('the system topics are listed', async () => {
    const list = decodeTopicList(bodyOf(await ask(RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_BROKER)))

    expect(list.topics).toContain('TBW102')
    expect(list.brokerAddr).toBe('10.0.0.1:10911')
  })
})

describe('consumer groups', () => {
  test('are created, listed and deleted with their offsets', async () => {
    const config = subscriptionGroupConfig('G', { retryMaxTimes: 3 })
    await ask(
      RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
      {},
      encodeSubscriptionGroupConfig(config),
    )
    world.parts.offsets.commit('G', 'T', 0, 5)

    const all = await ask(RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG)
    await ask(RequestCode.DELETE_SUBSCRIPTIONGROUP, { groupName: 'G', cleanOffset: 'true' })
    const gone = await ask(RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, { group: 'G' })

    expect(decodeSubscriptionGroupTable(bodyOf(all)).groups.get('G')?.retryMaxTimes).toBe(3)
    expect(gone.response?.code).toBe(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST)
    expect(world.parts.offsets.query('G', 'T', 0)).toBeNull()
  })

  test('are forbidden to read a topic, one by one, and whoever asks is told', async () => {
    const forbid = (fields: Readonly<Record<string, string>>) =>
      ask(RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN, { group: 'G', ...fields })

    const set = await forbid({ topic: 'T', readable: 'false' })
    const [told, other] = [await forbid({ topic: 'T' }), await forbid({ topic: 'U' })]
    const all = await ask(RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG)
    const page = await ask(RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG, {
      ...{ groupSeq: '0', maxGroupNum: '1' },
    })
    const lifted = await forbid({ topic: 'T', readable: 'true' })

    expect([set, told, other, lifted].map((request) => bodyOf(request).toString())).toEqual([
      '{"group":"G","readable":false,"topic":"T"}',
      '{"group":"G","readable":false,"topic":"T"}',
      '{"group":"G","readable":true,"topic":"U"}',
      '{"group":"G","readable":true,"topic":"T"}',
    ])
    expect(decodeSubscriptionGroupTable(bodyOf(all)).forbidden.get('G')?.get('T')).toBe(4)
    expect(decodeSubscriptionGroupTable(bodyOf(page)).forbidden.size).toBe(0)
  })

  test('a bad name is refused', async () => {
    const body = encodeSubscriptionGroupConfig(subscriptionGroupConfig('a b'))

    const request = await ask(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, {}, body)

    expect(request.response?.code).toBe(ResponseCode.INVALID_PARAMETER)
  })
})

describe('the configuration', () => {
  test('is told whole, as lines that can be read again', async () => {
    const request = await ask(RequestCode.GET_BROKER_CONFIG)

    const entries = parseJavaProperties(bodyOf(request).toString())
    const values = new Map(entries.map(({ key, value }) => [key, value]))
    expect(values.get('brokerName')).toBe('broker-a')
    expect(values.get('storePathRootDir')).toBe('/store')
    expect(JSON.parse(request.field('version') ?? '')).toMatchObject({ counter: 0 })
  })

  test.each(['brokerConfigPath=/etc/passwd', 'rocketmqHome=$(id)', 'configBlackList=x'])(
    '%s is refused in the words of RocketMQ',
    async (line) => {
      const request = await ask(RequestCode.UPDATE_BROKER_CONFIG, {}, Buffer.from(line))

      expect(request.response).toEqual({ code: 16, remark: 'Can not update config in black list.' })
    },
  )
})

describe('progress', () => {
  test('of a topic and of a group is told queue by queue', async () => {
    await createTopic('T')
    await send('T', 3)
    await send('T', 1, '1')
    world.parts.offsets.commit('G', 'T', 0, 2)

    const topic = decodeTopicStatsTable(
      bodyOf(await ask(RequestCode.GET_TOPIC_STATS_INFO, { topic: 'T' })),
    )
    const group = decodeConsumeStats(
      bodyOf(await ask(RequestCode.GET_CONSUME_STATS, { consumerGroup: 'G' })),
    )

    expect(topic.map(({ maxOffset }) => maxOffset)).toEqual([3, 1])
    expect(group.queues).toMatchObject([
      { queue: { topic: 'T', queueId: 0 }, brokerOffset: 3, consumerOffset: 2 },
      { queue: { topic: 'T', queueId: 1 }, brokerOffset: 1, consumerOffset: 0 },
    ])
  })

  test('connections and who reads what are told', async () => {
    await heartbeat({ clientId: 'c1', group: 'G', topics: ['T'] })

    const connections = decodeConsumerConnection(
      bodyOf(await ask(RequestCode.GET_CONSUMER_CONNECTION_LIST, { consumerGroup: 'G' })),
    )
    const groups = await ask(RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, { topic: 'T' })
    const offline = await ask(RequestCode.GET_CONSUMER_CONNECTION_LIST, { consumerGroup: 'H' })

    expect(connections.connections).toMatchObject([
      { clientId: 'c1', language: 'JAVA', version: 513 },
    ])
    expect(bodyOf(groups).toString()).toBe('{"groupList":["G"]}')
    expect(offline.response?.code).toBe(ResponseCode.CONSUMER_NOT_ONLINE)
  })

  test('statistics without a sample are told as such', async () => {
    await send('T')

    const known = await ask(RequestCode.VIEW_BROKER_STATS_DATA, {
      statsName: 'TOPIC_PUT_NUMS',
      statsKey: 'T',
    })
    const unknown = await ask(RequestCode.VIEW_BROKER_STATS_DATA, {
      statsName: 'TOPIC_PUT_NUMS',
      statsKey: 'U',
    })

    expect(JSON.parse(bodyOf(known).toString())).toMatchObject({ statsMinute: { sum: 1 } })
    expect(unknown.response).toMatchObject({
      code: 1,
      remark: 'The stats <TOPIC_PUT_NUMS> <U> not exist',
    })
  })
})

describe('what keeps a group from going', () => {
  const facts = () =>
    drainFacts({ parts: world.parts, inFlightSends: () => 0, delayedMessages: () => 0 })

  test('messages that a group has not consumed, with the queue furthest behind', async () => {
    await createTopic('T')
    await send('T', 3)
    await send('T', 5, '1')
    world.parts.offsets.commit('G', 'T', 0, 1)

    expect(facts().lags).toEqual([{ topic: 'T', consumerGroup: 'G', messages: 7, queueId: 1 }])
  })

  test('messages that nobody subscribes to', async () => {
    await send('T', 2)

    expect(facts().lags).toEqual([{ topic: 'T', consumerGroup: null, messages: 2, queueId: 0 }])
  })

  test('nothing when all was consumed, or by broadcast only', async () => {
    await send('T', 2)
    world.parts.offsets.commit('G', 'T', 0, 2)
    await send('B', 2)
    await heartbeat({ clientId: 'c', group: 'BG', topics: ['B'], model: 'BROADCASTING' })

    expect(facts().lags).toEqual([])
    expect(facts().broadcastGroups).toEqual(['BG'])
  })
})
