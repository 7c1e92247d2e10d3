import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ManualTime } from './testing.ts'
import { TimeoutWheel } from './timeout-wheel.ts'

test('a time-out fires once, not early and at most a tick late', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(30_000), { maxLength: 30 }), fc.nat(50), (delays, offset) => {
      const time = new ManualTime()
      const wheel = new TimeoutWheel(time, time)
      const fired: { readonly delay: number; readonly at: number }[] = []

      time.advance(offset)
      for (const delay of delays) {
        wheel.after(delay, () => fired.push({ delay, at: time.now() - offset }))
      }
      time.advance(31_000)

      expect(fired).toHaveLength(delays.length)
      for (const { delay, at } of fired) {
        expect(at).toBeGreaterThanOrEqual(delay)
        expect(at).toBeLessThanOrEqual(delay + 20)
      }
    }),
  )
})

test('a cancelled time-out does not fire, and an empty wheel has no timer', () => {
  const time = new ManualTime()
  const wheel = new TimeoutWheel(time, time)
  let fired = 0

  const timer = wheel.after(100, () => fired++)
  expect(time.timerCount).toBe(1)
  timer.cancel()
  timer.cancel()
  time.advance(1_000)

  expect(fired).toBe(0)
  expect(time.timerCount).toBe(0)
})

test('a callback may set the next time-out', () => {
  const time = new ManualTime()
  const wheel = new TimeoutWheel(time, time)
  const fired: number[] = []

  wheel.after(50, () => {
    fired.push(time.now())
    wheel.after(50, () => fired.push(time.now()))
  })
  time.advance(1_000)

  expect(fired).toEqual([60, 120])
})
