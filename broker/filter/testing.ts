/** For the tests: random expressions and messages, and a slow evaluation of an expression that is easy to check by eye. */
import fc from 'fast-check'
import { compareNumbers, compareText, compareDoubles, negated, parseDouble } from './sql-values.ts'
import type { Comparison, Expression, SqlNumber } from './sql-expression.ts'

type Value = string | boolean | null | SqlNumber

const NAMES = ['a', 'b', 'c'] as const
const TEXTS = ['5', '-3', '5.0', '3000000000', 'abc', 'true', 'TRUE', 'NaN', 'a', '']

export const MESSAGES: fc.Arbitrary<Record<string, string>> = fc.dictionary(
  fc.constantFrom(...NAMES),
  fc.constantFrom(...TEXTS.filter((text) => text !== '')),
)

const numbers: fc.Arbitrary<Expression> = fc
  .constantFrom<SqlNumber>(
    { type: 'int', value: 5 },
    { type: 'int', value: 0 },
    { type: 'long', value: 3_000_000_000n },
    { type: 'double', value: 5 },
    { type: 'double', value: 0.5 },
  )
  .map((number) => ({ type: 'number', number }))
const properties: fc.Arbitrary<Expression> = fc
  .constantFrom(...NAMES)
  .map((name) => ({ type: 'property', name }))
const strings: fc.Arbitrary<Expression> = fc
  .constantFrom(...TEXTS)
  .map((value) => ({ type: 'string', value }))

export const EXPRESSIONS: fc.Arbitrary<Expression> = fc.letrec<{ condition: Expression }>(
  (tie) => ({
    condition: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      leaf(),
      ...conditions(tie('condition')),
    ),
  }),
).condition

function leaf(): fc.Arbitrary<Expression> {
  return fc.oneof(
    fc.boolean().map((value): Expression => ({ type: 'boolean', value })),
    fc.constant<Expression>({ type: 'null' }),
    properties.map((operand): Expression => ({ type: 'condition', operand })),
    fc
      .record({
        name: fc.constantFrom(...NAMES),
        isNegated: fc.boolean(),
        values: fc.array(fc.constantFrom(...TEXTS), { minLength: 1, maxLength: 12 }),
      })
      .map((given): Expression => ({ type: 'in', ...given })),
  )
}

function conditions(condition: fc.Arbitrary<Expression>): readonly fc.Arbitrary<Expression>[] {
  const plain = fc.oneof(properties, numbers)
  const ordered = fc.oneof(
    plain,
    fc.oneof(plain, strings, condition).map((operand): Expression => ({ type: 'negate', operand })),
  )
  const any = fc.oneof(ordered, strings, condition)
  return [
    condition.map((operand): Expression => ({ type: 'not', operand })),
    fc
      .tuple(
        fc.constantFrom<'and' | 'or'>('and', 'or'),
        fc.array(condition, { minLength: 2, maxLength: 3 }),
      )
      .map(([type, operands]): Expression => ({ type, operands })),
    fc.tuple(any, any).map(([left, right]): Expression => ({ type: 'equal', left, right })),
    any.map((operand): Expression => ({ type: 'isNull', operand })),
    fc
      .tuple(fc.constantFrom<Comparison>('>', '>=', '<', '<='), ordered, ordered)
      .map(([sign, left, right]): Expression => ({ type: 'compare', sign, left, right })),
    fc
      .record({
        test: fc.constantFrom<'CONTAINS' | 'STARTSWITH' | 'ENDSWITH'>(
          'CONTAINS',
          'STARTSWITH',
          'ENDSWITH',
        ),
        isNegated: fc.boolean(),
        operand: any,
        search: fc.constantFrom(...TEXTS),
      })
      .map((given): Expression => ({ type: 'text', ...given })),
  ]
}

/** T, F, N or E as in testdata/verdicts.txt, by the rules of Java's filter one after the other. */
export function slowly(expression: Expression, given: ReadonlyMap<string, string>): string {
  try {
    const value = valueOf(expression, given)
    if (typeof value !== 'boolean') return 'N'
    return value ? 'T' : 'F'
  } catch {
    return 'E'
  }
}

function valueOf(expression: Expression, given: ReadonlyMap<string, string>): Value {
  const of = (operand: Expression) => valueOf(operand, given)
  switch (expression.type) {
    case 'number':
      return expression.number
    case 'string':
    case 'boolean':
      return expression.value
    case 'null':
      return null
    case 'property':
      return given.get(expression.name) ?? null
    case 'negate': {
      const value = of(expression.operand)
      return value !== null && typeof value === 'object' ? negated(value) : null
    }
    case 'condition':
      return of(expression.operand) === null ? null : false
    case 'not': {
      const value = of(expression.operand)
      return value === null ? null : value !== true
    }
    case 'and':
    case 'or':
      return chain(expression.operands, expression.type === 'or', of)
    case 'equal':
      return equal(of(expression.left), of(expression.right))
    case 'isNull':
      return of(expression.operand) === null
    case 'compare': {
      const left = of(expression.left)
      const right = left === null ? null : of(expression.right)
      return left === null || right === null ? null : holds(expression.sign, order(left, right))
    }
    case 'text': {
      if (expression.search === '') return false
      const value = of(expression.operand)
      if (typeof value !== 'string') return false
      const { search, test } = expression
      const isFound =
        test === 'CONTAINS'
          ? value.includes(search)
          : test === 'STARTSWITH'
            ? value.startsWith(search)
            : value.endsWith(search)
      return isFound !== expression.isNegated
    }
    case 'in': {
      const value = given.get(expression.name)
      return value === undefined ? null : expression.values.includes(value) !== expression.isNegated
    }
  }
}

/** One after the other, by pairs, as Java nests them. */
function chain(
  operands: readonly Expression[],
  decisive: boolean,
  of: (operand: Expression) => Value,
): boolean | null {
  let isUnknown = false
  for (const operand of operands) {
    const value = of(operand)
    if (value === decisive) return decisive
    isUnknown ||= value === null
  }
  return isUnknown ? null : !decisive
}

function equal(left: Value, right: Value): boolean | null {
  if (left === null) return right === null ? true : null
  if (right === null) return false
  if (typeof left === 'boolean' && typeof right === 'boolean') return left === right
  if (typeof left === 'string' && typeof right === 'string') return left === right
  if (typeof left === 'string' && typeof right === 'boolean') {
    return (left.toLowerCase() === 'true') === right
  }
  if (typeof left === 'boolean' && typeof right === 'string') throw new TypeError('no truth value')
  if (typeof left === 'boolean' || typeof right === 'boolean') return false
  return order(left, right) === 0
}

function order(left: Exclude<Value, null>, right: Exclude<Value, null>): number {
  if (typeof left === 'boolean' || typeof right === 'boolean') throw new TypeError('a truth value')
  const found = orderOf(left, right)
  if (found === null) throw new TypeError('no number')
  return found
}

function orderOf(left: string | SqlNumber, right: string | SqlNumber): number | null {
  if (typeof left === 'object') {
    if (typeof right === 'object') return compareNumbers(left, right)
    const reversed = compareText(right, left)
    return reversed === null ? null : -reversed
  }
  if (typeof right === 'object') return compareText(left, right)
  const x = parseDouble(left)
  const y = parseDouble(right)
  return x === null || y === null ? null : compareDoubles(x, y)
}

function holds(sign: Comparison, found: number): boolean {
  if (found === 0) return sign === '>=' || sign === '<='
  return found > 0 ? sign.startsWith('>') : sign.startsWith('<')
}
