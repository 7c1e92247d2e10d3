/** What alarms are about. Each kind stands for one or more findings of the cluster's health. */

export const ALARM_KINDS = [
  'brokerAway',
  'nameServerDown',
  'noBroker',
  'readOnly',
  'diskFilling',
  'memberDown',
  'memberBehind',
  'notWritable',
  'dispatchBehind',
  'groupLag',
  'groupOld',
  'consumptionOff',
  'deadLetters',
] as const
export type AlarmKind = (typeof ALARM_KINDS)[number]

/** What a rule of the kind can name by patterns. */
export type AlarmScope = 'group' | 'broker' | 'cluster'

interface KindFacts {
  readonly scope: AlarmScope
  /** How long it must hold when the rule does not say. */
  readonly forMs: number
  /** Heading of docs/operations/runbooks.md. */
  readonly runbook: string
  /** In a few words, for subjects of mails and the page. */
  readonly title: string
}

const MINUTE_MS = 60_000

export const KIND_FACTS: Readonly<Record<AlarmKind, KindFacts>> = {
  brokerAway: {
    scope: 'broker',
    forMs: MINUTE_MS,
    runbook: 'gantrynoleader',
    title: 'broker group away or without a leader',
  },
  nameServerDown: {
    scope: 'cluster',
    forMs: MINUTE_MS,
    runbook: 'gantrynameserversdown',
    title: 'name server away',
  },
  noBroker: {
    scope: 'cluster',
    forMs: MINUTE_MS,
    runbook: 'gantrynoleader',
    title: 'no broker is registered',
  },
  readOnly: {
    scope: 'broker',
    forMs: MINUTE_MS / 2,
    runbook: 'gantrynotwritable',
    title: 'broker group refuses messages',
  },
  diskFilling: {
    scope: 'broker',
    forMs: 5 * MINUTE_MS,
    runbook: 'gantrydiskfilling',
    title: 'disk is filling',
  },
  memberDown: {
    scope: 'broker',
    forMs: 5 * MINUTE_MS,
    runbook: 'gantrymemberaway',
    title: 'member of a broker group away',
  },
  memberBehind: {
    scope: 'broker',
    forMs: 15 * MINUTE_MS,
    runbook: 'gantrymemberbehind',
    title: 'member of a broker group behind',
  },
  notWritable: {
    scope: 'broker',
    forMs: 30 * MINUTE_MS,
    runbook: 'gantrynotwritable',
    title: 'broker group takes no messages',
  },
  dispatchBehind: {
    scope: 'broker',
    forMs: 5 * MINUTE_MS,
    runbook: 'gantrydispatchbehind',
    title: 'stored messages cannot be read yet',
  },
  groupLag: {
    scope: 'group',
    forMs: 5 * MINUTE_MS,
    runbook: 'gantrylaggrowing',
    title: 'consumer group far behind',
  },
  groupOld: {
    scope: 'group',
    forMs: 5 * MINUTE_MS,
    runbook: 'gantrylagold',
    title: 'messages wait long for a consumer group',
  },
  consumptionOff: {
    scope: 'group',
    forMs: 60 * MINUTE_MS,
    runbook: 'gantrylaggrowing',
    title: 'consumption is switched off',
  },
  deadLetters: {
    scope: 'group',
    forMs: 0,
    runbook: 'gantrydeadletters',
    title: 'messages were given up',
  },
}

/** `groupLag` → `GantryGroupLag`, the label `alertname`. */
export function alertNameOf(kind: AlarmKind): string {
  return `Gantry${kind.charAt(0).toUpperCase()}${kind.slice(1)}`
}
