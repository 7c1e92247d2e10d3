/** All consumer groups of the cluster, how far behind they are, and who of them is connected: one request for each broker, not one for each group. */
import { consumerConnection } from '../../client/admin-questions.ts'
import type { QueueConsumeStats } from '../../remoting/bodies/consume-stats.ts'
import { decodeBrokerConsumeStats } from '../../remoting/bodies/broker-consume-stats.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import type { Session } from './session.ts'

export interface GroupOverview {
  readonly name: string
  readonly members: number
  readonly version: number | null
  readonly type: string
  readonly model: string
  readonly tps: number
  readonly lag: number
  readonly topics: number
}

const SYSTEM_GROUPS = /^(?:CID_ONS|CID_SYS_|CID_RMQ_SYS_|SELF_TEST_|TOOLS_|FILTERSRV_|__MONITOR)/u

/** By topic, broker and queue. */
export function byQueue(
  { queue: left }: QueueConsumeStats,
  { queue: right }: QueueConsumeStats,
): number {
  const names = `${left.topic} ${left.brokerName}`.localeCompare(
    `${right.topic} ${right.brokerName}`,
  )
  return names === 0 ? left.queueId - right.queueId : names
}

/** Not of users, but of RocketMQ itself. */
export function isSystemGroup(group: string): boolean {
  return SYSTEM_GROUPS.test(group)
}

/** Groups of users, the one furthest behind first. */
export async function groupOverview(session: Session): Promise<readonly GroupOverview[]> {
  const progress = new Map<string, { tps: number; lag: number; topics: Set<string> }>()
  const leaders = await session.leaders()
  for (const { address } of leaders) {
    const answer = await session.admin.ask(address, {
      code: RequestCode.GET_BROKER_CONSUME_STATS,
      extFields: { isOrder: 'false' },
    })
    for (const { group, topics } of decodeBrokerConsumeStats(answer.body).groups) {
      if (isSystemGroup(group)) continue
      const known = progress.get(group) ?? { tps: 0, lag: 0, topics: new Set<string>() }
      progress.set(group, known)
      for (const { consumeTps, queues } of topics) {
        known.tps += consumeTps
        for (const { queue, brokerOffset, consumerOffset } of queues) {
          known.lag += brokerOffset - consumerOffset
          known.topics.add(queue.topic)
        }
      }
    }
  }
  const found: GroupOverview[] = []
  for (const [name, { tps, lag, topics }] of progress) {
    const members = await membersOf(session, name)
    found.push({ name, tps, lag, topics: topics.size, ...members })
  }
  return found.toSorted((left, right) => right.lag - left.lag)
}

type Members = Pick<GroupOverview, 'members' | 'version' | 'type' | 'model'>

/** Clients speak to every broker of their topics: the largest answer is the whole group. */
async function membersOf(session: Session, group: string): Promise<Members> {
  let best: Members = { members: 0, version: null, type: '', model: '' }
  for (const { address } of await session.leaders()) {
    const connection = await consumerConnection(session.admin, address, group)
    if (connection === null || connection.connections.length <= best.members) continue
    const { connections, consumeType, messageModel } = connection
    best = {
      members: connections.length,
      version: Math.min(...connections.map(({ version }) => version)),
      type: consumeType === 'CONSUME_ACTIVELY' ? 'PULL' : 'PUSH',
      model: messageModel ?? '',
    }
  }
  return best
}
