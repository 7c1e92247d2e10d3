/**
 * Records of the broker group itself: begin of a term, members, tables. They are ordinary records of a topic that nobody may use, with the
 * transaction type of a rollback: no ConsumeQueue and no index ever names such a record, in Gantry and in Java alike, so that a Java
 * broker reads over them.
 */
import { RecordReader } from '../common/message-codec.ts'
import { MessageSysFlag } from '../common/message.ts'
import type { HostAddress, MessageToStore } from '../common/message.ts'
import type { Clock } from '../common/ports.ts'

export const CONTROL_TOPIC = 'RMQ_SYS_GANTRY_CONTROL'

export interface ControlRecord {
  readonly physicalOffset: number
  /** A slice of the records. */
  readonly body: Buffer
}

export function controlMessage(
  body: Buffer,
  parts: { readonly runtime: { readonly clock: Clock }; readonly storeHost: () => HostAddress },
): MessageToStore {
  return {
    topic: CONTROL_TOPIC,
    queueId: 0,
    flag: 0,
    sysFlag: MessageSysFlag.TRANSACTION_ROLLBACK,
    bornTimestamp: parts.runtime.clock.now(),
    bornHost: parts.storeHost(),
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body,
    properties: Buffer.alloc(0),
  }
}

/** The control records among whole records laid end to end, from `fromOffset` on. */
export function controlRecordsIn(records: Buffer, fromOffset: number): readonly ControlRecord[] {
  const reader = new RecordReader()
  const found: ControlRecord[] = []
  for (let at = 0; at < records.length;) {
    if (reader.read(records, at, records.length, false) !== null || reader.type === 'end') break
    if (reader.type === 'blank') {
      at += 8
      continue
    }
    const isRollback =
      (reader.sysFlag & MessageSysFlag.TRANSACTION_MASK) === MessageSysFlag.TRANSACTION_ROLLBACK
    if (
      isRollback &&
      reader.physicalOffset >= fromOffset &&
      reader.topic(records) === CONTROL_TOPIC
    ) {
      const body = records.subarray(reader.bodyAt, reader.bodyAt + reader.bodySize)
      found.push({ physicalOffset: reader.physicalOffset, body })
    }
    at += reader.size
  }
  return found
}
