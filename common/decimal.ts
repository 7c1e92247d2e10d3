/** Integers as decimal digits in bytes: no string on the way, for hot paths. */

const BILLION = 1_000_000_000
const ZERO = 0x30
const MINUS = 0x2d

/** How many decimal digits a number that is not negative has. */
export function digitCount(value: number): number {
  let count = 1
  for (let bound = 10; bound <= value; bound *= 10) count++
  return count
}

/** Writes a safe integer; returns where it ends. */
export function writeDecimal(target: Buffer, at: number, value: number): number {
  if (value < 0) {
    target[at] = MINUS
    return writeDecimal(target, at + 1, -value)
  }
  const count = digitCount(value)
  writeDigits(target, at, count, value)
  return at + count
}

/** Writes a number that is not negative in `count` digits, as many as it has or with zeroes before them. */
export function writeDigits(target: Buffer, at: number, count: number, value: number): void {
  // Above that, integers of 32 bits do not hold it.
  if (value >= BILLION) {
    const high = Math.floor(value / BILLION)
    writeDigits(target, at, count - 9, high)
    writeDigits(target, at + count - 9, 9, value - high * BILLION)
    return
  }
  let rest = value | 0
  for (let to = at + count - 1; to >= at; to--) {
    const tenth = (rest / 10) | 0
    target[to] = ZERO + rest - tenth * 10
    rest = tenth
  }
}
