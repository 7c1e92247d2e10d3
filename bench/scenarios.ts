/** All scenarios, in the order in which they run. */
import { CONSUME_SCENARIOS } from './consume-scenarios.ts'
import { GROUP_SCENARIOS } from './group-scenarios.ts'
import { GROWTH_SCENARIOS } from './growth-scenarios.ts'
import type { Scenario } from './scenario.ts'
import { SEND_SCENARIOS } from './send-scenarios.ts'
import { TIMER_SCENARIOS } from './timer-scenarios.ts'

export const SCENARIOS: readonly Scenario[] = [
  ...SEND_SCENARIOS,
  ...CONSUME_SCENARIOS,
  ...GROWTH_SCENARIOS,
  ...GROUP_SCENARIOS,
  ...TIMER_SCENARIOS,
]
