import fs from 'node:fs'
import path from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeCommand, encodeCommand } from './command-codec.ts'
import { LanguageCode, SerializeType, isResponse } from './command.ts'
import { FrameScanner } from './frame-scanner.ts'
import { scannedFields, wellFormed } from './fuzz-decoders.ts'
import { copyUnescaped } from './request-frame.ts'
import type { RemotingCommand } from './command.ts'

const TESTDATA = path.join(import.meta.dirname, 'testdata')
const FRAMES = fs.readdirSync(TESTDATA).filter((name) => name.endsWith('.bin'))

const scanner = new FrameScanner()

/** What the scanner says of a frame, as the decoder would say it; null when it does not take it. */
function scan(bytes: Buffer) {
  if (!scanner.scan(bytes, 4, bytes.length, 17)) return null
  const { code, opaque, flag, version, serializeType } = scanner
  const body = bytes.subarray(scanner.bodyStart, scanner.bodyEnd)
  return { code, opaque, flag, version, serializeType, body, extFields: scannedFields(scanner) }
}

function decode(bytes: Buffer) {
  const { language: _language, remark: _remark, ...rest } = decodeCommand(bytes, 4, bytes.length)
  return { ...rest, extFields: wellFormed(rest.extFields) }
}

function jsonFrame(header: string | Buffer, body: string = ''): Buffer {
  const bytes = Buffer.from(header)
  const prefix = Buffer.alloc(8)
  prefix.writeInt32BE(4 + bytes.length + body.length)
  prefix.writeInt32BE(bytes.length, 4)
  return Buffer.concat([prefix, bytes, Buffer.from(body)])
}

const int32 = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff })
const text = fc.string({
  unit: fc.constantFrom('a', '1', '"', '\\', '\u0001', 'é', '€', '😀', '\ud800', ' '),
})

const anyRequest = fc.record({
  code: fc.integer({ min: -32768, max: 32767 }),
  language: fc.constantFrom(...Object.values(LanguageCode)),
  version: fc.integer({ min: 0, max: 32767 }),
  opaque: int32,
  flag: fc.constantFrom(0, 2),
  remark: fc.option(text.filter((remark) => remark !== '')),
  extFields: fc
    .array(fc.tuple(fc.string({ minLength: 1, maxLength: 12 }), text), { maxLength: 20 })
    .map((entries): ReadonlyMap<string, string> => new Map(entries)),
  body: fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
  serializeType: fc.constantFrom(...Object.values(SerializeType)),
})

/** Pieces of headers, most of them fine, that are joined at random. */
const headerPiece = fc.constantFrom(
  ...[
    '{',
    '}',
    ',',
    ':',
    '"code"',
    '310',
    '"opaque"',
    '"extFields"',
    '{"b":"T"}',
    '"b":"x\\u0001"',
  ],
  ...[
    'null',
    'true',
    '-5',
    '-0',
    '007',
    '1.5',
    '1e3',
    ' ',
    '\n',
    '"flag"',
    '2',
    '"version"',
    '99999999999',
  ],
  ...['"a\\/\\b\\x"', "'a'", '[]', '"\\ud83d\\ude00"', '"\\ud83d"', '"\u0001"', '\ufeff'],
)

describe('what the scanner takes means what the ordinary decoder says', () => {
  test.each(FRAMES)('the recorded frame %s', (name) => {
    const bytes = fs.readFileSync(path.join(TESTDATA, name))
    const expected = decode(bytes)

    const scanned = scan(bytes)

    const isPlain = !isResponse(decodeCommand(bytes, 4, bytes.length))
    expect(scanned).toEqual(isPlain && expected.extFields.size > 0 ? expected : scanned)
    expect(scanned === null || isPlain).toBe(true)
  })

  test('every request that is encoded here, in both serializations', () => {
    fc.assert(
      fc.property(anyRequest, (request: RemotingCommand) => {
        const bytes = encodeCommand(request)
        const hasEscapedName =
          request.serializeType === SerializeType.JSON &&
          [...request.extFields.keys()].some((name) => JSON.stringify(name).includes('\\'))

        const scanned = scan(bytes)

        expect(scanned).toEqual(hasEscapedName ? null : decode(bytes))
      }),
    )
  })

  test('JSON headers joined from pieces at random', () => {
    fc.assert(
      fc.property(fc.array(headerPiece, { maxLength: 14 }), (pieces) => {
        const bytes = jsonFrame(`{"code":11,${pieces.join('')}}`, '"}')

        const scanned = scan(bytes)

        expect(scanned === null || decode(bytes)).toEqual(scanned ?? true)
      }),
      { numRuns: 2_000 },
    )
  })

  test('encoded requests with a few bytes changed', () => {
    const changes = fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(anyRequest, changes, (request: RemotingCommand, changed) => {
        const bytes = encodeCommand(request)
        for (const [at, byte] of changed) if (4 + at < bytes.length) bytes[4 + at] = byte

        const scanned = scan(bytes)

        expect(scanned === null || decode(bytes)).toEqual(scanned ?? true)
      }),
      { numRuns: 1_000 },
    )
  })
})

test.each([
  [
    'white space and any order',
    ' {"extFields" : { "b" : "T" , "e":3 } ,\n"opaque":5, "code" : 310 } ',
  ],
  [
    'booleans and integers as values',
    '{"code":310,"extFields":{"e":12,"k":false,"l":-3,"m":true}}',
  ],
  ['no ext fields', '{"code":310,"flag":0}'],
  ['empty ext fields', '{"code":310,"extFields":{}}'],
  ['an unknown member', '{"code":310,"other":"x\\n","more":null,"extFields":{"a":"\\u0041"}}'],
  ['a name that comes twice', '{"code":310,"extFields":{"a":"1","a":"2"}}'],
])('%s are taken', (_what, header) => {
  const bytes = jsonFrame(header, 'body')

  expect(scan(bytes)).toEqual(decode(bytes))
})

test.each([
  ['an absent value', '{"code":310,"extFields":{"a":null}}'],
  ['nested values', '{"code":310,"extFields":{"a":[1]}}'],
  ['ext fields that come twice', '{"code":310,"extFields":{"a":"1"},"extFields":{}}'],
  ['single quotes', "{'code':310}"],
  ['an escaped name', '{"code":310,"extFields":{"\\u0061":"1"}}'],
  ['an escape that is not standard', '{"code":310,"extFields":{"a":"\\x41"}}'],
  ['a raw control character', '{"code":310,"extFields":{"a":"\u0001"}}'],
  ['a fraction', '{"code":310,"extFields":{"a":1.5}}'],
  ['a code that is no number', '{"code":"310"}'],
  ['something behind the header', '{"code":310} x'],
  ['an answer', '{"code":310,"flag":1}'],
])('%s goes the ordinary way', (_what, header) => {
  expect(scan(jsonFrame(header))).toBeNull()
})

test('what would be read beyond the header belongs to the body', () => {
  const whole = '{"code":310,"extFields":{"b":"T","e":"1"}}'

  for (let cut = 0; cut < whole.length; cut++) {
    const bytes = jsonFrame(whole.slice(0, cut), whole.slice(cut))
    expect(scan(bytes)).toBeNull()
  }
})

test('a binary header cut anywhere is not taken', () => {
  const bytes = encodeCommand({
    ...decodeCommand(jsonFrame('{"code":310,"extFields":{"b":"T"}}'), 4, 46),
    serializeType: SerializeType.ROCKETMQ,
  })
  const headerLength = bytes.readUIntBE(5, 3)

  for (let cut = 0; cut < headerLength; cut++) {
    bytes.writeUIntBE(cut, 5, 3)
    expect(scan(bytes)).toBeNull()
  }
})

test('a request tells when it was read and what it counts for', () => {
  scan(jsonFrame('{"code":310}', 'twelve bytes'))

  expect([scanner.receivedAt, scanner.inFlightBytes]).toEqual([17, 12 + 512])
})

test('fields are found by name and read as digits', () => {
  scan(
    jsonFrame(
      '{"code":310,"extFields":{"b":"T","e":"07","g":"1700000000000","x":"","y":"-1","z":"1234567890123456"}}',
    ),
  )

  expect(scanner.isNamed(1, Buffer.from('e'))).toBe(true)
  expect(scanner.isNamed(1, Buffer.from('ee'))).toBe(false)
  expect([0, 1, 2, 3, 4, 5].map((index) => scanner.digitsOf(index))).toEqual([
    -1, 7, 1_700_000_000_000, -1, -1, -1,
  ])
})

test('escapes come out as the JSON parser reads them', () => {
  const escaped = fc.array(
    fc.oneof(
      fc.constantFrom(
        'a',
        'é',
        '\\n',
        '\\"',
        '\\\\',
        '\\/',
        '\\b',
        '\\f',
        '\\r',
        '\\t',
        '\\ud83d\\ude00',
      ),
      fc.nat(0xffff).map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`),
    ),
  )
  fc.assert(
    fc.property(escaped, (pieces) => {
      const source = Buffer.from(pieces.join(''))
      const target = Buffer.alloc(source.length)

      const end = copyUnescaped(source, 0, source.length, target, 0)

      const parsed: unknown = JSON.parse(`"${source.toString()}"`)
      expect(target.subarray(0, end)).toEqual(Buffer.from(String(parsed)))
    }),
  )
})

/** Headers of a few kinds, most of which differ in values only: those that the scanner compares with earlier ones. */
const similarHeader = fc
  .record({
    code: fc.constantFrom('310', '11'),
    group: fc.constantFrom('g', 'group', 'a longer group'),
    queueId: fc.constantFrom(
      '"0"',
      '"7"',
      '"12"',
      '3',
      '-4',
      'true',
      'false',
      'null',
      '1.5',
      '"\\u0031"',
    ),
    properties: fc.oneof(
      fc.constantFrom(
        '',
        'x',
        'a\\u0001b\\u0002',
        '\\q',
        '\\',
        '\u0001',
        '","j":"1',
        '\\"',
        '€',
        '\\ud83d',
      ),
      fc.string({ unit: fc.constantFrom('k', '\\u0001', '\\n', '"', 'é'), maxLength: 20 }),
    ),
    opaque: fc.constantFrom(
      '0',
      '9',
      '10',
      '-1',
      '2147483647',
      '2147483648',
      '01',
      '1e2',
      '"1"',
      '',
    ),
    isOpaqueFirst: fc.boolean(),
    end: fc.constantFrom('}', '}', '}', ' }', '', ',"x":1}', ',"opaque":5}'),
  })
  .map(({ code, group, queueId, properties, opaque, isOpaqueFirst, end }) => {
    const fields = `"extFields":{"a":"${group}","e":${queueId},"i":"${properties}","j":"0"}`
    const parts = isOpaqueFirst
      ? [`"code":${code}`, `"opaque":${opaque}`, fields]
      : [`"code":${code}`, fields, '"flag":0', `"opaque":${opaque}`]
    return `{${parts.join(',')}${end}`
  })

// A scanner that has seen other headers, and one that has seen none, must say the same of each.
test('a header means the same whatever headers came before it', () => {
  const outcomes = { taken: 0, refused: 0 }
  fc.assert(
    fc.property(fc.array(similarHeader, { minLength: 2, maxLength: 40 }), (headers) => {
      const experienced = new FrameScanner()
      const padding = Buffer.alloc(7)
      const chunk = Buffer.concat(headers.flatMap((header) => [padding, jsonFrame(header, 'body')]))
      let at = 0
      for (const header of headers) {
        const { length } = jsonFrame(header, 'body')
        const start = at + padding.length + 4
        at += padding.length + length
        const fresh = new FrameScanner()

        const isTaken = experienced.scan(chunk, start, at, 1)

        expect({ header, isTaken }).toEqual({ header, isTaken: fresh.scan(chunk, start, at, 1) })
        outcomes[isTaken ? 'taken' : 'refused']++
        if (isTaken)
          expect({ header, ...everything(experienced) }).toEqual({ header, ...everything(fresh) })
      }
    }),
    { numRuns: 1000 },
  )
  expect(outcomes.taken).toBeGreaterThan(1000)
  expect(outcomes.refused).toBeGreaterThan(1000)
})

function everything(frame: FrameScanner) {
  const { code, opaque, flag, version, bodyStart, bodyEnd, fieldCount } = frame
  const fields = Array.from({ length: fieldCount }, (_, index) => [
    frame.nameStart(index),
    frame.nameEnd(index),
    frame.valueStart(index),
    frame.valueEnd(index),
    frame.hasEscapes(index),
  ])
  return { code, opaque, flag, version, bodyStart, bodyEnd, fields }
}
