/**
 * Taking fields over from other managers. Server-side apply removes a list item or field only if the applier owns it, so what somebody added by
 * hand to a list of ours (a second port of a Service) would stay for ever, or even make the apply invalid. Pure.
 */
import { isRecord, valueAt } from './json.ts'
import { FIELD_MANAGER } from './kube-api.ts'
import type { KubeObject } from './ports.ts'

/** Members whose foreign owners are replaced; labels and annotations of others are theirs. */
const OURS = ['f:spec', 'f:data', 'f:rules', 'f:subjects', 'f:roleRef']

/**
 * `managedFields` in which we own what others had changed by hand in our members; the next apply takes away what of it we do not want.
 * Null: nobody else owns any of that.
 */
export function takenOver(object: KubeObject): readonly unknown[] | null {
  const entries = valueAt(object.metadata, 'managedFields')
  if (!Array.isArray(entries)) return null
  const ours = entries.find((entry) => isOurs(entry))
  if (!isRecord(ours)) return null
  let fields = fieldsOf(ours)
  let taken = 0
  const others: unknown[] = []
  for (const entry of entries) {
    if (entry === ours) continue
    if (!isByHand(entry)) {
      others.push(entry)
      continue
    }
    const theirs = fieldsOf(entry)
    const wanted = Object.fromEntries(
      Object.entries(theirs).filter(([name]) => OURS.includes(name)),
    )
    const rest = Object.fromEntries(Object.entries(theirs).filter(([name]) => !OURS.includes(name)))
    taken += Object.keys(wanted).length
    fields = union(fields, wanted)
    if (isRecord(entry) && Object.keys(rest).length > 0) others.push({ ...entry, fieldsV1: rest })
  }
  return taken === 0 ? null : [{ ...ours, fieldsV1: fields }, ...others]
}

function isOurs(entry: unknown): boolean {
  return isRecord(entry) && entry['manager'] === FIELD_MANAGER && entry['operation'] === 'Apply'
}

/** An edit, not a controller's status. */
function isByHand(entry: unknown): boolean {
  return isRecord(entry) && (entry['subresource'] ?? '') === ''
}

function fieldsOf(entry: unknown): Readonly<Record<string, unknown>> {
  const fields = valueAt(entry, 'fieldsV1')
  return isRecord(fields) ? fields : {}
}

/** Field sets are trees of names; the union is a deep merge. */
function union(
  left: Readonly<Record<string, unknown>>,
  right: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const merged: Record<string, unknown> = { ...left }
  for (const [name, value] of Object.entries(right)) {
    const before = merged[name]
    merged[name] = isRecord(before) && isRecord(value) ? union(before, value) : value
  }
  return merged
}
