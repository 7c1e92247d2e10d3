/** All ConsumeQueues of a store, by topic and queue. */
import type { Disk } from '../common/ports.ts'
import { CONSUME_QUEUE_UNIT_SIZE, ConsumeQueue } from './consume-queue.ts'
import { StoreError } from './errors.ts'
import { FilePool } from './file-pool.ts'

/** ConsumeQueue files open at once; a broker may have tens of thousands. */
const MAX_OPEN_FILES = 1024

const MAX_TOPIC_LENGTH = 255

export class ConsumeQueues {
  readonly directory: string
  readonly #disk: Disk
  readonly #files: FilePool
  readonly #fileSize: number
  readonly #topics = new Map<string, Map<number, ConsumeQueue>>()

  constructor(options: {
    readonly disk: Disk
    readonly directory: string
    readonly fileSize: number
  }) {
    this.directory = options.directory
    this.#disk = options.disk
    this.#files = new FilePool(options.disk, MAX_OPEN_FILES)
    this.#fileSize = Math.ceil(options.fileSize / CONSUME_QUEUE_UNIT_SIZE) * CONSUME_QUEUE_UNIT_SIZE
  }

  /** Finds all queues on disk; of each only the units of records below `physicalEnd` count. */
  load(physicalEnd: number): void {
    this.#files.closeAll()
    this.#topics.clear()
    for (const topic of this.#disk.listSync(this.directory)) {
      if (!topic.isDirectory || !isTopicName(topic.name)) continue
      for (const queue of this.#disk.listSync(`${this.directory}/${topic.name}`)) {
        if (!queue.isDirectory || !/^\d{1,9}$/.test(queue.name)) continue
        this.getOrCreate(topic.name, Number(queue.name)).load(physicalEnd)
      }
    }
  }

  get(topic: string, queueId: number): ConsumeQueue | null {
    return this.#topics.get(topic)?.get(queueId) ?? null
  }

  /** The caller has checked the topic by `isTopicName`, since it becomes part of a path. */
  getOrCreate(topic: string, queueId: number): ConsumeQueue {
    let queues = this.#topics.get(topic)
    if (queues === undefined) {
      queues = new Map()
      this.#topics.set(topic, queues)
    }
    let queue = queues.get(queueId)
    if (queue === undefined) {
      queue = this.#create(topic, queueId)
      queues.set(queueId, queue)
    }
    return queue
  }

  *all(): Generator<ConsumeQueue, void> {
    for (const queues of this.#topics.values()) yield* queues.values()
  }

  ofTopic(topic: string): Iterable<ConsumeQueue> {
    return this.#topics.get(topic)?.values() ?? []
  }

  /** Removes every queue, files and all, to be built anew from the log. */
  removeAll(): void {
    this.#files.closeAll()
    this.#topics.clear()
    this.#disk.removeSync(this.directory)
  }

  close(): void {
    this.#files.closeAll()
  }

  #create(topic: string, queueId: number): ConsumeQueue {
    if (!isTopicName(topic)) {
      throw new StoreError(
        'corrupt',
        `a record names the impossible topic ${JSON.stringify(topic)}`,
      )
    }
    return new ConsumeQueue({
      disk: this.#disk,
      files: this.#files,
      directory: `${this.directory}/${topic}/${queueId}`,
      fileSize: this.#fileSize,
      topic,
      queueId,
    })
  }
}

/** RocketMQ's rule for topic names, which also keeps them from leaving the folder. */
export function isTopicName(topic: string): boolean {
  return topic.length <= MAX_TOPIC_LENGTH && /^[%|a-zA-Z0-9_-]+$/.test(topic)
}
