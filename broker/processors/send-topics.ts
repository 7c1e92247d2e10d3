/**
 * The topics that fast sends go to, found by the bytes of their names, with what a send needs of them.
 *
 * Filled from the table of topics as sends come, emptied when that table changes: its `dataVersion` is another object then.
 */
import { RETRY_PREFIX, isForbiddenForClients } from '../names.ts'
import type { TopicConfig } from '../../remoting/bodies/topic-config.ts'
import type { AppendQueue, Store } from '../../store/types.ts'
import type { TopicTable } from '../topics.ts'

const BUCKETS = 4096

export class SendTopic {
  readonly name: string
  readonly bytes: Buffer
  readonly isSystem: boolean
  readonly isMultiTag: boolean
  /** Queue ids from here on are refused. */
  readonly queueCount: number
  /** The next topic in the same bucket. */
  next: SendTopic | null = null
  /** Where the open batch perhaps counts this topic's sends (send-batch.ts). */
  countedAt: number = 0
  readonly #store: Store
  readonly #queues: (AppendQueue | undefined)[] = []

  constructor(store: Store, config: TopicConfig, isSystem: boolean) {
    this.name = config.topicName
    this.bytes = Buffer.from(config.topicName)
    this.isSystem = isSystem
    this.isMultiTag = config.topicFilterType === 'MULTI_TAG'
    this.queueCount = Math.max(config.readQueueNums, config.writeQueueNums)
    this.#store = store
  }

  /** `queueId` is below `queueCount`. */
  queue(queueId: number): AppendQueue {
    return (this.#queues[queueId] ??= this.#store.appendQueue(this.name, queueId))
  }
}

export class SendTopics {
  readonly #store: Store
  readonly #topics: TopicTable
  #version: object
  readonly #buckets: (SendTopic | null)[] = Array.from({ length: BUCKETS }, () => null)
  /** What the last send found: the next one often names it too. */
  #last: SendTopic | null = null

  constructor(store: Store, topics: TopicTable) {
    this.#store = store
    this.#topics = topics
    this.#version = topics.dataVersion
  }

  /** The topic named by `source[start, end)`; null when it is unknown, or no ordinary topic that clients send to. */
  find(source: Buffer, start: number, end: number): SendTopic | null {
    if (this.#topics.dataVersion !== this.#version) this.#clear()
    if (this.#last !== null && isNamed(this.#last, source, start, end)) return this.#last
    const bucket = bucketOf(source, start, end)
    for (let topic = this.#buckets[bucket] ?? null; topic !== null; topic = topic.next) {
      if (!isNamed(topic, source, start, end)) continue
      this.#last = topic
      return topic
    }
    return this.#add(bucket, source.toString('utf8', start, end))
  }

  #add(bucket: number, name: string): SendTopic | null {
    const config = this.#topics.get(name)
    if (config === undefined || isForbiddenForClients(name)) return null
    if (name.startsWith(RETRY_PREFIX)) return null
    const topic = new SendTopic(this.#store, config, this.#topics.isSystem(name))
    topic.next = this.#buckets[bucket] ?? null
    this.#buckets[bucket] = topic
    this.#last = topic
    return topic
  }

  #clear(): void {
    this.#version = this.#topics.dataVersion
    this.#buckets.fill(null)
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

function bucketOf(source: Buffer, start: number, end: number): number {
  let hash = 0
  for (let at = start; at < end; at++) hash = (Math.imul(hash, 31) + (source[at] ?? 0)) | 0
  return (hash ^ (hash >>> 12) ^ (hash >>> 24)) & (BUCKETS - 1)
}
