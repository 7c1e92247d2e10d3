/**
 * Messages of the peer protocol as bytes. All integers are big-endian.
 *
 * ```
 * frame: length int32 (of what follows) | type uint8 | flags uint8 | count uint16 | count × int64 | CRC32 of all before | payload
 * ```
 *
 * The CRC covers the header; records in the payload carry their own, and the header may tell that of all of them. `length` is bounded by
 * `MAX_FRAME_SIZE`.
 */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import { isSafeInt64, readInt64, writeInt64 } from '../common/bytes.ts'
import { GantryError, messageOf as textOf } from '../common/errors.ts'
import type { Epoch, RaftMessage } from './messages.ts'

export const MAX_FRAME_SIZE: number = 64 * 1024 * 1024

export class PeerCodecError extends GantryError<'malformed'> {}

const FrameType = {
  voteRequest: 1,
  voteResponse: 2,
  appendRequest: 3,
  appendResponse: 4,
  timeoutNow: 5,
} as const

/** Frames that the drivers exchange for themselves, with JSON as payload. */
export const ControlType = {
  /** First on every connection, each way. */
  hello: 16,
  /** A member that the group does not know asks to be taken in. */
  join: 17,
  /** The start of the log for a member that lies behind it. */
  install: 18,
  installed: 19,
} as const
export type ControlType = (typeof ControlType)[keyof typeof ControlType]

export interface ControlFrame {
  readonly type: ControlType
  readonly content: unknown
}

const CONTROL_TYPES = Object.values(ControlType)
const FIXED_SIZE = 8
const NO_BYTES = Buffer.alloc(0)

const PRE_VOTE = 1
const TRANSFER = 2
const YES = 4
/** The first number behind those of every append request is the checksum of its records. */
const CHECKSUM = 8
const NO_ROOM = 16

/** One message as a frame, without the records of an append request: those follow it as they are. */
export function encodeMessageHeader(message: RaftMessage<Buffer>, recordsSize: number): Buffer {
  const { numbers, flags } = partsOf(message)
  return frameHeader(FrameType[message.type], flags, numbers, recordsSize)
}

function frameHeader(
  type: number,
  flags: number,
  numbers: readonly number[],
  payloadSize: number,
): Buffer {
  const headerSize = FIXED_SIZE + numbers.length * 8 + 4
  const target = Buffer.allocUnsafe(headerSize)
  target.writeInt32BE(headerSize - 4 + payloadSize, 0)
  target.writeUInt8(type, 4)
  target.writeUInt8(flags, 5)
  target.writeUInt16BE(numbers.length, 6)
  let at = FIXED_SIZE
  for (const number of numbers) {
    assert(Number.isSafeInteger(number))
    writeInt64(target, at, number)
    at += 8
  }
  target.writeUInt32BE(crc32(target.subarray(0, headerSize - 4)), headerSize - 4)
  return target
}

export function encodeControl(type: ControlType, content: unknown): Buffer {
  const payload = Buffer.from(JSON.stringify(content))
  const header = frameHeader(type, 0, [], payload.length)
  return Buffer.concat([header, payload])
}

/** Null when the frame is a message of Raft. Throws `PeerCodecError`. */
export function decodeControl(frame: Buffer): ControlFrame | null {
  const code = frame[4]
  const type = CONTROL_TYPES.find((known) => known === code)
  if (type === undefined) return null
  const { payload } = partsOfFrame(frame, 0, frame.length)
  try {
    const content: unknown = JSON.parse(payload.toString('utf8'))
    return { type, content }
  } catch (error) {
    throw malformed(textOf(error))
  }
}

/** Reads the frame in `source[start, end)`; records are a slice of `source`. Throws `PeerCodecError`. */
export function decodeMessage(source: Buffer, start: number, end: number): RaftMessage<Buffer> {
  const { type, flags, numbers, payload } = partsOfFrame(source, start, end)
  return messageOf(type, flags, numbers, payload)
}

interface FrameParts {
  readonly type: number
  readonly flags: number
  readonly numbers: readonly number[]
  readonly payload: Buffer
}

function partsOfFrame(source: Buffer, start: number, end: number): FrameParts {
  if (end - start < FIXED_SIZE + 4) throw malformed('too short')
  const type = source.readUInt8(start + 4)
  const flags = source.readUInt8(start + 5)
  const count = source.readUInt16BE(start + 6)
  const crcAt = start + FIXED_SIZE + count * 8
  if (crcAt + 4 > end) throw malformed('more numbers than bytes')
  if (source.readUInt32BE(crcAt) !== crc32(source.subarray(start, crcAt)))
    throw malformed('wrong CRC')
  const numbers: number[] = []
  for (let index = 0; index < count; index++) {
    const at = start + FIXED_SIZE + index * 8
    if (!isSafeInt64(source, at)) throw malformed('a number is out of range')
    numbers.push(readInt64(source, at))
  }
  return { type, flags, numbers, payload: source.subarray(crcAt + 4, end) }
}

function partsOf(message: RaftMessage<Buffer>): {
  readonly numbers: readonly number[]
  readonly flags: number
} {
  switch (message.type) {
    case 'voteRequest': {
      const { term, lastTerm, endOffset, isPreVote, isTransfer } = message
      return {
        numbers: [term, lastTerm, endOffset],
        flags: (isPreVote ? PRE_VOTE : 0) | (isTransfer ? TRANSFER : 0),
      }
    }
    case 'voteResponse':
      return {
        numbers: [message.term],
        flags: (message.isPreVote ? PRE_VOTE : 0) | (message.isGranted ? YES : 0),
      }
    case 'appendRequest': {
      const { term, previousOffset, previousTerm, endOffset, commitOffset, readContext } = message
      const checksum = message.checksum === null ? [] : [message.checksum >>> 0]
      const epochs = message.epochs.flatMap((epoch) => [epoch.term, epoch.startOffset])
      return {
        numbers: [
          term,
          previousOffset,
          previousTerm,
          endOffset,
          commitOffset,
          readContext,
          ...checksum,
          ...epochs,
        ],
        flags: checksum.length === 0 ? 0 : CHECKSUM,
      }
    }
    case 'appendResponse': {
      const { term, offset, termAtOffset, readContext, bootId } = message
      return {
        numbers: [term, offset, termAtOffset, readContext, bootId],
        flags: (message.isAccepted ? YES : 0) | (message.hasRoom ? 0 : NO_ROOM),
      }
    }
    case 'timeoutNow':
      return { numbers: [message.term], flags: 0 }
  }
}

const EXPECTED_COUNTS: Readonly<Record<number, number>> = {
  [FrameType.voteRequest]: 3,
  [FrameType.voteResponse]: 1,
  [FrameType.appendResponse]: 5,
  [FrameType.timeoutNow]: 1,
}
const APPEND_NUMBERS = 6

function messageOf(
  type: number,
  flags: number,
  numbers: readonly number[],
  payload: Buffer,
): RaftMessage<Buffer> {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = numbers
  if (numbers.some((number) => number < 0)) throw malformed('a negative number')
  if (type !== FrameType.appendRequest) {
    if (EXPECTED_COUNTS[type] !== numbers.length) throw malformed(`type ${type} is wrong`)
    if (payload.length > 0) throw malformed('bytes after the message')
  }
  const isPreVote = (flags & PRE_VOTE) !== 0
  switch (type) {
    case FrameType.voteRequest:
      return {
        type: 'voteRequest',
        term: a,
        lastTerm: b,
        endOffset: c,
        isPreVote,
        isTransfer: (flags & TRANSFER) !== 0,
      }
    case FrameType.voteResponse:
      return { type: 'voteResponse', term: a, isPreVote, isGranted: (flags & YES) !== 0 }
    case FrameType.appendRequest: {
      const hasChecksum = (flags & CHECKSUM) !== 0
      const epochsAt = hasChecksum ? APPEND_NUMBERS + 1 : APPEND_NUMBERS
      if (numbers.length < epochsAt || (numbers.length - epochsAt) % 2 !== 0) {
        throw malformed('an append request without its numbers')
      }
      const checksum = hasChecksum ? (numbers[APPEND_NUMBERS] ?? 0) : null
      if (checksum !== null && (checksum > 0xffff_ffff || payload.length === 0)) {
        throw malformed('a checksum of nothing')
      }
      if (d < b || d > b === (payload.length === 0))
        throw malformed('the range and the records differ')
      return {
        type: 'appendRequest',
        term: a,
        previousOffset: b,
        previousTerm: c,
        endOffset: d,
        commitOffset: e,
        readContext: f,
        epochs: epochsOf(numbers, epochsAt, b, d),
        records: payload.length === 0 ? null : payload,
        checksum: checksum === null ? null : checksum | 0,
      }
    }
    case FrameType.appendResponse:
      return {
        type: 'appendResponse',
        term: a,
        offset: b,
        termAtOffset: c,
        readContext: d,
        bootId: e,
        isAccepted: (flags & YES) !== 0,
        hasRoom: (flags & NO_ROOM) === 0,
      }
    default:
      return { type: 'timeoutNow', term: a }
  }
}

function epochsOf(
  numbers: readonly number[],
  start: number,
  from: number,
  to: number,
): readonly Epoch[] {
  const epochs: Epoch[] = []
  for (let index = start; index < numbers.length; index += 2) {
    const term = numbers[index] ?? 0
    const startOffset = numbers[index + 1] ?? 0
    const last = epochs.at(-1)
    const follows = last === undefined || (term > last.term && startOffset > last.startOffset)
    if (!follows || startOffset < from || startOffset >= to) throw malformed('epochs out of order')
    epochs.push({ term, startOffset })
  }
  return epochs
}

function malformed(what: string): PeerCodecError {
  return new PeerCodecError('malformed', `malformed frame of a peer: ${what}`)
}

/** The whole frame with its records; for tests. */
export function encodeMessage(message: RaftMessage<Buffer>): Buffer {
  const records = message.type === 'appendRequest' ? (message.records ?? NO_BYTES) : NO_BYTES
  return Buffer.concat([encodeMessageHeader(message, records.length), records])
}
