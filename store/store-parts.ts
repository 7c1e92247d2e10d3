/** What a store is made of: which parts there are, and which of them know each other. What happens when is in message-store.ts. */
import { delayLevelsOf } from '../common/delay-levels.ts'
import type { Logger } from '../common/log.ts'
import type { HostAddress } from '../common/message.ts'
import type { Runtime } from '../common/ports.ts'
import { Appender } from './appender.ts'
import { CheckpointFile } from './checkpoint.ts'
import { Cleaner } from './cleaner.ts'
import { CommitLog } from './commit-log.ts'
import { ConsumeQueues } from './consume-queues.ts'
import { Dispatcher } from './dispatcher.ts'
import { Flusher } from './flusher.ts'
import { LightQueues } from './light-queues.ts'
import { MessageIndex } from './message-index.ts'
import { StoreStatistics } from './put-statistics.ts'
import { QueuePositionsFile } from './queue-positions.ts'
import { QueueReader } from './queue-reader.ts'
import type { Replication, Retention, StoreConfig } from './types.ts'

/** Clients wait three seconds for an answer by default: what is not known to be on disk by then is told as that (reliability D6b). */
const MAX_WAIT_MS = 2500
const DEFAULT_MEMORY_BYTES = 4 * 1024 ** 3

export interface MessageStoreOptions {
  readonly config: StoreConfig
  readonly runtime: Pick<Runtime, 'clock' | 'timers' | 'disk'>
  readonly logger: Logger
  /** The address that new records hold: the advertised one, which may change. */
  readonly storeHost: () => HostAddress
  /** Called once when a write or sync failed or a file contradicts another: nothing is acknowledged any more, the process should exit. */
  readonly onFailure: (error: Error) => void
  /** What retention must heed besides age and space. */
  readonly retention?: Retention
  /** In a group of several members: nothing is committed but by `commitTo`. */
  readonly replication?: Replication
  /** Derives ConsumeQueues, index and checkpoint anew at the start; told how far it is. */
  readonly onRebuild?: (offset: number, endOffset: number) => void
  /** Memory of this machine or container, of which `accessMessageInMemoryMaxRatio` is taken. */
  readonly memoryBytes?: number
  /** Size and number of the log's buffer chunks; their product is how much of the log's end is read from memory. */
  readonly buffer?: { readonly chunkSize: number; readonly chunkCount: number }
}

/** What the parts ask of the store, and tell it. */
export interface StoreHooks {
  /** Why puts are refused now; null when they are taken. */
  readonly refusal: () => string | null
  /** The log has been written, up to its `writtenOffset`. */
  readonly onWritten: () => void
  /** The log has been synced, up to its `flushedOffset`. */
  readonly onFlushed: () => void
  /** The log will be cut here, where it was written already. */
  readonly onCut: (offset: number) => void
  readonly onDiskFull: (error: unknown) => void
  readonly onFailure: (error: unknown) => void
  readonly commitOffset: () => number
  /** ConsumeQueues and index hold everything of the records below, on disk. */
  readonly derivedOffset: () => number
}

export interface StoreParts {
  readonly commitLog: CommitLog
  readonly consumeQueues: ConsumeQueues
  /** Null when the configuration wants none. */
  readonly index: MessageIndex | null
  readonly positions: QueuePositionsFile
  readonly dispatcher: Dispatcher
  readonly reader: QueueReader
  /** Null without light queues. */
  readonly light: LightQueues | null
  readonly statistics: StoreStatistics
  readonly appender: Appender
  readonly cleaner: Cleaner
}

/** The parts that there are before recovery. Nothing is opened or read yet. */
export function createParts(options: MessageStoreOptions, hooks: StoreHooks): StoreParts {
  const { config, runtime } = options
  const { disk, clock } = runtime
  const root = config.storePathRootDir
  const files = {
    commitLog: createCommitLog(options),
    consumeQueues: new ConsumeQueues({
      disk,
      directory: `${root}/consumequeue`,
      fileSize: config.mappedFileSizeConsumeQueue,
    }),
    index: config.messageIndexEnable ? createIndex(options) : null,
  }
  const statistics = new StoreStatistics()
  const isLight = config.enableLmq && config.enableMultiDispatch
  const light = isLight ? new LightQueues(files.consumeQueues, config.maxLmqConsumeQueueNum) : null
  const memoryBytes = options.memoryBytes ?? DEFAULT_MEMORY_BYTES
  return {
    ...files,
    positions: new QueuePositionsFile(disk, `${root}/queuepositions`),
    dispatcher: new Dispatcher({
      ...files,
      delayLevelsMs: delayLevelsOf(config.messageDelayLevel),
    }),
    reader: new QueueReader({
      ...files,
      config,
      clock,
      memoryBytes: (memoryBytes * config.accessMessageInMemoryMaxRatio) / 100,
    }),
    light,
    statistics,
    appender: createAppender(options, { ...files, light, statistics }, hooks),
    cleaner: createCleaner(options, files, hooks),
  }
}

/** What brings the parts to disk, from when the store has been recovered. */
export function createFlusher(
  options: MessageStoreOptions,
  parts: StoreParts,
  hooks: StoreHooks,
  opened: { readonly checkpoint: CheckpointFile; readonly derivedOffset: number },
): Flusher {
  const { disk, clock, timers } = options.runtime
  const { commitLog, consumeQueues, index, dispatcher, positions } = parts
  const { commitOffset, onFlushed, onDiskFull, onFailure } = hooks
  return new Flusher({
    disk,
    clock,
    timers,
    logger: options.logger,
    config: options.config,
    commitLog,
    consumeQueues,
    index,
    dispatcher,
    positions,
    ...opened,
    commitOffset,
    onFlushed,
    onDiskFull,
    onFailure,
  })
}

function createCommitLog({ config, runtime, replication, buffer }: MessageStoreOptions): CommitLog {
  const chunks = buffer ?? { chunkSize: 8 * 1024 * 1024, chunkCount: 4 }
  return new CommitLog({
    disk: runtime.disk,
    directory: config.storePathCommitLog || `${config.storePathRootDir}/commitlog`,
    segmentSize: config.mappedFileSizeCommitLog,
    isReplicated: replication !== undefined,
    ...chunks,
  })
}

function createIndex({ config, runtime }: MessageStoreOptions): MessageIndex {
  return new MessageIndex({
    disk: runtime.disk,
    clock: runtime.clock,
    timers: runtime.timers,
    directory: `${config.storePathRootDir}/index`,
    slotCount: config.maxHashSlotNum,
    maxEntries: config.maxIndexNum,
  })
}

function createAppender(
  { config, runtime, storeHost, replication }: MessageStoreOptions,
  parts: Pick<StoreParts, 'commitLog' | 'consumeQueues' | 'light' | 'statistics'>,
  { refusal, onWritten, onCut, onDiskFull, onFailure }: StoreHooks,
): Appender {
  return new Appender({
    commitLog: parts.commitLog,
    consumeQueues: parts.consumeQueues,
    statistics: parts.statistics,
    clock: runtime.clock,
    timers: runtime.timers,
    storeHost,
    isSyncFlush: config.flushDiskType === 'SYNC_FLUSH',
    isReplicated: replication !== undefined,
    syncFlushTimeoutMs: Math.min(config.syncFlushTimeout, MAX_WAIT_MS),
    maxMessageSize: config.maxMessageSize,
    light: parts.light,
    refusal,
    onWritten,
    onCut,
    onDiskFull,
    onFailure,
  })
}

function createCleaner(
  { config, runtime, logger, retention }: MessageStoreOptions,
  parts: Pick<StoreParts, 'commitLog' | 'consumeQueues' | 'index'>,
  { derivedOffset }: StoreHooks,
): Cleaner {
  return new Cleaner({
    ...parts,
    disk: runtime.disk,
    clock: runtime.clock,
    timers: runtime.timers,
    config,
    root: config.storePathRootDir,
    logger,
    retention: retention ?? KEEP_NOTHING,
    protectedOffset: () =>
      Math.min(derivedOffset(), retention?.neededOffset?.() ?? Number.MAX_SAFE_INTEGER),
  })
}

const KEEP_NOTHING: Retention = {
  slowestRead: () => Promise.resolve(null),
  readOffset: () => null,
  reserveHours: () => null,
}
