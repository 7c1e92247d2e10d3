/** What has to be done at some time, in buckets of a tenth of a second: adding and removing cost the same however much waits. */
import assert from 'node:assert/strict'

const TICK_MS = 100

export interface Due {
  /** `Clock.monotonic()`. */
  readonly deadline: number
  /** Its bucket, -1 while it is in none, and its place there. The wheel's own. */
  tick: number
  place: number
}

export class DueWheel<Item extends Due> {
  readonly #buckets = new Map<number, Item[]>()
  #next: number
  #size = 0

  constructor(monotonic: number) {
    this.#next = Math.floor(monotonic / TICK_MS)
  }

  get size(): number {
    return this.#size
  }

  add(item: Item): void {
    this.remove(item)
    item.tick = Math.max(Math.ceil(item.deadline / TICK_MS), this.#next)
    let bucket = this.#buckets.get(item.tick)
    if (bucket === undefined) this.#buckets.set(item.tick, (bucket = []))
    item.place = bucket.length
    bucket.push(item)
    this.#size++
  }

  remove(item: Item): void {
    if (item.tick === -1) return
    const bucket = this.#buckets.get(item.tick)
    const last = bucket?.pop()
    assert(bucket !== undefined && last !== undefined)
    if (last !== item) {
      assert(bucket[item.place] === item)
      bucket[item.place] = last
      last.place = item.place
    }
    if (bucket.length === 0) this.#buckets.delete(item.tick)
    item.tick = -1
    this.#size--
  }

  /** Takes out what is due, in the order of the buckets. */
  take(monotonic: number): Item[] {
    const last = Math.floor(monotonic / TICK_MS)
    const due: Item[] = []
    const gap = last - this.#next
    const ticks =
      gap < this.#buckets.size
        ? Array.from({ length: Math.max(0, gap + 1) }, (_, index) => this.#next + index)
        : [...this.#buckets.keys()].filter((tick) => tick <= last).sort((a, b) => a - b)
    for (const tick of ticks) {
      for (const item of this.#buckets.get(tick) ?? []) {
        item.tick = -1
        due.push(item)
      }
      this.#buckets.delete(tick)
    }
    this.#size -= due.length
    this.#next = Math.max(this.#next, last + 1)
    return due
  }

  clear(): void {
    for (const bucket of this.#buckets.values()) for (const item of bucket) item.tick = -1
    this.#buckets.clear()
    this.#size = 0
  }
}
