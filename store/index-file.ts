/**
 * One hash index from keys to physical offsets (protocol §19.3).
 *
 *   header 40: begin and end store time, begin and end physical offset (8 each), used slots 4, entry count 4 (starts at 1)
 *   slots × 4: number of the newest entry with this hash · entries × 20: key hash 4, physical offset 8, seconds since begin 4, previous 4
 *
 * The file that takes entries keeps its slots in memory and writes them when it is complete or the store closes: a key costs no
 * system call, and after a crash the slots are rebuilt from the entries. Entries come in batches: the slots are 20 MB in random order,
 * and the processor waits for several of them at once only when nothing else lies between.
 */
import assert from 'node:assert/strict'
import { isSafeInt64, readInt32, readInt64, writeInt32, writeInt64 } from '../common/bytes.ts'
import type { Disk, DiskFile } from '../common/ports.ts'

const HEADER_SIZE = 40
const SLOT_SIZE = 4
const ENTRY_SIZE = 20

/** A chain longer than this is a damaged one, or a key so common that older hits do not matter. */
const MAX_CHAIN_LENGTH = 100_000

/** 20 MB in one call would hold up the event loop. */
const SLOT_BYTES_PER_TURN = 1024 * 1024

/** Seconds since the file's begin are an int32. */
const MAX_SECONDS = 0x7fffffff

/** Entries to be added, in the order of the log. */
export interface IndexBatch {
  readonly keyHashes: Int32Array
  readonly physicalOffsets: Float64Array
  readonly storeTimestamps: Float64Array
}

export interface IndexHeader {
  beginTimestamp: number
  endTimestamp: number
  beginPhysicalOffset: number
  endPhysicalOffset: number
  usedSlots: number
  /** Number of the next entry. */
  entryCount: number
}

export interface IndexQuery {
  readonly keyHash: number
  readonly beginTimestamp: number
  readonly endTimestamp: number
}

export class IndexFile {
  readonly path: string
  readonly header: IndexHeader
  readonly #disk: Disk
  readonly #slotCount: number
  readonly #maxEntries: number
  #file: DiskFile | null = null
  /** Slots of the file that takes entries; null for a closed one, whose slots are read from disk. */
  #slots: Buffer | null = null
  /** Entries not written yet, the first of which has the number `#pendingStart`. */
  #pending: Buffer = Buffer.alloc(0)
  #pendingStart = 1

  constructor(options: {
    readonly disk: Disk
    readonly path: string
    readonly slotCount: number
    readonly maxEntries: number
  }) {
    this.path = options.path
    this.#disk = options.disk
    this.#slotCount = options.slotCount
    this.#maxEntries = options.maxEntries
    this.header = emptyHeader()
  }

  get size(): number {
    return HEADER_SIZE + this.#slotCount * SLOT_SIZE + this.#maxEntries * ENTRY_SIZE
  }

  get isFull(): boolean {
    return this.header.entryCount >= this.#maxEntries
  }

  get isWritable(): boolean {
    return this.#slots !== null
  }

  /** Creates the file, empty and writable. */
  create(): void {
    this.#handle().truncateSync(this.size)
    this.#slots = Buffer.alloc(this.#slotCount * SLOT_SIZE)
  }

  /** Reads the header; false when the file is no index file of these dimensions. */
  load(): boolean {
    if ((this.#disk.statusSync(this.path)?.size ?? 0) !== this.size) return false
    const bytes = Buffer.alloc(HEADER_SIZE)
    this.#handle().readSync(bytes, 0, HEADER_SIZE, 0)
    for (let at = 0; at < 32; at += 8) if (!isSafeInt64(bytes, at)) return false
    this.header.beginTimestamp = readInt64(bytes, 0)
    this.header.endTimestamp = readInt64(bytes, 8)
    this.header.beginPhysicalOffset = readInt64(bytes, 16)
    this.header.endPhysicalOffset = readInt64(bytes, 24)
    this.header.usedSlots = bytes.readInt32BE(32)
    this.header.entryCount = Math.max(1, bytes.readInt32BE(36))
    this.#pendingStart = this.header.entryCount
    return this.header.entryCount <= this.#maxEntries
  }

  /**
   * Makes a loaded file writable again as the clean stop left it.
   */
  resume(): void {
    this.#slots = Buffer.alloc(this.#slotCount * SLOT_SIZE)
    this.#handle().readSync(this.#slots, 0, this.#slots.length, HEADER_SIZE)
  }

  /**
   * Makes a loaded file writable again, with only the entries of records below `physicalEnd`: slots and header are rebuilt from the
   * entries, which stand in the order of the log.
   */
  rebuild(physicalEnd: number): void {
    this.#slots = Buffer.alloc(this.#slotCount * SLOT_SIZE)
    this.header.usedSlots = 0
    this.header.endTimestamp = this.header.beginTimestamp
    this.header.endPhysicalOffset = this.header.beginPhysicalOffset
    const block = Buffer.alloc(ENTRY_SIZE * 4096)
    let number = 1
    for (;;) {
      const size = this.#handle().readSync(block, 0, block.length, this.#entryPosition(number))
      const count = Math.min(Math.floor(size / ENTRY_SIZE), this.#maxEntries - number)
      const taken = this.#takeEntries(block, count, number, physicalEnd)
      number += taken
      if (taken < count || count <= 0) break
    }
    this.header.entryCount = number
    this.#pendingStart = number
    this.#pending = Buffer.alloc(0)
  }

  /**
   * Adds entries `[start, end)` of a batch, as many as find room; returns where the rest begins. The file is writable and not full.
   */
  addEntries(batch: IndexBatch, start: number, end: number): number {
    const slots = this.#slots
    assert(slots !== null && !this.isFull)
    const { header } = this
    const taken = Math.min(end - start, this.#maxEntries - header.entryCount)
    if (header.entryCount === 1) {
      header.beginTimestamp = batch.storeTimestamps[start] ?? 0
      header.beginPhysicalOffset = batch.physicalOffsets[start] ?? 0
    }
    this.#reservePending(taken)
    let at = (header.entryCount - this.#pendingStart) * ENTRY_SIZE
    for (let index = start; index < start + taken; index++) {
      const keyHash = batch.keyHashes[index] ?? 0
      const slotAt = (keyHash % this.#slotCount) * SLOT_SIZE
      const previous = readInt32(slots, slotAt)
      writeInt32(slots, slotAt, header.entryCount++)
      if (previous === 0) header.usedSlots++
      writeInt32(this.#pending, at, keyHash)
      writeInt32(this.#pending, at + 16, previous)
      at += ENTRY_SIZE
    }
    this.#fillEntries(batch, start, taken)
    header.endTimestamp = batch.storeTimestamps[start + taken - 1] ?? header.endTimestamp
    header.endPhysicalOffset = batch.physicalOffsets[start + taken - 1] ?? header.endPhysicalOffset
    return start + taken
  }

  /** What of the newest `taken` entries needs no slot. */
  #fillEntries(batch: IndexBatch, start: number, taken: number): void {
    const { beginTimestamp, entryCount } = this.header
    let at = (entryCount - taken - this.#pendingStart) * ENTRY_SIZE
    for (let index = start; index < start + taken; index++) {
      writeInt64(this.#pending, at + 4, batch.physicalOffsets[index] ?? 0)
      const elapsedMs = (batch.storeTimestamps[index] ?? 0) - beginTimestamp
      writeInt32(
        this.#pending,
        at + 12,
        Math.min(Math.max(Math.floor(elapsedMs / 1000), 0), MAX_SECONDS),
      )
      at += ENTRY_SIZE
    }
  }

  /** True when the file may hold entries of that time. */
  overlaps(beginTimestamp: number, endTimestamp: number): boolean {
    const { header } = this
    return (
      header.entryCount > 1 &&
      beginTimestamp <= header.endTimestamp &&
      endTimestamp >= header.beginTimestamp
    )
  }

  /** Calls `found` with physical offsets whose key has this hash, newest first, until it returns false. */
  query(query: IndexQuery, found: (physicalOffset: number) => boolean): void {
    const slotAt = (query.keyHash % this.#slotCount) * SLOT_SIZE
    const entry = Buffer.allocUnsafe(ENTRY_SIZE)
    let number = this.#slotAt(slotAt)
    for (let steps = 0; steps < MAX_CHAIN_LENGTH; steps++) {
      if (number <= 0 || number >= this.header.entryCount) return
      if (!this.#readEntry(number, entry) || !isSafeInt64(entry, 4)) return
      const time = this.header.beginTimestamp + entry.readInt32BE(12) * 1000
      // The entry knows only the second.
      if (time + 999 < query.beginTimestamp) return
      if (entry.readInt32BE(0) === query.keyHash && time <= query.endTimestamp) {
        if (!found(readInt64(entry, 4))) return
      }
      const previous = entry.readInt32BE(16)
      // Entries point only to older ones; anything else is a damaged chain, which must not become a loop.
      if (previous >= number) return
      number = previous
    }
  }

  /** Hands new entries and the header to the kernel. */
  writePending(): void {
    if (this.#slots === null) return
    const count = this.header.entryCount - this.#pendingStart
    const file = this.#handle()
    if (count > 0) {
      file.writeSync(this.#pending, 0, count * ENTRY_SIZE, this.#entryPosition(this.#pendingStart))
      this.#pendingStart = this.header.entryCount
    }
    file.writeSync(this.#encodeHeader(), 0, HEADER_SIZE, 0)
  }

  /** Writes everything, slots included, as a reader of the file alone needs it, in pieces between turns of the event loop. */
  async writeAll(yieldTurn: () => Promise<void>): Promise<void> {
    this.writePending()
    const slots = this.#slots
    if (slots === null) return
    for (let at = 0; at < slots.length; at += SLOT_BYTES_PER_TURN) {
      const length = Math.min(SLOT_BYTES_PER_TURN, slots.length - at)
      this.#handle().writeSync(slots, at, length, HEADER_SIZE + at)
      await yieldTurn()
    }
  }

  /** Frees the slots of a file that is complete and on disk; what is asked of it later is read from there. */
  seal(): void {
    assert(this.#pendingStart === this.header.entryCount)
    this.#slots = null
    this.#pending = Buffer.alloc(0)
  }

  flush(): Promise<void> {
    return this.#handle().datasync()
  }

  remove(): void {
    this.close()
    this.#disk.removeSync(this.path)
  }

  close(): void {
    this.#file?.closeSync()
    this.#file = null
  }

  #takeEntries(block: Buffer, count: number, firstNumber: number, physicalEnd: number): number {
    const slots = this.#slots
    assert(slots !== null)
    for (let index = 0; index < count; index++) {
      const at = index * ENTRY_SIZE
      if (!isSafeInt64(block, at + 4)) return index
      const physicalOffset = readInt64(block, at + 4)
      const isOrdered =
        physicalOffset >= this.header.endPhysicalOffset && physicalOffset < physicalEnd
      const keyHash = block.readInt32BE(at)
      const isWritten = firstNumber + index < this.#pendingStart
      if (!isWritten || !isOrdered || keyHash < 0) return index
      const slotAt = (keyHash % this.#slotCount) * SLOT_SIZE
      if (slots.readInt32BE(slotAt) === 0) this.header.usedSlots++
      slots.writeInt32BE(firstNumber + index, slotAt)
      this.header.endPhysicalOffset = physicalOffset
      this.header.endTimestamp =
        this.header.beginTimestamp + block.readInt32BE(at + 12) * 1000 + 999
    }
    return count
  }

  #slotAt(slotAt: number): number {
    if (this.#slots !== null) return this.#slots.readInt32BE(slotAt)
    const bytes = Buffer.alloc(SLOT_SIZE)
    this.#handle().readSync(bytes, 0, SLOT_SIZE, HEADER_SIZE + slotAt)
    return bytes.readInt32BE(0)
  }

  #readEntry(number: number, target: Buffer): boolean {
    if (number >= this.#pendingStart) {
      const at = (number - this.#pendingStart) * ENTRY_SIZE
      this.#pending.copy(target, 0, at, at + ENTRY_SIZE)
      return true
    }
    return (
      this.#handle().readSync(target, 0, ENTRY_SIZE, this.#entryPosition(number)) === ENTRY_SIZE
    )
  }

  #entryPosition(number: number): number {
    return HEADER_SIZE + this.#slotCount * SLOT_SIZE + number * ENTRY_SIZE
  }

  /** Has room for so many entries behind those that wait. */
  #reservePending(count: number): void {
    const used = (this.header.entryCount - this.#pendingStart) * ENTRY_SIZE
    const needed = used + count * ENTRY_SIZE
    if (needed <= this.#pending.length) return
    const larger = Buffer.alloc(Math.max(needed, this.#pending.length * 2))
    this.#pending.copy(larger, 0, 0, used)
    this.#pending = larger
  }

  #encodeHeader(): Buffer {
    const bytes = Buffer.alloc(HEADER_SIZE)
    writeInt64(bytes, 0, this.header.beginTimestamp)
    writeInt64(bytes, 8, this.header.endTimestamp)
    writeInt64(bytes, 16, this.header.beginPhysicalOffset)
    writeInt64(bytes, 24, this.header.endPhysicalOffset)
    bytes.writeInt32BE(this.header.usedSlots, 32)
    bytes.writeInt32BE(this.header.entryCount, 36)
    return bytes
  }

  #handle(): DiskFile {
    this.#file ??= this.#disk.openSync(this.path, 'write')
    return this.#file
  }
}

function emptyHeader(): IndexHeader {
  return {
    beginTimestamp: 0,
    endTimestamp: 0,
    beginPhysicalOffset: 0,
    endPhysicalOffset: 0,
    usedSlots: 0,
    entryCount: 1,
  }
}
