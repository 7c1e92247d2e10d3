/**
 * Who may change what a broker is made of.
 *
 * A peer that has proved nothing may send, consume and look. What changes topics, groups, offsets of others, the configuration or the group's
 * leader is for administrators: who asks from this machine, and whoever signs as a super user. From private addresses a topic may be made
 * where sending to it would do so. Every code that a broker serves stands in one of the two lists; one that stands in neither is refused.
 * `allowUnauthenticatedAdmin=true` lets everybody administer, as a Java broker without access control (decision 0016).
 */
import { isLoopback } from '../common/host-address.ts'
import { RequestCode, requestCodeName } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { addressOf, isInRange, parseIpRange } from './auth/ip-range.ts'
import { isForwarded } from './request-gate.ts'
import type { IpRange } from './auth/ip-range.ts'
import type { BrokerConfig } from './config.ts'
import type { Connection, Processor, RemotingRequest } from '../remoting/connection.ts'

/** Clients and readers. */
export const CLIENT_CODES: readonly RequestCode[] = [
  // Sending
  RequestCode.SEND_MESSAGE,
  RequestCode.SEND_MESSAGE_V2,
  RequestCode.SEND_BATCH_MESSAGE,
  RequestCode.CONSUMER_SEND_MSG_BACK,
  RequestCode.END_TRANSACTION,
  RequestCode.SEND_REPLY_MESSAGE,
  RequestCode.SEND_REPLY_MESSAGE_V2,
  RequestCode.RECALL_MESSAGE,
  // Consuming
  RequestCode.PULL_MESSAGE,
  RequestCode.LITE_PULL_MESSAGE,
  RequestCode.POP_MESSAGE,
  RequestCode.PEEK_MESSAGE,
  RequestCode.ACK_MESSAGE,
  RequestCode.BATCH_ACK_MESSAGE,
  RequestCode.CHANGE_MESSAGE_INVISIBLETIME,
  RequestCode.NOTIFICATION,
  RequestCode.POLLING_INFO,
  RequestCode.QUERY_ASSIGNMENT,
  RequestCode.QUERY_CONSUMER_OFFSET,
  RequestCode.UPDATE_CONSUMER_OFFSET,
  RequestCode.LOCK_BATCH_MQ,
  RequestCode.UNLOCK_BATCH_MQ,
  RequestCode.HEART_BEAT,
  RequestCode.UNREGISTER_CLIENT,
  RequestCode.CHECK_CLIENT_CONFIG,
  RequestCode.GET_CONSUMER_LIST_BY_GROUP,
  // Looking
  RequestCode.QUERY_MESSAGE,
  RequestCode.VIEW_MESSAGE_BY_ID,
  RequestCode.SEARCH_OFFSET_BY_TIMESTAMP,
  RequestCode.GET_MAX_OFFSET,
  RequestCode.GET_MIN_OFFSET,
  RequestCode.GET_EARLIEST_MSG_STORETIME,
  RequestCode.GET_ALL_TOPIC_CONFIG,
  RequestCode.GET_TOPIC_CONFIG,
  RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG,
  RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG,
  RequestCode.GET_ALL_CONSUMER_OFFSET,
  RequestCode.GET_ALL_DELAY_OFFSET,
  RequestCode.GET_ALL_MESSAGE_REQUEST_MODE,
  RequestCode.GET_TIMER_CHECK_POINT,
  RequestCode.GET_TIMER_METRICS,
  RequestCode.GET_BROKER_CONFIG,
  RequestCode.GET_BROKER_RUNTIME_INFO,
  RequestCode.GET_TOPIC_STATS_INFO,
  RequestCode.GET_CONSUME_STATS,
  RequestCode.GET_BROKER_CONSUME_STATS,
  RequestCode.GET_CONSUMER_CONNECTION_LIST,
  RequestCode.GET_PRODUCER_CONNECTION_LIST,
  RequestCode.GET_ALL_PRODUCER_INFO,
  RequestCode.GET_CONSUMER_RUNNING_INFO,
  RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS,
  RequestCode.QUERY_TOPIC_CONSUME_BY_WHO,
  RequestCode.QUERY_TOPICS_BY_CONSUMER,
  RequestCode.QUERY_SUBSCRIPTION_BY_CONSUMER,
  RequestCode.QUERY_CONSUME_TIME_SPAN,
  RequestCode.QUERY_CORRECTION_OFFSET,
  RequestCode.QUERY_CONSUME_QUEUE,
  RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_BROKER,
  RequestCode.VIEW_BROKER_STATS_DATA,
  RequestCode.GET_COLD_DATA_FLOW_CTR_INFO,
  RequestCode.GET_BROKER_HA_STATUS,
  RequestCode.CONTROLLER_GET_METADATA_INFO,
  RequestCode.CONTROLLER_GET_SYNC_STATE_DATA,
  RequestCode.GET_BROKER_EPOCH_CACHE,
  RequestCode.EXPORT_ROCKSDB_CONFIG_TO_JSON,
  RequestCode.CHECK_ROCKSDB_CQ_WRITE_PROGRESS,
  RequestCode.GANTRY_BROKER_PICTURE,
  // A name server's word, which changes nothing here.
  RequestCode.NOTIFY_MIN_BROKER_ID_CHANGE,
]

/** Administrators. */
export const ADMIN_CODES: readonly RequestCode[] = [
  RequestCode.UPDATE_AND_CREATE_TOPIC,
  RequestCode.UPDATE_AND_CREATE_TOPIC_LIST,
  RequestCode.DELETE_TOPIC_IN_BROKER,
  RequestCode.CLEAN_UNUSED_TOPIC,
  RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
  RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST,
  RequestCode.DELETE_SUBSCRIPTIONGROUP,
  RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN,
  RequestCode.SET_MESSAGE_REQUEST_MODE,
  RequestCode.INVOKE_BROKER_TO_RESET_OFFSET,
  RequestCode.CLONE_GROUP_OFFSET,
  RequestCode.CONSUME_MESSAGE_DIRECTLY,
  RequestCode.RESUME_CHECK_HALF_MESSAGE,
  RequestCode.UPDATE_BROKER_CONFIG,
  RequestCode.CLEAN_EXPIRED_CONSUMEQUEUE,
  RequestCode.DELETE_EXPIRED_COMMITLOG,
  RequestCode.RESET_MASTER_FLUSH_OFFSET,
  RequestCode.SWITCH_TIMER_ENGINE,
  RequestCode.UPDATE_COLD_DATA_FLOW_CTR_CONFIG,
  RequestCode.REMOVE_COLD_DATA_FLOW_CTR_CONFIG,
  RequestCode.SET_COMMITLOG_READ_MODE,
  RequestCode.POP_ROLLBACK,
  RequestCode.CONTROLLER_ELECT_MASTER,
  // Users and permissions: who may see them may see the passwords.
  RequestCode.AUTH_CREATE_USER,
  RequestCode.AUTH_UPDATE_USER,
  RequestCode.AUTH_DELETE_USER,
  RequestCode.AUTH_GET_USER,
  RequestCode.AUTH_LIST_USER,
  RequestCode.AUTH_CREATE_ACL,
  RequestCode.AUTH_UPDATE_ACL,
  RequestCode.AUTH_DELETE_ACL,
  RequestCode.AUTH_GET_ACL,
  RequestCode.AUTH_LIST_ACL,
]

const FREE: ReadonlySet<number> = new Set(CLIENT_CODES)

/** Private and link-local addresses (RFC 1918, 3927, 4193, 4291). */
const PRIVATE_RANGES = ipRanges(
  '10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 fc00::/7 fe80::/10',
)

export interface RightsOptions {
  readonly config: {
    readonly values: Pick<
      BrokerConfig['values'],
      'allowUnauthenticatedAdmin' | 'autoCreateTopicEnable'
    >
  }
  readonly topics: { get(topic: string): unknown }
  /** Whether a super user has signed the request. */
  readonly isOfSuperUser: (request: RemotingRequest) => boolean
}

/** The processor as it is for clients' codes; for the others one that asks first whether the peer may. */
export function withRights(code: number, processor: Processor, options: RightsOptions): Processor {
  if (FREE.has(code)) return processor
  const name = requestCodeName(code) ?? String(code)
  return (request) => {
    if (mayAdminister(request, options)) return processor(request)
    const remark = `${name} is for administrators, while allowUnauthenticatedAdmin is false: sign it as a super user, or ask from the broker's own machine`
    request.respond({ code: ResponseCode.NO_PERMISSION, remark })
    return undefined
  }
}

function mayAdminister(request: RemotingRequest, options: RightsOptions): boolean {
  if (options.config.values.allowUnauthenticatedAdmin) return true
  return mayByPlace(request, options) || options.isOfSuperUser(request)
}

/** Where a request that another member has passed on came from is not known here. */
function mayByPlace(request: RemotingRequest, options: RightsOptions): boolean {
  if (isForwarded(request.command)) return false
  return isOfThisMachine(request.connection) || makesTopic(request, options)
}

/** What a peer says by the PROXY protocol takes rights from it and gives none. */
function isOfThisMachine({ remoteHost, socketHost, localHost }: Connection): boolean {
  const isLocal = (host: string): boolean => isLoopback(host) || host === localHost
  return isLocal(socketHost) && isLocal(remoteHost)
}

/** Sending to it would make the topic as well: with other queues, then. */
function makesTopic(
  { command, connection }: RemotingRequest,
  { config, topics }: RightsOptions,
): boolean {
  if (command.code !== RequestCode.UPDATE_AND_CREATE_TOPIC) return false
  if (!config.values.autoCreateTopicEnable) return false
  const topic = command.extFields.get('topic') ?? ''
  return (
    topics.get(topic) === undefined &&
    isPrivate(connection.socketHost) &&
    isPrivate(connection.remoteHost)
  )
}

function isPrivate(host: string): boolean {
  const address = addressOf(host)
  return isLoopback(host) || PRIVATE_RANGES.some((range) => isInRange(address, range))
}

function ipRanges(texts: string): readonly IpRange[] {
  return texts.split(' ').flatMap((text) => parseIpRange(text) ?? [])
}
