/**
 * The CommitLog record (protocol §19.1), the same bytes on disk, in pull answers and in view answers.
 *
 *   0 size · 4 magic · 8 body CRC · 12 queueId · 16 flag · 20 queueOffset · 28 physicalOffset · 36 sysFlag · 40 bornTimestamp ·
 *  48 born host (4 or 16, port 4) · storeTimestamp 8 · store host · reconsumeTimes 4 · preparedTransactionOffset 8 ·
 *     body length 4, body · topic length 1 (v1) or 2 (v2), topic · properties length 2, properties
 *
 * Gantry ends the properties of every record with RocketMQ's `__CRC32#` (10 digits, least significant first), a checksum over
 * everything before it; records of a Java broker may lack it, and then only their body is checked.
 */
import assert from 'node:assert/strict'
import { copyBytes, isSafeInt64, readInt32, readInt64, writeInt32, writeInt64 } from './bytes.ts'
import { combineCrc32, crc32Of } from './crc32.ts'
import { GantryError } from './errors.ts'
import { MessageSysFlag } from './message.ts'
import type { HostAddress, MessageToStore, StoredMessage } from './message.ts'
import {
  MAX_PROPERTIES_SIZE,
  NAME_VALUE_SEPARATOR,
  PROPERTY_SEPARATOR,
  PropertyName,
} from './properties.ts'

export const MAGIC_V1 = 0xdaa320a7
export const MAGIC_V2 = 0xdaa320ab
/** Fills the rest of a CommitLog file: size, this magic, then arbitrary bytes. */
export const MAGIC_BLANK = 0xcbd43194
export const BLANK_HEADER_SIZE = 8

/** The record at `at`, of which the first 8 bytes are there, is the blank one that ends a segment. */
export function isBlankAt(bytes: Buffer, at: number): boolean {
  return readInt32(bytes, at + 4) >>> 0 === MAGIC_BLANK
}

/** A topic longer than this makes a version 2 record. */
const MAX_TOPIC_SIZE_V1 = 127
const MAX_TOPIC_SIZE = 32_767

/** Bytes of a v1 record with IPv4 hosts and empty body, topic and properties. */
const FIXED_SIZE = 91
const IPV6_EXTRA = 12

/** `__CRC32#` 0x01 10 digits 0x02. */
export const CRC_PROPERTY_SIZE = 20
const CRC_NAME = Buffer.from(PropertyName.CRC32, 'latin1')
const CRC_DIGITS = 10

/** Where in a record its own physical offset stands. */
export const PHYSICAL_OFFSET_AT = 28

export type MessageCodecErrorCode =
  | 'truncated'
  | 'badMagic'
  | 'badSize'
  | 'badLength'
  | 'badNumber'
  | 'badCrc'
  | 'badBatch'

/** Bytes that are no record or no batch body. */
export class MessageCodecError extends GantryError<MessageCodecErrorCode> {}

/** From this body size on the checksum of the whole record is put together from those of its parts; below, reading twice is cheaper. */
const COMBINED_BODY_MIN = 256

const NO_BYTES = Buffer.alloc(0)
const NO_HOST: HostAddress = { ip: Buffer.alloc(4), port: 0 }

/** What the store adds to a message when it becomes a record. */
export interface RecordPlace {
  queueOffset: number
  physicalOffset: number
  storeTimestamp: number
  storeHost: HostAddress
}

/**
 * One message to encode, as spans of bytes: made once and filled for each message, since a send has no object of its own. Whoever is given
 * it reads it before returning, so that object and bytes can be used again at once.
 */
export class RecordDraft {
  /** UTF-8, at most 32,767 bytes. */
  topic: Buffer = NO_BYTES
  queueId = 0
  flag = 0
  /** Without the two host bits: the codec sets them from the addresses. */
  sysFlag = 0
  bornTimestamp = 0
  bornHost: HostAddress = NO_HOST
  reconsumeTimes = 0
  preparedTransactionOffset = 0
  body: Buffer = NO_BYTES
  bodyStart = 0
  bodyEnd = 0
  /** `name 0x01 value 0x02 …`, with or without the last 0x02. */
  properties: Buffer = NO_BYTES
  propertiesStart = 0
  propertiesEnd = 0
  /** Set by `encodeDraft`: CRC-32 of the record up to its last `CRC_PROPERTY_SIZE` bytes. */
  checksum = 0

  setMessage(message: MessageToStore, topic: Buffer): void {
    this.topic = topic
    this.queueId = message.queueId
    this.flag = message.flag
    this.sysFlag = message.sysFlag
    this.bornTimestamp = message.bornTimestamp
    this.bornHost = message.bornHost
    this.reconsumeTimes = message.reconsumeTimes
    this.preparedTransactionOffset = message.preparedTransactionOffset
    this.body = message.body
    this.bodyStart = 0
    this.bodyEnd = message.body.length
    this.properties = message.properties
    this.propertiesStart = 0
    this.propertiesEnd = message.properties.length
  }
}

/** Size of the record that `encodeDraft` makes, without looking at limits. */
export function draftSize(draft: RecordDraft, storeHost: HostAddress): number {
  const topicSize = draft.topic.length
  return (
    FIXED_SIZE +
    (topicSize > MAX_TOPIC_SIZE_V1 ? 1 : 0) +
    (draft.bornHost.ip.length === 16 ? IPV6_EXTRA : 0) +
    (storeHost.ip.length === 16 ? IPV6_EXTRA : 0) +
    (draft.bodyEnd - draft.bodyStart) +
    topicSize +
    draftPropertiesSize(draft)
  )
}

/** True when topic and properties, with what the codec adds to them, fit their length fields. */
export function fitsDraft(draft: RecordDraft): boolean {
  const topicSize = draft.topic.length
  return (
    topicSize > 0 &&
    topicSize <= MAX_TOPIC_SIZE &&
    draftPropertiesSize(draft) <= MAX_PROPERTIES_SIZE
  )
}

/**
 * Writes the record of a message (`fitsDraft`) at `at`, where `draftSize` bytes are free; returns its size.
 *
 * In parts, each of which V8 compiles with all of its small calls inlined; in one function they would be more than it takes.
 */
export function encodeDraft(
  target: Buffer,
  at: number,
  draft: RecordDraft,
  place: RecordPlace,
): number {
  const { body, bodyStart, bodyEnd } = draft
  const bodySize = bodyEnd - bodyStart
  const bodyChecksum = crc32Of(body, bodyStart, bodyEnd)
  const hostsAt = writeNumbers(target, at, draft, place)
  writeInt32(target, at + 8, bodyChecksum & 0x7fffffff)
  const bodyAt = writeHosts(target, hostsAt, draft, place)
  copyBytes(body, bodyStart, bodyEnd, target, bodyAt)
  const end = writeTail(target, bodyAt + bodySize, draft)
  const size = end + CRC_PROPERTY_SIZE - at
  writeInt32(target, at, size)
  let whole: number
  if (bodySize < COMBINED_BODY_MIN) {
    whole = crc32Of(target, at, end)
  } else {
    const bodyEndAt = bodyAt + bodySize
    whole = combineCrc32(crc32Of(target, at, bodyAt), bodyChecksum, bodySize)
    whole = combineCrc32(whole, crc32Of(target, bodyEndAt, end), end - bodyEndAt)
  }
  writeCrcProperty(target, end, whole & 0x7fffffff)
  draft.checksum = whole
  return size
}

/** From the magic to the born timestamp, without the body's checksum. */
function writeNumbers(target: Buffer, at: number, draft: RecordDraft, place: RecordPlace): number {
  writeInt32(target, at + 4, draft.topic.length > MAX_TOPIC_SIZE_V1 ? MAGIC_V2 : MAGIC_V1)
  writeInt32(target, at + 12, draft.queueId)
  writeInt32(target, at + 16, draft.flag)
  writeInt64(target, at + 20, place.queueOffset)
  writeInt64(target, at + PHYSICAL_OFFSET_AT, place.physicalOffset)
  writeInt32(target, at + 36, withHostBits(draft.sysFlag, draft.bornHost, place.storeHost))
  writeInt64(target, at + 40, draft.bornTimestamp)
  return at + 48
}

/** From the born host to the body length. */
function writeHosts(target: Buffer, at: number, draft: RecordDraft, place: RecordPlace): number {
  let cursor = writeHost(target, at, draft.bornHost)
  writeInt64(target, cursor, place.storeTimestamp)
  cursor = writeHost(target, cursor + 8, place.storeHost)
  writeInt32(target, cursor, draft.reconsumeTimes)
  writeInt64(target, cursor + 4, draft.preparedTransactionOffset)
  writeInt32(target, cursor + 12, draft.bodyEnd - draft.bodyStart)
  return cursor + 16
}

/** Topic and properties, up to where the checksum goes. */
function writeTail(target: Buffer, at: number, draft: RecordDraft): number {
  const { topic, properties, propertiesStart, propertiesEnd } = draft
  let cursor = at
  if (topic.length > MAX_TOPIC_SIZE_V1) target[cursor++] = topic.length >>> 8
  target[cursor++] = topic.length
  cursor += copyBytes(topic, 0, topic.length, target, cursor)
  const isOpen = needsSeparator(draft)
  const storedSize = propertiesEnd - propertiesStart + (isOpen ? 1 : 0) + CRC_PROPERTY_SIZE
  target[cursor] = storedSize >>> 8
  target[cursor + 1] = storedSize
  cursor += 2 + copyBytes(properties, propertiesStart, propertiesEnd, target, cursor + 2)
  if (isOpen) target[cursor++] = PROPERTY_SEPARATOR
  return cursor
}

/** For `MessageToStore`; see `draftSize`. */
export function recordSize(message: MessageToStore, storeHost: HostAddress): number {
  return draftSize(draftOf(message), storeHost)
}

/** For `MessageToStore`; see `fitsDraft`. */
export function fitsRecord(message: MessageToStore): boolean {
  return fitsDraft(draftOf(message))
}

/** For `MessageToStore`; see `encodeDraft`. */
export function encodeRecord(
  target: Buffer,
  at: number,
  message: MessageToStore,
  place: RecordPlace,
): number {
  const draft = draftOf(message)
  assert(at + draftSize(draft, place.storeHost) <= target.length)
  return encodeDraft(target, at, draft, place)
}

function draftOf(message: MessageToStore): RecordDraft {
  const draft = new RecordDraft()
  draft.setMessage(message, Buffer.from(message.topic, 'utf8'))
  return draft
}

/** Writes the eight bytes that say: the rest of this file is blank. */
export function encodeBlank(target: Buffer, at: number, size: number): void {
  target.writeInt32BE(size, at)
  target.writeUInt32BE(MAGIC_BLANK, at + 4)
}

export type RecordProblem = Exclude<MessageCodecErrorCode, 'badBatch'>

/**
 * Reads records in place. One reader serves many records: its fields tell of the last one that `read` accepted,
 * and positions count from the start of the source buffer.
 */
export class RecordReader {
  /** 'blank' has only `size`; 'end' is a size of zero, where a log stops. */
  type: 'message' | 'blank' | 'end' = 'end'
  size = 0
  queueId = 0
  flag = 0
  bodyCrc = 0
  queueOffset = 0
  physicalOffset = 0
  sysFlag = 0
  bornTimestamp = 0
  bornHostAt = 0
  bornHostSize = 0
  storeTimestamp = 0
  storeHostAt = 0
  storeHostSize = 0
  reconsumeTimes = 0
  preparedTransactionOffset = 0
  bodyAt = 0
  bodySize = 0
  topicAt = 0
  topicSize = 0
  propertiesAt = 0
  propertiesSize = 0

  /**
   * Checks magic, sizes and numbers of what starts at `at` and must end by `end`, and the checksum when asked.
   * Returns null when the fields are set, else what is wrong; never throws on hostile bytes.
   */
  read(source: Buffer, at: number, end: number, checkCrc: boolean): RecordProblem | null {
    this.type = 'end'
    this.size = 0
    if (end - at < 4) return 'truncated'
    const size = readInt32(source, at)
    if (size === 0) return null
    if (end - at < BLANK_HEADER_SIZE) return 'truncated'
    const magic = readInt32(source, at + 4) >>> 0
    if (magic === MAGIC_BLANK) {
      if (size < BLANK_HEADER_SIZE) return 'badSize'
      this.type = 'blank'
      this.size = size
      return null
    }
    if (magic !== MAGIC_V1 && magic !== MAGIC_V2) return 'badMagic'
    if (size < FIXED_SIZE) return 'badSize'
    if (size > end - at) return 'truncated'
    const problem = this.#readFixed(source, at) ?? this.#readVariable(source, at, size, magic)
    if (problem !== null) return problem
    if (checkCrc && !this.#isIntact(source, at)) return 'badCrc'
    this.type = 'message'
    this.size = size
    return null
  }

  /**
   * Like `read` for bytes that are known to be good, since this process encoded or checked them, with only the fields that dispatching needs:
   * queueId, offsets, sysFlag, storeTimestamp, preparedTransactionOffset, topic and properties. False when there is no message or blank at `at` after all.
   */
  readTrusted(source: Buffer, at: number, end: number): boolean {
    if (!this.readPlace(source, at, end)) return false
    if (this.type === 'blank') return true
    const magic = readInt32(source, at + 4) >>> 0
    this.queueId = readInt32(source, at + 12)
    this.queueOffset = readInt64(source, at + 20)
    const bodySizeAt =
      at +
      84 +
      ((this.sysFlag & MessageSysFlag.BORN_HOST_V6) === 0 ? 0 : IPV6_EXTRA) +
      ((this.sysFlag & MessageSysFlag.STORE_HOST_V6) === 0 ? 0 : IPV6_EXTRA)
    this.preparedTransactionOffset = readInt64(source, bodySizeAt - 8)
    this.bodySize = readInt32(source, bodySizeAt)
    this.bodyAt = bodySizeAt + 4
    const topicLengthAt = this.bodyAt + this.bodySize
    this.topicAt = topicLengthAt + (magic === MAGIC_V2 ? 2 : 1)
    this.topicSize = source[topicLengthAt] ?? 0
    if (magic === MAGIC_V2) this.topicSize = this.topicSize * 256 + (source[topicLengthAt + 1] ?? 0)
    this.propertiesAt = this.topicAt + this.topicSize + 2
    this.propertiesSize = at + this.size - this.propertiesAt
    const storedSizeAt = this.propertiesAt - 2
    return (
      this.propertiesSize === (source[storedSizeAt] ?? 0) * 256 + (source[storedSizeAt + 1] ?? 0)
    )
  }

  /** Like `readTrusted`, and only what tells where the record stands: type, size, physicalOffset, sysFlag and storeTimestamp. */
  readPlace(source: Buffer, at: number, end: number): boolean {
    this.size = end - at < BLANK_HEADER_SIZE ? 0 : readInt32(source, at)
    const magic = readInt32(source, at + 4) >>> 0
    if (magic === MAGIC_BLANK) {
      this.type = 'blank'
      return this.size >= BLANK_HEADER_SIZE
    }
    if (magic !== MAGIC_V1 && magic !== MAGIC_V2) return false
    if (this.size < FIXED_SIZE || this.size > end - at) return false
    this.type = 'message'
    this.physicalOffset = readInt64(source, at + PHYSICAL_OFFSET_AT)
    this.sysFlag = readInt32(source, at + 36)
    this.storeTimestamp = readInt64(
      source,
      at + 56 + ((this.sysFlag & MessageSysFlag.BORN_HOST_V6) === 0 ? 0 : IPV6_EXTRA),
    )
    return true
  }

  topic(source: Buffer): string {
    // Topics are ASCII by their naming rule; latin1 decodes those bytes at once, the rest the slow way.
    const text = source.toString('latin1', this.topicAt, this.topicAt + this.topicSize)
    return isAscii(text)
      ? text
      : source.toString('utf8', this.topicAt, this.topicAt + this.topicSize)
  }

  #readFixed(source: Buffer, at: number): RecordProblem | null {
    if (!isSafeInt64(source, at + 20) || !isSafeInt64(source, at + PHYSICAL_OFFSET_AT)) {
      return 'badNumber'
    }
    this.bodyCrc = readInt32(source, at + 8)
    this.queueId = readInt32(source, at + 12)
    this.flag = readInt32(source, at + 16)
    this.queueOffset = readInt64(source, at + 20)
    this.physicalOffset = readInt64(source, at + PHYSICAL_OFFSET_AT)
    this.sysFlag = readInt32(source, at + 36)
    if (this.queueId < 0 || this.queueOffset < 0 || this.physicalOffset < 0) return 'badNumber'
    return null
  }

  #readVariable(source: Buffer, at: number, size: number, magic: number): RecordProblem | null {
    const end = at + size
    this.bornHostSize = (this.sysFlag & MessageSysFlag.BORN_HOST_V6) === 0 ? 8 : 20
    this.storeHostSize = (this.sysFlag & MessageSysFlag.STORE_HOST_V6) === 0 ? 8 : 20
    this.bornHostAt = at + 48
    const storeTimestampAt = this.bornHostAt + this.bornHostSize
    this.storeHostAt = storeTimestampAt + 8
    const cursor = this.storeHostAt + this.storeHostSize
    this.bodyAt = cursor + 16
    if (this.bodyAt > end) return 'badLength'
    if (!isSafeInt64(source, at + 40) || !isSafeInt64(source, storeTimestampAt)) return 'badNumber'
    if (!isSafeInt64(source, cursor + 4)) return 'badNumber'
    this.bornTimestamp = readInt64(source, at + 40)
    this.storeTimestamp = readInt64(source, storeTimestampAt)
    this.reconsumeTimes = readInt32(source, cursor)
    this.preparedTransactionOffset = readInt64(source, cursor + 4)
    this.bodySize = readInt32(source, cursor + 12)
    const topicLengthSize = magic === MAGIC_V2 ? 2 : 1
    const topicLengthAt = this.bodyAt + this.bodySize
    if (this.bodySize < 0 || topicLengthAt + topicLengthSize > end) return 'badLength'
    this.topicSize =
      magic === MAGIC_V2 ? readInt16(source, topicLengthAt) : (source[topicLengthAt] ?? 0)
    this.topicAt = topicLengthAt + topicLengthSize
    const propertiesLengthAt = this.topicAt + this.topicSize
    if (this.topicSize <= 0 || propertiesLengthAt + 2 > end) return 'badLength'
    this.propertiesSize = readInt16(source, propertiesLengthAt)
    this.propertiesAt = propertiesLengthAt + 2
    if (this.propertiesSize < 0 || this.propertiesAt + this.propertiesSize !== end) {
      return 'badLength'
    }
    return null
  }

  /** By the checksum over the whole record when there is one, else by that of the body. */
  #isIntact(source: Buffer, at: number): boolean {
    const crcAt = this.propertiesAt + this.propertiesSize - CRC_PROPERTY_SIZE
    if (crcAt >= this.propertiesAt) {
      const stored = crcPropertyValue(source, crcAt)
      if (stored !== -1) return stored === checksum(source, at, crcAt)
      // Almost the form of a checksum is a damaged one: without this, a flipped bit in its name would switch the check off.
      if (crcPropertyLikeness(source, crcAt) >= CRC_LIKENESS_SUSPECT) return false
    }
    // So is one of which a sector was never written: zeroes, which no property text holds.
    const propertiesEnd = this.propertiesAt + this.propertiesSize
    for (let cursor = Math.max(crcAt, this.propertiesAt); cursor < propertiesEnd; cursor++) {
      if (source[cursor] === 0) return false
    }
    return checksum(source, this.bodyAt, this.bodyAt + this.bodySize) === this.bodyCrc
  }
}

/** Decodes the record at `at`; throws `MessageCodecError`. Body and properties are slices of `source`. */
export function decodeRecord(source: Buffer, at = 0): StoredMessage {
  const reader = new RecordReader()
  const problem = reader.read(source, at, source.length, true)
  if (problem !== null) throw new MessageCodecError(problem, `no message record: ${problem}`)
  if (reader.type !== 'message') throw new MessageCodecError('badMagic', `no message record: blank`)
  return storedMessageOf(reader, source)
}

/** The message that a reader has just accepted. */
export function storedMessageOf(reader: RecordReader, source: Buffer): StoredMessage {
  return {
    topic: reader.topic(source),
    queueId: reader.queueId,
    flag: reader.flag,
    queueOffset: reader.queueOffset,
    physicalOffset: reader.physicalOffset,
    size: reader.size,
    sysFlag: reader.sysFlag,
    bornTimestamp: reader.bornTimestamp,
    bornHost: readHost(source, reader.bornHostAt, reader.bornHostSize),
    storeTimestamp: reader.storeTimestamp,
    storeHost: readHost(source, reader.storeHostAt, reader.storeHostSize),
    reconsumeTimes: reader.reconsumeTimes,
    preparedTransactionOffset: reader.preparedTransactionOffset,
    bodyCrc: reader.bodyCrc,
    body: source.subarray(reader.bodyAt, reader.bodyAt + reader.bodySize),
    properties: source.subarray(reader.propertiesAt, reader.propertiesAt + reader.propertiesSize),
  }
}

/** The records laid end to end in a pull answer (protocol §5.6); throws `MessageCodecError` at the first that is none. */
export function* iterateRecords(source: Buffer): Generator<StoredMessage, void> {
  for (let at = 0; at < source.length;) {
    const message = decodeRecord(source, at)
    yield message
    at += message.size
  }
}

/** One message of a batch body (protocol §5.7). */
export interface BatchMessage {
  readonly flag: number
  readonly body: Buffer
  readonly properties: Buffer
}

/** Size 4, magic 4, CRC 4, flag 4, body length 4, properties length 2. */
const BATCH_FIXED_SIZE = 22

/** Throws `MessageCodecError` `badBatch`. Bodies and properties are slices of `source`. */
export function decodeBatchBody(source: Buffer): readonly BatchMessage[] {
  const messages: BatchMessage[] = []
  for (let at = 0; at < source.length;) {
    const remaining = source.length - at
    const size = remaining < BATCH_FIXED_SIZE ? 0 : source.readInt32BE(at)
    if (size < BATCH_FIXED_SIZE || size > remaining) throw badBatch(at, 'size')
    const bodySize = source.readInt32BE(at + 16)
    if (bodySize < 0 || bodySize > size - BATCH_FIXED_SIZE) throw badBatch(at, 'body length')
    const propertiesAt = at + 20 + bodySize + 2
    const propertiesSize = source.readInt16BE(propertiesAt - 2)
    if (propertiesSize < 0 || propertiesAt + propertiesSize !== at + size) {
      throw badBatch(at, 'properties length')
    }
    messages.push({
      flag: source.readInt32BE(at + 12),
      body: source.subarray(at + 20, at + 20 + bodySize),
      properties: source.subarray(propertiesAt, propertiesAt + propertiesSize),
    })
    at += size
  }
  return messages
}

/** The inverse of `decodeBatchBody`, with magic and CRC 0 as clients send them. */
export function encodeBatchBody(messages: readonly BatchMessage[]): Buffer {
  const size = messages.reduce(
    (sum, { body, properties }) => sum + BATCH_FIXED_SIZE + body.length + properties.length,
    0,
  )
  const target = Buffer.alloc(size)
  let at = 0
  for (const { flag, body, properties } of messages) {
    assert(properties.length <= MAX_PROPERTIES_SIZE, 'properties fit an int16')
    target.writeInt32BE(BATCH_FIXED_SIZE + body.length + properties.length, at)
    target.writeInt32BE(flag, at + 12)
    target.writeInt32BE(body.length, at + 16)
    body.copy(target, at + 20)
    target.writeInt16BE(properties.length, at + 20 + body.length)
    properties.copy(target, at + 22 + body.length)
    at += BATCH_FIXED_SIZE + body.length + properties.length
  }
  return target
}

function badBatch(at: number, field: string): MessageCodecError {
  return new MessageCodecError('badBatch', `batch body: wrong ${field} at byte ${at}`)
}

function checksum(source: Buffer, start: number, end: number): number {
  return crc32Of(source, start, end) & 0x7fffffff
}

function needsSeparator({ properties, propertiesStart, propertiesEnd }: RecordDraft): boolean {
  return propertiesEnd > propertiesStart && properties[propertiesEnd - 1] !== PROPERTY_SEPARATOR
}

function draftPropertiesSize(draft: RecordDraft): number {
  const size = draft.propertiesEnd - draft.propertiesStart
  return size + (needsSeparator(draft) ? 1 : 0) + CRC_PROPERTY_SIZE
}

/** Signed. */
function readInt16(source: Buffer, at: number): number {
  return (((source[at] ?? 0) << 24) >> 16) | (source[at + 1] ?? 0)
}

function withHostBits(sysFlag: number, bornHost: HostAddress, storeHost: HostAddress): number {
  const plain = sysFlag & ~(MessageSysFlag.BORN_HOST_V6 | MessageSysFlag.STORE_HOST_V6)
  return (
    plain |
    (bornHost.ip.length === 16 ? MessageSysFlag.BORN_HOST_V6 : 0) |
    (storeHost.ip.length === 16 ? MessageSysFlag.STORE_HOST_V6 : 0)
  )
}

function writeHost(target: Buffer, at: number, host: HostAddress): number {
  const cursor = at + copyBytes(host.ip, 0, host.ip.length, target, at)
  writeInt32(target, cursor, host.port)
  return cursor + 4
}

function readHost(source: Buffer, at: number, size: number): HostAddress {
  return { ip: source.subarray(at, at + size - 4), port: source.readInt32BE(at + size - 4) }
}

function writeCrcProperty(target: Buffer, at: number, crc: number): void {
  for (let index = 0; index < CRC_NAME.length; index++) target[at + index] = CRC_NAME[index] ?? 0
  target[at + CRC_NAME.length] = NAME_VALUE_SEPARATOR
  const end = at + CRC_PROPERTY_SIZE - 1
  let rest = crc
  for (let cursor = at + CRC_NAME.length + 1; cursor < end; cursor++) {
    const tenth = (rest / 10) | 0
    target[cursor] = 0x30 + rest - tenth * 10
    rest = tenth
  }
  target[end] = PROPERTY_SEPARATOR
}

/** What the checksum property at `at` says; -1 when the 20 bytes have not exactly its form. */
function crcPropertyValue(source: Buffer, at: number): number {
  if (readInt32(source, at) !== CRC_NAME_START || readInt32(source, at + 4) !== CRC_NAME_END) {
    return -1
  }
  const digitsAt = at + CRC_NAME.length + 1
  if (source[digitsAt - 1] !== NAME_VALUE_SEPARATOR) return -1
  if (source[digitsAt + CRC_DIGITS] !== PROPERTY_SEPARATOR) return -1
  let value = 0
  for (let digit = CRC_DIGITS - 1; digit >= 0; digit--) {
    const figure = (source[digitsAt + digit] ?? 0) - 0x30
    if (figure < 0 || figure > 9) return -1
    value = value * 10 + figure
  }
  return value
}

/** `__CRC32#`, four letters at a time. */
const CRC_NAME_START = 0x5f5f4352
const CRC_NAME_END = 0x43333223

const CRC_LIKENESS_SUSPECT = CRC_PROPERTY_SIZE - 4

/** How many of the 20 bytes at `at` are what a checksum property has there. */
function crcPropertyLikeness(source: Buffer, at: number): number {
  let likeness = 0
  for (let index = 0; index < CRC_PROPERTY_SIZE; index++) {
    const byte = source[at + index] ?? 0
    if (index < CRC_NAME.length) likeness += byte === CRC_NAME[index] ? 1 : 0
    else if (index === CRC_NAME.length) likeness += byte === NAME_VALUE_SEPARATOR ? 1 : 0
    else if (index === CRC_PROPERTY_SIZE - 1) likeness += byte === PROPERTY_SEPARATOR ? 1 : 0
    else likeness += byte >= 0x30 && byte <= 0x39 ? 1 : 0
  }
  return likeness
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) > 0x7f) return false
  }
  return true
}
