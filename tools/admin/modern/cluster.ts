/** `gantry cluster`: what it consists of, and in words what is wrong with it. */
import type { Command } from 'commander'
import { messageOf } from '../../../common/errors.ts'
import { groupOverview } from '../group-progress.ts'
import { acting, show, verb } from '../modern.ts'
import type { CommonFlags } from '../modern.ts'
import { makeCommand } from '../program.ts'
import { AdminError, MASTER_ID } from '../session.ts'
import type { Session } from '../session.ts'

export interface Finding {
  readonly severity: 'error' | 'warning'
  /** What it is about: `broker prod-broker-0`. */
  readonly subject: string
  readonly problem: string
  /** What to do next. */
  readonly advice: string
}

/** What is known of a broker; `problem` when it could not be asked. */
export interface BrokerFacts {
  readonly brokerName: string
  readonly address: string | null
  readonly info: ReadonlyMap<string, string>
  readonly config: ReadonlyMap<string, string>
  readonly problem: string | null
}

const DISK_ERROR = 0.9
const DISK_WARNING = 0.75
const BEHIND_BYTES = 64 * 1024 * 1024
const WRITE = 2
const LAG_WARNING = 100_000

async function describe(session: Session, flags: CommonFlags): Promise<void> {
  const { brokers, clusters } = await session.clusterInfo()
  const rows: Record<string, unknown>[] = []
  for (const [cluster, names] of clusters) {
    for (const brokerName of names.toSorted()) {
      for (const [id, address] of brokers.get(brokerName)?.brokerAddrs ?? []) {
        const { info, problem } = await factsOf(session, brokerName, address)
        const first = (name: string) => Number((info.get(name) ?? '0').split(' ')[0])
        rows.push({
          cluster,
          broker: brokerName,
          id,
          address,
          version: info.get('brokerVersionDesc') ?? null,
          inTps: first('putTps'),
          outTps: first('getTransferredTps'),
          disk: problem === null ? `${(first('commitLogDiskRatio') * 100).toFixed(0)} %` : null,
          problem,
        })
      }
    }
  }
  const columns = ['cluster', 'broker', 'id', 'address', 'version', 'inTps', 'outTps', 'disk']
  const withProblems = rows.some(({ problem }) => problem !== null)
  show(session, flags, { columns: withProblems ? [...columns, 'problem'] : columns, rows })
}

async function factsOf(
  session: Session,
  brokerName: string,
  address: string | null,
): Promise<BrokerFacts> {
  const none: ReadonlyMap<string, string> = new Map()
  if (address === null) {
    return { brokerName, address, info: none, config: none, problem: 'it has no leader' }
  }
  try {
    const info = await session.admin.brokerRuntimeInfo(address)
    const config = await session.admin.getBrokerConfig(address)
    return { brokerName, address, info, config, problem: null }
  } catch (error) {
    return { brokerName, address, info: none, config: none, problem: messageOf(error) }
  }
}

/** What is wrong with a broker group, from what it says of itself. */
export function brokerFindings({
  brokerName,
  info,
  config,
  problem,
}: BrokerFacts): readonly Finding[] {
  const subject = `broker ${brokerName}`
  if (problem !== null) {
    const advice = 'look at its pods and their logs; the group needs a majority of its members'
    return [{ severity: 'error', subject, problem, advice }]
  }
  const findings: Finding[] = []
  const number = (name: string) => Number(info.get(name) ?? 0)
  const disk = number('commitLogDiskRatio')
  if (disk >= DISK_WARNING) {
    findings.push({
      severity: disk >= DISK_ERROR ? 'error' : 'warning',
      subject,
      problem: `its disk is ${(disk * 100).toFixed(0)} % full`,
      advice: 'enlarge the volume, or lower fileReservedTime; at 90 % it takes no messages',
    })
  }
  if ((Number(config.get('brokerPermission') ?? 6) & WRITE) === 0) {
    const advice = `set brokerPermission to 6: gantry admin updateBrokerConfig -b ADDRESS -k brokerPermission -v 6`
    findings.push({ severity: 'warning', subject, problem: 'it takes no messages', advice })
  }
  if (number('dispatchBehindBytes') > BEHIND_BYTES) {
    const megabytes = Math.round(number('dispatchBehindBytes') / 1024 / 1024)
    const advice = 'its disk is too slow for what is sent; add a group or faster disks'
    const behind = `messages of ${megabytes} MiB are stored and cannot be read yet`
    findings.push({ severity: 'warning', subject, problem: behind, advice })
  }
  return findings
}

async function findingsOf(session: Session): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  for (const address of session.nameServers) {
    try {
      await session.admin.clusterInfo(address)
    } catch (error) {
      const advice = 'clients go on with the others; look at its pod'
      const subject = `name server ${address}`
      findings.push({ severity: 'warning', subject, problem: messageOf(error), advice })
    }
  }
  if (findings.length === session.nameServers.length) {
    throw new AdminError('failed', `no name server answers: ${findings[0]?.problem ?? ''}`)
  }
  const { brokers } = await session.clusterInfo()
  if (brokers.size === 0) {
    const advice = 'look at the brokers: is namesrvAddr right?'
    const problem = 'no broker is registered'
    findings.push({ severity: 'error', subject: 'cluster', problem, advice })
  }
  for (const [brokerName, { brokerAddrs }] of brokers) {
    const address = brokerAddrs.get(MASTER_ID) ?? null
    findings.push(...brokerFindings(await factsOf(session, brokerName, address)))
  }
  return [...findings, ...(await groupFindings(session))]
}

async function groupFindings(session: Session): Promise<readonly Finding[]> {
  const groups = await groupOverview(session).catch(() => [])
  return groups
    .filter(({ lag }) => lag >= LAG_WARNING)
    .map(({ name, lag, members }) => ({
      severity: 'warning',
      subject: `group ${name}`,
      problem: `${lag} messages are left to be read, by ${members} connected members`,
      advice:
        members === 0
          ? 'start its consumers, or delete the group when nobody needs it'
          : `gantry group lag ${name} --watch; more members help up to the number of queues`,
    }))
}

async function health(session: Session, flags: CommonFlags): Promise<void> {
  const findings = await findingsOf(session)
  const isHealthy = findings.every(({ severity }) => severity !== 'error')
  if (flags.output === 'table' && findings.length === 0) {
    session.line('healthy: all name servers and brokers answer, and nothing is wrong with them')
    return
  }
  show(session, flags, {
    columns: ['severity', 'subject', 'problem', 'advice'],
    rows: findings.map((finding) => ({ ...finding })),
    data: { isHealthy, findings },
  })
  if (!isHealthy) throw new AdminError('failed', 'the cluster is not healthy')
}

export function clusterCommand(): Command {
  const noun = makeCommand('cluster', 'the cluster: describe, health')
  noun.addCommand(acting<CommonFlags>(verb('describe', 'brokers, rates, disks'), describe))
  noun.addCommand(
    acting<CommonFlags>(
      verb('health', 'what is wrong, and what to do; exit code 1 when it is serious'),
      health,
    ),
  )
  return noun
}
