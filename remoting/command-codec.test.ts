import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeCommand, encodeCommand, extFieldsOf } from './command-codec.ts'
import { LanguageCode, NO_BODY, NO_FIELDS, SerializeType } from './command.ts'
import type { RemotingCommand } from './command.ts'
import { RemotingError } from './errors.ts'

const int32 = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff })
const text = fc.string({ unit: 'grapheme', maxLength: 30 })

const anyCommand = fc.record({
  code: fc.integer({ min: -32768, max: 32767 }),
  language: fc.constantFrom(...Object.values(LanguageCode)),
  version: fc.integer({ min: 0, max: 32767 }),
  opaque: int32,
  flag: int32,
  remark: fc.option(text.filter((remark) => remark !== '')),
  extFields: fc
    .array(
      fc.tuple(
        text,
        text.filter((value) => value !== ''),
      ),
      { maxLength: 20 },
    )
    .map((entries): ReadonlyMap<string, string> => new Map(entries)),
  body: fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
  serializeType: fc.constantFrom(...Object.values(SerializeType)),
})

function command(given: Partial<RemotingCommand> = {}): RemotingCommand {
  return {
    code: 105,
    language: LanguageCode.JAVA,
    version: 513,
    opaque: 7,
    flag: 0,
    remark: null,
    extFields: NO_FIELDS,
    body: NO_BODY,
    serializeType: SerializeType.JSON,
    ...given,
  }
}

/** Decodes or says which kind of error came. */
function outcome(bytes: Buffer): string {
  try {
    decodeCommand(bytes, 4, bytes.length)
    return 'decoded'
  } catch (error) {
    return error instanceof RemotingError ? error.code : `crash: ${String(error)}`
  }
}

function jsonFrame(header: string): Buffer {
  const prefix = Buffer.alloc(8)
  prefix.writeInt32BE(4 + Buffer.byteLength(header))
  prefix.writeInt32BE(Buffer.byteLength(header), 4)
  return Buffer.concat([prefix, Buffer.from(header)])
}

function decodeHeader(header: string): RemotingCommand {
  const frame = jsonFrame(header)
  return decodeCommand(frame, 4, frame.length)
}

test('every command survives encoding and decoding in both serializations', () => {
  fc.assert(
    fc.property(anyCommand, (original) => {
      const bytes = encodeCommand(original)

      expect(bytes.readInt32BE(0)).toBe(bytes.length - 4)
      expect(decodeCommand(bytes, 4, bytes.length)).toEqual(original)
    }),
  )
})

test('a frame cut short anywhere in its header is malformed', () => {
  fc.assert(
    fc.property(anyCommand, (original) => {
      const bytes = encodeCommand(original)
      const bodyAt = bytes.length - original.body.length

      for (let end = 4; end < bodyAt; end++) {
        expect(outcome(bytes.subarray(0, end))).toBe('malformed')
      }
    }),
  )
})

test('a header cut short anywhere within itself is malformed in both serializations', () => {
  fc.assert(
    fc.property(anyCommand, (original) => {
      const json = encodeCommand({ ...original, body: NO_BODY, serializeType: SerializeType.JSON })
      const binary = encodeCommand({
        ...original,
        body: NO_BODY,
        serializeType: SerializeType.ROCKETMQ,
      })

      for (const bytes of [json, binary]) {
        for (let end = 8; end < bytes.length; end++) {
          const cut = Buffer.from(bytes.subarray(0, end))
          cut.writeUIntBE(end - 8, 5, 3)
          expect(outcome(cut)).toBe('malformed')
        }
      }
    }),
    { numRuns: 30 },
  )
})

test('random corruption of a frame gives a command or a typed error', () => {
  const flips = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(anyCommand, flips, (original, changes) => {
      const bytes = encodeCommand(original)
      for (const [at, value] of changes) bytes[4 + (at % (bytes.length - 4))] = value

      expect(outcome(bytes)).toMatch(/^(decoded|malformed|tooLarge)$/)
    }),
    { numRuns: 2_000 },
  )
})

test('the binary header has the layout of the protocol', () => {
  const original = command({
    code: 0x0102,
    language: LanguageCode.GO,
    version: 0x0304,
    opaque: 0x05060708,
    flag: 1,
    remark: 'r',
    extFields: new Map([['k', 'v']]),
    body: Buffer.from('B'),
    serializeType: SerializeType.ROCKETMQ,
  })

  expect(encodeCommand(original).toString('hex')).toBe(
    [
      '00000023', // length 35
      '0100001e', // ROCKETMQ, header of 30
      '0102',
      '09',
      '0304',
      '05060708',
      '00000001',
      '0000000172',
      '0000000800016b0000000176',
      '42',
    ].join(''),
  )
})

test.each([
  ['a remark', '00000002', '00000000'],
  ['a negative remark', 'ffffffff', '00000000'],
  ['ext fields', '00000000', '0000000900016b0000000176'],
  ['a key', '00000000', '0000000800036b0000000176'],
  ['a value', '00000000', '0000000800016b0000000276'],
  ['a negative value', '00000000', '0000000800016bffffffff76'],
  ['half an entry', '00000000', '0000000500016b0000'],
])('a binary header with %s beyond its end is malformed', (_name, remark, fields) => {
  const header = Buffer.from(`000a0000000000000000000000${remark}${fields}`, 'hex')
  const prefix = Buffer.alloc(8)
  prefix.writeInt32BE(4 + header.length)
  prefix.writeUInt8(SerializeType.ROCKETMQ, 4)
  prefix.writeUIntBE(header.length, 5, 3)

  expect(outcome(Buffer.concat([prefix, header]))).toBe('malformed')
})

test('the JSON header is written as Java writes it', () => {
  const original = command({
    code: 0,
    flag: 1,
    extFields: new Map([['offset', '5']]),
    remark: 'a"b',
  })

  expect(encodeCommand(original).toString('utf8', 8)).toBe(
    '{"code":0,"extFields":{"offset":"5"},"flag":1,"language":"JAVA","opaque":7,' +
      '"remark":"a\\"b","serializeTypeCurrentRPC":"JSON","version":513}',
  )
})

test('a code that the binary header cannot hold travels in JSON', () => {
  const bytes = encodeCommand(command({ code: 200_050, serializeType: SerializeType.ROCKETMQ }))

  const decoded = decodeCommand(bytes, 4, bytes.length)

  expect(decoded.code).toBe(200_050)
  expect(decoded.serializeType).toBe(SerializeType.JSON)
})

test('members may come in any order, with white space, unknown ones and absent ones', () => {
  const decoded = decodeHeader(
    ' { "x" : {"deep":[1,{"y":null}]} , "opaque" : 3,\n"code":\t10 ,"extFields":{ "a" : "b" } } ',
  )

  expect(decoded).toEqual(
    command({
      code: 10,
      opaque: 3,
      language: LanguageCode.OTHER,
      version: 0,
      extFields: new Map([['a', 'b']]),
    }),
  )
})

test('numbers and booleans in ext fields become their text, null is absent', () => {
  const { extFields } = decodeHeader(
    '{"code":1,"extFields":{"a":1,"b":true,"c":9007199254740993,"d":null,"e":-2,"f":1.5}}',
  )

  expect([...extFields]).toEqual([
    ['a', '1'],
    ['b', 'true'],
    ['c', '9007199254740992'],
    ['e', '-2'],
    ['f', '1.5'],
  ])
})

test('escapes are resolved, also right before the closing quote', () => {
  const { extFields, remark } = decodeHeader(
    String.raw`{"remark":"tab\t\\","extFields":{"i":"KEYS\u0001a\"b\u0002","\u0041":"\\"}}`,
  )

  expect(remark).toBe('tab\t\\')
  expect(extFields.get('i')).toBe('KEYS\u0001a"b\u0002')
  expect(extFields.get('A')).toBe('\\')
})

test('members named like parts of every object are fields like any other', () => {
  const { extFields } = decodeHeader(
    '{"__proto__":{"code":5},"extFields":{"__proto__":"p","constructor":"c"},"code":1}',
  )

  expect(extFields.get('__proto__')).toBe('p')
  expect(extFields.get('constructor')).toBe('c')
  expect(Object.prototype).not.toHaveProperty('code')
})

test.each([
  ['deep nesting', `{"x":${'['.repeat(100_000)}`, 'tooLarge'],
  ['deep nesting that ends well', `{"x":${'['.repeat(1_000)}${']'.repeat(1_000)}}`, 'tooLarge'],
  ['deep objects as keys', `{"x":${'{'.repeat(100_000)}`, 'tooLarge'],
  [
    'more than a thousand ext fields',
    `{"extFields":{${Array.from({ length: 1_001 }, (_, index) => `"k${index}":"v"`).join()}}}`,
    'tooLarge',
  ],
  ['an unterminated string', '{"code":"1', 'malformed'],
  ['a list', '[1]', 'malformed'],
  ['nothing', '', 'malformed'],
  ['a code that is no number', '{"code":"ten"}', 'malformed'],
  ['a code out of range', '{"code":4294967296}', 'malformed'],
  ['something after the end', '{"code":1}}', 'malformed'],
  ['ext fields that are a list', '{"extFields":[1]}', 'malformed'],
])('a header with %s is refused', (_name, header, expected) => {
  expect(outcome(jsonFrame(header))).toBe(expected)
})

test('a header over one MiB is refused', () => {
  expect(outcome(jsonFrame(`{"remark":"${'x'.repeat(1024 * 1024)}"}`))).toBe('tooLarge')
})

test('an unknown serialization type is refused', () => {
  const bytes = encodeCommand(command())
  bytes.writeUInt8(2, 4)

  expect(outcome(bytes)).toBe('malformed')
})

test('unknown languages become OTHER in both serializations', () => {
  const binary = encodeCommand(command({ serializeType: SerializeType.ROCKETMQ }))
  binary.writeUInt8(200, 10)

  expect(decodeHeader('{"language":"COBOL"}').language).toBe(LanguageCode.OTHER)
  expect(decodeCommand(binary, 4, binary.length).language).toBe(LanguageCode.OTHER)
})

test('ext fields may be given as a record, whose undefined members are absent', () => {
  expect([...extFieldsOf({ a: '1', b: undefined })]).toEqual([['a', '1']])
})
