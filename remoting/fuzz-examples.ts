/** Valid inputs of every decoder, the starting points of `fuzz.ts`. */
import { inflateSync } from 'node:zlib'
import { encodeBatchBody, encodeRecord, recordSize } from '../common/message-codec.ts'
import type { MessageToStore } from '../common/message.ts'
import { encodeProperties } from '../common/properties.ts'
import { binaryHeaderBound, encodeBinaryHeader } from './binary-header.ts'
import { encodeConsumerConnection } from './bodies/client-connections.ts'
import { encodeClusterInfo } from './bodies/cluster-info.ts'
import { encodeConsumeStats } from './bodies/consume-stats.ts'
import { encodeHeartbeatData } from './bodies/heartbeat-data.ts'
import type { SubscriptionData } from './bodies/heartbeat-data.ts'
import { encodeLockBatchBody } from './bodies/lock-batch-body.ts'
import { encodeRegisterBrokerBody } from './bodies/register-broker-body.ts'
import {
  encodeSubscriptionGroupConfig,
  subscriptionGroupConfig,
} from './bodies/subscription-group-config.ts'
import { encodeTopicConfigTable, topicConfig } from './bodies/topic-config.ts'
import type { TopicConfigTable } from './bodies/topic-config.ts'
import { encodeTopicRouteData } from './bodies/topic-route-data.ts'
import { encodeTopicStatsTable } from './bodies/topic-stats-table.ts'
import { encodeCommand } from './command-codec.ts'
import { LanguageCode, SerializeType } from './command.ts'
import type { RemotingCommand } from './command.ts'
import { encodeJsonHeader } from './json-header.ts'

const SEND_FIELDS: ReadonlyMap<string, string> = new Map([
  ['a', 'ProducerGroup'],
  ['b', 'TopicTest'],
  ['c', 'TBW102'],
  ['d', '4'],
  ['e', '2'],
  ['f', '0'],
  ['g', '1763712000000'],
  ['h', '0'],
  ['i', 'UNIQ_KEY\u00017F000001\u0002WAIT\u0001true\u0002TAGS\u0001TagÄ\u0002'],
  ['j', '0'],
  ['k', 'false'],
  ['l', '0'],
  ['m', 'false'],
])

function command(given: Partial<RemotingCommand>): RemotingCommand {
  return {
    code: 310,
    language: LanguageCode.JAVA,
    version: 479,
    opaque: 42,
    flag: 0,
    remark: null,
    extFields: SEND_FIELDS,
    body: Buffer.from('a message body'),
    serializeType: SerializeType.JSON,
    ...given,
  }
}

const COMMANDS: readonly RemotingCommand[] = [
  command({}),
  command({ serializeType: SerializeType.ROCKETMQ }),
  command({ code: 0, flag: 1, remark: 'a "remark" \\ \u0007', extFields: new Map() }),
]

export function frames(): readonly Buffer[] {
  const single = COMMANDS.map(encodeCommand)
  return [...single, Buffer.concat(single)]
}

export function jsonHeaders(): readonly Buffer[] {
  const numbers = '{ "code":10, "x":[1,{"y":2}], "extFields":{"n":1,"t":true,"z":null,"f":1.5} }'
  return [...COMMANDS.map((each) => Buffer.from(encodeJsonHeader(each))), Buffer.from(numbers)]
}

export function binaryHeaders(): readonly Buffer[] {
  return COMMANDS.map((each) => {
    const target = Buffer.alloc(binaryHeaderBound(each))
    return target.subarray(0, encodeBinaryHeader(each, target, 0))
  })
}

export function jsonTexts(): readonly Buffer[] {
  return [
    `{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"T"}:{"minOffset":0},{'a':1}:[1.5e3,true,null]}}`,
    `{0:"10.0.0.1:10911",1:"\\u00e4\\x41\\/",name:{"$ref":"$.a"},"__proto__":{"a":[]},}`,
    `[[[[{"a":-1,"b":[{}]}]]],"",'']`,
  ].map((json) => Buffer.from(json))
}

function subscription(topic: string): SubscriptionData {
  return {
    topic,
    subString: 'A || B',
    tagsSet: ['A', 'B'],
    codeSet: [65, 66],
    subVersion: 1_763_712_000_000,
    expressionType: 'TAG',
    classFilterMode: false,
  }
}

export function heartbeats(): readonly Buffer[] {
  return [
    encodeHeartbeatData({
      clientID: '10.0.0.9@12345#678',
      producerGroups: ['CLIENT_INNER_PRODUCER', 'PG'],
      consumers: [
        {
          groupName: 'CG',
          consumeType: 'CONSUME_PASSIVELY',
          messageModel: 'CLUSTERING',
          consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
          subscriptions: [subscription('T'), subscription('%RETRY%CG')],
          unitMode: false,
        },
      ],
      heartbeatFingerprint: -5,
      withoutSub: false,
    }),
  ]
}

const QUEUE = { topic: 'T', brokerName: 'broker-a', queueId: 3 }

export function lockBatches(): readonly Buffer[] {
  const queues = [QUEUE, { ...QUEUE, queueId: 4 }]
  return [encodeLockBatchBody({ consumerGroup: 'G', clientId: 'c', onlyThisBroker: false, queues })]
}

const BROKER_DATA = {
  cluster: 'DefaultCluster',
  brokerName: 'broker-a',
  brokerAddrs: new Map([
    [0, '10.0.0.1:10911'],
    [1, '10.0.0.2:10911'],
  ]),
  zoneName: null,
  enableActingMaster: false,
}

export function routes(): readonly Buffer[] {
  const route = {
    orderTopicConf: 'broker-a:8',
    queueDatas: [
      { brokerName: 'broker-a', readQueueNums: 4, writeQueueNums: 4, perm: 6, topicSysFlag: 0 },
    ],
    brokerDatas: [BROKER_DATA],
    topicQueueMappingByBroker: null,
  }
  return [encodeTopicRouteData(route, 'standard'), encodeTopicRouteData(route, 'fastjson')]
}

function topicTable(): TopicConfigTable {
  const attributes = new Map([['message.type', 'FIFO']])
  return {
    dataVersion: { stateVersion: 1, timestamp: 1_763_712_000_000, counter: 3 },
    topics: new Map([
      ['T', topicConfig('T', { attributes })],
      ['U', topicConfig('U', { order: true })],
    ]),
    mappings: new Map([['T', new Map([['topic', 'T']])]]),
  }
}

export function topicTables(): readonly Buffer[] {
  return [encodeTopicConfigTable(topicTable())]
}

export function registrations(compressed: boolean): readonly Buffer[] {
  return [encodeRegisterBrokerBody(topicTable(), { compressed, withMappings: true })]
}

export function inflatedRegistrations(): readonly Buffer[] {
  return registrations(true).map((bytes) => inflateSync(bytes))
}

export function subscriptionGroups(): readonly Buffer[] {
  return [encodeSubscriptionGroupConfig(subscriptionGroupConfig('G'))]
}

/** Bodies of answers that clients and tools read. */
export function answers(): readonly Buffer[] {
  return [
    encodeConsumeStats({
      consumeTps: 1.5,
      queues: [
        { queue: QUEUE, brokerOffset: 9, consumerOffset: 8, pullOffset: 9, lastTimestamp: 7 },
      ],
    }),
    encodeTopicStatsTable([{ queue: QUEUE, minOffset: 0, maxOffset: 9, lastUpdateTimestamp: 7 }]),
    encodeClusterInfo({
      brokers: new Map([['broker-a', BROKER_DATA]]),
      clusters: new Map([['DefaultCluster', ['broker-a']]]),
    }),
    encodeConsumerConnection({
      connections: [{ clientId: 'c', clientAddr: '10.0.0.9:1', language: 'JAVA', version: 479 }],
      subscriptions: [subscription('T')],
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: 'CLUSTERING',
      consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
    }),
  ]
}

export function properties(): readonly Buffer[] {
  return [
    encodeProperties([
      ['UNIQ_KEY', '7F0000010000000000000000000000'],
      ['KEYS', 'k1 k2  k3'],
      ['TAGS', 'TagÄ'],
      ['WAIT', 'true'],
    ]),
  ]
}

export function batches(): readonly Buffer[] {
  const [first = Buffer.alloc(0)] = properties()
  return [
    encodeBatchBody([
      { flag: 0, body: Buffer.from('one'), properties: first },
      { flag: 1, body: Buffer.alloc(0), properties: Buffer.alloc(0) },
    ]),
  ]
}

export function records(): readonly Buffer[] {
  const [first = Buffer.alloc(0)] = properties()
  const v4 = { ip: Buffer.of(10, 0, 0, 1), port: 10_911 }
  const v6 = { ip: Buffer.alloc(16, 9), port: 10_911 }
  const message: MessageToStore = {
    topic: 'TopicTest',
    queueId: 1,
    flag: 0,
    sysFlag: 0,
    bornTimestamp: 1_763_712_000_000,
    bornHost: v4,
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body: Buffer.from('a message body'),
    properties: first,
  }
  const encoded = [message, { ...message, topic: 'T'.repeat(200), bornHost: v6 }].map((each) => {
    const target = Buffer.alloc(recordSize(each, v4))
    const place = {
      queueOffset: 5,
      physicalOffset: 4_096,
      storeTimestamp: 1_763_712_000_001,
      storeHost: v4,
    }
    encodeRecord(target, 0, each, place)
    return target
  })
  return [...encoded, Buffer.concat(encoded)]
}

/** PROXY protocol headers of both versions and families. */
export function proxyHeaders(): readonly Buffer[] {
  const signature = '0d0a0d0a000d0a515549540a'
  return [
    Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 56324 10911\r\n'),
    Buffer.from('PROXY TCP6 2001:db8::1 2001:db8::2 56324 10911\r\n'),
    Buffer.from('PROXY UNKNOWN\r\n'),
    Buffer.from(`${signature}2111000cc0000201c0000202dc042a9f`, 'hex'),
    Buffer.from(`${signature}21110013c0000201c0000202dc042a9f04000401020304`, 'hex'),
    Buffer.from(
      `${signature}2121002420010db800000000000000000000000120010db8000000000000000000000002dc042a9f`,
      'hex',
    ),
    Buffer.from(`${signature}20000000`, 'hex'),
  ]
}
