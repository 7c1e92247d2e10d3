/**
 * A hash table from topic bytes and queue to ConsumeQueue, for the dispatcher: a record is looked up without a string. Open addressing
 * with linear probing, at most half full; queues are never taken out.
 */
import type { ConsumeQueue } from './consume-queue.ts'

const SIZE_MIN = 64

export class QueueTable {
  #hashes = new Int32Array(SIZE_MIN)
  #queues: (ConsumeQueue | null)[] = emptySlots(SIZE_MIN)
  #count = 0

  /** `hash` is the `hashTopic` of `source[start, end)`. */
  find(
    hash: number,
    source: Buffer,
    start: number,
    end: number,
    queueId: number,
  ): ConsumeQueue | null {
    const hashes = this.#hashes
    const mask = hashes.length - 1
    const mixed = mix(hash, queueId)
    for (let slot = mixed & mask; ; slot = (slot + 1) & mask) {
      const queue = this.#queues[slot] ?? null
      if (queue === null) return null
      if (
        hashes[slot] === mixed &&
        queue.queueId === queueId &&
        isTopicOf(queue, source, start, end)
      ) {
        return queue
      }
    }
  }

  /** Adds a queue that is not in the table; `hash` is that of its topic. */
  add(hash: number, queue: ConsumeQueue): void {
    if (++this.#count * 2 > this.#hashes.length) this.#grow()
    this.#put(mix(hash, queue.queueId), queue)
  }

  #put(mixed: number, queue: ConsumeQueue): void {
    const mask = this.#hashes.length - 1
    let slot = mixed & mask
    while ((this.#queues[slot] ?? null) !== null) slot = (slot + 1) & mask
    this.#queues[slot] = queue
    this.#hashes[slot] = mixed
  }

  #grow(): void {
    const hashes = this.#hashes
    const queues = this.#queues
    this.#hashes = new Int32Array(hashes.length * 2)
    this.#queues = emptySlots(hashes.length * 2)
    for (const [slot, queue] of queues.entries()) {
      if (queue !== null) this.#put(hashes[slot] ?? 0, queue)
    }
  }
}

/** For `QueueTable`. */
export function hashTopic(source: Buffer, start: number, end: number): number {
  let hash = end - start
  for (let at = start; at < end; at++) hash = (Math.imul(hash, 31) + (source[at] ?? 0)) | 0
  return hash
}

/** Spreads neighbouring queues and similar names over the table (the finaliser of MurmurHash3). */
function mix(hash: number, queueId: number): number {
  let mixed = Math.imul(hash ^ Math.imul(queueId + 1, 0x9e3779b1), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}

/** True when the queue's topic is `source[start, end)`. */
export function isTopicOf(
  { topicBytes: bytes }: ConsumeQueue,
  source: Buffer,
  start: number,
  end: number,
): boolean {
  if (bytes.length !== end - start) return false
  for (let index = 0; index < bytes.length; index++) {
    if (bytes[index] !== source[start + index]) return false
  }
  return true
}

function emptySlots(count: number): (ConsumeQueue | null)[] {
  return Array.from({ length: count }, () => null)
}
