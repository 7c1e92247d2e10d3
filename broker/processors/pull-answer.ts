/** The frame of an answer with messages, written byte by byte as `encodeFrame` writes the answer of the ordinary way. */
import { writeDecimal } from '../../common/decimal.ts'
import {
  GANTRY_VERSION,
  LanguageCode,
  RESPONSE_FLAG,
  SerializeType,
} from '../../remoting/command.ts'
import { GetStatus } from '../../store/types.ts'

/** More than any header of such an answer takes, the frame's first eight bytes included. */
export const PULL_ANSWER_HEADER_MAX = 512

const PREFIX_SIZE = 8
const REMARK = GetStatus.FOUND
const FIELDS = [
  'suggestWhichBrokerId',
  'nextBeginOffset',
  'minOffset',
  'maxOffset',
  'topicSysFlag',
  'groupSysFlag',
] as const

export interface FoundAnswer {
  readonly opaque: number
  readonly nextBeginOffset: number
  readonly minOffset: number
  readonly maxOffset: number
  readonly topicSysFlag: number
  readonly groupSysFlag: number
}

/** Text before the n-th field's value, the last one after it. */
const JSON_PARTS = FIELDS.map((name, index) =>
  Buffer.from(index === 0 ? `{"code":0,"extFields":{"${name}":"` : `","${name}":"`),
)
const JSON_OPAQUE = Buffer.from(`"},"flag":${RESPONSE_FLAG},"language":"OTHER","opaque":`)
const JSON_END = Buffer.from(
  `,"remark":"${REMARK}","serializeTypeCurrentRPC":"JSON","version":${GANTRY_VERSION}}`,
)
const BINARY_NAMES = FIELDS.map(binaryName)
const BINARY_START = binaryStart()
const BINARY_OPAQUE_AT = 5
const EMPTY = Buffer.alloc(0)

/** Writes everything but the body, of which `bodySize` bytes follow, at `at`; returns where it ends. */
export function writeFoundHeader(
  target: Buffer,
  at: number,
  serializeType: SerializeType,
  bodySize: number,
  found: FoundAnswer,
): number {
  const headerAt = at + PREFIX_SIZE
  const end =
    serializeType === SerializeType.ROCKETMQ
      ? writeBinary(target, headerAt, found)
      : writeJson(target, headerAt, found)
  target.writeInt32BE(end - at - 4 + bodySize, at)
  target.writeInt32BE(end - headerAt, at + 4)
  target[at + 4] = serializeType
  return end
}

function valueOf(found: FoundAnswer, index: number): number {
  switch (index) {
    case 1:
      return found.nextBeginOffset
    case 2:
      return found.minOffset
    case 3:
      return found.maxOffset
    case 4:
      return found.topicSysFlag
    case 5:
      return found.groupSysFlag
    default:
      return 0
  }
}

function writeJson(target: Buffer, at: number, found: FoundAnswer): number {
  let to = at
  for (let index = 0; index < FIELDS.length; index++) {
    to = writeBytes(target, to, JSON_PARTS[index] ?? EMPTY)
    to = writeDecimal(target, to, valueOf(found, index))
  }
  to = writeBytes(target, to, JSON_OPAQUE)
  to = writeDecimal(target, to, found.opaque)
  return writeBytes(target, to, JSON_END)
}

function writeBinary(target: Buffer, at: number, found: FoundAnswer): number {
  const fieldsAt = writeBytes(target, at, BINARY_START)
  target.writeInt32BE(found.opaque, at + BINARY_OPAQUE_AT)
  let to = fieldsAt
  for (let index = 0; index < FIELDS.length; index++) {
    const valueAt = writeBytes(target, to, BINARY_NAMES[index] ?? EMPTY) + 4
    to = writeDecimal(target, valueAt, valueOf(found, index))
    target.writeInt32BE(to - valueAt, valueAt - 4)
  }
  target.writeInt32BE(to - fieldsAt, fieldsAt - 4)
  return to
}

/** Everything up to the first field: code, language, version, opaque, flag, remark, and room for the length of the fields. */
function binaryStart(): Buffer {
  const remark = Buffer.from(REMARK)
  const start = Buffer.alloc(13 + 4 + remark.length + 4)
  start.writeUInt8(LanguageCode.OTHER, 2)
  start.writeInt16BE(GANTRY_VERSION, 3)
  start.writeInt32BE(RESPONSE_FLAG, 9)
  start.writeInt32BE(remark.length, 13)
  remark.copy(start, 17)
  return start
}

function binaryName(name: string): Buffer {
  const bytes = Buffer.alloc(2 + name.length)
  bytes.writeInt16BE(name.length, 0)
  bytes.write(name, 2)
  return bytes
}

function writeBytes(target: Buffer, at: number, bytes: Buffer): number {
  target.set(bytes, at)
  return at + bytes.length
}
