import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { combineCrc32, crc32Of } from './crc32.ts'

const bytes = fc.uint8Array({ maxLength: 700 }).map((array) => Buffer.from(array))

describe('crc32Of', () => {
  test('is the checksum of zlib for every range, by tables and by zlib itself', () => {
    fc.assert(
      fc.property(bytes, fc.nat(), fc.nat(), (source, first, second) => {
        const start = first % (source.length + 1)
        const end = start + (second % (source.length - start + 1))

        expect(crc32Of(source, start, end)).toBe(crc32(source.subarray(start, end)) | 0)
      }),
    )
  })

  test('is the checksum of zlib at every length around the change of method', () => {
    const source = Buffer.from(Array.from({ length: 400 }, (_, index) => (index * 89) & 0xff))

    for (let length = 0; length <= source.length; length++) {
      expect(crc32Of(source, 0, length)).toBe(crc32(source.subarray(0, length)) | 0)
    }
  })
})

describe('combineCrc32', () => {
  test('is the checksum of both parts laid end to end', () => {
    fc.assert(
      fc.property(bytes, bytes, (first, second) => {
        const whole = Buffer.concat([first, second])

        const combined = combineCrc32(
          crc32Of(first, 0, first.length),
          crc32Of(second, 0, second.length),
          second.length,
        )

        expect(combined).toBe(crc32(whole) | 0)
      }),
    )
  })

  test('holds for long and very long second parts', () => {
    const first = Buffer.from('first')
    for (const length of [0, 1, 4095, 4096, 4097, 8192, 5_000_000, 17_000_001]) {
      const second = Buffer.alloc(length, 0x5a)

      const combined = combineCrc32(crc32(first), crc32(second), length)

      expect(combined).toBe(crc32(Buffer.concat([first, second])) | 0)
    }
  })
})
