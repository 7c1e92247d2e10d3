/** The steps that touch running servers or remove things: at most one in each pass. */
import type { PodEndpoint } from './ports.ts'

export type Act =
  /** Live keys of running brokers. */
  | {
      readonly type: 'configure'
      readonly targets: readonly {
        readonly broker: PodEndpoint
        readonly entries: Readonly<Record<string, string>>
      }[]
    }
  | {
      readonly type: 'setWritePermission'
      readonly brokerName: string
      readonly writable: boolean
      readonly nameServers: readonly PodEndpoint[]
    }
  | {
      readonly type: 'copyMetadata'
      readonly from: PodEndpoint
      readonly to: PodEndpoint
    }
  | {
      readonly type: 'evict'
      readonly pod: string
      readonly uid: string
      readonly reason: string
    }
  | {
      readonly type: 'transferLeadership'
      readonly from: PodEndpoint
      /** The member. */
      readonly to: number
    }
  | {
      readonly type: 'removeMember'
      readonly leader: PodEndpoint
      /** Of the group. */
      readonly name: string
      readonly id: number
    }
  | {
      /** A volume that nothing is lost with; the pod that waits for it goes too, so that both are made anew. */
      readonly type: 'deleteClaim'
      readonly claim: string
      readonly uid: string
      readonly pod: { readonly name: string; readonly uid: string } | null
    }
  | {
      readonly type: 'expandClaims'
      readonly group: string
      readonly claims: readonly string[]
      readonly size: string
    }
  | {
      /** Its claim template cannot be changed: the set goes without its pods, and comes back with the new one. */
      readonly type: 'renewStatefulSet'
      readonly name: string
      readonly uid: string
    }
  | {
      readonly type: 'unregister'
      readonly brokerName: string
      readonly nameServers: readonly PodEndpoint[]
    }
  | {
      readonly type: 'deleteStatefulSet'
      readonly name: string
      readonly uid: string
    }

/** Equal for an act that is tried again. */
export function actKey(act: Act): string {
  return `${act.type} ${subjectOf(act)}`
}

/** What stands in `status.plan`. */
export function describeAct(act: Act): string {
  switch (act.type) {
    case 'configure': {
      const pods = act.targets.map(
        ({ broker, entries }) => `${broker.pod} (${Object.keys(entries).join(', ')})`,
      )
      return `set live configuration of ${pods.slice(0, 4).join(', ')}${pods.length > 4 ? ' …' : ''}`
    }
    case 'setWritePermission':
      return act.writable
        ? `give ${act.brokerName} its write permission back`
        : `take the write permission from ${act.brokerName}`
    case 'copyMetadata':
      return `copy topics and consumer groups from ${act.from.pod} to ${act.to.pod}`
    case 'evict':
      return `restart ${act.pod} (${act.reason})`
    case 'transferLeadership':
      return `transfer leadership from ${act.from.pod} to member ${act.to}`
    case 'removeMember':
      return `take member ${act.id} out of ${act.name}`
    case 'deleteClaim':
      return act.pod === null
        ? `delete the volume ${act.claim} of a member that has left`
        : `give ${act.pod.name} an empty volume instead of ${act.claim}`
    case 'expandClaims':
      return `let ${act.claims.join(', ')} grow to ${act.size}`
    case 'renewStatefulSet':
      return `make ${act.name} anew with larger volumes, around its running pods`
    case 'unregister':
      return `unregister ${act.brokerName}`
    case 'deleteStatefulSet':
      return `remove ${act.name}`
  }
}

function subjectOf(act: Act): string {
  switch (act.type) {
    case 'configure':
      return act.targets
        .map(({ broker, entries }) => `${broker.pod}:${Object.keys(entries).join('+')}`)
        .join(' ')
    case 'setWritePermission':
      return `${act.brokerName} ${act.writable}`
    case 'copyMetadata':
      return act.to.pod
    case 'evict':
      return `${act.pod} ${act.uid}`
    case 'transferLeadership':
      return `${act.from.pod} ${act.to}`
    case 'removeMember':
      return `${act.name} ${act.id}`
    case 'deleteClaim':
      return `${act.claim} ${act.uid}`
    case 'expandClaims':
      return `${act.group} ${act.size}`
    case 'renewStatefulSet':
      return `${act.name} ${act.uid}`
    case 'unregister':
      return act.brokerName
    case 'deleteStatefulSet':
      return `${act.name} ${act.uid}`
  }
}
