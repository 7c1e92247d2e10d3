/**
 * Counters by name and key with sums over the last minute, hour and day (RocketMQ's StatsItem), for VIEW_BROKER_STATS_DATA, consume TPS
 * and the daily totals.
 *
 * Every 10 s the running totals of all items are written down: 6 marks make a minute; every 10 min for the hour, every hour for the day.
 * An item that stands still keeps one mark for each window (about 500 bytes in all), one that stood still for a whole day is forgotten.
 */
import { BucketCounts, Histogram } from '../common/metrics.ts'
import type { Clock } from '../common/ports.ts'

export const SAMPLE_MS = 10_000
const MINUTE_MARKS = 7
const HOUR_MARKS = 7
const DAY_MARKS = 25
const SAMPLES_PER_HOUR_MARK = 60
const SAMPLES_PER_DAY_MARK = 360
/** Items of which marks are made in one turn of the event loop: some milliseconds. */
const TURN_ITEMS = 10_000
/** Upper ends of the buckets of rocketmq_message_size: 1 KiB, 4 KiB, 512 KiB, 1 MiB, 2 MiB, 4 MiB. */
const SIZE_ENDS: readonly number[] = [1024, 4096, 524_288, 1_048_576, 2_097_152, 4_194_304]
const CREATE_ENDS_MS: readonly number[] = [10, 100, 1000, 3000, 5000]
/** The counter that is kept by type of message, and by bucket of its size, too. */
const SIZED_NAME = 'TOPIC_PUT_SIZE'

export interface StatsWindow {
  readonly sum: number
  /** Per second. */
  readonly tps: number
  /** Sum by number of calls: an average size or latency. */
  readonly avgpt: number
}

export interface StatsSnapshot {
  readonly minute: StatsWindow
  readonly hour: StatsWindow
  readonly day: StatsWindow
}

interface Mark {
  at: number
  readonly sum: number
  readonly times: number
}

/** What RocketMQ's metrics tell apart (BrokerMetricsManager.getMessageType). */
export type MessageType = 'normal' | 'fifo' | 'delay' | 'transaction'

/** Messages of one type that a topic was given. */
export class TypedPuts {
  readonly type: MessageType
  messages = 0
  bytes = 0
  readonly sizes: BucketCounts = new BucketCounts(SIZE_ENDS)

  constructor(type: MessageType) {
    this.type = type
  }
}

/** One counter. The hot path calls `add` only. */
export class StatsItem {
  sum = 0
  times = 0
  /** Nobody sees any more what is added. */
  isForgotten = false
  /** The calls by type, with their average values by bucket; null for most counters. */
  readonly puts: TypedPuts[] | null
  /** Those that were counted last. */
  #lastPuts: TypedPuts | null = null
  readonly minute: Mark[]
  readonly hour: Mark[]
  readonly day: Mark[]

  constructor(now: number, isSized: boolean) {
    this.puts = isSized ? [] : null
    this.minute = [{ at: now, sum: 0, times: 0 }]
    this.hour = [{ at: now, sum: 0, times: 0 }]
    this.day = [{ at: now, sum: 0, times: 0 }]
  }

  add(value: number, times: number, type: MessageType = 'normal'): void {
    this.sum += value
    this.times += times
    if (this.puts === null || times <= 0) return
    let puts = this.#lastPuts
    if (puts?.type !== type) this.#lastPuts = puts = putsOf(this.puts, type)
    puts.messages += times
    puts.bytes += value
    puts.sizes.add(value / times, times)
  }
}

function putsOf(all: TypedPuts[], type: MessageType): TypedPuts {
  for (let index = 0; index < all.length; index++) {
    const puts = all[index]
    if (puts?.type === type) return puts
  }
  const puts = new TypedPuts(type)
  all.push(puts)
  return puts
}

/** Times by outcome, for what administrators do. */
export type CreateTimes = Histogram<'invocation_status' | 'is_system'>

export function createTimes(name: string, help: string): CreateTimes {
  const labelNames = ['invocation_status', 'is_system'] as const
  return new Histogram({ name, help, labelNames, buckets: [...CREATE_ENDS_MS], registers: [] })
}

/** Why a client is told to come later. */
export type FlowControlReason =
  | 'sendQueue'
  | 'pageCache'
  | 'transactions'
  | 'timers'
  | 'coldData'
  | 'popAnswers'

export class BrokerStats {
  /** Requests that were told to come later. */
  readonly flowControl: Record<FlowControlReason, number> = {
    sendQueue: 0,
    pageCache: 0,
    transactions: 0,
    timers: 0,
    coldData: 0,
    popAnswers: 0,
  }
  readonly #clock: Clock
  readonly #names = new Map<string, Map<string, StatsItem>>()
  #samples = 0
  #midnight: number
  #putToday = 0
  #getToday = 0
  /** Totals since the start, and as they were at the last two midnights. */
  putTotal = 0
  getTotal = 0
  #putYesterday = 0
  #getYesterday = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#midnight = nextMidnight(clock.now())
  }

  /** The counter of a name and key, made when there is none. Callers on hot paths keep it. */
  item(name: string, key: string): StatsItem {
    let items = this.#names.get(name)
    if (items === undefined) this.#names.set(name, (items = new Map<string, StatsItem>()))
    let item = items.get(key)
    if (item === undefined) {
      items.set(key, (item = new StatsItem(this.#clock.now(), name === SIZED_NAME)))
    }
    return item
  }

  add(name: string, key: string, value: number, times: number, type?: MessageType): void {
    this.item(name, key).add(value, times, type)
  }

  /** Null when nothing was ever counted under this name and key. */
  view(name: string, key: string): StatsSnapshot | null {
    const item = this.#names.get(name)?.get(key)
    if (item === undefined) return null
    const now = this.#clock.now()
    return {
      minute: windowOf(item, item.minute, now),
      hour: windowOf(item, item.hour, now),
      day: windowOf(item, item.day, now),
    }
  }

  /** Messages per second over the last minute; 0 for an unknown counter. */
  tps(name: string, key: string): number {
    return this.view(name, key)?.minute.tps ?? 0
  }

  /** The counters of one name, at most `limit` of them: those that were counted first. */
  *items(name: string, limit: number): Iterable<readonly [string, StatsItem]> {
    let left = limit
    for (const entry of this.#names.get(name) ?? []) {
      if (left-- <= 0) return
      yield entry
    }
  }

  /** How many keys of a name are counted. */
  count(name: string): number {
    return this.#names.get(name)?.size ?? 0
  }

  /** Forgets every counter of a topic, or of a group. */
  forget(matches: (key: string) => boolean): void {
    for (const items of this.#names.values()) {
      for (const [key, item] of items) if (matches(key)) drop(items, key, item)
    }
  }

  get daily(): {
    readonly putYesterdayMorning: number
    readonly putTodayMorning: number
    readonly getYesterdayMorning: number
    readonly getTodayMorning: number
  } {
    return {
      putYesterdayMorning: this.#putYesterday,
      putTodayMorning: this.#putToday,
      getYesterdayMorning: this.#getYesterday,
      getTodayMorning: this.#getToday,
    }
  }

  /** To be called every `SAMPLE_MS`, and gone through to its end; the caller gives others their turn after each step. */
  *sample(): Iterable<void> {
    const now = this.#clock.now()
    const samples = ++this.#samples
    this.#rollDay(now)
    let count = 0
    for (const items of this.#names.values()) {
      for (const [key, item] of items) {
        if (!keepsCounting(item, now, samples)) drop(items, key, item)
        if (++count % TURN_ITEMS === 0) yield
      }
    }
  }

  #rollDay(now: number): void {
    if (now < this.#midnight) return
    this.#midnight = nextMidnight(now)
    this.#putYesterday = this.#putToday
    this.#getYesterday = this.#getToday
    this.#putToday = this.putTotal
    this.#getToday = this.getTotal
  }
}

function drop(items: Map<string, StatsItem>, key: string, item: StatsItem): void {
  item.isForgotten = true
  items.delete(key)
}

/** Makes the marks of one item; false when it stood still for a whole day. */
function keepsCounting(item: StatsItem, now: number, samples: number): boolean {
  push(item, item.minute, now, MINUTE_MARKS)
  if (samples % SAMPLES_PER_HOUR_MARK === 0) push(item, item.hour, now, HOUR_MARKS)
  if (samples % SAMPLES_PER_DAY_MARK !== 0) return true
  const [oldest] = item.day
  if (item.day.length === DAY_MARKS && oldest?.times === item.times) return false
  item.day.push({ at: now, sum: item.sum, times: item.times })
  if (item.day.length > DAY_MARKS) item.day.splice(0, 1)
  return true
}

/** A window in which nothing was counted is one mark that moves on. */
function push({ sum, times }: StatsItem, marks: Mark[], now: number, limit: number): void {
  const [first] = marks
  if (first !== undefined && first.times === times && first.sum === sum) {
    marks.length = 1
    first.at = now
    return
  }
  marks.push({ at: now, sum, times })
  if (marks.length > limit) marks.splice(0, 1)
}

function windowOf(item: StatsItem, marks: readonly Mark[], now: number): StatsWindow {
  const first = marks[0]
  if (first === undefined) return { sum: 0, tps: 0, avgpt: 0 }
  const sum = item.sum - first.sum
  const times = item.times - first.times
  const elapsedMs = now - first.at
  return {
    sum,
    tps: elapsedMs > 0 ? (sum * 1000) / elapsedMs : 0,
    avgpt: times > 0 ? sum / times : 0,
  }
}

function nextMidnight(now: number): number {
  const date = new Date(now)
  date.setHours(24, 0, 0, 0)
  return date.getTime()
}
