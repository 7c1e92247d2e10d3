/** One kind of messages in a run of whole brokers, and its rules. */
import type { BrokerClient } from './broker-client.ts'

export interface Feature {
  /** All its messages end here, each once at most. */
  readonly topic: string
  readonly counts: Readonly<Record<string, number>>
  /** A client comes; what it does besides its operations begins. */
  join?(client: BrokerClient): void
  /** One operation of a client; its random decisions come first. */
  operate(client: BrokerClient): Promise<void>
  /** A message has been committed in the topic; returns what is wrong with that. */
  committed(key: string): string | null
  /** A message of the topic of no feature has been committed, as those are in which brokers keep what waits. */
  other?(key: string, topic: string, reconsumeTimes: number): void
  /** What has to come yet of that which was begun; null when all has. */
  missing(): string | null
  /** After everything. */
  checkEnd(): void
}
