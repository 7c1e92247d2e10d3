import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { RemotingError } from '../errors.ts'
import { formatFastjson, parseFastjson } from './fastjson.ts'
import type { BodyValue, JsonValue } from './fastjson.ts'

/** Objects as entries, so that they can be compared. */
function plain(json: JsonValue): unknown {
  if (json instanceof Map) {
    return { object: [...json].map(([key, value]) => [plain(key), plain(value)]) }
  }
  return Array.isArray(json) ? json.map(plain) : json
}

function parse(text: string): unknown {
  return plain(parseFastjson(text))
}

function outcome(source: Buffer | string): string {
  try {
    parseFastjson(source)
    return 'parsed'
  } catch (error) {
    return error instanceof RemotingError ? error.code : `crash: ${String(error)}`
  }
}

const { json } = fc.letrec<{ json: unknown }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, false),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
    fc.string({ unit: 'grapheme' }),
    fc.array(tie('json'), { maxLength: 4 }),
    fc.dictionary(fc.string(), tie('json'), { maxKeys: 4 }),
  ),
}))

function standard(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(standard)
  if (typeof value !== 'object' || value === null) return value
  return { object: Object.entries(value).map(([key, member]) => [key, standard(member)]) }
}

test('standard JSON is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(json, (value) => {
      const text = JSON.stringify(value, null, ' ')

      expect(parse(text)).toEqual(standard(JSON.parse(text)))
    }),
  )
})

test('random corruption gives a value or a typed error', () => {
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(127)), { maxLength: 5 })
  fc.assert(
    fc.property(json, changes, (value, flips) => {
      const bytes = Buffer.from(JSON.stringify(value))
      for (const [at, byte] of flips) bytes[at % bytes.length] = byte

      expect(outcome(bytes)).toMatch(/^(parsed|malformed|tooLarge)$/)
    }),
    { numRuns: 1_000 },
  )
})

test('objects as keys, numeric and bare keys, single quotes and trailing commas are read', () => {
  expect(parse(`{{"topic":"T",'queueId':0}:{0:"a",},name:[1,2,]}`)).toEqual({
    object: [
      [
        {
          object: [
            ['topic', 'T'],
            ['queueId', 0],
          ],
        },
        { object: [['0', 'a']] },
      ],
      ['name', [1, 2]],
    ],
  })
})

test('a reference is an object like any other', () => {
  expect(parse('{"$ref":"$.a"}')).toEqual({ object: [['$ref', '$.a']] })
})

test('escapes of JSON and of fastjson are resolved', () => {
  expect(parse(String.raw`"\"\\\/\b\f\n\r\t\u00e4\x41\v\'"`)).toBe(`"\\/\b\f\n\r\täA\u000b'`)
})

test('an empty body is null', () => {
  expect(parseFastjson(Buffer.alloc(0))).toBeNull()
  expect(parseFastjson(' \n')).toBeNull()
})

test.each([
  '{',
  '[1',
  '"a',
  "'a",
  '{"a"}',
  '{"a":}',
  '{:1}',
  '[1 2]',
  '1 2',
  'undefined',
  '01a',
  '\\',
])('%s is malformed', (text) => {
  expect(outcome(text)).toBe('malformed')
})

test.each(['[', '{"a":', '{{"a":', '{'])('depth is limited: %s', (open) => {
  expect(outcome(open.repeat(100_000))).toBe('tooLarge')
})

test('64 levels pass', () => {
  expect(outcome('['.repeat(65) + ']'.repeat(65))).toBe('parsed')
  expect(outcome('['.repeat(66) + ']'.repeat(66))).toBe('tooLarge')
})

test('records are written sorted, without their null members', () => {
  const body = formatFastjson({ b: 1, a: 'x', d: undefined, c: null, list: [null, true] })

  expect(String(body)).toBe('{"a":"x","b":1,"list":[null,true]}')
})

test('keys that are records are written as objects in both dialects', () => {
  const table = new Map([[{ topic: 'T', brokerName: 'b', queueId: 0 }, { offset: 5 }]])
  const expected = '{{"brokerName":"b","queueId":0,"topic":"T"}:{"offset":5}}'

  expect(String(formatFastjson(table))).toBe(expected)
  expect(String(formatFastjson(table, 'fastjson'))).toBe(expected)
})

test('numeric keys are quoted in the standard dialect only, which is pure ASCII', () => {
  const table = new Map([[0, 'ä\u2028']])

  expect(String(formatFastjson(table, 'standard'))).toBe(String.raw`{"0":"\u00e4\u2028"}`)
  expect(String(formatFastjson(table, 'fastjson'))).toBe('{0:"ä\u2028"}')
})

test('what is written can be read, by standard parsers too', () => {
  fc.assert(
    fc.property(json, (value) => {
      const body = formatFastjson(asBody(value))

      expect(plain(parseFastjson(body))).toEqual(standard(JSON.parse(String(body))))
    }),
  )
})

function asBody(value: unknown): BodyValue {
  if (Array.isArray(value)) return value.map(asBody)
  if (typeof value === 'object' && value !== null) {
    return new Map(Object.entries(value).map(([key, member]) => [key, asBody(member)]))
  }
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? value
    : null
}
