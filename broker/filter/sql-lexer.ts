/**
 * The words of a SQL92 expression, one after the other as they are asked for, cut as Java's SelectorParser cuts them: always the longest
 * one that fits, keywords in any case.
 *
 * What is not asked for is never looked at: like Java, the parser stops where an expression is complete.
 */

export const KEYWORDS = [
  'NOT',
  'AND',
  'OR',
  'BETWEEN',
  'IN',
  'TRUE',
  'FALSE',
  'NULL',
  'IS',
  'CONTAINS',
  'STARTSWITH',
  'ENDSWITH',
] as const
type Keyword = (typeof KEYWORDS)[number]
type Sign = '=' | '<>' | '>' | '>=' | '<' | '<=' | '(' | ')' | ',' | '+' | '-'

/** Keywords and signs are their own type. */
export type TokenType = Keyword | Sign | 'string' | 'integer' | 'decimal' | 'name' | 'end'

export interface Token {
  readonly type: TokenType
  readonly text: string
  /** Where it begins in the expression, for people. */
  readonly at: number
}

/** Why an expression is refused, for people. */
export class FilterSyntaxError extends Error {
  override readonly name = 'FilterSyntaxError'
}

const SIGNS: readonly Sign[] = ['<>', '>=', '<=', '=', '>', '<', '(', ')', ',', '+', '-']
const NOTHING = /(?:[ \t\n\r\f]|--[^\n\r]*(?:\r\n|\n|\r)|\/\*[^*]*\*(?:\*|[^*/][^*]*\*)*\/)+/y
const STRING = /'(?:''|[^'])*'/y
const DECIMAL = /\d+\.\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|\d+e[+-]?\d+/iy
const INTEGER = /0|[1-9]\d*l?/iy
const NAME = /[a-z_$][a-z0-9_$]*/iy

export class SqlLexer {
  readonly #text: string
  #at = 0
  #ahead: Token[] = []

  constructor(text: string) {
    this.#text = text
  }

  /** The type of the next word, or of one further on, without taking it. */
  peek(distance = 0): TokenType {
    while (this.#ahead.length <= distance) this.#ahead.push(this.#read())
    return this.#ahead[distance]?.type ?? 'end'
  }

  next(): Token {
    return this.#ahead.shift() ?? this.#read()
  }

  #read(): Token {
    this.#skip(NOTHING)
    const at = this.#at
    if (at >= this.#text.length) return { type: 'end', text: '', at }
    const string = this.#skip(STRING)
    if (string !== null) {
      return { type: 'string', text: string.slice(1, -1).replaceAll("''", "'"), at }
    }
    const decimal = this.#skip(DECIMAL)
    if (decimal !== null) return { type: 'decimal', text: decimal, at }
    const integer = this.#skip(INTEGER)
    if (integer !== null) return { type: 'integer', text: integer, at }
    const name = this.#skip(NAME)
    if (name !== null) {
      const upper = name.toUpperCase()
      const keyword = KEYWORDS.find((word) => word === upper)
      return { type: keyword ?? 'name', text: name, at }
    }
    const sign = SIGNS.find((each) => this.#text.startsWith(each, at))
    if (sign === undefined) {
      throw new FilterSyntaxError(`unexpected character ${shown(this.#text.slice(at))} at ${at}`)
    }
    this.#at += sign.length
    return { type: sign, text: sign, at }
  }

  /** Moves over what `pattern` finds here, and returns it. */
  #skip(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0]
    if (found === undefined) return null
    this.#at += found.length
    return found
  }
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 1))
}
