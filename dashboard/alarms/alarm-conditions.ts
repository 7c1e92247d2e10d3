/** What is wrong in a picture of the cluster by the rules. Pure; the verdicts are those of `gantry cluster health`. */
import { diskRatioOf } from '../../client/cluster-picture.ts'
import type { ClusterPicture, GroupState } from '../../client/cluster-picture.ts'
import {
  DEAD_LETTER_ADVICE,
  DEFAULT_LIMITS,
  backlogFinding,
  brokerFindings,
  brokerGoneFinding,
  consumptionOffFinding,
  nameServerFindings,
  verdictsOf,
} from '../../client/health-verdicts.ts'
import type { Finding, FindingCode } from '../../client/health-verdicts.ts'
import type { AlarmConfig, AlarmRule } from './alarm-config.ts'
import type { AlarmKind } from './alarm-kinds.ts'
import { isBlind, isWhole } from './cluster-memory.ts'
import type { ClusterMemory } from './cluster-memory.ts'
import { matchesGlob } from './glob.ts'

/** Names what an alarm is about: `group`, `topic`, `broker`, `name_server`. */
export type AlarmLabels = Readonly<Record<string, string>>

export interface Condition {
  readonly rule: AlarmRule
  readonly subject: string
  readonly severity: 'warning' | 'error'
  readonly problem: string
  readonly advice: string
  /** Messages, milliseconds or a share, by the kind; null: it has none. */
  readonly value: number | null
  readonly labels: AlarmLabels
  /** Page of the console, behind its `#/`. */
  readonly page: string
}

const KIND_OF: Readonly<Partial<Record<FindingCode, AlarmKind>>> = {
  noLeader: 'brokerAway',
  brokerSilent: 'brokerAway',
  brokerRefuses: 'brokerAway',
  brokerGone: 'brokerAway',
  memberDown: 'memberDown',
  memberBehind: 'memberBehind',
  diskFilling: 'diskFilling',
  readOnly: 'readOnly',
  notWritable: 'notWritable',
  dispatchBehind: 'dispatchBehind',
}

/** Each subject once for each kind. */
export function conditionsOf(
  picture: ClusterPicture,
  { rules }: Pick<AlarmConfig, 'rules'>,
  memory: ClusterMemory,
): readonly Condition[] {
  const found: Condition[] = [
    ...clusterConditions(picture, rules),
    ...brokerConditions(picture, rules, memory),
  ]
  for (const group of picture.groups.values()) {
    if (!group.isSystem) found.push(...groupConditions(group, picture.at, rules, memory))
  }
  const byKey = new Map<string, Condition>()
  for (const condition of found) {
    if (condition.rule.isOff) continue
    const key = `${condition.rule.kind} ${condition.subject}`
    const other = byKey.get(key)
    byKey.set(key, other === undefined ? condition : together(other, condition))
  }
  return [...byKey.values()]
}

/** Several members of one broker group, for instance. */
function together(one: Condition, other: Condition): Condition {
  const severity = [one, other].some((each) => each.severity === 'error') ? 'error' : 'warning'
  return { ...one, severity, problem: `${one.problem}; ${other.problem}` }
}

/**
 * Whether the picture can say that something is over. While a broker is silent its groups and disks are as they were when it answered last;
 * then an alarm about them is neither over nor new.
 */
export function canTell(
  picture: ClusterPicture,
  memory: ClusterMemory,
): (kind: AlarmKind, labels: AlarmLabels) => boolean {
  const blind = isBlind(picture)
  const gone = new Set(memory.gone.map(({ brokerName }) => brokerName))
  const all = isWhole(picture) && gone.size === 0
  const brokers = new Map(picture.brokers.map((broker) => [broker.brokerName, broker]))
  return (kind, labels) => {
    if (kind === 'nameServerDown') return true
    const brokerName = labels['broker']
    if (brokerName !== undefined) {
      const broker = brokers.get(brokerName)
      if (kind === 'brokerAway') return !blind || broker !== undefined
      if (broker === undefined) return !blind && !gone.has(brokerName)
      return broker.problem === null && broker.picture !== null
    }
    return kind === 'noBroker' ? !blind : all
  }
}

function clusterConditions(
  picture: ClusterPicture,
  rules: readonly AlarmRule[],
): readonly Condition[] {
  const conditions: Condition[] = []
  const down = rules.find(({ kind }) => kind === 'nameServerDown')
  if (down !== undefined) {
    const findings = nameServerFindings(picture)
    const silent = picture.nameServers.filter(({ problem }) => problem !== null)
    for (const [index, finding] of findings.entries()) {
      const labels = { name_server: silent[index]?.address ?? '' }
      conditions.push(conditionOf(down, finding, labels, ''))
    }
  }
  const none = rules.find(({ kind }) => kind === 'noBroker')
  if (none !== undefined && picture.brokers.length === 0 && !isBlind(picture)) {
    const finding = verdictsOf(picture).find(({ code }) => code === 'noBroker')
    if (finding !== undefined) conditions.push(conditionOf(none, finding, {}, 'brokers'))
  }
  return conditions
}

function brokerConditions(
  picture: ClusterPicture,
  rules: readonly AlarmRule[],
  memory: ClusterMemory,
): readonly Condition[] {
  const conditions: Condition[] = []
  const ruleOf = (wanted: AlarmKind, brokerName: string): AlarmRule | null =>
    rules.find(({ kind, brokers }) => kind === wanted && isAmong(brokers, brokerName)) ?? null
  const add = (finding: Finding, brokerName: string, value: number | null): void => {
    const kind = KIND_OF[finding.code]
    const rule = kind === undefined ? null : ruleOf(kind, brokerName)
    if (rule === null) return
    conditions.push(conditionOf(rule, finding, { broker: brokerName }, 'brokers', value))
  }
  for (const state of picture.brokers) {
    const { brokerName } = state
    const diskWarning = ruleOf('diskFilling', brokerName)?.ratio ?? DEFAULT_LIMITS.diskWarning
    const disk = state.picture === null ? null : diskRatioOf(state.picture.broker)
    for (const finding of brokerFindings(state, { ...DEFAULT_LIMITS, diskWarning })) {
      add(finding, brokerName, finding.code === 'diskFilling' ? disk : null)
    }
  }
  for (const { brokerName, goneSince } of memory.gone) {
    add(brokerGoneFinding(brokerName, picture.at - goneSince), brokerName, null)
  }
  return conditions
}

function groupConditions(
  group: GroupState,
  at: number,
  rules: readonly AlarmRule[],
  memory: ClusterMemory,
): readonly Condition[] {
  const own = rules.filter(({ groups }) => isAmong(groups, group.name))
  const conditions: Condition[] = []
  const page = `groups/${encodeURIComponent(group.name)}`
  const labels = { group: group.name }
  conditions.push(...backlogConditions(group, at, own))
  const off = own.find(({ kind }) => kind === 'consumptionOff')
  const offFinding = off === undefined ? null : consumptionOffFinding(group)
  if (off !== undefined && offFinding !== null) {
    conditions.push(conditionOf(off, offFinding, labels, page, group.lag))
  }
  const dead = own.find(({ kind }) => kind === 'deadLetters')
  if (dead !== undefined) {
    const { withinMs, messages } = dead
    const count =
      withinMs === 0 ? group.deadLetters : memory.deadLettersWithin(group.name, withinMs, at)
    if (count >= messages) {
      const finding = deadLetterFinding(group.name, count, withinMs)
      const place = `dead-letters/${encodeURIComponent(group.name)}`
      conditions.push(conditionOf(dead, finding, labels, place, count))
    }
  }
  return conditions
}

/** Lag in messages and in age; for a group as a whole, and for those of its topics that rules name. */
function backlogConditions(
  group: GroupState,
  at: number,
  rules: readonly AlarmRule[],
): readonly Condition[] {
  const conditions: Condition[] = []
  const parts = [null, ...group.topics.filter(({ isSubscribed }) => isSubscribed)]
  for (const kind of ['groupLag', 'groupOld'] as const) {
    const ofKind = rules.filter((rule) => rule.kind === kind)
    for (const part of parts) {
      const rule = ofKind.find(({ topics }) =>
        part === null ? topics.length === 0 : topics.length > 0 && isAmong(topics, part.topic),
      )
      if (rule === undefined || (rule.onlyConnected && group.members === 0)) continue
      const limits =
        kind === 'groupLag'
          ? { lagMessages: rule.messages, lagMs: Infinity }
          : { lagMessages: Infinity, lagMs: rule.ageMs }
      const finding = backlogFinding(group, at, limits, part)
      if (finding === null) continue
      const { lag, oldestUnread } = part ?? group
      const value = kind === 'groupLag' ? lag : at - (oldestUnread ?? at)
      const labels: AlarmLabels =
        part === null ? { group: group.name } : { group: group.name, topic: part.topic }
      const page = `groups/${encodeURIComponent(group.name)}`
      conditions.push(conditionOf(rule, finding, labels, page, value))
    }
  }
  return conditions
}

function deadLetterFinding(group: string, count: number, withinMs: number): Finding {
  const minutes = Math.round(withinMs / 60_000)
  const within = withinMs === 0 ? '' : ` within the last ${minutes} minutes`
  return {
    severity: 'warning',
    code: 'deadLetters',
    subject: `group ${group}`,
    problem: `${count} messages were given up after all retries${within}`,
    advice: DEAD_LETTER_ADVICE,
  }
}

function conditionOf(
  rule: AlarmRule,
  { subject, severity, problem, advice }: Finding,
  labels: AlarmLabels,
  page: string,
  value: number | null = null,
): Condition {
  return {
    rule,
    subject,
    severity: rule.severity ?? severity,
    problem,
    advice,
    value,
    labels,
    page,
  }
}

/** No pattern: all. */
function isAmong(patterns: readonly string[], name: string): boolean {
  return patterns.length === 0 || patterns.some((pattern) => matchesGlob(pattern, name))
}
