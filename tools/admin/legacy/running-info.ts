/** What a consumer tells of itself, as mqadmin writes it into a file, and what is wrong with it. Pure. */
import type {
  ConsumerRunningInfo,
  RunningQueue,
} from '../../../remoting/bodies/consumer-running-info.ts'
import { javaLine } from '../table.ts'

/** A group whose members have just been started may still be at odds. */
const SETTLED_MS = 120_000
const BLOCKED_MS = 60_000
const QUEUE_WIDTHS = [64, 32, 4, 20]
const RATE_WIDTHS = [64, -14, -14, -14, -14, -18, -25]
const RATE_HEAD = [
  ...['#Topic', '#Pull RT', '#Pull TPS', '#Consume RT', '#ConsumeOK TPS'],
  ...['#ConsumeFailed TPS', '#ConsumeFailedMsgsInHour'],
]
const RATES = ['pullRT', 'pullTPS', 'consumeRT', 'consumeOKTPS', 'consumeFailedTPS']

/** Java's `formatString`. */
export function runningInfoText(info: ConsumerRunningInfo): string {
  const { properties, subscriptions, queues, popQueues, statuses, userInfo, jstack } = info
  const queueHead = (last: string) =>
    javaLine(QUEUE_WIDTHS, ['#Topic', '#Broker Name', '#QID', last])
  const queueLine = ({ queue }: RunningQueue, last: string) =>
    javaLine(QUEUE_WIDTHS, [queue.topic, queue.brokerName, queue.queueId, last])
  const detail = (title: string, type: string, all: readonly RunningQueue[]) => [
    ...['', '', title, queueHead('#ProcessQueueInfo')],
    ...all.map((one) => queueLine(one, `${type} [${listed(one.facts)}]`)),
  ]
  const lines = [
    '#Consumer Properties#',
    ...pairs(properties),
    ...['', '', '#Consumer Subscription#'],
    ...subscriptions.map(({ topic, subString, classFilterMode }, index) => {
      const filter = `ClassFilter: ${String(classFilterMode).padEnd(8)} SubExpression: ${subString}`
      return `${String(index + 1).padStart(3, '0')} Topic: ${topic.padEnd(40)} ${filter}`
    }),
    ...['', '', '#Consumer Offset#', queueHead('#Consumer Offset')],
    ...queues.map((one) => queueLine(one, one.facts.get('commitOffset') ?? '')),
    ...detail('#Consumer MQ Detail#', 'ProcessQueueInfo', queues),
    ...detail('#Consumer Pop Detail#', 'PopProcessQueueInfo', popQueues),
    ...['', '', '#Consumer RT&TPS#', javaLine(RATE_WIDTHS, RATE_HEAD)],
    ...[...statuses].map(([topic, status]) => {
      const rates = RATES.map((name) => Number(status.get(name) ?? 0).toFixed(2))
      return javaLine(RATE_WIDTHS, [topic, ...rates, status.get('consumeFailedMsgs') ?? '0'])
    }),
    ...(userInfo.size === 0 ? [] : ['', '', '#User Consume Info#', ...pairs(userInfo)]),
    ...(jstack === null ? [] : ['', '', '#Consumer jstack#', jstack]),
  ]
  return lines.map((line) => `${line}\n`).join('')
}

function pairs(texts: ReadonlyMap<string, string>): readonly string[] {
  return [...texts].map(([name, value]) => `${name.padEnd(40)}: ${value}`)
}

function listed(facts: ReadonlyMap<string, string>): string {
  return [...facts].map(([name, value]) => `${name}=${value}`).join(', ')
}

export function isPush({ properties }: ConsumerRunningInfo): boolean {
  return properties.get('PROP_CONSUME_TYPE') === 'CONSUME_PASSIVELY'
}

/** False when members that have settled subscribe to different things, which loses messages. */
export function isSubscriptionSame(infos: readonly ConsumerRunningInfo[], now: number): boolean {
  const [first] = infos
  if (first === undefined || !isPush(first)) return true
  const startedAt = Number(first.properties.get('PROP_CONSUMER_START_TIMESTAMP') ?? now)
  if (now - startedAt <= SETTLED_MS) return true
  const subscriptionOf = ({ subscriptions }: ConsumerRunningInfo) =>
    subscriptions
      .map(({ topic, subString }) => `${topic} ${subString}`)
      .toSorted()
      .join('\n')
  return infos.every((info) => subscriptionOf(info) === subscriptionOf(first))
}

/** A line for each queue that does not get on. */
export function stuckQueues(
  clientId: string,
  info: ConsumerRunningInfo,
  now: number,
): readonly string[] {
  if (!isPush(info)) return []
  const isOrderly = info.properties.get('PROP_CONSUMEORDERLY') === 'true'
  return info.queues.flatMap(({ queue, facts }) => {
    const number = (name: string) => Number(facts.get(name) ?? 0)
    const { topic, brokerName, queueId } = queue
    const who = `${clientId} MessageQueue [topic=${topic}, brokerName=${brokerName}, queueId=${queueId}]`
    if (isOrderly) {
      if (facts.get('locked') !== 'true') {
        return [`${who} can't lock for a while, ${now - number('lastLockTimestamp')}ms`]
      }
      const tries = number('tryUnlockTimes')
      const isLeft = facts.get('droped') === 'true' && tries > 0
      return isLeft ? [`${who} unlock ${tries} times, still failed`] : []
    }
    const idleMs = now - number('lastConsumeTimestamp')
    const isBlocked = idleMs > BLOCKED_MS && number('cachedMsgCount') > 0
    return isBlocked ? [`${who} can't consume for a while, maybe blocked, ${idleMs}ms`] : []
  })
}
