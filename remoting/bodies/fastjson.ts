/**
 * The JSON of bodies as RocketMQ's peers read and write it (protocol §13.0).
 *
 * The reader takes, beyond standard JSON: unquoted keys (numbers and names), single quotes, objects as keys (`{{"topic":"T"}:1}`) and
 * trailing commas. `{"$ref":…}` is read as the object it looks like. Nothing is ever evaluated, members land in a `Map`, so that a name
 * like `__proto__` is a name like any other; depth and count are limited. The writer sorts the members of records by name and leaves out
 * those that are null, as Java does.
 */
import { RemotingError } from '../errors.ts'
import { JSON_MAX_DEPTH } from '../limits.ts'

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject

/** Members in the order of the text, the last of several equal keys counting; numeric keys are their text. */
export type JsonObject = ReadonlyMap<JsonKey, JsonValue>

/** Objects as keys are compared by identity. */
export type JsonKey = string | JsonObject

/** What can be written: records and maps nest freely; a map's keys may be numbers or records. */
export type BodyValue =
  | null
  | undefined
  | boolean
  | number
  | string
  | readonly BodyValue[]
  | BodyRecord
  | BodyMap

export interface BodyRecord {
  readonly [name: string]: BodyValue
}

export interface BodyMap extends ReadonlyMap<BodyKey, BodyValue> {}

export type BodyKey = string | number | BodyRecord | BodyMap

/**
 * `standard`: numeric keys in quotes, ASCII with escapes; what routes need for clients from version 401 on, and harmless elsewhere.
 * `fastjson`: numeric keys without quotes, as Java writes them for older clients. Keys that are objects are the same in both.
 */
export type JsonDialect = 'standard' | 'fastjson'

/** Most values in one document. */
const MAX_VALUES = 4_000_000

const TAB = 9
const LINE_FEED = 10
const CARRIAGE_RETURN = 13
const SPACE = 32
const DOUBLE_QUOTE = 34
const SINGLE_QUOTE = 39
const COMMA = 44
const COLON = 58
const OPEN_BRACKET = 91
const BACKSLASH = 92
const CLOSE_BRACKET = 93
const OPEN_BRACE = 123
const CLOSE_BRACE = 125

/** Characters of an unquoted token: numbers, `true`, names. */
const BARE = /[-+.$\w]*/y
const NUMBER = /^-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?$/

/** Parses one document; throws `RemotingError` (`malformed`, `tooLarge`). An empty source is `null`. */
export function parseFastjson(source: Buffer | string): JsonValue {
  const reader = new Reader(typeof source === 'string' ? source : source.toString('utf8'))
  return reader.document()
}

class Reader {
  readonly #text: string
  #at = 0
  #values = 0

  constructor(text: string) {
    this.#text = text
  }

  document(): JsonValue {
    if (this.#peek() === -1) return null
    const value = this.#value(0)
    if (this.#peek() !== -1) throw this.#malformed('something follows the document')
    return value
  }

  #value(depth: number): JsonValue {
    this.#count(depth)
    const first = this.#peek()
    if (first === OPEN_BRACE) return this.#object(depth)
    if (first === OPEN_BRACKET) return this.#list(depth)
    if (first === DOUBLE_QUOTE || first === SINGLE_QUOTE) return this.#string(first)
    const token = this.#bare()
    if (token === 'null') return null
    if (token === 'true') return true
    if (token === 'false') return false
    if (NUMBER.test(token)) return Number(token)
    throw this.#malformed('a value was expected')
  }

  #object(depth: number): JsonObject {
    const members = new Map<JsonKey, JsonValue>()
    this.#at++
    while (this.#peek() !== CLOSE_BRACE) {
      const first = this.#peek()
      const key = first === OPEN_BRACE ? this.#objectKey(depth + 1) : this.#key(first)
      if (this.#peek() !== COLON) throw this.#malformed('a colon was expected')
      this.#at++
      members.set(key, this.#value(depth + 1))
      this.#separator(CLOSE_BRACE)
    }
    this.#at++
    return members
  }

  #objectKey(depth: number): JsonObject {
    this.#count(depth)
    return this.#object(depth)
  }

  #count(depth: number): void {
    this.#values++
    if (this.#values > MAX_VALUES) throw tooLarge('values')
    if (depth > JSON_MAX_DEPTH) throw tooLarge('levels')
  }

  #list(depth: number): readonly JsonValue[] {
    const values: JsonValue[] = []
    this.#at++
    while (this.#peek() !== CLOSE_BRACKET) {
      values.push(this.#value(depth + 1))
      this.#separator(CLOSE_BRACKET)
    }
    this.#at++
    return values
  }

  #separator(close: number): void {
    const next = this.#peek()
    if (next === COMMA) this.#at++
    else if (next !== close) throw this.#malformed('a comma was expected')
  }

  #key(first: number): string {
    if (first === DOUBLE_QUOTE || first === SINGLE_QUOTE) return this.#string(first)
    const token = this.#bare()
    if (token === '') throw this.#malformed('a key was expected')
    return token
  }

  #bare(): string {
    BARE.lastIndex = this.#at
    const token = BARE.exec(this.#text)?.[0] ?? ''
    this.#at += token.length
    return token
  }

  #string(quote: number): string {
    const start = this.#at + 1
    let end = start
    let isEscaped = false
    for (;;) {
      const code = this.#text.charCodeAt(end)
      if (Number.isNaN(code)) throw this.#malformed('a string does not end')
      if (code === quote) break
      if (code === BACKSLASH) {
        isEscaped = true
        end++
      }
      end++
    }
    this.#at = end + 1
    const raw = this.#text.slice(start, end)
    return isEscaped ? unescape(raw) : copyOf(raw)
  }

  /** The next character that is not white space, without consuming it; -1 at the end. */
  #peek(): number {
    while (this.#at < this.#text.length) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== SPACE && code !== TAB && code !== LINE_FEED && code !== CARRIAGE_RETURN) {
        return code
      }
      this.#at++
    }
    return -1
  }

  #malformed(what: string): RemotingError {
    return malformedBody(`malformed JSON at character ${this.#at}: ${what}`)
  }
}

/** The error of every body that is not what it should be. */
export function malformedBody(message: string): RemotingError {
  return new RemotingError('malformed', message)
}

function tooLarge(what: string): RemotingError {
  return new RemotingError('tooLarge', `a JSON document has too many ${what}`)
}

const ESCAPE = /\\(?:u([\da-fA-F]{4})|x([\da-fA-F]{2})|([\s\S]))/g
const ESCAPED: ReadonlyMap<string, string> = new Map([
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\u000b'],
])

/** Resolves JSON's and fastjson's escapes; an unknown one stands for its character. */
function unescape(raw: string): string {
  return raw.replace(ESCAPE, (_match, four?: string, two?: string, single?: string) => {
    const hex = four ?? two
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16))
    return ESCAPED.get(single ?? '') ?? single ?? ''
  })
}

/** A copy of short text that does not keep the whole document alive (V8 slices from 13 characters on). */
function copyOf(raw: string): string {
  return raw.length < 13 || raw.length > 1024 ? raw : Buffer.from(raw).toString()
}

/** Writes a body; see `JsonDialect`. */
export function formatFastjson(value: BodyValue, dialect: JsonDialect = 'standard'): Buffer {
  const text = format(value, dialect)
  return Buffer.from(dialect === 'standard' ? escapeNonAscii(text) : text)
}

function format(value: BodyValue, dialect: JsonDialect): string {
  if (value === null || value === undefined) return 'null'
  if (typeof value !== 'object') return JSON.stringify(value)
  if (isList(value)) return `[${value.map((item) => format(item, dialect)).join(',')}]`
  if (isMap(value)) return formatMap(value, dialect)
  const members: string[] = []
  for (const name of Object.keys(value).sort()) {
    const member = value[name]
    if (member === null || member === undefined) continue
    members.push(`${JSON.stringify(name)}:${format(member, dialect)}`)
  }
  return `{${members.join(',')}}`
}

function formatMap(map: BodyMap, dialect: JsonDialect): string {
  const members: string[] = []
  for (const [key, value] of map)
    members.push(`${formatKey(key, dialect)}:${format(value, dialect)}`)
  return `{${members.join(',')}}`
}

function formatKey(key: BodyKey, dialect: JsonDialect): string {
  if (typeof key === 'number') return dialect === 'standard' ? `"${key}"` : String(key)
  return format(key, dialect)
}

// Predicates of their own: `Array.isArray` and `instanceof Map` do not narrow the readonly types.
function isList(value: object): value is readonly BodyValue[] {
  return Array.isArray(value)
}

function isMap(value: object): value is BodyMap {
  return value instanceof Map
}

function escapeNonAscii(text: string): string {
  return text.replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
