import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  copyBytes,
  javaHashCode,
  javaHashCodeOfUtf8,
  readInt32,
  readInt64,
  writeInt32,
  writeInt64,
} from './bytes.ts'

describe('integers', () => {
  test('of 32 bits are those of Buffer, also when they are given unsigned', () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(3), (value, at) => {
        const [one, other, third] = [Buffer.alloc(8), Buffer.alloc(8), Buffer.alloc(8)]
        one.writeInt32BE(value, at)

        writeInt32(other, at, value)
        writeInt32(third, at, value >>> 0)

        expect([other, third]).toEqual([one, one])
        expect(readInt32(other, at)).toBe(value)
      }),
    )
  })

  test('of 64 bits are those of Buffer for every safe integer', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        const [one, other] = [Buffer.alloc(8), Buffer.alloc(8)]
        one.writeBigInt64BE(BigInt(value))

        writeInt64(other, 0, value)

        expect(other).toEqual(one)
        expect(readInt64(other, 0)).toBe(value)
      }),
    )
  })

  test('of 64 bits that a number does not hold are refused', () => {
    for (const value of [2 ** 53, -(2 ** 53), 0.5, Number.NaN]) {
      expect(() => writeInt64(Buffer.alloc(8), 0, value)).toThrow('safe integer')
    }
  })
})

test('a hash of UTF-8 bytes is that of the text, and goes on from that of what comes before', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.string({ unit: 'binary', maxLength: 20 })),
      fc.string(),
      (text, before) => {
        const bytes = Buffer.from(`..${text}..`)
        const valid = Buffer.from(text).toString()

        const hash = javaHashCodeOfUtf8(bytes, 2, bytes.length - 2, javaHashCode(before))

        expect(hash).toBe(javaHashCode(before + valid))
      },
    ),
  )
})

test('copies of any length hold what was there, and nothing else is touched', () => {
  const source = Buffer.from(Array.from({ length: 200 }, (_, index) => index + 1))
  for (let length = 0; length <= 100; length++) {
    const target = Buffer.alloc(120)

    expect(copyBytes(source, 7, 7 + length, target, 5)).toBe(length)

    expect(target.subarray(5, 5 + length)).toEqual(source.subarray(7, 7 + length))
    expect(target.subarray(5 + length).some((byte) => byte !== 0)).toBe(false)
  }
})
