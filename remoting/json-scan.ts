/**
 * Where the pieces of a JSON header lie, without an object or a string: strings, numbers and blanks of standard JSON in UTF-8.
 *
 * Positions count from the start of the source; functions return -1 for what is not standard JSON, or is not of the plain kind.
 */
import { hexUnit, isSimpleEscape } from './request-frame.ts'

const MAX_DIGITS = 15

const SPACE = 0x20
const QUOTE = 0x22
export const COMMA = 0x2c
const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39
const COLON = 0x3a
const BACKSLASH = 0x5c
const LETTER_U = 0x75
export const CLOSE_BRACE = 0x7d

const TRUE = Buffer.from('true')
const FALSE = Buffer.from('false')
const NULL = Buffer.from('null')

/**
 * Twice the position of the quote that ends the string from `start` on, and 1 when the string has escapes: one number says both.
 */
export function endOfString(source: Buffer, start: number, end: number): number {
  // Many values and names are one character. Positions are kept small integers (`| 0`) for the compiler.
  if (start + 1 < end && source[start + 1] === QUOTE && isPlain(source[start] ?? 0)) {
    return (start + 1) << 1
  }
  let escapes = 0
  let at = start | 0
  for (;;) {
    let byte = 0
    while (at < end) {
      byte = source[at] ?? 0
      if (!isPlain(byte)) break
      at = (at + 1) | 0
    }
    if (at >= end) return -1
    if (byte === QUOTE) return (at << 1) | escapes
    if (byte === BACKSLASH) {
      escapes = 1
      at = endOfEscape(source, at, end)
      if (at < 0) return -1
    } else if (byte < SPACE) return -1
    else at = (at + 1) | 0
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

export function skipSpace(source: Buffer, start: number, end: number): number {
  let at = start
  while (at < end) {
    const byte = source[at]
    if (byte !== SPACE && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
    at++
  }
  return at
}

/** Where the value stands behind the colon that follows a name; -1 without a colon. */
export function valueAfter(source: Buffer, start: number, end: number): number {
  const at = source[start] === COLON ? start : skipSpace(source, start, end)
  if (source[at] !== COLON) return -1
  return source[at + 1] === QUOTE ? at + 1 : skipSpace(source, at + 1, end)
}

export function isName(source: Buffer, start: number, end: number, name: Uint8Array): boolean {
  return end - start === name.length && isAt(source, start, name)
}

export function isAt(source: Buffer, start: number, name: Uint8Array): boolean {
  for (let index = 0; index < name.length; index++) {
    if (source[start + index] !== name[index]) return false
  }
  return true
}

/** Where the integer, `true` or `false` at `at` ends; -1 when there is none. */
export function endOfLiteral(source: Buffer, at: number, end: number): number {
  if (at + TRUE.length <= end && isAt(source, at, TRUE)) return at + TRUE.length
  if (at + FALSE.length <= end && isAt(source, at, FALSE)) return at + FALSE.length
  return endOfInteger(source, at, end)
}

/** Where the integer at `at` ends, whose digits are those that JavaScript would print; -1 when there is none. */
export function endOfInteger(source: Buffer, start: number, end: number): number {
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

export function integerIn(source: Buffer, start: number, end: number): number {
  const isNegative = source[start] === MINUS
  let value = 0
  for (let at = isNegative ? start + 1 : start; at < end; at++) {
    value = value * 10 + (source[at] ?? 0) - ZERO
  }
  return isNegative ? -value : value
}

/** Where the string, number, boolean or null at `at` ends; -1 when there is none of them. */
export function skipScalar(source: Buffer, at: number, end: number): number {
  if (source[at] === QUOTE) {
    const found = endOfString(source, at + 1, end)
    return found < 0 ? -1 : (found >> 1) + 1
  }
  if (at + NULL.length <= end && isAt(source, at, NULL)) return at + NULL.length
  return endOfLiteral(source, at, end)
}
