import { describe, expect, test } from 'vitest'
import { DEFAULT_DELAY_LEVELS, delayLevelsOf, parseDelayLevels } from './delay-levels.ts'

describe('delay levels', () => {
  test('RocketMQ has eighteen, from a second to two hours', () => {
    const levels = delayLevelsOf(DEFAULT_DELAY_LEVELS)

    expect(levels).toHaveLength(18)
    expect([levels[0], levels[3], levels[4], levels[17]]).toEqual([1000, 30_000, 60_000, 7_200_000])
  })

  test('days are a unit too, and blanks do not count', () => {
    expect(parseDelayLevels(' 1s  2d ')).toEqual([1000, 172_800_000])
  })

  test.each([
    '',
    '5',
    '5x',
    's',
    '-1s',
    '1.5s',
    '400d',
    Array.from({ length: 65 }, () => '1s').join(' '),
  ])("'%s' is refused in words", (text) => {
    expect(parseDelayLevels(text)).toEqual(expect.any(String))
    expect(() => delayLevelsOf(text)).toThrow('messageDelayLevel')
  })
})
