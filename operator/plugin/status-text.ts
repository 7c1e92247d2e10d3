/** A cluster's status as text for people. Pure. */
import type { ClusterStatus, Condition, GroupStatus } from '../cluster-types.ts'

export interface ClusterView {
  readonly namespace: string
  readonly name: string
  readonly status: ClusterStatus | null
}

/** Conditions that are good news when False. */
const BAD: readonly string[] = ['Degraded']
const SHOWN: readonly string[] = ['Available', 'Degraded', 'Progressing', 'Paused', 'Hibernated']

/** One line for each cluster. */
export function listText(clusters: readonly ClusterView[]): string {
  if (clusters.length === 0) return 'no clusters\n'
  const rows = clusters.map(({ namespace, name, status }) => [
    namespace,
    name,
    conditionOf(status, 'Ready')?.status ?? 'Unknown',
    String(status?.brokerGroups ?? '?'),
    status?.membersInSync ?? '?',
    status?.nameServersReady ?? '?',
    status?.usedPercent === null || status === null ? '?' : `${status.usedPercent}%`,
    status?.plan[0] ?? conditionOf(status, 'Ready')?.message ?? '',
  ])
  const head = ['NAMESPACE', 'NAME', 'READY', 'GROUPS', 'IN SYNC', 'NAMESRV', 'DISK', 'NEXT']
  return table([head, ...rows])
}

/** Everything that the status says of one cluster. */
export function clusterText({ namespace, name, status }: ClusterView): string {
  if (status === null) return `${namespace}/${name}: the operator has not looked at it yet\n`
  const ready = conditionOf(status, 'Ready')
  const lines = [
    `${namespace}/${name}  ${ready?.status === 'True' ? 'Ready' : 'not Ready'}: ${ready?.message ?? ''}`,
    `version ${status.version ?? '?'}, name servers ${status.nameServersReady} (${status.nameServers.join(';')})`,
    '',
    ...conditionLines(status),
  ]
  const groups = status.groups.flatMap((group) => groupRows(group))
  if (groups.length > 0) {
    const head = ['GROUP', 'PHASE', 'IN SYNC', 'TERM', 'DISK', 'MEMBER', 'ROLE', 'READY', 'LAG']
    lines.push('', table([head, ...groups]).trimEnd())
  }
  lines.push('', ...planLines(status))
  return `${lines.join('\n')}\n`
}

function conditionLines({ conditions }: ClusterStatus): readonly string[] {
  return conditions.flatMap(({ type, status, reason, message }) => {
    if (!SHOWN.includes(type)) return []
    const isGood = BAD.includes(type)
      ? status === 'False'
      : type === 'Available'
        ? status === 'True'
        : true
    const isQuiet = isGood && (type !== 'Available' ? status === 'False' : true)
    if (isQuiet) return []
    return [`${isGood ? ' ' : '!'} ${type}=${status} ${reason}: ${message}`]
  })
}

function groupRows(group: GroupStatus): readonly (readonly string[])[] {
  const { name, phase, inSync, term, storage, members } = group
  const own = [
    name,
    phase,
    inSync,
    term === null ? '?' : String(term),
    storage.usedPercent === null ? '?' : `${storage.usedPercent}%`,
  ]
  if (members.length === 0) return [[...own, '-', '', '', '']]
  return members.map(({ pod, role, ready, lagBytes }, index) => [
    ...(index === 0 ? own : ['', '', '', '', '']),
    pod,
    role ?? '?',
    ready ? 'yes' : 'no',
    lagBytes === null ? '?' : bytesText(lagBytes),
  ])
}

/** What is still to be done, and how long the drains among it will take. */
function planLines({ plan, groups }: ClusterStatus): readonly string[] {
  const drains = groups.flatMap(({ name, drain }) => {
    if (drain === null) return []
    const left = drain.remainingMessages ?? '?'
    const eta = drain.etaSeconds === null ? 'unknown' : durationText(drain.etaSeconds)
    const blocked = drain.blockedBy.map((reason) => `    waits for ${reason}`)
    return [`  ${name} is emptied: ${left} messages left, ETA ${eta}`, ...blocked]
  })
  if (plan.length === 0 && drains.length === 0) return ['Plan: nothing to be done']
  return ['Plan:', ...plan.map((line, index) => `  ${index + 1}. ${line}`), ...drains]
}

function conditionOf(status: ClusterStatus | null, type: string): Condition | undefined {
  return status?.conditions.find((condition) => condition.type === type)
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

function bytesText(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`
}

function durationText(seconds: number): string {
  if (seconds < 120) return `${Math.ceil(seconds)} s`
  if (seconds < 7200) return `${Math.ceil(seconds / 60)} min`
  return `${(seconds / 3600).toFixed(1)} h`
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  )
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  return `${rows.map(line).join('\n')}\n`
}
