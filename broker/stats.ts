/**
 * Counters by name and key with sums over the last minute, hour and day (RocketMQ's StatsItem), for VIEW_BROKER_STATS_DATA, consume TPS
 * and the daily totals.
 *
 * Every 10 s the running totals of all items are written down: 6 marks make a minute; every 10 min for the hour, every hour for the day.
 * An item that stood still for a whole day is forgotten.
 */
import type { Clock } from '../common/ports.ts'

export const SAMPLE_MS = 10_000
const MINUTE_MARKS = 7
const HOUR_MARKS = 7
const DAY_MARKS = 25
const SAMPLES_PER_HOUR_MARK = 60
const SAMPLES_PER_DAY_MARK = 360

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
  readonly at: number
  readonly sum: number
  readonly times: number
}

/** One counter. The hot path touches `sum` and `times` only. */
export class StatsItem {
  sum = 0
  times = 0
  readonly minute: Mark[] = []
  readonly hour: Mark[] = []
  readonly day: Mark[] = []

  add(value: number, times: number): void {
    this.sum += value
    this.times += times
  }
}

export class BrokerStats {
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
      items.set(key, (item = new StatsItem()))
      const now = this.#clock.now()
      const mark = { at: now, sum: 0, times: 0 }
      item.minute.push(mark)
      item.hour.push(mark)
      item.day.push(mark)
    }
    return item
  }

  add(name: string, key: string, value: number, times: number): void {
    this.item(name, key).add(value, times)
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

  /** Running totals of the counters of one name, at most `limit` of them. */
  *totals(name: string, limit: number): Iterable<readonly [string, number]> {
    let left = limit
    for (const [key, item] of this.#names.get(name) ?? []) {
      if (left-- <= 0) return
      yield [key, item.sum]
    }
  }

  /** Forgets every counter of a topic, or of a group. */
  forget(matches: (key: string) => boolean): void {
    for (const items of this.#names.values()) {
      for (const key of items.keys()) if (matches(key)) items.delete(key)
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

  /** To be called every `SAMPLE_MS`. */
  sample(): void {
    const now = this.#clock.now()
    this.#samples++
    for (const items of this.#names.values()) {
      for (const [key, item] of items) {
        const mark = { at: now, sum: item.sum, times: item.times }
        push(item.minute, mark, MINUTE_MARKS)
        if (this.#samples % SAMPLES_PER_HOUR_MARK === 0) push(item.hour, mark, HOUR_MARKS)
        if (this.#samples % SAMPLES_PER_DAY_MARK !== 0) continue
        const oldest = item.day[0]
        if (item.day.length === DAY_MARKS && oldest?.times === item.times) items.delete(key)
        else push(item.day, mark, DAY_MARKS)
      }
    }
    if (now < this.#midnight) return
    this.#midnight = nextMidnight(now)
    this.#putYesterday = this.#putToday
    this.#getYesterday = this.#getToday
    this.#putToday = this.putTotal
    this.#getToday = this.getTotal
  }
}

function push(marks: Mark[], mark: Mark, limit: number): void {
  marks.push(mark)
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
