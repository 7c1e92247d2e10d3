/** Which queues a member of a group is given (protocol §8.4): the strategies of RocketMQ's clients, computed by the broker. */
import type { MessageQueue } from '../../remoting/bodies/message-queue.ts'
import type { RequestModeSetting } from '../../remoting/bodies/pop-bodies.ts'

/** Stands for all queues of a broker. */
const ANY_QUEUE = -1

export interface AssignmentRequest {
  readonly strategyName: string
  readonly clientId: string
  /** All members of the group. */
  readonly clientIds: readonly string[]
  /** All queues of the topic. */
  readonly queues: readonly MessageQueue[]
}

/** Null when the strategy is not known. */
export function assignQueues(
  request: AssignmentRequest,
  { mode, popShareQueueNum }: Pick<RequestModeSetting, 'mode' | 'popShareQueueNum'>,
): readonly MessageQueue[] | null {
  const allocate = STRATEGIES.get(request.strategyName)
  if (allocate === undefined) return null
  const queues = request.queues.toSorted(compareQueues)
  const clientIds = request.clientIds.toSorted(compareText)
  const at = clientIds.indexOf(request.clientId)
  if (mode === 'PULL') return at < 0 ? [] : allocate(queues, clientIds.length, at)
  if (popShareQueueNum <= 0 || popShareQueueNum >= clientIds.length - 1) {
    const brokers = new Map(queues.map((queue) => [queue.brokerName, queue]))
    return [...brokers.values()].map((queue) => ({ ...queue, queueId: ANY_QUEUE }))
  }
  if (at < 0) return []
  if (clientIds.length > queues.length) {
    // Every member gets one, though others have it too.
    return queues.slice(at % queues.length, (at % queues.length) + 1)
  }
  const shared: MessageQueue[] = []
  for (let step = 0; step <= popShareQueueNum; step++) {
    shared.push(...allocate(queues, clientIds.length, (at + step) % clientIds.length))
  }
  return shared
}

type Strategy = (
  queues: readonly MessageQueue[],
  members: number,
  at: number,
) => readonly MessageQueue[]

const STRATEGIES: ReadonlyMap<string, Strategy> = new Map<string, Strategy>([
  ['AVG', averagely],
  ['AVG_BY_CIRCLE', byCircle],
])

/** Neighbouring queues; the first members get one more when the division leaves a rest. */
function averagely(
  queues: readonly MessageQueue[],
  members: number,
  at: number,
): readonly MessageQueue[] {
  const each = Math.floor(queues.length / members)
  const rest = queues.length % members
  const start = at * each + Math.min(at, rest)
  return queues.slice(start, start + each + (at < rest ? 1 : 0))
}

function byCircle(
  queues: readonly MessageQueue[],
  members: number,
  at: number,
): readonly MessageQueue[] {
  return queues.filter((_, index) => index % members === at)
}

function compareQueues(left: MessageQueue, right: MessageQueue): number {
  return (
    compareText(left.topic, right.topic) ||
    compareText(left.brokerName, right.brokerName) ||
    left.queueId - right.queueId
  )
}

/** As Java compares strings: by UTF-16 units. */
function compareText(left: string, right: string): number {
  if (left === right) return 0
  return left < right ? -1 : 1
}
