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
      readonly to: string
      readonly expectTerm: number
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
      return `transfer leadership from ${act.from.pod} to ${act.to}`
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
      return `${act.from.pod} ${act.to} ${act.expectTerm}`
    case 'unregister':
      return act.brokerName
    case 'deleteStatefulSet':
      return `${act.name} ${act.uid}`
  }
}
