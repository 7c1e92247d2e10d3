/**
 * A SQL92 expression as closures over the properties of a message; nothing is evaluated as code.
 *
 * Three-valued logic, and a fourth value: what Java throws when a text is no number of the kind that it is compared with. That ends
 * the evaluation, wherever it happens, and the message does not match.
 */
import { isBoolean } from './sql-expression.ts'
import { compareDoubles, compareNumbers, compareText, negated, parseDouble } from './sql-values.ts'
import { PropertyView, TooManySteps } from './property-view.ts'
import type { PropertyPairs } from '../../common/property-pairs.ts'
import type { Comparison, Expression, SqlNumber, TextTest } from './sql-expression.ts'

export const FALSE = 0
export const TRUE = 1
export const UNKNOWN = 2
export const FAILED = 3
export type Outcome = typeof FALSE | typeof TRUE | typeof UNKNOWN | typeof FAILED

type Evaluate = (view: PropertyView) => Outcome

/** A part that is no condition: what is known of its value before any message comes. */
type Operand =
  | { readonly type: 'property'; readonly slot: number }
  | { readonly type: 'string'; readonly value: string; readonly bytes: Buffer }
  | { readonly type: 'number'; readonly number: SqlNumber }
  /** Never a value, perhaps a failure: what Java makes of the negative of something that is no number. */
  | { readonly type: 'nothing'; readonly evaluate: Evaluate }
  | { readonly type: 'condition'; readonly evaluate: Evaluate }

/** Looks at texts in one evaluation, which are at most 3 MiB then; looks at parts are bounded by the parser. */
const STEPS_MAX = 50_000

/** A compiled expression. It is used for one message after the other, by one caller at a time. */
export class SqlProgram {
  readonly #evaluate: Evaluate
  readonly #view: PropertyView

  constructor(expression: Expression) {
    const compiler = new Compiler()
    this.#evaluate = compiler.condition(expression)
    this.#view = new PropertyView(compiler.names)
  }

  /** What the expression says of a message with these properties. */
  evaluate(pairs: PropertyPairs): Outcome {
    this.#view.look(pairs, STEPS_MAX)
    try {
      return this.#evaluate(this.#view)
    } catch (error) {
      if (error instanceof TooManySteps) return FAILED
      throw error
    }
  }
}

class Compiler {
  readonly names: string[] = []

  condition(expression: Expression): Evaluate {
    switch (expression.type) {
      case 'boolean':
        return constant(expression.value)
      case 'null':
        return () => UNKNOWN
      case 'condition':
        return this.#neverTrue(expression.operand)
      case 'not':
        return not(this.condition(expression.operand))
      case 'and':
        return and(expression.operands.map((operand) => this.condition(operand)))
      case 'or':
        return or(expression.operands.map((operand) => this.condition(operand)))
      case 'equal':
        return equal(this.#operand(expression.left), this.#operand(expression.right))
      case 'isNull':
        return isNull(this.#operand(expression.operand))
      case 'compare':
        return compare(
          expression.sign,
          this.#operand(expression.left),
          this.#operand(expression.right),
        )
      case 'text':
        return textTest(expression, this.#operand(expression.operand))
      case 'in':
        return isIn(this.#slot(expression.name), expression)
      default:
        // The parser puts nothing else here.
        return () => FAILED
    }
  }

  #operand(expression: Expression): Operand {
    if (isBoolean(expression)) {
      if (expression.type === 'null') return { type: 'nothing', evaluate: () => UNKNOWN }
      return { type: 'condition', evaluate: this.condition(expression) }
    }
    switch (expression.type) {
      case 'property':
        return { type: 'property', slot: this.#slot(expression.name) }
      case 'string': {
        const { value } = expression
        return { type: 'string', value, bytes: Buffer.from(value) }
      }
      case 'number':
        return { type: 'number', number: expression.number }
      default:
    }
    if (expression.type !== 'negate') return { type: 'nothing', evaluate: () => FAILED }
    const inner = this.#operand(expression.operand)
    if (inner.type === 'number') return { type: 'number', number: negated(inner.number) }
    return { type: 'nothing', evaluate: failureOf(inner) }
  }

  #neverTrue(operand: Expression): Evaluate {
    if (operand.type !== 'property') return () => FAILED
    const slot = this.#slot(operand.name)
    return (view) => (view.has(slot) ? FALSE : UNKNOWN)
  }

  #slot(name: string): number {
    const found = this.names.indexOf(name)
    return found >= 0 ? found : this.names.push(name) - 1
  }
}

function constant(value: boolean): Evaluate {
  const outcome = value ? TRUE : FALSE
  return () => outcome
}

/** Only whether the part fails; otherwise it is nothing. */
function failureOf(operand: Operand): Evaluate {
  if (operand.type !== 'condition' && operand.type !== 'nothing') return () => UNKNOWN
  const { evaluate } = operand
  return (view) => (evaluate(view) === FAILED ? FAILED : UNKNOWN)
}

function not(operand: Evaluate): Evaluate {
  return (view) => {
    const outcome = operand(view)
    if (outcome === TRUE) return FALSE
    return outcome === FALSE ? TRUE : outcome
  }
}

function and(operands: readonly Evaluate[]): Evaluate {
  const [first, second] = operands
  if (first !== undefined && second !== undefined && operands.length === 2) {
    return (view) => {
      const left = first(view)
      if (left === FALSE || left === FAILED) return left
      const right = second(view)
      return right === TRUE ? left : right
    }
  }
  return (view) => {
    let result: Outcome = TRUE
    for (let index = 0; index < operands.length; index++) {
      const outcome = operands[index]?.(view)
      if (outcome === FALSE || outcome === FAILED) return outcome
      if (outcome === UNKNOWN) result = UNKNOWN
    }
    return result
  }
}

function or(operands: readonly Evaluate[]): Evaluate {
  const [first, second] = operands
  if (first !== undefined && second !== undefined && operands.length === 2) {
    return (view) => {
      const left = first(view)
      if (left === TRUE || left === FAILED) return left
      const right = second(view)
      return right === FALSE ? left : right
    }
  }
  return (view) => {
    let result: Outcome = FALSE
    for (let index = 0; index < operands.length; index++) {
      const outcome = operands[index]?.(view)
      if (outcome === TRUE || outcome === FAILED) return outcome
      if (outcome === UNKNOWN) result = UNKNOWN
    }
    return result
  }
}

function isNull(operand: Operand): Evaluate {
  switch (operand.type) {
    case 'property': {
      const { slot } = operand
      return (view) => (view.has(slot) ? FALSE : TRUE)
    }
    case 'string':
    case 'number':
      return () => FALSE
    default: {
      const { evaluate } = operand
      return (view) => {
        const outcome = evaluate(view)
        if (outcome === FAILED) return FAILED
        return outcome === UNKNOWN ? TRUE : FALSE
      }
    }
  }
}

function isIn(
  slot: number,
  { values, isNegated }: { readonly values: readonly string[]; readonly isNegated: boolean },
): Evaluate {
  const found = isNegated ? FALSE : TRUE
  const absent = isNegated ? TRUE : FALSE
  if (values.length <= FEW_VALUES) {
    const few = values.map((value) => Buffer.from(value))
    return (view) => {
      if (!view.has(slot)) return UNKNOWN
      for (let index = 0; index < few.length; index++) {
        const value = few[index]
        if (value !== undefined && view.equals(slot, value)) return found
      }
      return absent
    }
  }
  const many = new Set(values)
  return (view) => {
    if (!view.has(slot)) return UNKNOWN
    return many.has(view.text(slot)) ? found : absent
  }
}

const FEW_VALUES = 8

function textTest(
  asked: { readonly test: TextTest; readonly isNegated: boolean; readonly search: string },
  operand: Operand,
): Evaluate {
  const { test, isNegated, search } = asked
  const found = isNegated ? FALSE : TRUE
  const absent = isNegated ? TRUE : FALSE
  // An empty text is found nowhere, and nowhere absent.
  if (search === '') return () => FALSE
  const holds = (text: string): Outcome => (tested(test, text, search) ? found : absent)
  if (operand.type === 'string') {
    const outcome = holds(operand.value)
    return () => outcome
  }
  if (operand.type === 'property') {
    const { slot } = operand
    return (view) => {
      return view.has(slot) ? holds(view.text(slot)) : FALSE
    }
  }
  if (operand.type === 'number') return () => FALSE
  const { evaluate } = operand
  return (view) => (evaluate(view) === FAILED ? FAILED : FALSE)
}

function tested(test: TextTest, text: string, search: string): boolean {
  if (test === 'CONTAINS') return text.includes(search)
  return test === 'STARTSWITH' ? text.startsWith(search) : text.endsWith(search)
}

/** Both sides are no conditions, as the parser sees to: properties, numbers, or nothing. */
function compare(sign: Comparison, left: Operand, right: Operand): Evaluate {
  if (left.type === 'property' && right.type === 'number') {
    return compareProperty(left.slot, right.number, sign)
  }
  if (left.type === 'number' && right.type === 'property') {
    return compareProperty(right.slot, left.number, REVERSED[sign])
  }
  if (left.type === 'number' && right.type === 'number') {
    return constant(holds(sign, compareNumbers(left.number, right.number)))
  }
  if (left.type === 'property' && right.type === 'property') {
    const a = left.slot
    const b = right.slot
    return (view) => {
      if (!view.has(a) || !view.has(b)) return UNKNOWN
      const x = parseDouble(view.text(a))
      const y = parseDouble(view.text(b))
      if (x === null || y === null) return FAILED
      return holds(sign, compareDoubles(x, y)) ? TRUE : FALSE
    }
  }
  return compareNothing(left, right)
}

/** One of the sides is never a value. The right one is not looked at when the left one is none. */
function compareNothing(left: Operand, right: Operand): Evaluate {
  if (left.type === 'nothing') return left.evaluate
  if (right.type !== 'nothing') return () => FAILED
  const { evaluate } = right
  if (left.type !== 'property') return evaluate
  const { slot } = left
  return (view) => (view.has(slot) ? evaluate(view) : UNKNOWN)
}

const REVERSED: Readonly<Record<Comparison, Comparison>> = {
  '>': '<',
  '>=': '<=',
  '<': '>',
  '<=': '>=',
}

/** `order` says how the left side compares with the right one: negative, 0, positive. */
function holds(sign: Comparison | '=', order: number): boolean {
  switch (sign) {
    case '>':
      return order > 0
    case '>=':
      return order >= 0
    case '<':
      return order < 0
    case '<=':
      return order <= 0
    case '=':
      return order === 0
  }
}

function compareProperty(slot: number, number: SqlNumber, sign: Comparison | '='): Evaluate {
  const slowly = (view: PropertyView): Outcome => {
    const order = compareText(view.text(slot), number)
    if (order === null) return FAILED
    return holds(sign, order) ? TRUE : FALSE
  }
  const plain = number.type === 'long' ? Number.NaN : number.value
  if (Number.isNaN(plain)) return (view) => (view.has(slot) ? slowly(view) : UNKNOWN)
  return (view) => {
    if (!view.has(slot)) return UNKNOWN
    const small = view.smallInteger(slot)
    if (Number.isNaN(small)) return slowly(view)
    return holds(sign, small - plain) ? TRUE : FALSE
  }
}

/** Java's `=`: two absent values are equal, an absent left one is unknown, an absent right one is not equal. */
function equal(left: Operand, right: Operand): Evaluate {
  if (left.type === 'property' && right.type === 'string')
    return equalText(left.slot, right, UNKNOWN)
  if (left.type === 'string' && right.type === 'property') return equalText(right.slot, left, FALSE)
  if (left.type === 'property' && right.type === 'number') {
    return orAbsent(left.slot, compareProperty(left.slot, right.number, '='), UNKNOWN)
  }
  if (left.type === 'number' && right.type === 'property') {
    return orAbsent(right.slot, compareProperty(right.slot, left.number, '='), FALSE)
  }
  if (left.type === 'property' && right.type === 'property')
    return equalSlots(left.slot, right.slot)
  return equalValues(valueOf(left), valueOf(right))
}

function orAbsent(slot: number, evaluate: Evaluate, absent: Outcome): Evaluate {
  return (view) => (view.has(slot) ? evaluate(view) : absent)
}

function equalText(slot: number, { bytes }: { readonly bytes: Buffer }, absent: Outcome): Evaluate {
  return (view) => {
    if (!view.has(slot)) return absent
    return view.equals(slot, bytes) ? TRUE : FALSE
  }
}

function equalSlots(a: number, b: number): Evaluate {
  return (view) => {
    if (!view.has(a)) return view.has(b) ? UNKNOWN : TRUE
    if (!view.has(b)) return FALSE
    return view.text(a) === view.text(b) ? TRUE : FALSE
  }
}

/** A value of any kind, null when there is none, or a failure. The seldom ones go this slow way. */
type Value = string | boolean | null | SqlNumber | typeof FAILURE
const FAILURE = Symbol('failure')

function valueOf(operand: Operand): (view: PropertyView) => Value {
  switch (operand.type) {
    case 'property': {
      const { slot } = operand
      return (view) => (view.has(slot) ? view.text(slot) : null)
    }
    case 'string': {
      const { value } = operand
      return () => value
    }
    case 'number': {
      const { number } = operand
      return () => number
    }
    default: {
      const { evaluate } = operand
      return (view) => {
        const outcome = evaluate(view)
        if (outcome === FAILED) return FAILURE
        return outcome === UNKNOWN ? null : outcome === TRUE
      }
    }
  }
}

function equalValues(
  left: (view: PropertyView) => Value,
  right: (view: PropertyView) => Value,
): Evaluate {
  return (view) => {
    const a = left(view)
    if (a === FAILURE) return FAILED
    const b = right(view)
    if (b === FAILURE) return FAILED
    if (a === null) return b === null ? TRUE : UNKNOWN
    return b === null ? FALSE : equalPresent(a, b)
  }
}

function equalPresent(a: string | boolean | SqlNumber, b: string | boolean | SqlNumber): Outcome {
  if (typeof a === 'string') {
    if (typeof b === 'string') return a === b ? TRUE : FALSE
    if (typeof b === 'boolean') return (a.toLowerCase() === 'true') === b ? TRUE : FALSE
    return equalNumberText(a, b)
  }
  if (typeof a === 'boolean') {
    // Java cannot turn a text on the right into a truth value, and fails.
    if (typeof b === 'string') return FAILED
    return a === b ? TRUE : FALSE
  }
  if (typeof b === 'string') return equalNumberText(b, a)
  if (typeof b === 'boolean') return FALSE
  return compareNumbers(a, b) === 0 ? TRUE : FALSE
}

function equalNumberText(text: string, number: SqlNumber): Outcome {
  const order = compareText(text, number)
  if (order === null) return FAILED
  return order === 0 ? TRUE : FALSE
}
