/** Builds everything that is derived from a CommitLog anew: ConsumeQueues, index, checkpoint. */
import { DEFAULT_DELAY_LEVELS } from '../common/delay-levels.ts'
import type { Logger } from '../common/log.ts'
import type { Runtime } from '../common/ports.ts'
import { StoreError } from './errors.ts'
import { MessageStore } from './message-store.ts'
import { removeFolders } from './removed-folders.ts'
import type { StoreConfig } from './types.ts'

const DEFAULT_QUEUE_FILE_SIZE = 6_000_000

export interface RebuildOptions {
  readonly runtime: Pick<Runtime, 'clock' | 'timers' | 'disk'>
  readonly logger: Logger
  readonly root: string
  /** Where the CommitLog is, when it is not in the folder. */
  readonly commitLogDirectory?: string
  /** Told now and then up to where the log has been read, and where its last file ends. */
  readonly onProgress: (offset: number, endOffset: number) => void
}

export interface RebuildReport {
  readonly startOffset: number
  readonly endOffset: number
  readonly queues: number
}

/**
 * Takes the folder's lock and reads the whole log. File sizes are those of the files that are there, else RocketMQ's. Throws `StoreError`:
 * `locked` while a broker runs, `corrupt` when the log itself is damaged.
 */
export async function rebuild(options: RebuildOptions): Promise<RebuildReport> {
  const { runtime, logger, onProgress } = options
  let failure: Error | null = null
  const store = new MessageStore({
    config: configOf(options),
    runtime,
    logger,
    storeHost: () => ({ ip: Buffer.from([127, 0, 0, 1]), port: 0 }),
    onFailure: (error) => {
      failure = error
    },
    onRebuild: onProgress,
  })
  await store.start()
  const { minPhysicalOffset, maxPhysicalOffset } = store.status()
  const queues = store.queues().length
  await store.close()
  await removeFolders(runtime.disk, options.root)
  if (failure !== null) throw failure
  return { startOffset: minPhysicalOffset, endOffset: maxPhysicalOffset, queues }
}

function configOf(options: RebuildOptions): StoreConfig {
  const { root, runtime } = options
  const storePathCommitLog = options.commitLogDirectory ?? `${root}/commitlog`
  return {
    storePathRootDir: root,
    storePathCommitLog,
    mappedFileSizeCommitLog: segmentSizeOf(options, storePathCommitLog),
    mappedFileSizeConsumeQueue: queueFileSizeOf(runtime.disk, root),
    flushDiskType: 'ASYNC_FLUSH',
    flushIntervalCommitLog: 500,
    flushCommitLogThoroughInterval: 10_000,
    flushIntervalConsumeQueue: 1000,
    flushConsumeQueueThoroughInterval: 60_000,
    syncFlushTimeout: 5000,
    warmMapedFileEnable: false,
    maxMessageSize: 4 * 1024 * 1024,
    messageIndexEnable: true,
    maxHashSlotNum: 5_000_000,
    maxIndexNum: 20_000_000,
    maxMsgsNumBatch: 64,
    // Nothing expires meanwhile.
    fileReservedTime: 8_760_000,
    deleteWhen: '',
    cleanResourceInterval: 3_600_000,
    diskMaxUsedSpaceRatio: 95,
    diskSpaceCleanForciblyRatio: 100,
    diskSpaceWarningLevelRatio: 100,
    maxTransferBytesOnMessageInMemory: 262_144,
    maxTransferCountOnMessageInMemory: 32,
    maxTransferBytesOnMessageInDisk: 65_536,
    maxTransferCountOnMessageInDisk: 8,
    accessMessageInMemoryMaxRatio: 40,
    messageDelayLevel: DEFAULT_DELAY_LEVELS,
    enableLmq: false,
    enableMultiDispatch: false,
    maxLmqConsumeQueueNum: 20_000,
  }
}

function segmentSizeOf({ runtime, root }: RebuildOptions, directory: string): number {
  const { disk } = runtime
  const first = disk.listSync(directory).find(({ name }) => /^\d{20}$/.test(name))
  const size = disk.statusSync(`${directory}/${first?.name}`)?.size ?? 0
  if (size === 0) throw new StoreError('foreign', `${root} holds no CommitLog in ${directory}`)
  return size
}

function queueFileSizeOf(disk: Runtime['disk'], root: string): number {
  const base = `${root}/consumequeue`
  for (const topic of disk.listSync(base)) {
    for (const queue of disk.listSync(`${base}/${topic.name}`)) {
      for (const { name } of disk.listSync(`${base}/${topic.name}/${queue.name}`)) {
        const size = disk.statusSync(`${base}/${topic.name}/${queue.name}/${name}`)?.size ?? 0
        if (/^\d{20}$/.test(name) && size > 0 && size % 20 === 0) return size
      }
    }
  }
  return DEFAULT_QUEUE_FILE_SIZE
}
