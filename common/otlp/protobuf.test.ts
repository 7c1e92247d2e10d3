import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ProtobufError, protobufFields } from './protobuf-fields.ts'
import { ProtobufWriter } from './protobuf-writer.ts'

const field = fc.integer({ min: 1, max: 2 ** 20 })
const entry = fc.oneof(
  fc.record({
    type: fc.constant('uint32'),
    field,
    value: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
  }),
  fc.record({ type: fc.constant('string'), field, value: fc.string({ minLength: 1 }) }),
  fc.record({ type: fc.constant('double'), field, value: fc.double() }),
  fc.record({ type: fc.constant('fixed64'), field, value: fc.bigInt(1n, 2n ** 64n - 1n) }),
  fc.record({ type: fc.constant('packed'), field, value: fc.array(fc.double(), { minLength: 1 }) }),
  fc.record({ type: fc.constant('message'), field, value: fc.nat(40_000) }),
)
type Entry = typeof entry extends fc.Arbitrary<infer T> ? T : never

function write(writer: ProtobufWriter, { type, field, value }: Entry): void {
  if (typeof value === 'bigint') writer.fixed64(field, value)
  else if (typeof value === 'string') writer.string(field, value)
  else if (typeof value === 'object') writer.packedDoubles(field, value)
  else if (type === 'uint32') writer.uint32(field, value)
  else if (type === 'double') writer.double(field, value)
  else writer.message(field, () => writer.message(1, () => writer.string(1, 'x'.repeat(value))))
}

/** What a reader sees of it. */
function read({ type, value }: Entry): number | Buffer {
  if (typeof value === 'string') return Buffer.from(value)
  if (typeof value === 'bigint') return eight((bytes) => bytes.writeBigUInt64LE(value))
  if (typeof value === 'object') return Buffer.concat(value.map((each) => doubleOf(each)))
  if (type === 'uint32') return value
  if (type === 'double') return doubleOf(value)
  const inner = lengthDelimited(
    value === 0 ? Buffer.alloc(0) : lengthDelimited(Buffer.alloc(value, 'x')),
  )
  return inner
}

/** Field 1 with these bytes, written the plain way. */
function lengthDelimited(bytes: Buffer): Buffer {
  const length: number[] = []
  for (let left = bytes.length; ; left = Math.floor(left / 128)) {
    length.push((left % 128) + (left >= 128 ? 128 : 0))
    if (left < 128) break
  }
  return Buffer.concat([Buffer.from([0x0a, ...length]), bytes])
}

function doubleOf(value: number): Buffer {
  return eight((bytes) => bytes.writeDoubleLE(value))
}

function eight(fill: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.alloc(8)
  fill(bytes)
  return bytes
}

test('what is written is read again, field by field', () => {
  fc.assert(
    fc.property(fc.array(entry), (entries) => {
      const writer = new ProtobufWriter()
      for (const each of entries) write(writer, each)

      const fields = [...protobufFields(writer.finish())]

      expect(fields).toEqual(entries.map((each) => ({ field: each.field, value: read(each) })))
    }),
  )
})

test('a message that ends early, or is none, is a typed error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      let problem: unknown = null
      try {
        Array.from(protobufFields(Buffer.from(bytes)))
      } catch (error) {
        problem = error
      }

      expect(problem === null || problem instanceof ProtobufError).toBe(true)
    }),
  )
  expect(() => [...protobufFields(Buffer.from([0x0a, 5, 1]))]).toThrow('ends early')
  expect(() => [...protobufFields(Buffer.from([0x0b]))]).toThrow('wire type 3')
  expect(() => [...protobufFields(Buffer.alloc(12, 0xff))]).toThrow('too long')
})
