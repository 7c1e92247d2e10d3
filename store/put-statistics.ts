/** Counts of puts and gets since the start, as the runtime info of a broker shows them (protocol §13.11). */

const PUT_TIME_BOUNDS_MS = [0, 10, 50, 100, 200, 500, 1000, 2000, 3000, 4000, 5000, 10_000]

export class StoreStatistics {
  putTimesTotal = 0
  putSizeTotal = 0
  putFailedTimes = 0
  putEntireTimeMaxMs = 0
  readonly putTimeDistribution: number[] = Array.from(
    { length: PUT_TIME_BOUNDS_MS.length + 1 },
    () => 0,
  )
  getEntireTimeMaxMs = 0
  getFoundTimesTotal = 0
  getMissTimesTotal = 0
  getTransferredMessagesTotal = 0

  put(messages: number, bytes: number, elapsedMs: number): void {
    this.putTimesTotal += messages
    this.putSizeTotal += bytes
    const elapsed = Math.floor(elapsedMs)
    if (elapsed > this.putEntireTimeMaxMs) this.putEntireTimeMaxMs = elapsed
    let bucket = 0
    while (bucket < PUT_TIME_BOUNDS_MS.length && elapsed > (PUT_TIME_BOUNDS_MS[bucket] ?? 0))
      bucket++
    this.putTimeDistribution[bucket] = (this.putTimeDistribution[bucket] ?? 0) + messages
  }

  get(messages: number, elapsedMs: number): void {
    const elapsed = Math.floor(elapsedMs)
    if (elapsed > this.getEntireTimeMaxMs) this.getEntireTimeMaxMs = elapsed
    if (messages > 0) this.getFoundTimesTotal++
    else this.getMissTimesTotal++
    this.getTransferredMessagesTotal += messages
  }
}
