/**
 * The binary header, serialization type ROCKETMQ (protocol §1.2).
 *
 *     code 2 | language 1 | version 2 | opaque 4 | flag 4 | remark 4+n | extFields 4+n
 *     extFields: repeated key 2+n | value 4+n
 */
import { LanguageCode, NO_FIELDS } from './command.ts'
import type { ExtFields } from './command.ts'
import { RemotingError } from './errors.ts'
import { HEADER_MAX_FIELDS } from './limits.ts'

/** A header without its serialization: what both forms say. */
export interface Header {
  readonly code: number
  readonly language: LanguageCode
  readonly version: number
  readonly opaque: number
  readonly flag: number
  readonly remark: string | null
  readonly extFields: ExtFields
}

const FIXED_SIZE = 13
/** Larger ext fields are copied one by one, so that a kept field does not keep all of them alive. */
const SLICE_MAX_BYTES = 16 * 1024
/** UTF-8 bytes of a UTF-16 unit at most. */
const BYTES_PER_UNIT = 3
const LANGUAGES: readonly LanguageCode[] = Object.values(LanguageCode)

/** Codes that an int16 holds; others travel in JSON headers only. */
export function fitsBinaryHeader(code: number): boolean {
  return code >= -32768 && code <= 32767
}

/** Reads the header in `source[start, end)`; throws `RemotingError` (`malformed`, `tooLarge`). */
export function decodeBinaryHeader(source: Buffer, start: number, end: number): Header {
  if (end - start < FIXED_SIZE + 8) throw malformed('it is too short')
  const code = source.readInt16BE(start)
  const language = LANGUAGES[source.readUInt8(start + 2)] ?? LanguageCode.OTHER
  const version = source.readInt16BE(start + 3)
  const opaque = source.readInt32BE(start + 5)
  const flag = source.readInt32BE(start + 9)

  const remarkLength = source.readInt32BE(start + FIXED_SIZE)
  const remarkAt = start + FIXED_SIZE + 4
  if (remarkLength < 0 || remarkLength > end - remarkAt - 4) throw malformed('the remark leaves it')
  const fieldsAt = remarkAt + remarkLength
  const remark = remarkLength === 0 ? null : source.toString('utf8', remarkAt, fieldsAt)

  const fieldsLength = source.readInt32BE(fieldsAt)
  if (fieldsLength < 0 || fieldsLength > end - fieldsAt - 4) {
    throw malformed('the ext fields leave it')
  }
  const extFields =
    fieldsLength === 0 ? NO_FIELDS : decodeFields(source, fieldsAt + 4, fieldsAt + 4 + fieldsLength)
  return { code, language, version, opaque, flag, remark, extFields }
}

function decodeFields(source: Buffer, start: number, end: number): ExtFields {
  const fields = new Map<string, string>()
  // As many characters as bytes means that character n is byte n: one conversion serves all fields.
  const text = end - start <= SLICE_MAX_BYTES ? source.toString('utf8', start, end) : ''
  const isPlain = text.length === end - start
  let at = start
  while (at < end) {
    if (end - at < 6) throw malformed('an ext field is cut off')
    const keyAt = at + 2
    const keyLength = source.readInt16BE(at)
    if (keyLength < 0 || keyLength > end - at - 6) throw malformed('a key leaves the ext fields')
    const valueAt = keyAt + keyLength + 4
    const valueLength = source.readInt32BE(valueAt - 4)
    if (valueLength < 0 || valueLength > end - valueAt) {
      throw malformed('a value leaves the ext fields')
    }
    at = valueAt + valueLength
    // Java reads an empty value as null, which is the same as an absent field.
    if (valueLength > 0) {
      const key = isPlain
        ? text.slice(keyAt - start, keyAt - start + keyLength)
        : source.toString('utf8', keyAt, keyAt + keyLength)
      const value = isPlain
        ? text.slice(valueAt - start, at - start)
        : source.toString('utf8', valueAt, at)
      fields.set(key, value)
    }
    if (fields.size > HEADER_MAX_FIELDS) {
      throw new RemotingError('tooLarge', `a header has more than ${HEADER_MAX_FIELDS} ext fields`)
    }
  }
  return fields
}

function malformed(what: string): RemotingError {
  return new RemotingError('malformed', `malformed binary header: ${what}`)
}

/** At most how many bytes `encodeBinaryHeader` writes. */
export function binaryHeaderBound(header: Header): number {
  let bound = FIXED_SIZE + 8 + (header.remark?.length ?? 0) * BYTES_PER_UNIT
  for (const [key, value] of header.extFields) {
    bound += 6 + (key.length + value.length) * BYTES_PER_UNIT
  }
  return bound
}

/** Writes the header at `at` and returns where it ends. The code must fit, and `target` have room for `binaryHeaderBound`. */
export function encodeBinaryHeader(header: Header, target: Buffer, at: number): number {
  target.writeInt16BE(header.code, at)
  target.writeUInt8(header.language, at + 2)
  target.writeInt16BE(header.version, at + 3)
  target.writeInt32BE(header.opaque, at + 5)
  target.writeInt32BE(header.flag, at + 9)
  const remarkAt = at + FIXED_SIZE + 4
  const remarkLength = target.write(header.remark ?? '', remarkAt)
  target.writeInt32BE(remarkLength, remarkAt - 4)

  const fieldsAt = remarkAt + remarkLength + 4
  let end = fieldsAt
  for (const [key, value] of header.extFields) {
    const keyLength = target.write(key, end + 2)
    target.writeInt16BE(keyLength, end)
    end += 2 + keyLength
    const valueLength = target.write(value, end + 4)
    target.writeInt32BE(valueLength, end)
    end += 4 + valueLength
  }
  target.writeInt32BE(end - fieldsAt, fieldsAt - 4)
  return end
}
