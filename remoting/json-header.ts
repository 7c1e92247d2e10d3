/**
 * The JSON header, serialization type JSON (protocol §1.1).
 *
 * The ordinary header — one object of strings, numbers and booleans with one such object inside — goes through the built-in parser, which
 * with a `Map` of strings as the result beat a scanner in JavaScript (2.3 against 3.0 us for a send of the Java client). Everything else
 * (nested values, exotic quoting) goes through the lenient reader of bodies with its limits.
 */
import { parseFastjson } from './bodies/fastjson.ts'
import type { JsonObject, JsonValue } from './bodies/fastjson.ts'
import type { Header } from './binary-header.ts'
import { LanguageCode, NO_FIELDS } from './command.ts'
import type { ExtFields } from './command.ts'
import { RemotingError } from './errors.ts'
import { HEADER_MAX_FIELDS } from './limits.ts'

const LANGUAGE_NAMES: ReadonlyMap<string, LanguageCode> = new Map(Object.entries(LanguageCode))
const LANGUAGE_OF_CODE: readonly string[] = Object.keys(LanguageCode)

type Scalar = string | number | boolean | null

/** Reads the header in `source[start, end)`; throws `RemotingError` (`malformed`, `tooLarge`). */
export function decodeJsonHeader(source: Buffer, start: number, end: number): Header {
  const text = source.toString('utf8', start, end)
  return ordinaryHeader(text) ?? headerOf(parseFastjson(text))
}

/** Null when the header is not of the ordinary form. */
function ordinaryHeader(text: string): Header | null {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return null
  }
  if (!isRecord(json)) return null
  const parts = new HeaderParts()
  for (const key of Object.keys(json)) {
    const value = json[key]
    if (isScalar(value)) {
      parts.set(key, value)
    } else {
      const fields = key === 'extFields' && isRecord(value) ? ordinaryFields(value) : null
      if (fields === null) return null
      parts.extFields = fields
    }
  }
  return parts.finish()
}

function ordinaryFields(json: Readonly<Record<string, unknown>>): ExtFields | null {
  const keys = Object.keys(json)
  if (keys.length > HEADER_MAX_FIELDS) throw tooManyFields()
  const fields = new Map<string, string>()
  for (const key of keys) {
    const value = json[key]
    if (typeof value === 'string') fields.set(key, value)
    else if (!isScalar(value)) return null
    else if (value !== null) fields.set(key, String(value))
  }
  return fields
}

function isRecord(json: unknown): json is Readonly<Record<string, unknown>> {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}

function isScalar(json: unknown): json is Scalar {
  return json === null || typeof json !== 'object'
}

class HeaderParts {
  #code = 0
  #language: LanguageCode = LanguageCode.OTHER
  #version = 0
  #opaque = 0
  #flag = 0
  #remark: string | null = null
  extFields: ExtFields = NO_FIELDS

  set(key: string, value: Scalar): void {
    if (value === null) return
    switch (key) {
      case 'code':
        this.#code = integer(key, value)
        break
      case 'language':
        this.#language = LANGUAGE_NAMES.get(String(value)) ?? LanguageCode.OTHER
        break
      case 'version':
        this.#version = integer(key, value)
        break
      case 'opaque':
        this.#opaque = integer(key, value)
        break
      case 'flag':
        this.#flag = integer(key, value)
        break
      case 'remark':
        this.#remark = String(value)
        break
      default:
        break
    }
  }

  finish(): Header {
    return {
      code: this.#code,
      language: this.#language,
      version: this.#version,
      opaque: this.#opaque,
      flag: this.#flag,
      remark: this.#remark,
      extFields: this.extFields,
    }
  }
}

/** A 32-bit integer; peers that send something else there are broken. */
function integer(key: string, value: Scalar): number {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value
  if (typeof number !== 'number' || number !== (number | 0)) {
    throw new RemotingError('malformed', `malformed JSON header: ${key} is no 32-bit integer`)
  }
  return number
}

function headerOf(json: JsonValue): Header {
  if (!isObject(json)) throw new RemotingError('malformed', 'malformed JSON header: no object')
  const parts = new HeaderParts()
  for (const [key, value] of json) {
    if (key === 'extFields') parts.extFields = extFieldsOf(value)
    else if (typeof key === 'string') parts.set(key, textOf(value))
  }
  return parts.finish()
}

function extFieldsOf(json: JsonValue): ExtFields {
  if (json === null) return NO_FIELDS
  if (!isObject(json)) {
    throw new RemotingError('malformed', 'malformed JSON header: extFields is no object')
  }
  if (json.size > HEADER_MAX_FIELDS) throw tooManyFields()
  const fields = new Map<string, string>()
  for (const [key, value] of json) {
    const text = textOf(value)
    if (text !== null && typeof key === 'string') fields.set(key, text)
  }
  return fields
}

function isObject(json: JsonValue): json is JsonObject {
  return json instanceof Map
}

/** The text of a scalar; nested values have no place in a header and count as absent. */
function textOf(json: JsonValue): string | null {
  return json === null || typeof json === 'object' ? null : String(json)
}

function tooManyFields(): RemotingError {
  return new RemotingError('tooLarge', `a header has more than ${HEADER_MAX_FIELDS} ext fields`)
}

/** The header as Java writes it: members sorted by name, absent ones left out. */
export function encodeJsonHeader(header: Header): string {
  let text = `{"code":${header.code},"extFields":{`
  let separator = ''
  for (const [key, value] of header.extFields) {
    text += `${separator}${quote(key)}:${quote(value)}`
    separator = ','
  }
  text += `},"flag":${header.flag},"language":"${LANGUAGE_OF_CODE[header.language] ?? 'OTHER'}","opaque":${header.opaque}`
  if (header.remark !== null) text += `,"remark":${quote(header.remark)}`
  return `${text},"serializeTypeCurrentRPC":"JSON","version":${header.version}}`
}

const NEEDS_ESCAPES = /[^ !#-[\]-~]/

/** Most fields are plain, and for those this costs a third of `JSON.stringify`. */
function quote(text: string): string {
  return NEEDS_ESCAPES.test(text) ? JSON.stringify(text) : `"${text}"`
}
