/** The records that an answer to a pull will hold. One is filled again and again, so that a pull makes no object. */
import { readInt64 } from '../common/bytes.ts'
import type { ConsumeQueue } from './consume-queue.ts'
import { GetStatus } from './types.ts'
import type { FoundRecords, GetResult } from './types.ts'

const CAPACITY_MIN = 64

export class Selection implements FoundRecords {
  queue: ConsumeQueue | null = null
  status: GetStatus = GetStatus.NO_MATCHED_MESSAGE
  /** Queue offset at which the look began. */
  beginOffset: number = 0
  nextBeginOffset: number = 0
  minOffset: number = 0
  maxOffset: number = 0
  count: number = 0
  bytes: number = 0
  /** Not even the units could be looked at without waiting for the disk. */
  isMissingUnits: boolean = false
  /** Of the first `count` places each. */
  physicalOffsets: Float64Array = new Float64Array(CAPACITY_MIN)
  sizes: Int32Array = new Int32Array(CAPACITY_MIN)

  reset(queue: ConsumeQueue | null, queueOffset: number): void {
    this.queue = queue
    this.beginOffset = queueOffset
    this.nextBeginOffset = queueOffset
    this.minOffset = queue === null ? 0 : queue.minOffset
    this.maxOffset = queue === null ? 0 : queue.maxOffset
    this.count = 0
    this.bytes = 0
    this.isMissingUnits = false
  }

  add(physicalOffset: number, size: number): void {
    if (this.count === this.sizes.length) this.#grow()
    this.physicalOffsets[this.count] = physicalOffset
    this.sizes[this.count] = size
    this.count++
    this.bytes += size
  }

  /** One that the next `find` leaves alone. */
  copy(): Selection {
    const other = new Selection()
    other.reset(this.queue, this.beginOffset)
    other.nextBeginOffset = this.nextBeginOffset
    other.status = this.status
    other.minOffset = this.minOffset
    other.maxOffset = this.maxOffset
    for (let index = 0; index < this.count; index++) {
      other.add(this.physicalOffsets[index] ?? 0, this.sizes[index] ?? 0)
    }
    return other
  }

  /** The answer, once `body` holds the records end to end. */
  result(body: Buffer): GetResult {
    const records: Buffer[] = []
    let at = 0
    for (let index = 0; index < this.count; index++) {
      const size = this.sizes[index] ?? 0
      records.push(body.subarray(at, at + size))
      at += size
    }
    const last = records.at(-1)
    return {
      status: this.status,
      nextBeginOffset: this.nextBeginOffset,
      minOffset: this.minOffset,
      maxOffset: this.maxOffset,
      records,
      body,
      bytes: body.length,
      lastStoreTimestamp: last === undefined ? 0 : storeTimestampOf(last),
    }
  }

  #grow(): void {
    const physicalOffsets = new Float64Array(this.sizes.length * 2)
    const sizes = new Int32Array(this.sizes.length * 2)
    physicalOffsets.set(this.physicalOffsets)
    sizes.set(this.sizes)
    this.physicalOffsets = physicalOffsets
    this.sizes = sizes
  }
}

function storeTimestampOf(record: Buffer): number {
  const isBornHostV6 = (record.readInt32BE(36) & 0x10) !== 0
  return readInt64(record, isBornHostV6 ? 68 : 56)
}
