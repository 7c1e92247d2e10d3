/**
 * Requests of administrators at their bounds and past them: topics, groups, offsets, the configuration, what is asked of clients. As in
 * `bad-input.test.ts`: the code that RocketMQ 5.5.0 answers (AdminBrokerProcessor), and a remark that names the field or the value.
 */
import { encodeOffsetMessageId } from '../../common/message-id.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { BASICS, GROUP, TOPIC, group, topic, without, withoutEach } from './testing-rows.ts'
import type { Call, Row, Suite } from './testing-rows.ts'

const {
  SUCCESS,
  SYSTEM_ERROR,
  NO_PERMISSION,
  INVALID_PARAMETER,
  TOPIC_NOT_EXIST,
  SUBSCRIPTION_GROUP_NOT_EXIST,
  CONSUMER_NOT_ONLINE,
} = ResponseCode
const INT_MAX = '2147483647'
const PAST_INT = '2147483648'
const LONG_MAX = '9223372036854775807'
const HOST = { ip: Buffer.from([10, 0, 0, 1]), port: 10911 }

type Fields = Readonly<Record<string, string>>

/** A consumer from before V3_1_8_SNAPSHOT. */
const OLD_CONSUMER: Call = {
  code: RequestCode.HEART_BEAT,
  extFields: {},
  body: Buffer.from(
    JSON.stringify({
      clientID: 'old',
      producerDataSet: [],
      consumerDataSet: [
        {
          groupName: GROUP,
          consumeType: 'CONSUME_PASSIVELY',
          messageModel: 'CLUSTERING',
          consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
          unitMode: false,
          subscriptionDataSet: [],
        },
      ],
    }),
  ),
  version: 61,
}

function newTopic(fields: Fields = {}): Call {
  return topic('New', fields)
}

function topicList(...topics: readonly object[]): Call {
  const code = RequestCode.UPDATE_AND_CREATE_TOPIC_LIST
  return { code, extFields: {}, body: Buffer.from(JSON.stringify({ topicConfigList: topics })) }
}

function deleteTopic(name: string): Call {
  return { code: RequestCode.DELETE_TOPIC_IN_BROKER, extFields: { topic: name } }
}

const TOPICS: readonly Row[] = [
  ...withoutEach(newTopic(), [
    'topic',
    'readQueueNums',
    'writeQueueNums',
    'perm',
    'topicFilterType',
  ]),
  ['no default topic', without(newTopic(), 'defaultTopic'), SUCCESS],
  ['no order', without(newTopic(), 'order'), SUCCESS],
  ['a blank name', newTopic({ topic: ' ' }), INVALID_PARAMETER, 'topic is blank'],
  ['a name of 127 characters', newTopic({ topic: 't'.repeat(127) }), SUCCESS],
  [
    'a name of 128 characters',
    newTopic({ topic: 't'.repeat(128) }),
    INVALID_PARAMETER,
    'length: 127',
  ],
  ['a retry topic of 255', newTopic({ topic: `%RETRY%${'g'.repeat(248)}` }), SUCCESS],
  [
    'a retry topic of 256',
    newTopic({ topic: `%RETRY%${'g'.repeat(249)}` }),
    INVALID_PARAMETER,
    'length: 255',
  ],
  ['other characters', newTopic({ topic: 'a b' }), INVALID_PARAMETER, 'a b, contains illegal'],
  [
    'the name of a system topic',
    newTopic({ topic: 'SCHEDULE_TOPIC_XXXX' }),
    INVALID_PARAMETER,
    'topic[SCHEDULE_TOPIC_XXXX] is conflict',
  ],
  [
    'queues of none',
    newTopic({ readQueueNums: 'x' }),
    SYSTEM_ERROR,
    '<readQueueNums> is not an int',
  ],
  ['queues past all', newTopic({ writeQueueNums: PAST_INT }), SYSTEM_ERROR, '<writeQueueNums>'],
  [
    'fewer queues than none',
    newTopic({ readQueueNums: '-1' }),
    INVALID_PARAMETER,
    'readQueueNums -1',
  ],
  ['65,536 queues', newTopic({ topic: 'Wide', writeQueueNums: '65536' }), SUCCESS],
  [
    '65,537 queues',
    newTopic({ writeQueueNums: '65537' }),
    INVALID_PARAMETER,
    'writeQueueNums 65537',
  ],
  ['a permission past all', newTopic({ perm: '8' }), INVALID_PARAMETER, 'perm 8'],
  ['a permission below all', newTopic({ perm: '-1' }), INVALID_PARAMETER, 'perm -1'],
  ['a permission of none', newTopic({ perm: 'rw' }), SYSTEM_ERROR, '<perm> is not an int: rw'],
  ['flags of none', newTopic({ topicSysFlag: 'x' }), SYSTEM_ERROR, '<topicSysFlag> is not an int'],
  ['filters of none', newTopic({ topicFilterType: 'ANY' }), SYSTEM_ERROR, 'topicFilterType'],
  ['a broken attribute', newTopic({ attributes: 'x' }), SYSTEM_ERROR, 'x'],
  ['an unknown attribute', newTopic({ attributes: '+colour=red' }), SYSTEM_ERROR, 'colour'],
  ['an unknown message type', newTopic({ attributes: '+message.type=BIG' }), SYSTEM_ERROR, 'BIG'],
  [
    'messages of any type',
    newTopic({ attributes: '+message.type=MIXED' }),
    INVALID_PARAMETER,
    'MIXED message type is not supported',
  ],
  [
    'a list of one that is wrong',
    topicList({ topicName: 'a b' }),
    INVALID_PARAMETER,
    'a b, contains',
  ],
  [
    'a list that is none',
    { ...topicList(), body: Buffer.from('[]') },
    SYSTEM_ERROR,
    'topic config list is no object',
  ],
  ['no topic to delete', without(deleteTopic(TOPIC), 'topic'), INVALID_PARAMETER, 'topic is blank'],
  ['a blank topic to delete', deleteTopic(' '), INVALID_PARAMETER, 'topic is blank'],
  [
    'a system topic to delete',
    deleteTopic('TBW102'),
    INVALID_PARAMETER,
    'topic[TBW102] is conflict',
  ],
  ['an unknown topic to delete', deleteTopic('Unknown'), SUCCESS],
]

function groupList(json: unknown): Call {
  return { ...group(json), code: RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST }
}

function deleteGroup(fields: Fields): Call {
  return { code: RequestCode.DELETE_SUBSCRIPTIONGROUP, extFields: fields }
}

const GROUPS: readonly Row[] = [
  ['a name of 120 characters', group({ groupName: 'g'.repeat(120) }), SUCCESS],
  ['a name of 121', group({ groupName: 'g'.repeat(121) }), INVALID_PARAMETER, 'length: 120'],
  ['other characters', group({ groupName: 'a/b' }), INVALID_PARAMETER, 'a/b, contains illegal'],
  ['a blank name', group({ groupName: '' }), INVALID_PARAMETER, 'group is blank'],
  ['a list', group([]), SYSTEM_ERROR, 'SubscriptionGroupConfig'],
  [
    'attempts of none',
    group({ groupName: 'G', retryMaxTimes: 'x' }),
    SYSTEM_ERROR,
    'retryMaxTimes',
  ],
  ['queues of none', group({ groupName: 'G', retryQueueNums: {} }), SYSTEM_ERROR, 'retryQueueNums'],
  [
    'a list of one that is wrong',
    groupList({ groupConfigList: [{ groupName: 'G' }, { groupName: 'a/b' }] }),
    INVALID_PARAMETER,
    'a/b, contains',
  ],
  ['groups that are no list', groupList({ groupConfigList: 1 }), SYSTEM_ERROR, 'groupConfigList'],
  ...withoutEach(deleteGroup({ groupName: 'x' }), ['groupName']),
  ['an unknown group to delete', deleteGroup({ groupName: 'x', cleanOffset: 'true' }), SUCCESS],
]

function reset(fields: Fields = {}): Call {
  const extFields = { topic: TOPIC, group: GROUP, timestamp: '-1', isForce: 'true', ...fields }
  return { code: RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, extFields }
}

function clone(fields: Fields = {}): Call {
  const extFields = { srcGroup: GROUP, destGroup: 'other', topic: TOPIC, ...fields }
  return { code: RequestCode.CLONE_GROUP_OFFSET, extFields }
}

function ask(code: number, fields: Fields): Call {
  return { code, extFields: fields }
}

const { GET_MAX_OFFSET, GET_MIN_OFFSET, GET_EARLIEST_MSG_STORETIME } = RequestCode
const { GET_CONSUME_STATS, QUERY_CONSUME_TIME_SPAN, QUERY_CONSUME_QUEUE } = RequestCode

const OFFSETS: readonly Row[] = [
  ...withoutEach(reset(), ['topic', 'group', 'timestamp']),
  ['a reset that is not said to be by force', without(reset(), 'isForce'), SUCCESS],
  ['a reset in an unknown topic', reset({ topic: 'Unknown' }), TOPIC_NOT_EXIST, 'Unknown'],
  ['a reset of an unknown group', reset({ group: 'x' }), SUBSCRIPTION_GROUP_NOT_EXIST, 'x'],
  ['a reset to a time of none', reset({ timestamp: 'x' }), SYSTEM_ERROR, '<timestamp> is not'],
  ['a reset to the last time', reset({ timestamp: LONG_MAX }), SUCCESS],
  ['a reset of a queue too many', reset({ queueId: '2' }), INVALID_PARAMETER, 'queueId[2]'],
  ['a reset of a queue of none', reset({ queueId: 'x' }), SYSTEM_ERROR, '<queueId> is not an int'],
  [
    'a reset behind the end',
    reset({ queueId: '0', offset: '2' }),
    SYSTEM_ERROR,
    'Target offset 2 not in consume queue range [0-0]',
  ],
  [
    'a reset before the beginning',
    reset({ queueId: '0', offset: '-2' }),
    SYSTEM_ERROR,
    'Target offset -2 not in consume queue range [0-0]',
  ],
  ...withoutEach(clone(), ['srcGroup', 'destGroup']),
  ['offsets of an unknown group to clone', clone({ srcGroup: 'x' }), SUCCESS],
  ['offsets in an unknown topic to clone', clone({ topic: 'Unknown' }), SUCCESS],
  ...[GET_MAX_OFFSET, GET_MIN_OFFSET, GET_EARLIEST_MSG_STORETIME].flatMap((code) => [
    ...withoutEach(ask(code, { topic: TOPIC, queueId: '0' }), ['topic', 'queueId']),
    [
      `${code}: a queue of none`,
      ask(code, { topic: TOPIC, queueId: 'x' }),
      SYSTEM_ERROR,
      '<queueId> is not an int',
    ] as const,
    [`${code}: an unknown topic`, ask(code, { topic: 'Unknown', queueId: '0' }), SUCCESS] as const,
    [`${code}: a negative queue`, ask(code, { topic: TOPIC, queueId: '-1' }), SUCCESS] as const,
  ]),
  ...withoutEach(ask(GET_CONSUME_STATS, { consumerGroup: GROUP }), ['consumerGroup']),
  ['the progress of an unknown group', ask(GET_CONSUME_STATS, { consumerGroup: 'x' }), SUCCESS],
  ...withoutEach(ask(QUERY_CONSUME_TIME_SPAN, { topic: TOPIC, group: GROUP }), ['topic', 'group']),
  [
    'the times of an unknown topic',
    ask(QUERY_CONSUME_TIME_SPAN, { topic: 'Unknown', group: GROUP }),
    TOPIC_NOT_EXIST,
    'topic[Unknown]',
  ],
  [
    'the units of a queue too many',
    ask(QUERY_CONSUME_QUEUE, { topic: TOPIC, queueId: '2', index: '0', count: '1' }),
    SYSTEM_ERROR,
    '2@Orders is not exist',
  ],
  [
    'the units of a negative queue',
    ask(QUERY_CONSUME_QUEUE, { topic: TOPIC, queueId: '-1', index: '0', count: '1' }),
    SYSTEM_ERROR,
    '-1@Orders is not exist',
  ],
  [
    'units behind the end',
    ask(QUERY_CONSUME_QUEUE, { topic: TOPIC, queueId: '0', index: '9', count: INT_MAX }),
    SUCCESS,
    'Index 9 of 0@Orders is not exist',
  ],
]

function config(text: string): Call {
  return { code: RequestCode.UPDATE_BROKER_CONFIG, extFields: {}, body: Buffer.from(text) }
}

const CONFIGURATION: readonly Row[] = [
  ['a key that may change', config('transactionCheckMax=7\n'), SUCCESS],
  ['no body', { code: RequestCode.UPDATE_BROKER_CONFIG, extFields: {} }, SUCCESS],
  ['a key of the black list', config('rocketmqHome=/\n'), NO_PERMISSION, 'black list'],
  ['a key that may not change', config('listenPort=1\n'), NO_PERMISSION, 'listenPort'],
  ['a value of none', config('transactionCheckMax=x\n'), NO_PERMISSION, 'transactionCheckMax'],
  ['a value out of bounds', config('fileReservedTime=-1\n'), NO_PERMISSION, 'fileReservedTime'],
  ['300 KB', config(`#${' '.repeat(300_000)}`), SYSTEM_ERROR, 'the configuration is too large'],
]

function running(fields: Fields = {}): Call {
  const extFields = { consumerGroup: GROUP, clientId: 'c', jstackEnable: 'false', ...fields }
  return { code: RequestCode.GET_CONSUMER_RUNNING_INFO, extFields }
}

function directly(fields: Fields = {}): Call {
  const msgId = encodeOffsetMessageId(HOST, 0)
  const extFields = { consumerGroup: GROUP, clientId: 'c', msgId, topic: TOPIC, ...fields }
  return { code: RequestCode.CONSUME_MESSAGE_DIRECTLY, extFields }
}

function requestMode(changes: object): Call {
  const setting = { topic: TOPIC, consumerGroup: GROUP, mode: 'POP', popShareQueueNum: 0 }
  const code = RequestCode.SET_MESSAGE_REQUEST_MODE
  return { code, extFields: {}, body: Buffer.from(JSON.stringify({ ...setting, ...changes })) }
}

const MODES: readonly Row[] = [
  ['all there', requestMode({}), SUCCESS],
  ['a retry topic', requestMode({ topic: '%RETRY%g' }), NO_PERMISSION, 'retry topic'],
  ['an unknown topic', requestMode({ topic: 'Unknown' }), TOPIC_NOT_EXIST, 'topic[Unknown]'],
  [
    'an unknown group',
    requestMode({ consumerGroup: 'x' }),
    SUBSCRIPTION_GROUP_NOT_EXIST,
    'subscription group does not exist',
  ],
  ['no topic', requestMode({ topic: null }), SYSTEM_ERROR, 'topic'],
  ['shares of none', requestMode({ popShareQueueNum: 'x' }), SYSTEM_ERROR, 'popShareQueueNum'],
]

const CLIENTS: readonly Row[] = [
  ...withoutEach(running(), ['consumerGroup', 'clientId']),
  ['running info of nobody', running(), SYSTEM_ERROR, '<group> <c> not online'],
  ['running info of an old client', running({ clientId: 'old' }), SYSTEM_ERROR, 'too low'],
  ...withoutEach(directly(), ['consumerGroup']),
  ['a message that is consumed by nobody', directly(), SYSTEM_ERROR, '<group> <c> not online'],
  ['an id of none', directly({ msgId: 'x' }), SYSTEM_ERROR, 'by the msgId, x'],
  [
    'an id of no message',
    directly({ msgId: encodeOffsetMessageId(HOST, 999_999) }),
    SYSTEM_ERROR,
    'can not find message by the msgId',
  ],
  ...withoutEach(
    ask(RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS, { topic: TOPIC, group: GROUP }),
    ['topic', 'group'],
  ),
  [
    'the status of an unknown group',
    ask(RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS, { topic: TOPIC, group: 'x' }),
    SYSTEM_ERROR,
    '[x]',
  ],
  ...withoutEach(ask(RequestCode.GET_CONSUMER_CONNECTION_LIST, { consumerGroup: 'x' }), [
    'consumerGroup',
  ]),
  [
    'connections of an unknown group',
    ask(RequestCode.GET_CONSUMER_CONNECTION_LIST, { consumerGroup: 'x' }),
    CONSUMER_NOT_ONLINE,
    'group[x] not online',
  ],
  [
    'connections of unknown producers',
    ask(RequestCode.GET_PRODUCER_CONNECTION_LIST, { producerGroup: 'x' }),
    SYSTEM_ERROR,
    'group[x] not exist',
  ],
  [
    'the figures of an unknown topic',
    ask(RequestCode.GET_TOPIC_STATS_INFO, { topic: 'Unknown' }),
    TOPIC_NOT_EXIST,
    'topic[Unknown]',
  ],
  [
    'the configuration of an unknown topic',
    ask(RequestCode.GET_TOPIC_CONFIG, { topic: 'Unknown' }),
    TOPIC_NOT_EXIST,
    'Unknown',
  ],
  [
    'the configuration of an unknown group',
    ask(RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, { group: 'x' }),
    SUBSCRIPTION_GROUP_NOT_EXIST,
    'No group in this broker',
  ],
  [
    'unknown figures',
    ask(RequestCode.VIEW_BROKER_STATS_DATA, { statsName: 'X', statsKey: 'y' }),
    SYSTEM_ERROR,
    'The stats <X> <y> not exist',
  ],
]

export const ADMINISTRATORS: Suite = {
  name: 'administrators',
  keys: {},
  setup: [...BASICS, OLD_CONSUMER],
  tables: [
    ['a topic', TOPICS],
    ['a group', GROUPS],
    ['offsets', OFFSETS],
    ['the configuration', CONFIGURATION],
    ['a request mode', MODES],
    ['a question about clients', CLIENTS],
  ],
}
