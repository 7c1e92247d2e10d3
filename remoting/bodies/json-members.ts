/** Typed access to the members of a parsed body. A member that is absent or null is `null`; one of the wrong type throws `RemotingError` (`malformed`) with its name. */
import { malformedBody } from './fastjson.ts'
import type { JsonObject, JsonValue } from './fastjson.ts'

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return value instanceof Map
}

/** What an absent object stands for. */
export const EMPTY_OBJECT: JsonObject = new Map()

export function isJsonArray(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value)
}

export function asObject(value: JsonValue | undefined, what: string): JsonObject {
  if (!isJsonObject(value)) throw malformedBody(`${what} is no object`)
  return value
}

export function optionalObject(of: JsonObject, name: string): JsonObject | null {
  const value = of.get(name)
  return value === undefined || value === null ? null : asObject(value, name)
}

/** An absent list is empty. */
export function listMember(of: JsonObject, name: string): readonly JsonValue[] {
  const value = of.get(name)
  if (value === undefined || value === null) return []
  if (!isJsonArray(value)) throw malformedBody(`${name} is no list`)
  return value
}

/** Numbers and booleans are taken as their text. */
export function optionalText(of: JsonObject, name: string): string | null {
  const value = of.get(name)
  if (value === undefined || value === null) return null
  if (typeof value === 'object') throw malformedBody(`${name} is no text`)
  return String(value)
}

export function textMember(of: JsonObject, name: string): string {
  const value = optionalText(of, name)
  if (value === null) throw malformedBody(`${name} is missing`)
  return value
}

/** An integer, also when it is written as text. */
export function optionalInteger(of: JsonObject, name: string): number | null {
  const value = of.get(name)
  if (value === undefined || value === null || value === '') return null
  const number = typeof value === 'string' ? Number(value) : value
  if (typeof number !== 'number' || !Number.isInteger(number)) {
    throw malformedBody(`${name} is no integer`)
  }
  return number
}

export function integerMember(of: JsonObject, name: string, absent?: number): number {
  const value = optionalInteger(of, name) ?? absent
  if (value === undefined) throw malformedBody(`${name} is missing`)
  return value
}

export function booleanMember(of: JsonObject, name: string, absent: boolean): boolean {
  const value = of.get(name)
  if (value === undefined || value === null) return absent
  if (typeof value === 'boolean') return value
  if (value === 'true' || value === 1) return true
  if (value === 'false' || value === 0) return false
  throw malformedBody(`${name} is neither true nor false`)
}

/** The entries of a map with text keys; keys that are objects are refused. */
export function textEntries(of: JsonObject): readonly (readonly [string, JsonValue])[] {
  const entries: (readonly [string, JsonValue])[] = []
  for (const [key, value] of of) {
    if (typeof key !== 'string') throw malformedBody('an object stands where a name is expected')
    entries.push([key, value])
  }
  return entries
}

/** A map of texts, as attributes and KV tables are; values that are null are left out. */
export function textMap(of: JsonObject): ReadonlyMap<string, string> {
  const result = new Map<string, string>()
  for (const [key, value] of textEntries(of)) {
    if (value === null) continue
    if (typeof value === 'object') throw malformedBody(`${key} is no text`)
    result.set(key, String(value))
  }
  return result
}

/** A list of texts. */
export function textList(of: JsonObject, name: string): readonly string[] {
  return listMember(of, name).map((item) => {
    if (item === null || typeof item === 'object') throw malformedBody(`${name} holds no texts`)
    return String(item)
  })
}
