import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { crc32 } from 'node:zlib'
import {
  MAGIC_V1,
  MAGIC_V2,
  MessageCodecError,
  RecordReader,
  decodeBatchBody,
  decodeRecord,
  encodeBatchBody,
  encodeRecord,
  fitsRecord,
  iterateRecords,
  recordSize,
} from './message-codec.ts'
import type { RecordPlace } from './message-codec.ts'
import { MessageSysFlag } from './message.ts'
import type { MessageToStore } from './message.ts'
import { encodeProperties, parseProperties } from './properties.ts'

const bytes = (max: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength: max }).map((array) => Buffer.from(array))

const host = fc.record({
  ip: fc
    .oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    )
    .map((array) => Buffer.from(array)),
  port: fc.nat(65_535),
})

const name = fc.stringMatching(/^[a-zA-Z_]{1,10}$/)

const message: fc.Arbitrary<MessageToStore> = fc.record({
  topic: fc.stringMatching(/^[%|a-zA-Z0-9_-]{1,200}$/),
  queueId: fc.nat(1_000_000),
  flag: fc.integer(),
  sysFlag: fc.constantFrom(0, 1, 4, 8, 0x301),
  bornTimestamp: fc.maxSafeNat(),
  bornHost: host,
  reconsumeTimes: fc.nat(100),
  preparedTransactionOffset: fc.maxSafeNat(),
  body: bytes(300),
  properties: fc.dictionary(name, name).map((pairs) => encodeProperties(Object.entries(pairs))),
})

const place: fc.Arbitrary<RecordPlace> = fc.record({
  queueOffset: fc.maxSafeNat(),
  physicalOffset: fc.maxSafeNat(),
  storeTimestamp: fc.maxSafeNat(),
  storeHost: host,
})

const plain: MessageToStore = {
  topic: 'T',
  queueId: 3,
  flag: 7,
  sysFlag: 0,
  bornTimestamp: 1000,
  bornHost: { ip: Buffer.from([1, 2, 3, 4]), port: 5 },
  reconsumeTimes: 0,
  preparedTransactionOffset: 0,
  body: Buffer.from('hello'),
  properties: Buffer.from('A\u0001B'),
}
const plainPlace = {
  queueOffset: 9,
  physicalOffset: 4096,
  storeTimestamp: 2000,
  storeHost: { ip: Buffer.from([127, 0, 0, 1]), port: 10_911 },
}

function encode(from: MessageToStore, at: RecordPlace): Buffer {
  const target = Buffer.alloc(recordSize(from, at.storeHost), 0xee)
  const size = encodeRecord(target, 0, from, at)
  expect(size).toBe(target.length)
  return target
}

describe('a record', () => {
  test('is decoded to what was encoded', () => {
    fc.assert(
      fc.property(message, place, (from, at) => {
        const decoded = decodeRecord(encode(from, at))

        const hostBits =
          (from.bornHost.ip.length === 16 ? MessageSysFlag.BORN_HOST_V6 : 0) |
          (at.storeHost.ip.length === 16 ? MessageSysFlag.STORE_HOST_V6 : 0)
        expect(decoded).toMatchObject({
          ...from,
          ...at,
          sysFlag: from.sysFlag | hostBits,
          properties: {},
        })
        const properties = parseProperties(decoded.properties)
        expect(properties.delete('__CRC32#')).toBe(true)
        expect([...properties]).toEqual([...parseProperties(from.properties)])
      }),
    )
  })

  test('is read for dispatching as the full reader reads it', () => {
    fc.assert(
      fc.property(message, place, fc.nat(9), (from, at, before) => {
        const record = Buffer.concat([Buffer.alloc(before, 0xaa), encode(from, at)])
        const [full, quick] = [new RecordReader(), new RecordReader()]

        expect(full.read(record, before, record.length, true)).toBe(null)
        expect(quick.readTrusted(record, before, record.length)).toBe(true)

        const { type, size, queueId, queueOffset, physicalOffset, sysFlag, storeTimestamp } = full
        const { topicAt, topicSize, propertiesAt, propertiesSize } = full
        expect(quick).toMatchObject({
          ...{ type, size, queueId, queueOffset, physicalOffset, sysFlag, storeTimestamp },
          ...{ topicAt, topicSize, propertiesAt, propertiesSize },
        })
        expect(quick.readTrusted(record, before, record.length - 1)).toBe(false)
      }),
    )
  })

  test('has every field where a Java broker puts it', () => {
    const record = encode(plain, plainPlace)

    expect(record.readInt32BE(0)).toBe(record.length)
    expect(record.readUInt32BE(4)).toBe(MAGIC_V1)
    expect(record.readInt32BE(8)).toBe(crc32(Buffer.from('hello')) & 0x7fffffff)
    expect(record.readInt32BE(12)).toBe(3)
    expect(record.readInt32BE(16)).toBe(7)
    expect(record.readBigInt64BE(20)).toBe(9n)
    expect(record.readBigInt64BE(28)).toBe(4096n)
    expect(record.readInt32BE(36)).toBe(0)
    expect(record.readBigInt64BE(40)).toBe(1000n)
    expect(record.subarray(48, 56)).toEqual(Buffer.from([1, 2, 3, 4, 0, 0, 0, 5]))
    expect(record.readBigInt64BE(56)).toBe(2000n)
    expect(record.readInt32BE(84)).toBe(5)
    expect(record.toString('latin1', 88, 95)).toBe('hello\u0001T')
    expect(record.readInt16BE(95)).toBe(24)
    expect(record.toString('latin1', 97, 101)).toBe('A\u0001B\u0002')
    expect(record.toString('latin1', 101, 110)).toBe('__CRC32#\u0001')
    expect(record.length).toBe(91 + 5 + 1 + 24)
  })

  test('with a topic over 127 bytes is of version 2', () => {
    const record = encode({ ...plain, topic: 'x'.repeat(128) }, plainPlace)

    expect(record.readUInt32BE(4)).toBe(MAGIC_V2)
    expect(decodeRecord(record).topic).toBe('x'.repeat(128))
  })

  test('without a checksum property, as Java writes it, is checked by its body', () => {
    const ours = encode({ ...plain, properties: Buffer.alloc(0) }, plainPlace)
    const record = Buffer.from(ours.subarray(0, ours.length - 20))
    record.writeInt32BE(record.length, 0)
    record.writeInt16BE(0, record.length - 2)
    expect(decodeRecord(record).body.toString()).toBe('hello')

    record.writeUInt8(0x21, 88)

    expect(() => decodeRecord(record)).toThrow(MessageCodecError)
  })

  test('cut at any byte is refused', () => {
    const record = encode(plain, plainPlace)

    for (let size = 0; size < record.length; size++) {
      expect(() => decodeRecord(record.subarray(0, size))).toThrow(MessageCodecError)
    }
  })

  test('with any single bit flipped is refused', () => {
    const record = encode(plain, plainPlace)

    for (let bit = 0; bit < record.length * 8; bit++) {
      const flipped = Buffer.from(record)
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      expect(() => decodeRecord(flipped), `bit ${bit}`).toThrow(MessageCodecError)
    }
  })

  test('of random or mutated bytes gives a typed error or a message, never another exception', () => {
    const record = encode(plain, plainPlace)
    const mutated = fc
      .array(fc.tuple(fc.nat(record.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 })
      .map((changes) => {
        const copy = Buffer.from(record)
        for (const [at, byte] of changes) copy[at] = byte
        return copy
      })
    fc.assert(
      fc.property(fc.oneof(bytes(300), mutated), (input) => {
        const reader = new RecordReader()
        reader.read(input, 0, input.length, false)
        reader.read(input, 0, input.length, true)
      }),
      { numRuns: 2000 },
    )
  })

  test('does not fit when properties with the checksum pass 32,767 bytes', () => {
    const size = (length: number): MessageToStore => ({
      ...plain,
      properties: Buffer.alloc(length, 0x02),
    })

    expect(fitsRecord(size(32_747))).toBe(true)
    expect(fitsRecord(size(32_748))).toBe(false)
  })

  test('is followed by the next one in an answer', () => {
    const body = Buffer.concat([
      encode(plain, plainPlace),
      encode({ ...plain, topic: 'Second' }, plainPlace),
    ])

    expect([...iterateRecords(body)].map(({ topic }) => topic)).toEqual(['T', 'Second'])
  })
})

describe('a batch body', () => {
  const item = fc.record({ flag: fc.integer(), body: bytes(100), properties: bytes(50) })

  test('is decoded to what was encoded', () => {
    fc.assert(
      fc.property(fc.array(item, { maxLength: 10 }), (items) => {
        expect(decodeBatchBody(encodeBatchBody(items))).toEqual(items)
      }),
    )
  })

  test('cut at any byte but between messages is refused', () => {
    const one = { flag: 0, body: Buffer.from('abc'), properties: Buffer.from('A\u0001B\u0002') }
    const body = encodeBatchBody([one, one])

    for (let size = 1; size < body.length; size++) {
      if (size === body.length / 2) continue
      expect(() => decodeBatchBody(body.subarray(0, size))).toThrow(MessageCodecError)
    }
  })

  test('of random bytes gives a typed error or messages', () => {
    fc.assert(
      fc.property(bytes(200), (input) => {
        try {
          decodeBatchBody(input)
        } catch (error) {
          expect(error).toBeInstanceOf(MessageCodecError)
        }
      }),
      { numRuns: 2000 },
    )
  })
})
