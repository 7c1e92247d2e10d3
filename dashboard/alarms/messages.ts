/** What receivers are told, as a webhook's body and as a mail. Pure. */
import { createHash } from 'node:crypto'
import type { AlarmConfig } from './alarm-config.ts'
import { KIND_FACTS, alertNameOf } from './alarm-kinds.ts'
import type { AlarmKind } from './alarm-kinds.ts'
import type { Alarm } from './alarm-states.ts'
import type { Notification } from './notifier.ts'

/** Alarms that one message tells; the others are counted. */
const ALARMS_TOLD = 100
const NEVER = '0001-01-01T00:00:00Z'
/** Where the runbooks are, in the repository. */
export const RUNBOOKS = 'docs/operations/runbooks.md'

export interface MessageContext {
  readonly config: Pick<AlarmConfig, 'consoleUrl' | 'runbookUrl'>
  /** Name of the cluster. */
  readonly cluster: string
}

/** What every sender is handed. */
export interface Message {
  /** One line. */
  readonly subject: string
  readonly text: string
  /** Alertmanager's webhook, version 4. */
  readonly webhook: WebhookBody
}

export interface WebhookAlert {
  readonly status: 'firing' | 'resolved'
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly startsAt: string
  readonly endsAt: string
  readonly generatorURL: string
  readonly fingerprint: string
}

export interface WebhookBody {
  readonly version: '4'
  readonly groupKey: string
  readonly truncatedAlerts: number
  readonly status: 'firing' | 'resolved'
  readonly receiver: string
  readonly groupLabels: Readonly<Record<string, string>>
  readonly commonLabels: Readonly<Record<string, string>>
  readonly commonAnnotations: Readonly<Record<string, string>>
  readonly externalURL: string
  readonly alerts: readonly WebhookAlert[]
}

export function messageOf(notification: Notification, context: MessageContext): Message {
  const { receiver, kind, firing, resolved } = notification
  const all = [...firing.toSorted(bySeverity), ...resolved]
  const alerts = all.slice(0, ALARMS_TOLD).map((alarm) => alertOf(alarm, context))
  const leftOut = all.length - alerts.length
  const counts = [
    ...(firing.length > 0 ? [`${firing.length} firing`] : []),
    ...(resolved.length > 0 ? [`${resolved.length} resolved`] : []),
  ].join(', ')
  return {
    subject: subjectOf(context, `${counts}: ${KIND_FACTS[kind].title}`),
    text: textOf(kind, firing, resolved, context),
    webhook: bodyOf(receiver.name, kind, alerts, leftOut, context),
  }
}

/** Says that the receiver can be reached, and is no alarm. */
export function testMessage(
  receiver: string,
  by: string,
  now: number,
  context: MessageContext,
): Message {
  const problem = `a test by ${by}: receiver ${receiver} gets the alarms of ${context.cluster || 'the cluster'}`
  const labels = { alertname: 'GantryTest', severity: 'info', ...clusterLabel(context) }
  const alert: WebhookAlert = {
    status: 'firing',
    labels,
    annotations: { summary: problem, description: 'Nothing has to be done.' },
    startsAt: new Date(now).toISOString(),
    endsAt: NEVER,
    generatorURL: linkTo(context, 'alarms'),
    fingerprint: fingerprintOf(labels),
  }
  return {
    subject: subjectOf(context, 'a test'),
    text: `${problem}.\n\nNothing has to be done.\n`,
    webhook: bodyOf(receiver, 'test', [alert], 0, context),
  }
}

/** Null: no page with the runbooks is configured. */
export function runbookLink(
  kind: AlarmKind,
  { runbookUrl }: Pick<AlarmConfig, 'runbookUrl'>,
): string | null {
  return runbookUrl === '' ? null : `${runbookUrl}#${KIND_FACTS[kind].runbook}`
}

function bodyOf(
  receiver: string,
  kind: AlarmKind | 'test',
  alerts: readonly WebhookAlert[],
  truncatedAlerts: number,
  context: MessageContext,
): WebhookBody {
  const alertname = kind === 'test' ? 'GantryTest' : alertNameOf(kind)
  const groupLabels = { alertname, ...clusterLabel(context) }
  return {
    version: '4',
    groupKey: `gantry/${context.cluster}/${receiver}:{alertname="${alertname}"}`,
    truncatedAlerts,
    status: alerts.some(({ status }) => status === 'firing') ? 'firing' : 'resolved',
    receiver,
    groupLabels,
    commonLabels: common(alerts.map(({ labels }) => labels)),
    commonAnnotations: common(alerts.map(({ annotations }) => annotations)),
    externalURL: context.config.consoleUrl,
    alerts,
  }
}

function alertOf(alarm: Alarm, context: MessageContext): WebhookAlert {
  const { kind, severity, subject, problem, advice, value } = alarm
  const labels = {
    ...alarm.ruleLabels,
    alertname: alertNameOf(kind),
    severity: severity === 'error' ? 'critical' : 'warning',
    rule: alarm.ruleName,
    ...clusterLabel(context),
    ...alarm.labels,
  }
  const isFiring = alarm.state === 'firing'
  return {
    status: isFiring ? 'firing' : 'resolved',
    labels,
    annotations: {
      summary: `${subject}: ${problem}`,
      description: advice,
      ...(value === null ? {} : { value: String(value) }),
      runbook_url: runbookLink(kind, context.config) ?? `${RUNBOOKS}#${KIND_FACTS[kind].runbook}`,
    },
    startsAt: new Date(alarm.firingAt ?? alarm.since).toISOString(),
    endsAt: isFiring ? NEVER : new Date(alarm.resolvedAt ?? alarm.since).toISOString(),
    generatorURL: linkTo(context, alarm.page),
    fingerprint: fingerprintOf(identityOf(labels)),
  }
}

/** The severity of an alarm can change; it stays the same alarm. */
function identityOf(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const { severity: _severity, rule: _rule, ...identity } = labels
  return identity
}

function textOf(
  kind: AlarmKind,
  firing: readonly Alarm[],
  resolved: readonly Alarm[],
  context: MessageContext,
): string {
  const lines: string[] = []
  const { runbook } = KIND_FACTS[kind]
  if (firing.length > 0) lines.push('Firing:', '')
  for (const alarm of firing.toSorted(bySeverity).slice(0, ALARMS_TOLD)) {
    const { severity, subject, problem, advice, firingAt, since } = alarm
    lines.push(`[${severity}] ${subject}: ${problem}`, `  What to do: ${advice}`)
    lines.push(`  Since ${utc(firingAt ?? since)}`)
    const link = linkTo(context, alarm.page)
    if (link !== '') lines.push(`  ${link}`)
    lines.push('')
  }
  if (firing.length > ALARMS_TOLD) lines.push(`… and ${firing.length - ALARMS_TOLD} more`, '')
  if (resolved.length > 0) lines.push('Resolved:', '')
  for (const { subject, problem, resolvedAt, since } of resolved.slice(0, ALARMS_TOLD)) {
    lines.push(`${subject}, since ${utc(resolvedAt ?? since)}. It was: ${problem}`)
  }
  if (resolved.length > ALARMS_TOLD) lines.push(`… and ${resolved.length - ALARMS_TOLD} more`)
  if (resolved.length > 0) lines.push('')
  lines.push(`Runbook: ${runbookLink(kind, context.config) ?? `${RUNBOOKS}#${runbook}`}`)
  const alarms = linkTo(context, 'alarms')
  if (alarms !== '') lines.push(`All alarms, and silences: ${alarms}`)
  return `${lines.join('\n')}\n`
}

function subjectOf({ cluster }: MessageContext, text: string): string {
  return `[Gantry${cluster === '' ? '' : ` ${cluster}`}] ${text}`
}

function clusterLabel({ cluster }: MessageContext): Readonly<Record<string, string>> {
  return cluster === '' ? {} : { cluster }
}

/** Empty: nobody said where the console is. */
function linkTo({ config }: MessageContext, page: string): string {
  return config.consoleUrl === '' ? '' : `${config.consoleUrl}/#/${page}`
}

function bySeverity(one: Alarm, other: Alarm): number {
  return Number(other.severity === 'error') - Number(one.severity === 'error')
}

/** Pairs that all have. */
function common(
  maps: readonly Readonly<Record<string, string>>[],
): Readonly<Record<string, string>> {
  const [first = {}, ...others] = maps
  const pairs = Object.entries(first).filter(([name, value]) =>
    others.every((other) => other[name] === value),
  )
  return Object.fromEntries(pairs)
}

function fingerprintOf(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return createHash('sha256').update(JSON.stringify(pairs)).digest('hex').slice(0, 16)
}

function utc(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
