/** What the store knows of a half message: the message itself, and whether its transaction has been committed. */
import { decodeRecord } from '../../common/message-codec.ts'
import { MessageSysFlag } from '../../common/message.ts'
import { PropertyName } from '../../common/properties.ts'
import { HALF_TOPIC } from '../names.ts'
import { HALF_QUEUE_ID, readHalfMessage } from './half-message.ts'
import type { Store } from '../../store/types.ts'
import type { HalfMessage } from './half-message.ts'
import type { OpenTransaction } from './open-transactions.ts'

/** Where a half message lies. */
export interface HalfPlace {
  readonly queueOffset: number
  readonly physicalOffset: number
}

/** `unknown`: a message that may be that of the transaction cannot be read. */
export type CommitState = 'committed' | 'notCommitted' | 'unknown'

type HalfStore = Pick<Store, 'messageAt' | 'physicalOffsetAt' | 'status' | 'noteDamaged'>

/** The half message at a place that somebody names; null when it is none, or gone. */
export function readHalfAt(
  store: HalfStore,
  { queueOffset, physicalOffset }: HalfPlace,
): HalfMessage | null {
  const message = store.messageAt(physicalOffset)
  if (message !== null) return readHalfMessage(message)
  const isKept = physicalOffset >= store.status().minPhysicalOffset
  if (isKept && store.physicalOffsetAt(HALF_TOPIC, HALF_QUEUE_ID, queueOffset) === physicalOffset)
    store.noteDamaged(`offset ${queueOffset} of ${HALF_TOPIC}: no record`)
  return null
}

/**
 * Whether the message of a transaction is in its topic already, by its unique id. Among damaged records there is no telling: a member of
 * a group of several fails then, since the others have them whole.
 */
export function commitStateOf(
  store: Pick<Store, 'queryByKey'> & HalfStore,
  transaction: OpenTransaction,
  half: HalfMessage,
): CommitState {
  const key = half.properties.get(PropertyName.UNIQ_KEY)
  if (key === undefined) return 'notCommitted'
  const { records, unreadable } = store.queryByKey({
    topic: half.realTopic,
    key,
    maxMessages: Number.MAX_SAFE_INTEGER,
    beginTimestamp: 0,
    endTimestamp: Number.MAX_SAFE_INTEGER,
  })
  let isAnyUnknown = unreadable > 0
  for (const record of records) {
    const { sysFlag, preparedTransactionOffset } = decodeRecord(record)
    const kind = sysFlag & MessageSysFlag.TRANSACTION_MASK
    if (kind !== MessageSysFlag.TRANSACTION_COMMIT) continue
    if (preparedTransactionOffset === transaction.physicalOffset) return 'committed'
    const prepared = store.messageAt(preparedTransactionOffset)
    const isKept = preparedTransactionOffset >= store.status().minPhysicalOffset
    if (prepared === null) isAnyUnknown ||= isKept
    else if (readHalfMessage(prepared)?.transaction === transaction.id) return 'committed'
  }
  if (!isAnyUnknown) return 'notCommitted'
  store.noteDamaged(`a message of ${half.realTopic} that may have the unique id ${key}: no record`)
  return 'unknown'
}
