import { deflateSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { formatProperties } from '../common/properties.ts'
import {
  deadLetterTopic,
  originalTopic,
  resentMessage,
  sentAgain,
  retryTopic,
} from './dead-letters.ts'

function deadLetter(properties: Readonly<Record<string, string>>, sysFlag = 0, body = 'text') {
  return {
    topic: deadLetterTopic('billing'),
    flag: 7,
    sysFlag,
    body: Buffer.from(body),
    properties: Buffer.from(formatProperties(Object.entries(properties))),
  }
}

test('a dead letter goes back to its group alone, under the topic that it came from', () => {
  const sent = resentMessage(deadLetter({ RETRY_TOPIC: 'Orders' }), 'billing')

  expect(sent.topic).toBe(retryTopic('billing'))
  expect(sent.properties).toEqual({ RETRY_TOPIC: 'Orders' })
  expect(sent.body.toString()).toBe('text')
  expect(sent.flag).toBe(7)
})

test("it keeps what its sender gave it, and nothing of the former sending's attempts, delays and transactions", () => {
  const sent = resentMessage(
    deadLetter({
      RETRY_TOPIC: 'Orders',
      ORIGIN_MESSAGE_ID: 'O1',
      TAGS: 'new',
      KEYS: 'a b',
      colour: 'red',
      UNIQ_KEY: 'U1',
      DELAY: '3',
      REAL_TOPIC: 'X',
      RECONSUME_TIME: '16',
      TRAN_MSG: 'true',
      TIMER_DELIVER_MS: '1',
      DLQ_ORIGIN_TOPIC: 'Orders',
    }),
    'billing',
  )

  expect(sent.tags).toBe('new')
  expect(sent.keys).toEqual(['a', 'b'])
  expect(sent.properties).toEqual({
    RETRY_TOPIC: 'Orders',
    ORIGIN_MESSAGE_ID: 'O1',
    colour: 'red',
  })
})

test('a message is sent again to its topic, without what brokers have noted of it', () => {
  const sent = sentAgain(deadLetter({ TAGS: 'new', colour: 'red', UNIQ_KEY: 'U1', DELAY: '3' }))

  expect(sent.topic).toBe('%DLQ%billing')
  expect(sent.tags).toBe('new')
  expect(sent.properties).toEqual({ colour: 'red' })
})

test('a compressed body is sent as it was before', () => {
  const compressed = { ...deadLetter({}, 0x301), body: deflateSync(Buffer.from('long text')) }

  expect(resentMessage(compressed, 'billing').body.toString()).toBe('long text')
})

test.each([
  [{ DLQ_ORIGIN_TOPIC: 'A', RETRY_TOPIC: 'B' }, 'A'],
  [{ RETRY_TOPIC: 'B' }, 'B'],
  [{}, '%DLQ%billing'],
])('the topic of a dead letter with %j is %s', (properties, topic) => {
  expect(originalTopic(deadLetter(properties))).toBe(topic)
})
