/**
 * More requests of clients at their bounds and past them: queries, ends of transactions, locks, heartbeats, recalls, messages that are
 * given back. As in `bad-input.test.ts`: the code that RocketMQ 5.5.0 answers, and a remark that names the field or the value.
 */
import { encodeOffsetMessageId } from '../../common/message-id.ts'
import { formatProperties } from '../../common/properties.ts'
import { pullFields } from '../../remoting/pull-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { BASICS, GROUP, TOPIC, without, withoutEach } from './testing-rows.ts'
import type { Call, Row, Suite } from './testing-rows.ts'

const {
  SUCCESS,
  SYSTEM_ERROR,
  QUERY_NOT_FOUND,
  SUBSCRIPTION_PARSE_FAILED,
  SUBSCRIPTION_GROUP_NOT_EXIST,
  TOPIC_NOT_EXIST,
  ILLEGAL_OPERATION,
  MESSAGE_ILLEGAL,
  INVALID_PARAMETER,
  PULL_NOT_FOUND,
} = ResponseCode
const INT_MAX = '2147483647'
const PAST_INT = '2147483648'
const LONG_MAX = '9223372036854775807'
const PAST_LONG = '9223372036854775808'
const COMMIT = '8'
const HOST = { ip: Buffer.from([10, 0, 0, 1]), port: 10911 }
/** No record begins so far into the log. */
const FAR = '1000000000'

function send(uniqueKey: string, properties: Readonly<Record<string, string>> = {}): Call {
  const named = { KEYS: 'k', UNIQ_KEY: uniqueKey, PGROUP: 'P', ...properties }
  return {
    code: RequestCode.SEND_MESSAGE_V2,
    extFields: {
      ...{ a: 'P', b: TOPIC, c: 'TBW102', d: '4', e: '0', g: '1700000000000', h: '0' },
      f: properties['TRAN_MSG'] === undefined ? '0' : '4',
      i: formatProperties(Object.entries(named)),
    },
    body: Buffer.from('hello'),
  }
}

type Fields = Readonly<Record<string, string>>

function byKey(fields: Fields = {}): Call {
  const times = { beginTimestamp: '0', endTimestamp: LONG_MAX }
  const extFields = { topic: TOPIC, key: 'k', maxNum: '32', ...times, ...fields }
  return { code: RequestCode.QUERY_MESSAGE, extFields }
}

function view(fields: Fields = {}): Call {
  return { code: RequestCode.VIEW_MESSAGE_BY_ID, extFields: { offset: '0', ...fields } }
}

const QUERIES: readonly Row[] = [
  ...withoutEach(byKey(), ['topic', 'key', 'maxNum', 'beginTimestamp', 'endTimestamp']),
  ['a key that is there', byKey(), SUCCESS],
  ['a key that is not', byKey({ key: 'none' }), QUERY_NOT_FOUND, 'can not find message'],
  ['an empty key', byKey({ key: '' }), QUERY_NOT_FOUND, 'can not find message'],
  ['an unknown topic', byKey({ topic: 'Unknown' }), QUERY_NOT_FOUND, 'can not find message'],
  ['a key of 1 MB', byKey({ key: 'k'.repeat(1_000_000) }), QUERY_NOT_FOUND, 'can not find'],
  ['no message wanted', byKey({ maxNum: '0' }), QUERY_NOT_FOUND, 'can not find message'],
  ['fewer messages than none', byKey({ maxNum: '-1' }), QUERY_NOT_FOUND, 'can not find'],
  ['as many messages as there can be', byKey({ maxNum: INT_MAX }), SUCCESS],
  ['more messages than a number', byKey({ maxNum: PAST_INT }), SYSTEM_ERROR, '<maxNum> is not'],
  ['times that are the wrong way round', byKey({ endTimestamp: '-1' }), QUERY_NOT_FOUND],
  ['a time of none', byKey({ beginTimestamp: 'x' }), SYSTEM_ERROR, '<beginTimestamp> is not'],
  ['the longest time', byKey({ beginTimestamp: LONG_MAX }), QUERY_NOT_FOUND],
  ['a unique id', byKey({ key: 'U1', _UNIQUE_KEY_QUERY: 'true' }), SUCCESS],
  ...withoutEach(view(), ['offset']),
  ['33: before the log', view({ offset: '-1' }), SYSTEM_ERROR, 'by the offset, -1'],
  ['33: behind the log', view({ offset: FAR }), SYSTEM_ERROR, `by the offset, ${FAR}`],
  ['33: inside a record', view({ offset: '7' }), SYSTEM_ERROR, 'by the offset, 7'],
  ['33: past all numbers', view({ offset: PAST_LONG }), SYSTEM_ERROR, '<offset> is not a long'],
]

function end(fields: Fields = {}): Call {
  return {
    code: RequestCode.END_TRANSACTION,
    extFields: {
      producerGroup: 'P',
      tranStateTableOffset: '0',
      commitLogOffset: '0',
      commitOrRollback: COMMIT,
      msgId: 'U2',
      ...fields,
    },
  }
}

/** Of the half message. */
function endHalf(fields: Fields): (place: string) => Call {
  return (place) => end({ commitLogOffset: place, ...fields })
}

function resume(fields: Fields): Call {
  return { code: RequestCode.RESUME_CHECK_HALF_MESSAGE, extFields: fields }
}

const TRANSACTIONS: readonly Row[] = [
  ...withoutEach(end(), [
    'producerGroup',
    'tranStateTableOffset',
    'commitLogOffset',
    'commitOrRollback',
    'msgId',
  ]),
  ['a place of no half message', end({ commitLogOffset: '0' }), SYSTEM_ERROR, 'Find prepared'],
  ['a place before the log', end({ commitLogOffset: '-1' }), SYSTEM_ERROR, 'Find prepared'],
  ['a place behind the log', end({ commitLogOffset: FAR }), SYSTEM_ERROR, 'Find prepared'],
  ['a place of none', end({ commitLogOffset: 'x' }), SYSTEM_ERROR, '<commitLogOffset> is not'],
  [
    'a decision past all numbers',
    end({ commitOrRollback: PAST_INT }),
    SYSTEM_ERROR,
    '<commitOrRollback> is not an int',
  ],
  ['an id of no message', resume({ msgId: 'x' }), SYSTEM_ERROR, 'msgId[x]'],
  [
    'an id of another message',
    resume({ msgId: encodeOffsetMessageId(HOST, 0) }),
    SYSTEM_ERROR,
    'is no message of TRANS_CHECK_MAX_TIME_TOPIC',
  ],
  ['another producer group', endHalf({ producerGroup: 'Q' }), SYSTEM_ERROR, 'group wrong'],
  ['another offset', endHalf({ tranStateTableOffset: '1' }), SYSTEM_ERROR, 'offset wrong'],
  ['an offset before all', endHalf({ tranStateTableOffset: '-1' }), SYSTEM_ERROR, 'offset wrong'],
  [
    'the answer to a check by another group',
    endHalf({ producerGroup: 'Q', fromTransactionCheck: 'true' }),
    SYSTEM_ERROR,
    'group wrong',
  ],
]

function body(code: number, json: unknown): Call {
  return { code, extFields: {}, body: Buffer.from(JSON.stringify(json)) }
}

const { LOCK_BATCH_MQ, UNLOCK_BATCH_MQ, HEART_BEAT, CHECK_CLIENT_CONFIG } = RequestCode
const QUEUE = { topic: TOPIC, brokerName: 'broker-a', queueId: 0 }
const LOCK = { consumerGroup: GROUP, clientId: 'c', mqSet: [QUEUE] }

const LOCKS: readonly Row[] = [LOCK_BATCH_MQ, UNLOCK_BATCH_MQ].flatMap((code): readonly Row[] => [
  [`${code}: all there`, body(code, LOCK), SUCCESS],
  [`${code}: no queues`, body(code, { ...LOCK, mqSet: [] }), SUCCESS],
  [`${code}: no body`, { code, extFields: {} }, SYSTEM_ERROR, 'LockBatchRequestBody'],
  [
    `${code}: a body that is cut`,
    { code, extFields: {}, body: Buffer.from('{"a":') },
    SYSTEM_ERROR,
  ],
  [`${code}: a list`, body(code, []), SYSTEM_ERROR, 'LockBatchRequestBody'],
  [
    `${code}: no group`,
    body(code, { ...LOCK, consumerGroup: null }),
    SYSTEM_ERROR,
    'consumerGroup',
  ],
  [`${code}: no client`, body(code, { ...LOCK, clientId: null }), SYSTEM_ERROR, 'clientId'],
  [`${code}: queues that are none`, body(code, { ...LOCK, mqSet: 1 }), SYSTEM_ERROR, 'mqSet'],
  [
    `${code}: a queue of none`,
    body(code, { ...LOCK, mqSet: [{ ...QUEUE, queueId: 'x' }] }),
    SYSTEM_ERROR,
    'queueId',
  ],
])

const CONSUMER = {
  groupName: GROUP,
  consumeType: 'CONSUME_PASSIVELY',
  messageModel: 'CLUSTERING',
  consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
  unitMode: false,
  subscriptionDataSet: [{ topic: TOPIC, subString: '*', tagsSet: [], codeSet: [] }],
}

function heartbeat(consumer: unknown, more: object = {}): Call {
  return body(HEART_BEAT, {
    clientID: 'c',
    consumerDataSet: [consumer],
    producerDataSet: [],
    ...more,
  })
}

function check(subscription: object): Call {
  const subscriptionData = { topic: TOPIC, subString: '*', tagsSet: [], codeSet: [] }
  return body(CHECK_CLIENT_CONFIG, {
    clientId: 'c',
    group: GROUP,
    namespace: '',
    subscriptionData: { ...subscriptionData, ...subscription },
  })
}

const HEARTBEATS: readonly Row[] = [
  ['a consumer', heartbeat(CONSUMER), SUCCESS],
  ['an unknown group: it is passed over', heartbeat({ ...CONSUMER, groupName: 'x' }), SUCCESS],
  ['a group of 121 characters', heartbeat({ ...CONSUMER, groupName: 'g'.repeat(121) }), SUCCESS],
  ['a blank group', heartbeat({ ...CONSUMER, groupName: ' ' }), SUCCESS],
  ['no body', { code: HEART_BEAT, extFields: {} }, SYSTEM_ERROR, 'HeartbeatData'],
  ['no client', heartbeat(CONSUMER, { clientID: null }), SYSTEM_ERROR, 'clientID'],
  ['consumers that are none', heartbeat(1), SYSTEM_ERROR, 'consumerDataSet'],
  ['no group', heartbeat({ ...CONSUMER, groupName: null }), SYSTEM_ERROR, 'groupName'],
  [
    'subscriptions that are none',
    heartbeat({ ...CONSUMER, subscriptionDataSet: 'all' }),
    SYSTEM_ERROR,
    'subscriptionDataSet',
  ],
  ['a subscription by tags', check({}), SUCCESS],
  [
    'a broken expression',
    check({ expressionType: 'SQL92', subString: 'a >' }),
    SUBSCRIPTION_PARSE_FAILED,
    'Invalid MessageSelector',
  ],
  [
    'an expression of another kind',
    check({ expressionType: 'XPATH' }),
    SUBSCRIPTION_PARSE_FAILED,
    'does not support consumer to filter message by XPATH',
  ],
  ...withoutEach(
    { code: RequestCode.GET_CONSUMER_LIST_BY_GROUP, extFields: { consumerGroup: GROUP } },
    ['consumerGroup'],
  ),
  [
    'the members of an unknown group',
    { code: RequestCode.GET_CONSUMER_LIST_BY_GROUP, extFields: { consumerGroup: 'x' } },
    SYSTEM_ERROR,
    'no consumer for this group, x',
  ],
  ...withoutEach({ code: RequestCode.UNREGISTER_CLIENT, extFields: { clientID: 'c' } }, [
    'clientID',
  ]),
  [
    'who leaves a group that is unknown',
    { code: RequestCode.UNREGISTER_CLIENT, extFields: { clientID: 'c', consumerGroup: 'x' } },
    SUCCESS,
  ],
]

function handle(...items: readonly (string | number)[]): string {
  return Buffer.from(items.join(' ')).toString('base64url')
}

function recall(recallHandle: string, topic = TOPIC): Call {
  const extFields = { producerGroup: 'P', topic, recallHandle }
  return { code: RequestCode.RECALL_MESSAGE, extFields }
}

/** A time as handles hold it, in milliseconds from the begin of simulated time. */
const SOON = 1_700_000_000_000
const VALID = ['v1', TOPIC, 'broker-a', SOON, 'U'] as const

const RECALLS: readonly Row[] = [
  ...withoutEach(recall(handle(...VALID)), ['topic']),
  ['no handle', without(recall(''), 'recallHandle'), ILLEGAL_OPERATION, 'recall handle is invalid'],
  ['an unknown topic', recall(handle(...VALID), 'Unknown'), TOPIC_NOT_EXIST, 'topic[Unknown]'],
  ['an empty handle', recall(''), ILLEGAL_OPERATION, 'recall handle is invalid'],
  ['a handle that is none', recall('%%%'), ILLEGAL_OPERATION, 'recall handle is invalid'],
  ['too few items', recall(handle('v1', TOPIC)), ILLEGAL_OPERATION, 'recall handle is invalid'],
  [
    'another version',
    recall(handle('v2', TOPIC, 'broker-a', SOON, 'U')),
    ILLEGAL_OPERATION,
    'recall handle is invalid',
  ],
  [
    'a handle of another topic',
    recall(handle('v1', 'Other', 'broker-a', SOON, 'U')),
    ILLEGAL_OPERATION,
    'topic not match',
  ],
  [
    'a handle of another broker',
    recall(handle('v1', TOPIC, 'broker-z', SOON, 'U')),
    ILLEGAL_OPERATION,
    'broker service not available',
  ],
  [
    'a time that is past',
    recall(handle('v1', TOPIC, 'broker-a', 1, 'U')),
    ILLEGAL_OPERATION,
    'timestamp invalid',
  ],
  [
    'a time of none',
    recall(handle('v1', TOPIC, 'broker-a', 'x', 'U')),
    ILLEGAL_OPERATION,
    'timestamp invalid',
  ],
  [
    'a time too far',
    recall(handle('v1', TOPIC, 'broker-a', LONG_MAX, 'U')),
    ILLEGAL_OPERATION,
    'timestamp invalid',
  ],
  ['a handle of 5,000 characters', recall('A'.repeat(5000)), ILLEGAL_OPERATION, 'is invalid'],
]

function back(fields: Fields = {}): Call {
  const extFields = { offset: '0', group: GROUP, delayLevel: '0', originTopic: TOPIC, ...fields }
  return { code: RequestCode.CONSUMER_SEND_MSG_BACK, extFields }
}

const BACKS: readonly Row[] = [
  ...withoutEach(back(), ['offset', 'group', 'delayLevel']),
  ['an unknown group', back({ group: 'x' }), SUBSCRIPTION_GROUP_NOT_EXIST, 'not exist, x'],
  ['a place before the log', back({ offset: '-1' }), SYSTEM_ERROR, 'by offset failed, -1'],
  ['a place behind the log', back({ offset: FAR }), SYSTEM_ERROR, `by offset failed, ${FAR}`],
  ['a level of none', back({ delayLevel: 'x' }), SYSTEM_ERROR, '<delayLevel> is not an int'],
  ['a level past all numbers', back({ delayLevel: PAST_INT }), SYSTEM_ERROR, '<delayLevel>'],
  [
    'attempts of none',
    back({ maxReconsumeTimes: 'many' }),
    SYSTEM_ERROR,
    '<maxReconsumeTimes> is not an int',
  ],
]

function reply(properties: Readonly<Record<string, string>>, fields: Fields = {}): Call {
  const call = send('U4', properties)
  const extFields = { ...call.extFields, ...fields }
  return { ...call, code: RequestCode.SEND_REPLY_MESSAGE_V2, extFields }
}

const ASSIGNMENT = {
  topic: TOPIC,
  consumerGroup: GROUP,
  clientId: 'c',
  strategyName: 'AVG',
  messageModel: 'CLUSTERING',
}

const REPLIES: readonly Row[] = [
  ['a reply to nobody', reply({}), SYSTEM_ERROR, 'properties[REPLY_TO_CLIENT] is null'],
  ['one to who is not there', reply({ REPLY_TO_CLIENT: 'x' }), SYSTEM_ERROR, '<x> not found'],
  ['an unknown topic', reply({}, { b: 'Unknown' }), TOPIC_NOT_EXIST, 'topic[Unknown]'],
  ['one queue more', reply({}, { e: '2' }), INVALID_PARAMETER, 'queueId[2] is illegal'],
  ['a question for queues', body(RequestCode.QUERY_ASSIGNMENT, ASSIGNMENT), SUCCESS],
  [
    'a question without a topic',
    body(RequestCode.QUERY_ASSIGNMENT, { ...ASSIGNMENT, topic: null }),
    SYSTEM_ERROR,
    'topic',
  ],
  [
    'a question that is a list',
    body(RequestCode.QUERY_ASSIGNMENT, []),
    SYSTEM_ERROR,
    'QueryAssignmentRequestBody',
  ],
]

function dispatched(names: string): Call {
  return send('U3', { INNER_MULTI_DISPATCH: names })
}

function pullLight(topic: string, fields: Fields = {}): Call {
  const wanted = { consumerGroup: '%LMQ%g', topic, queueId: 0, queueOffset: 0 }
  return { code: RequestCode.PULL_MESSAGE, extFields: { ...pullFields(wanted), ...fields } }
}

const LIGHT: readonly Row[] = [
  ['two queues', dispatched('%LMQ%a,%LMQ%b'), SUCCESS],
  ['the same again', dispatched('%LMQ%b,%LMQ%a'), SUCCESS],
  [
    'a queue too many',
    dispatched('%LMQ%c'),
    SYSTEM_ERROR,
    '[LMQ_CONSUME_QUEUE_NUM_EXCEEDED]broker config enableLmq and enableMultiDispatch',
  ],
  ['no light name', dispatched('Orders'), MESSAGE_ILLEGAL, 'INNER_MULTI_DISPATCH'],
  ['an empty name', dispatched('%LMQ%a,'), MESSAGE_ILLEGAL, 'INNER_MULTI_DISPATCH'],
  ['other characters', dispatched('%LMQ%a/b'), MESSAGE_ILLEGAL, 'INNER_MULTI_DISPATCH'],
  ['a long name', dispatched(`%LMQ%${'x'.repeat(300)}`), MESSAGE_ILLEGAL, 'INNER_MULTI_DISPATCH'],
  ['a pull', pullLight('%LMQ%a'), SUCCESS],
  [
    'a pull of a second queue',
    pullLight('%LMQ%a', { queueId: '1' }),
    INVALID_PARAMETER,
    'queueId[1]',
  ],
  ['a pull of none', pullLight('%LMQ%none'), PULL_NOT_FOUND],
]

const { NOTIFICATION, POLLING_INFO, PEEK_MESSAGE } = RequestCode

function look(code: number, fields: Fields = {}): Call {
  const queue = { consumerGroup: GROUP, topic: TOPIC, queueId: '0' }
  const polling = { maxMsgNums: '1', pollTime: '0', bornTime: '0' }
  return { code, extFields: { ...queue, ...polling, ...fields } }
}

const LOOKS: readonly Row[] = [
  ...[NOTIFICATION, POLLING_INFO, PEEK_MESSAGE].flatMap((code): readonly Row[] => [
    ...withoutEach(look(code), ['consumerGroup', 'topic', 'queueId']),
    [`${code}: an unknown topic`, look(code, { topic: 'Unknown' }), TOPIC_NOT_EXIST, '[Unknown]'],
    [
      `${code}: an unknown group`,
      look(code, { consumerGroup: 'x' }),
      SUBSCRIPTION_GROUP_NOT_EXIST,
      '[x]',
    ],
    [`${code}: one queue more`, look(code, { queueId: '2' }), INVALID_PARAMETER, 'queueId[2]'],
    [`${code}: a queue of none`, look(code, { queueId: 'x' }), SYSTEM_ERROR, '<queueId> is not'],
  ]),
  ...withoutEach(look(NOTIFICATION), ['pollTime']),
  ...withoutEach(look(PEEK_MESSAGE), ['maxMsgNums']),
  ['33 messages to look at: 32 are enough', look(PEEK_MESSAGE, { maxMsgNums: '33' }), SUCCESS],
]

export const CLIENTS: Suite = {
  name: 'clients',
  keys: {
    enablePropertyFilter: 'true',
    recallMessageEnable: 'true',
    enableLmq: 'true',
    enableMultiDispatch: 'true',
    maxLmqConsumeQueueNum: '2',
  },
  // A plain message, and a half message.
  setup: [...BASICS, send('U1'), send('U2', { TRAN_MSG: 'true' })],
  tables: [
    ['a query', QUERIES],
    ['the end of a transaction', TRANSACTIONS],
    ['a lock', LOCKS],
    ['a heartbeat', HEARTBEATS],
    ['a recall', RECALLS],
    ['a message that is given back', BACKS],
    ['a reply, or a question for queues,', REPLIES],
    ['a light queue', LIGHT],
    ['a look at what pops would find', LOOKS],
  ],
}
