/** RECALL_MESSAGE (370), and the handles by which producers name a timer message that waits (protocol §9.4). */
import { parseHostAddress } from '../../common/host-address.ts'
import { PropertyName, encodeProperties, propertyOf } from '../../common/properties.ts'
import { optionalString, requireString } from '../../remoting/header-fields.ts'
import { Permission } from '../../remoting/bodies/topic-config.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { PutStatus, isStored } from '../../store/types.ts'
import { RETRY_PREFIX, TIMER_TOPIC } from '../names.ts'
import { answer, brokerMay } from '../processors/answers.ts'
import { recallKey } from './recalled.ts'
import type { MessageToStore } from '../../common/message.ts'
import type { RemotingRequest } from '../../remoting/connection.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { BrokerParts } from '../parts.ts'
import type { TimerDelivery } from './timer-delivery.ts'

const VERSION = 'v1'
const RECALL_TAG = '_RECALL_TAG_'
const HANDLE_MAX_LENGTH = 4096

interface Handle {
  readonly topic: string
  readonly brokerName: string
  /** As text; Java takes what is no number for -1. */
  readonly time: string
  readonly uniqueKey: string
}

/** The handle that the answer to a send carries; null for a message that is no parked timer. */
export function recallHandleOf(message: MessageToStore, brokerName: string): string | null {
  if (message.topic !== TIMER_TOPIC) return null
  const { properties } = message
  const topic = propertyOf(properties, PropertyName.REAL_TOPIC)
  const tick = propertyOf(properties, PropertyName.TIMER_OUT_MS)
  const uniqueKey = propertyOf(properties, PropertyName.UNIQ_KEY)
  if (topic === null || tick === null || uniqueKey === null) return null
  if (topic.startsWith(RETRY_PREFIX)) return null
  // The time that parks the recall at the same tick.
  const text = [VERSION, topic, brokerName, String(Number(tick) + 1), uniqueKey].join(' ')
  return Buffer.from(text).toString('base64').replaceAll('+', '-').replaceAll('/', '_')
}

/** Null when it is no handle. */
function parseHandle(handle: string): Handle | null {
  if (handle === '' || handle.length > HANDLE_MAX_LENGTH) return null
  if (!/^[A-Za-z0-9_-]+={0,2}$/.test(handle)) return null
  const items = Buffer.from(handle, 'base64url').toString().split(' ')
  const [version, topic, brokerName, time, uniqueKey] = items
  if (version !== VERSION || topic === undefined || brokerName === undefined) return null
  if (time === undefined || uniqueKey === undefined || uniqueKey === '') return null
  return { topic, brokerName, time, uniqueKey }
}

/** A recalled message is not delivered; whether it was still waiting is not told, as in Java. */
export function recallProcessor(
  parts: BrokerParts,
  timers: Pick<TimerDelivery, 'isSoon' | 'recall' | 'restore'>,
): (request: RemotingRequest) => void {
  return (request) => {
    const fields = request.command.extFields
    const extFields = { MSG_REGION: parts.config.values.regionId }
    const refuse = (refusal: ResponseContent): void => request.respond({ ...refusal, extFields })
    const topic = requireString(fields, 'topic')
    const refusal = serviceRefusal(parts, topic)
    if (refusal !== null) return refuse(refusal)
    const handle = parseHandle(optionalString(fields, 'recallHandle') ?? '')
    const problem = handleProblem(parts, topic, handle)
    if (handle === null || problem !== null) {
      return refuse(answer(ResponseCode.ILLEGAL_OPERATION, problem ?? INVALID))
    }
    const recall = recallMessage(parts, request, handle, optionalString(fields, 'producerGroup'))
    const diverted = parts.delays.divert(recall)
    if (diverted.type === 'refuse' || diverted.tick === null) {
      return refuse(answer(ResponseCode.SYSTEM_ERROR, 'recall failed, execute error'))
    }
    const key = recallKey(handle.topic, handle.uniqueKey)
    const isSoon = timers.isSoon(diverted.tick)
    if (isSoon) timers.recall(key, diverted.tick)
    parts.store.put([diverted.message], 'inTime', (result) => {
      if (!isStored(result.status)) {
        if (isSoon) timers.restore(key)
        refuse(failureOf(result.status))
        return
      }
      parts.stats.add('TOPIC_PUT_NUMS', TIMER_TOPIC, 1, 1)
      request.respond({
        code: ResponseCode.SUCCESS,
        extFields: { ...extFields, msgId: handle.uniqueKey },
      })
    })
  }
}

/** A recall that is not known to be committed may yet be: the producer must not count on the message's delivery. */
function failureOf(status: PutStatus): ResponseContent {
  if (status === PutStatus.SERVICE_NOT_AVAILABLE) {
    return answer(ResponseCode.SERVICE_NOT_AVAILABLE, 'recall failed, broker service not available')
  }
  return status === PutStatus.OS_PAGE_CACHE_BUSY
    ? answer(ResponseCode.SYSTEM_BUSY, 'it is not known whether the message is recalled')
    : answer(ResponseCode.SYSTEM_ERROR, 'recall failed, execute error')
}

const INVALID = 'recall handle is invalid'

function serviceRefusal(parts: BrokerParts, topic: string): ResponseContent | null {
  const { config, clock, topics } = parts
  const { recallMessageEnable, allowRecallWhenBrokerNotWriteable } = config.values
  if (!recallMessageEnable) {
    return answer(ResponseCode.NO_PERMISSION, 'recall failed, operation is forbidden')
  }
  const isClosed =
    clock.now() < config.values.startAcceptSendRequestTimeStamp ||
    (!brokerMay(parts, Permission.WRITE) && !allowRecallWhenBrokerNotWriteable)
  if (isClosed) {
    const remark = 'recall failed, broker service not available'
    return answer(ResponseCode.SERVICE_NOT_AVAILABLE, remark)
  }
  if (topics.get(topic) !== undefined) return null
  return answer(ResponseCode.TOPIC_NOT_EXIST, `recall failed, the topic[${topic}] not exist`)
}

function handleProblem(parts: BrokerParts, topic: string, handle: Handle | null): string | null {
  const { brokerName, timerMaxDelaySec } = parts.config.values
  if (handle === null) return INVALID
  if (handle.topic !== topic) return 'recall failed, topic not match'
  if (handle.brokerName !== brokerName) return 'recall failed, broker service not available'
  const time = /^\d{1,15}$/.test(handle.time) ? Number(handle.time) : -1
  const left = time - parts.clock.now()
  return left <= 0 || left >= timerMaxDelaySec * 1000 ? 'recall failed, timestamp invalid' : null
}

function recallMessage(
  parts: BrokerParts,
  request: RemotingRequest,
  handle: Handle,
  producerGroup: string | null,
): MessageToStore {
  const { connection } = request
  const now = parts.clock.now()
  return {
    topic: handle.topic,
    queueId: 0,
    flag: 0,
    sysFlag: 0,
    bornTimestamp: now,
    bornHost: parseHostAddress(connection.remoteHost, connection.remotePort) ?? parts.storeHost(),
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body: Buffer.from('0'),
    properties: encodeProperties([
      [PropertyName.TAGS, RECALL_TAG],
      [PropertyName.TIMER_DEL_UNIQKEY, recallKey(handle.topic, handle.uniqueKey)],
      [PropertyName.UNIQ_KEY, handle.uniqueKey],
      [PropertyName.TIMER_DELIVER_MS, handle.time],
      [PropertyName.BORN_TIMESTAMP, String(now)],
      [PropertyName.PGROUP, producerGroup ?? ''],
    ]),
  }
}
