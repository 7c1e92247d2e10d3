/** mqadmin's commands about what Gantry does not have, with the sentence that the broker has for their requests too. */
import { whyNotSupported } from '../../../remoting/not-supported.ts'
import { RequestCode } from '../../../remoting/request-code.ts'
import type { RefusedCommand } from '../legacy-command.ts'

/** By the request that mqadmin makes, or in own words where it makes none. */
const REASONS: Readonly<Record<string, RequestCode | string>> = {
  updateStaticTopic: RequestCode.UPDATE_AND_CREATE_STATIC_TOPIC,
  remappingStaticTopic: RequestCode.UPDATE_AND_CREATE_STATIC_TOPIC,
  setCommitLogReadAheadMode: RequestCode.SET_COMMITLOG_READ_MODE,
  getControllerConfig: RequestCode.GET_CONTROLLER_CONFIG,
  updateControllerConfig: RequestCode.UPDATE_CONTROLLER_CONFIG,
  cleanBrokerMetadata: RequestCode.CLEAN_BROKER_DATA,
  addBroker: RequestCode.ADD_BROKER,
  removeBroker: RequestCode.REMOVE_BROKER,
  exportMetadataInRocksDB: 'reads RocksDB files, which Gantry does not have',
  dumpCompactionLog: 'reads a file of a compaction topic; there are no compaction topics',
  getBrokerLiteInfo: RequestCode.GET_BROKER_LITE_INFO,
  getParentTopicInfo: RequestCode.GET_PARENT_TOPIC_INFO,
  getLiteTopicInfo: RequestCode.GET_LITE_TOPIC_INFO,
  getLiteClientInfo: RequestCode.GET_LITE_CLIENT_INFO,
  getLiteGroupInfo: RequestCode.GET_LITE_GROUP_INFO,
  triggerLiteDispatch: RequestCode.TRIGGER_LITE_DISPATCH,
}

export const REFUSED_COMMANDS: readonly RefusedCommand[] = Object.entries(REASONS).map(
  ([name, why]) => {
    const reason = typeof why === 'string' ? why : whyNotSupported(why)
    if (reason === null) throw new TypeError(`nothing refuses ${name}`)
    return { name, reason }
  },
)
