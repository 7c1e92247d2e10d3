/** The clocks of the bench: `performance.now()` for durations, and the same as milliseconds since 1970 where two processes compare. */

/** Milliseconds since 1970, with fractions, of a time of `performance.now()`. */
export function epochOf(now: number): number {
  return performance.timeOrigin + now
}

export function sleep(delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delayMs)
  })
}
