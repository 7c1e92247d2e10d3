/**
 * All ConsumeQueues of a store: by topic and queue, and by the bytes of a record's topic, which the dispatcher has.
 *
 * What is not written yet takes at most `MAX_UNWRITTEN_BYTES` of memory: beyond that the queues that have waited longest are written.
 */
import { isNoRoom } from '../common/errors.ts'
import type { Disk } from '../common/ports.ts'
import { AppendedQueues } from './appended-queues.ts'
import { ConsumeQueue } from './consume-queue.ts'
import type { ConsumeQueueContext } from './consume-queue.ts'
import { CONSUME_QUEUE_UNIT_SIZE } from './consume-queue-unit.ts'
import { StoreError } from './errors.ts'
import { FilePool } from './file-pool.ts'
import type { QueuePosition } from './queue-positions.ts'
import { QueueTable, hashTopic, isTopicOf } from './queue-table.ts'
import { putAside } from './removed-folders.ts'
import type { AppendQueue } from './types.ts'
import { UnitPool } from './unit-pool.ts'

/** ConsumeQueue files open at once; a broker may have tens of thousands. */
const MAX_OPEN_FILES = 1024

const MAX_TOPIC_LENGTH = 255

/** For 16 to 1,600,000 units, as few or many queues share them. */
const MAX_UNWRITTEN_BYTES = 32 * 1024 * 1024

export interface ConsumeQueuesOptions {
  readonly disk: Disk
  readonly directory: string
  readonly fileSize: number
  /** For tests: instead of 32 MiB. */
  readonly maxUnwrittenBytes?: number
}

interface Topic {
  readonly bytes: Buffer
  readonly hash: number
  readonly queues: ConsumeQueue[]
}

export class ConsumeQueues {
  readonly directory: string
  readonly #disk: Disk
  readonly #files: FilePool
  readonly #context: ConsumeQueueContext
  readonly #pool = new UnitPool()
  readonly #maxUnwrittenBytes: number
  readonly #topics = new Map<string, Topic>()
  #table = new QueueTable()
  readonly #appended = new AppendedQueues()
  #lightQueues = 0
  /** Queues with something to write or to sync, in the order in which they got it. */
  #dirty: ConsumeQueue[] = []
  /** The next of them to be written when memory is short. */
  #cursor = 0

  constructor(options: ConsumeQueuesOptions) {
    const { disk, directory, fileSize } = options
    this.directory = directory
    this.#disk = disk
    this.#files = new FilePool(disk, MAX_OPEN_FILES)
    this.#maxUnwrittenBytes = options.maxUnwrittenBytes ?? MAX_UNWRITTEN_BYTES
    this.#context = {
      disk,
      files: this.#files,
      fileSize: Math.ceil(fileSize / CONSUME_QUEUE_UNIT_SIZE) * CONSUME_QUEUE_UNIT_SIZE,
      pool: this.#pool,
      onDirty: (queue) => this.#list(queue),
      onGrow: () => {
        if (this.#pool.usedBytes >= this.#maxUnwrittenBytes) this.#relieve()
      },
    }
  }

  /** Finds all queues on disk; of each only the units of records below `physicalEnd` count. */
  load(physicalEnd: number): void {
    this.#forgetAll()
    for (const topic of this.#disk.listSync(this.directory)) {
      if (!topic.isDirectory || !isTopicName(topic.name)) continue
      for (const queue of this.#disk.listSync(`${this.directory}/${topic.name}`)) {
        if (!queue.isDirectory || !/^\d{1,9}$/.test(queue.name)) continue
        this.getOrCreate(topic.name, Number(queue.name)).load(physicalEnd)
      }
    }
  }

  /** Knows all queues from `queuepositions`, without a look at their files. */
  restore(positions: readonly QueuePosition[], mayHoldStale: boolean): void {
    this.#forgetAll()
    for (const { topic, queueId, minOffset, maxOffset } of positions) {
      this.getOrCreate(topic, queueId).restore(minOffset, maxOffset, mayHoldStale)
    }
  }

  get(topic: string, queueId: number): ConsumeQueue | null {
    const found = this.#topics.get(topic)
    if (found === undefined) return null
    return this.#table.find(found.hash, found.bytes, 0, found.bytes.length, queueId)
  }

  /** The caller has checked the topic by `isTopicName`, since it becomes part of a path. */
  getOrCreate(topic: string, queueId: number): ConsumeQueue {
    return this.get(topic, queueId) ?? this.#create(topic, queueId)
  }

  /** The queue of a record whose topic is `source[start, end)`; made when absent. No string is made of a topic that is known. */
  getOrCreateByBytes(source: Buffer, start: number, end: number, queueId: number): ConsumeQueue {
    const hash = hashTopic(source, start, end)
    return (
      this.#table.find(hash, source, start, end, queueId) ??
      this.#create(source.toString('utf8', start, end), queueId)
    )
  }

  /** A record has been appended to the log; the dispatcher will meet it. */
  noteAppended(queue: AppendQueue, physicalOffset: number): void {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nobody else makes queues
    this.#appended.note(queue as ConsumeQueue, physicalOffset)
  }

  /** The queue of the record at `physicalOffset`, whose topic is `source[start, end)`; made when absent. */
  ofRecord(
    physicalOffset: number,
    source: Buffer,
    start: number,
    end: number,
    queueId: number,
  ): ConsumeQueue {
    const queue = this.#appended.take(physicalOffset)
    // The log may have been cut since, and hold another record there.
    const isIt = queue?.queueId === queueId && isTopicOf(queue, source, start, end)
    return isIt ? queue : this.getOrCreateByBytes(source, start, end, queueId)
  }

  /** How many light queues there are. */
  get lightQueues(): number {
    return this.#lightQueues
  }

  *all(): Generator<ConsumeQueue, void> {
    for (const { queues } of this.#topics.values()) yield* queues
  }

  ofTopic(topic: string): Iterable<ConsumeQueue> {
    return this.#topics.get(topic)?.queues ?? []
  }

  /**
   * The queues with something to write or to sync, which are then off the list: the caller does both, or puts them back by `putBack`.
   */
  takeDirty(): readonly ConsumeQueue[] {
    const dirty = this.#dirty
    this.#dirty = []
    this.#cursor = 0
    for (const queue of dirty) queue.isListed = false
    return dirty
  }

  putBack(queues: readonly ConsumeQueue[]): void {
    for (const queue of queues) if (queue.isDirty && !queue.isListed) this.#list(queue)
  }

  /** Hands all new units to the kernel. */
  writePending(): void {
    for (const queue of this.#dirty) if (queue.hasUnwritten) queue.writePending()
    this.#cursor = this.#dirty.length
  }

  /** Removes every queue, to be built anew from the log; their files are put aside, for `removeFolders`. */
  removeAll(): void {
    this.#forgetAll()
    putAside(this.#disk, this.directory)
  }

  close(): void {
    this.#files.closeAll()
  }

  #forgetAll(): void {
    this.#files.closeAll()
    for (const queue of this.all()) queue.forget()
    this.#topics.clear()
    this.#lightQueues = 0
    this.#table = new QueueTable()
    this.#appended.clear()
    this.takeDirty()
  }

  #list(queue: ConsumeQueue): void {
    queue.isListed = true
    this.#dirty.push(queue)
  }

  /** Writes the queue that has waited longest; its blocks serve the next messages. */
  #relieve(): void {
    for (let looked = 0; looked < this.#dirty.length; looked++) {
      if (this.#cursor >= this.#dirty.length) this.#cursor = 0
      const queue = this.#dirty[this.#cursor++]
      if (queue?.hasUnwritten !== true) continue
      try {
        queue.writePending()
      } catch (error) {
        // On a full disk the units stay in memory, and soon no messages come any more.
        if (!isNoRoom(error)) throw error
      }
      return
    }
  }

  #create(topic: string, queueId: number): ConsumeQueue {
    if (!isTopicName(topic)) {
      throw new StoreError(
        'corrupt',
        `a record names the impossible topic ${JSON.stringify(topic)}`,
      )
    }
    let found = this.#topics.get(topic)
    if (found === undefined) {
      const bytes = Buffer.from(topic)
      found = { bytes, hash: hashTopic(bytes, 0, bytes.length), queues: [] }
      this.#topics.set(topic, found)
    }
    const queue = new ConsumeQueue(this.#context, {
      directory: `${this.directory}/${topic}/${queueId}`,
      topic,
      topicBytes: found.bytes,
      queueId,
    })
    found.queues.push(queue)
    if (queue.isLight) this.#lightQueues++
    this.#table.add(found.hash, queue)
    return queue
  }
}

/** RocketMQ's rule for topic names, which also keeps them from leaving the folder. */
export function isTopicName(topic: string): boolean {
  return topic.length <= MAX_TOPIC_LENGTH && /^[%|a-zA-Z0-9_+-]+$/.test(topic)
}
