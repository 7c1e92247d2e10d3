/**
 * Work that only the leader of a broker group does: delivering delayed messages, checking back on transactions, reviving what was
 * popped and not acknowledged.
 */
export interface LeaderService {
  /** This member leads, and knows all that was committed before. Each call is followed by one of `stopLeading` before the next. */
  startLeading(): void
  /** Appends nothing and answers nothing any more; resolves when nothing of the service is under way. */
  stopLeading(): Promise<void>
}
