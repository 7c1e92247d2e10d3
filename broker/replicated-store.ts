/** The store as the replicated log of its broker group (`raft/replicated-log.ts`). */
import assert from 'node:assert/strict'
import { RecordReader } from '../common/message-codec.ts'
import type { Configuration, Member } from '../raft/messages.ts'
import type { ReplicatedLog } from '../raft/replicated-log.ts'
import { memberOf } from '../raft/terms-file.ts'
import { controlRecordsIn } from '../store/control-record.ts'
import { StoreError } from '../store/errors.ts'
import type { MessageStore } from '../store/message-store.ts'

type Control =
  | { readonly type: 'termStart'; readonly term: number }
  | { readonly type: 'members'; readonly members: readonly Member[] }

export class ReplicatedStore implements ReplicatedLog {
  readonly #store: MessageStore
  readonly #onRefused: (problem: string) => void

  /** `onRefused`: a record that Raft asked for cannot be written. */
  constructor(store: MessageStore, onRefused: (problem: string) => void) {
    this.#store = store
    this.#onRefused = onRefused
  }

  get startOffset(): number {
    return this.#store.startOffset
  }

  get endOffset(): number {
    return this.#store.endOffset
  }

  get knownCommitOffset(): number {
    return this.#store.commitOffset
  }

  get hasRoom(): boolean {
    return this.#store.hasRoom
  }

  batchEnd(offset: number, maxBytes: number): number {
    return this.#store.batchEnd(offset, maxBytes)
  }

  readRecords(
    fromOffset: number,
    toOffset: number,
    space: Buffer | null,
  ): Buffer | Promise<Buffer> {
    return this.#store.readRecords(fromOffset, toOffset, space)
  }

  rangeChecksum(fromOffset: number, toOffset: number, size: number): number | null {
    return this.#store.rangeChecksum(fromOffset, toOffset, size)
  }

  appendTermStart(term: number): boolean {
    return this.#append({ type: 'termStart', term })
  }

  appendConfiguration(members: readonly Member[]): boolean {
    return this.#append({ type: 'members', members })
  }

  appendRecords(
    records: Buffer,
    recordsOffset: number,
    fromOffset: number,
    checksum: number | null,
  ): readonly Configuration[] {
    assert.equal(fromOffset, this.endOffset)
    const skipped = bytesUpTo(records, recordsOffset, fromOffset)
    const isWhole = skipped === 0
    if (!this.#store.appendBytes(records.subarray(skipped), isWhole ? checksum : null)) {
      throw new StoreError('corrupt', `records of the leader at ${fromOffset} are damaged`)
    }
    return controlRecordsIn(records, fromOffset).flatMap(({ physicalOffset, body }) => {
      const members = membersIn(body)
      return members === null ? [] : [{ offset: physicalOffset, members }]
    })
  }

  truncateTo(offset: number): void {
    this.#store.truncateTo(offset)
  }

  commitTo(offset: number): void {
    this.#store.commitTo(offset)
  }

  restartAt(startOffset: number): void {
    this.#store.restartAt(startOffset)
  }

  #append(control: Control): boolean {
    return this.#store.appendControl(Buffer.from(JSON.stringify(control)), this.#onRefused)
  }
}

/** How many bytes the records before `fromOffset` take. */
function bytesUpTo(records: Buffer, recordsOffset: number, fromOffset: number): number {
  if (fromOffset === recordsOffset) return 0
  const reader = new RecordReader()
  let at = 0
  for (let offset = recordsOffset; offset < fromOffset; offset += reader.size) {
    const problem = reader.read(records, at, records.length, false)
    assert.equal(problem, null)
    at += reader.type === 'blank' ? 8 : reader.size
  }
  return at
}

/** Null when the record is about something else. */
function membersIn(body: Buffer): readonly Member[] | null {
  // Records of tables are many, and large.
  if (!body.subarray(0, MEMBERS_START.length).equals(MEMBERS_START)) return null
  const control: unknown = JSON.parse(body.toString('utf8'))
  if (typeof control !== 'object' || control === null || !('members' in control)) return null
  return Array.isArray(control.members) ? control.members.map((member) => memberOf(member)) : null
}

const MEMBERS_START = Buffer.from('{"type":"members"')
