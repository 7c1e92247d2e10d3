/** Rows of the page about alarms. Pure. */
import type { AlarmReceiverRow, AlarmRow, AlarmRuleRow } from '../alarm-types.ts'
import type { AlarmConfig, AlarmRule } from './alarm-config.ts'
import { KIND_FACTS } from './alarm-kinds.ts'
import type { Alarm } from './alarm-states.ts'
import { RUNBOOKS, runbookLink } from './messages.ts'
import type { Flow, ReceiverStatus } from './notifier.ts'
import { describeTarget } from './receiver-config.ts'
import type { Silence } from '../alarm-types.ts'

export function alarmRow(
  alarm: Alarm & { readonly state: 'pending' | 'firing' },
  parts: {
    readonly config: AlarmConfig
    readonly flows: readonly Flow[]
    readonly silence: Silence | null
    readonly goneBrokers: ReadonlySet<string>
  },
): AlarmRow {
  const { config, flows, silence, goneBrokers } = parts
  const { key, kind, subject, state, severity, problem, advice, since, firingAt, page } = alarm
  const broker = alarm.labels['broker'] ?? ''
  return {
    key,
    kind,
    title: KIND_FACTS[kind].title,
    subject,
    state,
    severity,
    problem,
    advice,
    since,
    firingAt,
    page,
    runbook: `${RUNBOOKS}#${KIND_FACTS[kind].runbook}`,
    runbookUrl: runbookLink(kind, config),
    isUnsure: alarm.isUnsure,
    isClearing: alarm.falseSince !== null,
    silencedUntil: silence?.endsAt ?? null,
    told: flows
      .filter(({ told }) => told.some((entry) => entry.key === key))
      .map(({ receiver }) => receiver),
    gone: kind === 'brokerAway' && goneBrokers.has(broker) ? broker : null,
  }
}

export function receiverRow(
  config: AlarmConfig,
  { name, lastDeliveryAt, lastErrorAt, lastError, failures, nextTryAt }: ReceiverStatus,
): readonly AlarmReceiverRow[] {
  const receiver = config.receivers.find((each) => each.name === name)
  if (receiver === undefined) return []
  const { target, sendResolved } = receiver
  const known = { lastDeliveryAt, lastErrorAt, lastError, failures, nextTryAt }
  return [{ name, type: target.type, target: describeTarget(target), sendResolved, ...known }]
}

export function ruleRow(rule: AlarmRule): AlarmRuleRow {
  const { name, kind, forMs, repeatMs, receivers } = rule
  const { title, scope } = KIND_FACTS[kind]
  const patterns = scope === 'group' ? rule.groups : rule.brokers
  const own = patterns.length === 0 ? `all ${scope}s` : patterns.join(', ')
  const topics = rule.topics.length === 0 ? '' : `, each topic of ${rule.topics.join(', ')}`
  return {
    name,
    kind,
    title,
    of: scope === 'cluster' ? 'the cluster' : `${own}${topics}`,
    when: rule.isOff ? 'never' : whenOf(rule),
    forMs,
    repeatMs,
    receivers,
  }
}

function whenOf(rule: AlarmRule): string {
  const { kind, messages, ageMs, withinMs, ratio, onlyConnected } = rule
  const connected = onlyConnected ? ', while members are connected' : ''
  if (kind === 'groupLag') return `${messages} messages or more are left to be read${connected}`
  if (kind === 'groupOld') return `a message waits for ${minutes(ageMs)} or longer${connected}`
  if (kind === 'diskFilling') return `the disk is ${Math.round(ratio * 100)} % full or more`
  if (kind !== 'deadLetters') return KIND_FACTS[kind].title
  const within = withinMs === 0 ? '' : ` within ${minutes(withinMs)}`
  return `${messages} or more messages were given up${within}`
}

function minutes(ms: number): string {
  return ms < 120_000 ? `${ms / 1000} s` : `${Math.round(ms / 60_000)} min`
}
