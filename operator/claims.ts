/** PersistentVolumeClaims of a broker group, read for what decides. Pure. */
import { listAt, textAt } from './json.ts'
import { GROUP_LABEL } from './names.ts'
import type { KubeObject } from './ports.ts'
import { parseQuantity } from './quantity.ts'

export interface Claim {
  readonly name: string
  readonly uid: string
  /** Of the pod that it belongs to. */
  readonly ordinal: number
  readonly requestedBytes: number
  /** Zero while it is not bound. */
  readonly capacityBytes: number
  /** The volume behind it is gone. */
  readonly isLost: boolean
  /** The volume has grown, and its filesystem waits; milliseconds since 1970, or null. */
  readonly resizePendingSince: number | null
}

export function claimsOf(claims: readonly KubeObject[], group: number): readonly Claim[] {
  return claims
    .filter(({ metadata }) => metadata.labels?.[GROUP_LABEL] === String(group))
    .map(claimFacts)
    .sort((left, right) => left.ordinal - right.ordinal)
}

function claimFacts({ metadata, spec, status }: KubeObject): Claim {
  const pending = listAt(status, 'conditions').find(
    (condition) =>
      textAt(condition, 'type') === 'FileSystemResizePending' &&
      textAt(condition, 'status') === 'True',
  )
  const since = Date.parse(textAt(pending, 'lastTransitionTime') ?? '')
  return {
    name: metadata.name,
    uid: metadata.uid ?? '',
    ordinal: Number(metadata.name.slice(metadata.name.lastIndexOf('-') + 1)),
    requestedBytes: bytesOf(textAt(spec, 'resources', 'requests', 'storage')),
    capacityBytes: bytesOf(textAt(status, 'capacity', 'storage')),
    isLost: textAt(status, 'phase') === 'Lost',
    resizePendingSince: pending === undefined ? null : Number.isNaN(since) ? 0 : since,
  }
}

function bytesOf(quantity: string | null): number {
  return quantity === null ? 0 : (parseQuantity(quantity) ?? 0)
}
