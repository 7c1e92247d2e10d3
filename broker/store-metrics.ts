/** Metrics of the store: what `StoreStatus` tells, read when somebody scrapes. */
import { SYNC_TIME_BOUNDS_MS } from '../store/sync-times.ts'
import type { MetricLabels, MetricSample, Registry } from '../common/metrics.ts'
import type { StoreStatus } from '../store/types.ts'
import type { BrokerParts } from './parts.ts'

export const STORAGE_LABELS: MetricLabels = { storage_type: 'local', storage_medium: 'disk' }

interface StoreMetric {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  /** Several series are told apart by labels of their own. */
  readonly read: (
    status: StoreStatus,
    now: number,
  ) => number | readonly (readonly [labels: MetricLabels, value: number])[]
}

const METRICS: readonly StoreMetric[] = [
  {
    name: 'rocketmq_storage_flush_behind_bytes',
    help: 'Bytes written but not flushed',
    type: 'gauge',
    read: (status) => status.flushBehindBytes,
  },
  {
    name: 'rocketmq_storage_dispatch_behind_bytes',
    help: 'Bytes not yet dispatched to queues and index',
    type: 'gauge',
    read: (status) => status.dispatchBehindBytes,
  },
  {
    name: 'rocketmq_storage_message_reserve_time_milliseconds',
    help: 'Age of the oldest message in milliseconds',
    type: 'gauge',
    read: ({ earliestMessageTimestamp: oldest }, now) =>
      oldest === null ? 0 : Math.max(0, now - oldest),
  },
  {
    name: 'rocketmq_storage_physical_offset',
    help: 'Offsets of the CommitLog: where it begins, is committed, is flushed and ends',
    type: 'gauge',
    read: (status) => [
      [{ position: 'min' }, status.minPhysicalOffset],
      [{ position: 'committed' }, status.commitOffset],
      [{ position: 'flushed' }, status.flushedOffset],
      [{ position: 'max' }, status.maxPhysicalOffset],
    ],
  },
  {
    name: 'rocketmq_storage_disk_ratio',
    help: 'Share of the disk that is in use, 0 to 1',
    type: 'gauge',
    read: (status) => [
      [{ folder: 'commitlog' }, status.commitLogDiskRatio],
      [{ folder: 'consumequeue' }, status.consumeQueueDiskRatio],
    ],
  },
  {
    name: 'rocketmq_storage_writable',
    help: '1 while messages are taken, 0 while the disk, retention or a failure forbids it',
    type: 'gauge',
    read: (status) => (status.readOnlyReason === null ? 1 : 0),
  },
  {
    name: 'rocketmq_storage_unread_kept',
    help: '1 while expired files are kept for a group that has not read them',
    type: 'gauge',
    read: (status) => (status.unreadKeptFor === null ? 0 : 1),
  },
  {
    name: 'rocketmq_storage_deleted_files_total',
    help: 'Files of the CommitLog that retention has deleted',
    type: 'counter',
    read: (status) => status.deletedSegments,
  },
  {
    name: 'rocketmq_storage_deleted_unread_files_total',
    help: 'Of these, files with messages that a known group had not read',
    type: 'counter',
    read: (status) => status.deletedUnreadSegments,
  },
  {
    name: 'rocketmq_storage_disk_operation_age',
    help: 'How long the oldest disk operation has been under way, in milliseconds',
    type: 'gauge',
    read: (status) => status.oldestDiskOperationMs,
  },
  {
    name: 'rocketmq_storage_disk_stalls_total',
    help: 'Disk operations that took longer than 10 s',
    type: 'counter',
    read: (status) => status.diskStalls,
  },
  {
    name: 'rocketmq_storage_put_failures_total',
    help: 'Messages that the store has refused',
    type: 'counter',
    read: (status) => status.putFailedTimes,
  },
  {
    name: 'rocketmq_storage_put_time_max',
    help: 'The longest put since the start, in milliseconds',
    type: 'gauge',
    read: (status) => status.putEntireTimeMaxMs,
  },
  {
    name: 'rocketmq_storage_get_time_max',
    help: 'The longest get since the start, in milliseconds',
    type: 'gauge',
    read: (status) => status.getEntireTimeMaxMs,
  },
  {
    name: 'rocketmq_storage_gets_total',
    help: 'Gets by whether they found messages',
    type: 'counter',
    read: (status) => [
      [{ result: 'found' }, status.getFoundTimesTotal],
      [{ result: 'missed' }, status.getMissTimesTotal],
    ],
  },
]

export function registerStoreMetrics(registry: Registry, parts: BrokerParts): void {
  const { store, clock } = parts
  registry.registerSampled({
    name: 'rocketmq_storage_size_bytes',
    help: 'Bytes in use on the disk that holds the store, whoever uses them',
    type: 'gauge',
    samples: () => {
      const disk = parts.diskSpace()
      if (disk === null) return []
      const value = disk.totalBytes - disk.availableBytes
      return [{ suffix: '', labels: STORAGE_LABELS, value }]
    },
  })
  for (const { name, help, type, read } of METRICS) {
    const samples = () => {
      const value = read(store.status(), clock.now())
      const series = typeof value === 'number' ? [[{}, value] as const] : value
      return series.map(([labels, each]) => ({
        suffix: '',
        labels: { ...STORAGE_LABELS, ...labels },
        value: each,
      }))
    }
    registry.registerSampled({ name, help, type, samples })
  }
  registry.registerSampled({
    name: 'rocketmq_storage_sync_latency_milliseconds',
    help: 'How long syncs of the CommitLog took',
    type: 'histogram',
    samples: () => syncSamples(store.status()),
  })
}

function* syncSamples({ syncTimes }: StoreStatus): Iterable<MetricSample> {
  if (syncTimes === null) return
  let count = 0
  for (const [index, inBucket] of syncTimes.counts.entries()) {
    count += inBucket
    const le = String(SYNC_TIME_BOUNDS_MS[index] ?? '+Inf')
    yield { suffix: '_bucket', labels: { le, ...STORAGE_LABELS }, value: count }
  }
  yield { suffix: '_sum', labels: STORAGE_LABELS, value: syncTimes.sumMs }
  yield { suffix: '_count', labels: STORAGE_LABELS, value: count }
}
