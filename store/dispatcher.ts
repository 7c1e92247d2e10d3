/**
 * Reads committed records in the order of the log and gives each its ConsumeQueue unit and its index entries.
 *
 * One code path for new messages (out of the log's buffer), for catching up and for recovery (out of the files): what is derived
 * is a function of the log alone.
 */
import { javaHashCodeOfUtf8 } from '../common/bytes.ts'
import { RecordReader } from '../common/message-codec.ts'
import { MessageSysFlag } from '../common/message.ts'
import { PropertyName, propertyIn } from '../common/properties.ts'
import type { CommitLog } from './commit-log.ts'
import type { ConsumeQueue } from './consume-queue.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import { StoreError } from './errors.ts'
import { LogScanner } from './log-scanner.ts'
import type { MessageIndex } from './message-index.ts'
import { PropertyFinder } from './property-finder.ts'
import { isControl } from './control-record.ts'
import type { Arrival, ControlListener } from './types.ts'

export interface DispatcherOptions {
  readonly commitLog: CommitLog
  readonly consumeQueues: ConsumeQueues
  /** Null when `messageIndexEnable` is false. */
  readonly index: MessageIndex | null
}

export class Dispatcher {
  readonly #commitLog: CommitLog
  readonly #queues: ConsumeQueues
  readonly #index: MessageIndex | null
  #onArrival: ((arrival: Arrival) => void) | null = null
  #onControl: ControlListener | null = null
  readonly #reader = new RecordReader()
  readonly #properties = new PropertyFinder()
  #scanner: LogScanner | null = null
  /** Queues with new units that somebody watches. */
  #watched: ConsumeQueue[] = []
  /** Everything below has been dispatched. */
  dispatchedOffset = 0
  /** Store timestamp of the last dispatched record. */
  lastStoreTimestamp = 0

  constructor(options: DispatcherOptions) {
    this.#commitLog = options.commitLog
    this.#queues = options.consumeQueues
    this.#index = options.index
  }

  /** From now on `listener` is told of every message: costly, and for tests; see `tellWatchers`. */
  onArrival(listener: (arrival: Arrival) => void): void {
    this.#onArrival = listener
  }

  /** From now on `listener` is told of the group's own records, each before `dispatchedOffset` passes it. */
  onControl(listener: ControlListener): void {
    this.#onControl = listener
  }

  resume(dispatchedOffset: number): void {
    this.dispatchedOffset = dispatchedOffset
    this.#scanner = null
  }

  /** Dispatches up to `limit`, or until `byteBudget` is used up: false when there is more to do. */
  dispatchTo(limit: number, byteBudget: number): boolean {
    // A block that was read earlier may end in bytes which were not written yet then.
    this.#scanner = null
    const stop = Math.min(limit, this.dispatchedOffset + byteBudget)
    while (this.dispatchedOffset < stop) {
      if (this.#commitLog.buffer.find(this.dispatchedOffset)) this.#fromBuffer(stop)
      else this.#fromFile()
    }
    return this.dispatchedOffset >= limit
  }

  /** Tells the watchers of the queues that have got new units since the last call. */
  tellWatchers(): void {
    if (this.#watched.length === 0) return
    const watched = this.#watched
    this.#watched = []
    for (const queue of watched) {
      queue.isTelling = false
      queue.watcher?.arrived()
    }
  }

  /** Derives from one record that `reader` has accepted. Also recovery calls this. */
  dispatchRecord(reader: RecordReader, source: Buffer): void {
    const transaction = reader.sysFlag & MessageSysFlag.TRANSACTION_MASK
    const isRollback = transaction === MessageSysFlag.TRANSACTION_ROLLBACK
    const isPrepared = transaction === MessageSysFlag.TRANSACTION_PREPARED
    if (isRollback && isControl(reader, source)) {
      this.lastStoreTimestamp = reader.storeTimestamp
      const body = source.subarray(reader.bodyAt, reader.bodyAt + reader.bodySize)
      this.#onControl?.(reader.physicalOffset, body, reader.storeTimestamp)
      return
    }
    const topicEnd = reader.topicAt + reader.topicSize
    const queue = this.#queues.getOrCreateByBytes(source, reader.topicAt, topicEnd, reader.queueId)
    this.#properties.scan(source, reader.propertiesAt, reader.propertiesAt + reader.propertiesSize)
    this.lastStoreTimestamp = reader.storeTimestamp
    if (!isRollback && this.#index !== null) this.#putKeys(this.#index, reader, source, queue)
    if (isRollback || isPrepared) return
    const tagsCode = this.#tagsCode(queue, reader, source)
    queue.append(reader.queueOffset, reader.physicalOffset, reader.size, tagsCode)
    if (queue.watcher !== null && !queue.isTelling) {
      queue.isTelling = true
      this.#watched.push(queue)
    }
    if (this.#onArrival !== null) this.#tellArrival(this.#onArrival, queue, reader, tagsCode)
  }

  #tellArrival(
    onArrival: (arrival: Arrival) => void,
    queue: ConsumeQueue,
    reader: RecordReader,
    tagsCode: number,
  ): void {
    onArrival({
      topic: queue.topic,
      queueId: queue.queueId,
      queueOffset: reader.queueOffset,
      tagsCode,
      storeTimestamp: reader.storeTimestamp,
    })
  }

  #tagsCode(queue: ConsumeQueue, reader: RecordReader, source: Buffer): number {
    if (queue.topic === SCHEDULE_TOPIC) {
      const deliveryTime = deliveryTimestampOf(reader, source)
      if (deliveryTime !== null) return deliveryTime
    }
    const { tagsStart, tagsEnd } = this.#properties
    return javaHashCodeOfUtf8(source, tagsStart, tagsEnd)
  }

  #fromBuffer(stop: number): void {
    const { bytes, end } = this.#commitLog.buffer
    let at = this.#commitLog.buffer.at
    const reader = this.#reader
    while (this.dispatchedOffset < stop && at < end) {
      const isThere = reader.readTrusted(bytes, at, end)
      if (!isThere) throw this.#damaged('no record')
      if (reader.type === 'blank') {
        this.dispatchedOffset += reader.size
        return
      }
      if (reader.physicalOffset !== this.dispatchedOffset) throw this.#damaged('misplaced')
      this.dispatchRecord(reader, bytes)
      this.dispatchedOffset += reader.size
      at += reader.size
    }
  }

  #fromFile(): void {
    if (this.#scanner?.nextOffset !== this.dispatchedOffset) {
      this.#scanner = new LogScanner(this.#commitLog.segments, this.dispatchedOffset, true)
    }
    const scanner = this.#scanner
    if (!scanner.next()) throw this.#damaged(scanner.problem ?? 'end')
    this.dispatchRecord(scanner.reader, scanner.bytes)
    this.dispatchedOffset = scanner.nextOffset
  }

  #putKeys(index: MessageIndex, reader: RecordReader, source: Buffer, queue: ConsumeQueue): void {
    const { uniqueStart, uniqueEnd, keysStart, keysEnd } = this.#properties
    if (uniqueEnd > uniqueStart) {
      const hash = javaHashCodeOfUtf8(source, uniqueStart, uniqueEnd, queue.keyHashSeed)
      index.put(indexHash(hash), reader.physicalOffset, reader.storeTimestamp)
    }
    for (let start = keysStart; start < keysEnd;) {
      let end = start
      while (end < keysEnd && source[end] !== SPACE) end++
      if (end > start) {
        const hash = javaHashCodeOfUtf8(source, start, end, queue.keyHashSeed)
        index.put(indexHash(hash), reader.physicalOffset, reader.storeTimestamp)
      }
      start = end + 1
    }
  }

  #damaged(problem: string): StoreError {
    const path = this.#commitLog.segments.pathAt(this.dispatchedOffset)
    return new StoreError('corrupt', `${path}: ${problem} at offset ${this.dispatchedOffset}`)
  }
}

const SPACE = 0x20

/** Messages wait here for their delay level; a unit's tag field is the delivery time instead (protocol §19.2). */
const SCHEDULE_TOPIC = 'SCHEDULE_TOPIC_XXXX'

/** RocketMQ's `messageDelayLevel`, in milliseconds. */
const DELAY_LEVELS_MS: readonly number[] = [
  1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200,
].map((seconds) => seconds * 1000)

/** Null when the record has no delay level. */
export function deliveryTimestampOf(reader: RecordReader, source: Buffer): number | null {
  const { propertiesAt, propertiesSize, storeTimestamp } = reader
  const end = propertiesAt + propertiesSize
  const level = Number(propertyIn(source, propertiesAt, end, PropertyName.DELAY) ?? 0)
  if (!Number.isSafeInteger(level) || level <= 0) return null
  const delayMs = DELAY_LEVELS_MS[Math.min(level, DELAY_LEVELS_MS.length) - 1] ?? 0
  return storeTimestamp + delayMs
}

/** What an index file stores for a hash: its absolute value, 0 for the one that has none (protocol §19.3). */
export function indexHash(hash: number): number {
  return hash === -0x8000_0000 ? 0 : Math.abs(hash)
}
