import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Histogram } from './histogram.ts'

test('a quantile is within 1.6 % of the exact one', () => {
  // Against a sorted list, for any durations up to a minute.
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 60_000_000 }), { minLength: 1, maxLength: 300 }),
      fc.constantFrom(0.5, 0.9, 0.99, 0.999),
      (microseconds, share) => {
        const histogram = new Histogram()
        for (const value of microseconds) histogram.recordMs(value / 1000)
        const sorted = microseconds.toSorted((left, right) => left - right)
        const exact = sorted[Math.max(Math.ceil(share * sorted.length), 1) - 1] ?? 0

        const found = histogram.quantileMs(share) * 1000

        expect(Math.abs(found - exact)).toBeLessThanOrEqual(exact * 0.016 + 0.5)
      },
    ),
  )
})

test('count, mean and maximum are exact', () => {
  const histogram = new Histogram()
  for (const duration of [1, 2, 6]) histogram.recordMs(duration)

  expect(histogram.summary()).toMatchObject({ count: 3, mean: 3, max: 6 })
})

test('histograms add up', () => {
  const left = new Histogram()
  const right = new Histogram()
  for (let value = 1; value <= 50; value++) left.recordMs(value)
  for (let value = 51; value <= 100; value++) right.recordMs(value)

  left.add(right)

  expect(left.count).toBe(100)
  expect(left.quantileMs(0.5)).toBeCloseTo(50, 0)
  expect(left.summary().max).toBe(100)
})

test('a histogram of nothing says zero', () => {
  expect(new Histogram().summary()).toMatchObject({ count: 0, mean: 0, p99: 0, max: 0 })
})

test('what is negative or absurdly long is kept within bounds', () => {
  const histogram = new Histogram()

  histogram.recordMs(-5)
  histogram.recordMs(1e12)

  expect(histogram.count).toBe(2)
  expect(histogram.quantileMs(0.5)).toBe(0)
  expect(histogram.summary().max).toBe(2_147_483.647)
})
