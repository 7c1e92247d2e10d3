/**
 * Each field of the requests of clients at its bounds and past them: the code that RocketMQ 5.5.0 answers (its processors and
 * `HookUtils`), and a remark that names the field or the value. Rows with SUCCESS are the last values that are no error.
 */
import { encodeBatchBody } from '../../common/message-codec.ts'
import { formatProperties } from '../../common/properties.ts'
import { pullFields } from '../../remoting/pull-fields.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { BASICS, GROUP, MAX_BODY, TOPIC, topic, without } from './testing-rows.ts'
import type { Call, Row, Suite } from './testing-rows.ts'

const {
  SUCCESS,
  SYSTEM_ERROR,
  MESSAGE_ILLEGAL,
  NO_PERMISSION,
  TOPIC_NOT_EXIST,
  PULL_NOT_FOUND,
  PULL_OFFSET_MOVED,
  QUERY_NOT_FOUND,
  SUBSCRIPTION_PARSE_FAILED,
  SUBSCRIPTION_NOT_EXIST,
  SUBSCRIPTION_GROUP_NOT_EXIST,
  INVALID_PARAMETER,
  NO_MESSAGE,
  POLLING_TIMEOUT,
} = ResponseCode
const INT_MAX = '2147483647'
const PAST_INT = '2147483648'
const PAST_LONG = '9223372036854775808'
const DAY_S = 24 * 3600

function send(
  fields: Readonly<Record<string, string>> = {},
  properties: Readonly<Record<string, string>> = {},
  body: Buffer = Buffer.from('hello'),
): Call {
  return {
    code: RequestCode.SEND_MESSAGE_V2,
    extFields: {
      ...{ a: 'P', b: TOPIC, c: 'TBW102', d: '4', e: '0', f: '0', g: '1700000000000', h: '0' },
      i: formatProperties(Object.entries({ UNIQ_KEY: 'U', ...properties })),
      ...fields,
    },
    body,
  }
}

function batch(parts: readonly Readonly<Record<string, string>>[], body?: Buffer): Call {
  const messages = parts.map((properties) => ({
    flag: 0,
    body: Buffer.from('part'),
    properties: Buffer.from(formatProperties(Object.entries(properties))),
  }))
  const call = send({ m: 'true' }, {}, body ?? encodeBatchBody(messages))
  return { ...call, code: RequestCode.SEND_BATCH_MESSAGE }
}

function pull(fields: Readonly<Record<string, string>> = {}): Call {
  return {
    code: RequestCode.PULL_MESSAGE,
    extFields: {
      ...pullFields({ consumerGroup: GROUP, topic: TOPIC, queueId: 0, queueOffset: 0 }),
      ...fields,
    },
  }
}

function pop(fields: Readonly<Record<string, string>> = {}): Call {
  return {
    code: RequestCode.POP_MESSAGE,
    extFields: {
      consumerGroup: GROUP,
      topic: TOPIC,
      queueId: '-1',
      maxMsgNums: '1',
      invisibleTime: '60000',
      pollTime: '0',
      bornTime: '0',
      initMode: '0',
      ...fields,
    },
  }
}

function handled(code: number, fields: Readonly<Record<string, string>> = {}): Call {
  const extraInfo = '0 1700000000000 60000 0 0 broker-a 0 0'
  return {
    code,
    extFields: {
      consumerGroup: GROUP,
      topic: TOPIC,
      queueId: '0',
      offset: '0',
      extraInfo,
      invisibleTime: '1000',
      ...fields,
    },
  }
}

function offset(code: number, fields: Readonly<Record<string, string>> = {}): Call {
  const extFields = {
    consumerGroup: GROUP,
    topic: TOPIC,
    queueId: '0',
    commitOffset: '0',
    ...fields,
  }
  return { code, extFields }
}

const { ACK_MESSAGE, CHANGE_MESSAGE_INVISIBLETIME: CHANGE } = RequestCode
const { QUERY_CONSUMER_OFFSET, UPDATE_CONSUMER_OFFSET, SEARCH_OFFSET_BY_TIMESTAMP } = RequestCode

const SENDS: readonly Row[] = [
  ['no topic', without(send(), 'b'), SYSTEM_ERROR, '<b> is null'],
  ['a blank topic', send({ b: ' ' }), INVALID_PARAMETER, 'topic is blank'],
  ['a topic with other characters', send({ b: 'a/b' }), INVALID_PARAMETER, 'a/b, contains illegal'],
  ['a topic of 127 characters', send({ b: 't'.repeat(127) }), TOPIC_NOT_EXIST, 'ttt] not exist'],
  ['a topic of 128 characters', send({ b: 't'.repeat(128) }), INVALID_PARAMETER, 'max length: 127'],
  ['an unknown topic', send({ b: 'Unknown' }), TOPIC_NOT_EXIST, 'topic[Unknown] not exist'],
  [
    'a topic of the broker',
    send({ b: 'SCHEDULE_TOPIC_XXXX' }),
    NO_PERMISSION,
    'SCHEDULE_TOPIC_XXXX',
  ],
  ['no queue', without(send(), 'e'), SYSTEM_ERROR, '<e> is null'],
  ['any queue', send({ e: '-1' }), SUCCESS],
  ['the last queue', send({ e: '1' }), SUCCESS],
  ['one queue more', send({ e: '2' }), INVALID_PARAMETER, 'queueId[2] is illegal'],
  ['a queue past all numbers', send({ e: PAST_INT }), SYSTEM_ERROR, '<e> is not an int'],
  ['a queue that is no number', send({ e: 'x' }), SYSTEM_ERROR, '<e> is not an int: x'],
  ['a sysFlag that is no number', send({ f: '' }), SYSTEM_ERROR, '<f>'],
  ['a time past all numbers', send({ g: PAST_LONG }), SYSTEM_ERROR, '<g> is not a long'],
  ['no body', send({}, {}, Buffer.alloc(0)), MESSAGE_ILLEGAL, 'body'],
  ['the largest body', send({}, {}, Buffer.alloc(MAX_BODY)), SUCCESS],
  [
    'a larger body',
    send({}, {}, Buffer.alloc(MAX_BODY + 1)),
    MESSAGE_ILLEGAL,
    `limit ${MAX_BODY}B`,
  ],
  ['large properties', send({}, { x: 'y'.repeat(32_000) }), SUCCESS],
  ['too large properties', send({}, { x: 'y'.repeat(33_000) }), MESSAGE_ILLEGAL, 'limit 32KB'],
  ['an inner batch', send({ f: '128' }), MESSAGE_ILLEGAL, 'INNER_BATCH'],
  ['a number of inner messages', send({}, { INNER_NUM: '2' }), MESSAGE_ILLEGAL, 'INNER_NUM'],
]

const DELAYS: readonly Row[] = [
  ['level 0', send({}, { DELAY: '0' }), SUCCESS],
  ['the last level', send({}, { DELAY: '18' }), SUCCESS],
  ['a level past the last is the last', send({}, { DELAY: INT_MAX }), SUCCESS],
  ['a negative level is none', send({}, { DELAY: '-1' }), SUCCESS],
  ['a level past all numbers', send({}, { DELAY: PAST_INT }), SYSTEM_ERROR, 'DELAY is no level'],
  [
    'a level that is no number',
    send({}, { DELAY: 'soon' }),
    SYSTEM_ERROR,
    'DELAY is no level: soon',
  ],
  ['the longest timer', send({}, { TIMER_DELAY_SEC: String(3 * DAY_S) }), SUCCESS],
  [
    'a longer timer',
    send({}, { TIMER_DELAY_SEC: String(3 * DAY_S + 1) }),
    MESSAGE_ILLEGAL,
    `TIMER_DELAY_SEC is ${3 * DAY_S + 1}`,
  ],
  [
    'a timer in ms that is none',
    send({}, { TIMER_DELAY_MS: '1h' }),
    MESSAGE_ILLEGAL,
    'TIMER_DELAY_MS is 1h',
  ],
  ['a time of delivery that is past', send({}, { TIMER_DELIVER_MS: '1' }), SUCCESS],
  [
    'a time past all numbers',
    send({}, { TIMER_DELIVER_MS: PAST_LONG }),
    MESSAGE_ILLEGAL,
    'TIMER_DELIVER_MS',
  ],
  [
    'a delay in a transaction',
    send({ f: '4' }, { TRAN_MSG: 'true', TIMER_DELAY_SEC: '5' }),
    MESSAGE_ILLEGAL,
    'transaction cannot be delayed',
  ],
  ['a transaction by sysFlag alone', send({ f: '4' }), MESSAGE_ILLEGAL, 'TRAN_MSG'],
]

const BATCHES: readonly Row[] = [
  ['one message', batch([{}]), SUCCESS],
  ['no message', batch([]), MESSAGE_ILLEGAL, 'batch'],
  ['bytes that are none', batch([], Buffer.from('xxxxxxxxxxxx')), MESSAGE_ILLEGAL, 'batch'],
  [
    'a body above the limit',
    batch([], Buffer.alloc(MAX_BODY + 1)),
    MESSAGE_ILLEGAL,
    `limit ${MAX_BODY}B`,
  ],
  ['a delayed message', batch([{ DELAY: '1' }]), MESSAGE_ILLEGAL, 'batch cannot be delayed'],
  ['a timer', batch([{}, { TIMER_DELAY_SEC: '1' }]), MESSAGE_ILLEGAL, 'batch cannot be delayed'],
  ['a transaction', batch([{ TRAN_MSG: 'true' }]), MESSAGE_ILLEGAL, 'TRAN_MSG'],
]

const PULLS: readonly Row[] = [
  ['no group', without(pull(), 'consumerGroup'), SYSTEM_ERROR, '<consumerGroup> is null'],
  ['an unknown group', pull({ consumerGroup: 'x' }), SUBSCRIPTION_GROUP_NOT_EXIST, '[x]'],
  ['an unknown topic', pull({ topic: 'Unknown' }), TOPIC_NOT_EXIST, 'topic[Unknown]'],
  ['a negative queue', pull({ queueId: '-1' }), INVALID_PARAMETER, 'queueId[-1] is illegal'],
  ['one queue more', pull({ queueId: '2' }), INVALID_PARAMETER, 'queueId[2] is illegal'],
  ['a negative offset', pull({ queueOffset: '-1' }), PULL_OFFSET_MOVED],
  ['an offset far past the end', pull({ queueOffset: '1000000' }), PULL_OFFSET_MOVED],
  [
    'an offset past all numbers',
    pull({ queueOffset: PAST_LONG }),
    SYSTEM_ERROR,
    '<queueOffset> is not a long',
  ],
  ['the end of an empty queue', pull({ topic: 'Empty' }), PULL_NOT_FOUND],
  ['no messages wanted: one is given', pull({ maxMsgNums: '0' }), SUCCESS],
  ['more messages than there can be', pull({ maxMsgNums: INT_MAX }), SUCCESS],
  [
    'a number of messages that is none',
    pull({ maxMsgNums: 'all' }),
    SYSTEM_ERROR,
    '<maxMsgNums> is not an int',
  ],
  [
    'no heartbeat and no subscription',
    pull({ sysFlag: '0' }),
    SUBSCRIPTION_NOT_EXIST,
    'group info not exist',
  ],
  [
    'an expression of another kind',
    pull({ expressionType: 'XPATH' }),
    SUBSCRIPTION_PARSE_FAILED,
    'filter message by XPATH',
  ],
  [
    'a broken SQL92 expression',
    pull({ expressionType: 'SQL92', subscription: 'a >' }),
    SUBSCRIPTION_PARSE_FAILED,
    "parse the consumer's subscription failed",
  ],
  [
    'an expression without end',
    pull({ expressionType: 'SQL92', subscription: '('.repeat(100_000) }),
    SUBSCRIPTION_PARSE_FAILED,
    "parse the consumer's subscription failed",
  ],
]

const POPS: readonly Row[] = [
  ['an unknown topic', pop({ topic: 'Unknown' }), TOPIC_NOT_EXIST, 'topic[Unknown]'],
  ['an unknown group', pop({ consumerGroup: 'x' }), SUBSCRIPTION_GROUP_NOT_EXIST, '[x]'],
  ['any negative queue', pop({ queueId: '-2' }), SUCCESS],
  ['one queue more', pop({ queueId: '2' }), INVALID_PARAMETER, 'queueId[2] is illegal'],
  ['one message too many', pop({ maxMsgNums: '33' }), INVALID_PARAMETER, 'num is greater than 32'],
  ['no message', pop({ maxMsgNums: '0' }), INVALID_PARAMETER, 'maxMsgNums[0]'],
  [
    'a negative invisible time',
    pop({ invisibleTime: '-1' }),
    INVALID_PARAMETER,
    'invisibleTime[-1]',
  ],
  [
    'an invisible time above a week',
    pop({ invisibleTime: String(7 * DAY_S * 1000 + 1) }),
    INVALID_PARAMETER,
    'invisibleTime[',
  ],
  ['a request from long ago', pop({ bornTime: '1' }), POLLING_TIMEOUT, 'timeout too much'],
  [
    'a broken expression',
    pop({ expType: 'SQL92', exp: 'a >' }),
    SUBSCRIPTION_PARSE_FAILED,
    'parse the',
  ],
  ['no polling time', without(pop(), 'pollTime'), SYSTEM_ERROR, '<pollTime> is null'],
]

const HANDLES: readonly Row[] = [ACK_MESSAGE, CHANGE].flatMap((code): readonly Row[] => [
  [`${code}: no handle`, without(handled(code), 'extraInfo'), SYSTEM_ERROR, '<extraInfo> is null'],
  [
    `${code}: what is no handle`,
    handled(code, { extraInfo: '0 1' }),
    INVALID_PARAMETER,
    'extraInfo',
  ],
  [
    `${code}: an unknown topic`,
    handled(code, { topic: 'Unknown' }),
    TOPIC_NOT_EXIST,
    'topic[Unknown]',
  ],
  [
    `${code}: one queue more`,
    handled(code, { queueId: '2' }),
    MESSAGE_ILLEGAL,
    'queueId[2] is illegal',
  ],
  [`${code}: a negative offset`, handled(code, { offset: '-1' }), NO_MESSAGE, 'commit:-1'],
  [`${code}: an offset past the end`, handled(code, { offset: '999' }), NO_MESSAGE, 'commit:999'],
])

const OFFSETS: readonly Row[] = [
  [
    'an unknown topic',
    offset(UPDATE_CONSUMER_OFFSET, { topic: 'Unknown' }),
    TOPIC_NOT_EXIST,
    'Unknown',
  ],
  [
    'an unknown group',
    offset(UPDATE_CONSUMER_OFFSET, { consumerGroup: 'x' }),
    SUBSCRIPTION_GROUP_NOT_EXIST,
    'x',
  ],
  [
    'no queue',
    without(offset(UPDATE_CONSUMER_OFFSET), 'queueId'),
    INVALID_PARAMETER,
    'QueueId is null',
  ],
  [
    'a queue of none',
    offset(UPDATE_CONSUMER_OFFSET, { queueId: 'x' }),
    INVALID_PARAMETER,
    'QueueId is null',
  ],
  [
    'a negative queue',
    offset(UPDATE_CONSUMER_OFFSET, { queueId: '-1' }),
    INVALID_PARAMETER,
    'queueId[-1]',
  ],
  [
    'a negative offset',
    offset(UPDATE_CONSUMER_OFFSET, { commitOffset: '-1' }),
    INVALID_PARAMETER,
    'commitOffset[-1]',
  ],
  [
    'an offset of none',
    offset(UPDATE_CONSUMER_OFFSET, { commitOffset: 'x' }),
    INVALID_PARAMETER,
    'Offset is null',
  ],
  [
    'no offset',
    without(offset(UPDATE_CONSUMER_OFFSET), 'commitOffset'),
    INVALID_PARAMETER,
    'Offset is null',
  ],
  [
    'an unknown group and topic',
    offset(UPDATE_CONSUMER_OFFSET, { consumerGroup: 'x', topic: 'Unknown' }),
    SUBSCRIPTION_GROUP_NOT_EXIST,
    'Group x not exist',
  ],
  [
    'an offset ahead of the queue',
    offset(UPDATE_CONSUMER_OFFSET, { commitOffset: '12345' }),
    SUCCESS,
  ],
  [
    'the offset of an unknown group',
    offset(QUERY_CONSUMER_OFFSET, { consumerGroup: 'x', setZeroIfNotFound: 'false' }),
    QUERY_NOT_FOUND,
    'Not found',
  ],
  [
    'no queue to ask for',
    without(offset(QUERY_CONSUMER_OFFSET), 'queueId'),
    SYSTEM_ERROR,
    '<queueId> is null',
  ],
  ['a negative time', offset(SEARCH_OFFSET_BY_TIMESTAMP, { timestamp: '-1' }), SUCCESS],
  [
    'the last time',
    offset(SEARCH_OFFSET_BY_TIMESTAMP, { timestamp: '9223372036854775807' }),
    SUCCESS,
  ],
  [
    'a time of none',
    offset(SEARCH_OFFSET_BY_TIMESTAMP, { timestamp: 'x' }),
    SYSTEM_ERROR,
    '<timestamp>',
  ],
]

export const MESSAGES: Suite = {
  name: 'messages',
  keys: { enablePropertyFilter: 'true' },
  setup: [...BASICS, topic('Empty'), send()],
  tables: [
    ['a send', SENDS],
    ['a delay', DELAYS],
    ['a batch', BATCHES],
    ['a pull', PULLS],
    ['a pop', POPS],
    ['an acknowledgement or change', HANDLES],
    ['an offset', OFFSETS],
  ],
}
