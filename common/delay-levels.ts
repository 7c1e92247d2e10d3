/** RocketMQ's `messageDelayLevel`: the delays that a message can ask for by number, `1s 5s … 2h`. */

/** What a broker has unless it is told otherwise. */
export const DEFAULT_DELAY_LEVELS = '1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h'

/** Each level is a queue of its own. */
export const DELAY_LEVELS_MAX = 64

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
])
const DELAY_MAX_MS = 366 * 86_400_000

/** The delays in milliseconds, the first one for level 1; or a sentence that says what is wrong with the text. */
export function parseDelayLevels(text: string): readonly number[] | string {
  const items = text.split(' ').filter((item) => item !== '')
  if (items.length === 0) return 'there must be one level at least'
  if (items.length > DELAY_LEVELS_MAX) return `there are more than ${DELAY_LEVELS_MAX} levels`
  const delays: number[] = []
  for (const item of items) {
    const unitMs = UNIT_MS.get(item.slice(-1))
    const digits = item.slice(0, -1)
    if (unitMs === undefined || !/^\d{1,9}$/.test(digits)) {
      return `'${item}' is not a number with one of the units s, m, h, d`
    }
    const delayMs = Number(digits) * unitMs
    if (delayMs > DELAY_MAX_MS) return `'${item}' is more than 366 days`
    delays.push(delayMs)
  }
  return delays
}

/** Like `parseDelayLevels`, for a text that was checked when it came in. */
export function delayLevelsOf(text: string): readonly number[] {
  const delays = parseDelayLevels(text)
  if (typeof delays === 'string') throw new TypeError(`messageDelayLevel: ${delays}`)
  return delays
}
