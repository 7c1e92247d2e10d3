import { deflateSync } from 'node:zlib'
import { expect, test } from 'vitest'
import {
  decodeConsumerConnection,
  decodeConsumerIdList,
  decodeProducerConnection,
  encodeConsumerConnection,
  encodeConsumerIdList,
  encodeProducerConnection,
} from './client-connections.ts'
import { decodeClusterInfo, encodeClusterInfo } from './cluster-info.ts'
import { decodeConsumeStats, encodeConsumeStats } from './consume-stats.ts'
import { decodeHeartbeatData, encodeHeartbeatData } from './heartbeat-data.ts'
import type { SubscriptionData } from './heartbeat-data.ts'
import { decodeLockBatchBody, encodeLockBatchBody } from './lock-batch-body.ts'
import { decodeRegisterBrokerBody, encodeRegisterBrokerBody } from './register-broker-body.ts'
import { decodeResetOffsetBody, encodeResetOffsetBody } from './reset-offset-body.ts'
import {
  decodeGroupList,
  decodeKvTable,
  decodeTopicList,
  encodeGroupList,
  encodeKvTable,
  encodeTopicList,
} from './simple-bodies.ts'
import {
  decodeSubscriptionGroupConfig,
  encodeSubscriptionGroupConfig,
  subscriptionGroupConfig,
} from './subscription-group-config.ts'
import { decodeTopicConfigTable, encodeTopicConfigTable, topicConfig } from './topic-config.ts'
import { decodeTopicRouteData, encodeTopicRouteData } from './topic-route-data.ts'
import { decodeTopicStatsTable, encodeTopicStatsTable } from './topic-stats-table.ts'

const queue = { topic: 'T', brokerName: 'broker-a', queueId: 3 }
const subscription: SubscriptionData = {
  topic: 'T',
  subString: 'A || B',
  tagsSet: ['A', 'B'],
  codeSet: [65, 66],
  subVersion: 1_763_712_000_000,
  expressionType: 'TAG',
  classFilterMode: false,
}
const brokerData = {
  cluster: 'C',
  brokerName: 'broker-a',
  brokerAddrs: new Map([
    [0, '10.0.0.1:10911'],
    [1, '10.0.0.2:10911'],
  ]),
  zoneName: null,
  enableActingMaster: false,
}
const topicTable = {
  dataVersion: { stateVersion: 1, timestamp: 1_763_712_000_000, counter: 3 },
  topics: new Map([
    ['T', topicConfig('T', { attributes: new Map([['message.type', 'FIFO']]) })],
    ['U', topicConfig('U', { readQueueNums: 1, writeQueueNums: 2, perm: 4 })],
  ]),
  mappings: new Map([['T', new Map([['topic', 'T']])]]),
}

test('consume stats and topic stats have queues as keys, written as objects', () => {
  const consumeStats = {
    consumeTps: 1.5,
    queues: [{ queue, brokerOffset: 9, consumerOffset: 8, pullOffset: 9, lastTimestamp: 7 }],
  }
  const topicStats = [{ queue, minOffset: 0, maxOffset: 9, lastUpdateTimestamp: 7 }]

  expect(String(encodeConsumeStats(consumeStats))).toBe(
    '{"consumeTps":1.5,"offsetTable":{{"brokerName":"broker-a","queueId":3,"topic":"T"}:' +
      '{"brokerOffset":9,"consumerOffset":8,"lastTimestamp":7,"pullOffset":9}}}',
  )
  expect(decodeConsumeStats(encodeConsumeStats(consumeStats))).toEqual(consumeStats)
  expect(decodeTopicStatsTable(encodeTopicStatsTable(topicStats))).toEqual(topicStats)
})

test('connections of consumers and producers come back as they were', () => {
  const connections = [{ clientId: 'c', clientAddr: '10.0.0.9:1', language: 'GO', version: 317 }]
  const consumer = {
    connections,
    subscriptions: [subscription],
    consumeType: 'CONSUME_PASSIVELY',
    messageModel: 'CLUSTERING',
    consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
  } as const

  expect(decodeConsumerConnection(encodeConsumerConnection(consumer))).toEqual(consumer)
  expect(decodeProducerConnection(encodeProducerConnection(connections))).toEqual(connections)
  expect(decodeConsumerIdList(encodeConsumerIdList(['a', 'b']))).toEqual(['a', 'b'])
})

test('a heartbeat comes back as it was', () => {
  const heartbeat = {
    clientID: '10.0.0.9@1',
    producerGroups: ['P'],
    consumers: [
      {
        groupName: 'G',
        consumeType: 'CONSUME_PASSIVELY',
        messageModel: 'BROADCASTING',
        consumeFromWhere: 'CONSUME_FROM_TIMESTAMP',
        subscriptions: [subscription],
        unitMode: true,
      },
    ],
    heartbeatFingerprint: -7,
    withoutSub: false,
  } as const

  expect(decodeHeartbeatData(encodeHeartbeatData(heartbeat))).toEqual(heartbeat)
})

test("a Java client's heartbeat is read", () => {
  const heartbeat = decodeHeartbeatData(
    Buffer.from(
      '{"clientID":"172.17.0.1@7#9","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET",' +
        '"consumeType":"CONSUME_PASSIVELY","groupName":"G","messageModel":"CLUSTERING","subscriptionDataSet":' +
        '[{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*","subVersion":1763712000000,' +
        '"tagsSet":[],"topic":"T"}],"unitMode":false}],"heartbeatFingerprint":0,"producerDataSet":' +
        '[{"groupName":"CLIENT_INNER_PRODUCER"}],"withoutSub":false}',
    ),
  )

  expect(heartbeat.consumers[0]?.subscriptions[0]?.subString).toBe('*')
  expect(heartbeat.producerGroups).toEqual(['CLIENT_INNER_PRODUCER'])
})

test.each([
  ['', 'HeartbeatData is no object'],
  ['{}', 'clientID is missing'],
  ['{"clientID":"c","consumerDataSet":{}}', 'consumerDataSet is no list'],
  ['{"clientID":"c","consumerDataSet":[{}]}', 'groupName is missing'],
])('the heartbeat %s is refused by the name of the member', (body, message) => {
  expect(() => decodeHeartbeatData(Buffer.from(body))).toThrow(message)
})

test('locks, resets and lists come back as they were', () => {
  const lock = { consumerGroup: 'G', clientId: 'c', onlyThisBroker: true, queues: [queue] }
  const positions = [{ queue, queueOffset: 42 }]
  const topics = { topics: ['T', 'U'], brokerAddr: '10.0.0.1:10911' }
  const table = new Map([['key', 'välue']])

  expect(decodeLockBatchBody(encodeLockBatchBody(lock))).toEqual(lock)
  expect(decodeResetOffsetBody(encodeResetOffsetBody(positions))).toEqual(positions)
  expect(decodeTopicList(encodeTopicList(topics))).toEqual(topics)
  expect(decodeKvTable(encodeKvTable(table))).toEqual(table)
  expect(decodeGroupList(encodeGroupList(['G']))).toEqual(['G'])
})

test('a route is read in both dialects, whose difference is the quoting of broker ids', () => {
  const route = {
    orderTopicConf: 'broker-a:8',
    queueDatas: [
      { brokerName: 'broker-a', readQueueNums: 4, writeQueueNums: 4, perm: 6, topicSysFlag: 0 },
    ],
    brokerDatas: [brokerData],
    topicQueueMappingByBroker: null,
  }
  const standard = encodeTopicRouteData(route, 'standard')
  const fastjson = encodeTopicRouteData(route, 'fastjson')

  expect(decodeTopicRouteData(standard)).toEqual(route)
  expect(decodeTopicRouteData(fastjson)).toEqual(route)
  expect(JSON.parse(String(standard))).toHaveProperty('brokerDatas.0.brokerAddrs.0')
  expect(String(fastjson)).toContain('{0:"10.0.0.1:10911",1:"10.0.0.2:10911"}')
})

test('cluster info comes back as it was', () => {
  const info = {
    brokers: new Map([['broker-a', brokerData]]),
    clusters: new Map([['C', ['broker-a']]]),
  }

  expect(decodeClusterInfo(encodeClusterInfo(info))).toEqual(info)
})

test('topic tables and group configs come back as they were', () => {
  const group = subscriptionGroupConfig('G', { retryMaxTimes: 3, consumeEnable: false })

  expect(decodeTopicConfigTable(encodeTopicConfigTable(topicTable))).toEqual(topicTable)
  expect(decodeSubscriptionGroupConfig(encodeSubscriptionGroupConfig(group))).toEqual(group)
})

test.each([
  { compressed: false, withMappings: true },
  { compressed: true, withMappings: true },
])('a registration comes back as it was: %o', (form) => {
  expect(decodeRegisterBrokerBody(encodeRegisterBrokerBody(topicTable, form), form)).toEqual(
    topicTable,
  )
})

test('a compressed registration that inflates beyond measure is refused', () => {
  const bomb = deflateSync(Buffer.alloc(80 * 1024 * 1024))

  expect(() => decodeRegisterBrokerBody(bomb, { compressed: true, withMappings: true })).toThrow(
    'cannot be inflated',
  )
})

test('a compressed registration cut anywhere is a typed error', () => {
  const form = { compressed: true, withMappings: true }
  const body = encodeRegisterBrokerBody(topicTable, form)

  for (let end = 0; end < body.length; end++) {
    expect(() => decodeRegisterBrokerBody(body.subarray(0, end), form)).toThrow(/./)
  }
})
