import { GantryError, messageOf } from '../common/errors.ts'

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
  /** The disk has not answered for so long that the process should end: what it may still do to the files is unknown. */
  | 'diskStalled'

/** What keeps a store from opening or going on. */
export class StoreError extends GantryError<StoreErrorCode> {}

/**
 * Settles as the sync of a file or folder does, but that its failure is final, whatever code it has (reliability D1): the kernel may
 * have dropped what was to be on disk.
 */
export async function finalSync(path: string, sync: Promise<void>): Promise<void> {
  try {
    await sync
  } catch (error) {
    throw new StoreError('ioFailed', `${path} cannot be synced: ${messageOf(error)}`, error)
  }
}
