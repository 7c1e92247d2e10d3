/**
 * The topics that fast sends go to, found by the bytes of their names, with what a send needs of them.
 *
 * Filled from the table of topics as sends come, emptied when that table changes: its `dataVersion` is another object then.
 */
import { isLightName } from '../../common/light-queues.ts'
import { RETRY_PREFIX, isForbiddenForClients } from '../names.ts'
import { PutCounters } from './put-counters.ts'
import type { TopicConfig } from '../../remoting/bodies/topic-config.ts'
import type { AppendQueue, Store } from '../../store/types.ts'
import type { BrokerStats } from '../stats.ts'
import type { TopicTable } from '../topics.ts'

const BUCKETS_MIN = 4096

export class SendTopic {
  readonly name: string
  /** The store's own copy once it has a queue of the topic: the send that is found by it encodes it next. */
  bytes: Buffer
  readonly hash: number
  readonly counters: PutCounters
  readonly isMultiTag: boolean
  /** Queue ids from here on are refused. */
  readonly queueCount: number
  /** The next topic in the same bucket. */
  next: SendTopic | null = null
  /** Where the open batch perhaps counts this topic's sends (send-batch.ts). */
  countedAt: number = 0
  readonly #store: Store
  readonly #queues: (AppendQueue | undefined)[] = []

  constructor(store: Store, config: TopicConfig, counters: PutCounters) {
    this.name = config.topicName
    this.bytes = Buffer.from(config.topicName)
    this.hash = hashOf(this.bytes, 0, this.bytes.length)
    this.counters = counters
    this.isMultiTag = config.topicFilterType === 'MULTI_TAG'
    this.queueCount = Math.max(config.readQueueNums, config.writeQueueNums)
    this.#store = store
  }

  /** `queueId` is below `queueCount`. */
  queue(queueId: number): AppendQueue {
    return this.#queues[queueId] ?? this.#add(queueId)
  }

  #add(queueId: number): AppendQueue {
    const queue = this.#store.appendQueue(this.name, queueId)
    this.#queues[queueId] = queue
    this.bytes = queue.topicBytes
    return queue
  }
}

export class SendTopics {
  readonly #store: Store
  readonly #topics: TopicTable
  readonly #stats: BrokerStats
  #version: object
  /** A power of two of them, at least as many as there are topics. */
  #buckets = emptyBuckets(BUCKETS_MIN)
  #count = 0
  /** What the last send found: the next one often names it too. */
  #last: SendTopic | null = null

  constructor(store: Store, topics: TopicTable, stats: BrokerStats) {
    this.#store = store
    this.#stats = stats
    this.#topics = topics
    this.#version = topics.dataVersion
  }

  /** The topic named by `source[start, end)`; null when it is unknown, or no ordinary topic that clients send to. */
  find(source: Buffer, start: number, end: number): SendTopic | null {
    if (this.#topics.dataVersion !== this.#version) this.#clear()
    if (this.#last !== null && isNamed(this.#last, source, start, end)) return this.#last
    const hash = hashOf(source, start, end)
    const bucket = hash & (this.#buckets.length - 1)
    for (let topic = this.#buckets[bucket] ?? null; topic !== null; topic = topic.next) {
      if (topic.hash !== hash || !isNamed(topic, source, start, end)) continue
      this.#last = topic
      return topic
    }
    return this.#add(source.toString('utf8', start, end))
  }

  #add(name: string): SendTopic | null {
    const config = this.#topics.get(name)
    if (config === undefined || isForbiddenForClients(name)) return null
    if (name.startsWith(RETRY_PREFIX) || isLightName(name)) return null
    const counters = new PutCounters(this.#stats, { name, isSystem: this.#topics.isSystem(name) })
    const topic = new SendTopic(this.#store, config, counters)
    if (++this.#count > this.#buckets.length) this.#grow()
    put(this.#buckets, topic)
    this.#last = topic
    return topic
  }

  #grow(): void {
    const old = this.#buckets
    this.#buckets = emptyBuckets(old.length * 4)
    for (const first of old) {
      for (let topic = first; topic !== null;) {
        const { next } = topic
        put(this.#buckets, topic)
        topic = next
      }
    }
  }

  #clear(): void {
    this.#version = this.#topics.dataVersion
    this.#buckets.fill(null)
    this.#count = 0
    this.#last = null
  }
}

function isNamed({ bytes }: SendTopic, source: Buffer, start: number, end: number): boolean {
  if (bytes.length !== end - start) return false
  for (let index = 0; index < bytes.length; index++) {
    if (bytes[index] !== source[start + index]) return false
  }
  return true
}

function put(buckets: (SendTopic | null)[], topic: SendTopic): void {
  const bucket = topic.hash & (buckets.length - 1)
  topic.next = buckets[bucket] ?? null
  buckets[bucket] = topic
}

function emptyBuckets(count: number): (SendTopic | null)[] {
  return Array.from({ length: count }, () => null)
}

function hashOf(source: Buffer, start: number, end: number): number {
  let hash = 0
  for (let at = start; at < end; at++) hash = (Math.imul(hash, 31) + (source[at] ?? 0)) | 0
  return hash ^ (hash >>> 12) ^ (hash >>> 24)
}
