/** The table of GET_BROKER_RUNTIME_INFO (28): protocol §13.11; the exporter and the dashboard read nearly every key of it. */
import { GANTRY_VERSION } from '../remoting/command.ts'
import { levelProgress } from './delay/level-progress.ts'
import { SCHEDULE_TOPIC } from './names.ts'
import type { StoreStatus } from '../store/types.ts'
import type { BrokerParts } from './parts.ts'
import type { StoreRates } from './store-rates.ts'

const VERSION_NAME = 'V5_5_0'
const PUT_TIME_NAMES: readonly string[] = [
  '<=0ms',
  '0~10ms',
  '10~50ms',
  '50~100ms',
  '100~200ms',
  '200~500ms',
  '500ms~1s',
  '1~2s',
  '2~3s',
  '3~4s',
  '4~5s',
  '5~10s',
  '10s~',
]
/** Upper ends of the buckets in milliseconds; the last one is open. */
const PUT_TIME_ENDS: readonly number[] = [
  0, 10, 50, 100, 200, 500, 1000, 2000, 3000, 4000, 5000, 10_000, 10_000,
]
const UNITS: readonly string[] = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

export interface RuntimeFacts {
  readonly parts: BrokerParts
  readonly rates: StoreRates
  readonly inFlightSends: number
  readonly disk: { readonly totalBytes: number; readonly availableBytes: number } | null
}

export function runtimeInfo(facts: RuntimeFacts): ReadonlyMap<string, string> {
  const table = new Map<string, string>()
  const { parts } = facts
  const status = parts.store.status()
  for (const [key, value] of Object.entries({
    ...storeEntries(status, parts, facts.rates),
    ...trafficEntries(parts),
    ...brokerEntries(facts, status),
    ...queueEntries(facts),
    ...levelEntries(parts),
  })) {
    table.set(key, String(value))
  }
  return table
}

type Entries = Readonly<Record<string, string | number | boolean>>

function storeEntries(
  status: StoreStatus,
  { clock, config }: BrokerParts,
  rates: StoreRates,
): Entries {
  const transferred = rates.text('getTransferredMessagesTotal')
  const times = status.putTimesTotal
  return {
    bootTimestamp: status.bootTimestamp,
    runtime: durationText(clock.now() - status.bootTimestamp),
    putMessageEntireTimeMax: Math.ceil(status.putEntireTimeMaxMs),
    putMessageTimesTotal: times,
    putMessageFailedTimes: status.putFailedTimes,
    putMessageSizeTotal: status.putSizeTotal,
    putMessageDistributeTime: distributionText(status.putTimeDistribution),
    putMessageAverageSize: times === 0 ? '0.0' : status.putSizeTotal / times,
    dispatchMaxBuffer: 0,
    getMessageEntireTimeMax: Math.ceil(status.getEntireTimeMaxMs),
    putTps: rates.text('putTimesTotal'),
    getFoundTps: rates.text('getFoundTimesTotal'),
    getMissTps: rates.text('getMissTimesTotal'),
    getTotalTps: rates.text('getFoundTimesTotal', 'getMissTimesTotal'),
    getTransferredTps: transferred,
    // 4.9 spelt it so, and the exporter still reads it.
    getTransferedTps: transferred,
    putLatency99: quantile(status.putTimeDistribution, 0.99).toFixed(2),
    putLatency999: quantile(status.putTimeDistribution, 0.999).toFixed(2),
    commitLogDiskRatio: status.commitLogDiskRatio,
    [`commitLogDiskRatio_${config.values.storePathCommitLog}`]: status.commitLogDiskRatio,
    consumeQueueDiskRatio: status.consumeQueueDiskRatio,
    commitLogMinOffset: status.minPhysicalOffset,
    commitLogMaxOffset: status.maxPhysicalOffset,
  }
}

/** How far each delay level is delivered, and how far it reaches. */
function levelEntries({ delays, store }: BrokerParts): Entries {
  const entries = delays.levelsMs.map((_, queueId) => {
    const progress = levelProgress(store, queueId + 1)
    const end = store.maxOffsetInQueue(SCHEDULE_TOPIC, queueId)
    return [`scheduleMessageOffset_${queueId + 1}`, `${progress},${end}`] as const
  })
  return Object.fromEntries(entries)
}

function trafficEntries({ stats }: BrokerParts): Entries {
  const { daily, putTotal, getTotal } = stats
  return {
    msgPutTotalYesterdayMorning: daily.putYesterdayMorning,
    msgPutTotalTodayMorning: daily.putTodayMorning,
    msgPutTotalTodayNow: putTotal,
    msgGetTotalYesterdayMorning: daily.getYesterdayMorning,
    msgGetTotalTodayMorning: daily.getTodayMorning,
    msgGetTotalTodayNow: getTotal,
  }
}

function brokerEntries({ parts, disk }: RuntimeFacts, status: StoreStatus): Entries {
  const { values } = parts.config
  const capacity =
    disk === null
      ? 'Total : 0 B, Free : 0 B.'
      : `Total : ${bytesText(disk.totalBytes)}, Free : ${bytesText(disk.availableBytes)}.`
  return {
    brokerActive: true,
    brokerVersionDesc: VERSION_NAME,
    brokerVersion: GANTRY_VERSION,
    dispatchBehindBytes: status.dispatchBehindBytes,
    pageCacheLockTimeMills: 0,
    earliestMessageTimeStamp: status.earliestMessageTimestamp ?? -1,
    startAcceptSendRequestTimeStamp: values.startAcceptSendRequestTimeStamp,
    timerReadBehind: 0,
    timerOffsetBehind: 0,
    timerCongestNum: 0,
    timerEnqueueTps: '0.0',
    timerDequeueTps: '0.0',
    remainTransientStoreBufferNumbs: 2_147_483_647,
    remainHowManyDataToFlush: bytesText(status.flushBehindBytes),
    commitLogDirCapacity: capacity,
  }
}

/** Gantry has no thread pools: the send queue is what waits for the store, the pull queue what is held. */
function queueEntries({ parts, inFlightSends }: RuntimeFacts): Entries {
  const { values } = parts.config
  const entries: Record<string, string | number> = {}
  const add = (name: string, size: number, capacity: number) => {
    entries[`${name}ThreadPoolQueueSize`] = size
    entries[`${name}ThreadPoolQueueCapacity`] = capacity
    entries[`${name}ThreadPoolQueueHeadWaitTimeMills`] = 0
  }
  add('send', inFlightSends, values.sendThreadPoolQueueCapacity)
  add('pull', 0, values.pullThreadPoolQueueCapacity)
  add('litePull', 0, values.pullThreadPoolQueueCapacity)
  add('query', 0, values.pullThreadPoolQueueCapacity)
  add('ack', 0, values.pullThreadPoolQueueCapacity)
  return { ...entries, EndTransactionQueueSize: 0, EndTransactionThreadPoolQueueCapacity: 0 }
}

function durationText(elapsedMs: number): string {
  const seconds = Math.max(0, Math.floor(elapsedMs / 1000))
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  return `[ ${Math.floor(hours / 24)} days, ${hours % 24} hours, ${minutes % 60} minutes, ${seconds % 60} seconds ]`
}

function distributionText(counts: readonly number[]): string {
  return PUT_TIME_NAMES.map((name, index) => `[${name}]:${counts[index] ?? 0} `).join('')
}

/** Upper end of the bucket in which a share of all calls is reached. */
function quantile(counts: readonly number[], share: number): number {
  const total = counts.reduce((sum, count) => sum + count, 0)
  let seen = 0
  for (const [index, count] of counts.entries()) {
    seen += count
    if (total > 0 && seen >= total * share) return PUT_TIME_ENDS[index] ?? 0
  }
  return 0
}

/** `12.0 KiB` as Java writes sizes; `0 B` for none. */
function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  return `${value.toFixed(1)} ${UNITS[unit] ?? ''}`
}
