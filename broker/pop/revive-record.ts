/**
 * What the revive log says of popped messages. Checkpoints (`ck`) and acknowledgements (`ack`, `bAck`) are RocketMQ's own; the others are
 * Gantry's, and passed over by a Java broker.
 *
 *   ck     a pop took these messages, or what is left of them; replaces an earlier one of the same start and time
 *   ack    one of them is finished; bAck: several
 *   base   these ranges of queue offsets were handed out; what is pending of them was told anew just before
 *   reset  the group goes on from an offset, and all that was popped is forgotten; without an offset the queue is gone
 *   order  the state of a queue that is popped in order
 */
import { copyBytes } from '../../common/bytes.ts'
import { writeDecimal } from '../../common/decimal.ts'
import { formatFastjson, parseFastjson } from '../../remoting/bodies/fastjson.ts'
import {
  asObject,
  integerMember,
  listMember,
  optionalInteger,
  optionalObject,
  optionalText,
  textEntries,
  textMember,
} from '../../remoting/bodies/json-members.ts'
import { CHECKPOINT_MESSAGES_MAX } from './pop-queue.ts'
import type { OrderBatch } from './order-queue.ts'
import type { OffsetRange } from './pop-queue.ts'
import type { BodyRecord, JsonObject, JsonValue } from '../../remoting/bodies/fastjson.ts'

export interface QueueName {
  readonly topic: string
  readonly consumerGroup: string
  readonly queueId: number
}

export interface CheckpointRecord extends QueueName {
  readonly type: 'ck'
  readonly startOffset: number
  readonly popTime: number
  readonly invisibleTime: number
  readonly offsets: readonly number[]
  /** The pop has handed out all up to here; a checkpoint of a Java broker says so by its last message. */
  readonly nextOffset: number
}

export interface AckRecord extends QueueName {
  readonly type: 'ack'
  readonly startOffset: number
  readonly popTime: number
  readonly offsets: readonly number[]
}

export interface BaseRecord extends QueueName {
  readonly type: 'base'
  readonly handedOut: readonly OffsetRange[]
}

export interface ResetRecord extends QueueName {
  readonly type: 'reset'
  readonly queueOffset: number | null
}

export interface OrderRecord extends QueueName {
  readonly type: 'order'
  readonly next: number
  readonly batch: OrderBatch | null
}

export type ReviveRecord = CheckpointRecord | AckRecord | BaseRecord | ResetRecord | OrderRecord

export interface EncodedRecord {
  readonly tag: string
  readonly body: Buffer
}

export function encodeReviveRecord(record: ReviveRecord, brokerName: string): EncodedRecord {
  const { topic, consumerGroup, queueId } = record
  const name = { t: topic, c: consumerGroup, q: queueId }
  switch (record.type) {
    case 'ck':
      return { tag: 'ck', body: checkpointBytes(record, brokerName) }
    case 'ack': {
      const tag = record.offsets.length === 1 ? 'ack' : 'bAck'
      return { tag, body: ackBytes(record, brokerName) }
    }
    case 'base':
      return {
        tag: 'base',
        body: formatFastjson({
          ...name,
          cv: record.handedOut.map(({ start, end }) => [start, end]),
        }),
      }
    case 'reset':
      return { tag: 'reset', body: formatFastjson({ ...name, o: record.queueOffset }) }
    case 'order':
      return {
        tag: 'order',
        body: formatFastjson({
          ...name,
          o: record.next,
          i: record.batch === null ? null : orderBatchRecord(record.batch),
        }),
      }
  }
}

/** The record, or null for a tag of which nothing is known. Throws `RemotingError` (`malformed`) for a body that is none. */
export function decodeReviveRecord(tag: string | null, body: Buffer): ReviveRecord | null {
  if (tag === null || !TAGS.has(tag)) return null
  const json = asObject(parseFastjson(body), `a record ${tag} of the revive log`)
  const name = {
    topic: textMember(json, 't'),
    consumerGroup: textMember(json, 'c'),
    queueId: integerMember(json, 'q'),
  }
  switch (tag) {
    case 'ck':
      return checkpointOf(json, name)
    case 'ack':
      return ackOf(json, name, [integerMember(json, 'ao')])
    case 'bAck':
      return ackOf(json, name, listMember(json, 'aol').map(integerOf))
    case 'base':
      return {
        type: 'base',
        ...name,
        handedOut: listMember(json, 'cv').map((range) => {
          const [start, end] = Array.isArray(range) ? range.map(integerOf) : []
          return { start: start ?? 0, end: end ?? 0 }
        }),
      }
    case 'reset':
      return { type: 'reset', ...name, queueOffset: optionalInteger(json, 'o') }
    default: {
      const batch = optionalObject(json, 'i')
      return {
        type: 'order',
        ...name,
        next: integerMember(json, 'o'),
        batch: batch === null ? null : orderBatchOf(batch),
      }
    }
  }
}

/** RocketMQ's OrderInfo, as `consumerOrderInfo.json` holds it. */
export function orderBatchRecord(batch: OrderBatch): BodyRecord {
  const first = batch.offsets[0] ?? 0
  let acked = 0n
  batch.offsets.forEach((offset, index) => {
    if (batch.acked.has(offset)) acked |= 1n << BigInt(index)
  })
  return {
    popTime: batch.popTime,
    i: batch.invisibleTime,
    o: batch.offsets.map((offset, index) => (index === 0 ? offset : offset - first)),
    ot: batch.visibleAt,
    oc: batch.counts,
    l: batch.popTime,
    // At most 32 bits are ever set: a number holds them.
    cm: Number(acked),
    a: batch.attemptId,
  }
}

export function orderBatchOf(json: JsonObject): OrderBatch {
  const [first = 0, ...distances] = listMember(json, 'o').map(integerOf)
  const offsets = [first, ...distances.map((distance) => first + distance)]
  const acked = BigInt(integerMember(json, 'cm', 0))
  return {
    attemptId: optionalText(json, 'a'),
    popTime: integerMember(json, 'popTime'),
    invisibleTime: integerMember(json, 'i', 0),
    offsets,
    visibleAt: numbersOf(optionalObject(json, 'ot')),
    counts: numbersOf(optionalObject(json, 'oc')),
    acked: new Set(offsets.filter((_, index) => ((acked >> BigInt(index)) & 1n) === 1n)),
  }
}

const TAGS: ReadonlySet<string> = new Set(['ck', 'ack', 'bAck', 'base', 'reset', 'order'])

/**
 * As `formatFastjson` writes it, without a string on the way: `bm` acknowledged bits, `d` distances from the start, `it` invisible time,
 * `n` messages, `nx` where the pop ended, `pt` time, `so` start.
 */
function checkpointBytes(record: CheckpointRecord, brokerName: string): Buffer {
  const { startOffset, offsets } = record
  const text = new RecordText(record, brokerName)
  text.add(CK.brokerName).add(text.brokerName).add(CK.group).add(text.group).add(CK.distances)
  for (let index = 0; index < offsets.length; index++) {
    if (index > 0) text.add(COMMA)
    text.number((offsets[index] ?? 0) - startOffset)
  }
  return text
    .add(CK.invisibleTime)
    .number(record.invisibleTime)
    .add(CK.count)
    .number(offsets.length)
    .add(CK.nextOffset)
    .number(record.nextOffset)
    .add(CK.popTime)
    .number(record.popTime)
    .add(CK.queueId)
    .number(record.queueId)
    .add(CK.startOffset)
    .number(startOffset)
    .add(TOPIC)
    .end()
}

function ackBytes(record: AckRecord, brokerName: string): Buffer {
  const { offsets } = record
  const text = new RecordText(record, brokerName)
  const isOne = offsets.length === 1
  text.add(isOne ? ACK.one : ACK.several)
  for (let index = 0; index < offsets.length; index++) {
    if (index > 0) text.add(COMMA)
    text.number(offsets[index] ?? 0)
  }
  return text
    .add(isOne ? ACK.brokerName : ACK.severalEnd)
    .add(text.brokerName)
    .add(ACK.group)
    .add(text.group)
    .add(ACK.popTime)
    .number(record.popTime)
    .add(ACK.queueId)
    .number(record.queueId)
    .add(ACK.startOffset)
    .number(record.startOffset)
    .add(TOPIC)
    .end()
}

const CK = {
  brokerName: Buffer.from('{"bm":0,"bn":'),
  group: Buffer.from(',"c":'),
  distances: Buffer.from(',"d":['),
  invisibleTime: Buffer.from('],"it":'),
  count: Buffer.from(',"n":'),
  nextOffset: Buffer.from(',"nx":'),
  popTime: Buffer.from(',"pt":'),
  queueId: Buffer.from(',"q":'),
  startOffset: Buffer.from(',"ro":0,"so":'),
} as const
const ACK = {
  one: Buffer.from('{"ao":'),
  several: Buffer.from('{"ao":-1,"aol":['),
  severalEnd: Buffer.from('],"bn":'),
  brokerName: Buffer.from(',"bn":'),
  group: Buffer.from(',"c":'),
  popTime: Buffer.from(',"pt":'),
  queueId: Buffer.from(',"q":'),
  startOffset: Buffer.from(',"so":'),
} as const
const COMMA = Buffer.from(',')
const TOPIC = Buffer.from(',"t":')
const END = Buffer.from('}')

/** More than a record takes besides its names and messages: members, and their numbers. */
const TEXT_SIZE_MAX = 256
/** A safe integer with its sign, and what stands between two of them. */
const NUMBER_SIZE_MAX = 18

/** A record under construction. */
class RecordText {
  readonly brokerName: Buffer
  readonly group: Buffer
  readonly #topic: Buffer
  readonly #target: Buffer
  #to = 0

  constructor(record: CheckpointRecord | AckRecord, brokerName: string) {
    this.brokerName = quoted(brokerName)
    this.group = quoted(record.consumerGroup)
    this.#topic = quoted(record.topic)
    const names = this.brokerName.length + this.group.length + this.#topic.length
    const numbers = record.offsets.length * NUMBER_SIZE_MAX
    this.#target = Buffer.allocUnsafe(TEXT_SIZE_MAX + names + numbers)
  }

  add(bytes: Buffer): this {
    this.#to += copyBytes(bytes, 0, bytes.length, this.#target, this.#to)
    return this
  }

  number(value: number): this {
    this.#to = writeDecimal(this.#target, this.#to, value)
    return this
  }

  /** Adds the topic, which comes last in all records. */
  end(): Buffer {
    this.add(this.#topic).add(END)
    return this.#target.subarray(0, this.#to)
  }
}

/** Names as JSON of ASCII, the same ones again and again. */
const quotedNames = new Map<string, Buffer>()
const QUOTED_NAMES_MAX = 1024

function quoted(name: string): Buffer {
  const known = quotedNames.get(name)
  if (known !== undefined) return known
  const text = formatFastjson(name)
  if (quotedNames.size >= QUOTED_NAMES_MAX) quotedNames.clear()
  quotedNames.set(name, text)
  return text
}

function ackOf(json: JsonObject, name: QueueName, offsets: readonly number[]): AckRecord {
  return {
    type: 'ack',
    ...name,
    startOffset: integerMember(json, 'so'),
    popTime: integerMember(json, 'pt'),
    offsets,
  }
}

function checkpointOf(json: JsonObject, name: QueueName): CheckpointRecord | null {
  const startOffset = integerMember(json, 'so')
  const distances = listMember(json, 'd').map(integerOf)
  // Before 4.9.3 a checkpoint had no distances: its messages followed one another.
  const count = Math.min(integerMember(json, 'n', distances.length), CHECKPOINT_MESSAGES_MAX)
  const all = Array.from({ length: count }, (_, index) => startOffset + (distances[index] ?? index))
  const bits = integerMember(json, 'bm', 0)
  const offsets = all.filter((_, index) => (bits & (1 << index)) === 0)
  const last = all.at(-1)
  if (offsets.length === 0 || last === undefined) return null
  return {
    type: 'ck',
    ...name,
    startOffset,
    popTime: integerMember(json, 'pt'),
    invisibleTime: integerMember(json, 'it'),
    offsets,
    nextOffset: integerMember(json, 'nx', last + 1),
  }
}

function integerOf(value: JsonValue): number {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : 0
}

function numbersOf(json: JsonObject | null): ReadonlyMap<number, number> {
  const numbers = new Map<number, number>()
  for (const [key, value] of json === null ? [] : textEntries(json)) {
    const number = Number(key)
    if (Number.isSafeInteger(number)) numbers.set(number, integerOf(value))
  }
  return numbers
}
