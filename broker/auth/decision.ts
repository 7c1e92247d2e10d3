/**
 * Whether policies allow an action on a resource.
 *
 * Of the entries that match, the one for the most exact resource decides: a type before `*`, a name before a prefix, a longer prefix before
 * a shorter one, a prefix before all. For the same resource Deny wins: Java's comparator says so in its comment and does the contrary.
 * Default policies count where no custom entry matches. Where nothing matches it is not allowed.
 */
import { isInRange } from './ip-range.ts'
import type { Action } from '../../common/access-names.ts'
import type { Policy, PolicyEntry, Resource } from './model.ts'

/** One of `actions` on one resource is needed. */
export interface Access {
  readonly type: 'Cluster' | 'Topic' | 'Group'
  readonly name: string
  readonly actions: readonly Action[]
}

/** `none`: no entry matches. */
export function decide(
  policies: readonly Policy[],
  access: Access,
  address: Buffer | null,
): 'Allow' | 'Deny' | 'none' {
  return (
    decisionOf(policies, 'Custom', access, address) ??
    decisionOf(policies, 'Default', access, address) ??
    'none'
  )
}

function decisionOf(
  policies: readonly Policy[],
  type: Policy['type'],
  access: Access,
  address: Buffer | null,
): 'Allow' | 'Deny' | null {
  let best: PolicyEntry | null = null
  for (const policy of policies) {
    if (policy.type !== type) continue
    for (const entry of policy.entries) {
      if (!isMatch(entry, access, address)) continue
      if (best === null || isBefore(entry, best)) best = entry
    }
  }
  return best?.decision ?? null
}

function isMatch(entry: PolicyEntry, access: Access, address: Buffer | null): boolean {
  return (
    covers(entry.resource, access) &&
    access.actions.some(
      (action) => entry.actions.includes('All') || entry.actions.includes(action),
    ) &&
    (entry.sourceIps.length === 0 || entry.sourceIps.some((range) => isInRange(address, range)))
  )
}

function covers({ type, pattern, name }: Resource, access: Access): boolean {
  if (type === 'Any') return true
  if (type !== access.type) return false
  if (pattern === 'ANY') return true
  return pattern === 'LITERAL' ? access.name === name : access.name.startsWith(name)
}

function isBefore(entry: PolicyEntry, other: PolicyEntry): boolean {
  const order = exactness(entry.resource) - exactness(other.resource)
  return order === 0 ? entry.decision === 'Deny' && other.decision === 'Allow' : order > 0
}

/** All entries that match one resource can be told apart by it. */
function exactness({ type, pattern, name }: Resource): number {
  if (type === 'Any') return -2
  if (pattern === 'ANY') return -1
  return pattern === 'PREFIXED' ? name.length : Number.MAX_SAFE_INTEGER
}
