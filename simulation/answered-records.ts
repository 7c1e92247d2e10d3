/** The records of an answer, as a consumer takes them: one whose checksum is wrong is none. */
import { MessageCodecError, iterateRecords } from '../common/message-codec.ts'
import type { StoredMessage } from '../common/message.ts'
import type { WorkloadOptions } from './workload.ts'

/** Null when a record is damaged: then whoever reads it says so, and the disk that it comes from is replaced. */
export function recordsIn(
  body: Buffer,
  { onDamage }: Pick<WorkloadOptions, 'onDamage'>,
): readonly StoredMessage[] | null {
  try {
    return [...iterateRecords(body)]
  } catch (error) {
    if (!(error instanceof MessageCodecError)) throw error
    onDamage()
    return null
  }
}
