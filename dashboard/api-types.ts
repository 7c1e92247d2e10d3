/** What the server answers and the page shows: the two are always of the same version. */
import type { Finding } from '../client/health-verdicts.ts'
import type { TopicKind } from '../client/cluster-picture.ts'

export const ROLES = ['viewer', 'operator', 'admin'] as const
/** Each may do what those before it may. */
export type Role = (typeof ROLES)[number]

export interface SessionAnswer {
  readonly userName: string
  readonly role: Role
  readonly csrf: string
}

export interface ListAnswer<Row> {
  readonly rows: readonly Row[]
  /** Rows that match, on all pages. */
  readonly total: number
  readonly page: number
  readonly size: number
}

/** Rates of a broker group between the last two pictures; null: not known. */
export interface BrokerRates {
  readonly inTps: number
  readonly outTps: number
  readonly inBytesTps: number
  /** Cores. */
  readonly cpu: number
}

export interface BrokerRow {
  readonly brokerName: string
  readonly cluster: string
  readonly address: string | null
  readonly problem: string | null
  /** When it last answered. */
  readonly at: number | null
  readonly leader: number | null
  readonly term: number | null
  readonly members: readonly {
    readonly id: number
    readonly role: string
    readonly address: string
    readonly lagBytes: number | null
    readonly isAlive: boolean
  }[]
  /** Of the member furthest behind. */
  readonly lagBytes: number | null
  readonly diskRatio: number | null
  readonly diskUsedBytes: number
  readonly diskTotalBytes: number
  readonly commitLogBytes: number
  readonly residentBytes: number
  readonly oldestMessageTimestamp: number | null
  readonly bootTimestamp: number | null
  readonly isWritable: boolean
  readonly topics: number
  readonly groups: number
  readonly version: string
  readonly rates: BrokerRates | null
}

export interface OverviewAnswer {
  readonly at: number
  readonly isHealthy: boolean
  readonly findings: readonly Finding[]
  readonly nameServers: readonly { readonly address: string; readonly problem: string | null }[]
  readonly brokers: readonly BrokerRow[]
  readonly totals: {
    readonly inTps: number | null
    readonly outTps: number | null
    readonly topics: number
    readonly groups: number
    readonly onlineGroups: number
    readonly clients: number
    readonly lag: number
    readonly deadLetters: number
  }
  readonly behind: readonly GroupRow[]
  readonly busiest: readonly TopicRow[]
}

export interface TopicRow {
  readonly name: string
  readonly kind: TopicKind
  readonly readQueueNums: number
  readonly writeQueueNums: number
  readonly perm: number
  readonly messages: number
  readonly inTps: number
  readonly inBytesTps: number
  readonly groupCount: number
  readonly lag: number
  /** Those furthest behind. */
  readonly groups: readonly { readonly group: string; readonly lag: number }[]
}

export interface TopicAnswer {
  readonly topic: TopicRow
  readonly attributes: Readonly<Record<string, string>>
  readonly groups: readonly {
    readonly group: string
    readonly lag: number
    readonly members: number
    readonly consumeTps: number
    readonly oldestUnread: number | null
  }[]
  readonly brokers: readonly {
    readonly brokerName: string
    readonly readQueueNums: number
    readonly writeQueueNums: number
    readonly perm: number
    readonly order: boolean
    readonly queues: readonly {
      readonly queueId: number
      readonly min: number
      readonly max: number
    }[]
  }[]
}

export interface GroupRow {
  readonly name: string
  readonly isSystem: boolean
  readonly members: number
  /** `push`, `pull`, `pop`; null: nobody is connected. */
  readonly type: string | null
  readonly model: string | null
  readonly topicCount: number
  readonly lag: number
  readonly consumeTps: number
  readonly oldestUnread: number | null
  readonly deadLetters: number
  readonly isStale: boolean
  readonly consumeEnable: boolean
}

export interface ClientRow {
  readonly clientId: string
  readonly address: string
  readonly language: string
  readonly version: string
}

export interface GroupAnswer {
  readonly group: GroupRow
  readonly config: {
    readonly consumeEnable: boolean
    readonly consumeMessageOrderly: boolean
    readonly consumeBroadcastEnable: boolean
    readonly retryQueueNums: number
    readonly retryMaxTimes: number
  } | null
  readonly consumeFromWhere: string | null
  readonly clients: readonly ClientRow[]
  readonly subscriptions: readonly { readonly topic: string; readonly expression: string }[]
  readonly topics: readonly {
    readonly topic: string
    readonly lag: number
    readonly consumeTps: number
    readonly oldestUnread: number | null
    readonly isSubscribed: boolean
    readonly queues: readonly {
      readonly brokerName: string
      readonly queueId: number
      readonly committed: number | null
      readonly max: number
      readonly lag: number
    }[]
  }[]
}

export interface ConnectionRow extends ClientRow {
  readonly kind: 'producer' | 'consumer'
  readonly group: string
}

export interface EventRow {
  readonly at: number
  readonly severity: 'info' | 'warning' | 'error'
  readonly subject: string
  readonly text: string
}

export interface OperationRow {
  readonly at: number
  readonly userName: string
  readonly address: string
  readonly what: string
  /** `done`, or why not. */
  readonly result: string
}

export interface UserRow {
  readonly name: string
  readonly role: Role
}

export interface HistoryAnswer {
  readonly stepMs: number
  /** Milliseconds since 1970 of each point. */
  readonly times: readonly number[]
  /** By the name of the series; null: not known then. */
  readonly series: Readonly<Record<string, readonly (number | null)[]>>
}

export interface ResetPreviewRow {
  readonly brokerName: string
  readonly queueId: number
  readonly from: number | null
  readonly to: number
}
