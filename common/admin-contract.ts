/**
 * The JSON answers of a role's admin port (`metricsPromExporterPort`, 5557), which the operator, the dashboard and
 * `gantry dev` read. Paths: `/livez`, `/readyz`, `/startupz`, `/metrics`, and for brokers `/admin/v1/{raft,drain,store,config}`. A member
 * is ready when it leads and takes messages, or follows within the lag that counts as in sync.
 * A fact that is not known is null, never 0.
 */

/** `joining`: the member has no group yet; it founds one with the others, or waits to be taken in. */
export type RaftRole = 'leader' | 'follower' | 'candidate' | 'learner' | 'joining'

/** One member of the group's configuration, as the member that answers knows it. */
export interface RaftMember {
  /** The pod's ordinal. */
  readonly id: number
  readonly role: 'voter' | 'learner'
  /** Of its disk: another number is another, empty disk. */
  readonly incarnation: number
  /** `host:port` for the other members. */
  readonly address: string
}

/** GET /admin/v1/raft */
export interface RaftFacts {
  readonly id: number
  readonly incarnation: number
  readonly role: RaftRole
  readonly term: number
  readonly leader: number | null
  /** A leader: it has committed a record of its term and takes messages. Else: it is within the lag that counts as in sync. */
  readonly isReady: boolean
  /** Physical offsets: what is committed, and the end of this member's log. */
  readonly commitOffset: number
  readonly endOffset: number
  /** Empty while it has no group. */
  readonly members: readonly RaftMember[]
  /** The others as the leader sees them; empty from everybody else. */
  readonly peers: readonly {
    readonly id: number
    readonly matchOffset: number | null
    readonly lagBytes: number | null
    readonly ticksSinceAnswer: number | null
  }[]
}

/** POST /admin/v1/raft/transfer: 202 when it has begun, 409 with `{"reason": …}`. */
export interface RaftTransfer {
  /** Null: the member that is furthest. */
  readonly to: number | null
}

/** POST /admin/v1/raft/members: 202 when the change is in the log, 409 with `{"reason": …}`. New members ask by themselves. */
export interface RaftMembersChange {
  readonly remove: number
}

/** GET /admin/v1/drain: what must be zero before this group may go. */
export interface DrainFacts {
  readonly group: string
  readonly brokerPermission: number
  readonly inFlightSends: number
  /** One entry for each (topic, consumer group) with a lag, and for each topic with messages that no group subscribes to (`consumerGroup` null). */
  readonly lags: readonly DrainLag[]
  readonly popInFlight: number
  readonly delayedMessages: number
  readonly halfMessages: number
  /** Messages consumed in the last 60 s, all groups. */
  readonly consumedPerMinute: number
  /** Broadcast groups keep their offsets at the clients: named, not measured. */
  readonly broadcastGroups: readonly string[]
}

export interface DrainLag {
  readonly topic: string
  readonly consumerGroup: string | null
  readonly messages: number
  /** The queue furthest behind. */
  readonly queueId: number
}

/** GET /admin/v1/store */
export interface StoreFacts {
  readonly usedBytes: number
  readonly capacityBytes: number
  readonly minPhysicalOffset: number
  readonly maxPhysicalOffset: number
  readonly oldestMessageTimestamp: number | null
  /** Null while writes are taken. */
  readonly readOnlyReason: string | null
  readonly topics: number
  readonly consumerGroups: number
}

/** GET /admin/v1/config: the effective configuration. */
export interface ConfigFacts {
  readonly entries: Readonly<
    Record<
      string,
      {
        readonly value: string
        readonly live: boolean
        /** What holds when nobody sets the key; without it, a live key that is no longer set needs a restart. */
        readonly default?: string
      }
    >
  >
}
