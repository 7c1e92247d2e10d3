/** How long syncs of the CommitLog took since the start, by bucket. */

/** Upper bounds, inclusive; a last bucket holds what took longer. */
export const SYNC_TIME_BOUNDS_MS: readonly number[] = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10_000,
]

export class SyncTimes {
  readonly counts: number[] = Array.from({ length: SYNC_TIME_BOUNDS_MS.length + 1 }, () => 0)
  sumMs = 0

  add(elapsedMs: number): void {
    let bucket = 0
    while (bucket < SYNC_TIME_BOUNDS_MS.length && elapsedMs > (SYNC_TIME_BOUNDS_MS[bucket] ?? 0)) {
      bucket++
    }
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1
    this.sumMs += elapsedMs
  }
}
