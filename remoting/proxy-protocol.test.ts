import { describe, expect, test } from 'vitest'
import { RemotingError } from './errors.ts'
import { proxyHeaders } from './fuzz-examples.ts'
import { mayBeginProxyHeader, readProxyHeader } from './proxy-protocol.ts'

const SIGNATURE = '0d0a0d0a000d0a515549540a'

function text(line: string): Buffer {
  return Buffer.from(`${line}\r\n`)
}

function binary(hex: string): Buffer {
  return Buffer.from(SIGNATURE + hex, 'hex')
}

describe('a header', () => {
  test.each([
    ['IPv4 text', text('PROXY TCP4 192.0.2.1 192.0.2.2 56324 10911'), '192.0.2.1', 56_324],
    ['IPv6 text', text('PROXY TCP6 2001:db8::1 2001:db8::2 1 2'), '2001:db8::1', 1],
    ['IPv4 binary', binary('2111000cc0000201c0000202dc042a9f'), '192.0.2.1', 56_324],
    [
      'IPv6 binary',
      binary('2121002420010db800000000000000000000000120010db8000000000000000000000002dc042a9f'),
      '2001:db8::1',
      56_324,
    ],
    ['TLVs', binary('21110013c0000201c0000202dc042a9f04000401020304'), '192.0.2.1', 56_324],
  ])('names the client: %s', (_, header, host, port) => {
    const read = readProxyHeader(Buffer.concat([header, Buffer.alloc(9)]))

    expect(read).toEqual({ end: header.length, source: { host, port } })
  })

  test.each([
    ['UNKNOWN', text('PROXY UNKNOWN ffff::1 ffff::2 1 2')],
    ['UNKNOWN alone', text('PROXY UNKNOWN')],
    ['LOCAL', binary('20000000')],
    ['LOCAL with addresses', binary('2011000cc0000201c0000202dc042a9f')],
    ['Unix sockets', binary(`213100d8${'00'.repeat(0xd8)}`)],
    ['an unspecified family', binary('21000000')],
  ])('may name nobody: %s', (_, header) => {
    expect(readProxyHeader(header)).toEqual({ end: header.length, source: null })
  })

  test.each(proxyHeaders().map((header) => [header.toString('latin1'), header] as const))(
    'is not whole before its last byte: %j',
    (_, header) => {
      for (let size = 1; size < header.length; size++) {
        expect(readProxyHeader(header.subarray(0, size))).toBe(null)
      }
      expect(readProxyHeader(header)).toMatchObject({ end: header.length })
    },
  )

  test.each([
    ['a wrong word', text('PROXIES TCP4 192.0.2.1 192.0.2.2 1 2')],
    ['a wrong family', text('PROXY TCP5 192.0.2.1 192.0.2.2 1 2')],
    ['an address of the other family', text('PROXY TCP6 192.0.2.1 192.0.2.2 1 2')],
    ['no address', text('PROXY TCP4 host 192.0.2.2 1 2')],
    ['no ports', text('PROXY TCP4 192.0.2.1 192.0.2.2')],
    ['a port out of range', text('PROXY TCP4 192.0.2.1 192.0.2.2 65536 2')],
    ['a line without an end', Buffer.from(`PROXY TCP4 ${'1'.repeat(200)}`)],
    ['another version', binary('31000000')],
    ['another command', binary('22000000')],
    ['a length that its addresses do not fit', binary('2111000401020304')],
    ['an excessive length', binary('2111ffff')],
  ])('is refused with %s', (_, header) => {
    expect(() => readProxyHeader(header)).toThrow(RemotingError)
  })
})

test('no frame begins like a header', () => {
  expect([0x50, 0x0d, 0x00, 0x01, 0x16].map(mayBeginProxyHeader)).toEqual([
    true,
    true,
    false,
    false,
    false,
  ])
})
