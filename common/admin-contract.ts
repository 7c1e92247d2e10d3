/**
 * The JSON answers of a role's admin port (`metricsPromExporterPort`, 5557), which the operator, the dashboard and
 * `gantry dev` read. Paths: `/livez`, `/readyz`, `/startupz`, `/metrics`, and for brokers `/admin/v1/{raft,drain,store,config}`.
 * A fact that is not known is null, never 0.
 */

export type RaftRole = 'leader' | 'follower' | 'candidate' | 'learner'

/** GET /admin/v1/raft */
export interface RaftFacts {
  readonly group: string
  /** The member that answers: its pod name, or `brokerName-brokerId` outside Kubernetes. */
  readonly member: string
  readonly term: number
  readonly leader: string | null
  readonly role: RaftRole
  /** Physical offsets: what is committed, and the end of this member's log. */
  readonly commitOffset: number
  readonly endOffset: number
  readonly peers: readonly {
    readonly member: string
    readonly matchOffset: number | null
    readonly lastContactMs: number | null
  }[]
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
