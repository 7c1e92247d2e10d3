/**
 * What a request needs: Java's DefaultAuthorizationContextBuilder and the annotations of its headers, by request code.
 *
 * Every code that a broker serves stands here. Where Java asks for nothing and the request is more than a question about oneself, it needs
 * the cluster here. What a request names by its place in the log (33, 36, 37) needs the rights of the topic that lies there.
 */
import { PropertyName, propertyOf } from '../../common/properties.ts'
import { decodeHeartbeatData } from '../../remoting/bodies/heartbeat-data.ts'
import { decodeLockBatchBody } from '../../remoting/bodies/lock-batch-body.ts'
import {
  decodeBatchAcks,
  decodeQueryAssignment,
  decodeRequestMode,
} from '../../remoting/bodies/pop-bodies.ts'
import {
  decodeSubscriptionGroupConfig,
  decodeSubscriptionGroupList,
} from '../../remoting/bodies/subscription-group-config.ts'
import { parseFastjson } from '../../remoting/bodies/fastjson.ts'
import { asObject, optionalObject, optionalText } from '../../remoting/bodies/json-members.ts'
import { decodeTopicConfigList } from '../../remoting/bodies/topic-config.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { DLQ_PREFIX, RETRY_PREFIX, isSystemTopic } from '../names.ts'
import type { Access } from './decision.ts'
import type { Action } from '../../common/access-names.ts'
import type { RemotingCommand } from '../../remoting/command.ts'
import type { StoredMessage } from '../../common/message.ts'

export type AccessRequest = Pick<RemotingCommand, 'extFields' | 'body'>

export interface AccessFacts {
  readonly clusterName: string
  /** The message that lies there; null: nothing does. `hidden`: what no queue leads to, which may be no message at all. */
  messageAt(physicalOffset: number): StoredMessage | 'hidden' | null
}

type Rule = (request: AccessRequest, facts: AccessFacts) => readonly Access[]

const PUB: readonly Action[] = ['Pub']
const SUB: readonly Action[] = ['Sub']
const GET: readonly Action[] = ['Get']
const UPDATE: readonly Action[] = ['Update']
const SUB_OR_GET: readonly Action[] = ['Sub', 'Get']
const SUB_OR_UPDATE: readonly Action[] = ['Sub', 'Update']
const CREATE_OR_UPDATE: readonly Action[] = ['Create', 'Update']

/** The rights to all that a request touches; each is needed. Throws `RemotingError` for a body that cannot be read. */
export function requiredAccess(
  code: number,
  request: AccessRequest,
  facts: AccessFacts,
): readonly Access[] {
  return (RULES.get(code) ?? UNKNOWN)(request, facts)
}

/** Somebody has thought about the code. */
export function hasRule(code: number): boolean {
  return RULES.has(code)
}

/** A group's retry topic and its dead letters are the group's. */
export function topicAccess(topic: string, actions: readonly Action[]): Access {
  for (const prefix of [RETRY_PREFIX, DLQ_PREFIX]) {
    if (topic.startsWith(prefix)) return groupAccess(topic.slice(prefix.length), actions)
  }
  return { type: 'Topic', name: topic, actions }
}

export function groupAccess(group: string, actions: readonly Action[]): Access {
  const name = group.startsWith(RETRY_PREFIX) ? group.slice(RETRY_PREFIX.length) : group
  return { type: 'Group', name, actions }
}

/** Who may send to a topic; what is sent to a group's retry topic is given back by a consumer of the group. */
function sendAccess(topic: string): Access {
  const access = topicAccess(topic, PUB)
  return access.type === 'Group' ? { ...access, actions: SUB } : access
}

function cluster(actions: readonly Action[]): Rule {
  return (_request, { clusterName }) => [{ type: 'Cluster', name: clusterName, actions }]
}

/** Codes of a later release that nobody has thought about are for administrators. */
const UNKNOWN: Rule = cluster(UPDATE)

/** Of the ext fields so named; one that is absent counts as a name that no policy has but `*`. */
function fields(
  names: { readonly topic?: string; readonly group?: string },
  actions: readonly Action[],
): Rule {
  return ({ extFields }) => [
    ...(names.topic === undefined ? [] : [topicAccess(extFields.get(names.topic) ?? '', actions)]),
    ...(names.group === undefined ? [] : [groupAccess(extFields.get(names.group) ?? '', actions)]),
  ]
}

/** Of the fields that are there. */
function presentFields(
  names: { readonly topic?: string; readonly group?: string },
  actions: readonly Action[],
): Rule {
  return ({ extFields }) => {
    const topic = extFields.get(names.topic ?? '') ?? ''
    const group = extFields.get(names.group ?? '') ?? ''
    return [
      ...(topic === '' ? [] : [topicAccess(topic, actions)]),
      ...(group === '' ? [] : [groupAccess(group, actions)]),
    ]
  }
}

function all(...rules: readonly Rule[]): Rule {
  return (request, facts) => rules.flatMap((rule) => rule(request, facts))
}

function sendTo(name: string): Rule {
  return ({ extFields }) => [sendAccess(extFields.get(name) ?? '')]
}

/** What the message of a place needs; the processor finds nothing where there is none. */
function messageIn(field: string, actions: readonly Action[]): Rule {
  return ({ extFields }, facts) => {
    const text = extFields.get(field) ?? ''
    const message = /^[+-]?\d{1,19}$/.test(text) ? facts.messageAt(Number(text)) : null
    if (message === null) return []
    if (message !== 'hidden') return [topicAccess(topicOf(message), actions)]
    return [{ type: 'Cluster', name: facts.clusterName, actions: UPDATE }]
  }
}

/** A message of a transaction or with a delay is of the topic that it is meant for. */
function topicOf({ topic, properties }: StoredMessage): string {
  return isSystemTopic(topic) ? (propertyOf(properties, PropertyName.REAL_TOPIC) ?? topic) : topic
}

const heartbeat: Rule = ({ body }) =>
  decodeHeartbeatData(body).consumers.flatMap(({ groupName, subscriptions }) => [
    groupAccess(groupName, SUB),
    ...subscriptions
      .filter(({ topic }) => !topic.startsWith(RETRY_PREFIX))
      .map(({ topic }) => topicAccess(topic, SUB)),
  ])

const locks: Rule = ({ body }) => {
  const { consumerGroup, queues } = decodeLockBatchBody(body)
  const topics = new Set(queues.map(({ topic }) => topic))
  return [groupAccess(consumerGroup, SUB), ...[...topics].map((topic) => topicAccess(topic, SUB))]
}

const batchAcks: Rule = ({ body }) =>
  (decodeBatchAcks(body) ?? []).flatMap(({ topic, consumerGroup }) => [
    groupAccess(consumerGroup, SUB),
    topicAccess(topic, SUB),
  ])

const assignment: Rule = ({ body }) => {
  const { topic, consumerGroup } = decodeQueryAssignment(body)
  return [topicAccess(topic, SUB), groupAccess(consumerGroup, SUB)]
}

const clientConfig: Rule = ({ body }) => {
  const json = asObject(parseFastjson(body), 'CheckClientRequestBody')
  const subscription = optionalObject(json, 'subscriptionData')
  const topic = subscription === null ? null : optionalText(subscription, 'topic')
  return [
    groupAccess(optionalText(json, 'group') ?? '', SUB),
    ...(topic === null ? [] : [topicAccess(topic, SUB)]),
  ]
}

const topicList: Rule = ({ body }) =>
  decodeTopicConfigList(body).map(({ topicName }) => topicAccess(topicName, ['Create']))

const correctionOffsets: Rule = ({ extFields }) => [
  topicAccess(extFields.get('topic') ?? '', GET),
  groupAccess(extFields.get('compareGroup') ?? '', GET),
  ...listed(extFields.get('filterGroups'), ',').map((group) => groupAccess(group, GET)),
]

const listedTopics: Rule = ({ extFields }) =>
  listed(extFields.get('topicList'), ';').map((topic) => topicAccess(topic, GET))

function listed(text: string | undefined, separator: string): readonly string[] {
  return (text ?? '').split(separator).filter((item) => item !== '')
}

const TOPIC_AND_GROUP = { topic: 'topic', group: 'consumerGroup' } as const
const CONSUME: Rule = fields(TOPIC_AND_GROUP, SUB)
const LOOK_AT_QUEUE: Rule = fields({ topic: 'topic' }, SUB_OR_GET)
const FREE: Rule = () => []

const RULES: ReadonlyMap<number, Rule> = new Map<RequestCode, Rule>([
  // Sending
  [RequestCode.SEND_MESSAGE, sendTo('topic')],
  [RequestCode.SEND_MESSAGE_V2, sendTo('b')],
  [RequestCode.SEND_BATCH_MESSAGE, sendTo('b')],
  [RequestCode.SEND_REPLY_MESSAGE, sendTo('topic')],
  [RequestCode.SEND_REPLY_MESSAGE_V2, sendTo('b')],
  [RequestCode.RECALL_MESSAGE, fields({ topic: 'topic' }, PUB)],
  [
    RequestCode.END_TRANSACTION,
    all(presentFields({ topic: 'topic' }, PUB), messageIn('commitLogOffset', PUB)),
  ],
  [
    RequestCode.CONSUMER_SEND_MSG_BACK,
    all(fields({ group: 'group' }, SUB), messageIn('offset', SUB)),
  ],
  // Consuming
  [RequestCode.PULL_MESSAGE, CONSUME],
  [RequestCode.LITE_PULL_MESSAGE, CONSUME],
  [RequestCode.POP_MESSAGE, CONSUME],
  [RequestCode.PEEK_MESSAGE, CONSUME],
  [RequestCode.ACK_MESSAGE, CONSUME],
  [RequestCode.BATCH_ACK_MESSAGE, batchAcks],
  [RequestCode.CHANGE_MESSAGE_INVISIBLETIME, CONSUME],
  [RequestCode.NOTIFICATION, CONSUME],
  [RequestCode.POLLING_INFO, fields(TOPIC_AND_GROUP, GET)],
  [RequestCode.QUERY_ASSIGNMENT, assignment],
  [RequestCode.QUERY_CONSUMER_OFFSET, fields(TOPIC_AND_GROUP, SUB_OR_GET)],
  [RequestCode.UPDATE_CONSUMER_OFFSET, fields(TOPIC_AND_GROUP, SUB_OR_UPDATE)],
  [RequestCode.LOCK_BATCH_MQ, locks],
  [RequestCode.UNLOCK_BATCH_MQ, locks],
  [RequestCode.HEART_BEAT, heartbeat],
  [RequestCode.UNREGISTER_CLIENT, presentFields({ group: 'consumerGroup' }, SUB)],
  [RequestCode.CHECK_CLIENT_CONFIG, clientConfig],
  [RequestCode.GET_CONSUMER_LIST_BY_GROUP, fields({ group: 'consumerGroup' }, SUB_OR_GET)],
  // Looking at messages and queues: Java wants Get for offsets, which keeps a consumer with Sub from starting at the end.
  [RequestCode.QUERY_MESSAGE, LOOK_AT_QUEUE],
  [RequestCode.VIEW_MESSAGE_BY_ID, messageIn('offset', SUB_OR_GET)],
  [RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, LOOK_AT_QUEUE],
  [RequestCode.GET_MAX_OFFSET, LOOK_AT_QUEUE],
  [RequestCode.GET_MIN_OFFSET, LOOK_AT_QUEUE],
  [RequestCode.GET_EARLIEST_MSG_STORETIME, LOOK_AT_QUEUE],
  [
    RequestCode.QUERY_CONSUME_QUEUE,
    all(fields({ topic: 'topic' }, GET), presentFields({ group: 'consumerGroup' }, GET)),
  ],
  // Looking at topics, groups and clients
  [RequestCode.GET_TOPIC_CONFIG, fields({ topic: 'topic' }, GET)],
  [RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, fields({ group: 'group' }, GET)],
  [RequestCode.GET_TOPIC_STATS_INFO, fields({ topic: 'topic' }, GET)],
  [
    RequestCode.GET_CONSUME_STATS,
    all(
      fields({ group: 'consumerGroup' }, GET),
      presentFields({ topic: 'topic' }, GET),
      listedTopics,
    ),
  ],
  [RequestCode.GET_CONSUMER_CONNECTION_LIST, fields({ group: 'consumerGroup' }, GET)],
  [RequestCode.GET_CONSUMER_RUNNING_INFO, fields({ group: 'consumerGroup' }, GET)],
  [
    RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS,
    fields({ topic: 'topic', group: 'group' }, GET),
  ],
  [RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, fields({ topic: 'topic' }, GET)],
  [RequestCode.QUERY_TOPICS_BY_CONSUMER, fields({ group: 'group' }, GET)],
  [
    RequestCode.QUERY_SUBSCRIPTION_BY_CONSUMER,
    all(fields({ group: 'group' }, GET), presentFields({ topic: 'topic' }, GET)),
  ],
  [RequestCode.QUERY_CONSUME_TIME_SPAN, fields({ topic: 'topic', group: 'group' }, GET)],
  [RequestCode.QUERY_CORRECTION_OFFSET, correctionOffsets],
  // Looking at the broker
  [RequestCode.GET_ALL_TOPIC_CONFIG, cluster(GET)],
  [RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG, cluster(GET)],
  [RequestCode.GET_ALL_CONSUMER_OFFSET, cluster(GET)],
  [RequestCode.GET_ALL_DELAY_OFFSET, cluster(GET)],
  [RequestCode.GET_ALL_MESSAGE_REQUEST_MODE, cluster(GET)],
  [RequestCode.GET_TIMER_CHECK_POINT, cluster(GET)],
  [RequestCode.GET_TIMER_METRICS, cluster(GET)],
  [RequestCode.GET_BROKER_CONFIG, cluster(GET)],
  [RequestCode.GET_BROKER_RUNTIME_INFO, cluster(GET)],
  [RequestCode.GET_BROKER_CONSUME_STATS, cluster(GET)],
  [RequestCode.GET_PRODUCER_CONNECTION_LIST, cluster(GET)],
  [RequestCode.GET_ALL_PRODUCER_INFO, cluster(GET)],
  [RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_BROKER, cluster(GET)],
  [RequestCode.VIEW_BROKER_STATS_DATA, cluster(GET)],
  [RequestCode.GET_COLD_DATA_FLOW_CTR_INFO, cluster(GET)],
  [RequestCode.GET_BROKER_HA_STATUS, cluster(GET)],
  [RequestCode.CONTROLLER_GET_METADATA_INFO, cluster(GET)],
  [RequestCode.CONTROLLER_GET_SYNC_STATE_DATA, cluster(GET)],
  [RequestCode.GET_BROKER_EPOCH_CACHE, cluster(GET)],
  [RequestCode.EXPORT_ROCKSDB_CONFIG_TO_JSON, cluster(GET)],
  [RequestCode.CHECK_ROCKSDB_CQ_WRITE_PROGRESS, cluster(GET)],
  [RequestCode.GANTRY_BROKER_PICTURE, cluster(GET)],
  // A name server's word, which changes nothing here.
  [RequestCode.NOTIFY_MIN_BROKER_ID_CHANGE, FREE],
  // Changing topics and groups
  [RequestCode.UPDATE_AND_CREATE_TOPIC, fields({ topic: 'topic' }, ['Create'])],
  [RequestCode.UPDATE_AND_CREATE_TOPIC_LIST, topicList],
  [RequestCode.DELETE_TOPIC_IN_BROKER, fields({ topic: 'topic' }, ['Delete'])],
  [
    RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
    ({ body }) => [groupAccess(decodeSubscriptionGroupConfig(body).groupName, CREATE_OR_UPDATE)],
  ],
  [
    RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST,
    ({ body }) =>
      decodeSubscriptionGroupList(body).map(({ groupName }) =>
        groupAccess(groupName, CREATE_OR_UPDATE),
      ),
  ],
  [RequestCode.DELETE_SUBSCRIPTIONGROUP, fields({ group: 'groupName' }, ['Delete'])],
  [RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN, fields({ topic: 'topic', group: 'group' }, UPDATE)],
  [
    RequestCode.SET_MESSAGE_REQUEST_MODE,
    ({ body }) => {
      const { topic, consumerGroup } = decodeRequestMode(body)
      return [topicAccess(topic, UPDATE), groupAccess(consumerGroup, UPDATE)]
    },
  ],
  // Changing progress
  [RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, fields({ topic: 'topic', group: 'group' }, UPDATE)],
  [
    RequestCode.CLONE_GROUP_OFFSET,
    all(fields({ group: 'destGroup' }, UPDATE), presentFields({ topic: 'topic' }, UPDATE)),
  ],
  [
    RequestCode.CONSUME_MESSAGE_DIRECTLY,
    all(fields({ group: 'consumerGroup' }, SUB), presentFields({ topic: 'topic' }, SUB)),
  ],
  [RequestCode.RESUME_CHECK_HALF_MESSAGE, fields({ topic: 'topic' }, UPDATE)],
  // Changing the broker
  [RequestCode.CLEAN_UNUSED_TOPIC, cluster(UPDATE)],
  [RequestCode.UPDATE_BROKER_CONFIG, cluster(UPDATE)],
  [RequestCode.CLEAN_EXPIRED_CONSUMEQUEUE, cluster(UPDATE)],
  [RequestCode.DELETE_EXPIRED_COMMITLOG, cluster(UPDATE)],
  [RequestCode.RESET_MASTER_FLUSH_OFFSET, cluster(UPDATE)],
  [RequestCode.SWITCH_TIMER_ENGINE, cluster(UPDATE)],
  [RequestCode.UPDATE_COLD_DATA_FLOW_CTR_CONFIG, cluster(UPDATE)],
  [RequestCode.REMOVE_COLD_DATA_FLOW_CTR_CONFIG, cluster(UPDATE)],
  [RequestCode.SET_COMMITLOG_READ_MODE, cluster(UPDATE)],
  [RequestCode.POP_ROLLBACK, cluster(UPDATE)],
  [RequestCode.CONTROLLER_ELECT_MASTER, cluster(UPDATE)],
  // Users and permissions
  [RequestCode.AUTH_CREATE_USER, cluster(UPDATE)],
  [RequestCode.AUTH_UPDATE_USER, cluster(UPDATE)],
  [RequestCode.AUTH_DELETE_USER, cluster(UPDATE)],
  [RequestCode.AUTH_GET_USER, cluster(GET)],
  [RequestCode.AUTH_LIST_USER, cluster(GET)],
  [RequestCode.AUTH_CREATE_ACL, cluster(UPDATE)],
  [RequestCode.AUTH_UPDATE_ACL, cluster(UPDATE)],
  [RequestCode.AUTH_DELETE_ACL, cluster(UPDATE)],
  [RequestCode.AUTH_GET_ACL, cluster(GET)],
  [RequestCode.AUTH_LIST_ACL, cluster(GET)],
])
