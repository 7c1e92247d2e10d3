/** Users and permissions of a whole cluster: every broker group has its own, and they should say the same. */
import { usernameIn } from '../common/access-names.ts'
import type { AclInfo, UserInfo } from '../remoting/bodies/auth-bodies.ts'

/** Without its secret, which nobody who looks at a list needs. */
export interface ClusterUser {
  readonly name: string
  /** `Super` or `Normal`. */
  readonly type: string
  /** `enable` or `disable`. */
  readonly status: string
  /** Broker groups that know the user. */
  readonly on: readonly string[]
  /** All of these say the same of the user. */
  readonly isSame: boolean
}

export interface ClusterPermission {
  readonly user: string
  /** `Custom` or `Default`. */
  readonly policyType: string
  /** As policies write it: `Topic:orders*`. */
  readonly resource: string
  readonly actions: readonly string[]
  /** None: from everywhere. */
  readonly sourceIps: readonly string[]
  /** `Allow` or `Deny`. */
  readonly decision: string
  readonly on: readonly string[]
  readonly isSame: boolean
}

/** Of one broker group. */
export interface Told<Entry> {
  readonly brokerName: string
  readonly entries: readonly Entry[]
}

/** By name. Pure. */
export function mergeUsers(answers: readonly Told<UserInfo>[]): readonly ClusterUser[] {
  const found = new Map<string, ClusterUser>()
  for (const { brokerName, entries } of answers) {
    for (const { username, userType, userStatus } of entries) {
      if (username === null) continue
      const type = userType ?? 'Normal'
      const status = userStatus ?? 'enable'
      const known = found.get(username)
      const isSame =
        known === undefined || (known.isSame && known.type === type && known.status === status)
      const on = [...(known?.on ?? []), brokerName]
      found.set(username, { ...(known ?? { name: username, type, status }), on, isSame })
    }
  }
  return [...found.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/** By user, then by resource. Pure. */
export function mergePermissions(answers: readonly Told<AclInfo>[]): readonly ClusterPermission[] {
  const found = new Map<string, ClusterPermission>()
  for (const { brokerName, entries } of answers) {
    for (const permission of entries.flatMap(permissionsOf)) {
      const { user, policyType, resource } = permission
      const key = JSON.stringify([user, policyType, resource])
      const known = found.get(key)
      const isSame = known === undefined || (known.isSame && saysOf(known) === saysOf(permission))
      const on = [...(known?.on ?? []), brokerName]
      found.set(key, { ...(known ?? permission), on, isSame })
    }
  }
  return [...found].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, permission]) => permission)
}

function permissionsOf({
  subject,
  policies,
}: AclInfo): readonly Omit<ClusterPermission, 'on' | 'isSame'>[] {
  const user = usernameIn(subject ?? '')
  if (user === null) return []
  return policies.flatMap(({ policyType, entries }) =>
    entries.map(({ resource, actions, sourceIps, decision }) => ({
      user,
      policyType: policyType ?? 'Custom',
      resource: resource ?? '',
      actions: actions.toSorted(),
      sourceIps: sourceIps.toSorted(),
      decision: decision ?? '',
    })),
  )
}

function saysOf({
  actions,
  sourceIps,
  decision,
}: Pick<ClusterPermission, 'actions' | 'sourceIps' | 'decision'>): string {
  return JSON.stringify([actions, sourceIps, decision])
}
