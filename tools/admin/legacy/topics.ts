/** mqadmin's commands about topics. */
import { groupsOfTopic, statsView, topicConfigAt } from '../../../client/admin-questions.ts'
import { messageOf } from '../../../common/errors.ts'
import { readQueues } from '../../../client/route.ts'
import { formatFastjson } from '../../../remoting/bodies/fastjson.ts'
import { messageQueueRecord } from '../../../remoting/bodies/message-queue.ts'
import { topicConfig, topicConfigOf } from '../../../remoting/bodies/topic-config.ts'
import type { TopicConfig } from '../../../remoting/bodies/topic-config.ts'
import {
  BROKER,
  CLUSTER,
  ROUTE_OF,
  TOPIC,
  attributesOf,
  brokersOf,
  flagOption,
  listIn,
  listOf,
  option,
} from '../legacy-command.ts'
import type { LegacyCommand, LegacyFlags } from '../legacy-command.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'
import { front, humanTime, javaJson, javaLine } from '../table.ts'

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
  const config = topicConfig(topic, {
    readQueueNums: flags.number('r', 8),
    writeQueueNums: flags.number('w', 8),
    perm: flags.number('p', 6),
    order: flags.flag('o', false),
    topicSysFlag: (flags.flag('u', false) ? 1 : 0) | (flags.flag('s', false) ? 2 : 0),
    attributes: attributesOf(flags, 'a'),
  })
  for (const broker of await brokersOf(session, flags)) {
    await session.admin.createTopic(broker, config)
    session.line(`create topic to ${broker} success.`)
  }
  session.line(describe(config))
}

async function updateTopicList(session: Session, flags: LegacyFlags): Promise<void> {
  const configs = listIn(flags, 'f').map(topicConfigOf)
  for (const broker of await brokersOf(session, flags)) {
    await session.admin.createTopics(broker, configs)
    const what = `submit batch of topic config to ${broker} success`
    session.line(`${what}, please check the result later.`)
  }
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
    const shown = {
      brokerDatas,
      filterServerTable: {},
      queueDatas: route.queueDatas.map((data) => ({ ...data })),
    }
    session.line(javaJson(shown))
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
  for (const { address } of await session.leadersOf(flags.text('c') ?? topic)) {
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

const ORDER_NAMESPACE = 'ORDER_TOPIC_CONFIG'

/** How many queues of each broker an ordered topic has, as clients ask the name servers. */
async function updateOrderConf(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('t')
  const method = flags.need('m')
  if (method === 'get') {
    const value = await session.fromNameServer((address) =>
      session.admin.getKv(address, ORDER_NAMESPACE, topic),
    )
    if (value === null) throw new AdminError('notFound', `${topic} has no orderConf`)
    session.line(`get orderConf success. topic=[${topic}], orderConf=[${value}] `)
  } else if (method === 'put') {
    const entry = { namespace: ORDER_NAMESPACE, key: topic, value: flags.need('v') }
    for (const address of session.nameServers) await session.admin.putKv(address, entry)
    session.line(`update orderConf success. topic=[${topic}], orderConf=[${entry.value}]`)
  } else if (method === 'delete') {
    for (const address of session.nameServers) {
      await session.admin.deleteKv(address, ORDER_NAMESPACE, topic)
    }
    session.line(`delete orderConf success. topic=[${topic}]`)
  } else throw new AdminError('usage', '-m is none of get, put and delete')
}

/** Which queues each of some consumers would have, divided evenly. */
async function allocateMQ(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('t')
  const queues = readQueues(topic, await session.route(topic)).map(messageQueueRecord)
  const consumers = listOf(flags, 'i')
  const least = Math.floor(queues.length / consumers.length)
  const more = queues.length % consumers.length
  const result = consumers.map((consumer, index) => {
    const from = index * least + Math.min(index, more)
    return [consumer, queues.slice(from, from + least + (index < more ? 1 : 0))] as const
  })
  session.line(formatFastjson({ result: new Map(result) }).toString())
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
    name: 'updateTopicList',
    description: 'Create or update topic in batch.',
    options: [BROKER, CLUSTER, option('f', 'filename', 'JSON list of topics', true)],
    run: updateTopicList,
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
    options: [TOPIC, ROUTE_OF],
    run: topicStatus,
  },
  {
    name: 'topicClusterList',
    description: 'Get cluster info for topic.',
    options: [TOPIC],
    run: topicClusterList,
  },
  {
    name: 'updateOrderConf',
    description: 'Create or update or delete order conf.',
    options: [
      TOPIC,
      option('m', 'method', 'get|put|delete', true),
      option('v', 'orderConf', 'brokerName1:num;brokerName2:num'),
    ],
    run: updateOrderConf,
  },
  {
    name: 'allocateMQ',
    description: 'Allocate MQ.',
    options: [TOPIC, option('i', 'ipList', 'consumers, separated by commas', true)],
    run: allocateMQ,
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
