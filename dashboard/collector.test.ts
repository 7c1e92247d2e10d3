import { expect, test } from 'vitest'
import { TEST_NOW, testBrokerState } from '../client/testing-picture.ts'
import { ratesOf } from './collector.ts'

const before = testBrokerState('a', { broker: { putTotal: 100, getTotal: 50, cpuMicros: 0 } })
const after = (given: object, problem: string | null = null) =>
  testBrokerState('a', {
    broker: { now: TEST_NOW + 5_000, putTotal: 600, getTotal: 50, cpuMicros: 2_500_000, ...given },
    problem,
  })

test('rates are what came between two pictures, by the broker’s own clock', () => {
  expect(ratesOf([before], [after({})], new Map()).get('a')).toEqual({
    inTps: 100,
    outTps: 0,
    inBytesTps: 0,
    cpu: 0.5,
  })
})

test.each([
  ['started anew', after({ bootTimestamp: TEST_NOW })],
  ['led by another member', after({ memberId: 1 })],
  ['silent', after({}, 'no answer')],
])('a broker that is %s has no rates', (_what, now) => {
  expect(ratesOf([before], [now], new Map()).size).toBe(0)
})

test('of two pictures at one moment the rates of before stay', () => {
  const known = { inTps: 7, outTps: 7, inBytesTps: 7, cpu: 7 }
  const now = after({ now: TEST_NOW + 50 })

  expect(ratesOf([before], [now], new Map([['a', known]])).get('a')).toEqual(known)
})
