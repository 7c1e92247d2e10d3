/**
 * Blocks of the CommitLog's files, read off the event loop and shared by all readers: what is no longer in the log's buffer comes through here.
 *
 * Queues lie interleaved in the log, so that consumers which go through it together need the same blocks at about the same time: each is
 * read once, in order, and far ahead enough that the disk does not wait. Memory is bounded by the number of blocks; the block that was
 * used longest ago makes room.
 *
 * Whether a block comes from the page cache or from a cold disk makes no difference here, so nobody has to guess it: a block costs one
 * trip through the thread pool, 50-100 us for about a thousand messages.
 */
import assert from 'node:assert/strict'

/** A reader that has come to another block within this time is one to be waited for. */
const ACTIVE_MS = 5

interface Block {
  readonly start: number
  /** Null until the read begins. */
  bytes: Buffer | null
  /** What is valid ends here; `start` while nothing is. */
  end: number
  lastUse: number
  /** By the clock; only a change from another block to this one counts. */
  usedAt: number
  isLoading: boolean
  /** Some record was taken out of it. */
  isUsed: boolean
  /** The blocks behind it have been asked for. */
  isFollowed: boolean
  waiters: (() => void)[]
}

export interface BlockCacheOptions {
  readonly segmentSize: number
  readonly blockSize: number
  readonly maxBlocks: number
  /** Reads under way at a time; the rest of the thread pool is for syncs. */
  readonly maxLoading: number
  /** Blocks to be asked for beyond the one that a sequential reader has reached. */
  readonly blocksAhead: number
  /** A reader that is so many blocks ahead of another, active one has none read ahead. */
  readonly farBlocks: number
  /** In milliseconds. */
  readonly now: () => number
  /** Files hold everything below. */
  readonly endOffset: () => number
  /** Reads `length` bytes of one segment; resolves with the number read. */
  readonly read: (target: Buffer, length: number, offset: number) => Promise<number>
}

export class BlockCache {
  readonly #options: BlockCacheOptions
  readonly #blockSize: number
  readonly #blocks = new Map<number, Block>()
  readonly #free: Buffer[] = []
  /** Asked for and not begun, in order. */
  #queue: Block[] = []
  #loading = 0
  #allocated = 0
  #uses = 0
  #usesAtTrim = -1
  /** The block of the last hit. */
  #last: Block | null = null
  /** Set by `find`: the bytes, where the offset lies in them, and where what is valid ends. */
  bytes: Buffer = Buffer.alloc(0)
  at = 0
  end = 0

  constructor(options: BlockCacheOptions) {
    assert(options.maxBlocks > options.maxLoading + options.blocksAhead)
    this.#options = options
    this.#blockSize = Math.min(options.blockSize, options.segmentSize)
  }

  /** Bytes of memory that blocks occupy. */
  get allocatedBytes(): number {
    return this.#allocated * this.#blockSize
  }

  /** Looks an offset up; sets `bytes`, `at` and `end` when it is here. */
  find(offset: number): boolean {
    let block = this.#last
    if (block === null || offset < block.start || offset >= block.end) {
      block = this.#blocks.get(this.#startOf(offset)) ?? null
      if (block === null || offset >= block.end) return false
      this.#last = block
      block.lastUse = ++this.#uses
      block.usedAt = this.#options.now()
      block.isUsed = true
      if (!block.isFollowed) this.#follow(block)
    }
    if (block.bytes === null) return false
    this.bytes = block.bytes
    this.at = offset - block.start
    this.end = block.end - block.start
    return true
  }

  /** True when `find` would succeed. */
  has(offset: number): boolean {
    const block = this.#last
    if (block !== null && offset >= block.start && offset < block.end) return true
    return offset < (this.#blocks.get(this.#startOf(offset))?.end ?? 0)
  }

  isSameBlock(offset: number, other: number): boolean {
    return this.#startOf(offset) === this.#startOf(other)
  }

  /** Asks for the block of an offset that `find` did not find. `done` is called when its read has ended, well or not. */
  load(offset: number, done: (() => void) | null): void {
    const start = this.#startOf(offset)
    const block = this.#blocks.get(start) ?? this.#add(start)
    block.lastUse = ++this.#uses
    if (!block.isLoading) this.#enqueue(block)
    if (done !== null) block.waiters.push(done)
    if (this.#blocks.get(this.#previousStart(start))?.isUsed === true) this.#follow(block)
    this.#begin()
  }

  /** Forgets everything from `offset` on: the log was cut there. Reads under way end in vain. */
  drop(offset: number): void {
    for (const [start, block] of this.#blocks) {
      if (start + this.#blockSize > offset) this.#forget(block)
    }
  }

  /** To be called now and then: gives the memory back when nothing was read since the last call. */
  trim(): void {
    if (this.#uses === this.#usesAtTrim && this.#loading === 0 && this.#queue.length === 0) {
      this.#blocks.clear()
      this.#last = null
      this.#free.length = 0
      this.#allocated = 0
    }
    this.#usesAtTrim = this.#uses
  }

  #startOf(offset: number): number {
    const inSegment = offset % this.#options.segmentSize
    return offset - (inSegment % this.#blockSize)
  }

  #previousStart(start: number): number {
    return this.#startOf(start - 1)
  }

  /** The block's length: the last one of a segment may be shorter. */
  #lengthOf(start: number): number {
    const { segmentSize } = this.#options
    return Math.min(this.#blockSize, segmentSize - (start % segmentSize))
  }

  #add(start: number): Block {
    const block: Block = {
      start,
      bytes: null,
      end: start,
      lastUse: ++this.#uses,
      usedAt: -Infinity,
      isLoading: false,
      isUsed: false,
      isFollowed: false,
      waiters: [],
    }
    this.#blocks.set(start, block)
    return block
  }

  /** A sequential reader has come to this block: asks for those behind it. */
  #follow(block: Block): void {
    if (this.#blocks.get(this.#previousStart(block.start))?.isUsed !== true) return
    if (this.#isFarAhead(block)) return
    block.isFollowed = true
    let start = block.start
    for (let count = 0; count < this.#options.blocksAhead; count++) {
      start += this.#lengthOf(start)
      if (start + this.#lengthOf(start) > this.#options.endOffset()) break
      if (!this.#blocks.has(start)) this.#enqueue(this.#add(start))
    }
    this.#begin()
  }

  /**
   * True when others read far behind, in blocks that lead here without a gap. They shall catch up, since readers that drift apart
   * further than there are blocks cost a read of each block for every one of them.
   */
  #isFarAhead({ start }: Block): boolean {
    const { farBlocks, now } = this.#options
    const since = now() - ACTIVE_MS
    let at = start
    for (let distance = 1; at > 0; distance++) {
      at = this.#previousStart(at)
      const block = this.#blocks.get(at)
      if (block === undefined) return false
      if (distance >= farBlocks && block.usedAt > since) return true
    }
    return false
  }

  #enqueue(block: Block): void {
    block.isLoading = true
    this.#queue.push(block)
  }

  #begin(): void {
    while (this.#loading < this.#options.maxLoading) {
      const block = this.#queue.shift()
      if (block === undefined) return
      if (this.#blocks.get(block.start) === block) this.#read(block)
      else this.#finish(block)
    }
  }

  #read(block: Block): void {
    const { endOffset, read } = this.#options
    const length = Math.min(this.#lengthOf(block.start), endOffset() - block.start)
    if (length <= 0) {
      this.#finish(block)
      return
    }
    const bytes = block.bytes ?? this.#takeBuffer()
    block.bytes = bytes
    this.#loading++
    const ended = (count: number): void => {
      this.#loading--
      block.isLoading = false
      if (this.#blocks.get(block.start) !== block) this.#free.push(bytes)
      else if (count === length) block.end = block.start + length
      else this.#forget(block)
      this.#finish(block)
      this.#begin()
    }
    // Why a read failed is told to the one who then reads directly.
    read(bytes, length, block.start).then(ended, () => ended(-1))
  }

  #finish(block: Block): void {
    block.isLoading = false
    const { waiters } = block
    block.waiters = []
    for (const waiter of waiters) waiter()
  }

  /** Takes the block out. Its buffer is used again, unless a read into it is under way. */
  #forget(block: Block): void {
    if (this.#blocks.get(block.start) === block) this.#blocks.delete(block.start)
    if (this.#last === block) this.#last = null
    block.end = block.start
    if (block.bytes === null || block.isLoading) return
    this.#free.push(block.bytes)
    block.bytes = null
  }

  #takeBuffer(): Buffer {
    const free = this.#free.pop()
    if (free !== undefined) return free
    if (this.#allocated >= this.#options.maxBlocks) {
      const oldest = this.#oldest()
      if (oldest !== null) this.#forget(oldest)
      const freed = this.#free.pop()
      if (freed !== undefined) return freed
    }
    this.#allocated++
    return Buffer.allocUnsafeSlow(this.#blockSize)
  }

  #oldest(): Block | null {
    let oldest: Block | null = null
    for (const block of this.#blocks.values()) {
      if (block.isLoading || block.bytes === null) continue
      if (oldest === null || block.lastUse < oldest.lastUse) oldest = block
    }
    return oldest
  }
}
