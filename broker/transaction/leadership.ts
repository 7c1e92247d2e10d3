/** A time of leading, as transactions know it: what was begun in one goes on in no other. */
import type { Timer } from '../../common/ports.ts'
import type { PendingDecisions } from './decisions.ts'
import type { OpenTransaction, OpenTransactions } from './open-transactions.ts'

export interface Leadership {
  readonly table: OpenTransactions
  readonly pending: PendingDecisions
  /** The end of the log when it began: what a predecessor has committed lies before. */
  readonly beganAt: number
  isOver: boolean
  isBuilt: boolean
  timer: Timer | null
  reading: Promise<void> | null
}

/** The transaction is open no more, and the log will say so. */
export function decide(
  { table, pending }: Leadership,
  transaction: OpenTransaction,
  now: number,
): void {
  table.end(transaction)
  pending.add(transaction.queueOffset, now)
}

/** One after the other for all that is done with one transaction. */
export async function exclusively<Result>(
  transaction: OpenTransaction,
  act: () => Promise<Result>,
): Promise<Result> {
  const acting = act()
  const busy = acting.then(
    () => undefined,
    () => undefined,
  )
  transaction.busy = busy
  try {
    return await acting
  } finally {
    if (transaction.busy === busy) transaction.busy = null
  }
}
