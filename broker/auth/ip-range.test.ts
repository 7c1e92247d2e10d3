import { expect, test } from 'vitest'
import { addressOf, isInRange, parseIpRange } from './ip-range.ts'

function contains(text: string, host: string): boolean {
  const range = parseIpRange(text)
  return range !== null && isInRange(addressOf(host), range)
}

test.each([
  ['10.0.0.7', '10.0.0.7', true],
  ['10.0.0.7', '10.0.0.8', false],
  ['10.0.0.0/8', '10.255.1.2', true],
  ['10.0.0.0/8', '11.0.0.0', false],
  ['10.0.0.9/30', '10.0.0.10', true],
  ['10.0.0.9/30', '10.0.0.12', false],
  ['0.0.0.0/0', '192.168.1.1', true],
  ['0.0.0.0/0', '::1', false],
  ['10.0.0.0/8', '::ffff:10.0.0.7', true],
  ['fd00::/8', 'fd12::1', true],
  ['fd00::/8', 'fe80::1', false],
  ['::1', '0:0:0:0:0:0:0:1', true],
  ['10.0.0.0/8', 'localhost', false],
])('%s contains %s: %s', (range, host, expected) => {
  expect(contains(range, host)).toBe(expected)
})

test.each(['', '10.0.0', '10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/8/8', 'host', '10.*'])(
  '%s is no range',
  (text) => {
    expect(parseIpRange(text)).toBe(null)
  },
)
