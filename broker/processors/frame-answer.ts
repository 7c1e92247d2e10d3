/** Answers to requests that a frame processor has taken. */
import { encodeCommand, extFieldsOf } from '../../remoting/command-codec.ts'
import { GANTRY_VERSION, LanguageCode, NO_BODY, RESPONSE_FLAG } from '../../remoting/command.ts'
import type { ResponseContent } from '../../remoting/command.ts'
import type { Connection } from '../../remoting/connection.ts'
import type { RequestFrame } from '../../remoting/request-frame.ts'

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
  const { body = NO_BODY } = response
  const frame = encodeCommand({
    code: response.code,
    language: LanguageCode.OTHER,
    version: GANTRY_VERSION,
    opaque: asked.opaque,
    flag: RESPONSE_FLAG,
    remark: response.remark ?? null,
    extFields: extFieldsOf(response.extFields),
    body: Buffer.isBuffer(body) ? body : Buffer.concat(body),
    serializeType: asked.serializeType,
  })
  connection.writeFrames(frame, 0, frame.length, {
    requestCode: asked.code,
    responseCode: response.code,
    count: 1,
    bytes: asked.inFlightBytes,
    receivedAt: asked.receivedAt,
    isLongPolling: response.isLongPolling ?? false,
  })
}
