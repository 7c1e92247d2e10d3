import fc from 'fast-check'
import { expect, test } from 'vitest'
import { digitCount, writeDecimal, writeDigits } from './decimal.ts'

test('integers are written as strings of them are, between bytes that stay as they were', () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), fc.nat(5), (value, at) => {
      const text = String(value)
      const target = Buffer.alloc(32, 'x')

      const end = writeDecimal(target, at, value)

      expect(target.toString()).toBe(`${'x'.repeat(at)}${text}`.padEnd(32, 'x'))
      expect(end).toBe(at + text.length)
    }),
    { examples: [999_999_999, 1_000_000_000, -0, 10, 9].map((value) => [value, 0]) },
  )
})

test('a number is written in as many digits as are asked for', () => {
  fc.assert(
    fc.property(fc.nat(Number.MAX_SAFE_INTEGER), fc.nat(3), (value, more) => {
      const count = digitCount(value) + more
      const target = Buffer.alloc(count + 1, 'x')

      writeDigits(target, 0, count, value)

      expect(target.toString()).toBe(`${String(value).padStart(count, '0')}x`)
    }),
  )
})
