/** Which ports the pods of `gantry dev` listen on: fixed by their slots, so that a restarted cluster is where it was. Pure. */
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
const PORT_MAX = 65_535

export function portsOf(slot: PodSlot, portOffset: number): PodPorts {
  const { first, step } = RANGES[slot.role]
  return {
    remoting: first + step * slot.slot + portOffset,
    admin: ADMIN_FIRST + slot.adminSlot + portOffset,
  }
}

/** Every port that a pod binds: a broker also answers two below its own. */
export function boundPortsOf(role: Role, ports: PodPorts): readonly number[] {
  const vip = role === 'broker' ? [ports.remoting - 2] : []
  return [ports.remoting, ...vip, ports.admin]
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

/** Everything on one host, told apart by ports. */
export function createLocalAddressing(host: string, portOffset: number): Addressing {
  return {
    nameServer: (_cluster, _namespace, ordinal) => {
      const slot = { role: 'namesrv', slot: ordinal, adminSlot: 0 } as const
      return `${host}:${portsOf(slot, portOffset).remoting}`
    },
    brokerHost: () => host,
  }
}
