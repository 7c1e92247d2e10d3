/** Names of topics and groups: what is allowed, what belongs to the system (protocol §14). */
import { CONTROL_TOPIC } from '../store/control-record.ts'

const ALLOWED = /^[%|a-zA-Z0-9_-]+$/
const TOPIC_MAX_LENGTH = 127
const RETRY_TOPIC_MAX_LENGTH = 255
const GROUP_MAX_LENGTH = 120

export const RETRY_PREFIX = '%RETRY%'
export const DLQ_PREFIX = '%DLQ%'

export const DEFAULT_TOPIC = 'TBW102'
export const SCHEDULE_TOPIC = 'SCHEDULE_TOPIC_XXXX'
export const HALF_TOPIC = 'RMQ_SYS_TRANS_HALF_TOPIC'
export const OP_HALF_TOPIC = 'RMQ_SYS_TRANS_OP_HALF_TOPIC'
export const SELF_TEST_TOPIC = 'SELF_TEST_TOPIC'
export const OFFSET_MOVED_TOPIC = 'OFFSET_MOVED_EVENT'
export const BENCHMARK_TOPIC = 'BenchmarkTest'
export const TRACE_TOPIC = 'RMQ_SYS_TRACE_TOPIC'
export const CHECK_MAX_TIME_TOPIC = 'TRANS_CHECK_MAX_TIME_TOPIC'
export const TIMER_TOPIC = 'rmq_sys_wheel_timer'
const SYSTEM_TOPIC_PREFIX = 'rmq_sys_'
const SYSTEM_GROUP_PREFIX = 'CID_RMQ_SYS_'

const SYSTEM_TOPICS: ReadonlySet<string> = new Set([
  DEFAULT_TOPIC,
  SCHEDULE_TOPIC,
  BENCHMARK_TOPIC,
  HALF_TOPIC,
  TRACE_TOPIC,
  OP_HALF_TOPIC,
  CHECK_MAX_TIME_TOPIC,
  SELF_TEST_TOPIC,
  OFFSET_MOVED_TOPIC,
  'CHECKPOINT_TOPIC',
])

const FORBIDDEN_FOR_CLIENTS: ReadonlySet<string> = new Set([
  CONTROL_TOPIC,
  SCHEDULE_TOPIC,
  HALF_TOPIC,
  OP_HALF_TOPIC,
  CHECK_MAX_TIME_TOPIC,
  SELF_TEST_TOPIC,
  OFFSET_MOVED_TOPIC,
])

/** How far the checks of transactions have come in the queues of half messages and decisions. */
export const TRANSACTION_GROUP = 'CID_RMQ_SYS_TRANS'

/** Groups that exist from the start. */
export const SYSTEM_GROUPS: readonly string[] = [
  'TOOLS_CONSUMER',
  'FILTERSRV_CONSUMER',
  'SELF_TEST_C_GROUP',
  'CID_ONS-HTTP-PROXY',
  'CID_ONSAPI_PULL',
  'CID_ONSAPI_PERMISSION',
  'CID_ONSAPI_OWNER',
  TRANSACTION_GROUP,
]

export function isSystemTopic(topic: string): boolean {
  return SYSTEM_TOPICS.has(topic) || topic.startsWith(SYSTEM_TOPIC_PREFIX)
}

export function isSystemGroup(group: string): boolean {
  return SYSTEM_GROUPS.includes(group) || group.startsWith(SYSTEM_GROUP_PREFIX)
}

/** Topics into which a client must not send. */
export function isForbiddenForClients(topic: string): boolean {
  return FORBIDDEN_FOR_CLIENTS.has(topic)
}

export function retryTopicOf(group: string): string {
  return RETRY_PREFIX + group
}

/** The sentence that RocketMQ answers for a topic name it does not take, or null. */
export function topicProblem(topic: string): string | null {
  if (topic.trim() === '') return 'The specified topic is blank.'
  if (!ALLOWED.test(topic)) {
    return `The specified topic: ${topic}, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$`
  }
  const isOfGroup = topic.startsWith(RETRY_PREFIX) || topic.startsWith(DLQ_PREFIX)
  const limit = isOfGroup ? RETRY_TOPIC_MAX_LENGTH : TOPIC_MAX_LENGTH
  if (topic.length > limit) {
    return `The specified topic: ${topic}, is longer than topic max length: ${limit}`
  }
  return null
}

/** The sentence that RocketMQ answers for a group name it does not take, or null. */
export function groupProblem(group: string): string | null {
  if (group.trim() === '') return 'The specified group is blank.'
  if (!ALLOWED.test(group)) {
    return `The specified group: ${group}, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$`
  }
  if (group.length > GROUP_MAX_LENGTH) {
    return `The specified group: ${group}, is longer than group max length: ${GROUP_MAX_LENGTH}`
  }
  return null
}
