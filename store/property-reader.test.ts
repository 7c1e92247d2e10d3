import { describe, expect, test } from 'vitest'
import { encodeRecord, recordSize } from '../common/message-codec.ts'
import { PropertyReader } from './property-reader.ts'
import { testMessage } from './testing.ts'

const IPV4 = Buffer.from([10, 0, 0, 1])
const IPV6 = Buffer.alloc(16, 7)

/** A log of one record that begins at 1000, and how often it is read. */
function logOf(record: Buffer) {
  const reads: number[] = []
  const read = (offset: number, size: number, target: Buffer) => {
    if (offset < 1000 || offset + size > 1000 + record.length) return false
    reads.push(size)
    record.copy(target, 0, offset - 1000, offset - 1000 + size)
    return true
  }
  return { read, reads }
}

function recordOf(bodySize: number, topic: string, bornIp: Buffer, storeIp: Buffer): Buffer {
  const message = {
    ...testMessage({ topic, body: Buffer.alloc(bodySize), properties: { a: '1', b: 'x' } }),
    bornHost: { ip: bornIp, port: 1 },
  }
  const storeHost = { ip: storeIp, port: 10_911 }
  const record = Buffer.alloc(recordSize(message, storeHost))
  const place = { queueOffset: 3, physicalOffset: 1000, storeTimestamp: 1, storeHost }
  encodeRecord(record, 0, message, place)
  return record
}

describe.each([
  ['small', 100],
  ['large', 100_000],
])('the properties of a %s record', (_size, bodySize) => {
  test.each([
    ['IPv4 hosts', 'T', IPV4, IPV4],
    ['an IPv6 client', 'T', IPV6, IPV4],
    ['IPv6 hosts', 'T', IPV6, IPV6],
    ['a long topic', '%RETRY%'.padEnd(200, 'x'), IPV4, IPV4],
  ])('are found with %s', (_what, topic, bornIp, storeIp) => {
    const record = recordOf(bodySize, topic, bornIp, storeIp)
    const log = logOf(record)
    const reader = new PropertyReader(log.read)

    const isFound = reader.read(1000, record.length)

    expect(isFound).toBe(true)
    expect(['a', 'b', '__CRC32#'].map((name) => reader.pairs.find(Buffer.from(name)))).toEqual([
      0, 1, 2,
    ])
    expect(reader.pairs.count).toBe(3)
    // The body of a large record stays where it is.
    expect(Math.max(...log.reads)).toBeLessThan(2000)
  })
})

test('the same record is read once, until the log is cut', () => {
  const record = recordOf(10, 'T', IPV4, IPV4)
  const log = logOf(record)
  const reader = new PropertyReader(log.read)

  reader.read(1000, record.length)
  reader.read(1000, record.length)
  const readsBefore = log.reads.length
  reader.drop()
  reader.read(1000, record.length)

  expect([readsBefore, log.reads.length]).toEqual([1, 2])
})

test('a record that is not there, or is none, has no properties', () => {
  const record = recordOf(10, 'T', IPV4, IPV4)
  const reader = new PropertyReader(logOf(record).read)

  expect(reader.read(900, record.length)).toBe(false)
  expect(reader.read(1000, record.length - 1)).toBe(false)
  expect(reader.read(1001, record.length - 1)).toBe(false)
})
