import { expect, test } from 'vitest'
import { sendTraceRecord, traceStepsIn } from './message-traces.ts'

const record = (...fields: readonly (string | number)[]): string => `${fields.join('\u0001')}\u0002`
const SENT = record(
  'Pub',
  1000,
  'DefaultRegion',
  'shop',
  'orders',
  'ID1',
  'TagA',
  'k',
  '10.0.0.1:10911',
  12,
  5,
  0,
  'OFF1',
  'true',
  '10.0.0.9',
)

test('a sending is told with its size, its cost and where from', () => {
  expect(traceStepsIn(SENT, 'ID1')).toEqual([
    {
      kind: 'send',
      at: 1000,
      costMs: 5,
      isSuccess: true,
      group: 'shop',
      client: '10.0.0.9',
      detail: 'normal message of 12 bytes to 10.0.0.1:10911',
    },
  ])
})

test('what is written of a sending is what is read', () => {
  const body = sendTraceRecord({
    message: { topic: 'orders', body: Buffer.alloc(12), tags: 'TagA', keys: ['k'] },
    result: {
      status: 'SEND_OK',
      messageId: 'ID1',
      offsetMessageId: 'OFF1',
      queue: { topic: 'orders', brokerName: 'b', queueId: 0 },
      queueOffset: 0,
      attempts: 1,
    },
    storeHost: '10.0.0.1:10911',
    producerGroup: 'shop',
    sentAt: 1000,
    costMs: 5,
  })

  // The client is told by the address that it writes from.
  expect(traceStepsIn(body, 'ID1')).toEqual(
    traceStepsIn(SENT, 'ID1').map((step) => ({ ...step, client: '' })),
  )
})

test('a consumption that began and ended in one trace message is one step', () => {
  const body =
    record('SubBefore', 2000, 'DefaultRegion', 'billing', 'R1', 'ID1', 2, 'k') +
    record('SubAfter', 'R1', 'ID1', 40, 'false', 'k', 2, 2040, 'billing')

  expect(traceStepsIn(body, 'ID1')).toMatchObject([
    {
      kind: 'consume',
      at: 2000,
      costMs: 40,
      isSuccess: false,
      detail: 'retry 2, threw an exception',
    },
  ])
})

test('an end without its beginning stands alone', () => {
  const body = record('SubAfter', 'R1', 'ID1', 40, 'true', 'k', 0, 2040, 'billing')

  expect(traceStepsIn(body, 'ID1')).toMatchObject([
    { kind: 'consume', at: 2040, costMs: 40, isSuccess: true, group: 'billing', detail: 'done' },
  ])
})

test('steps of other messages, and what is malformed, are left out', () => {
  const half = record('SubBefore', 'x', '', '', '', 'ID1')

  expect(traceStepsIn(SENT + half + record('Pub') + record('Else', 1) + '\u0001', 'ID2')).toEqual(
    [],
  )
  expect(traceStepsIn('', 'ID1')).toEqual([])
})

test('transactions and recalls are told', () => {
  const body =
    record(
      'EndTransaction',
      3000,
      'r',
      'shop',
      'orders',
      'ID1',
      '',
      '',
      'h',
      2,
      'T1',
      'COMMIT_MESSAGE',
      'true',
    ) + record('Recall', 4000, 'r', 'shop', 'orders', 'ID1', 'true')

  expect(traceStepsIn(body, 'ID1').map(({ kind, detail }) => [kind, detail])).toEqual([
    ['transaction', 'COMMIT_MESSAGE, asked by the broker'],
    ['recall', ''],
  ])
})
