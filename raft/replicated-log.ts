/** What Raft's driver needs of the store; `store/` and `broker/` implement it. */
import type { Configuration, Member } from './messages.ts'
import type { LogView } from './node.ts'

export interface ReplicatedLog extends LogView {
  /** At least this much was committed when the member was stopped. */
  readonly knownCommitOffset: number
  /** The records of a range as they lie in the log (the unused end of a segment as its blank record's 8 bytes); at once, and in `space` if it takes them, when they are in memory. */
  readRecords(fromOffset: number, toOffset: number, space: Buffer | null): Buffer | Promise<Buffer>
  /** CRC-32 of what `readRecords` gives for a range, if it is known from when the records were encoded; null otherwise. */
  rangeChecksum(fromOffset: number, toOffset: number, size: number): number | null
  /** Appends this leader's first record; `RaftDriver.logGrown` follows. False: the record was refused, and nothing has changed. */
  appendTermStart(term: number): boolean
  appendConfiguration(members: readonly Member[]): boolean
  /**
   * Appends a leader's records from `fromOffset` on; the first of them starts at `recordsOffset`. They are checked: all at once by
   * `checksum`, the leader's `rangeChecksum`, or one by one. Returns the configurations among them. Throws when one is damaged, or what the
   * disk says when it has no room; nothing is appended then.
   * `RaftDriver.logPersisted` follows once they are persistent.
   */
  appendRecords(
    records: Buffer,
    recordsOffset: number,
    fromOffset: number,
    checksum: number | null,
  ): readonly Configuration[]
  /** Durably cuts the log, and everything that is derived from it, to end at a record boundary. */
  truncateTo(offset: number): void
  /** Everything below is committed: readable, and acknowledged to who waits. */
  commitTo(offset: number): void
  /** Durably empties the log, to go on at `startOffset`, where a segment starts. */
  restartAt(startOffset: number): void
}

/** State of the group that lies before the start of the log. */
export interface Tables {
  save(): unknown
  /** Puts what a leader's `save` gave in the place of everything, durably, before it returns. */
  install(tables: unknown): void
}
