/** mqadmin's commands about consumer groups and producers. */
import {
  cloneOffsets,
  groupConfigAt,
  resetOffsets,
  setRequestMode,
} from '../../../client/admin-questions.ts'
import type { QueueConsumeStats } from '../../../remoting/bodies/consume-stats.ts'
import { parseFastjson } from '../../../remoting/bodies/fastjson.ts'
import { asObject } from '../../../remoting/bodies/json-members.ts'
import {
  groupRetryPolicyOf,
  subscriptionGroupConfig,
  subscriptionGroupConfigOf,
} from '../../../remoting/bodies/subscription-group-config.ts'
import type { SubscriptionGroupConfig } from '../../../remoting/bodies/subscription-group-config.ts'
import {
  BROKER,
  CLUSTER,
  GROUP,
  TOPIC,
  attributesOf,
  brokersOf,
  listIn,
  option,
  timeOf,
} from '../legacy-command.ts'
import type { LegacyCommand, LegacyFlags } from '../legacy-command.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'
import { byQueue, groupOverview } from '../group-progress.ts'
import { front, humanTime, javaLine } from '../table.ts'
import { messageOf } from '../../../common/errors.ts'
import { versionName } from '../../../remoting/version-name.ts'

const RETRY_PREFIX = '%RETRY%'

async function updateSubGroup(session: Session, flags: LegacyFlags): Promise<void> {
  const group = flags.need('g')
  for (const broker of await brokersOf(session, flags)) {
    const current =
      (await groupConfigAt(session.admin, broker, group)) ?? subscriptionGroupConfig(group)
    const policy = flags.text('p')
    const config: SubscriptionGroupConfig = {
      ...current,
      ...(policy === null ? {} : { groupRetryPolicy: retryPolicyOf(policy) }),
      attributes: new Map([...current.attributes, ...attributesOf(flags, 'attributes')]),
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

function retryPolicyOf(text: string): SubscriptionGroupConfig['groupRetryPolicy'] {
  try {
    return groupRetryPolicyOf(asObject(parseFastjson(text), 'groupRetryPolicy'))
  } catch (error) {
    throw new AdminError('usage', `-p: ${messageOf(error)}`, error)
  }
}

async function updateSubGroupList(session: Session, flags: LegacyFlags): Promise<void> {
  const configs = listIn(flags, 'f').map(subscriptionGroupConfigOf)
  for (const broker of await brokersOf(session, flags)) {
    await session.admin.createGroups(broker, configs)
    const what = `submit batch of group config to ${broker} success`
    session.line(`${what}, please check the result later.`)
  }
}

async function getConsumerConfig(session: Session, flags: LegacyFlags): Promise<void> {
  const group = flags.need('g')
  let isKnown = false
  for (const { address, cluster, brokerName } of await session.leaders()) {
    const config = await groupConfigAt(session.admin, address, group)
    if (config === null) continue
    isKnown = true
    session.line(`${CONFIG_RULE}${cluster}:${brokerName}${CONFIG_RULE}`)
    const { type, exponentialRetryPolicy, customizedRetryPolicy } = config.groupRetryPolicy
    const policy = exponentialRetryPolicy ?? customizedRetryPolicy
    const attributes = [...config.attributes].map(([name, value]) => `${name}=${value}`)
    const fields: readonly (readonly [string, string])[] = [
      ...configFields(config),
      ['groupRetryPolicy', `${type} ${policy === null ? '' : JSON.stringify(policy)}`.trim()],
      ['attributes', `{${attributes.join(', ')}}`],
    ]
    for (const [name, value] of fields) session.line(`${name.padEnd(40)}=  ${value}`)
  }
  if (!isKnown) throw new AdminError('notFound', `there is no group ${group}`)
}

async function setConsumeMode(session: Session, flags: LegacyFlags): Promise<void> {
  const [topic, consumerGroup, mode] = [flags.need('t'), flags.need('g'), flags.need('m')]
  if (mode !== 'PULL' && mode !== 'POP') {
    throw new AdminError('usage', '-m is neither PULL nor POP')
  }
  const setting = { topic, consumerGroup, mode, popShareQueueNum: flags.number('q', 0) } as const
  for (const broker of await brokersOf(session, flags)) {
    await setRequestMode(session.admin, broker, setting)
    session.line(`set consume mode to ${broker} success.`)
  }
  const what = `consume mode[${mode}] popShareQueueNum[${setting.popShareQueueNum}]`
  session.line(`topic[${topic}] group[${consumerGroup}] ${what}`)
}

/** By the brokers themselves, each for its queues. */
async function cloneGroupOffset(session: Session, flags: LegacyFlags): Promise<void> {
  const [srcGroup, destGroup, topic] = [flags.need('s'), flags.need('d'), flags.need('t')]
  const offline = flags.flag('o', false)
  for (const { address } of await session.leadersOf(topic)) {
    await cloneOffsets(session.admin, address, { srcGroup, destGroup, topic, offline })
  }
  const what = `srcGroup[${srcGroup}], destGroup=[${destGroup}], topic[${topic}]`
  session.line(`clone group offset success. ${what}`)
}

const CONFIG_RULE = '='.repeat(29)

/** The plain fields, in Java's order. */
function configFields(config: SubscriptionGroupConfig): readonly (readonly [string, string])[] {
  return [
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
  ].map(([name, value]) => [String(name), String(value)])
}

function configText(config: SubscriptionGroupConfig): string {
  const fields = configFields(config)
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
      option('p', 'groupRetryPolicy', 'JSON: {"type":"EXPONENTIAL","exponentialRetryPolicy":{…}}'),
      option(null, 'attributes', '+name=value,…'),
    ],
    run: updateSubGroup,
  },
  {
    name: 'updateSubGroupList',
    description: 'Update or create subscription group in batch.',
    options: [BROKER, CLUSTER, option('f', 'filename', 'JSON list of groups', true)],
    run: updateSubGroupList,
  },
  {
    name: 'getConsumerConfig',
    description: 'Get consumer config by subscription group name.',
    options: [GROUP],
    run: getConsumerConfig,
  },
  {
    name: 'setConsumeMode',
    description: 'Set consume message mode. pull/pop etc.',
    options: [
      BROKER,
      CLUSTER,
      option('t', 'topicName', 'topic name', true),
      GROUP,
      option('m', 'mode', 'PULL|POP', true),
      option('q', 'popShareQueueNum', 'members that share a queue in pop mode'),
    ],
    run: setConsumeMode,
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
    name: 'cloneGroupOffset',
    description: 'Clone offset from other group.',
    options: [
      option('s', 'srcGroup', 'from this consumer group', true),
      option('d', 'destGroup', 'to this consumer group', true),
      TOPIC,
      option('o', 'offline', 'also where nobody is online (true|false)'),
    ],
    run: cloneGroupOffset,
  },
  {
    name: 'resetOffsetByTime',
    description: 'Reset consumer offset by timestamp(without client restart).',
    options: [
      ...RESET_OPTIONS,
      option('s', 'timestamp', 'now|milliseconds|yyyy-MM-dd#HH:mm:ss:SSS', true),
      option('b', 'broker', 'address of one broker'),
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
