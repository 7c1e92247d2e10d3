/** Typed access to the ext fields of a request or answer: everything travels as a string (protocol §4). */
import { RemotingError } from './errors.ts'
import type { ExtFields } from './command.ts'

const INT_MAX = 0x7fff_ffff
const DECIMAL = /^[+-]?\d{1,19}$/

/** The text Java answers with when a required field is absent. */
function missing(name: string): RemotingError {
  return new RemotingError('invalidField', `the custom field <${name}> is null`)
}

function invalid(name: string, value: string, type: string): RemotingError {
  const shown = value.length > 64 ? `${value.slice(0, 64)}…` : value
  return new RemotingError('invalidField', `the custom field <${name}> is not ${type}: ${shown}`)
}

export function requireString(fields: ExtFields, name: string): string {
  const value = fields.get(name)
  if (value === undefined) throw missing(name)
  return value
}

export function optionalString(fields: ExtFields, name: string): string | null {
  return fields.get(name) ?? null
}

/** A 32-bit integer. */
export function requireInt(fields: ExtFields, name: string): number {
  return parseInt32(name, requireString(fields, name))
}

export function optionalInt(fields: ExtFields, name: string): number | null {
  const value = fields.get(name)
  return value === undefined ? null : parseInt32(name, value)
}

/** A 64-bit integer that a number holds exactly; others are refused. */
export function requireLong(fields: ExtFields, name: string): number {
  return parseLong(name, requireString(fields, name))
}

export function optionalLong(fields: ExtFields, name: string): number | null {
  const value = fields.get(name)
  return value === undefined ? null : parseLong(name, value)
}

/** As Java: `true` in any case is true, everything else false. */
export function optionalBoolean(fields: ExtFields, name: string): boolean | null {
  const value = fields.get(name)
  return value === undefined ? null : parseBoolean(value)
}

function parseInt32(name: string, value: string): number {
  const number = DECIMAL.test(value) ? Number(value) : Number.NaN
  if (!(number >= -INT_MAX - 1 && number <= INT_MAX)) throw invalid(name, value, 'an int')
  return number
}

function parseLong(name: string, value: string): number {
  const number = DECIMAL.test(value) ? Number(value) : Number.NaN
  if (!Number.isSafeInteger(number)) throw invalid(name, value, 'a long')
  return number
}

function parseBoolean(value: string): boolean {
  return value === 'true' || value.toLowerCase() === 'true'
}
