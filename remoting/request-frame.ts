/**
 * A request as it lies in the received bytes, for the few codes whose cost matters (send, pull).
 *
 * The scanner (frame-scanner.ts) finds the fields of the header in one pass and makes no object. What a frame processor does not take
 * goes the ordinary way, through `RemotingCommand` and `Processor`, where all rules are; a scanned header means the same there.
 */
import type { Connection } from './connection.ts'
import type { SerializeType } from './command.ts'

/** Headers that are byte for byte the same but for some values. */
export interface KnownLayout {
  /** Which ext fields differ from header to header, ascending; all others, code and flag are the same in each. */
  readonly varyingFields: Int32Array
}

/** One object for each server, filled anew for each frame: valid during the call that it is handed to. */
export interface RequestFrame {
  readonly code: number
  readonly opaque: number
  readonly flag: number
  readonly version: number
  readonly serializeType: SerializeType
  /** When the bytes were read, `Clock.monotonic()`. */
  readonly receivedAt: number
  /** What the request counts for in flow control until it is answered; the sum of them goes into `AnsweredRequests.bytes`. */
  readonly inFlightBytes: number
  /** Header and body lie here; the bytes may be overwritten once the call has returned. */
  readonly source: Buffer
  readonly bodyStart: number
  readonly bodyEnd: number
  /**
   * Ext fields, in the order of the header; of equal names the last one counts. Names and values are spans of `source` without quotes,
   * and not checked to be valid UTF-8: the ordinary way reads what is not as U+FFFD. Fields that count as absent are left out.
   */
  readonly fieldCount: number
  /** The same object for headers of the same layout; null when it is not known. */
  readonly layout: KnownLayout | null
  nameStart(index: number): number
  nameEnd(index: number): number
  valueStart(index: number): number
  valueEnd(index: number): number
  /** The value holds backslashes, all of them valid JSON escapes: `copyUnescaped` resolves them. Names never do. */
  hasEscapes(index: number): boolean
  isNamed(index: number, name: Uint8Array): boolean
  /** The value as an integer when it is one to fifteen plain digits; else -1. */
  digitsOf(index: number): number
}

/**
 * True: taken, and answered now or later by `connection.writeFrames`, which a one-way request needs too.
 * False: nothing has happened, and the request goes the ordinary way.
 */
export type FrameProcessor = (connection: Connection, frame: RequestFrame) => boolean

/** What some frames answer; `Connection.writeFrames` ends these requests. */
export interface AnsweredRequests {
  readonly requestCode: number
  /** Null: one-way requests, to which nothing leaves. */
  readonly responseCode: number | null
  readonly count: number
  /** Sum of their `RequestFrame.inFlightBytes`. */
  readonly bytes: number
  /** When they were read: for the latency, so the earliest of them. */
  readonly receivedAt: number
  readonly isLongPolling: boolean
}

const BACKSLASH = 0x5c
const LETTER_U = 0x75
/** What the letter after a backslash stands for; 0 where it is no escape of one letter. */
const SIMPLE_ESCAPES = simpleEscapes()

/**
 * Copies `source[start, end)`, the inside of a JSON string with valid escapes, to `target` as UTF-8 and returns where it ends there.
 * It never grows. Half a surrogate pair becomes U+FFFD, as everywhere in Node.
 */
export function copyUnescaped(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  targetStart: number,
): number {
  let to = targetStart
  for (let at = start; at < end;) {
    const byte = source[at] ?? 0
    if (byte !== BACKSLASH) {
      target[to++] = byte
      at++
      continue
    }
    const letter = source[at + 1] ?? 0
    if (letter !== LETTER_U) {
      target[to++] = SIMPLE_ESCAPES[letter] ?? 0
      at += 2
      continue
    }
    let unit = hexUnit(source, at + 2)
    at += 6
    if (unit >= 0xd800 && unit < 0xdc00 && at + 6 <= end && isUnitEscape(source, at)) {
      const low = hexUnit(source, at + 2)
      if (low >= 0xdc00 && low < 0xe000) {
        unit = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
        at += 6
      }
    }
    to = writeUtf8(unit >= 0xd800 && unit < 0xe000 ? 0xfffd : unit, target, to)
  }
  return to
}

function isUnitEscape(source: Uint8Array, at: number): boolean {
  return source[at] === BACKSLASH && source[at + 1] === LETTER_U
}

/** The value of four hexadecimal digits; negative when one of them is none. */
export function hexUnit(source: Uint8Array, at: number): number {
  return (
    (hexDigit(source[at] ?? 0) << 12) |
    (hexDigit(source[at + 1] ?? 0) << 8) |
    (hexDigit(source[at + 2] ?? 0) << 4) |
    hexDigit(source[at + 3] ?? 0)
  )
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}

function writeUtf8(point: number, target: Uint8Array, at: number): number {
  if (point < 0x80) {
    target[at] = point
    return at + 1
  }
  if (point < 0x800) {
    target[at] = 0xc0 | (point >> 6)
    target[at + 1] = 0x80 | (point & 0x3f)
    return at + 2
  }
  if (point < 0x1_0000) {
    target[at] = 0xe0 | (point >> 12)
    target[at + 1] = 0x80 | ((point >> 6) & 0x3f)
    target[at + 2] = 0x80 | (point & 0x3f)
    return at + 3
  }
  target[at] = 0xf0 | (point >> 18)
  target[at + 1] = 0x80 | ((point >> 12) & 0x3f)
  target[at + 2] = 0x80 | ((point >> 6) & 0x3f)
  target[at + 3] = 0x80 | (point & 0x3f)
  return at + 4
}

function simpleEscapes(): Uint8Array {
  const table = new Uint8Array(256)
  const pairs = [
    ['"', '"'],
    ['\\', '\\'],
    ['/', '/'],
    ['b', '\b'],
    ['f', '\f'],
    ['n', '\n'],
    ['r', '\r'],
    ['t', '\t'],
  ] as const
  for (const [letter, meaning] of pairs) table[letter.charCodeAt(0)] = meaning.charCodeAt(0)
  return table
}

/** True for a letter that makes an escape of two characters. */
export function isSimpleEscape(letter: number): boolean {
  return (SIMPLE_ESCAPES[letter] ?? 0) !== 0
}
