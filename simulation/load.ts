/** What clients do to a simulated broker group in a run, and whether it was answered as it has to be. */
import type { Member } from './member.ts'

export interface Load {
  readonly counts: Readonly<Record<string, number>>
  /** All operations are over. */
  readonly isDone: boolean
  start(): void
  /** Sends one message, for the time after the faults. */
  probe(member: Member, key: string, done: (isAcknowledged: boolean) => void): void
  /** What has to come yet of that which was begun; null when all has. */
  missing(): string | null
  /** After everything. */
  checkEnd(): void
  checkTable(valueOf: (name: string) => string | null): void
}
