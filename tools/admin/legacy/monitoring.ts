/** mqadmin's `startMonitoring`, which writes to a log what this one prints. */
import { consumerConnection } from '../../../client/admin-questions.ts'
import { consumerRunningInfo } from '../../../client/client-questions.ts'
import { messageOf } from '../../../common/errors.ts'
import type { QueueConsumeStats } from '../../../remoting/bodies/consume-stats.ts'
import type { ConsumerRunningInfo } from '../../../remoting/bodies/consumer-running-info.ts'
import type { Leader, Session } from '../session.ts'
import { isSubscriptionSame, stuckQueues } from './running-info.ts'

const ROUND_MS = 60_000
const RETRY_PREFIX = '%RETRY%'
const RULE = '='.repeat(41)

/** Until it is interrupted. */
export async function monitorGroups(session: Session): Promise<void> {
  while (!session.options.isInterrupted()) {
    session.line(`[MONITOR] ${RULE}beginRound`)
    const topics = await session.fromNameServer((address) => session.admin.topicList(address))
    for (const topic of topics) {
      if (!topic.startsWith(RETRY_PREFIX) || session.options.isInterrupted()) continue
      try {
        await monitorGroup(session, topic.slice(RETRY_PREFIX.length))
      } catch (error) {
        session.options.warn(`${topic}: ${messageOf(error)}`)
      }
    }
    session.line(`[MONITOR] ${RULE}endRound`)
    await session.pause(ROUND_MS)
  }
}

async function monitorGroup(session: Session, group: string): Promise<void> {
  const infos = new Map<string, ConsumerRunningInfo>()
  const behind = new Map<string, Undone>()
  for (const leader of await session.leadersOf(RETRY_PREFIX + group)) {
    const { address } = leader
    const connection = await consumerConnection(session.admin, address, group)
    // Of groups that are not online nothing is told.
    if (connection === null) continue
    await addUndone(session, leader, group, behind)
    for (const { clientId } of connection.connections) {
      if (infos.has(clientId)) continue
      const who = { consumerGroup: group, clientId }
      infos.set(clientId, await consumerRunningInfo(session.admin, address, who, false))
    }
  }
  for (const [topic, { total, single, delay }] of behind) {
    const counts = `undoneMsgsTotal=${total}, undoneMsgsSingleMQ=${single}, undoneMsgsDelayTimeMills=${delay}`
    const what = `UndoneMsgs [consumerGroup=${group}, topic=${topic}, ${counts}]`
    session.line(`[MONITOR] reportUndoneMsgs: ${what}`)
  }
  const notice = `[MONITOR]  [NOTIFY] reportConsumerRunningInfo: ConsumerGroup: ${group}`
  if (!isSubscriptionSame([...infos.values()], session.now)) {
    session.line(`${notice}, Subscription different`)
  }
  for (const [clientId, info] of infos) {
    for (const text of stuckQueues(clientId, info, session.now)) {
      session.line(`${notice}, ClientId: ${clientId}, ${text}`)
    }
  }
}

interface Undone {
  readonly total: number
  /** Of the queue that is furthest behind. */
  readonly single: number
  /** Milliseconds between the last message and the last that was consumed. */
  readonly delay: number
}

async function addUndone(
  session: Session,
  { address }: Leader,
  group: string,
  behind: Map<string, Undone>,
): Promise<void> {
  const { queues } = await session.admin.consumeStats(address, group)
  for (const [topic, some] of Map.groupBy(queues, ({ queue }) => queue.topic)) {
    const ends = await session.admin.topicStats(address, topic)
    const endOf = ({ queue }: QueueConsumeStats) =>
      ends.find((end) => end.queue.queueId === queue.queueId)?.lastUpdateTimestamp ?? 0
    let { total, single, delay } = behind.get(topic) ?? { total: 0, single: 0, delay: 0 }
    for (const each of some) {
      const diff = Math.max(0, each.brokerOffset - each.consumerOffset)
      total += diff
      single = Math.max(single, diff)
      if (each.lastTimestamp > 0) delay = Math.max(delay, endOf(each) - each.lastTimestamp)
    }
    behind.set(topic, { total, single, delay })
  }
}
