/** The message that a parked one becomes when it is due. */
import { TIMER_MARK, deliveryMark } from '../../common/delivery-mark.ts'
import { MessageSysFlag } from '../../common/message.ts'
import { encodeProperties, parseProperties, PropertyName } from '../../common/properties.ts'
import { HALF_TOPIC } from '../names.ts'
import type { MessageToStore, StoredMessage } from '../../common/message.ts'

const HOST_BITS = MessageSysFlag.BORN_HOST_V6 | MessageSysFlag.STORE_HOST_V6

/** Java: ScheduleMessageService.messageTimeUp. Null when the message does not say where it belongs. */
export function deliveredFromLevel(parked: StoredMessage, level: number): MessageToStore | null {
  const properties = parseProperties(parked.properties)
  properties.delete(PropertyName.DELAY)
  properties.delete(PropertyName.TIMER_DELIVER_MS)
  properties.delete(PropertyName.TIMER_DELAY_SEC)
  return delivered(parked, properties, deliveryMark(level, parked.queueOffset))
}

/** Java: TimerMessageStore.convert. */
export function deliveredFromTimer(parked: StoredMessage, now: number): MessageToStore | null {
  const properties = parseProperties(parked.properties)
  properties.set(PropertyName.TIMER_ENQUEUE_MS, String(parked.storeTimestamp))
  properties.set(PropertyName.TIMER_DEQUEUE_MS, String(now))
  const message = delivered(parked, properties, deliveryMark(TIMER_MARK, parked.queueOffset))
  if (message === null) return null
  properties.delete(PropertyName.REAL_TOPIC)
  properties.delete(PropertyName.REAL_QID)
  return { ...message, properties: encodeProperties(properties) }
}

function delivered(
  parked: StoredMessage,
  properties: Map<string, string>,
  mark: number,
): MessageToStore | null {
  const topic = properties.get(PropertyName.REAL_TOPIC) ?? ''
  const queueId = properties.get(PropertyName.REAL_QID) ?? ''
  // The store makes a new one.
  properties.delete(PropertyName.CRC32)
  if (topic === '' || topic === HALF_TOPIC || !/^\d{1,9}$/.test(queueId)) return null
  return {
    topic,
    queueId: Number(queueId),
    flag: parked.flag,
    sysFlag: parked.sysFlag & ~HOST_BITS,
    bornTimestamp: parked.bornTimestamp,
    bornHost: parked.bornHost,
    reconsumeTimes: parked.reconsumeTimes,
    preparedTransactionOffset: mark,
    body: parked.body,
    properties: encodeProperties(properties),
  }
}
