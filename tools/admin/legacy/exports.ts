/** mqadmin's commands that write what a cluster holds into files. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { consumerConnection, statsView } from '../../../client/admin-questions.ts'
import { parseFastjson } from '../../../remoting/bodies/fastjson.ts'
import type { BodyRecord, BodyValue } from '../../../remoting/bodies/fastjson.ts'
import { asObject, integerMember, optionalText } from '../../../remoting/bodies/json-members.ts'
import { decodeTopicList } from '../../../remoting/bodies/simple-bodies.ts'
import { subscriptionGroupConfigRecord } from '../../../remoting/bodies/subscription-group-config.ts'
import type { SubscriptionGroupConfig } from '../../../remoting/bodies/subscription-group-config.ts'
import { topicConfigRecord } from '../../../remoting/bodies/topic-config.ts'
import type { TopicConfig } from '../../../remoting/bodies/topic-config.ts'
import { RequestCode } from '../../../remoting/request-code.ts'
import { versionName } from '../../../remoting/version-name.ts'
import { isSystemGroup } from '../group-progress.ts'
import { BROKER, CLUSTER, brokersOf, flagOption, option } from '../legacy-command.ts'
import type { LegacyCommand, LegacyFlags } from '../legacy-command.ts'
import { AdminError } from '../session.ts'
import type { Leader, Session } from '../session.ts'
import { javaJson } from '../table.ts'

const DEFAULT_FOLDER = '/tmp/rocketmq/export'
const DERIVED: readonly string[] = ['%RETRY%', '%DLQ%']
const HALF_TOPIC = 'RMQ_SYS_TRANS_HALF_TOPIC'
const SCHEDULE_TOPIC = 'SCHEDULE_TOPIC_XXXX'
const DAY_MS = 86_400_000

function writeExport(session: Session, flags: LegacyFlags, name: string, value: BodyValue): void {
  const folder = flags.text('f') ?? DEFAULT_FOLDER
  const path = join(folder, name)
  try {
    mkdirSync(folder, { recursive: true })
    writeFileSync(path, javaJson(value))
  } catch (error) {
    throw new AdminError('failed', `${path} cannot be written`, error)
  }
  session.line(`export ${path} success`)
}

/** Those that are not the broker's own; retry topics and dead letters only when they are asked for. */
async function userTopicsAt(
  session: Session,
  broker: string,
  withDerived: boolean,
): Promise<readonly TopicConfig[]> {
  const { admin } = session
  const code = RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_BROKER
  const system = new Set(decodeTopicList((await admin.ask(broker, { code })).body).topics)
  return [...(await admin.getAllTopicConfig(broker)).topics.values()].filter(
    ({ topicName }) =>
      !system.has(topicName) &&
      (withDerived || !DERIVED.some((prefix) => topicName.startsWith(prefix))),
  )
}

async function userGroupsAt(
  session: Session,
  broker: string,
): Promise<readonly SubscriptionGroupConfig[]> {
  const { groups } = await session.admin.getAllSubscriptionGroup(broker)
  return [...groups.values()].filter(({ groupName }) => !isSystemGroup(groupName))
}

/** Of several brokers, with the queues of all of them, as Java's tool adds them up. */
async function exportMetadata(session: Session, flags: LegacyFlags): Promise<void> {
  const topics = new Map<string, TopicConfig>()
  const groups = new Map<string, SubscriptionGroupConfig>()
  for (const broker of await brokersOf(session, flags)) {
    for (const topic of await userTopicsAt(session, broker, flags.has('s'))) {
      const known = topics.get(topic.topicName)
      const writeQueueNums = topic.writeQueueNums + (known?.writeQueueNums ?? 0)
      const readQueueNums = topic.readQueueNums + (known?.readQueueNums ?? 0)
      topics.set(topic.topicName, { ...topic, writeQueueNums, readQueueNums })
    }
    for (const group of await userGroupsAt(session, broker)) {
      const known = groups.get(group.groupName)
      const retryQueueNums = group.retryQueueNums + (known?.retryQueueNums ?? 0)
      groups.set(group.groupName, { ...group, retryQueueNums })
    }
  }
  const topicConfigTable = new Map([...topics].map(([name, one]) => [name, topicConfigRecord(one)]))
  const subscriptionGroupTable = new Map(
    [...groups].map(([name, one]) => [name, subscriptionGroupConfigRecord(one)]),
  )
  const exportTime = session.now
  if (flags.has('t')) {
    writeExport(session, flags, 'topic.json', { exportTime, topicConfigTable })
  } else if (flags.has('g')) {
    writeExport(session, flags, 'subscriptionGroup.json', { exportTime, subscriptionGroupTable })
  } else {
    const all = { exportTime, subscriptionGroupTable, topicConfigTable }
    writeExport(session, flags, 'metadata.json', all)
  }
}

const EXPORTED_KEYS = [
  ...['brokerClusterName', 'brokerId', 'brokerName', 'brokerRole', 'fileReservedTime'],
  ...['filterServerNums', 'flushDiskType', 'maxMessageSize', 'messageDelayLevel'],
  ...['msgTraceTopicName', 'slaveReadEnable', 'traceOn', 'traceTopicEnable', 'useTLS'],
  ...['autoCreateTopicEnable', 'autoCreateSubscriptionGroup'],
]

async function exportConfigs(session: Session, flags: LegacyFlags): Promise<void> {
  const leaders = await session.leaders(flags.need('c'))
  const brokerConfigs: Record<string, BodyRecord> = {}
  for (const { address, brokerName } of leaders) {
    const config = await session.admin.getBrokerConfig(address)
    brokerConfigs[brokerName] = Object.fromEntries(
      EXPORTED_KEYS.map((key) => [key, config.get(key)]),
    )
  }
  const { brokers } = await session.clusterInfo()
  const members = leaders.map(({ brokerName }) => brokers.get(brokerName)?.brokerAddrs.size ?? 1)
  const clusterScale = {
    namesrvSize: session.nameServers.length,
    masterBrokerSize: leaders.length,
    slaveBrokerSize: members.reduce((sum, count) => sum + count - 1, 0),
  }
  writeExport(session, flags, 'configs.json', { brokerConfigs, clusterScale })
}

interface Quota {
  readonly tps: Readonly<Record<'In' | 'Out' | 'TransIn' | 'ScheduleIn', number>>
  readonly day: Readonly<Record<'In' | 'Out' | 'TransIn' | 'ScheduleIn', number>>
}

async function quotaOf(
  session: Session,
  broker: string,
  info: ReadonlyMap<string, string>,
): Promise<Quota> {
  const number = (name: string) => Number((info.get(name) ?? '0').split(' ')[0])
  const put = (topic: string) => statsView(session.admin, broker, 'TOPIC_PUT_NUMS', topic)
  const [half, schedule] = [await put(HALF_TOPIC), await put(SCHEDULE_TOPIC)]
  const yesterday = (kind: 'Put' | 'Get') =>
    number(`msg${kind}TotalTodayMorning`) - number(`msg${kind}TotalYesterdayMorning`)
  return {
    tps: {
      In: number('putTps'),
      Out: number('getTransferredTps'),
      TransIn: half?.minute.tps ?? 0,
      ScheduleIn: schedule?.minute.tps ?? 0,
    },
    day: {
      In: yesterday('Put'),
      Out: yesterday('Get'),
      TransIn: half?.day.sum ?? 0,
      ScheduleIn: schedule?.day.sum ?? 0,
    },
  }
}

async function clientVersions(
  session: Session,
  groups: readonly SubscriptionGroupConfig[],
): Promise<readonly string[]> {
  const versions = new Set<string>()
  for (const { groupName } of groups) {
    for (const { address } of await session.leaders()) {
      const found = await consumerConnection(session.admin, address, groupName)
      for (const { language, version } of found?.connections ?? []) {
        versions.add(`${language}%${versionName(version)}`)
      }
    }
  }
  return [...versions].toSorted()
}

async function reportOf(
  session: Session,
  { address }: Leader,
): Promise<{ readonly quota: Quota; readonly report: BodyRecord }> {
  const info = await session.admin.brokerRuntimeInfo(address)
  const config = await session.admin.getBrokerConfig(address)
  const groups = await userGroupsAt(session, address)
  const topics = await userTopicsAt(session, address, false)
  const quota = await quotaOf(session, address, info)
  const { tps, day } = quota
  const report = {
    runtimeEnv: {
      cpuNum: config.get('clientCallbackExecutorThreads'),
      totalMemKBytes: info.get('totalMemKBytes'),
    },
    runtimeQuota: {
      diskRatio: {
        commitLogDiskRatio: info.get('commitLogDiskRatio'),
        consumeQueueDiskRatio: info.get('consumeQueueDiskRatio'),
      },
      tps: {
        normalInTps: tps.In,
        normalOutTps: tps.Out,
        transInTps: tps.TransIn,
        scheduleInTps: tps.ScheduleIn,
      },
      oneDayNum: {
        normalOneDayInNum: day.In,
        normalOneDayOutNum: day.Out,
        transOneDayInNum: day.TransIn,
        scheduleOneDayInNum: day.ScheduleIn,
      },
      messageAverageSize: info.get('putMessageAverageSize'),
      topicSize: topics.length,
      groupSize: groups.length,
    },
    runtimeVersion: {
      rocketmqVersion: info.get('brokerVersionDesc'),
      clientInfo: await clientVersions(session, groups),
    },
  }
  return { quota, report }
}

async function exportMetrics(session: Session, flags: LegacyFlags): Promise<void> {
  const evaluateReport: Record<string, BodyRecord> = {}
  const quotas: Quota[] = []
  for (const leader of await session.leaders(flags.need('c'))) {
    const { quota, report } = await reportOf(session, leader)
    quotas.push(quota)
    evaluateReport[leader.brokerName] = report
  }
  const sum = (of: (quota: Quota) => number) =>
    quotas.reduce((total, quota) => total + of(quota), 0)
  const totalData = {
    totalTps: {
      totalNormalInTps: sum(({ tps }) => tps.In),
      totalNormalOutTps: sum(({ tps }) => tps.Out),
      totalTransInTps: sum(({ tps }) => tps.TransIn),
      totalScheduleInTps: sum(({ tps }) => tps.ScheduleIn),
    },
    totalOneDayNum: {
      normalOneDayInNum: sum(({ day }) => day.In),
      normalOneDayOutNum: sum(({ day }) => day.Out),
      transOneDayInNum: sum(({ day }) => day.TransIn),
      scheduleOneDayInNum: sum(({ day }) => day.ScheduleIn),
    },
  }
  writeExport(session, flags, 'metrics.json', { evaluateReport, totalData })
}

async function rocksDBConfigToJson(session: Session, flags: LegacyFlags): Promise<void> {
  if (flags.has('p')) {
    throw new AdminError('usage', '-p reads RocksDB files, which Gantry does not have')
  }
  const configType = flags.text('t') ?? 'topics;subscriptionGroups;consumerOffsets'
  for (const broker of await brokersOf(session, flags)) {
    await session.admin.ask(broker, {
      code: RequestCode.EXPORT_ROCKSDB_CONFIG_TO_JSON,
      extFields: { configType },
    })
  }
  session.line('broker export done.')
}

async function exportPopRecord(session: Session, flags: LegacyFlags): Promise<void> {
  const dryRun = flags.flag('d', false)
  for (const broker of await brokersOf(session, flags)) {
    const brokerName = (await session.admin.getBrokerConfig(broker)).get('brokerName') ?? ''
    if (!dryRun) await session.admin.ask(broker, { code: RequestCode.POP_ROLLBACK })
    const what = `brokerName=${brokerName}, brokerAddr=${broker}, dryRun=${dryRun}`
    session.line(`Export broker records, ${what}`)
  }
}

/** Java's CheckRocksdbCqWriteResult. */
const CHECK_ERROR = 3

async function checkRocksdbCqWriteProgress(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.text('t') ?? ''
  const checkStoreTime = String(flags.number('cf', session.now - 30 * DAY_MS))
  for (const { address, brokerName } of await session.leaders(flags.need('c'))) {
    const answer = await session.admin.ask(address, {
      code: RequestCode.CHECK_ROCKSDB_CQ_WRITE_PROGRESS,
      extFields: { topic, checkStoreTime },
    })
    const json = asObject(parseFastjson(answer.body), 'CheckRocksdbCqWriteResult')
    const isError = integerMember(json, 'checkStatus', 0) === CHECK_ERROR
    session.line(
      isError
        ? `${brokerName} check error, please check log... errInfo: ${optionalText(json, 'checkResult') ?? ''}`
        : `${brokerName} check doing, please wait and get the result from log... `,
    )
  }
}

const FOLDER = option('f', 'filePath', `folder of the file (${DEFAULT_FOLDER})`)
const ONE_CLUSTER = option('c', 'clusterName', 'which cluster', true)

export const EXPORT_COMMANDS: readonly LegacyCommand[] = [
  {
    name: 'exportMetadata',
    description: 'Export metadata.',
    options: [
      BROKER,
      CLUSTER,
      FOLDER,
      flagOption('t', 'topic', 'topics only'),
      flagOption('g', 'subscriptionGroup', 'consumer groups only'),
      flagOption('s', 'specialTopic', 'retry topics and dead letter queues too'),
    ],
    run: exportMetadata,
  },
  {
    name: 'exportConfigs',
    description: 'Export configs.',
    options: [ONE_CLUSTER, FOLDER],
    run: exportConfigs,
  },
  {
    name: 'exportMetrics',
    description: 'Export metrics.',
    options: [ONE_CLUSTER, FOLDER],
    run: exportMetrics,
  },
  {
    name: 'exportPopRecord',
    description: 'Export pop consumer record: into files, where they are at all times.',
    options: [BROKER, CLUSTER, option('d', 'dryRun', 'ask no broker (true|false)')],
    run: exportPopRecord,
  },
  {
    name: 'rocksDBConfigToJson',
    description: 'Convert RocksDB kv config to json: in JSON files it is at all times.',
    options: [
      BROKER,
      option('c', 'cluster', 'all brokers of a cluster'),
      option('t', 'configType', 'topics|subscriptionGroups|consumerOffsets'),
      option('p', 'configPath', 'refused: there is no RocksDB'),
      option('j', 'jsonEnable', 'as mqadmin; has no effect'),
      option('e', 'exportFile', 'as mqadmin; has no effect'),
    ],
    run: rocksDBConfigToJson,
  },
  {
    name: 'checkRocksdbCqWriteProgress',
    description: 'Check if rocksdb cq is same as file cq: there are files only.',
    options: [
      option('c', 'cluster', 'all brokers of a cluster', true),
      option('t', 'topic', 'this topic only'),
      option('cf', 'checkFrom', 'milliseconds since 1970'),
    ],
    run: checkRocksdbCqWriteProgress,
  },
]
