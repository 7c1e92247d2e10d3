/**
 * `alarms.json` of the data folder: what fires, who was told of it, silences, and what was there before. With it a console that was started
 * anew does not tell everything again.
 */
import type { Disk } from '../../common/ports.ts'
import type { Logger } from '../../common/log.ts'
import { replaceFileDurably } from '../../common/durable-file.ts'
import { ALARM_KINDS } from './alarm-kinds.ts'
import type { Alarm } from './alarm-states.ts'
import { ALARMS_MAX } from './alarm-states.ts'
import { EMPTY_MEMORY } from './cluster-memory.ts'
import type { DeadLetterMarks, KnownBroker, MemoryState } from './cluster-memory.ts'
import type { Flow, ReceiverStatus } from './notifier.ts'
import { SILENCE_KINDS } from './silences.ts'
import { memberOf, numberOf, textOf } from '../stored-json.ts'
import type { Silence } from '../alarm-types.ts'

export interface AlarmFile {
  readonly alarms: readonly Alarm[]
  readonly flows: readonly Flow[]
  readonly statuses: readonly ReceiverStatus[]
  readonly silences: readonly Silence[]
  readonly memory: MemoryState
}

const VERSION = 1
const EMPTY: AlarmFile = {
  alarms: [],
  flows: [],
  statuses: [],
  silences: [],
  memory: EMPTY_MEMORY,
}

/** Begins anew, with a warning, when the file is not readable: everything that fires is then told again. */
export function loadAlarmFile(disk: Disk, path: string, logger: Logger): AlarmFile {
  const content = disk.readFileSync(path)
  if (content === null) return EMPTY
  const file = decodeAlarmFile(content.toString('utf8'))
  if (file === null) logger.warn({ path }, 'the state of the alarms is not readable')
  return file ?? EMPTY
}

export function saveAlarmFile(disk: Disk, path: string, file: AlarmFile): void {
  // What is pending begins anew.
  const alarms = file.alarms.filter(({ state }) => state !== 'pending')
  replaceFileDurably(disk, path, `${JSON.stringify({ version: VERSION, ...file, alarms })}\n`)
}

/** Null: it is none. */
export function decodeAlarmFile(content: string): AlarmFile | null {
  let root: unknown
  try {
    root = JSON.parse(content)
  } catch {
    return null
  }
  if (memberOf(root, 'version') !== VERSION) return null
  const memory = memberOf(root, 'memory')
  return {
    alarms: listOf(root, 'alarms', alarmOf).slice(0, ALARMS_MAX),
    flows: listOf(root, 'flows', flowOf),
    statuses: listOf(root, 'statuses', statusOf),
    silences: listOf(root, 'silences', silenceOf),
    memory: {
      brokers: listOf(memory, 'brokers', brokerOf),
      deadLetters: listOf(memory, 'deadLetters', marksOf),
      isPrimed: memberOf(memory, 'isPrimed') === true,
    },
  }
}

function alarmOf(value: unknown): Alarm | null {
  const kind = ALARM_KINDS.find((known) => known === memberOf(value, 'kind'))
  const subject = textOf(value, 'subject')
  const firingAt = numberOf(value, 'firingAt')
  const since = numberOf(value, 'since')
  if (kind === undefined || subject === null || firingAt === null || since === null) return null
  const resolvedAt = numberOf(value, 'resolvedAt')
  return {
    key: `${kind} ${subject}`,
    kind,
    subject,
    labels: textsOf(memberOf(value, 'labels')),
    page: textOf(value, 'page') ?? '',
    state: resolvedAt === null ? 'firing' : 'resolved',
    ruleName: textOf(value, 'ruleName') ?? kind,
    ruleLabels: textsOf(memberOf(value, 'ruleLabels')),
    receivers: listOf(value, 'receivers', (name) => (typeof name === 'string' ? name : null)),
    repeatMs: numberOf(value, 'repeatMs') ?? Infinity,
    severity: memberOf(value, 'severity') === 'error' ? 'error' : 'warning',
    problem: textOf(value, 'problem') ?? '',
    advice: textOf(value, 'advice') ?? '',
    value: numberOf(value, 'value'),
    since,
    firingAt,
    resolvedAt,
    falseSince: null,
    isUnsure: true,
  }
}

function flowOf(value: unknown): Flow | null {
  const receiver = textOf(value, 'receiver')
  const kind = ALARM_KINDS.find((known) => known === memberOf(value, 'kind'))
  if (receiver === null || kind === undefined) return null
  const told = listOf(value, 'told', (entry) => {
    const key = textOf(entry, 'key')
    const at = numberOf(entry, 'at')
    return key === null || at === null ? null : { key, at }
  })
  return { receiver, kind, lastSentAt: numberOf(value, 'lastSentAt'), told }
}

function statusOf(value: unknown): ReceiverStatus | null {
  const name = textOf(value, 'name')
  if (name === null) return null
  return {
    name,
    lastDeliveryAt: numberOf(value, 'lastDeliveryAt'),
    lastErrorAt: numberOf(value, 'lastErrorAt'),
    lastError: textOf(value, 'lastError'),
    failures: numberOf(value, 'failures') ?? 0,
    nextTryAt: null,
  }
}

function silenceOf(value: unknown): Silence | null {
  const kind = SILENCE_KINDS.find((known) => known === memberOf(value, 'kind'))
  const [id, subject] = [textOf(value, 'id'), textOf(value, 'subject')]
  const [startsAt, endsAt] = [numberOf(value, 'startsAt'), numberOf(value, 'endsAt')]
  if (kind === undefined || id === null || subject === null) return null
  if (startsAt === null || endsAt === null) return null
  const [comment, by] = [textOf(value, 'comment') ?? '', textOf(value, 'by') ?? '']
  return { id, kind, subject, comment, by, startsAt, endsAt }
}

function brokerOf(value: unknown): KnownBroker | null {
  const brokerName = textOf(value, 'brokerName')
  if (brokerName === null) return null
  return {
    brokerName,
    cluster: textOf(value, 'cluster') ?? '',
    isWritable: memberOf(value, 'isWritable') === true,
    goneSince: numberOf(value, 'goneSince'),
  }
}

function marksOf(value: unknown): DeadLetterMarks | null {
  const group = textOf(value, 'group')
  if (group === null) return null
  const marks = listOf(value, 'marks', (mark) => {
    const [at, total] = [numberOf(mark, 'at'), numberOf(mark, 'total')]
    return at === null || total === null ? null : { at, total }
  })
  return marks.length === 0 ? null : { group, marks }
}

/** Entries that are none are left out. */
function listOf<Entry>(
  value: unknown,
  name: string,
  entryOf: (entry: unknown) => Entry | null,
): readonly Entry[] {
  const list = memberOf(value, name)
  if (!Array.isArray(list)) return []
  return list.flatMap((entry: unknown) => entryOf(entry) ?? [])
}

function textsOf(value: unknown): Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null) return {}
  const pairs = Object.entries(value).filter(([, text]) => typeof text === 'string')
  return Object.fromEntries(pairs.map(([name, text]) => [name, String(text)]))
}
