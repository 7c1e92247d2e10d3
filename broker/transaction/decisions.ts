/**
 * The records of RMQ_SYS_TRANS_OP_HALF_TOPIC: which half messages are decided (protocol §9.1).
 *
 * Tag `d`, body: queue offsets of half messages, each followed by a comma (5.x), or one without (4.9). Decisions are gathered for
 * `transactionOpBatchInterval` or until they fill `transactionOpMsgMaxSize`, since nobody but a new leader reads them.
 */
import { PropertyName, encodeProperties, propertyOf } from '../../common/properties.ts'
import { OP_HALF_TOPIC } from '../names.ts'
import { HALF_QUEUE_ID } from './half-message.ts'
import type { HostAddress, MessageToStore, StoredMessage } from '../../common/message.ts'

const DECIDED_TAG = 'd'
const SEPARATOR = ','

/** The offsets of half messages in a record; none when it is of another kind. */
export function readDecisions(message: StoredMessage): readonly number[] {
  if (propertyOf(message.properties, PropertyName.TAGS) !== DECIDED_TAG) return []
  return message.body
    .toString('latin1')
    .split(SEPARATOR)
    .filter((text) => /^\d{1,15}$/.test(text))
    .map(Number)
}

/** Decisions that are not written yet. */
export class PendingDecisions {
  #halfOffsets: number[] = []
  #size = 0
  #since = 0

  get size(): number {
    return this.#size
  }

  add(halfOffset: number, now: number): void {
    if (this.#halfOffsets.length === 0) this.#since = now
    this.#halfOffsets.push(halfOffset)
    this.#size += String(halfOffset).length + SEPARATOR.length
  }

  isDue(now: number, limits: { readonly maxSize: number; readonly intervalMs: number }): boolean {
    if (this.#halfOffsets.length === 0) return false
    return this.#size >= limits.maxSize || now - this.#since >= limits.intervalMs
  }

  /** Takes out what fits one record. */
  take(maxSize: number): readonly number[] {
    let size = 0
    let count = 0
    for (const halfOffset of this.#halfOffsets) {
      size += String(halfOffset).length + SEPARATOR.length
      count++
      if (size >= maxSize) break
    }
    this.#size -= size
    return this.#halfOffsets.splice(0, count)
  }

  /** What could not be written is to be written later. */
  giveBack(halfOffsets: readonly number[]): void {
    this.#halfOffsets = [...halfOffsets, ...this.#halfOffsets]
    for (const halfOffset of halfOffsets) this.#size += String(halfOffset).length + SEPARATOR.length
  }
}

export function decisionMessageOf(
  halfOffsets: readonly number[],
  own: { readonly now: number; readonly host: HostAddress; readonly uniqueId: string },
): MessageToStore {
  return {
    topic: OP_HALF_TOPIC,
    queueId: HALF_QUEUE_ID,
    flag: 0,
    sysFlag: 0,
    bornTimestamp: own.now,
    bornHost: own.host,
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body: Buffer.from(halfOffsets.map((offset) => `${offset}${SEPARATOR}`).join(''), 'latin1'),
    properties: encodeProperties([
      [PropertyName.TAGS, DECIDED_TAG],
      [PropertyName.UNIQ_KEY, own.uniqueId],
    ]),
  }
}
