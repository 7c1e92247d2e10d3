/** Values as Java reads and compares them: properties are texts, which become numbers of the kind that they are compared with. */
import type { SqlNumber } from './sql-expression.ts'

const INTEGER = /^[+-]?\d+$/
const DOUBLE = /^[+-]?(?:NaN|Infinity|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fFdD]?)$/
// What Java's `String.trim` takes away, which is not what JavaScript's does.
const MARGINS = /^[\0- ]+|[\0- ]+$/g
const INT_MIN = -0x8000_0000
const INT_MAX = 0x7fff_ffff
const LONG_MIN = -0x8000_0000_0000_0000n
const LONG_MAX = 0x7fff_ffff_ffff_ffffn

/** `Integer.valueOf`; null when it throws. */
export function parseInt32(text: string): number | null {
  const value = INTEGER.test(text) ? Number(text) : Number.NaN
  return value >= INT_MIN && value <= INT_MAX ? value : null
}

/** `Long.valueOf`; null when it throws. */
export function parseInt64(text: string): bigint | null {
  if (!INTEGER.test(text)) return null
  const value = BigInt(text.startsWith('+') ? text.slice(1) : text)
  return value >= LONG_MIN && value <= LONG_MAX ? value : null
}

/** `Double.valueOf`, but for its hexadecimal form; null when it throws. */
export function parseDouble(text: string): number | null {
  const trimmed = text.replaceAll(MARGINS, '')
  if (!DOUBLE.test(trimmed)) return null
  const digits = trimmed.replace(/[fFdD]$/, '')
  return digits.endsWith('NaN') ? Number.NaN : Number(digits)
}

/** `Double.compareTo`: NaN is greater than all others, 0 greater than -0. */
export function compareDoubles(left: number, right: number): number {
  if (left < right) return -1
  if (left > right) return 1
  if (Object.is(left, right)) return 0
  if (Number.isNaN(left)) return 1
  return Number.isNaN(right) || Object.is(left, -0) ? -1 : 1
}

export function compareNumbers(left: SqlNumber, right: SqlNumber): number {
  if (left.type === 'double' || right.type === 'double') {
    return compareDoubles(Number(left.value), Number(right.value))
  }
  if (left.value === right.value) return 0
  return left.value < right.value ? -1 : 1
}

/** A text compared with a number, as Java reads it for that; null when it is no such number. */
export function compareText(text: string, number: SqlNumber): number | null {
  if (number.type === 'int') {
    const value = parseInt32(text)
    return value === null ? null : value - number.value
  }
  if (number.type === 'long') {
    const value = parseInt64(text)
    if (value === null) return null
    if (value === number.value) return 0
    return value < number.value ? -1 : 1
  }
  const value = parseDouble(text)
  return value === null ? null : compareDoubles(value, number.value)
}

export function negated(number: SqlNumber): SqlNumber {
  return number.type === 'long'
    ? { type: 'long', value: -number.value }
    : { type: number.type, value: -number.value }
}
