/**
 * Records of the broker group itself: begin of a term, members, tables. They are ordinary records of a topic that nobody may use, with the
 * transaction type of a rollback: no ConsumeQueue and no index ever names such a record, in Gantry and in Java alike, so that a Java
 * broker reads over them.
 */
import { LogScanner } from './log-scanner.ts'
import { readInt32 } from '../common/bytes.ts'
import { BLANK_HEADER_SIZE, RecordReader, isBlankAt } from '../common/message-codec.ts'
import { MessageSysFlag } from '../common/message.ts'
import type { HostAddress, MessageToStore } from '../common/message.ts'
import type { Clock, Timers } from '../common/ports.ts'
import type { CommitLog } from './commit-log.ts'
import { StoreError } from './errors.ts'
import type { ControlListener } from './types.ts'

export const CONTROL_TOPIC = 'RMQ_SYS_GANTRY_CONTROL'

const SYS_FLAG_AT = 36

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

/** The control records among whole records laid end to end, which have been checked, from `fromOffset` on. */
export function controlRecordsIn(records: Buffer, fromOffset: number): readonly ControlRecord[] {
  const found: ControlRecord[] = []
  for (let at = 0; at < records.length;) {
    if (isBlankAt(records, at)) {
      at += BLANK_HEADER_SIZE
      continue
    }
    // Most are messages, which have been checked: their flags say enough.
    const transaction = readInt32(records, at + SYS_FLAG_AT) & MessageSysFlag.TRANSACTION_MASK
    if (transaction === MessageSysFlag.TRANSACTION_ROLLBACK) {
      const control = controlRecordAt(records, at)
      if (control !== null && control.physicalOffset >= fromOffset) found.push(control)
    }
    at += readInt32(records, at)
  }
  return found
}

function controlRecordAt(records: Buffer, at: number): ControlRecord | null {
  const reader = new RecordReader()
  if (reader.read(records, at, records.length, false) !== null) return null
  if (reader.type !== 'message' || !isControl(reader, records)) return null
  const body = records.subarray(reader.bodyAt, reader.bodyAt + reader.bodySize)
  return { physicalOffset: reader.physicalOffset, body }
}

/** Bytes of the log between two looks at the event loop. */
const YIELD_BYTES = 4 * 1024 * 1024

/** Tells `visit` of the control records in `[fromOffset, toOffset)`, two record boundaries, out of the files. Throws `StoreError` `corrupt`. */
export async function replayControl(
  log: CommitLog,
  fromOffset: number,
  toOffset: number,
  timers: Pick<Timers, 'soon'>,
  visit: ControlListener,
): Promise<void> {
  const scanner = new LogScanner(log.segments, fromOffset, true)
  let yieldAt = fromOffset + YIELD_BYTES
  while (scanner.nextOffset < toOffset) {
    if (!scanner.next()) {
      // A segment has ended, and the next one holds nothing yet.
      if (scanner.problem === null && scanner.physicalOffset >= toOffset) return
      const place = log.segments.pathAt(scanner.physicalOffset)
      const problem = scanner.problem ?? 'no record'
      throw new StoreError('corrupt', `${place}: ${problem} at offset ${scanner.physicalOffset}`)
    }
    const { reader, bytes } = scanner
    if (scanner.physicalOffset >= toOffset) return
    if (isControl(reader, bytes)) {
      const body = bytes.subarray(reader.bodyAt, reader.bodyAt + reader.bodySize)
      visit(reader.physicalOffset, body, reader.storeTimestamp)
    }
    if (scanner.nextOffset < yieldAt) continue
    yieldAt = scanner.nextOffset + YIELD_BYTES
    await new Promise<void>((resolve) => timers.soon(resolve))
  }
}

/** True for a record that `reader` has accepted and that is the group's own. */
export function isControl(reader: RecordReader, source: Buffer): boolean {
  const transaction = reader.sysFlag & MessageSysFlag.TRANSACTION_MASK
  const { topicAt, topicSize } = reader
  return (
    transaction === MessageSysFlag.TRANSACTION_ROLLBACK &&
    topicSize === CONTROL_TOPIC_BYTES.length &&
    CONTROL_TOPIC_BYTES.compare(source, topicAt, topicAt + topicSize) === 0
  )
}

const CONTROL_TOPIC_BYTES = Buffer.from(CONTROL_TOPIC)
