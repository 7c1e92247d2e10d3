/** The contract between the store and the broker. `MessageStore` (message-store.ts) implements `Store`. */
import type { MessageToStore, StoredMessage } from '../common/message.ts'

export const PutStatus = {
  OK: 'OK',
  /** Stored, but not on disk within `syncFlushTimeout` (answer 10; the offsets are valid). */
  FLUSH_DISK_TIMEOUT: 'FLUSH_DISK_TIMEOUT',
  FLUSH_SLAVE_TIMEOUT: 'FLUSH_SLAVE_TIMEOUT',
  SLAVE_NOT_AVAILABLE: 'SLAVE_NOT_AVAILABLE',
  /** Body over `maxMessageSize`, or properties over 32,767 bytes. */
  MESSAGE_ILLEGAL: 'MESSAGE_ILLEGAL',
  /** The store takes no writes: disk full, failed fsync, shutting down, not leader. */
  SERVICE_NOT_AVAILABLE: 'SERVICE_NOT_AVAILABLE',
  /** Too many bytes in flight. */
  OS_PAGE_CACHE_BUSY: 'OS_PAGE_CACHE_BUSY',
} as const
export type PutStatus = (typeof PutStatus)[keyof typeof PutStatus]

export interface PutResult {
  readonly status: PutStatus
  /** For people, when the status is not OK. */
  readonly reason: string | null
  /** One for each message of the batch, in order; empty when nothing was stored. */
  readonly physicalOffsets: readonly number[]
  /** Queue offset of the first message; the others follow without a gap. */
  readonly queueOffset: number
  readonly storeTimestamp: number
}

export const GetStatus = {
  FOUND: 'FOUND',
  NO_MATCHED_MESSAGE: 'NO_MATCHED_MESSAGE',
  MESSAGE_WAS_REMOVING: 'MESSAGE_WAS_REMOVING',
  OFFSET_FOUND_NULL: 'OFFSET_FOUND_NULL',
  OFFSET_OVERFLOW_BADLY: 'OFFSET_OVERFLOW_BADLY',
  OFFSET_OVERFLOW_ONE: 'OFFSET_OVERFLOW_ONE',
  OFFSET_TOO_SMALL: 'OFFSET_TOO_SMALL',
  NO_MATCHED_LOGIC_QUEUE: 'NO_MATCHED_LOGIC_QUEUE',
  NO_MESSAGE_IN_QUEUE: 'NO_MESSAGE_IN_QUEUE',
} as const
export type GetStatus = (typeof GetStatus)[keyof typeof GetStatus]

/** Decides which entries of a queue a reader gets. */
export interface MessageFilter {
  /** By the ConsumeQueue entry alone. */
  matchesTagsCode(tagsCode: number): boolean
  /** By the whole record, for what the entry cannot decide (SQL92); null when the entry decides. */
  readonly matchesRecord: ((record: Buffer) => boolean) | null
}

export interface GetRequest {
  readonly topic: string
  readonly queueId: number
  readonly queueOffset: number
  readonly maxMessages: number
  readonly filter: MessageFilter | null
}

export interface GetResult {
  readonly status: GetStatus
  readonly nextBeginOffset: number
  readonly minOffset: number
  readonly maxOffset: number
  /** Whole records in queue order, as they lie in the log: slices of `body`. They stay as they are. */
  readonly records: readonly Buffer[]
  /** The records laid end to end, as an answer to a pull has them. */
  readonly body: Buffer
  readonly bytes: number
  /** Store timestamp of the last record, for lag in time; 0 when there is none. */
  readonly lastStoreTimestamp: number
}

export type BoundaryType = 'LOWER' | 'UPPER'

export interface QueueRange {
  readonly topic: string
  readonly queueId: number
  readonly minOffset: number
  readonly maxOffset: number
}

/** Told after a message has become readable (committed and dispatched). */
export interface Arrival {
  readonly topic: string
  readonly queueId: number
  /** The message's own queue offset. */
  readonly queueOffset: number
  readonly tagsCode: number
  readonly storeTimestamp: number
}

export interface StoreStatus {
  readonly minPhysicalOffset: number
  readonly maxPhysicalOffset: number
  /** Readable up to here; equal to the log's end for a group of one with ASYNC_FLUSH. */
  readonly commitOffset: number
  readonly flushedOffset: number
  readonly dispatchBehindBytes: number
  readonly flushBehindBytes: number
  readonly commitLogBytes: number
  readonly earliestMessageTimestamp: number | null
  readonly commitLogDiskRatio: number
  readonly consumeQueueDiskRatio: number
  /** Null while writes are taken; else why not. */
  readonly readOnlyReason: string | null
  readonly bootTimestamp: number
  readonly putTimesTotal: number
  readonly putSizeTotal: number
  readonly putFailedTimes: number
  readonly putEntireTimeMaxMs: number
  /** Counts of put times: <=0ms, 0~10, 10~50, 50~100, 100~200, 200~500, 500~1s, 1~2, 2~3, 3~4, 4~5, 5~10, 10s~ */
  readonly putTimeDistribution: readonly number[]
  readonly getEntireTimeMaxMs: number
  readonly getFoundTimesTotal: number
  readonly getMissTimesTotal: number
  readonly getTransferredMessagesTotal: number
}

export interface Store {
  /** Opens, recovers and starts background work. Rejects with `StoreError` (`locked`, `foreign`, `corrupt`, `unwritable`, …) naming file and offset. */
  start(): Promise<void>
  /** Flushes everything, writes the checkpoint, removes `abort`. Idempotent. */
  close(): Promise<void>

  /**
   * Appends messages of one queue as consecutive records with consecutive queue offsets, all or none.
   * `done` is called exactly once, when the records are committed as `waitForFlush` and the flush type ask, or refused; perhaps before `put` returns.
   */
  put(
    messages: readonly MessageToStore[],
    waitForFlush: boolean,
    done: (result: PutResult) => void,
  ): void

  /** Reads from a queue; `done` is called exactly once, perhaps before `get` returns (data in memory or page cache). */
  get(request: GetRequest, done: (result: GetResult) => void): void

  /** Next offset to be written, 0 for an unknown queue. */
  maxOffsetInQueue(topic: string, queueId: number): number
  minOffsetInQueue(topic: string, queueId: number): number
  /** protocol §7, request 29. */
  offsetByTimestamp(
    topic: string,
    queueId: number,
    timestamp: number,
    boundary: BoundaryType,
  ): number
  /** Store time of the entry at an offset, or of the oldest one; null when there is none. */
  storeTimestampAt(topic: string, queueId: number, queueOffset: number): number | null
  earliestStoreTimestamp(topic: string, queueId: number): number | null
  /** True when the record at this queue offset is recent enough to be read from memory (request 14 asks it). */
  isInMemory(topic: string, queueId: number, queueOffset: number): boolean
  /** The record that starts at this physical offset, or null. A copy. */
  recordAt(physicalOffset: number): Buffer | null
  messageAt(physicalOffset: number): StoredMessage | null
  /** Records whose KEYS word or unique id hashes like `key`, newest first, bounded by count, `maxMsgsNumBatch` and time. Copies. */
  queryByKey(options: {
    readonly topic: string
    readonly key: string
    readonly maxMessages: number
    readonly beginTimestamp: number
    readonly endTimestamp: number
  }): {
    readonly records: readonly Buffer[]
    readonly indexLastUpdateTimestamp: number
    readonly indexLastUpdatePhysicalOffset: number
  }

  queues(): readonly QueueRange[]
  /** Drops the queues of a topic (the log keeps its records until retention). */
  deleteTopic(topic: string): void
  /** DELETE_EXPIRED_COMMITLOG: the next cleaning rounds ignore the hour. */
  deleteExpiredCommitLog(): void
  cleanExpiredConsumeQueue(): void

  onArrival(listener: (arrival: Arrival) => void): void
  status(): StoreStatus
}

/** RocketMQ's MessageStoreConfig keys that the store reads, with their names and units there. */
export interface StoreConfig {
  readonly storePathRootDir: string
  readonly storePathCommitLog: string
  readonly mappedFileSizeCommitLog: number
  readonly mappedFileSizeConsumeQueue: number
  readonly flushDiskType: 'ASYNC_FLUSH' | 'SYNC_FLUSH'
  readonly flushIntervalCommitLog: number
  readonly flushCommitLogThoroughInterval: number
  readonly flushIntervalConsumeQueue: number
  readonly flushConsumeQueueThoroughInterval: number
  readonly syncFlushTimeout: number
  readonly maxMessageSize: number
  readonly messageIndexEnable: boolean
  readonly maxHashSlotNum: number
  readonly maxIndexNum: number
  readonly maxMsgsNumBatch: number
  readonly fileReservedTime: number
  readonly deleteWhen: string
  readonly cleanResourceInterval: number
  readonly diskMaxUsedSpaceRatio: number
  readonly diskSpaceCleanForciblyRatio: number
  readonly diskSpaceWarningLevelRatio: number
  readonly maxTransferBytesOnMessageInMemory: number
  readonly maxTransferCountOnMessageInMemory: number
  readonly maxTransferBytesOnMessageInDisk: number
  readonly maxTransferCountOnMessageInDisk: number
  readonly accessMessageInMemoryMaxRatio: number
}
