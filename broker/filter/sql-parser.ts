/**
 * The grammar of Java's SelectorParser, by recursive descent: the same expressions are taken, the same are refused.
 *
 * As in Java, what follows a complete expression is not looked at further than its first word.
 */
import { FilterSyntaxError, SqlLexer } from './sql-lexer.ts'
import { isBoolean, isConstant } from './sql-expression.ts'
import { compareNumbers } from './sql-values.ts'
import type { Comparison, Expression, SqlNumber, TextTest } from './sql-expression.ts'
import type { Token, TokenType } from './sql-lexer.ts'

/** Characters. */
export const EXPRESSION_LENGTH_MAX = 65_536
/** Parts within parts. */
export const EXPRESSION_DEPTH_MAX = 256
/** Parts in all: as many steps an evaluation takes at most, those of a BETWEEN counting twice. */
export const EXPRESSION_PARTS_MAX = 8192

const LONG_MAX = 0x7fff_ffff_ffff_ffffn
const INT_MAX = 0x7fff_ffffn

/** Throws `FilterSyntaxError` for what is no expression, or too large a one. */
export function parseSql(text: string): Expression {
  if (text.length > EXPRESSION_LENGTH_MAX) {
    throw new FilterSyntaxError(
      `the expression has ${text.length} characters, more than ${EXPRESSION_LENGTH_MAX}`,
    )
  }
  return new SqlParser(text).parse()
}

class SqlParser {
  readonly #lexer: SqlLexer
  #depth = 0
  #parts = 0

  constructor(text: string) {
    this.#lexer = new SqlLexer(text)
  }

  parse(): Expression {
    return condition(this.#or())
  }

  #or(): Expression {
    return this.#chain('OR', 'or', () => this.#chain('AND', 'and', () => this.#equality()))
  }

  #chain(word: TokenType, type: 'and' | 'or', part: () => Expression): Expression {
    const first = part()
    if (this.#lexer.peek() !== word) return first
    const operands = [condition(first)]
    while (this.#takes(word)) operands.push(condition(part()))
    return this.#counted({ type, operands })
  }

  #equality(): Expression {
    let left = this.#comparison()
    const depth = this.#depth
    for (;;) {
      const type = this.#lexer.peek()
      if (type !== '=' && type !== '<>' && type !== 'IS') break
      this.#deeper()
      this.#lexer.next()
      if (type === 'IS') {
        const isNegated = this.#takes('NOT')
        this.#expect('NULL')
        const isNull = this.#counted({ type: 'isNull', operand: left })
        left = isNegated ? this.#counted({ type: 'not', operand: isNull }) : isNull
        continue
      }
      const equal = this.#counted(equality(left, this.#comparison()))
      left = type === '<>' ? this.#counted({ type: 'not', operand: equal }) : equal
    }
    this.#depth = depth
    return left
  }

  #comparison(): Expression {
    let left = this.#unary()
    const depth = this.#depth
    for (let next = this.#compared(left); next !== null; next = this.#compared(left)) {
      this.#deeper()
      left = next
    }
    this.#depth = depth
    return left
  }

  /** `left` with the comparison that follows it; null when none does. */
  #compared(left: Expression): Expression | null {
    const isNegated = this.#lexer.peek() === 'NOT'
    const type = this.#lexer.peek(isNegated ? 1 : 0)
    switch (type) {
      case '>':
      case '>=':
      case '<':
      case '<=':
        if (isNegated) break
        this.#lexer.next()
        return this.#counted(comparison(type, left, this.#unary()))
      case 'CONTAINS':
      case 'STARTSWITH':
      case 'ENDSWITH':
        this.#skip(isNegated)
        return this.#textTest(type, isNegated, left)
      case 'BETWEEN':
        this.#skip(isNegated)
        return this.#between(left, isNegated)
      case 'IN':
        this.#skip(isNegated)
        return this.#in(left, isNegated)
      default:
    }
    if (isNegated) throw this.#unexpected(this.#lexer.next())
    return null
  }

  #textTest(test: TextTest, isNegated: boolean, operand: Expression): Expression {
    const search = this.#expect('string').text
    return this.#counted({ type: 'text', test, isNegated, operand, search })
  }

  #between(value: Expression, isNegated: boolean): Expression {
    const low = this.#unary()
    this.#expect('AND')
    const high = this.#unary()
    if (!isNegated) checkRange(low, high)
    const operands = isNegated
      ? [comparison('<', value, low), comparison('>', value, high)]
      : [comparison('>=', value, low), comparison('<=', value, high)]
    for (const operand of operands) this.#counted(operand)
    return this.#counted({ type: isNegated ? 'or' : 'and', operands })
  }

  #in(left: Expression, isNegated: boolean): Expression {
    this.#expect('(')
    const values = [this.#expect('string').text]
    while (this.#takes(',')) values.push(this.#expect('string').text)
    this.#expect(')')
    if (left.type !== 'property') {
      throw new FilterSyntaxError('IN asks for a property on its left')
    }
    return this.#counted({ type: 'in', name: left.name, isNegated, values })
  }

  #unary(): Expression {
    this.#deeper()
    const expression = this.#unaryWithin()
    this.#depth--
    return expression
  }

  #unaryWithin(): Expression {
    if (this.#takes('+')) return this.#unary()
    if (this.#takes('-')) return this.#counted({ type: 'negate', operand: this.#unary() })
    if (this.#takes('NOT')) {
      return this.#counted({ type: 'not', operand: condition(this.#unary()) })
    }
    const token = this.#lexer.next()
    switch (token.type) {
      case 'string':
        return this.#counted({ type: 'string', value: token.text })
      case 'integer':
        return this.#counted({ type: 'number', number: integer(token.text) })
      case 'decimal':
        return this.#counted({ type: 'number', number: decimal(token.text) })
      case 'TRUE':
      case 'FALSE':
        return this.#counted({ type: 'boolean', value: token.type === 'TRUE' })
      case 'NULL':
        return this.#counted({ type: 'null' })
      case 'name':
        return this.#counted({ type: 'property', name: token.text })
      case '(': {
        const inner = this.#or()
        this.#expect(')')
        return inner
      }
      default:
        throw this.#unexpected(token)
    }
  }

  #takes(type: TokenType): boolean {
    if (this.#lexer.peek() !== type) return false
    this.#lexer.next()
    return true
  }

  /** Moves over a word of one token, or over NOT and a word. */
  #skip(isNegated: boolean): void {
    if (isNegated) this.#lexer.next()
    this.#lexer.next()
  }

  #expect(type: TokenType): Token {
    const token = this.#lexer.next()
    if (token.type !== type) throw this.#unexpected(token, type)
    return token
  }

  #unexpected({ type, text, at }: Token, wanted?: TokenType): FilterSyntaxError {
    const found = type === 'end' ? 'the end' : `'${text.slice(0, 64)}' at ${at}`
    return new FilterSyntaxError(
      wanted === undefined ? `unexpected ${found}` : `expected ${wanted}, found ${found}`,
    )
  }

  #deeper(): void {
    this.#depth++
    if (this.#depth > EXPRESSION_DEPTH_MAX) {
      throw new FilterSyntaxError(`the expression is nested deeper than ${EXPRESSION_DEPTH_MAX}`)
    }
  }

  #counted(expression: Expression): Expression {
    this.#parts++
    if (this.#parts > EXPRESSION_PARTS_MAX) {
      throw new FilterSyntaxError(`the expression has more than ${EXPRESSION_PARTS_MAX} parts`)
    }
    return expression
  }
}

function condition(expression: Expression): Expression {
  if (isBoolean(expression)) return expression
  if (expression.type === 'property') return { type: 'condition', operand: expression }
  throw new FilterSyntaxError(`a ${expression.type} stands where a condition is asked for`)
}

function equality(left: Expression, right: Expression): Expression {
  if (left.type === 'null' || right.type === 'null') {
    throw new FilterSyntaxError('NULL cannot be compared: use IS NULL')
  }
  if (left.type === 'boolean' && isConstant(right) && right.type !== 'boolean') {
    throw new FilterSyntaxError(`TRUE and FALSE cannot be compared with a ${right.type}`)
  }
  return { type: 'equal', left, right }
}

function comparison(sign: Comparison, left: Expression, right: Expression): Expression {
  for (const operand of [left, right]) {
    if (operand.type !== 'string' && !isBoolean(operand)) continue
    throw new FilterSyntaxError(`a ${operand.type} cannot be compared by ${sign}`)
  }
  return { type: 'compare', sign, left, right }
}

function checkRange(low: Expression, high: Expression): void {
  if (low.type !== 'number' || high.type !== 'number') return
  if (compareNumbers(high.number, low.number) >= 0) return
  throw new FilterSyntaxError('the first value of BETWEEN is greater than the second one')
}

function integer(text: string): SqlNumber {
  const value = BigInt(text.replace(/l$/i, ''))
  if (value > LONG_MAX) throw new FilterSyntaxError(`${text} is greater than ${LONG_MAX}`)
  return value > INT_MAX ? { type: 'long', value } : { type: 'int', value: Number(value) }
}

function decimal(text: string): SqlNumber {
  const value = Number(text)
  if (value > Number.MAX_VALUE) {
    throw new FilterSyntaxError(`${text} is greater than ${Number.MAX_VALUE}`)
  }
  // Java refuses 0.0 too: there, the least double is the least positive one.
  if (value < Number.MIN_VALUE) {
    throw new FilterSyntaxError(`${text} is less than ${Number.MIN_VALUE}`)
  }
  return { type: 'double', value }
}
