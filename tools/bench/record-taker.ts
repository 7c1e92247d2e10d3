/** Looks at the records of answers where they lie in the received bytes: are they whole, of this bench, and which ones. */
import { BodyReader, hasStoredCrc } from './message-body.ts'
import type { PullTotals } from './pull-totals.ts'
import { RecordWalker } from './record-walker.ts'
import { epochOf } from './time.ts'

export interface RecordTakerOptions {
  readonly totals: PullTotals
  readonly checksCrc: boolean
  /** Only these messages count for the latency; null: none. */
  readonly run: number | null
}

export class RecordTaker {
  readonly #options: RecordTakerOptions
  readonly #records = new RecordWalker()
  readonly #bodies = new BodyReader()

  constructor(options: RecordTakerOptions) {
    this.#options = options
  }

  /** Takes `source[start, end)`, received at `now`; returns how many records it was. `onRecord` is told the queue offset of each. */
  take(
    source: Buffer,
    start: number,
    end: number,
    now: number,
    onRecord: (queueOffset: number) => void,
  ): number {
    const { totals } = this.#options
    const records = this.#records
    let count = 0
    for (let at = start; at < end; at += records.size) {
      if (!records.read(source, at, end)) {
        totals.corrupt++
        totals.fail('an answer holds something else than records')
        return count
      }
      count++
      onRecord(records.queueOffset)
      this.#takeBody(source, now)
    }
    return count
  }

  #takeBody(source: Buffer, now: number): void {
    const { totals, checksCrc, run } = this.#options
    const { bodyAt, bodySize, bodyCrc } = this.#records
    const bodies = this.#bodies
    totals.received(bodySize)
    if (checksCrc && !hasStoredCrc(source, bodyAt, bodySize, bodyCrc)) {
      totals.corrupt++
      totals.fail('the checksum of a stored body is wrong')
    }
    const kind = bodies.read(source, bodyAt, bodySize)
    if (kind === 'foreign') totals.foreign++
    else if (kind === 'corrupt') {
      totals.corrupt++
      totals.fail('a body is not what was sent')
    } else {
      totals.sequences?.add(bodies.run, bodies.sender, bodies.sequence)
      if (bodies.run === run) totals.arrived(epochOf(now) - bodies.sentAt)
    }
  }
}
