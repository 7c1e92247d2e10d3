/** The alarms file: who is told, of what, and when. YAML or JSON; docs/operations/console.md describes it. */
import { parse } from 'yaml'
import { DEFAULT_LIMITS } from '../../client/health-verdicts.ts'
import type { LagLimits } from '../../client/health-verdicts.ts'
import { ConfigError } from '../../common/config.ts'
import { messageOf } from '../../common/errors.ts'
import { ALARM_KINDS, KIND_FACTS } from './alarm-kinds.ts'
import type { AlarmKind } from './alarm-kinds.ts'
import { ConfigNode } from './config-node.ts'
import { receiverOf } from './receiver-config.ts'
import type { Receiver } from './receiver-config.ts'

export interface AlarmRule {
  readonly kind: AlarmKind
  readonly name: string
  /** Patterns; empty: all. */
  readonly groups: readonly string[]
  /** Patterns; not empty: each topic of a group counts by itself. */
  readonly topics: readonly string[]
  readonly brokers: readonly string[]
  /** What it matches is no alarm. */
  readonly isOff: boolean
  readonly messages: number
  readonly ageMs: number
  /** Dead letters that came within it; 0: all that are there. */
  readonly withinMs: number
  /** Share of the disk. */
  readonly ratio: number
  readonly onlyConnected: boolean
  readonly forMs: number
  readonly repeatMs: number
  /** Null: that of the finding. */
  readonly severity: 'warning' | 'error' | null
  readonly labels: Readonly<Record<string, string>>
  readonly receivers: readonly string[]
}

export interface AlarmConfig {
  /** Stands in each message; empty: the name that the brokers tell. */
  readonly cluster: string
  /** Where people reach the console; empty: messages have no links. */
  readonly consoleUrl: string
  /** A page with the headings of runbooks.md; empty: its path in the repository is named. */
  readonly runbookUrl: string
  readonly groupWaitMs: number
  readonly groupIntervalMs: number
  /** What is over for so long is over. */
  readonly resolveAfterMs: number
  readonly receivers: readonly Receiver[]
  /** Of the rules of one kind the first that matches counts. */
  readonly rules: readonly AlarmRule[]
}

const RULES_MAX = 200
const RECEIVERS_MAX = 20
const PATTERNS_MAX = 100
const LABELS_MAX = 20
const DAY_MS = 86_400_000
const REPEAT_MS = 4 * 3_600_000
const GROUP_WAIT_MS = 10_000
const GROUP_INTERVAL_MS = 60_000
const RESOLVE_AFTER_MS = 60_000
const WITHIN_MS = 3_600_000
const LABEL_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,99}$/u

/** Without a file: every kind is watched and shown, and nobody is told. */
export function defaultAlarmConfig(thresholds: LagLimits): AlarmConfig {
  return alarmConfigOf(new ConfigNode({}, 'alarmsFile', ''), thresholds)
}

/** Throws `ConfigError` with the path of what is wrong. */
export function parseAlarmConfig(
  content: string,
  file: string,
  thresholds: LagLimits,
): AlarmConfig {
  let parsed: unknown
  try {
    parsed = parse(content, { maxAliasCount: 100 })
  } catch (error) {
    throw new ConfigError('badSyntax', `${file}: ${messageOf(error)}`, error)
  }
  return alarmConfigOf(new ConfigNode(parsed ?? {}, file, ''), thresholds)
}

function alarmConfigOf(root: ConfigNode, thresholds: LagLimits): AlarmConfig {
  const of = root.members([
    'cluster',
    'consoleUrl',
    'runbookUrl',
    'groupWait',
    'groupInterval',
    'resolveAfter',
    'receivers',
    'rules',
  ])
  const receivers = receiversIn(of('receivers'))
  const names = receivers.map(({ name }) => name)
  const given = of('rules')
  const rules = given.isAbsent
    ? defaultRules(thresholds, names)
    : given.list(RULES_MAX).map((node) => ruleOf(node, thresholds, names))
  return {
    cluster: of('cluster').optionalText(''),
    consoleUrl: urlOf(of('consoleUrl')),
    runbookUrl: urlOf(of('runbookUrl')),
    groupWaitMs: of('groupWait').durationMs(GROUP_WAIT_MS, { min: 0, max: DAY_MS }),
    groupIntervalMs: of('groupInterval').durationMs(GROUP_INTERVAL_MS, { min: 1_000, max: DAY_MS }),
    resolveAfterMs: of('resolveAfter').durationMs(RESOLVE_AFTER_MS, { min: 0, max: DAY_MS }),
    receivers,
    rules,
  }
}

function receiversIn(node: ConfigNode): readonly Receiver[] {
  const receivers: Receiver[] = []
  for (const each of node.list(RECEIVERS_MAX)) {
    const receiver = receiverOf(each)
    if (receivers.some(({ name }) => name === receiver.name)) {
      each.fail(`there is another receiver ${receiver.name}`)
    }
    receivers.push(receiver)
  }
  return receivers
}

function urlOf(node: ConfigNode): string {
  const text = node.optionalText('')
  if (text === '') return ''
  if (!URL.canParse(text) || !/^https?:$/u.test(new URL(text).protocol)) {
    return node.fail(`'${text}' is no http or https address`)
  }
  return text.replace(/\/+$/u, '')
}

function defaultRules(thresholds: LagLimits, receivers: readonly string[]): readonly AlarmRule[] {
  return ALARM_KINDS.map((kind) => ({
    ...ruleOf(new ConfigNode({ kind }, '', ''), thresholds, receivers),
    // Groups that nobody uses any more are told by the number of messages only.
    onlyConnected: kind === 'groupOld',
  }))
}

function ruleOf(node: ConfigNode, thresholds: LagLimits, receivers: readonly string[]): AlarmRule {
  const kind = node.members(ALL_OF_A_RULE)('kind').choice(ALARM_KINDS)
  const { scope, forMs } = KIND_FACTS[kind]
  const of = node.members([...OF_EACH_RULE, ...OF_SCOPE[scope], ...(OF_KIND[kind] ?? [])])
  const count = { min: 1, max: Number.MAX_SAFE_INTEGER }
  const messages = of('messages')
  const fewest = kind === 'deadLetters' ? 1 : thresholds.lagMessages
  return {
    kind,
    name: of('name').optionalText(kind),
    groups: of('groups').texts(PATTERNS_MAX),
    topics: of('topics').texts(PATTERNS_MAX),
    brokers: of('brokers').texts(PATTERNS_MAX),
    isOff: of('off').flag(false),
    messages: messages.isAbsent ? fewest : messages.integer(count),
    ageMs: of('age').durationMs(thresholds.lagMs, { min: 1_000, max: 366 * DAY_MS }),
    withinMs: of('within').durationMs(WITHIN_MS, { min: 0, max: 7 * DAY_MS }),
    ratio: of('percent').isAbsent
      ? DEFAULT_LIMITS.diskWarning
      : of('percent').number({ min: 1, max: 100 }) / 100,
    onlyConnected: of('onlyConnected').flag(false),
    forMs: of('for').durationMs(forMs, { min: 0, max: 30 * DAY_MS }),
    repeatMs: of('repeat').durationMs(REPEAT_MS, { min: 10_000, max: 366 * DAY_MS }),
    severity: of('severity').isAbsent ? null : of('severity').choice(['warning', 'error']),
    labels: labelsOf(of('labels')),
    receivers: receiversOf(of('receivers'), receivers),
  }
}

const OF_EACH_RULE = [
  'kind',
  'name',
  'off',
  'for',
  'repeat',
  'severity',
  'labels',
  'receivers',
] as const
const OF_SCOPE = { group: ['groups'], broker: ['brokers'], cluster: [] } as const
const OF_KIND: Readonly<Partial<Record<AlarmKind, readonly string[]>>> = {
  groupLag: ['topics', 'messages', 'onlyConnected'],
  groupOld: ['topics', 'age', 'onlyConnected'],
  deadLetters: ['messages', 'within'],
  diskFilling: ['percent'],
}
const ALL_OF_A_RULE: readonly string[] = [
  ...OF_EACH_RULE,
  ...Object.values(OF_SCOPE).flat(),
  ...Object.values(OF_KIND).flat(),
]

function labelsOf(node: ConfigNode): Readonly<Record<string, string>> {
  const labels: Record<string, string> = {}
  for (const [name, value] of node.entries(LABELS_MAX)) {
    if (!LABEL_NAME.test(name)) value.fail('a label is named by letters, digits and underscores')
    labels[name] = value.text()
  }
  return labels
}

/** All of them when the rule names none. */
function receiversOf(node: ConfigNode, known: readonly string[]): readonly string[] {
  if (node.isAbsent) return known
  return node.list(RECEIVERS_MAX).map((each) => {
    const name = each.text()
    if (known.includes(name)) return name
    return each.fail(`there is no receiver ${name}`)
  })
}
