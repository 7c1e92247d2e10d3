/**
 * Finds code, flag, opaque, version and ext fields of a request in one pass over its header, without an object or a string.
 *
 * It takes what clients send: standard JSON with one object `extFields` of strings, integers and booleans, or the binary header. On
 * anything else (nested values, escapes in names, numbers with a fraction, null …) it gives up, and the ordinary decoder decides what
 * the header means or how it is broken. What it does take means the same there; a property test compares the two.
 */
import { RESPONSE_FLAG, SerializeType } from './command.ts'
import { HEADER_MAX_BYTES } from './limits.ts'
import { hexUnit, isSimpleEscape } from './request-frame.ts'
import type { RequestFrame } from './request-frame.ts'

/** More ext fields than any fast request has. */
const MAX_FIELDS = 64
/** nameStart, nameEnd, valueStart, valueEnd. */
const SPAN_SIZE = 4
const MAX_DIGITS = 15
/** What a waiting request occupies besides its body. */
export const REQUEST_OVERHEAD_BYTES = 512

const SPACE = 0x20
const QUOTE = 0x22
const COMMA = 0x2c
const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39
const COLON = 0x3a
const BACKSLASH = 0x5c
const LETTER_U = 0x75
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/** Members of a header that are read. */
const OTHER = 0
const CODE = 1
const FLAG = 2
const OPAQUE = 3
const VERSION = 4

const EXT_FIELDS = Buffer.from('extFields')
const TRUE = Buffer.from('true')
const FALSE = Buffer.from('false')
const NULL = Buffer.from('null')

const EMPTY = Buffer.alloc(0)
const BINARY_FIXED_SIZE = 13

export class FrameScanner implements RequestFrame {
  code = 0
  opaque = 0
  flag = 0
  version = 0
  serializeType: SerializeType = SerializeType.JSON
  receivedAt = 0
  inFlightBytes = 0
  source: Buffer = EMPTY
  bodyStart = 0
  bodyEnd = 0
  fieldCount = 0
  readonly #spans = new Int32Array(MAX_FIELDS * SPAN_SIZE)
  readonly #escapes = new Uint8Array(MAX_FIELDS)
  /** Whether the string that `#endOfString` passed last has escapes. */
  #hadEscapes = 0

  nameStart(index: number): number {
    return this.#spans[index * SPAN_SIZE] ?? 0
  }

  nameEnd(index: number): number {
    return this.#spans[index * SPAN_SIZE + 1] ?? 0
  }

  valueStart(index: number): number {
    return this.#spans[index * SPAN_SIZE + 2] ?? 0
  }

  valueEnd(index: number): number {
    return this.#spans[index * SPAN_SIZE + 3] ?? 0
  }

  hasEscapes(index: number): boolean {
    return this.#escapes[index] === 1
  }

  isNamed(index: number, name: Uint8Array): boolean {
    const start = this.nameStart(index)
    return this.nameEnd(index) - start === name.length && isAt(this.source, start, name)
  }

  digitsOf(index: number): number {
    const { source } = this
    const start = this.valueStart(index)
    const end = this.valueEnd(index)
    // Most numbers of a header have one digit.
    const first = (source[start] ?? 0) - ZERO
    if (end - start === 1) return first >= 0 && first <= 9 ? first : -1
    if (end === start || end - start > MAX_DIGITS) return -1
    let value = 0
    for (let at = start; at < end; at++) {
      const digit = (source[at] ?? 0) - ZERO
      if (digit < 0 || digit > 9) return -1
      value = value * 10 + digit
    }
    return value
  }

  /** Reads the frame whose header word starts at `start`; false when it is not a request of the plain form. */
  scan(source: Buffer, start: number, end: number, receivedAt: number): boolean {
    const headerAt = start + 4
    if (end < headerAt) return false
    const headerLength =
      ((source[start + 1] ?? 0) << 16) | ((source[start + 2] ?? 0) << 8) | (source[start + 3] ?? 0)
    if (headerLength > end - headerAt || headerLength > HEADER_MAX_BYTES) return false
    const bodyStart = headerAt + headerLength
    this.source = source
    this.bodyStart = bodyStart
    this.bodyEnd = end
    this.receivedAt = receivedAt
    this.inFlightBytes = end - bodyStart + REQUEST_OVERHEAD_BYTES
    this.code = 0
    this.opaque = 0
    this.flag = 0
    this.version = 0
    this.fieldCount = 0
    const type = source[start]
    let isScanned = false
    if (type === SerializeType.JSON) {
      this.serializeType = SerializeType.JSON
      isScanned = this.#scanJson(source, headerAt, bodyStart)
    } else if (type === SerializeType.ROCKETMQ) {
      this.serializeType = SerializeType.ROCKETMQ
      isScanned = this.#scanBinary(source, headerAt, bodyStart)
    }
    return isScanned && (this.flag & RESPONSE_FLAG) === 0
  }

  #scanJson(source: Buffer, start: number, end: number): boolean {
    let at = skipSpace(source, start, end)
    if (source[at] !== OPEN_BRACE) return false
    let hasFields = false
    do {
      at = skipSpace(source, at + 1, end)
      if (source[at] !== QUOTE) return false
      const nameStart = at + 1
      at = this.#endOfString(source, nameStart, end)
      if (at < 0 || this.#hadEscapes === 1) return false
      const nameEnd = at
      at = valueAfter(source, at + 1, end)
      if (at < 0) return false
      if (isName(source, nameStart, nameEnd, EXT_FIELDS)) {
        if (hasFields) return false
        hasFields = true
        at = this.#scanFields(source, at, end)
      } else {
        at = this.#scanMember(source, nameStart, nameEnd, at, end)
      }
      if (at < 0) return false
      at = skipSpace(source, at, end)
    } while (at < end && source[at] === COMMA)
    if (at >= end || source[at] !== CLOSE_BRACE) return false
    return skipSpace(source, at + 1, end) === end
  }

  /** Reads a member other than `extFields`, whose value starts at `at`; returns where it ends, or -1. */
  #scanMember(source: Buffer, nameStart: number, nameEnd: number, at: number, end: number): number {
    const member = memberOf(source, nameStart, nameEnd - nameStart)
    if (member === OTHER) return this.#skipScalar(source, at, end)
    const valueEnd = endOfInteger(source, at, end)
    if (valueEnd < 0) return -1
    const value = integerIn(source, at, valueEnd)
    if (value !== (value | 0)) return -1
    if (member === OPAQUE) this.opaque = value
    else if (member === VERSION) this.version = value
    else if (member === CODE) this.code = value
    else this.flag = value
    return valueEnd
  }

  /** Reads the object of ext fields at `at`; returns where it ends, or -1. */
  #scanFields(source: Buffer, start: number, end: number): number {
    if (source[start] !== OPEN_BRACE) return -1
    let at = skipSpace(source, start + 1, end)
    if (source[at] === CLOSE_BRACE && at < end) return at + 1
    const spans = this.#spans
    let count = 0
    for (;;) {
      if (count === MAX_FIELDS || source[at] !== QUOTE) return -1
      const span = count * SPAN_SIZE
      spans[span] = at + 1
      at = this.#endOfString(source, at + 1, end)
      if (at < 0 || this.#hadEscapes === 1) return -1
      spans[span + 1] = at
      at = valueAfter(source, at + 1, end)
      if (at < 0) return -1
      if (source[at] === QUOTE) {
        spans[span + 2] = at + 1
        at = this.#endOfString(source, at + 1, end)
        if (at < 0) return -1
        spans[span + 3] = at
        this.#escapes[count] = this.#hadEscapes
        at++
      } else {
        spans[span + 2] = at
        at = endOfLiteral(source, at, end)
        if (at < 0) return -1
        spans[span + 3] = at
        this.#escapes[count] = 0
      }
      count++
      if (source[at] !== COMMA) at = skipSpace(source, at, end)
      if (at >= end) return -1
      if (source[at] === COMMA) {
        at++
        if (source[at] !== QUOTE) at = skipSpace(source, at, end)
      } else if (source[at] === CLOSE_BRACE) break
      else return -1
    }
    this.fieldCount = count
    return at + 1
  }

  /** Where the quote stands that ends the string from `start` on; -1 when there is none or the string is not standard JSON. */
  #endOfString(source: Buffer, start: number, end: number): number {
    this.#hadEscapes = 0
    // Many values and names are one character. Positions are kept small integers (`| 0`) for the compiler.
    if (start + 1 < end && source[start + 1] === QUOTE && isPlain(source[start] ?? 0)) {
      return start + 1
    }
    let at = start | 0
    for (;;) {
      let byte = 0
      while (at < end) {
        byte = source[at] ?? 0
        if (!isPlain(byte)) break
        at = (at + 1) | 0
      }
      if (at >= end) return -1
      if (byte === QUOTE) return at
      if (byte === BACKSLASH) {
        this.#hadEscapes = 1
        at = endOfEscape(source, at, end)
        if (at < 0) return -1
      } else if (byte < SPACE) return -1
      else at = (at + 1) | 0
    }
  }

  #skipScalar(source: Buffer, at: number, end: number): number {
    if (source[at] === QUOTE) {
      const quote = this.#endOfString(source, at + 1, end)
      return quote < 0 ? -1 : quote + 1
    }
    if (at + NULL.length <= end && isAt(source, at, NULL)) return at + NULL.length
    return endOfLiteral(source, at, end)
  }

  /** See binary-header.ts for the layout. */
  #scanBinary(source: Buffer, start: number, end: number): boolean {
    if (end - start < BINARY_FIXED_SIZE + 8) return false
    this.code = int16(source, start)
    this.version = int16(source, start + 3)
    this.opaque = int32(source, start + 5)
    this.flag = int32(source, start + 9)
    const remarkLength = int32(source, start + BINARY_FIXED_SIZE)
    const remarkAt = start + BINARY_FIXED_SIZE + 4
    if (remarkLength < 0 || remarkLength > end - remarkAt - 4) return false
    const fieldsAt = remarkAt + remarkLength + 4
    const fieldsLength = int32(source, fieldsAt - 4)
    if (fieldsLength < 0 || fieldsLength > end - fieldsAt) return false
    return this.#scanBinaryFields(source, fieldsAt, fieldsAt + fieldsLength)
  }

  #scanBinaryFields(source: Buffer, start: number, end: number): boolean {
    const spans = this.#spans
    let count = 0
    let at = start
    while (at < end) {
      if (end - at < 6) return false
      const nameStart = at + 2
      const nameLength = int16(source, at)
      if (nameLength < 0 || nameLength > end - at - 6) return false
      const valueStart = nameStart + nameLength + 4
      const valueLength = int32(source, valueStart - 4)
      if (valueLength < 0 || valueLength > end - valueStart) return false
      at = valueStart + valueLength
      // Java reads an empty value as null, which is the same as an absent field.
      if (valueLength === 0) continue
      if (count === MAX_FIELDS) return false
      const span = count * SPAN_SIZE
      spans[span] = nameStart
      spans[span + 1] = nameStart + nameLength
      spans[span + 2] = valueStart
      spans[span + 3] = at
      this.#escapes[count] = 0
      count++
    }
    this.fieldCount = count
    return true
  }
}

/** True for nearly all bytes of a string; the others need a look. Two comparisons: a table of classes is a third slower. */
function isPlain(byte: number): boolean {
  return byte > QUOTE && byte !== BACKSLASH
}

/** Where the escape ends whose backslash is at `at`; -1 when it is none of standard JSON. */
function endOfEscape(source: Buffer, at: number, end: number): number {
  const letter = source[at + 1] ?? 0
  if (letter === LETTER_U) {
    return at + 6 > end || hexUnit(source, at + 2) < 0 ? -1 : at + 6
  }
  return at + 2 > end || !isSimpleEscape(letter) ? -1 : at + 2
}

function skipSpace(source: Buffer, start: number, end: number): number {
  let at = start
  while (at < end) {
    const byte = source[at]
    if (byte !== SPACE && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
    at++
  }
  return at
}

/** Where the value stands behind the colon that follows a name; -1 without a colon. */
function valueAfter(source: Buffer, start: number, end: number): number {
  const at = source[start] === COLON ? start : skipSpace(source, start, end)
  if (source[at] !== COLON) return -1
  return source[at + 1] === QUOTE ? at + 1 : skipSpace(source, at + 1, end)
}

/** Which member a name means. Written out, since the ends of short loops cost more than the comparisons (branch prediction). */
function memberOf(source: Buffer, at: number, length: number): number {
  if (length === 4) {
    if (source[at] === 0x63) {
      const isCode = source[at + 1] === 0x6f && source[at + 2] === 0x64 && source[at + 3] === 0x65
      return isCode ? CODE : OTHER
    }
    const isFlag =
      source[at] === 0x66 &&
      source[at + 1] === 0x6c &&
      source[at + 2] === 0x61 &&
      source[at + 3] === 0x67
    return isFlag ? FLAG : OTHER
  }
  if (length === 6) {
    const isOpaque =
      source[at] === 0x6f &&
      source[at + 1] === 0x70 &&
      source[at + 2] === 0x61 &&
      source[at + 3] === 0x71 &&
      source[at + 4] === 0x75 &&
      source[at + 5] === 0x65
    return isOpaque ? OPAQUE : OTHER
  }
  if (length !== 7) return OTHER
  const isVersion =
    source[at] === 0x76 &&
    source[at + 1] === 0x65 &&
    source[at + 2] === 0x72 &&
    source[at + 3] === 0x73 &&
    source[at + 4] === 0x69 &&
    source[at + 5] === 0x6f &&
    source[at + 6] === 0x6e
  return isVersion ? VERSION : OTHER
}

function isName(source: Buffer, start: number, end: number, name: Uint8Array): boolean {
  return end - start === name.length && isAt(source, start, name)
}

function isAt(source: Buffer, start: number, name: Uint8Array): boolean {
  for (let index = 0; index < name.length; index++) {
    if (source[start + index] !== name[index]) return false
  }
  return true
}

/** Where the integer, `true` or `false` at `at` ends; -1 when there is none. */
function endOfLiteral(source: Buffer, at: number, end: number): number {
  if (at + TRUE.length <= end && isAt(source, at, TRUE)) return at + TRUE.length
  if (at + FALSE.length <= end && isAt(source, at, FALSE)) return at + FALSE.length
  return endOfInteger(source, at, end)
}

/** Where the integer at `at` ends, whose digits are those that JavaScript would print; -1 when there is none. */
function endOfInteger(source: Buffer, start: number, end: number): number {
  const isNegative = start < end && source[start] === MINUS
  const digitsAt = isNegative ? start + 1 : start
  let at = digitsAt
  while (at < end) {
    const byte = source[at] ?? 0
    if (byte < ZERO || byte > NINE) break
    at++
  }
  const count = at - digitsAt
  if (count === 0 || count > MAX_DIGITS) return -1
  if (source[digitsAt] === ZERO && (count > 1 || isNegative)) return -1
  // A fraction or an exponent would follow here.
  const next = source[at] ?? 0
  const isEnd =
    at >= end || next === COMMA || next === CLOSE_BRACE || skipSpace(source, at, end) > at
  return isEnd ? at : -1
}

function integerIn(source: Buffer, start: number, end: number): number {
  const isNegative = source[start] === MINUS
  let value = 0
  for (let at = isNegative ? start + 1 : start; at < end; at++) {
    value = value * 10 + (source[at] ?? 0) - ZERO
  }
  return isNegative ? -value : value
}

function int16(source: Buffer, at: number): number {
  return (((source[at] ?? 0) << 24) | ((source[at + 1] ?? 0) << 16)) >> 16
}

function int32(source: Buffer, at: number): number {
  return (
    ((source[at] ?? 0) << 24) |
    ((source[at + 1] ?? 0) << 16) |
    ((source[at + 2] ?? 0) << 8) |
    (source[at + 3] ?? 0)
  )
}
