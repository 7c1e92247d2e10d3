/** The frame of a pop's answer with messages, written byte by byte as the ordinary way encodes it. */
import { writeDecimal } from '../../common/decimal.ts'
import { GANTRY_VERSION, RESPONSE_FLAG, SerializeType } from '../../remoting/command.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { POP_REVIVE_QUEUE } from '../pop/pop-answer.ts'
import { retryMarkOf } from '../pop/receipt.ts'
import type { TakenPart } from '../pop/pop-task.ts'

const PREFIX_SIZE = 8
const SPACE = 0x20
const COMMA = 0x2c
const SEMICOLON = 0x3b

const POP_TIME = Buffer.from(`{"code":${ResponseCode.SUCCESS},"extFields":{"popTime":"`)
const INVISIBLE_TIME = Buffer.from('","invisibleTime":"')
const REST = Buffer.from(`","reviveQid":"${POP_REVIVE_QUEUE}","restNum":"`)
const STARTS = Buffer.from('","startOffsetInfo":"')
const OFFSETS = Buffer.from('","msgOffsetInfo":"')
const OPAQUE = Buffer.from(`"},"flag":${RESPONSE_FLAG},"language":"OTHER","opaque":`)
const END = Buffer.from(
  `,"remark":"FOUND","serializeTypeCurrentRPC":"JSON","version":${GANTRY_VERSION}}`,
)

export interface PoppedAnswer {
  readonly opaque: number
  readonly popTime: number
  readonly invisibleTimeMs: number
  readonly restCount: number
  readonly parts: readonly TakenPart[]
}

/** Writes everything but the body, of which `bodySize` bytes follow, to the start of `target`; returns where it ends. */
export function writePoppedHeader(target: Buffer, bodySize: number, answer: PoppedAnswer): number {
  const { parts } = answer
  let to = writeField(target, PREFIX_SIZE, POP_TIME, answer.popTime)
  to = writeField(target, to, INVISIBLE_TIME, answer.invisibleTimeMs)
  to = writeField(target, to, REST, answer.restCount)
  to = writeBytes(target, to, STARTS)
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index]
    if (part === undefined) break
    to = writePart(target, to, index, part)
    to = writeDecimal(target, to, part.startOffset)
  }
  to = writeBytes(target, to, OFFSETS)
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index]
    if (part === undefined) break
    to = writePart(target, to, index, part)
    to = writeOffsets(target, to, part.offsets)
  }
  to = writeField(target, to, OPAQUE, answer.opaque)
  to = writeBytes(target, to, END)
  target.writeInt32BE(to - 4 + bodySize, 0)
  target.writeInt32BE(to - PREFIX_SIZE, 4)
  target[4] = SerializeType.JSON
  return to
}

/** Which queue it is that the rest of an item tells of. */
function writePart(target: Buffer, at: number, index: number, part: TakenPart): number {
  let to = at
  if (index > 0) target[to++] = SEMICOLON
  target[to++] = retryMarkOf(part.topic).charCodeAt(0)
  target[to++] = SPACE
  to = writeDecimal(target, to, part.queueId)
  target[to++] = SPACE
  return to
}

function writeOffsets(target: Buffer, at: number, offsets: readonly number[]): number {
  let to = at
  for (let index = 0; index < offsets.length; index++) {
    if (index > 0) target[to++] = COMMA
    to = writeDecimal(target, to, offsets[index] ?? 0)
  }
  return to
}

function writeField(target: Buffer, at: number, before: Buffer, value: number): number {
  return writeDecimal(target, writeBytes(target, at, before), value)
}

function writeBytes(target: Buffer, at: number, bytes: Buffer): number {
  target.set(bytes, at)
  return at + bytes.length
}
