/** What a leaving group still holds. Pure. */
import type { DrainFacts } from '../common/admin-contract.ts'

export interface DrainProgress {
  /** Zero: the group may go. */
  readonly remaining: number
  /** Null: nothing moves, so it cannot be said. */
  readonly etaSeconds: number | null
  /** At most twenty sentences, the largest lag first. */
  readonly blockedBy: readonly string[]
}

export function drainProgress(facts: DrainFacts, unconsumed: 'Wait' | 'Ignore'): DrainProgress {
  const lags = facts.lags
    .filter(
      ({ consumerGroup, messages }) =>
        messages > 0 && (consumerGroup !== null || unconsumed === 'Wait'),
    )
    .toSorted((left, right) => right.messages - left.messages)
  const others = [
    { count: facts.inFlightSends, what: 'sends in flight' },
    { count: facts.popInFlight, what: 'POP messages in flight' },
    { count: facts.delayedMessages, what: 'delayed messages' },
    { count: facts.halfMessages, what: 'unresolved transactions' },
  ].filter(({ count }) => count > 0)
  const behind = lags.reduce((sum, { messages }) => sum + messages, 0)
  const remaining = behind + others.reduce((sum, { count }) => sum + count, 0)
  const blockedBy = [
    ...lags.map(({ topic, consumerGroup, messages, queueId }) =>
      consumerGroup === null
        ? `topic ${topic}: ${messages} messages that no consumer group subscribes to`
        : `topic ${topic}, consumer group ${consumerGroup}: ${messages} behind, most in queue ${queueId}`,
    ),
    ...others.map(({ count, what }) => `${count} ${what}`),
  ]
  const speed = facts.consumedPerMinute
  const etaSeconds = remaining === 0 ? 0 : speed > 0 ? Math.ceil((remaining * 60) / speed) : null
  return { remaining, etaSeconds, blockedBy: blockedBy.slice(0, 20) }
}
