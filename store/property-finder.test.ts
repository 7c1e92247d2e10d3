import fc from 'fast-check'
import { expect, test } from 'vitest'
import { propertyIn } from '../common/properties.ts'
import { PropertyFinder } from './property-finder.ts'

const piece = fc.oneof(
  fc.constantFrom('TAGS', 'KEYS', 'UNIQ_KEY', 'TAG', 'TAGSX', 'UNIQ_KEYS', 'UNIQ', '__CRC32#', ''),
  fc.constantFrom('\u0001', '\u0001', '\u0002', '\u0002', ' ', 'é'),
  fc.string({ maxLength: 6 }),
)

// Goal: the same values as the slow reader of one property finds, also where the text is no list of properties.
// Method: random texts of names and separators, between bytes that continue them.
test('finds what a reader of each property finds, in any text', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 24 }), (pieces) => {
      const source = Buffer.from(`TAGS\u0001a\u0002${pieces.join('')}AGS\u0001b\u0002`)
      const start = 7
      const end = source.length - 6
      const finder = new PropertyFinder()

      finder.scan(source, start, end)

      const value = (from: number, to: number): string | null =>
        to > from ? source.toString('utf8', from, to) : null
      expect(value(finder.tagsStart, finder.tagsEnd)).toBe(propertyIn(source, start, end, 'TAGS'))
      expect(value(finder.keysStart, finder.keysEnd)).toBe(propertyIn(source, start, end, 'KEYS'))
      expect(value(finder.uniqueStart, finder.uniqueEnd)).toBe(
        propertyIn(source, start, end, 'UNIQ_KEY'),
      )
    }),
    { numRuns: 1000 },
  )
})
