import { deflateSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { encodeProperties } from '../../common/properties.ts'
import { holds, messageRow, newestFirst } from './message-rows.ts'

const message = (
  body: Buffer,
  given: { readonly sysFlag?: number; readonly storeTimestamp?: number } = {},
) => ({
  topic: 'orders',
  queueId: 1,
  queueOffset: 7,
  physicalOffset: 1000,
  flag: 0,
  sysFlag: 0,
  bornTimestamp: 5,
  bornHost: { ip: Buffer.from([10, 0, 0, 9]), port: 4711 },
  storeTimestamp: 6,
  storeHost: { ip: Buffer.from([10, 0, 0, 1]), port: 10911 },
  reconsumeTimes: 0,
  preparedTransactionOffset: 0,
  bodyCrc: 0,
  size: 0,
  body,
  properties: encodeProperties([
    ['UNIQ_KEY', 'ID1'],
    ['TAGS', 'TagA'],
    ['KEYS', 'k1 k2'],
  ]),
  ...given,
})

test('a row has ids, places and what people search for', () => {
  expect(messageRow(message(Buffer.from('x')), 'broker-a', true)).toMatchObject({
    id: 'ID1',
    offsetId: '0A00000100002A9F00000000000003E8',
    brokerName: 'broker-a',
    bornHost: '10.0.0.9:4711',
    tags: 'TagA',
    keys: 'k1 k2',
    body: Buffer.from('x').toString('base64'),
    bodySize: 1,
    isBodyCut: false,
  })
})

test('a compressed body is shown as it was sent', () => {
  const body = deflateSync(Buffer.from('hello'))
  const row = messageRow(message(body, { sysFlag: 1 }), 'a', true)

  expect(Buffer.from(row.body ?? '', 'base64').toString()).toBe('hello')
  expect(row.bodySize).toBe(5)
})

test('a body that cannot be decompressed is told, not thrown', () => {
  const row = messageRow(message(Buffer.from('no zlib'), { sysFlag: 1 }), 'a', true)

  expect(row.body).toBeNull()
  expect(row.bodyProblem).toContain('decompressed')
})

test('a long body is cut, and says so', () => {
  const row = messageRow(message(Buffer.alloc(100_000)), 'a', true)

  expect(row).toMatchObject({ isBodyCut: true, bodySize: 100_000 })
  expect(Buffer.from(row.body ?? '', 'base64')).toHaveLength(64 * 1024)
})

test('who may not read bodies gets none', () => {
  expect(messageRow(message(Buffer.from('secret')), 'a', false)).toMatchObject({ body: null })
})

test('a text is searched in body, keys and tags', () => {
  const row = messageRow(message(Buffer.from('Hello World')), 'a', true)

  expect(['world', 'k2', 'taga', 'id1', ''].map((text) => holds(row, text))).toEqual([
    true,
    true,
    true,
    true,
    true,
  ])
  expect(holds(row, 'mars')).toBe(false)
})

test('the newest comes first', () => {
  const rows = [1, 3, 2].map((storeTimestamp) =>
    messageRow(message(Buffer.from('x'), { storeTimestamp }), 'a', true),
  )

  expect(rows.toSorted(newestFirst).map(({ storedAt }) => storedAt)).toEqual([3, 2, 1])
})
