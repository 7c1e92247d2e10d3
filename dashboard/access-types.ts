/** What the server answers and the page shows of users and permissions of the brokers. */
import type { ClusterPermission, ClusterUser } from '../client/cluster-users.ts'

/** Whether a broker group asks who its clients are, and what they may. */
export interface AccessRow {
  readonly brokerName: string
  /** Null: it could not be asked. */
  readonly authentication: boolean | null
  readonly authorization: boolean | null
  readonly problem: string | null
}

export interface BrokerUserRow extends ClusterUser {
  readonly permissions: number
}

export type PermissionRow = ClusterPermission

export interface BrokerUserAnswer {
  readonly user: BrokerUserRow
  readonly permissions: readonly PermissionRow[]
}
