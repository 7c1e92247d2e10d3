/** A parsed SQL92 expression. What Java calls a BooleanExpression, which decides where a part may stand, is told by `isBoolean`. */

/** Integers keep Java's two sizes, since a property is read as the size of the number that it is compared with. */
export type SqlNumber =
  | { readonly type: 'int'; readonly value: number }
  | { readonly type: 'long'; readonly value: bigint }
  | { readonly type: 'double'; readonly value: number }

export type Comparison = '>' | '>=' | '<' | '<='
export type TextTest = 'CONTAINS' | 'STARTSWITH' | 'ENDSWITH'

export type Expression =
  | { readonly type: 'number'; readonly number: SqlNumber }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: 'null' }
  | { readonly type: 'property'; readonly name: string }
  | { readonly type: 'negate'; readonly operand: Expression }
  /** A property where a condition is asked for: never true, since properties are texts. */
  | { readonly type: 'condition'; readonly operand: Expression }
  | { readonly type: 'not'; readonly operand: Expression }
  | { readonly type: 'and' | 'or'; readonly operands: readonly Expression[] }
  | { readonly type: 'equal'; readonly left: Expression; readonly right: Expression }
  | { readonly type: 'isNull'; readonly operand: Expression }
  | {
      readonly type: 'compare'
      readonly sign: Comparison
      readonly left: Expression
      readonly right: Expression
    }
  | {
      readonly type: 'text'
      readonly test: TextTest
      readonly isNegated: boolean
      readonly operand: Expression
      readonly search: string
    }
  | {
      readonly type: 'in'
      readonly name: string
      readonly isNegated: boolean
      readonly values: readonly string[]
    }

export function isBoolean({ type }: Expression): boolean {
  switch (type) {
    case 'number':
    case 'string':
    case 'property':
    case 'negate':
      return false
    default:
      return true
  }
}

export function isConstant({ type }: Expression): boolean {
  return type === 'number' || type === 'string' || type === 'boolean' || type === 'null'
}
