/** The contract between the store and the broker. `MessageStore` (message-store.ts) implements `Store`. */
import type { RecordDraft } from '../common/message-codec.ts'
import type { MessageToStore, StoredMessage } from '../common/message.ts'
import type { PropertyPairs } from '../common/property-pairs.ts'

export const PutStatus = {
  OK: 'OK',
  /** Stored, but not on disk within `syncFlushTimeout` (answer 10; the offsets are valid). */
  FLUSH_DISK_TIMEOUT: 'FLUSH_DISK_TIMEOUT',
  /** Body over `maxMessageSize`, or properties over 32,767 bytes. */
  MESSAGE_ILLEGAL: 'MESSAGE_ILLEGAL',
  /** The store takes no writes: disk full, failed fsync, shutting down, not leader. */
  SERVICE_NOT_AVAILABLE: 'SERVICE_NOT_AVAILABLE',
  /** A message names a light queue beyond `maxLmqConsumeQueueNum`. */
  LMQ_CONSUME_QUEUE_NUM_EXCEEDED: 'LMQ_CONSUME_QUEUE_NUM_EXCEEDED',
  /** Too many bytes in flight. */
  OS_PAGE_CACHE_BUSY: 'OS_PAGE_CACHE_BUSY',
} as const
export type PutStatus = (typeof PutStatus)[keyof typeof PutStatus]

/** True when a put that ended like this is in the log, and has offsets. */
export function isStored(status: PutStatus): boolean {
  return status === PutStatus.OK || status === PutStatus.FLUSH_DISK_TIMEOUT
}

/**
 * When a put is answered.
 *
 *   inTime     when it is committed as the flush type asks, or when the time for that is over: OS_PAGE_CACHE_BUSY in a group of several
 *              members, although the records may be committed later. For clients, who ask again
 *   certainly  the same, but in a group of several members however late
 *   written    when it is written; in a group of several members as `certainly`
 *
 * The broker itself, which would store twice what it asks for again, says `certainly` or `written`: it hears what has become of its
 * records; with the leadership they are lost to it.
 */
export type PutWait = 'inTime' | 'certainly' | 'written'

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

/** A queue as `append` knows it. The fields that change are the store's own. */
export interface AppendQueue {
  readonly topic: string
  readonly queueId: number
  /** The topic in UTF-8. */
  readonly topicBytes: Buffer
  /** Queue offset of the next message. */
  nextOffset: number
  /** The batch that last appended here, and what `nextOffset` was before it: a batch that cannot be written is taken back. */
  batchNumber: number
  offsetBeforeBatch: number
}

/** Told what became of messages that `append` took. */
export interface CommitWaiter {
  /**
   * Never called from within `append`. OK: the messages are committed as the flush type asks. FLUSH_DISK_TIMEOUT: they are stored, and not
   * known to be on disk. SERVICE_NOT_AVAILABLE: they were not stored, for the given reason.
   */
  committed(status: PutStatus, reason: string | null): void
}

/** Where the last `append` put its message. */
export interface LastAppend {
  readonly physicalOffset: number
  /** 0 for a message without a place in its queue (half messages, rollbacks). */
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
  /** By the record's properties, for what the entry cannot decide (SQL92); null when the entry decides. */
  readonly matchesProperties: ((pairs: PropertyPairs) => boolean) | null
}

export interface GetRequest {
  readonly topic: string
  readonly queueId: number
  readonly queueOffset: number
  readonly maxMessages: number
  readonly filter: MessageFilter | null
  /** For the broker's own reading: the limits of answers to clients do not hold, but this one does. */
  readonly maxBytes?: number
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

/** What `Store.find` found: one object per store, which the next call fills again. */
export interface FoundRecords {
  readonly status: GetStatus
  readonly nextBeginOffset: number
  readonly minOffset: number
  readonly maxOffset: number
  /** Records that the answer holds, and their bytes. */
  readonly count: number
  readonly bytes: number
}

export type BoundaryType = 'LOWER' | 'UPPER'

export interface KeyQuery {
  readonly topic: string
  readonly key: string
  /** The key is what a message has as its tags. */
  readonly isTag?: boolean
  readonly maxMessages: number
  readonly beginTimestamp: number
  readonly endTimestamp: number
}

export interface KeyQueryResult {
  readonly records: readonly Buffer[]
  /** Records that may have the key too, and are damaged. */
  readonly unreadable: number
  readonly indexLastUpdateTimestamp: number
  readonly indexLastUpdatePhysicalOffset: number
}

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

/** Told when messages of a queue have become readable. */
export interface QueueWatcher {
  /** Called once for all that became readable together, in the same turn. */
  arrived(): void
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
  /** The consumer group for whose unread messages expired segments are kept; null when none is. */
  readonly unreadKeptFor: string | null
  readonly deletedSegments: number
  /** Of these, segments with messages that a known consumer group had not read. */
  readonly deletedUnreadSegments: number
  /** Disk operations that took longer than 10 s, since the start. */
  readonly diskStalls: number
  /** How long the oldest disk operation has been under way. */
  readonly oldestDiskOperationMs: number
  /** Syncs of the CommitLog by SYNC_TIME_BOUNDS_MS, and what they took together. */
  readonly syncTimes: { readonly counts: readonly number[]; readonly sumMs: number } | null
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

/** A committed record of the group itself: where it starts, its body (a slice), its store time. */
export type ControlListener = (physicalOffset: number, body: Buffer, storeTimestamp: number) => void

/** Records of the broker group itself, which no queue ever shows. */
export interface ControlLog {
  readonly startOffset: number
  readonly endOffset: number
  /** Everything below is committed, derived from, and told to the listener. */
  readonly dispatchedOffset: number
  /** Appends a record: as `put`, but also when the disk counts as full, so that consumers' progress is kept. Only the leader may. */
  putControl(body: Buffer, done: (result: PutResult) => void): void
  /** From now on `listener` is told of each record as it is dispatched, in the order of the log. */
  onControl(listener: ControlListener): void
  /** Tells `visit` of the dispatched records from a record boundary on. */
  replayControl(fromOffset: number, visit: ControlListener): Promise<void>
  /** Resolves when the log below is on disk. */
  synced(physicalOffset: number): Promise<void>
}

export interface Store extends ControlLog {
  /** Opens, recovers and starts background work. Rejects with `StoreError` (`locked`, `foreign`, `corrupt`, `unwritable`, …) naming file and offset. */
  start(): Promise<void>
  /** Flushes everything, writes the checkpoint, removes `abort`. Idempotent. */
  close(): Promise<void>

  /**
   * Appends messages of one queue as consecutive records with consecutive queue offsets, all or none.
   * `done` is called exactly once, when the records are committed as `wait` and the flush type ask, or refused; perhaps before `put` returns.
   */
  put(messages: readonly MessageToStore[], wait: PutWait, done: (result: PutResult) => void): void

  /** The handle of a queue, valid as long as the store; made when absent. The topic is a valid name, the queue not negative. */
  appendQueue(topic: string, queueId: number): AppendQueue
  /**
   * Appends one message, which is written with all others of the turn: OK, with `lastAppend` set, or why not, and then nothing was appended.
   * Topic and queue of the draft are set from `queue`.
   *
   * `waiter.committed` is called once, in a later turn, for all consecutive appends of one batch that name it. The caller takes another
   * waiter when `batchNumber` has changed since this one's first append.
   */
  append(queue: AppendQueue, draft: RecordDraft, waiter: CommitWaiter): PutStatus
  /** One object, filled anew by each `append` that returns OK. */
  readonly lastAppend: LastAppend
  /** Counts the writes of the log. A batch is what is appended between two of them, and is stored as a whole or not at all. */
  readonly batchNumber: number

  /** Reads from a queue; `done` is called exactly once, perhaps before `get` returns (data in memory or page cache). */
  get(request: GetRequest, done: (result: GetResult) => void): void

  /**
   * The fast way of `get`, which makes no object: looks up what an answer holds, without reading a record.
   * Status FOUND only: for all others, and when `loadFound` says no, the caller goes on with `get`. FOUND with no records says that not
   * even that could be told without the disk: `copyFound` then misses them all.
   */
  find(request: GetRequest): FoundRecords
  /**
   * Copies the records of the last `find` to `target`, end to end. False when some are not in memory, or the store has failed:
   * the target then holds nothing of use.
   */
  copyFound(target: Buffer, targetStart: number): boolean
  /** Brings what `copyFound` missed into memory, then calls `done`: begin with `find` again. False: nothing happens, use `get`. */
  loadFound(done: () => void): boolean

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
  /** Reads the tags codes of units from a queue offset on into `target`; returns how many, 0 where there are none. */
  tagsCodes(topic: string, queueId: number, queueOffset: number, target: Float64Array): number
  /** Where the record at a queue offset lies in the log; null when there is none. */
  physicalOffsetAt(topic: string, queueId: number, queueOffset: number): number | null
  /** The ConsumeQueue unit at a queue offset, for people; null when there is none. */
  queueUnitAt(
    topic: string,
    queueId: number,
    queueOffset: number,
  ): { readonly physicalOffset: number; readonly size: number; readonly tagsCode: number } | null
  /** True when the record at this queue offset is recent enough to be read from memory (request 14 asks it). */
  isInMemory(topic: string, queueId: number, queueOffset: number): boolean
  /** The record that starts at this physical offset, or null. A copy. */
  recordAt(physicalOffset: number): Buffer | null
  messageAt(physicalOffset: number): StoredMessage | null
  /**
   * A record that a queue names is damaged: a member of a group of several fails, since the others have it whole. `what` says which and why.
   */
  noteDamaged(what: string): void
  /** Records whose KEYS word or unique id hashes like `key`, newest first, bounded by count, `maxMsgsNumBatch` and time. Copies. */
  queryByKey(query: KeyQuery): KeyQueryResult

  queues(): readonly QueueRange[]
  /** Drops what the queues of a topic hold, of the log below an offset if one is given (the log keeps its records until retention). */
  deleteTopic(topic: string, physicalOffset?: number): void
  /** DELETE_EXPIRED_COMMITLOG: the next cleaning rounds ignore the hour. */
  deleteExpiredCommitLog(): void
  cleanExpiredConsumeQueue(): void

  onArrival(listener: (arrival: Arrival) => void): void
  /** Has `watcher` told of the messages of a queue, in the place of the one before it; null: nobody. The queue is made when absent. */
  watch(topic: string, queueId: number, watcher: QueueWatcher | null): void
  /** True when the queue may have a message at or after `queueOffset` which the filter lets through: to be asked when there are few. */
  hasMatch(topic: string, queueId: number, queueOffset: number, filter: MessageFilter): boolean
  status(): StoreStatus
}

/** The oldest message that a consumer group has yet to read. */
export interface SlowestRead {
  readonly physicalOffset: number
  readonly topic: string
  readonly consumerGroup: string
  /** False: it may be deleted all the same, but is counted. */
  readonly isProtected: boolean
}

/** What retention asks of whoever knows the consumer groups and the topics. */
export interface Retention {
  /** Null when all groups have read everything. */
  slowestRead(): Promise<SlowestRead | null>
  /** The first queue offset that a protected group has not read; null when there is no such group. */
  readOffset(topic: string, queueId: number): number | null
  /** For how many hours a topic keeps its messages, when it says so itself. */
  reserveHours(topic: string): number | null
  /** The log from here on is needed to restore the tables. */
  neededOffset?(): number
}

/** Who decides what is committed in a group of several members (`MessageStoreOptions.replication`). */
export interface Replication {
  /** The log has been written up to here, by this member's own appends. */
  written(endOffset: number): void
  /** The log is persistent up to here, as the flush type asks. */
  persisted(offset: number): void
  /** Why records are not taken now; null when they are. Asked for each. */
  refusal(): string | null
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
  /** Segments are filled with zeroes, and synced, before they are needed; with SYNC_FLUSH a window of them is in any case. */
  readonly warmMapedFileEnable: boolean
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
  /** Checked by whoever makes the configuration (common/delay-levels.ts). */
  readonly messageDelayLevel: string
  /** Light queues exist; with `enableMultiDispatch` messages of ordinary topics stand in them. */
  readonly enableLmq: boolean
  readonly enableMultiDispatch: boolean
  readonly maxLmqConsumeQueueNum: number
}
