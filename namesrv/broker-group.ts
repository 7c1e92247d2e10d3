/** A broker group as a name server sees it: the members that have registered, and what is told of them. */
import { Permission } from '../remoting/bodies/topic-config.ts'
import type { BrokerData, QueueData } from '../remoting/bodies/topic-route-data.ts'

export const MASTER_ID = 0

export interface BrokerGroup {
  readonly brokerName: string
  cluster: string
  readonly addresses: Map<number, string>
  zoneName: string | null
  enableActingMaster: boolean
}

/** NOTIFY_MIN_BROKER_ID_CHANGE (905), to be sent to `recipients`. */
export interface MinBrokerIdChange {
  readonly brokerName: string
  readonly minBrokerId: number
  readonly minBrokerAddr: string
  readonly offlineBrokerAddr: string | null
  readonly haBrokerAddr: string | null
  readonly recipients: readonly string[]
}

export function minBrokerIdChange(
  group: BrokerGroup,
  offlineBrokerAddr: string | null,
  haBrokerAddr: string | null,
): MinBrokerIdChange {
  const addresses = sortedAddresses(group)
  const [[minBrokerId, minBrokerAddr] = [MASTER_ID, '']] = addresses
  // After a loss all that are left are told; a new lowest member is news to the others only.
  const recipients =
    offlineBrokerAddr !== null || addresses.size === 1
      ? [...addresses.values()]
      : [...addresses.values()].slice(1)
  const { brokerName } = group
  return { brokerName, minBrokerId, minBrokerAddr, offlineBrokerAddr, haBrokerAddr, recipients }
}

export function brokerDataOf(group: BrokerGroup): BrokerData {
  const { cluster, brokerName, zoneName, enableActingMaster } = group
  return { cluster, brokerName, brokerAddrs: sortedAddresses(group), zoneName, enableActingMaster }
}

/** Without a master, and once its topics take no writes, the lowest member stands in for it. */
export function withActingMaster(group: BrokerGroup, queueData: QueueData): BrokerData {
  const brokerData = brokerDataOf(group)
  if (!group.enableActingMaster || group.addresses.has(MASTER_ID)) return brokerData
  if ((queueData.perm & Permission.WRITE) !== 0) return brokerData
  const [, ...others] = brokerData.brokerAddrs
  const [acting] = brokerData.brokerAddrs.values()
  if (acting === undefined) return brokerData
  return { ...brokerData, brokerAddrs: new Map([[MASTER_ID, acting], ...others]) }
}

export function lowestId(group: BrokerGroup): number | null {
  return group.addresses.size === 0 ? null : Math.min(...group.addresses.keys())
}

export function sortedAddresses(group: BrokerGroup): Map<number, string> {
  return new Map([...group.addresses].sort(([left], [right]) => left - right))
}

export function withoutWrite(perm: number): number {
  return perm & ~Permission.WRITE
}
