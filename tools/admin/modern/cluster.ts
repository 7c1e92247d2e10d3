/** `gantry cluster`: what it consists of, and in words what is wrong with it. */
import type { Command } from 'commander'
import { collectCluster } from '../../../client/cluster-collect.ts'
import { clusterPicture } from '../../../client/cluster-picture.ts'
import { electLeader } from '../../../client/group-state.ts'
import { verdictsOf } from '../../../client/health-verdicts.ts'
import type { Finding } from '../../../client/health-verdicts.ts'
import { messageOf } from '../../../common/errors.ts'
import { numberIn } from '../../bench-options.ts'
import { acting, changingVerb, isMeant, show, verb } from '../modern.ts'
import type { CommonFlags } from '../modern.ts'
import { makeCommand } from '../program.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'

async function describe(session: Session, flags: CommonFlags): Promise<void> {
  const { brokers, clusters } = await session.clusterInfo()
  const rows: Record<string, unknown>[] = []
  for (const [cluster, names] of clusters) {
    for (const brokerName of names.toSorted()) {
      for (const [id, address] of brokers.get(brokerName)?.brokerAddrs ?? []) {
        const { info, problem } = await factsOf(session, address)
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

/** What a broker says of itself; a problem when it cannot be asked. */
async function factsOf(
  session: Session,
  address: string,
): Promise<{ readonly info: ReadonlyMap<string, string>; readonly problem: string | null }> {
  try {
    return { info: await session.admin.brokerRuntimeInfo(address), problem: null }
  } catch (error) {
    return { info: new Map<string, string>(), problem: messageOf(error) }
  }
}

async function findingsOf(session: Session): Promise<readonly Finding[]> {
  const { nameServers, brokers } = await collectCluster(session.admin, session.nameServers, {
    now: () => session.now,
    before: [],
  })
  const [first] = nameServers
  if (nameServers.every(({ problem }) => problem !== null)) {
    throw new AdminError('failed', `no name server answers: ${first?.problem ?? ''}`)
  }
  return verdictsOf(clusterPicture(session.now, nameServers, brokers))
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

interface TransferFlags extends CommonFlags {
  readonly to?: number
}

/** Asks the leader of a broker group; it hands over within a moment, or goes on leading when the other one cannot. */
async function transfer(
  session: Session,
  flags: TransferFlags,
  [brokerName = '']: readonly string[],
): Promise<void> {
  const { address } = await session.leaderNamed(brokerName)
  const to = flags.to === undefined ? 'the member that is furthest' : `member ${flags.to}`
  if (!isMeant(session, flags, `hand the leadership of ${brokerName} over to ${to}`)) return
  await electLeader(session.admin, address, { brokerName, brokerId: flags.to })
  session.options.warn(`${brokerName} hands over to ${to}`)
}

export function clusterCommand(): Command {
  const noun = makeCommand('cluster', 'the cluster: describe, health, transfer')
  noun.addCommand(acting<CommonFlags>(verb('describe', 'brokers, rates, disks'), describe))
  noun.addCommand(
    acting<CommonFlags>(
      verb('health', 'what is wrong, and what to do; exit code 1 when it is serious'),
      health,
    ),
  )
  noun.addCommand(
    acting<TransferFlags>(
      changingVerb('transfer', 'hand the leadership of a broker group over')
        .argument('<broker group>')
        .option(
          '--to <id>',
          'the member that shall lead; the furthest when not given',
          numberIn(0, 4),
        ),
      transfer,
    ),
  )
  return noun
}
