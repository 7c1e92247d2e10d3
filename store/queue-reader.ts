/** Reads messages of a queue: which units match, how many fit (protocol §7.2), and their records out of memory or the files. */
import { isSafeInt64, readInt64 } from '../common/bytes.ts'
import { PHYSICAL_OFFSET_AT } from '../common/message-codec.ts'
import type { CommitLog } from './commit-log.ts'
import { CONSUME_QUEUE_UNIT_SIZE } from './consume-queue.ts'
import type { ConsumeQueue } from './consume-queue.ts'
import type { ConsumeQueues } from './consume-queues.ts'
import { StoreError } from './errors.ts'
import { GetStatus } from './types.ts'
import type { GetRequest, GetResult, MessageFilter, StoreConfig } from './types.ts'

/** Bytes of ConsumeQueue that one call scans at least; a sparse filter goes on with the next call. */
const SCAN_BYTES_MIN = 16_000
const SCAN_BYTES_PER_MESSAGE = 20

/** One more than one answer can hold. */
const ANSWER_BYTES_MAX = 128 * 1024 * 1024

type TransferConfig = Pick<
  StoreConfig,
  | 'maxTransferBytesOnMessageInMemory'
  | 'maxTransferCountOnMessageInMemory'
  | 'maxTransferBytesOnMessageInDisk'
  | 'maxTransferCountOnMessageInDisk'
>

/** The records that an answer will hold. */
interface Selection {
  readonly physicalOffsets: number[]
  readonly sizes: number[]
  bytes: number
  nextOffset: number
  status: GetStatus
  /** Some are so old that their pages may have left the cache. */
  isCold: boolean
}

export class QueueReader {
  readonly #commitLog: CommitLog
  readonly #queues: ConsumeQueues
  readonly #config: TransferConfig
  /** What lies further behind the end than this is taken for being on disk only. */
  readonly #memoryBytes: number
  #units: Buffer = Buffer.alloc(SCAN_BYTES_MIN)

  constructor(options: {
    readonly commitLog: CommitLog
    readonly consumeQueues: ConsumeQueues
    readonly config: TransferConfig
    readonly memoryBytes: number
  }) {
    this.#commitLog = options.commitLog
    this.#queues = options.consumeQueues
    this.#config = options.config
    this.#memoryBytes = options.memoryBytes
  }

  /** `done` is called once, at once unless records must come from a cold disk. Throws `derivedCorrupt` when a unit points astray. */
  get(
    request: GetRequest,
    done: (result: GetResult) => void,
    onError: (error: unknown) => void,
  ): void {
    const queue = this.#queues.get(request.topic, request.queueId)
    const outside = outsideOf(queue, request.queueOffset)
    if (queue === null || outside !== null) {
      done(emptyResult(queue, outside ?? GetStatus.NO_MATCHED_LOGIC_QUEUE, request.queueOffset))
      return
    }
    const selection = this.#select(queue, request)
    if (selection.bytes === 0) {
      done(resultOf(queue, selection, Buffer.alloc(0)))
      return
    }
    const body = Buffer.allocUnsafe(selection.bytes)
    if (selection.isCold) {
      this.#getCold(queue, selection, body).then(done, (error: unknown) => {
        // Retention took the file while it was read: what is left now is another answer.
        if ((selection.physicalOffsets[0] ?? 0) < this.#commitLog.startOffset) {
          this.get(request, done, onError)
        } else {
          onError(error)
        }
      })
      return
    }
    let at = 0
    for (let index = 0; index < selection.sizes.length; index++) {
      const size = selection.sizes[index] ?? 0
      this.#commitLog.readSync(selection.physicalOffsets[index] ?? 0, size, body, at)
      at += size
    }
    this.#check(queue, selection, body)
    done(resultOf(queue, selection, body))
  }

  isInMemory(physicalOffset: number): boolean {
    return this.#commitLog.endOffset - physicalOffset <= this.#memoryBytes
  }

  #select(queue: ConsumeQueue, request: GetRequest): Selection {
    const scanBytes = Math.max(SCAN_BYTES_MIN, request.maxMessages * SCAN_BYTES_PER_MESSAGE)
    const maxUnits = Math.floor(scanBytes / CONSUME_QUEUE_UNIT_SIZE)
    const available = Math.min(maxUnits, queue.maxOffset - request.queueOffset)
    if (this.#units.length < available * CONSUME_QUEUE_UNIT_SIZE) {
      this.#units = Buffer.alloc(available * CONSUME_QUEUE_UNIT_SIZE)
    }
    // Without a filter no more units are looked at than messages are wanted.
    const wanted = request.filter === null ? Math.min(available, request.maxMessages) : available
    const count = queue.readUnits(request.queueOffset, wanted, this.#units)
    const selection: Selection = {
      physicalOffsets: [],
      sizes: [],
      bytes: 0,
      nextOffset: request.queueOffset,
      status: count === 0 ? GetStatus.OFFSET_FOUND_NULL : GetStatus.NO_MATCHED_MESSAGE,
      isCold: false,
    }
    for (let index = 0; index < count; index++) {
      if (!this.#take(queue, index * CONSUME_QUEUE_UNIT_SIZE, request, selection)) break
      selection.nextOffset++
    }
    if (selection.sizes.length > 0) selection.status = GetStatus.FOUND
    return selection
  }

  /** Looks at one unit; false when the answer is full. */
  #take(queue: ConsumeQueue, at: number, request: GetRequest, selection: Selection): boolean {
    const units = this.#units
    const size = units.readInt32BE(at + 8)
    if (size <= 0 || !isSafeInt64(units, at)) throw astray(queue, selection.nextOffset)
    const physicalOffset = readInt64(units, at)
    const isOnDisk = !this.isInMemory(physicalOffset)
    if (this.#isFull(selection, size, request.maxMessages, isOnDisk)) return false
    const { filter } = request
    if (filter !== null && !filter.matchesTagsCode(readInt64(units, at + 12))) return true
    if (physicalOffset < this.#commitLog.startOffset) {
      if (selection.sizes.length === 0) selection.status = GetStatus.MESSAGE_WAS_REMOVING
      return true
    }
    if (filter !== null && !this.#matchesRecord(filter, physicalOffset, size)) return true
    selection.physicalOffsets.push(physicalOffset)
    selection.sizes.push(size)
    selection.bytes += size
    if (isOnDisk) selection.isCold = true
    return true
  }

  #isFull(selection: Selection, size: number, maxMessages: number, isOnDisk: boolean): boolean {
    const count = selection.sizes.length
    if (count >= maxMessages) return true
    if (count === 0) return false
    const bytes = selection.bytes + size
    if (bytes > ANSWER_BYTES_MAX) return true
    const config = this.#config
    if (isOnDisk) {
      return (
        bytes > config.maxTransferBytesOnMessageInDisk ||
        count >= config.maxTransferCountOnMessageInDisk
      )
    }
    return (
      bytes > config.maxTransferBytesOnMessageInMemory ||
      count >= config.maxTransferCountOnMessageInMemory
    )
  }

  #matchesRecord(filter: MessageFilter, physicalOffset: number, size: number): boolean {
    if (filter.matchesRecord === null) return true
    const record = Buffer.allocUnsafe(size)
    return this.#commitLog.readSync(physicalOffset, size, record, 0) && filter.matchesRecord(record)
  }

  /** Reads from the disk without stopping the event loop. */
  async #getCold(queue: ConsumeQueue, selection: Selection, body: Buffer): Promise<GetResult> {
    let at = 0
    for (let index = 0; index < selection.sizes.length; index++) {
      const size = selection.sizes[index] ?? 0
      const physicalOffset = selection.physicalOffsets[index] ?? 0
      await this.#commitLog.segments.read(body, at, size, physicalOffset)
      at += size
    }
    this.#check(queue, selection, body)
    return resultOf(queue, selection, body)
  }

  /** Every record says itself where it belongs: a wrong message is never handed out. */
  #check(queue: ConsumeQueue, selection: Selection, body: Buffer): void {
    let at = 0
    for (let index = 0; index < selection.sizes.length; index++) {
      const size = selection.sizes[index] ?? 0
      const isRight =
        size >= PHYSICAL_OFFSET_AT + 8 &&
        body.readInt32BE(at) === size &&
        body.readInt32BE(at + 12) === queue.queueId &&
        isSafeInt64(body, at + PHYSICAL_OFFSET_AT) &&
        readInt64(body, at + PHYSICAL_OFFSET_AT) === selection.physicalOffsets[index]
      if (!isRight) throw astray(queue, selection.nextOffset)
      at += size
    }
  }
}

/** The status of an offset that no message stands at; null when one does. */
function outsideOf(queue: ConsumeQueue | null, queueOffset: number): GetStatus | null {
  if (queue === null) return GetStatus.NO_MATCHED_LOGIC_QUEUE
  if (queue.maxOffset === 0) return GetStatus.NO_MESSAGE_IN_QUEUE
  if (queueOffset < queue.minOffset) return GetStatus.OFFSET_TOO_SMALL
  if (queueOffset === queue.maxOffset) return GetStatus.OFFSET_OVERFLOW_ONE
  return queueOffset > queue.maxOffset ? GetStatus.OFFSET_OVERFLOW_BADLY : null
}

function emptyResult(
  queue: ConsumeQueue | null,
  status: GetStatus,
  queueOffset: number,
): GetResult {
  const minOffset = queue?.minOffset ?? 0
  const maxOffset = queue?.maxOffset ?? 0
  let nextBeginOffset = 0
  if (status === GetStatus.OFFSET_TOO_SMALL) nextBeginOffset = minOffset
  else if (status === GetStatus.OFFSET_OVERFLOW_ONE) nextBeginOffset = queueOffset
  else if (status === GetStatus.OFFSET_OVERFLOW_BADLY) nextBeginOffset = maxOffset
  const body = Buffer.alloc(0)
  return {
    status,
    nextBeginOffset,
    minOffset,
    maxOffset,
    records: [],
    body,
    bytes: 0,
    lastStoreTimestamp: 0,
  }
}

function resultOf(queue: ConsumeQueue, selection: Selection, body: Buffer): GetResult {
  const records: Buffer[] = []
  let at = 0
  for (const size of selection.sizes) {
    records.push(body.subarray(at, at + size))
    at += size
  }
  const last = records.at(-1)
  return {
    status: selection.status,
    nextBeginOffset: selection.nextOffset,
    minOffset: queue.minOffset,
    maxOffset: queue.maxOffset,
    records,
    body,
    bytes: body.length,
    lastStoreTimestamp: last === undefined ? 0 : storeTimestampOf(last),
  }
}

function storeTimestampOf(record: Buffer): number {
  const isBornHostV6 = (record.readInt32BE(36) & 0x10) !== 0
  return readInt64(record, isBornHostV6 ? 68 : 56)
}

function astray(queue: ConsumeQueue, queueOffset: number): StoreError {
  return new StoreError(
    'derivedCorrupt',
    `${queue.pathAt(queueOffset)}: the unit near queue offset ${queueOffset} does not point at its record`,
  )
}
