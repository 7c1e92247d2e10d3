/** What is wrong with a cluster, in words, and what to do next. Pure; `gantry cluster health` and the console say the same. */
import { Permission } from '../remoting/bodies/topic-config.ts'
import { diskRatioOf } from './cluster-picture.ts'
import type { BrokerState, ClusterPicture, GroupState, TopicProgress } from './cluster-picture.ts'

export interface Finding {
  readonly severity: 'error' | 'warning'
  /** What kind of finding it is, for programs: `diskFull`, `noLeader` … */
  readonly code: FindingCode
  /** What it is about: `broker prod-broker-0`. */
  readonly subject: string
  readonly problem: string
  /** What to do next. */
  readonly advice: string
}

export type FindingCode =
  | 'nameServerDown'
  | 'noBroker'
  | 'noLeader'
  | 'brokerSilent'
  | 'brokerRefuses'
  | 'brokerGone'
  | 'memberDown'
  | 'memberBehind'
  | 'diskFilling'
  | 'readOnly'
  | 'notWritable'
  | 'dispatchBehind'
  | 'groupLag'
  | 'groupOld'
  | 'consumptionOff'
  | 'deadLetters'
  | 'pictureTruncated'

export interface LagLimits {
  /** Messages that a group may be behind. */
  readonly lagMessages: number
  /** How old the oldest unread message of a group may be. */
  readonly lagMs: number
}

export interface VerdictLimits extends LagLimits {
  readonly diskWarning: number
  readonly diskError: number
}

export const DEFAULT_LIMITS: VerdictLimits = {
  lagMessages: 100_000,
  lagMs: 60 * 60_000,
  diskWarning: 0.75,
  diskError: 0.9,
}

/** What to do about messages that a group gave up. */
export const DEAD_LETTER_ADVICE =
  'find out why they fail, then send them again from the console (dead letters)'

/** What to do when brokers ask for a user, or for another one. */
export const REFUSED_ADVICE =
  'give GANTRY_ACCESS_KEY and GANTRY_SECRET_KEY of a super user, or of one who may Get the cluster, to the environment of whoever asks'

const BEHIND_BYTES = 64 * 1024 * 1024
/** Groups that are named one by one; the others are counted. */
const GROUPS_NAMED = 20

/** Errors first; empty: nothing is wrong. */
export function verdictsOf(
  picture: ClusterPicture,
  limits: VerdictLimits = DEFAULT_LIMITS,
): readonly Finding[] {
  const findings: Finding[] = [...nameServerFindings(picture)]
  if (picture.brokers.length === 0) {
    findings.push({
      severity: 'error',
      code: 'noBroker',
      subject: 'cluster',
      problem: 'no broker is registered',
      advice: 'look at the brokers: is namesrvAddr right?',
    })
  }
  for (const broker of picture.brokers) findings.push(...brokerFindings(broker, limits))
  findings.push(...groupFindings(picture, limits))
  return findings.toSorted((a, b) => rank(a) - rank(b))
}

function rank({ severity }: Finding): number {
  return severity === 'error' ? 0 : 1
}

/** Name servers that do not answer. */
export function nameServerFindings({
  nameServers,
}: Pick<ClusterPicture, 'nameServers'>): readonly Finding[] {
  const silent = nameServers.filter(({ problem }) => problem !== null)
  const isAll = silent.length === nameServers.length
  return silent.map(({ address, problem }) => ({
    severity: isAll ? 'error' : 'warning',
    code: 'nameServerDown',
    subject: `name server ${address}`,
    problem: problem ?? '',
    advice: isAll
      ? 'clients find no broker that they do not know yet; look at the pods of the name servers'
      : 'clients go on with the others; look at its pod',
  }))
}

/** A broker group that takes messages does not go by itself: it is told when the name servers know it no more. */
export function brokerGoneFinding(brokerName: string, goneForMs: number): Finding {
  return {
    severity: 'error',
    code: 'brokerGone',
    subject: `broker ${brokerName}`,
    problem: `it went from the name servers ${durationText(goneForMs)} ago, and was not emptied before`,
    advice: 'look at its pods and their logs; the group needs a majority of its members',
  }
}

/** What is wrong with a broker group, from what it says of itself. */
export function brokerFindings(
  { brokerName, address, picture, problem, isRefused }: BrokerState,
  limits: VerdictLimits = DEFAULT_LIMITS,
): readonly Finding[] {
  const subject = `broker ${brokerName}`
  if (isRefused) {
    const code = 'brokerRefuses'
    return [{ severity: 'error', code, subject, problem: problem ?? '', advice: REFUSED_ADVICE }]
  }
  if (address === null || problem !== null || picture === null) {
    return [
      {
        severity: 'error',
        code: address === null ? 'noLeader' : 'brokerSilent',
        subject,
        problem: address === null ? 'it has no leader' : (problem ?? 'it has not answered yet'),
        advice: 'look at its pods and their logs; the group needs a majority of its members',
      },
    ]
  }
  const findings = [
    ...memberFindings(subject, picture.broker),
    ...storeFindings(subject, picture.broker, limits),
  ]
  if (picture.isTruncated) {
    findings.push({
      severity: 'warning',
      code: 'pictureTruncated',
      subject,
      problem: 'it has more topics or groups than are shown',
      advice: 'use gantry topic and gantry group for those that are missing',
    })
  }
  return findings
}

type Broker = NonNullable<BrokerState['picture']>['broker']

function memberFindings(subject: string, { members, role }: Broker): readonly Finding[] {
  if (role !== 'leader') {
    const advice = 'wait some seconds; if it stays so, look at the pods of the group'
    const problem = 'its members are electing a leader, nothing is sent or read'
    return [{ severity: 'error', code: 'noLeader', subject, problem, advice }]
  }
  const findings: Finding[] = []
  const voters = members.filter((member) => member.role !== 'learner')
  const gone = voters.filter(({ isAlive }) => !isAlive)
  const spare = Math.floor((voters.length - 1) / 2) - gone.length
  for (const { id, address } of gone) {
    findings.push({
      severity: 'warning',
      code: 'memberDown',
      subject,
      problem: `member ${id} (${address}) does not answer${spare <= 0 ? '; if one more fails, the group stops' : ''}`,
      advice: 'start its pod again; its log is completed by itself',
    })
  }
  for (const { id, lagBytes, isAlive } of members) {
    if (!isAlive || lagBytes === null || lagBytes <= BEHIND_BYTES) continue
    findings.push({
      severity: 'warning',
      code: 'memberBehind',
      subject,
      problem: `member ${id} is ${mebibytes(lagBytes)} behind the leader`,
      advice: 'wait while it catches up; do not restart another member until then',
    })
  }
  return findings
}

function storeFindings(subject: string, broker: Broker, limits: VerdictLimits): readonly Finding[] {
  const findings: Finding[] = []
  const disk = diskRatioOf(broker)
  if (disk !== null && disk >= limits.diskWarning) {
    findings.push({
      severity: disk >= limits.diskError ? 'error' : 'warning',
      code: 'diskFilling',
      subject,
      problem: `its disk is ${(disk * 100).toFixed(0)} % full`,
      advice: 'enlarge the volume, or lower fileReservedTime; at 90 % it takes no messages',
    })
  }
  if (broker.readOnlyReason !== null) {
    findings.push({
      severity: 'error',
      code: 'readOnly',
      subject,
      problem: `it takes no messages: ${broker.readOnlyReason}`,
      advice: 'make room on its disk, or look at its log when the disk is not full',
    })
  }
  if ((broker.brokerPermission & Permission.WRITE) === 0) {
    findings.push({
      severity: 'warning',
      code: 'notWritable',
      subject,
      problem: 'it takes no messages',
      advice:
        'when it shall go this is right; else set brokerPermission to 6: gantry admin updateBrokerConfig -b ADDRESS -k brokerPermission -v 6',
    })
  }
  if (broker.dispatchBehindBytes > BEHIND_BYTES) {
    findings.push({
      severity: 'warning',
      code: 'dispatchBehind',
      subject,
      problem: `messages of ${mebibytes(broker.dispatchBehindBytes)} are stored and cannot be read yet`,
      advice: 'its disk is too slow for what is sent; add a group or faster disks',
    })
  }
  return findings
}

function groupFindings(picture: ClusterPicture, limits: VerdictLimits): readonly Finding[] {
  const findings: Finding[] = []
  const groups = [...picture.groups.values()].filter(({ isSystem }) => !isSystem)
  const behind = groups
    .flatMap((group) => lagFinding(group, picture.at, limits) ?? [])
    .toSorted((a, b) => b.weight - a.weight)
  findings.push(...behind.slice(0, GROUPS_NAMED).map(({ finding }) => finding))
  const more = behind.length - GROUPS_NAMED
  if (more > 0) {
    findings.push({
      severity: 'warning',
      code: 'groupLag',
      subject: 'groups',
      problem: `${more} more groups are far behind`,
      advice: 'gantry group list has them all, the furthest behind first',
    })
  }
  const given = groups.filter(({ deadLetters }) => deadLetters > 0)
  if (given.length > 0) {
    const names = given.slice(0, 3).map(({ name }) => name)
    const others = given.length > names.length ? ` and ${given.length - names.length} more` : ''
    const count = given.reduce((sum, { deadLetters }) => sum + deadLetters, 0)
    findings.push({
      severity: 'warning',
      code: 'deadLetters',
      subject: 'dead letters',
      problem: `${count} messages were given up after all retries, of ${names.join(', ')}${others}`,
      advice: DEAD_LETTER_ADVICE,
    })
  }
  return findings
}

function lagFinding(
  group: GroupState,
  at: number,
  limits: VerdictLimits,
): { readonly weight: number; readonly finding: Finding } | null {
  const { lag, members } = group
  const off = consumptionOffFinding(group)
  if (off !== null) return { weight: lag, finding: off }
  // A group that nobody uses any more is left alone until much waits for it.
  if (members === 0 && lag < limits.lagMessages) return null
  const finding = backlogFinding(group, at, limits)
  return finding === null ? null : { weight: lag, finding }
}

/** Members are connected, messages wait, and consumption is switched off; null: it is not so. */
export function consumptionOffFinding({ name, lag, members, config }: GroupState): Finding | null {
  if (lag === 0 || config?.consumeEnable !== false || members === 0) return null
  return {
    severity: 'warning',
    code: 'consumptionOff',
    subject: `group ${name}`,
    problem: `consumption is switched off, ${lag} messages wait`,
    advice: 'switch it on again in the settings of the group',
  }
}

/** A group that is behind by more than the limits, in all that it reads or in one topic; null: it is not. */
export function backlogFinding(
  group: GroupState,
  at: number,
  limits: LagLimits,
  topic: TopicProgress | null = null,
): Finding | null {
  const { name, members } = group
  const { lag, oldestUnread, consumeTps } = topic ?? group
  if (lag === 0) return null
  const ageMs = oldestUnread === null ? 0 : at - oldestUnread
  const isFar = lag >= limits.lagMessages
  if (!isFar && ageMs < limits.lagMs) return null
  const standsStill = members > 0 && consumeTps === 0
  const left = `${lag} messages are left to be read, by ${members} connected members`
  const age = ageMs < limits.lagMs ? '' : `; the oldest waits for ${durationText(ageMs)}`
  return {
    severity: 'warning',
    code: isFar ? 'groupLag' : 'groupOld',
    subject: topic === null ? `group ${name}` : `group ${name}, topic ${topic.topic}`,
    problem: `${left}${age}`,
    advice:
      members === 0
        ? 'start its consumers, or delete the group when nobody needs it'
        : standsStill
          ? 'its members read nothing: look at their logs, they may hang or fail at each message'
          : `gantry group lag ${name} --watch; more members help up to the number of queues`,
  }
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`
}

function durationText(ms: number): string {
  const minutes = Math.round(ms / 60_000)
  if (minutes < 120) return `${minutes} minutes`
  const hours = Math.round(minutes / 60)
  return hours < 48 ? `${hours} hours` : `${Math.round(hours / 24)} days`
}
