/**
 * Finds code, flag, opaque, version and ext fields of a request in one pass over its header, without an object or a string.
 *
 * It takes what clients send: standard JSON with one object `extFields` of strings, integers and booleans, or the binary header. On
 * anything else (nested values, escapes in names, numbers with a fraction, null …) it gives up, and the ordinary decoder decides what
 * the header means or how it is broken. What it does take means the same there; a property test compares the two.
 *
 * Headers like those before are not scanned again but compared with them (header-layout.ts).
 */
import { RESPONSE_FLAG, SerializeType } from './command.ts'
import { HeaderLayout, SPAN_SIZE } from './header-layout.ts'
import type { ScannedHeader } from './header-layout.ts'
import {
  CLOSE_BRACE,
  COMMA,
  endOfInteger,
  endOfLiteral,
  endOfString,
  integerIn,
  isAt,
  isName,
  skipScalar,
  skipSpace,
  valueAfter,
} from './json-scan.ts'
import { HEADER_MAX_BYTES } from './limits.ts'
import type { RequestFrame } from './request-frame.ts'

/** More ext fields than any fast request has. */
const MAX_FIELDS = 64
const MAX_DIGITS = 15
/** Kinds of headers that are remembered, the most recent first; larger ones are not. */
const MAX_LAYOUTS = 4
const LAYOUT_MAX_BYTES = 4096
/** So many new kinds are remembered at once; after that one of as many, so that headers that never come again cost little. */
const FREE_LAYOUTS = 32
/** What a waiting request occupies besides its body. */
export const REQUEST_OVERHEAD_BYTES = 512

const QUOTE = 0x22
const ZERO = 0x30
const OPEN_BRACE = 0x7b

/** Members of a header that are read. */
const OTHER = 0
const CODE = 1
const FLAG = 2
const OPAQUE = 3
const VERSION = 4

const EXT_FIELDS = Buffer.from('extFields')

const EMPTY = Buffer.alloc(0)
const BINARY_FIXED_SIZE = 13

export class FrameScanner implements RequestFrame, ScannedHeader {
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
  layout: HeaderLayout | null = null
  readonly spans: Int32Array = new Int32Array(MAX_FIELDS * SPAN_SIZE)
  readonly escapes: Uint8Array = new Uint8Array(MAX_FIELDS)
  opaqueStart = 0
  opaqueEnd = 0
  readonly #layouts: HeaderLayout[] = []
  #newLayouts = 0
  #viewed: Buffer = EMPTY
  #viewAt = 0
  /** The memory in which `source` lies. */
  #view: DataView = new DataView(EMPTY.buffer)

  nameStart(index: number): number {
    return this.spans[index * SPAN_SIZE] ?? 0
  }

  nameEnd(index: number): number {
    return this.spans[index * SPAN_SIZE + 1] ?? 0
  }

  valueStart(index: number): number {
    return this.spans[index * SPAN_SIZE + 2] ?? 0
  }

  valueEnd(index: number): number {
    return this.spans[index * SPAN_SIZE + 3] ?? 0
  }

  hasEscapes(index: number): boolean {
    return this.escapes[index] === 1
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
    this.layout = null
    const type = source[start]
    let isScanned = false
    if (type === SerializeType.JSON) {
      this.serializeType = SerializeType.JSON
      isScanned = this.#isKnown(source, headerAt, bodyStart)
      if (!isScanned && this.#scanJson(source, headerAt, bodyStart)) {
        isScanned = true
        this.#learn(source, headerAt, bodyStart)
      }
    } else if (type === SerializeType.ROCKETMQ) {
      this.serializeType = SerializeType.ROCKETMQ
      isScanned = this.#scanBinary(source, headerAt, bodyStart)
    }
    return isScanned && (this.flag & RESPONSE_FLAG) === 0
  }

  /** True when the header is like one before: then its fields are set. */
  #isKnown(source: Buffer, start: number, end: number): boolean {
    const layouts = this.#layouts
    if (layouts.length === 0) return false
    if (this.#viewed !== source) this.#look(source)
    const view = this.#view
    const viewAt = this.#viewAt
    for (let index = 0; index < layouts.length; index++) {
      const layout = layouts[index]
      if (layout === undefined) break
      if (!layout.match(source, start, end, view, viewAt, this)) continue
      this.layout = layout
      this.code = layout.code
      this.flag = layout.flag
      this.version = layout.version
      if (index > 0) {
        layouts[index] = layouts[index - 1] ?? layout
        layouts[index - 1] = layout
      }
      return true
    }
    return false
  }

  #look(source: Buffer): void {
    this.#viewed = source
    this.#viewAt = source.byteOffset
    if (this.#view.buffer !== source.buffer) this.#view = new DataView(source.buffer)
  }

  /** Remembers a header that was scanned. */
  #learn(source: Buffer, start: number, end: number): void {
    if (this.opaqueStart < start || end - start > LAYOUT_MAX_BYTES) return
    const layouts = this.#layouts
    for (let index = 0; index < layouts.length; index++) {
      const wider = layouts[index]?.widened(this, source, start, end) ?? null
      if (wider === null) continue
      layouts[index] = wider
      return
    }
    this.#newLayouts++
    if (this.#newLayouts > FREE_LAYOUTS && this.#newLayouts % FREE_LAYOUTS !== 0) return
    const varies = new Uint8Array(this.fieldCount)
    layouts.unshift(new HeaderLayout(this, source, start, end, varies))
    if (layouts.length > MAX_LAYOUTS) layouts.pop()
  }

  #scanJson(source: Buffer, start: number, end: number): boolean {
    this.opaqueStart = -1
    let at = skipSpace(source, start, end)
    if (source[at] !== OPEN_BRACE) return false
    let hasFields = false
    do {
      at = skipSpace(source, at + 1, end)
      if (source[at] !== QUOTE) return false
      const nameStart = at + 1
      const found = endOfString(source, nameStart, end)
      if (found < 0 || (found & 1) === 1) return false
      at = found >> 1
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
    if (member === OTHER) return skipScalar(source, at, end)
    const valueEnd = endOfInteger(source, at, end)
    if (valueEnd < 0) return -1
    const value = integerIn(source, at, valueEnd)
    if (value !== (value | 0)) return -1
    if (member === OPAQUE) {
      this.opaque = value
      this.opaqueStart = at
      this.opaqueEnd = valueEnd
    } else if (member === VERSION) this.version = value
    else if (member === CODE) this.code = value
    else this.flag = value
    return valueEnd
  }

  /** Reads the object of ext fields at `at`; returns where it ends, or -1. */
  #scanFields(source: Buffer, start: number, end: number): number {
    if (source[start] !== OPEN_BRACE) return -1
    let at = skipSpace(source, start + 1, end)
    if (source[at] === CLOSE_BRACE && at < end) return at + 1
    const { spans } = this
    let count = 0
    for (;;) {
      if (count === MAX_FIELDS || source[at] !== QUOTE) return -1
      const span = count * SPAN_SIZE
      spans[span] = at + 1
      const nameFound = endOfString(source, at + 1, end)
      if (nameFound < 0 || (nameFound & 1) === 1) return -1
      at = nameFound >> 1
      spans[span + 1] = at
      at = valueAfter(source, at + 1, end)
      if (at < 0) return -1
      if (source[at] === QUOTE) {
        spans[span + 2] = at + 1
        const found = endOfString(source, at + 1, end)
        if (found < 0) return -1
        at = found >> 1
        spans[span + 3] = at
        this.escapes[count] = found & 1
        at++
      } else {
        spans[span + 2] = at
        at = endOfLiteral(source, at, end)
        if (at < 0) return -1
        spans[span + 3] = at
        this.escapes[count] = 0
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
    const { spans } = this
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
      this.escapes[count] = 0
      count++
    }
    this.fieldCount = count
    return true
  }
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
