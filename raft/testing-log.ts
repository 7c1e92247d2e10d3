/** A replicated log in memory whose records are `size int32 | kind uint8 | text`; for tests only. */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import type { Configuration, Member } from './messages.ts'
import type { ReplicatedLog, Tables } from './replicated-log.ts'
import { memberOf } from './terms-file.ts'

const HEADER_SIZE = 5
const Kind = { text: 0, termStart: 1, configuration: 2 } as const

export class MemoryLog implements ReplicatedLog, Tables {
  bytes: Buffer = Buffer.alloc(0)
  startOffset = 0
  readonly hasRoom = true
  knownCommitOffset = 0
  /** Told after each append, as the store tells its driver. */
  onGrown: (endOffset: number) => void = () => undefined
  onPersisted: (offset: number) => void = () => undefined
  /** What the tables hold, for installs. */
  table: unknown = null

  get endOffset(): number {
    return this.startOffset + this.bytes.length
  }

  get texts(): readonly string[] {
    return this.#walk(this.startOffset, this.endOffset)
      .filter(({ kind }) => kind === Kind.text)
      .map(({ text }) => text)
  }

  append(text: string): void {
    this.#append(Kind.text, text)
  }

  batchEnd(offset: number, maxBytes: number): number {
    let end = offset
    for (const record of this.#walk(offset, this.endOffset)) {
      if (end > offset && record.end > offset + maxBytes) break
      end = record.end
    }
    return end
  }

  readRecords(fromOffset: number, toOffset: number): Buffer | Promise<Buffer> {
    const records = Buffer.from(
      this.bytes.subarray(fromOffset - this.startOffset, toOffset - this.startOffset),
    )
    // Some reads take time, as from a cold disk.
    return fromOffset % 3 === 0 ? Promise.resolve(records) : records
  }

  /** Known of some ranges only, as in a log that grows. */
  rangeChecksum(fromOffset: number, toOffset: number): number | null {
    const { startOffset, bytes } = this
    if (fromOffset % 2 === 0) return null
    return crc32(bytes.subarray(fromOffset - startOffset, toOffset - startOffset)) | 0
  }

  appendTermStart(term: number): boolean {
    this.#append(Kind.termStart, String(term))
    return true
  }

  appendConfiguration(members: readonly Member[]): boolean {
    this.#append(Kind.configuration, JSON.stringify(members))
    return true
  }

  appendRecords(
    records: Buffer,
    recordsOffset: number,
    fromOffset: number,
    checksum: number | null,
  ): readonly Configuration[] {
    assert.equal(fromOffset, this.endOffset)
    if (checksum !== null) assert.equal(checksum, crc32(records) | 0)
    this.bytes = Buffer.concat([this.bytes, records.subarray(fromOffset - recordsOffset)])
    const configurations = this.#walk(fromOffset, this.endOffset)
      .filter(({ kind }) => kind === Kind.configuration)
      .map(({ start, text }) => ({ offset: start, members: membersOf(text) }))
    queueMicrotask(() => this.onPersisted(this.endOffset))
    return configurations
  }

  truncateTo(offset: number): void {
    assert(offset >= this.knownCommitOffset)
    this.bytes = this.bytes.subarray(0, offset - this.startOffset)
  }

  commitTo(offset: number): void {
    assert(offset <= this.endOffset)
    this.knownCommitOffset = offset
  }

  restartAt(startOffset: number): void {
    this.bytes = Buffer.alloc(0)
    this.startOffset = startOffset
    this.knownCommitOffset = startOffset
  }

  /** Retention: what lies before a record boundary goes. */
  dropBelow(offset: number): void {
    this.bytes = this.bytes.subarray(offset - this.startOffset)
    this.startOffset = offset
  }

  save(): unknown {
    return this.table
  }

  install(tables: unknown): void {
    this.table = tables
  }

  #append(kind: number, text: string): void {
    const record = Buffer.alloc(HEADER_SIZE + Buffer.byteLength(text))
    record.writeInt32BE(record.length, 0)
    record.writeUInt8(kind, 4)
    record.write(text, HEADER_SIZE)
    this.bytes = Buffer.concat([this.bytes, record])
    this.onGrown(this.endOffset)
    this.onPersisted(this.endOffset)
  }

  #walk(
    from: number,
    to: number,
  ): readonly {
    readonly start: number
    readonly end: number
    readonly kind: number
    readonly text: string
  }[] {
    const records = []
    for (let start = from; start < to;) {
      const at = start - this.startOffset
      const size = this.bytes.readInt32BE(at)
      const kind = this.bytes.readUInt8(at + 4)
      const text = this.bytes.toString('utf8', at + HEADER_SIZE, at + size)
      records.push({ start, end: start + size, kind, text })
      start += size
    }
    return records
  }
}

function membersOf(text: string): readonly Member[] {
  const json: unknown = JSON.parse(text)
  assert(Array.isArray(json))
  return json.map((member: unknown) => memberOf(member))
}
