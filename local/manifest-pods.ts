/** The pods that a manifest asks for, and their slots. Pure. */
import { groupName, nameServerName } from '../operator/names.ts'
import type { Manifest } from './manifest.ts'
import { nextSlot } from './ports.ts'
import type { PodSlot, Role } from './ports.ts'

/** Ports of the pods to come, in an order that does not depend on who is created first. */
export function assignSlots(
  manifest: Manifest,
  known: Readonly<Record<string, PodSlot>>,
): Readonly<Record<string, PodSlot>> {
  const slots = new Map(Object.entries(known))
  for (const { name, role, ordinal } of podsOf(manifest)) {
    if (!slots.has(name)) slots.set(name, nextSlot(role, ordinal, [...slots.values()]))
  }
  return Object.fromEntries(slots)
}

/** The pods of a manifest, name servers first. */
export function podsOf(
  manifest: Manifest,
): readonly { readonly name: string; readonly role: Role; readonly ordinal: number }[] {
  const { name } = manifest.object.metadata
  const { nameServer, broker } = manifest.cluster.spec
  const members = (statefulSet: string, role: Role, count: number) =>
    Array.from({ length: count }, (_, ordinal) => {
      return { name: `${statefulSet}-${ordinal}`, role, ordinal }
    })
  const groups = Array.from({ length: broker.groups }, (_, group) =>
    members(groupName(name, group), 'broker', broker.replicasPerGroup),
  )
  return [...members(nameServerName(name), 'namesrv', nameServer.replicas), ...groups.flat()]
}
