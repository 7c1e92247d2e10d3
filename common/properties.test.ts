import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  encodeProperties,
  keyWords,
  parseProperties,
  propertyIn,
  propertyOf,
  tagsCodeOf,
} from './properties.ts'

const word = fc
  .string({ minLength: 1, maxLength: 12 })
  .filter((text) => !text.includes('\u0001') && !text.includes('\u0002'))

describe('properties', () => {
  test('what is encoded is parsed back', () => {
    fc.assert(
      fc.property(fc.dictionary(word, word), (properties) => {
        const bytes = encodeProperties(Object.entries(properties))

        const parsed = parseProperties(bytes)

        expect(Object.fromEntries(parsed)).toEqual(Object.fromEntries(Object.entries(properties)))
        for (const [name, value] of parsed) {
          if (/^[ -~]+$/.test(name)) expect(propertyOf(bytes, name)).toBe(value)
        }
      }),
    )
  })

  test('pieces that are too short, or lack a name or a value, are dropped as Java drops them', () => {
    const parsed = parseProperties(
      '\u0001v\u0002n\u0001\u0002plain\u0002a\u0001b\u0002\u0002last\u0001x',
    )

    expect([...parsed]).toEqual([
      ['a', 'b'],
      ['last', 'x'],
    ])
  })

  test('the value begins after the first separator and may hold further ones', () => {
    expect(parseProperties('n\u0001a\u0001b\u0002').get('n')).toBe('a\u0001b')
    expect(propertyOf(Buffer.from('n\u0001a\u0001b\u0002'), 'n')).toBe('a\u0001b')
  })

  test('of a repeated name the last value counts', () => {
    const bytes = Buffer.from('n\u0001a\u0002n\u0001b\u0002')

    expect(parseProperties(bytes).get('n')).toBe('b')
    expect(propertyOf(bytes, 'n')).toBe('b')
  })

  test('a property is found by its whole name only', () => {
    const bytes = encodeProperties([
      ['TAGSX', 'no'],
      ['XTAGS', 'no'],
      ['TAGS', 'yes'],
    ])

    expect(propertyOf(bytes, 'TAGS')).toBe('yes')
    expect(propertyOf(bytes, 'TAG')).toBe(null)
  })

  test('a range of a larger buffer is searched and nothing beyond it', () => {
    const bytes = Buffer.from('a\u0001b\u0002TAGS\u0001x\u0002')

    expect(propertyIn(bytes, 0, 4, 'TAGS')).toBe(null)
    expect(propertyIn(bytes, 4, bytes.length, 'TAGS')).toBe('x')
    expect(propertyIn(bytes, 4, bytes.length - 2, 'TAGS')).toBe(null)
  })

  test('random bytes never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        parseProperties(Buffer.from(bytes))
        propertyOf(Buffer.from(bytes), 'TAGS')
      }),
    )
  })

  test('the tags code is the Java hash of the tag, 0 without one', () => {
    expect(tagsCodeOf(encodeProperties([['TAGS', 'TagA']]))).toBe(2_598_919)
    expect(tagsCodeOf(encodeProperties([['KEYS', 'k']]))).toBe(0)
  })

  test('keys are split at spaces', () => {
    expect(keyWords(' a  b c ')).toEqual(['a', 'b', 'c'])
  })
})
