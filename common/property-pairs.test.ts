import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseProperties } from './properties.ts'
import { PropertyPairs } from './property-pairs.ts'

const NAMES = ['a', 'ab', 'b', 'TAGS', 'é']
const piece = fc.oneof(
  fc.constantFrom(...NAMES, ''),
  fc.constantFrom('\u0001', '\u0001', '\u0002', '\u0002'),
  fc.string({ maxLength: 4 }),
)

// Goal: the values that the parser finds, also where the text is no list of properties, and however many there are.
// Method: random texts of names and separators, between bytes that continue them.
test('finds what the parser of properties finds, in any text', () => {
  const pairs = new PropertyPairs()
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 300, size: 'max' }), (pieces) => {
      const text = pieces.join('')
      const source = Buffer.from(`a\u00019\u0002${text}\u0002b\u00019\u0002`)
      const end = source.length - 4

      pairs.scan(source, 4, end)

      const expected = parseProperties(text)
      for (const name of NAMES) {
        const index = pairs.find(Buffer.from(name))
        const value = source.toString('utf8', (pairs.middles[index] ?? 0) + 1, pairs.ends[index])
        expect(index < 0 ? undefined : value).toBe(expected.get(name))
      }
    }),
  )
})
