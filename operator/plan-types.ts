/** What a pass has worked out, between deciding and telling. */
import type { Act } from './act.ts'
import type { GroupOutcome, GroupView } from './group-outcome.ts'
import type { GroupMembers } from './members.ts'
import type { NameServerPlan } from './name-server-plan.ts'
import type { ResourceContext } from './resources/common.ts'
import type { WantedPod } from './restart-need.ts'
import type { PodFacts, Snapshot } from './snapshot.ts'

/** One group in this pass. */
export interface PlannedGroup {
  readonly group: number
  readonly name: string
  readonly isWanted: boolean
  readonly outcome: GroupOutcome
  /** What the outcome follows from. */
  readonly view: GroupView
  readonly members: GroupMembers
  /** The pod that answers for the group. */
  readonly pod: PodFacts | null
  readonly wanted: WantedPod
}

export interface Plan {
  readonly context: ResourceContext
  readonly snapshot: Snapshot
  readonly nameServers: NameServerPlan
  readonly groups: readonly PlannedGroup[]
  readonly acts: readonly Act[]
  readonly isPaused: boolean
}
