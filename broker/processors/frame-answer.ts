/** Answers to requests that a frame processor has taken. */
import { writeDecimal } from '../../common/decimal.ts'
import { encodeCommand, extFieldsOf } from '../../remoting/command-codec.ts'
import {
  GANTRY_VERSION,
  LanguageCode,
  NO_BODY,
  RESPONSE_FLAG,
  SerializeType,
} from '../../remoting/command.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { Connection } from '../../remoting/connection.ts'
import type { AnsweredRequests, RequestFrame } from '../../remoting/request-frame.ts'

const PREFIX_SIZE = 8
/** The header of a success that says nothing more, before and behind the opaque. */
const SUCCESS_START = Buffer.from(
  `{"code":${ResponseCode.SUCCESS},"extFields":{},"flag":${RESPONSE_FLAG},"language":"OTHER","opaque":`,
)
const SUCCESS_END = Buffer.from(`,"serializeTypeCurrentRPC":"JSON","version":${GANTRY_VERSION}}`)
const OPAQUE_SIZE_MAX = 11
const SUCCESS_SIZE_MAX = PREFIX_SIZE + SUCCESS_START.length + OPAQUE_SIZE_MAX + SUCCESS_END.length

/** What an answer needs of its request. */
export type Asked = Pick<
  RequestFrame,
  'code' | 'opaque' | 'serializeType' | 'receivedAt' | 'inFlightBytes'
>

/** The frame itself holds for the call that it comes with, and the next one fills it again. */
export function askedBy(frame: RequestFrame): Asked {
  const { code, opaque, serializeType, receivedAt, inFlightBytes } = frame
  return { code, opaque, serializeType, receivedAt, inFlightBytes }
}

/** Writes an answer as the ordinary way encodes it. */
export function writeAnswer(connection: Connection, asked: Asked, response: ResponseContent): void {
  const { code, remark, extFields, body } = response
  const answered = answeredBy(asked, code, response.isLongPolling)
  const isPlain = remark === undefined && extFields === undefined && body === undefined
  if (isPlain && code === ResponseCode.SUCCESS && asked.serializeType === SerializeType.JSON) {
    return writeSuccess(connection, asked.opaque, answered)
  }
  const bodyOf = body ?? NO_BODY
  const frame = encodeCommand({
    code,
    language: LanguageCode.OTHER,
    version: GANTRY_VERSION,
    opaque: asked.opaque,
    flag: RESPONSE_FLAG,
    remark: remark ?? null,
    extFields: extFieldsOf(extFields),
    body: Buffer.isBuffer(bodyOf) ? bodyOf : Buffer.concat(bodyOf),
    serializeType: asked.serializeType,
  })
  connection.writeFrames(frame, 0, frame.length, answered)
}

/** What a connection is told of an answer to one request. */
export function answeredBy(
  { code, inFlightBytes, receivedAt }: Asked,
  responseCode: number,
  isLongPolling: boolean = false,
): AnsweredRequests {
  return {
    requestCode: code,
    responseCode,
    count: 1,
    bytes: inFlightBytes,
    receivedAt,
    isLongPolling,
  }
}

function writeSuccess(connection: Connection, opaque: number, answered: AnsweredRequests): void {
  const { buffer, at } = connection.reserveFrames(SUCCESS_SIZE_MAX)
  const headerAt = at + PREFIX_SIZE
  buffer.set(SUCCESS_START, headerAt)
  const to = writeDecimal(buffer, headerAt + SUCCESS_START.length, opaque)
  buffer.set(SUCCESS_END, to)
  const end = to + SUCCESS_END.length
  buffer.writeInt32BE(end - at - 4, at)
  buffer.writeInt32BE(end - headerAt, at + 4)
  buffer[at + 4] = SerializeType.JSON
  connection.commitFrames(end, answered)
}
