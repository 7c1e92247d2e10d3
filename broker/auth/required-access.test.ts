import { expect, test } from 'vitest'
import { encodeHeartbeatData } from '../../remoting/bodies/heartbeat-data.ts'
import { encodeLockBatchBody } from '../../remoting/bodies/lock-batch-body.ts'
import { encodeBatchAcks } from '../../remoting/bodies/pop-bodies.ts'
import { NO_BODY } from '../../remoting/command.ts'
import { RequestCode, requestCodeName } from '../../remoting/request-code.ts'
import { ADMIN_CODES, CLIENT_CODES } from '../request-rights.ts'
import { hasRule, requiredAccess } from './required-access.ts'
import type { AccessFacts } from './required-access.ts'
import type { StoredMessage } from '../../common/message.ts'

const MESSAGE: StoredMessage = {
  topic: 'stored',
  queueId: 0,
  flag: 0,
  queueOffset: 0,
  physicalOffset: 100,
  size: 100,
  sysFlag: 0,
  bornTimestamp: 0,
  bornHost: { ip: Buffer.alloc(4), port: 1 },
  storeTimestamp: 0,
  storeHost: { ip: Buffer.alloc(4), port: 1 },
  reconsumeTimes: 0,
  preparedTransactionOffset: 0,
  bodyCrc: 0,
  body: NO_BODY,
  properties: Buffer.from('REAL_TOPIC\u0001real\u0002'),
}
const AT: ReadonlyMap<number, StoredMessage | 'hidden'> = new Map<number, StoredMessage | 'hidden'>(
  [
    [100, MESSAGE],
    [200, { ...MESSAGE, topic: 'RMQ_SYS_TRANS_HALF_TOPIC' }],
    [300, 'hidden'],
  ],
)
const FACTS: AccessFacts = { clusterName: 'C', messageAt: (offset) => AT.get(offset) ?? null }

function needed(
  code: number,
  extFields: Readonly<Record<string, string>>,
  body: Buffer = NO_BODY,
): readonly string[] {
  const request = { extFields: new Map(Object.entries(extFields)), body }
  return requiredAccess(code, request, FACTS).map(
    ({ type, name, actions }) => `${actions.join('|')} ${type}:${name}`,
  )
}

test('every code that a broker serves says what it needs', () => {
  const missing = [...CLIENT_CODES, ...ADMIN_CODES].filter((code) => !hasRule(code))

  expect(missing.map(requestCodeName)).toEqual([])
})

test('a code that nobody knows is for administrators of the cluster', () => {
  expect(needed(4711, {})).toEqual(['Update Cluster:C'])
})

test.each([
  [RequestCode.SEND_MESSAGE, { topic: 't' }, ['Pub Topic:t']],
  [RequestCode.SEND_MESSAGE_V2, { b: 't', topic: 'x' }, ['Pub Topic:t']],
  [RequestCode.SEND_BATCH_MESSAGE, { b: '%RETRY%g', a: 'other' }, ['Sub Group:g']],
  [RequestCode.SEND_MESSAGE_V2, {}, ['Pub Topic:']],
  [RequestCode.PULL_MESSAGE, { topic: 't', consumerGroup: 'g' }, ['Sub Topic:t', 'Sub Group:g']],
  [
    RequestCode.PULL_MESSAGE,
    { topic: '%RETRY%g', consumerGroup: 'g' },
    ['Sub Group:g', 'Sub Group:g'],
  ],
  [
    RequestCode.PULL_MESSAGE,
    { topic: '%DLQ%h', consumerGroup: 'g' },
    ['Sub Group:h', 'Sub Group:g'],
  ],
  [RequestCode.GET_MAX_OFFSET, { topic: 't' }, ['Sub|Get Topic:t']],
  [RequestCode.UPDATE_AND_CREATE_TOPIC, { topic: 't' }, ['Create Topic:t']],
  [RequestCode.UPDATE_BROKER_CONFIG, {}, ['Update Cluster:C']],
  [RequestCode.AUTH_LIST_USER, {}, ['Get Cluster:C']],
  [RequestCode.UNREGISTER_CLIENT, { producerGroup: 'p' }, []],
  [
    RequestCode.GET_CONSUME_STATS,
    { consumerGroup: 'g', topicList: 'a;b' },
    ['Get Group:g', 'Get Topic:a', 'Get Topic:b'],
  ],
])('%s of %j needs %j', (code, extFields, expected) => {
  expect(needed(code, extFields)).toEqual(expected)
})

test('what is named by its place in the log needs the rights of what lies there', () => {
  expect(needed(RequestCode.VIEW_MESSAGE_BY_ID, { offset: '100' })).toEqual([
    'Sub|Get Topic:stored',
  ])
  expect(needed(RequestCode.VIEW_MESSAGE_BY_ID, { offset: '300' })).toEqual(['Update Cluster:C'])
  expect(needed(RequestCode.VIEW_MESSAGE_BY_ID, { offset: '400' })).toEqual([])
  expect(needed(RequestCode.CONSUMER_SEND_MSG_BACK, { group: 'g', offset: '100' })).toEqual([
    'Sub Group:g',
    'Sub Topic:stored',
  ])
  const end = { topic: 't', commitLogOffset: '200' }
  expect(needed(RequestCode.END_TRANSACTION, end)).toEqual(['Pub Topic:t', 'Pub Topic:real'])
})

test('a heartbeat needs each group and topic of its consumers, and nothing for producers', () => {
  const subscription = {
    subString: '*',
    tagsSet: [],
    codeSet: [],
    subVersion: 1,
    expressionType: 'TAG',
    classFilterMode: false,
  }
  const body = encodeHeartbeatData({
    clientID: 'c',
    producerGroups: ['p'],
    consumers: [
      {
        groupName: 'g',
        consumeType: 'CONSUME_PASSIVELY',
        messageModel: 'CLUSTERING',
        consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
        subscriptions: [
          { ...subscription, topic: 't' },
          { ...subscription, topic: '%RETRY%g' },
        ],
        unitMode: false,
      },
    ],
    heartbeatFingerprint: 0,
    withoutSub: false,
  })

  expect(needed(RequestCode.HEART_BEAT, {}, body)).toEqual(['Sub Group:g', 'Sub Topic:t'])
})

test('locks and acknowledgements of several messages need what their bodies name', () => {
  const queues = [0, 1].map((queueId) => ({ topic: 't', brokerName: 'b', queueId }))
  const lock = { consumerGroup: 'g', clientId: 'c', onlyThisBroker: false, queues }
  const acks = [
    {
      consumerGroup: 'g',
      topic: 't',
      retry: '0',
      startOffset: 0,
      queueId: 0,
      reviveQueueId: 0,
      popTime: 1,
      invisibleTime: 1,
      distances: [0],
    },
  ]

  expect(needed(RequestCode.LOCK_BATCH_MQ, {}, encodeLockBatchBody(lock))).toEqual([
    'Sub Group:g',
    'Sub Topic:t',
  ])
  expect(needed(RequestCode.BATCH_ACK_MESSAGE, {}, encodeBatchAcks('b', acks))).toEqual([
    'Sub Group:g',
    'Sub Topic:t',
  ])
})
