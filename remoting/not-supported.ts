/**
 * The requests of the code table that Gantry does not serve, in one visible place, with the reason.
 *
 * A server answers them with REQUEST_CODE_NOT_SUPPORTED, like any code that nobody knows.
 */
import { RequestCode } from './request-code.ts'

const CONTROLLER =
  'a broker group has no controller, its members elect their leader; ask a broker for its state'
const CONTAINER = 'this is no broker container; groups are added and removed in the RocketMQCluster'
const SLAVE = 'the members of a broker group replicate by Raft, not as master and slave'
const LITE = 'there are no lite topics'

/** Requests about what Gantry does by other means, with the sentence that says so. */
const NOT_APPLICABLE: ReadonlyMap<number, string> = new Map<RequestCode, string>([
  [
    RequestCode.SET_COMMITLOG_READ_MODE,
    'the CommitLog is not mapped, there is no read-ahead to set',
  ],
  [RequestCode.TRIGGER_DELETE_FILES, 'use DELETE_EXPIRED_COMMITLOG'],
  [
    RequestCode.UPDATE_AND_CREATE_STATIC_TOPIC,
    'there are no static topics; queues stay where they are, and a group survives the loss of a broker',
  ],
  [RequestCode.EXCHANGE_BROKER_HA_INFO, SLAVE],
  [RequestCode.NOTIFY_BROKER_ROLE_CHANGED, SLAVE],
  [RequestCode.ADD_BROKER, CONTAINER],
  [RequestCode.REMOVE_BROKER, CONTAINER],
  [RequestCode.CONTROLLER_ALTER_SYNC_STATE_SET, CONTROLLER],
  [RequestCode.CONTROLLER_REGISTER_BROKER, CONTROLLER],
  [RequestCode.CONTROLLER_GET_REPLICA_INFO, CONTROLLER],
  [RequestCode.UPDATE_CONTROLLER_CONFIG, CONTROLLER],
  [RequestCode.GET_CONTROLLER_CONFIG, CONTROLLER],
  [RequestCode.CLEAN_BROKER_DATA, CONTROLLER],
  [RequestCode.CONTROLLER_GET_NEXT_BROKER_ID, CONTROLLER],
  [RequestCode.CONTROLLER_APPLY_BROKER_ID, CONTROLLER],
  [RequestCode.POP_LITE_MESSAGE, LITE],
  [RequestCode.LITE_SUBSCRIPTION_CTL, LITE],
  [RequestCode.ACK_LITE_MESSAGE, LITE],
  [RequestCode.NOTIFY_UNSUBSCRIBE_LITE, LITE],
  [RequestCode.GET_BROKER_LITE_INFO, LITE],
  [RequestCode.GET_PARENT_TOPIC_INFO, LITE],
  [RequestCode.GET_LITE_TOPIC_INFO, LITE],
  [RequestCode.GET_LITE_CLIENT_INFO, LITE],
  [RequestCode.GET_LITE_GROUP_INFO, LITE],
  [RequestCode.TRIGGER_LITE_DISPATCH, LITE],
])

/** Why a code is not served, in one sentence; null for one that is, or that nobody knows. */
export function whyNotSupported(code: number): string | null {
  return NOT_APPLICABLE.get(code) ?? null
}

/** The remark for a code without a processor; its beginning is RocketMQ's own. */
export function notSupportedRemark(code: number): string {
  const remark = ` request type ${code} not supported`
  const reason = whyNotSupported(code)
  return reason === null ? remark : `${remark}: ${reason}`
}
