import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ResolvedTimers } from './resolved-timers.ts'

test('resolved timers are a set of queue offsets', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 200_000 })), (queueOffsets) => {
      const resolved = new ResolvedTimers()
      for (const queueOffset of queueOffsets) resolved.add(queueOffset)

      for (const queueOffset of queueOffsets) {
        for (const near of [queueOffset, queueOffset + 1]) {
          expect(resolved.has(near)).toBe(queueOffsets.includes(near))
        }
      }
    }),
  )
})

test('a page that is full stays full, and pages below a queue offset are forgotten', () => {
  const resolved = new ResolvedTimers()
  for (let queueOffset = 0; queueOffset < 70_000; queueOffset++) resolved.add(queueOffset)
  resolved.add(5)

  resolved.forgetBelow(40_000)

  expect([5, 32_767, 32_768, 69_999, 70_000].map((each) => resolved.has(each))).toEqual([
    false,
    false,
    true,
    true,
    false,
  ])
})
