/** The store's filter of a SQL92 subscription: every entry is looked at in the log, where the properties are. */
import { SqlProgram, TRUE } from './sql-compiler.ts'
import { parseSql } from './sql-parser.ts'
import type { MessageFilter } from '../../store/types.ts'

export const SQL92_EXPRESSION = 'SQL92'

/** Compiles an expression. Throws `FilterSyntaxError` for one that Java refuses too, or that is too large. */
export function sqlFilter(expression: string): MessageFilter {
  const program = new SqlProgram(parseSql(expression))
  return {
    matchesTagsCode: () => true,
    matchesProperties: (pairs) => program.evaluate(pairs) === TRUE,
  }
}
