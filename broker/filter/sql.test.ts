import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeProperties } from '../../common/properties.ts'
import { PropertyPairs } from '../../common/property-pairs.ts'
import { FAILED, FALSE, SqlProgram, TRUE, UNKNOWN } from './sql-compiler.ts'
import { FilterSyntaxError } from './sql-lexer.ts'
import {
  EXPRESSION_DEPTH_MAX,
  EXPRESSION_LENGTH_MAX,
  EXPRESSION_PARTS_MAX,
  parseSql,
} from './sql-parser.ts'
import { EXPRESSIONS as expressions, MESSAGES as messages, slowly } from './testing.ts'
import type { Outcome } from './sql-compiler.ts'

const LETTERS: Readonly<Record<Outcome, string>> = {
  [TRUE]: 'T',
  [FALSE]: 'F',
  [UNKNOWN]: 'N',
  [FAILED]: 'E',
}

function pairsIn(bytes: Buffer): PropertyPairs {
  const pairs = new PropertyPairs()
  pairs.scan(bytes, 0, bytes.length)
  return pairs
}

function evaluate(text: string, properties: Readonly<Record<string, string>>): string {
  const bytes = encodeProperties(Object.entries(properties))
  return LETTERS[new SqlProgram(parseSql(text)).evaluate(pairsIn(bytes))]
}

describe('Java', () => {
  // testdata/verdicts.txt was printed by Java's own filter (e2e/java-broker/FilterVerdicts.java).
  const lines = readFileSync(new URL('testdata/verdicts.txt', import.meta.url), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'))
  const messages = lines
    .filter(([first]) => first === 'message')
    .map(([, ...pairs]) => encodeProperties(pairs.map(pairOf)))
  const verdicts = lines.filter(([first]) => first !== 'message')

  test('takes and refuses the same expressions, and says the same of every message', () => {
    const others: string[] = []
    for (const [expected = '', escaped = ''] of verdicts) {
      const text = unescaped(escaped)
      const found = verdictOf(text, messages)
      if (found !== expected) others.push(`${expected} ${found} ${text}`)
    }

    expect(verdicts.length).toBeGreaterThan(4000)
    expect(others).toEqual([])
  })
})

function verdictOf(text: string, messages: readonly Buffer[]): string {
  try {
    const program = new SqlProgram(parseSql(text))
    return messages.map((bytes) => LETTERS[program.evaluate(pairsIn(bytes))]).join('')
  } catch (error) {
    if (error instanceof FilterSyntaxError) return 'refused'
    throw error
  }
}

function pairOf(text: string): readonly [string, string] {
  const at = text.indexOf('=')
  return [text.slice(0, at), text.slice(at + 1)]
}

function unescaped(text: string): string {
  const letters: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', '\\': '\\' }
  return text.replaceAll(/\\(.)/g, (whole, letter: string) => letters[letter] ?? whole)
}

describe('an expression', () => {
  test('of a property that is read as a number is not true when it is none', () => {
    expect(evaluate('a > 1 OR b = 2', { a: 'x', b: '2' })).toBe('E')
    expect(evaluate('b = 2 OR a > 1', { a: 'x', b: '2' })).toBe('T')
  })

  test('sees the last of two properties with one name', () => {
    const bytes = Buffer.from('a\u00011\u0002a\u00012\u0002')

    expect(new SqlProgram(parseSql('a = 2')).evaluate(pairsIn(bytes))).toBe(TRUE)
  })

  test('sees nothing of a pair without a name or a value', () => {
    const bytes = Buffer.from('a\u0001\u0002\u0001x\u0002a\u0002\u0002\u0002')

    expect(new SqlProgram(parseSql('a IS NULL')).evaluate(pairsIn(bytes))).toBe(TRUE)
  })

  test('compares long numbers exactly', () => {
    expect(evaluate('a = 9223372036854775806', { a: '9223372036854775807' })).toBe('F')
    expect(evaluate('a > 9223372036854775806', { a: '9223372036854775807' })).toBe('T')
  })

  test.each([
    ['too long', `a = '${'x'.repeat(EXPRESSION_LENGTH_MAX)}'`, /characters/],
    ['too deep', '('.repeat(EXPRESSION_DEPTH_MAX) + 'a' + ')'.repeat(EXPRESSION_DEPTH_MAX), /deep/],
    ['too deep by NOT', `${'NOT '.repeat(EXPRESSION_DEPTH_MAX)} a`, /deep/],
    ['too deep by comparisons', `a${' = 1'.repeat(EXPRESSION_DEPTH_MAX + 1)}`, /deep/],
    ['too large', `a = 1${' OR a = 1'.repeat(EXPRESSION_PARTS_MAX / 3)}`, /parts/],
  ])('is refused when it is %s', (_what, text, message) => {
    expect(() => parseSql(text)).toThrow(message)
    expect(() => parseSql(text)).toThrow(FilterSyntaxError)
  })

  test('of many alternatives is fine', () => {
    const text = Array.from({ length: 2000 }, (_, index) => `a = ${index}`).join(' OR ')

    expect(evaluate(text, { a: '1999' })).toBe('T')
    expect(evaluate(text, { a: '2000' })).toBe('F')
  })

  test('that looks at large texts too often is given up', () => {
    const text = Array.from({ length: 2000 }, (_, index) => `a CONTAINS 'y${index}'`).join(' OR ')

    expect(evaluate(text, { a: 'x' })).toBe('F')
    expect(evaluate(text, { a: 'x'.repeat(30_000) })).toBe('E')
  })
})

describe('any expression', () => {
  test('gives what a slow and obvious evaluation of it gives', () => {
    fc.assert(
      fc.property(expressions, messages, (expression, properties) => {
        const bytes = encodeProperties(Object.entries(properties))

        const found = new SqlProgram(expression).evaluate(pairsIn(bytes))

        expect(LETTERS[found]).toBe(slowly(expression, new Map(Object.entries(properties))))
      }),
      { numRuns: 3000 },
    )
  })

  test('of any text is parsed, or refused with a reason', () => {
    const words = [
      'a',
      '5',
      "'x'",
      'AND',
      'NOT',
      '(',
      ')',
      'IN',
      '=',
      '>',
      'IS',
      'NULL',
      '1e5',
      '-',
    ]
    const texts = fc.oneof(
      fc.string(),
      fc.array(fc.constantFrom(...words)).map((all) => all.join(' ')),
    )

    fc.assert(
      fc.property(texts, (text) => {
        expect(verdictOf(text, [])).toMatch(/^$|^refused$/)
      }),
    )
  })
})
