import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { PropertyCopier } from './property-copier.ts'
import { scanProperties } from './send-properties.ts'

const copier = new PropertyCopier()

/** What the copier makes of a property text, given as in a binary header or inside a JSON string; null when it is not plain. */
function copy(text: string, isJson: boolean) {
  const source = Buffer.from(isJson ? JSON.stringify(text).slice(1, -1) : text)
  if (!copier.copy(source, 0, source.length, isJson && source.includes('\\'))) return null
  return {
    kept: copier.target.toString('utf8', 0, copier.end),
    uniqueKey: copier.target.toString('utf8', copier.uniqueKeyStart, copier.uniqueKeyEnd),
  }
}

const piece = fc.constantFrom(
  ...[
    'UNIQ_KEY\u0001U1',
    'UNIQ_KEY\u0001U2',
    'UNIQ_KEY\u0001',
    'UNIQ_KEY',
    'WAIT\u0001true',
    'WAIT',
  ],
  ...[
    'KEYS\u0001k',
    'KEYS\u0001k1 k2',
    'TAGS\u0001\u00e9\u20ac',
    '',
    '\u0001',
    '\u0001v',
    'a\u0001b\u0001c',
  ],
  ...['n\u0001\n\t"/\\\b\f\r', '\u{1f600}\u0001\u{1f600}', 'NAME_OF_8\u0001x', 'x\u0001\u001f'],
)
const text = fc
  .tuple(fc.array(piece, { maxLength: 8 }), fc.constantFrom('', '\u0002'))
  .map(([pieces, end]) => pieces.join('\u0002') + end)

test.each([false, true])(
  'plain properties are kept as the ordinary way keeps them (JSON: %s)',
  (isJson) => {
    fc.assert(
      fc.property(text, (properties) => {
        const { kept, uniqueKey } = scanProperties(properties)

        expect(copy(properties, isJson)).toEqual({ kept, uniqueKey: uniqueKey ?? '' })
      }),
      { numRuns: 1_000 },
    )
  },
)

test.each([
  'WAIT\u0001false\u0002',
  'WAIT\u0001True\u0002',
  'DELAY\u00011\u0002',
  'TIMER_DELAY_SEC\u00011\u0002',
  'TIMER_DELAY_MS\u00011\u0002',
  'TIMER_DELIVER_MS\u00011\u0002',
  'REPLY_TO_CLIENT\u0001c1\u0002',
  'TRAN_MSG\u0001true\u0002',
  'MSG_REGION\u0001r\u0002',
  'TRACE_ON\u0001true\u0002',
  'CLUSTER\u0001c\u0002',
  'POP_CK\u0001c\u0002',
  '__CRC32#\u00011234567890\u0002',
  'KEYS\u0001k\u0002CLUSTER\u0001c',
])('%j is not plain', (properties) => {
  expect([copy(properties, false), copy(properties, true)]).toEqual([null, null])
})

test('half a surrogate pair becomes what Node writes for it', () => {
  const source = Buffer.from('k\\u0001\\ud83d\\u0002')

  const isPlain = copier.copy(source, 0, source.length, true)

  expect(isPlain).toBe(true)
  expect(copier.target.toString('utf8', 0, copier.end)).toBe('k\u0001\ufffd\u0002')
})

test('bytes that are not UTF-8 are not plain', () => {
  const source = Buffer.from([0x6b, 1, 0xc3, 0x28, 2])

  expect(copier.copy(source, 0, source.length, false)).toBe(false)
})

test('properties that no record holds are not plain', () => {
  const source = Buffer.alloc(40_000, 'k')

  expect(copier.copy(source, 0, source.length, false)).toBe(false)
})
