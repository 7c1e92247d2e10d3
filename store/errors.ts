import { GantryError } from '../common/errors.ts'

export type StoreErrorCode =
  /** Another process uses the folder. */
  | 'locked'
  /** The folder holds something that is no RocketMQ store. */
  | 'foreign'
  /** The folder cannot be created or written. */
  | 'unwritable'
  /** A file contradicts itself or another one; the message names file and offset. */
  | 'corrupt'
  /** A ConsumeQueue or index file does not fit the CommitLog; the next start builds them anew. */
  | 'derivedCorrupt'
  /** A write or sync failed: nothing more is acknowledged until a restart (reliability D1). */
  | 'ioFailed'

/** What keeps a store from opening or going on. */
export class StoreError extends GantryError<StoreErrorCode> {}
