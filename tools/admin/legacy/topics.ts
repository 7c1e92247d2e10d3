/** mqadmin's commands about topics. */
import { groupsOfTopic, statsView, topicConfigAt } from '../../../client/admin-questions.ts'
import { messageOf } from '../../../common/errors.ts'
import { topicConfig } from '../../../remoting/bodies/topic-config.ts'
import type { TopicConfig } from '../../../remoting/bodies/topic-config.ts'
import { BROKER, CLUSTER, TOPIC, brokersOf, flagOption, option } from '../legacy-command.ts'
import type { LegacyCommand, LegacyFlags } from '../legacy-command.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'
import { front, humanTime, javaLine } from '../table.ts'

const HIDDEN: readonly string[] = ['%RETRY%', '%DLQ%']
const ROUTE_WIDTHS = [45, 32, 50, 10, 11, 5]
const ROUTE_RULE = 158

/** `RW-` for 6. */
export function permText(perm: number): string {
  return `${perm & 4 ? 'R' : '-'}${perm & 2 ? 'W' : '-'}${perm & 1 ? 'X' : '-'}`
}

function describe(config: TopicConfig): string {
  const attributes = [...config.attributes].map(([name, value]) => `${name}=${value}`).join(', ')
  return (
    `TopicConfig [topicName=${config.topicName}, readQueueNums=${config.readQueueNums}, ` +
    `writeQueueNums=${config.writeQueueNums}, perm=${permText(config.perm)}, ` +
    `topicFilterType=${config.topicFilterType}, topicSysFlag=${config.topicSysFlag}, ` +
    `order=${config.order}, attributes={${attributes}}]`
  )
}

async function updateTopic(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('t')
  const attributes = new Map<string, string>()
  for (const item of (flags.text('a') ?? '').split(',').filter((text) => text !== '')) {
    const parts = /^\+?([^=]+)=(.*)$/u.exec(item)
    if (parts === null) throw new AdminError('usage', `-a: ${item} is not +name=value`)
    attributes.set(parts[1] ?? '', parts[2] ?? '')
  }
  const config = topicConfig(topic, {
    readQueueNums: flags.number('r', 8),
    writeQueueNums: flags.number('w', 8),
    perm: flags.number('p', 6),
    order: flags.flag('o', false),
    topicSysFlag: (flags.flag('u', false) ? 1 : 0) | (flags.flag('s', false) ? 2 : 0),
    attributes,
  })
  for (const broker of await brokersOf(session, flags)) {
    await session.admin.createTopic(broker, config)
    session.line(`create topic to ${broker} success.`)
  }
  session.line(describe(config))
}

async function updateTopicPerm(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('t')
  const perm = flags.number('p', 6)
  for (const broker of await brokersOf(session, flags)) {
    const config = await topicConfigAt(session.admin, broker, topic)
    if (config === null) throw new AdminError('notFound', `${broker} has no topic ${topic}`)
    const changed = { ...config, perm }
    await session.admin.createTopic(broker, changed)
    session.line(`update topic perm from ${config.perm} to ${perm} in ${broker} success.`)
    session.line(`${describe(changed)}.`)
  }
}

async function deleteTopic(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('t')
  const cluster = flags.need('c')
  for (const { address } of await session.leaders(cluster)) {
    await session.admin.deleteTopic(address, topic)
  }
  session.line(`delete topic [${topic}] from cluster [${cluster}] success.`)
  for (const nameServer of session.nameServers) {
    await session.admin.deleteTopicRoute(nameServer, topic)
  }
  session.line(`delete topic [${topic}] from NameServer success.`)
}

async function topicList(session: Session, flags: LegacyFlags): Promise<void> {
  const topics = await session.fromNameServer((address) => session.admin.topicList(address))
  if (!flags.has('c')) {
    for (const topic of topics) session.line(topic)
    return
  }
  session.line(javaLine([20, 48, 48], ['#Cluster Name', '#Topic', '#Consumer Group']))
  for (const topic of topics) {
    if (HIDDEN.some((prefix) => topic.startsWith(prefix))) continue
    const leaders = await session.leadersOf(topic)
    const groups = new Set<string>()
    for (const { address } of leaders) {
      for (const group of await groupsOfTopic(session.admin, address, topic)) groups.add(group)
    }
    const cluster = leaders[0]?.cluster ?? ''
    for (const group of groups.size === 0 ? [''] : groups) {
      session.line(javaLine([20, 64, 64], [front(cluster, 20), front(topic, 64), front(group, 64)]))
    }
  }
}

async function topicRoute(session: Session, flags: LegacyFlags): Promise<void> {
  const route = await session.route(flags.need('t'))
  if (!flags.has('l')) {
    const brokerDatas = route.brokerDatas.map(({ brokerAddrs, ...data }) => ({
      ...data,
      brokerAddrs: Object.fromEntries(brokerAddrs),
    }))
    const shown = { brokerDatas, filterServerTable: {}, queueDatas: route.queueDatas }
    // As Java's tool: tabs, and no blank behind a name.
    session.line(
      JSON.stringify(shown, null, '\t').replaceAll(/^(\t*"(?:[^"\\]|\\.)*"): /gmu, '$1:'),
    )
    return
  }
  const names = ['#ClusterName', '#BrokerName', '#BrokerAddrs']
  session.line(javaLine(ROUTE_WIDTHS, [...names, '#ReadQueue', '#WriteQueue', '#Perm']))
  let reads = 0
  let writes = 0
  for (const { cluster, brokerName, brokerAddrs } of route.brokerDatas) {
    const queues = route.queueDatas.find((data) => data.brokerName === brokerName)
    const { readQueueNums = 0, writeQueueNums = 0, perm = 0 } = queues ?? {}
    reads += readQueueNums
    writes += writeQueueNums
    const addresses = [...brokerAddrs].map(([id, address]) => `${id}=${address}`).join(', ')
    const cells = [cluster, brokerName, `{${addresses}}`, readQueueNums, writeQueueNums, perm]
    session.line(javaLine(ROUTE_WIDTHS, cells))
  }
  session.line('-'.repeat(ROUTE_RULE))
  const total = ['Total:', route.brokerDatas.length, '', reads, writes, '']
  session.line(javaLine(ROUTE_WIDTHS, total))
}

async function topicStatus(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('t')
  const widths = [32, 4, 20, 20, 0]
  const head = ['#Broker Name', '#QID', '#Min Offset', '#Max Offset', '  #Last Updated']
  session.line(javaLine(widths, head))
  let tps = 0
  for (const { address } of await session.leadersOf(topic)) {
    const queues = await session.admin.topicStats(address, topic)
    for (const { queue, minOffset, maxOffset, lastUpdateTimestamp } of queues.toSorted(
      (left, right) => left.queue.queueId - right.queue.queueId,
    )) {
      const { brokerName, queueId } = queue
      const updated = `  ${humanTime(lastUpdateTimestamp)}`
      const cells = [front(brokerName, 32), queueId, minOffset, maxOffset, updated]
      session.line(javaLine(widths, cells))
    }
    const stats = await statsView(session.admin, address, 'TOPIC_PUT_NUMS', topic)
    tps += stats?.minute.tps ?? 0
  }
  session.line()
  session.line(`Topic Put TPS: ${tps}`)
}

async function topicClusterList(session: Session, flags: LegacyFlags): Promise<void> {
  const leaders = await session.leadersOf(flags.need('t'))
  for (const cluster of new Set(leaders.map((leader) => leader.cluster))) session.line(cluster)
}

/** Like Java's: topics with what came in and went out in the last minute and day, a line for each group that reads them. */
async function statsAll(session: Session, flags: LegacyFlags): Promise<void> {
  const only = flags.text('t')
  const widths = [64, 64, -12, -11, -11, -14, -14]
  const names = ['#Topic', '#Consumer Group', '#Accumulation', '#InTPS', '#OutTPS']
  session.line(javaLine(widths, [...names, '#InMsg24Hour', '#OutMsg24Hour']))
  const all = await session.fromNameServer((address) => session.admin.topicList(address))
  for (const topic of only === null ? all : all.filter((name) => name === only)) {
    if (HIDDEN.some((prefix) => topic.startsWith(prefix))) continue
    try {
      await printStats(session, topic, { isActiveOnly: flags.has('a'), widths })
    } catch (error) {
      session.options.warn(`${topic}: ${messageOf(error)}`)
    }
  }
}

async function printStats(
  session: Session,
  topic: string,
  options: { readonly isActiveOnly: boolean; readonly widths: readonly number[] },
): Promise<void> {
  const { admin } = session
  let inTps = 0
  let inDay = 0
  const groups = new Map<string, { lag: number; tps: number; day: number }>()
  for (const { address } of await session.leadersOf(topic)) {
    const put = await statsView(admin, address, 'TOPIC_PUT_NUMS', topic)
    inTps += put?.minute.tps ?? 0
    inDay += put?.day.sum ?? 0
    for (const group of await groupsOfTopic(admin, address, topic)) {
      const known = groups.get(group) ?? { lag: 0, tps: 0, day: 0 }
      const got = await statsView(admin, address, 'GROUP_GET_NUMS', `${topic}@${group}`)
      known.tps += got?.minute.tps ?? 0
      known.day += got?.day.sum ?? 0
      const { queues } = await admin.consumeStats(address, group, topic)
      for (const queue of queues) known.lag += queue.brokerOffset - queue.consumerOffset
      groups.set(group, known)
    }
  }
  if (options.isActiveOnly && inDay === 0 && ![...groups.values()].some(({ day }) => day > 0))
    return
  if (groups.size === 0) groups.set('', { lag: 0, tps: 0, day: 0 })
  for (const [group, { lag, tps, day }] of groups) {
    const outTps = group === '' ? '' : tps.toFixed(2)
    const cells = [front(topic, 64), front(group, 64), lag, inTps.toFixed(2), outTps, inDay, day]
    session.line(javaLine(options.widths, cells))
  }
}

export const TOPIC_COMMANDS: readonly LegacyCommand[] = [
  {
    name: 'updateTopic',
    description: 'Update or create topic.',
    options: [
      TOPIC,
      BROKER,
      CLUSTER,
      option('r', 'readQueueNums', 'read queues (8)'),
      option('w', 'writeQueueNums', 'write queues (8)'),
      option('p', 'perm', '2: write, 4: read, 6: both'),
      option('o', 'order', 'ordered (true|false)'),
      option('a', 'attributes', '+name=value,…'),
      option('u', 'unit', 'unit topic (true|false)'),
      option('s', 'hasUnitSub', 'has unit subscriptions (true|false)'),
    ],
    run: updateTopic,
  },
  {
    name: 'updateTopicPerm',
    description: 'Update topic perm.',
    options: [TOPIC, BROKER, CLUSTER, option('p', 'perm', '2: write, 4: read, 6: both', true)],
    run: updateTopicPerm,
  },
  {
    name: 'deleteTopic',
    description: 'Delete topic from broker and NameServer.',
    options: [TOPIC, option('c', 'clusterName', 'delete from which cluster', true)],
    run: deleteTopic,
  },
  {
    name: 'topicList',
    description: 'Fetch all topic list from name server.',
    options: [flagOption('c', 'clusterModel', 'with clusters and consumer groups')],
    run: topicList,
  },
  {
    name: 'topicRoute',
    description: 'Examine topic route info.',
    options: [TOPIC, flagOption('l', 'list', 'as a list')],
    run: topicRoute,
  },
  {
    name: 'topicStatus',
    description: 'Examine topic Status info.',
    options: [TOPIC],
    run: topicStatus,
  },
  {
    name: 'topicClusterList',
    description: 'Get cluster info for topic.',
    options: [TOPIC],
    run: topicClusterList,
  },
  {
    name: 'statsAll',
    description: 'Topic and Consumer tps stats.',
    options: [
      flagOption('a', 'activeTopic', 'active topics only'),
      option('t', 'topic', 'this topic only'),
    ],
    run: statsAll,
  },
]
