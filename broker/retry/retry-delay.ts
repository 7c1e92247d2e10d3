/** How long a message that could not be consumed waits before its next attempt. */
import type { GroupRetryPolicy } from '../../remoting/bodies/subscription-group-config.ts'

/** The first attempt again waits as long as this level says, each further one a level longer (protocol §7.3). */
const FIRST_LEVEL = 3
/** Java cuts the exponent here. */
const EXPONENT_MAX = 32

/**
 * The delay level of the next attempt, from 1 on.
 *
 * A group without a policy of its own gets the level 3 + `reconsumeTimes`, as with Java. One that an administrator gave a policy gets the
 * shortest level that is not shorter than the policy's delay; `levelDelays` are the milliseconds of the levels, from level 1 on.
 */
export function retryLevel(
  policy: GroupRetryPolicy,
  reconsumeTimes: number,
  levelDelays: readonly number[],
): number {
  const delayMs = retryDelayMs(policy, reconsumeTimes)
  if (delayMs === null) return FIRST_LEVEL + reconsumeTimes
  let best = -1
  for (const [index, levelMs] of levelDelays.entries()) {
    if (levelMs < delayMs) continue
    if (best < 0 || levelMs < (levelDelays[best] ?? 0)) best = index
  }
  return best < 0 ? levelDelays.length : best + 1
}

/** Milliseconds by the group's own policy (Java's `RetryPolicy.nextDelayDuration`); null when it has none. */
export function retryDelayMs(policy: GroupRetryPolicy, reconsumeTimes: number): number | null {
  const times = Math.max(0, reconsumeTimes)
  if (policy.type === 'EXPONENTIAL') {
    const exponential = policy.exponentialRetryPolicy
    if (exponential === null) return null
    const { initial, max, multiplier } = exponential
    return Math.min(max, initial * multiplier ** Math.min(times, EXPONENT_MAX))
  }
  const next = policy.customizedRetryPolicy?.next ?? []
  // The list is that of the delay levels, of which attempts use the third and further ones.
  return next[Math.min(times + FIRST_LEVEL - 1, next.length - 1)] ?? null
}
