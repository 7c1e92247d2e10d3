/**
 * The requests of the code table that this release does not serve, in one visible place.
 *
 * A server answers them with REQUEST_CODE_NOT_SUPPORTED, like any code that nobody knows, and with a remark that tells why. Whoever
 * registers a processor for one of them takes it off this list.
 */
import { RequestCode, requestCodeName } from './request-code.ts'

export const NOT_IMPLEMENTED: readonly RequestCode[] = [
  // Retry and dead letters
  RequestCode.CONSUMER_SEND_MSG_BACK,
  // POP
  RequestCode.POP_MESSAGE,
  RequestCode.ACK_MESSAGE,
  RequestCode.BATCH_ACK_MESSAGE,
  RequestCode.PEEK_MESSAGE,
  RequestCode.CHANGE_MESSAGE_INVISIBLETIME,
  RequestCode.NOTIFICATION,
  RequestCode.POLLING_INFO,
  RequestCode.POP_ROLLBACK,
  RequestCode.QUERY_ASSIGNMENT,
  RequestCode.SET_MESSAGE_REQUEST_MODE,
  RequestCode.GET_ALL_MESSAGE_REQUEST_MODE,
  // Transactions, timers, recall, request-reply
  RequestCode.END_TRANSACTION,
  RequestCode.RESUME_CHECK_HALF_MESSAGE,
  RequestCode.RECALL_MESSAGE,
  RequestCode.SEND_REPLY_MESSAGE,
  RequestCode.SEND_REPLY_MESSAGE_V2,
  RequestCode.GET_ALL_DELAY_OFFSET,
  RequestCode.GET_TIMER_CHECK_POINT,
  RequestCode.GET_TIMER_METRICS,
  // Administration
  RequestCode.UPDATE_AND_CREATE_STATIC_TOPIC,
  RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN,
  RequestCode.GET_BROKER_CONSUME_STATS,
  RequestCode.GET_ALL_PRODUCER_INFO,
  RequestCode.QUERY_SUBSCRIPTION_BY_CONSUMER,
  RequestCode.QUERY_CONSUME_TIME_SPAN,
  RequestCode.TRIGGER_DELETE_FILES,
  RequestCode.GET_CONSUMER_RUNNING_INFO,
  RequestCode.CONSUME_MESSAGE_DIRECTLY,
  RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS,
  RequestCode.CLONE_GROUP_OFFSET,
  RequestCode.QUERY_CORRECTION_OFFSET,
  RequestCode.QUERY_CONSUME_QUEUE,
  RequestCode.UPDATE_COLD_DATA_FLOW_CTR_CONFIG,
  RequestCode.REMOVE_COLD_DATA_FLOW_CTR_CONFIG,
  RequestCode.GET_COLD_DATA_FLOW_CTR_INFO,
  RequestCode.SET_COMMITLOG_READ_MODE,
  RequestCode.CHECK_ROCKSDB_CQ_WRITE_PROGRESS,
  RequestCode.EXPORT_ROCKSDB_CONFIG_TO_JSON,
  // Java's replication, controller and broker container: Gantry's broker groups replicate by Raft
  RequestCode.EXCHANGE_BROKER_HA_INFO,
  RequestCode.GET_BROKER_HA_STATUS,
  RequestCode.RESET_MASTER_FLUSH_OFFSET,
  RequestCode.ADD_BROKER,
  RequestCode.REMOVE_BROKER,
  RequestCode.CONTROLLER_ALTER_SYNC_STATE_SET,
  RequestCode.CONTROLLER_ELECT_MASTER,
  RequestCode.CONTROLLER_REGISTER_BROKER,
  RequestCode.CONTROLLER_GET_REPLICA_INFO,
  RequestCode.CONTROLLER_GET_METADATA_INFO,
  RequestCode.CONTROLLER_GET_SYNC_STATE_DATA,
  RequestCode.GET_BROKER_EPOCH_CACHE,
  RequestCode.NOTIFY_BROKER_ROLE_CHANGED,
  RequestCode.UPDATE_CONTROLLER_CONFIG,
  RequestCode.GET_CONTROLLER_CONFIG,
  RequestCode.CLEAN_BROKER_DATA,
  RequestCode.CONTROLLER_GET_NEXT_BROKER_ID,
  RequestCode.CONTROLLER_APPLY_BROKER_ID,
  // Users and permissions
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

/** What a feature that is not there yet answers; the same sentence for codes and for kinds of messages. */
export function notImplementedRemark(what: string): string {
  return `${what} is not implemented in this release of Gantry`
}

const CODES: ReadonlySet<number> = new Set(NOT_IMPLEMENTED)

/** The remark for a code without a processor; its beginning is RocketMQ's own. */
export function notSupportedRemark(code: number): string {
  const remark = ` request type ${code} not supported`
  return CODES.has(code)
    ? `${remark}: ${notImplementedRemark(requestCodeName(code) ?? String(code))}`
    : remark
}
