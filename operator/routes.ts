/** What the name servers say of a broker group, taken together. Pure. */
import type { PodEndpoint } from './ports.ts'
import type { Snapshot } from './snapshot.ts'

export interface GroupRoutes {
  /** False when a ready name server did not answer, or none is ready: then nothing may follow from the rest. */
  readonly isKnown: boolean
  /** Ready name servers where the group is registered and takes writes, does not, and is not registered. */
  readonly open: readonly PodEndpoint[]
  readonly wiped: readonly PodEndpoint[]
  readonly absent: readonly PodEndpoint[]
}

/** Name servers that are not ready are left out: brokers register anew when they come back. */
export function routesOf(snapshot: Snapshot, brokerName: string): GroupRoutes {
  const open: PodEndpoint[] = []
  const wiped: PodEndpoint[] = []
  const absent: PodEndpoint[] = []
  let unknown = 0
  for (const { name, endpoint, isReady, isTerminating } of snapshot.nameServerPods) {
    if (!isReady || isTerminating) continue
    const known = snapshot.registrations.get(name) ?? null
    if (known === null || endpoint === null) {
      unknown += 1
      continue
    }
    const registration = known.get(brokerName)
    if (registration === undefined) absent.push(endpoint)
    else if (registration.topics > 0 && registration.writableTopics === 0) wiped.push(endpoint)
    else open.push(endpoint)
  }
  const count = open.length + wiped.length + absent.length
  return { isKnown: unknown === 0 && count > 0, open, wiped, absent }
}
