import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatHostAddress, formatIp, parseHostAddress, parseIp } from './host-address.ts'
import { UniqueIdGenerator, decodeOffsetMessageId, encodeOffsetMessageId } from './message-id.ts'

describe('offset message ids', () => {
  test('an IPv4 id has the form of the Java broker', () => {
    const host = { ip: Buffer.from([127, 0, 0, 1]), port: 10_911 }

    expect(encodeOffsetMessageId(host, 0x1234)).toBe('7F00000100002A9F0000000000001234')
  })

  test('ids of both address kinds are decoded back', () => {
    const address = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    )
    fc.assert(
      fc.property(address, fc.nat(65_535), fc.maxSafeNat(), (ip, port, physicalOffset) => {
        const host = { ip: Buffer.from(ip), port }

        const decoded = decodeOffsetMessageId(encodeOffsetMessageId(host, physicalOffset))

        expect(decoded).toEqual({ host, physicalOffset })
      }),
    )
  })

  test.each([
    '',
    'xyz',
    '7F00000100002A9F000000000000123',
    'G'.repeat(32),
    'F'.repeat(32),
    '7'.repeat(34),
  ])('the text %j is no offset id', (text) => {
    expect(decodeOffsetMessageId(text)).toBe(null)
  })
})

describe('unique ids', () => {
  test('ten thousand ids of one process differ and have 32 characters', () => {
    const ids = new Set<string>()
    const generator = new UniqueIdGenerator({
      clock: { now: () => Date.UTC(2026, 5, 15), monotonic: () => 0 },
      random: { next: () => 0, integer: () => 0, bytes: (size) => Buffer.alloc(size, 7) },
      ip: Buffer.from([10, 0, 0, 1]),
      pid: 77_777,
    })

    for (let count = 0; count < 10_000; count++) ids.add(generator.next())

    expect(ids.size).toBe(10_000)
    expect([...ids].every((id) => /^[0-9A-F]{32}$/.test(id))).toBe(true)
  })
})

describe('host addresses', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
    ['fe80:0:0:0:1:0:0:2%eth0', 'fe80::1:0:0:2'],
    ['2001:db8::', '2001:db8::'],
    ['::ffff:1.2.3.4', '::ffff:102:304'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
  ])('%s is parsed and written as %s', (text, formatted) => {
    const ip = parseIp(text)

    expect(ip === null ? null : formatIp(ip)).toBe(formatted)
  })

  test.each([
    '',
    '1.2.3',
    '1.2.3.256',
    'localhost',
    '1:2:3',
    '1::2::3',
    '1:2:3:4:5:6:7:8:9',
    '::12345',
  ])('%j is no address', (text) => {
    expect(parseIp(text)).toBe(null)
  })

  test('an IPv4 address wrapped in IPv6 is taken for what it is', () => {
    const address = parseHostAddress('::ffff:10.1.2.3', 80)

    expect(address === null ? null : formatHostAddress(address)).toBe('10.1.2.3:80')
  })
})
