/** Which ports the pods of `gantry dev` listen on: fixed by their slots, so that a restarted cluster is where it was. Pure. */
import { groupName } from '../operator/names.ts'
import type { Addressing } from '../operator/ports.ts'

export type Role = 'namesrv' | 'broker' | 'proxy' | 'dashboard'

export interface PodPorts {
  readonly remoting: number
  readonly admin: number
}

/** A pod's place among those of its role, and among all for the admin port. */
export interface PodSlot {
  readonly role: Role
  readonly slot: number
  readonly adminSlot: number
}

interface PortRange {
  readonly first: number
  readonly step: number
}

const RANGES: Readonly<Record<Role, PortRange>> = {
  namesrv: { first: 9876, step: 1 },
  broker: { first: 10911, step: 10 },
  proxy: { first: 8081, step: 1 },
  dashboard: { first: 8080, step: 1 },
}
const ADMIN_FIRST = 5557
/** The address of a group with several members leads to whoever of them leads. */
const RELAY: PortRange = { first: 20_911, step: 10 }
const VIP_DISTANCE = 2
const PORT_MAX = 65_535

export function portsOf(slot: PodSlot, portOffset: number): PodPorts {
  const { first, step } = RANGES[slot.role]
  return {
    remoting: first + step * slot.slot + portOffset,
    admin: ADMIN_FIRST + slot.adminSlot + portOffset,
  }
}

/** Every port that a pod binds: a broker also answers two below its own, and talks to its group one above. */
export function boundPortsOf(role: Role, ports: PodPorts): readonly number[] {
  const more = role === 'broker' ? [ports.remoting - VIP_DISTANCE, peerPortOf(ports)] : []
  return [ports.remoting, ...more, ports.admin]
}

/** Where the other members of its group reach a broker. */
export function peerPortOf({ remoting }: PodPorts): number {
  return remoting + 1
}

/** The two ports of a group's relay: for clients, and for those that use the VIP port two below. */
export function relayPortsOf(
  group: number,
  portOffset: number,
): { readonly remoting: number; readonly vip: number } {
  const remoting = RELAY.first + RELAY.step * group + portOffset
  return { remoting, vip: remoting - VIP_DISTANCE }
}

/** The largest `--port-offset` with which the first of everything still has a port. */
export const PORT_OFFSET_MAX: number = PORT_MAX - RANGES.broker.first - RANGES.broker.step

/**
 * The slot of a new pod: the lowest free one, but for a name server its ordinal, since its address must follow from that alone.
 */
export function nextSlot(role: Role, ordinal: number, taken: readonly PodSlot[]): PodSlot {
  const slots = taken.filter((other) => other.role === role).map((other) => other.slot)
  const adminSlots = taken.map((other) => other.adminSlot)
  return {
    role,
    slot: role === 'namesrv' ? ordinal : lowestFree(slots),
    adminSlot: lowestFree(adminSlots),
  }
}

function lowestFree(taken: readonly number[]): number {
  for (let slot = 0; ; slot += 1) {
    if (!taken.includes(slot)) return slot
  }
}

/**
 * Everything on one host, told apart by ports. `slotOf` gives a broker its slot when it is first asked for. A group of one is told to clients as it is;
 * a larger one by its relay, whose address stays when another member leads.
 */
export function createLocalAddressing(
  host: string,
  portOffset: number,
  slotOf: (pod: string, role: Role, ordinal: number) => PodSlot,
): Addressing {
  return {
    nameServer: (_cluster, _namespace, ordinal) => {
      const slot = { role: 'namesrv', slot: ordinal, adminSlot: 0 } as const
      return `${host}:${portsOf(slot, portOffset).remoting}`
    },
    member: (cluster, _namespace, group, ordinal) => {
      const slot = slotOf(`${groupName(cluster, group)}-${ordinal}`, 'broker', ordinal)
      return `${host}:${peerPortOf(portsOf(slot, portOffset))}`
    },
    advertised: (_cluster, group, members) => {
      const port = members > 1 ? relayPortsOf(group, portOffset).remoting : null
      return { host, port }
    },
  }
}
