/** mqadmin's commands about consumer groups and producers. */
import {
  consumerConnection,
  groupConfigAt,
  producerConnections,
  resetOffsets,
} from '../../../client/admin-questions.ts'
import type { ClientConnection } from '../../../remoting/bodies/client-connections.ts'
import type { QueueConsumeStats } from '../../../remoting/bodies/consume-stats.ts'
import { subscriptionGroupConfig } from '../../../remoting/bodies/subscription-group-config.ts'
import type { SubscriptionGroupConfig } from '../../../remoting/bodies/subscription-group-config.ts'
import { BROKER, CLUSTER, GROUP, TOPIC, brokersOf, option, timeOf } from '../legacy-command.ts'
import type { LegacyCommand, LegacyFlags } from '../legacy-command.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'
import { groupOverview } from '../group-progress.ts'
import { front, humanTime, javaLine } from '../table.ts'
import { versionName } from '../../../remoting/version-name.ts'

const RETRY_PREFIX = '%RETRY%'
const CLIENT_WIDTHS = [36, 22, 10, 0]

async function updateSubGroup(session: Session, flags: LegacyFlags): Promise<void> {
  const group = flags.need('g')
  for (const broker of await brokersOf(session, flags)) {
    const current =
      (await groupConfigAt(session.admin, broker, group)) ?? subscriptionGroupConfig(group)
    const config: SubscriptionGroupConfig = {
      ...current,
      consumeEnable: flags.flag('s', current.consumeEnable),
      consumeFromMinEnable: flags.flag('m', current.consumeFromMinEnable),
      consumeBroadcastEnable: flags.flag('d', current.consumeBroadcastEnable),
      consumeMessageOrderly: flags.flag('o', current.consumeMessageOrderly),
      retryQueueNums: flags.number('q', current.retryQueueNums),
      retryMaxTimes: flags.number('r', current.retryMaxTimes),
      brokerId: flags.number('i', current.brokerId),
      whichBrokerWhenConsumeSlowly: flags.number('w', current.whichBrokerWhenConsumeSlowly),
      notifyConsumerIdsChangedEnable: flags.flag('a', current.notifyConsumerIdsChangedEnable),
    }
    await session.admin.createGroup(broker, config)
    session.line(`create subscription group to ${broker} success.`)
    session.line(configText(config))
  }
}

/** The plain fields, in Java's order. */
function configText(config: SubscriptionGroupConfig): string {
  const fields = [
    ['groupName', config.groupName],
    ['consumeEnable', config.consumeEnable],
    ['consumeFromMinEnable', config.consumeFromMinEnable],
    ['consumeBroadcastEnable', config.consumeBroadcastEnable],
    ['consumeMessageOrderly', config.consumeMessageOrderly],
    ['retryQueueNums', config.retryQueueNums],
    ['retryMaxTimes', config.retryMaxTimes],
    ['brokerId', config.brokerId],
    ['whichBrokerWhenConsumeSlowly', config.whichBrokerWhenConsumeSlowly],
    ['notifyConsumerIdsChangedEnable', config.notifyConsumerIdsChangedEnable],
    ['groupSysFlag', config.groupSysFlag],
    ['consumeTimeoutMinute', config.consumeTimeoutMinute],
  ]
  return `SubscriptionGroupConfig[${fields.map(([name, value]) => `${name}=${value}`).join(',')}]`
}

async function deleteSubGroup(session: Session, flags: LegacyFlags): Promise<void> {
  const group = flags.need('g')
  const cleanOffset = flags.flag('r', false)
  for (const broker of await brokersOf(session, flags)) {
    await session.admin.deleteGroup(broker, group, { cleanOffset })
    session.line(`delete subscription group [${group}] from broker [${broker}] success.`)
  }
}

async function consumerProgress(session: Session, flags: LegacyFlags): Promise<void> {
  const group = flags.text('g')
  if (group === null) await allProgress(session)
  else await groupProgress(session, group, flags.text('t'))
}

async function allProgress(session: Session): Promise<void> {
  const widths = [64, 6, 24, 5, 14, 7, 0]
  const names = ['#Group', '#Count', '#Version', '#Type', '#Model', '#TPS', '#Diff Total']
  session.line(javaLine(widths, names))
  for (const group of await groupOverview(session)) {
    const { name, members, version, type, model, tps, lag } = group
    const described = members === 0 ? 'OFFLINE' : versionName(version)
    const cells = [front(name, 64), members, described, type, model, Math.floor(tps), lag]
    session.line(javaLine(widths, cells))
  }
}

async function groupProgress(session: Session, group: string, topic: string | null): Promise<void> {
  const widths = [64, 32, 4, 20, 20, 20, 20, 0]
  const offsets = ['#Broker Offset', '#Consumer Offset', '#Diff', '#Inflight', '#LastTime']
  session.line(javaLine(widths, ['#Topic', '#Broker Name', '#QID', ...offsets]))
  const queues: QueueConsumeStats[] = []
  let tps = 0
  for (const { address } of await session.leadersOf(topic ?? RETRY_PREFIX + group)) {
    const stats = await session.admin.consumeStats(address, group, topic)
    tps += stats.consumeTps
    queues.push(...stats.queues)
  }
  let diff = 0
  let inFlight = 0
  for (const each of queues.toSorted(byQueue)) {
    const { queue, brokerOffset, consumerOffset, pullOffset, lastTimestamp } = each
    diff += brokerOffset - consumerOffset
    inFlight += pullOffset - consumerOffset
    session.line(
      javaLine(widths, [
        ...[front(queue.topic, 64), front(queue.brokerName, 32), queue.queueId],
        ...[brokerOffset, consumerOffset, brokerOffset - consumerOffset],
        ...[pullOffset - consumerOffset, humanTime(lastTimestamp) || 'N/A'],
      ]),
    )
  }
  session.line()
  session.line(`Consume TPS: ${tps.toFixed(2)}`)
  session.line(`Consume Diff Total: ${diff}`)
  session.line(`Consume Inflight Total: ${inFlight}`)
}

function byQueue({ queue: left }: QueueConsumeStats, { queue: right }: QueueConsumeStats): number {
  const names = `${left.topic} ${left.brokerName}`.localeCompare(
    `${right.topic} ${right.brokerName}`,
  )
  return names === 0 ? left.queueId - right.queueId : names
}

function printClients(session: Session, clients: readonly ClientConnection[]): void {
  session.line(javaLine(CLIENT_WIDTHS, ['#ClientId', '#ClientAddr', '#Language', '#Version']))
  for (const { clientId, clientAddr, language, version } of clients) {
    session.line(javaLine(CLIENT_WIDTHS, [clientId, clientAddr, language, versionName(version)]))
  }
}

async function showConsumers(session: Session, flags: LegacyFlags): Promise<void> {
  const group = flags.need('g')
  const broker = flags.text('b')
  const brokers =
    broker === null ? (await session.leaders()).map(({ address }) => address) : [broker]
  for (const address of brokers) {
    const found = await consumerConnection(session.admin, address, group)
    if (found === null) continue
    printClients(session, found.connections)
    session.line()
    session.line('Below is subscription:')
    session.line(javaLine([20, 0], ['#Topic', '#SubExpression']))
    for (const { topic, subString } of found.subscriptions) {
      session.line(javaLine([20, 0], [topic, subString]))
    }
    session.line()
    session.line(`ConsumeType: ${found.consumeType}`)
    session.line(`MessageModel: ${found.messageModel}`)
    session.line(`ConsumeFromWhere: ${found.consumeFromWhere}`)
    return
  }
  throw new AdminError('notFound', `the consumer group[${group}] not online`)
}

async function showProducers(session: Session, flags: LegacyFlags): Promise<void> {
  const group = flags.need('g')
  const found = new Map<string, ClientConnection>()
  for (const { address } of await session.leadersOf(flags.need('t'))) {
    for (const client of await producerConnections(session.admin, address, group)) {
      found.set(`${client.clientId} ${client.clientAddr}`, client)
    }
  }
  if (found.size === 0) throw new AdminError('notFound', `the producer group[${group}] not exist`)
  let number = 0
  for (const { clientId, clientAddr, language, version } of found.values()) {
    const cells = [++number, clientId, clientAddr, language, versionName(version)]
    session.line(javaLine([4, 32, 22, 8, 0], cells))
  }
}

async function resetOffsetByTime(session: Session, flags: LegacyFlags): Promise<void> {
  const timestamp = timeOf(flags.need('s'), session.now)
  await reset(session, flags, timestamp)
}

async function skipAccumulatedMessage(session: Session, flags: LegacyFlags): Promise<void> {
  await reset(session, flags, -1)
}

async function reset(session: Session, flags: LegacyFlags, timestamp: number): Promise<void> {
  const group = flags.need('g')
  const topic = flags.need('t')
  const queueId = flags.number('q', -1)
  const queueOffset = flags.number('o', -1)
  const widths = [40, 40, 40]
  session.line(javaLine(widths, ['#brokerName', '#queueId', '#offset']))
  const broker = flags.text('b')
  const brokers =
    broker === null ? (await session.leadersOf(topic)).map(({ address }) => address) : [broker]
  for (const address of brokers) {
    const asked = { group, topic, timestamp, queueId, queueOffset }
    for (const { queue, queueOffset: target } of await resetOffsets(
      session.admin,
      address,
      asked,
    )) {
      session.line(javaLine(widths, [queue.brokerName, queue.queueId, target]))
    }
  }
}

const RESET_OPTIONS = [
  option('g', 'group', 'consumer group', true),
  TOPIC,
  option('f', 'force', 'as mqadmin; has no effect'),
  option('c', 'cluster', 'as mqadmin; has no effect'),
]

export const GROUP_COMMANDS: readonly LegacyCommand[] = [
  {
    name: 'updateSubGroup',
    description: 'Update or create subscription group.',
    options: [
      GROUP,
      BROKER,
      CLUSTER,
      option('s', 'consumeEnable', 'may consume (true|false)'),
      option('m', 'consumeFromMinEnable', 'from the first offset (true|false)'),
      option('d', 'consumeBroadcastEnable', 'may broadcast (true|false)'),
      option('o', 'consumeMessageOrderly', 'orderly (true|false)'),
      option('q', 'retryQueueNums', 'retry queues'),
      option('r', 'retryMaxTimes', 'attempts'),
      option('i', 'brokerId', 'consume from which broker id'),
      option('w', 'whichBrokerWhenConsumeSlowly', 'which broker id when slow'),
      option('a', 'notifyConsumerIdsChanged', 'tell members of changes (true|false)'),
    ],
    run: updateSubGroup,
  },
  {
    name: 'deleteSubGroup',
    description: 'Delete subscription group from broker.',
    options: [GROUP, BROKER, CLUSTER, option('r', 'removeOffset', 'its offsets too (true|false)')],
    run: deleteSubGroup,
  },
  {
    name: 'consumerProgress',
    description: "Query consumer's progress, speed.",
    options: [
      option('g', 'groupName', 'consumer group'),
      option('t', 'topicName', 'topic'),
      option('s', 'showClientIP', 'as mqadmin; has no effect'),
      option('c', 'cluster', 'as mqadmin; has no effect'),
    ],
    run: consumerProgress,
  },
  {
    name: 'consumerConnection',
    description: "Query consumer's socket connection, client version and subscription.",
    options: [option('g', 'consumerGroup', 'consumer group', true), BROKER],
    run: showConsumers,
  },
  {
    name: 'producerConnection',
    description: "Query producer's socket connection and client version.",
    options: [option('g', 'producerGroup', 'producer group', true), TOPIC],
    run: showProducers,
  },
  {
    name: 'resetOffsetByTime',
    description: 'Reset consumer offset by timestamp(without client restart).',
    options: [
      ...RESET_OPTIONS,
      option('s', 'timestamp', 'now|milliseconds|yyyy-MM-dd#HH:mm:ss:SSS', true),
      BROKER,
      option('q', 'queue', 'one queue'),
      option('o', 'offset', 'to this queue offset'),
    ],
    run: resetOffsetByTime,
  },
  {
    name: 'skipAccumulatedMessage',
    description: 'Skip all messages that are accumulated (not consumed) currently.',
    options: RESET_OPTIONS,
    run: skipAccumulatedMessage,
  },
]
