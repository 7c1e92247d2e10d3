/**
 * Frames to commands and back (protocol §1).
 *
 *     length 4 | serialization 1, header length 3 | header | body
 */
import { binaryHeaderBound, decodeBinaryHeader, encodeBinaryHeader } from './binary-header.ts'
import { fitsBinaryHeader } from './binary-header.ts'
import type { Header } from './binary-header.ts'
import { NO_BODY, NO_FIELDS, SerializeType } from './command.ts'
import type { ExtFields, RemotingCommand, RequestContent } from './command.ts'
import { RemotingError } from './errors.ts'
import { decodeJsonHeader, encodeJsonHeader } from './json-header.ts'
import { HEADER_MAX_BYTES } from './limits.ts'

/** Bytes before the header: length and header word. */
export const FRAME_PREFIX_SIZE = 8

/** UTF-8 bytes of a UTF-16 unit at most. */
const BYTES_PER_UNIT = 3

/**
 * Reads the command of a frame whose header word starts at `start` and which ends at `end`, the length field left out.
 *
 * The body is a slice of `source`. Throws `RemotingError` (`malformed`, `tooLarge`): the connection cannot go on.
 */
export function decodeCommand(source: Buffer, start: number, end: number): RemotingCommand {
  if (end - start < 4)
    throw new RemotingError('malformed', 'a frame is shorter than its header word')
  const type = source.readUInt8(start)
  const headerAt = start + 4
  const headerLength = source.readUIntBE(start + 1, 3)
  if (headerLength > end - headerAt) {
    throw new RemotingError('malformed', 'a header is longer than its frame')
  }
  if (headerLength > HEADER_MAX_BYTES) {
    throw new RemotingError('tooLarge', `a header of ${headerLength} bytes is over the limit`)
  }
  const bodyAt = headerAt + headerLength
  const body = bodyAt === end ? NO_BODY : source.subarray(bodyAt, end)
  if (type === SerializeType.JSON) {
    return commandOf(decodeJsonHeader(source, headerAt, bodyAt), SerializeType.JSON, body)
  }
  if (type === SerializeType.ROCKETMQ) {
    return commandOf(decodeBinaryHeader(source, headerAt, bodyAt), SerializeType.ROCKETMQ, body)
  }
  throw new RemotingError('malformed', `unknown serialization type ${type}`)
}

function commandOf(header: Header, serializeType: SerializeType, body: Buffer): RemotingCommand {
  return {
    code: header.code,
    language: header.language,
    version: header.version,
    opaque: header.opaque,
    flag: header.flag,
    remark: header.remark,
    extFields: header.extFields,
    body,
    serializeType,
  }
}

/** The fields of a request or answer as a map; members that are `undefined` are absent. */
export function extFieldsOf(given: RequestContent['extFields']): ExtFields {
  if (given === undefined) return NO_FIELDS
  if (given instanceof Map) return given
  const fields = new Map<string, string>()
  for (const [name, value] of Object.entries(given)) {
    if (value !== undefined) fields.set(name, value)
  }
  return fields
}

/** Where frames are written to: `reserve` returns room for `size` contiguous bytes at `at`. */
export interface FrameTarget {
  reserve(size: number): { readonly buffer: Buffer; readonly at: number }
  /** Keeps what was written of the last reservation up to `end`. */
  commit(end: number): void
  /** Adds bytes that follow, copied or kept as they are. */
  append(bytes: Buffer): void
}

/** Writes a whole frame. Codes that the binary header cannot hold travel in JSON whatever `serializeType` says. */
export function encodeFrame(
  header: Header,
  serializeType: SerializeType,
  body: Buffer | readonly Buffer[],
  target: FrameTarget,
): void {
  const bodySize = sizeOf(body)
  if (serializeType === SerializeType.ROCKETMQ && fitsBinaryHeader(header.code)) {
    const { buffer, at } = target.reserve(FRAME_PREFIX_SIZE + binaryHeaderBound(header))
    const end = encodeBinaryHeader(header, buffer, at + FRAME_PREFIX_SIZE)
    writePrefix(buffer, at, end, SerializeType.ROCKETMQ, bodySize)
    target.commit(end)
  } else {
    const text = encodeJsonHeader(header)
    const { buffer, at } = target.reserve(FRAME_PREFIX_SIZE + text.length * BYTES_PER_UNIT)
    const end = at + FRAME_PREFIX_SIZE + buffer.write(text, at + FRAME_PREFIX_SIZE)
    writePrefix(buffer, at, end, SerializeType.JSON, bodySize)
    target.commit(end)
  }
  if (Buffer.isBuffer(body)) target.append(body)
  else for (const part of body) target.append(part)
}

function writePrefix(
  buffer: Buffer,
  at: number,
  end: number,
  serializeType: SerializeType,
  bodySize: number,
): void {
  const headerLength = end - at - FRAME_PREFIX_SIZE
  buffer.writeInt32BE(4 + headerLength + bodySize, at)
  buffer.writeUInt8(serializeType, at + 4)
  buffer.writeUIntBE(headerLength, at + 5, 3)
}

function sizeOf(body: Buffer | readonly Buffer[]): number {
  if (Buffer.isBuffer(body)) return body.length
  let size = 0
  for (const part of body) size += part.length
  return size
}

/** One command as one buffer; for tests and tools, connections write through `encodeFrame`. */
export function encodeCommand(command: RemotingCommand): Buffer {
  const parts: Buffer[] = []
  let last: Buffer = NO_BODY
  encodeFrame(command, command.serializeType, command.body, {
    reserve(size) {
      last = Buffer.allocUnsafe(size)
      return { buffer: last, at: 0 }
    },
    commit(end) {
      parts.push(last.subarray(0, end))
    },
    append(bytes) {
      parts.push(bytes)
    },
  })
  return Buffer.concat(parts)
}
