/**
 * Reads committed records in the order of the log and gives each its ConsumeQueue unit and its index entries.
 *
 * One code path for new messages (out of the log's buffer), for catching up and for recovery (out of the files): what is derived
 * is a function of the log alone.
 */
import { javaHashCodeOfUtf8 } from '../common/bytes.ts'
import {
  DELIVERY_MARK_MIN,
  MARKS_TOPIC,
  kindOfMark,
  queueOffsetOfMark,
} from '../common/delivery-mark.ts'
import { LIGHT_QUEUE_ID, lightPlaces, mayHaveLightQueues } from '../common/light-queues.ts'
import { RecordReader } from '../common/message-codec.ts'
import { MessageSysFlag } from '../common/message.ts'
import type { CommitLog } from './commit-log.ts'
import type { ConsumeQueue } from './consume-queue.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import { StoreError } from './errors.ts'
import { LogScanner } from './log-scanner.ts'
import type { MessageIndex } from './message-index.ts'
import { parkedTagsCode } from './parked-time.ts'
import { PropertyFinder } from './property-finder.ts'
import { isControl } from './control-record.ts'
import type { Arrival, ControlListener } from './types.ts'

export interface DispatcherOptions {
  readonly commitLog: CommitLog
  readonly consumeQueues: ConsumeQueues
  /** Null when `messageIndexEnable` is false. */
  readonly index: MessageIndex | null
  readonly delayLevelsMs: readonly number[]
}

export class Dispatcher {
  readonly #commitLog: CommitLog
  readonly #queues: ConsumeQueues
  readonly #index: MessageIndex | null
  readonly #delayLevelsMs: readonly number[]
  /** Where the last delivered record of each kind of mark lies. */
  readonly #lastMarked = new Map<number, number>()
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
    this.#delayLevelsMs = options.delayLevelsMs
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
    this.#lastMarked.clear()
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
    const queue = this.#queues.ofRecord(
      reader.physicalOffset,
      source,
      reader.topicAt,
      topicEnd,
      reader.queueId,
    )
    this.#properties.scan(source, reader.propertiesAt, reader.propertiesAt + reader.propertiesSize)
    this.lastStoreTimestamp = reader.storeTimestamp
    if (!isRollback && this.#index !== null) this.#putKeys(this.#index, reader, source, queue)
    if (isRollback || isPrepared) return
    if (reader.preparedTransactionOffset >= DELIVERY_MARK_MIN) this.#putMark(reader)
    const tagsCode = this.#tagsCode(queue, reader, source)
    queue.append(reader.queueOffset, reader.physicalOffset, reader.size, tagsCode)
    if (queue.watcher !== null) this.#noteWatched(queue)
    if (this.#properties.lightOffsetsEnd > 0) this.#putLight(queue, reader, source, tagsCode)
    if (this.#onArrival !== null) this.#tellArrival(this.#onArrival, queue, reader, tagsCode)
  }

  #noteWatched(queue: ConsumeQueue): void {
    if (queue.isTelling) return
    queue.isTelling = true
    this.#watched.push(queue)
  }

  /** The message stands in light queues too. What a Java broker wrote may leave gaps in them; those places are left out. */
  #putLight(queue: ConsumeQueue, reader: RecordReader, source: Buffer, tagsCode: number): void {
    if (!mayHaveLightQueues(queue.topic)) return
    const { lightNamesStart, lightNamesEnd, lightOffsetsStart, lightOffsetsEnd } = this.#properties
    if (lightNamesEnd === 0) return
    const names = source.toString('latin1', lightNamesStart, lightNamesEnd)
    const offsets = source.toString('latin1', lightOffsetsStart, lightOffsetsEnd)
    for (const { name, queueOffset } of lightPlaces(names, offsets)) {
      const light = this.#queues.getOrCreate(name, LIGHT_QUEUE_ID)
      const isGap = queueOffset > light.maxOffset && light.maxOffset > light.minOffset
      if (isGap) continue
      light.append(queueOffset, reader.physicalOffset, reader.size, tagsCode)
      if (light.watcher !== null) this.#noteWatched(light)
    }
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
    const parked = parkedTagsCode(queue.topic, reader, source, this.#delayLevelsMs)
    if (parked !== null) return parked
    const { tagsStart, tagsEnd } = this.#properties
    return javaHashCodeOfUtf8(source, tagsStart, tagsEnd)
  }

  /** A record that was dispatched before the start is met again: its mark is there then. */
  #putMark(reader: RecordReader): void {
    const kind = kindOfMark(reader.preparedTransactionOffset)
    const queue = this.#queues.getOrCreate(MARKS_TOPIC, kind)
    const last =
      this.#lastMarked.get(kind) ?? queue.unitAt(queue.maxOffset - 1)?.physicalOffset ?? -1
    if (reader.physicalOffset <= last) return
    const parkedOffset = queueOffsetOfMark(reader.preparedTransactionOffset)
    queue.append(queue.maxOffset, reader.physicalOffset, reader.size, parkedOffset)
    this.#lastMarked.set(kind, reader.physicalOffset)
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
    const { uniqueStart, uniqueEnd, keysStart, keysEnd, tagsStart, tagsEnd } = this.#properties
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
    if (tagsEnd > tagsStart) {
      const seed = tagHashSeed(queue.keyHashSeed)
      const hash = javaHashCodeOfUtf8(source, tagsStart, tagsEnd, seed)
      index.put(indexHash(hash), reader.physicalOffset, reader.storeTimestamp)
    }
  }

  #damaged(problem: string): StoreError {
    const path = this.#commitLog.segments.pathAt(this.dispatchedOffset)
    return new StoreError('corrupt', `${path}: ${problem} at offset ${this.dispatchedOffset}`)
  }
}

const SPACE = 0x20

/** Entries by tag have the key `topic#T#tags`, those by key and unique id `topic#key` (Java 5.5.0: `IndexService.buildKey`). */
export const TAG_KEY_PREFIX = 'T#'

/** The hash of `topic#T#` out of that of `topic#`. */
function tagHashSeed(seed: number): number {
  return (Math.imul(Math.imul(seed, 31) + 0x54, 31) + 0x23) | 0
}

/** What an index file stores for a hash: its absolute value, 0 for the one that has none (protocol §19.3). */
export function indexHash(hash: number): number {
  return hash === -0x8000_0000 ? 0 : Math.abs(hash)
}
