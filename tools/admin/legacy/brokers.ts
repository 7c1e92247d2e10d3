/** mqadmin's commands about clusters, brokers and name servers. */
import { maintain } from '../../../client/admin-questions.ts'
import { formatJavaProperties } from '../../../common/java-properties.ts'
import { parseFastjson } from '../../../remoting/bodies/fastjson.ts'
import {
  asObject,
  optionalObject,
  textEntries,
  textMap,
} from '../../../remoting/bodies/json-members.ts'
import { RequestCode } from '../../../remoting/request-code.ts'
import {
  BROKER,
  CLUSTER,
  brokersOf,
  eachBroker,
  flagOption,
  option,
  repeat,
} from '../legacy-command.ts'
import type { LegacyCommand, LegacyFlags, LegacyOption } from '../legacy-command.ts'
import type { Session } from '../session.ts'
import { humanTime, javaJson, javaLine } from '../table.ts'

const HOUR_MS = 3_600_000
const CLUSTER_WIDTHS = [22, 22, 4, 22, 16, -16, -30, 22, -11, 12, 8, -10]
const CLUSTER_HEAD = [
  ...['#Cluster Name', '#Broker Name', '#BID', '#Addr', '#Version', '#InTPS(LOAD)'],
  ...['#OutTPS(LOAD)', '#Timer(Progress)', '#PCWait(ms)', '#Hour', '#SPACE', '#ACTIVATED'],
]

type Info = ReadonlyMap<string, string>

async function listClusters(session: Session, flags: LegacyFlags): Promise<void> {
  const isMore = flags.has('m')
  const totals = ['#InTotalYest', '#OutTotalYest', '#InTotalToday', '#OutTotalToday']
  session.line(
    isMore
      ? javaLine(MORE_WIDTHS, ['#Cluster Name', '#Broker Name', ...totals])
      : javaLine(CLUSTER_WIDTHS, CLUSTER_HEAD),
  )
  const { brokers, clusters } = await session.clusterInfo()
  for (const [cluster, names] of clusters) {
    if (flags.text('c') !== null && flags.text('c') !== cluster) continue
    for (const brokerName of names.toSorted()) {
      for (const [id, address] of brokers.get(brokerName)?.brokerAddrs ?? []) {
        const info = await session.admin.brokerRuntimeInfo(address)
        const who = { cluster, brokerName, id, address }
        session.line(isMore ? moreLine(who, info) : clusterLine(session, who, info))
      }
    }
  }
}

const MORE_WIDTHS = [16, 32, -14, -14, -14, -14]

interface Who {
  readonly cluster: string
  readonly brokerName: string
  readonly id: number
  readonly address: string
}

function moreLine({ cluster, brokerName }: Who, info: Info): string {
  const number = (name: string) => Number(info.get(name) ?? 0)
  const of = (kind: 'Put' | 'Get') => {
    const [yesterday, today, now] = ['YesterdayMorning', 'TodayMorning', 'TodayNow'].map((when) =>
      number(`msg${kind}Total${when}`),
    )
    return { yesterday: (today ?? 0) - (yesterday ?? 0), today: (now ?? 0) - (today ?? 0) }
  }
  const put = of('Put')
  const got = of('Get')
  const cells = [put.yesterday, got.yesterday, put.today, got.today]
  return javaLine(MORE_WIDTHS, [cluster, brokerName, ...cells])
}

function clusterLine(session: Session, who: Who, info: Info): string {
  const text = (name: string) => info.get(name) ?? '0'
  const tps = (name: string) => Number(text(name).split(' ')[0]).toFixed(2).padStart(9)
  const load = (kind: string) =>
    `${text(`${kind}ThreadPoolQueueSize`)},${text(`${kind}ThreadPoolQueueHeadWaitTimeMills`)}ms`
  const earliest = Number(text('earliestMessageTimeStamp'))
  const timer =
    `${text('timerReadBehind')}-${text('timerOffsetBehind')}` +
    `(${(Number(text('timerCongestNum')) / 10_000).toFixed(1)}w, ` +
    `${Number(text('timerEnqueueTps')).toFixed(1)}, ${Number(text('timerDequeueTps')).toFixed(1)})`
  return javaLine(CLUSTER_WIDTHS, [
    ...[who.cluster, who.brokerName, who.id, who.address, text('brokerVersionDesc')],
    `${tps('putTps')}(${load('send')})`,
    `${tps('getTransferredTps')}(${load('pull')}|${load('ack')})`,
    timer,
    text('pageCacheLockTimeMills'),
    ((session.now - earliest) / HOUR_MS).toFixed(2),
    Number(text('commitLogDiskRatio')).toFixed(4),
    text('brokerActive'),
  ])
}

async function brokerStatus(session: Session, flags: LegacyFlags): Promise<void> {
  for (const address of await brokersOf(session, flags)) {
    const info = await session.admin.brokerRuntimeInfo(address)
    for (const [key, value] of [...info].toSorted(([left], [right]) => (left < right ? -1 : 1))) {
      const prefix = flags.has('b') ? '' : `${address.padEnd(24)} `
      session.line(`${prefix}${key.padEnd(32)}: ${value}`)
    }
  }
}

async function getBrokerConfig(session: Session, flags: LegacyFlags): Promise<void> {
  for (const address of await brokersOf(session, flags)) {
    printConfig(session, address, await session.admin.getBrokerConfig(address))
  }
}

function printConfig(session: Session, address: string, config: Info): void {
  session.line(`============${address}============`)
  for (const [key, value] of config) session.line(`${key.padEnd(50)}=  ${value}`)
  session.line()
}

async function updateBrokerConfig(session: Session, flags: LegacyFlags): Promise<void> {
  const key = flags.need('k')
  const value = flags.need('v')
  for (const address of await brokersOf(session, flags)) {
    await session.admin.updateBrokerConfig(address, { [key]: value })
    session.line(`update broker config success, ${address}`)
  }
}

async function getNamesrvConfig(session: Session): Promise<void> {
  for (const address of session.nameServers) {
    printConfig(session, address, await session.admin.getNamesrvConfig(address))
  }
}

async function updateNamesrvConfig(session: Session, flags: LegacyFlags): Promise<void> {
  const key = flags.need('k')
  const value = flags.need('v')
  for (const address of session.nameServers) {
    await session.admin.updateNamesrvConfig(address, { [key]: value })
  }
  session.line(`update name server config success![${session.nameServers.join(', ')}]`)
  session.line(`${key} : ${value}`)
}

async function changeWritePerm(
  session: Session,
  flags: LegacyFlags,
  action: 'wipe' | 'add',
): Promise<void> {
  const brokerName = flags.need('b')
  for (const address of session.nameServers) {
    const count = await (action === 'wipe'
      ? session.admin.wipeWritePermission(address, brokerName)
      : session.admin.addWritePermission(address, brokerName))
    const what = `${action} write perm of broker[${brokerName}] in name server[${address}]`
    session.line(`${what} OK, ${count}`)
  }
}

async function updateKvConfig(session: Session, flags: LegacyFlags): Promise<void> {
  const entry = { namespace: flags.need('s'), key: flags.need('k'), value: flags.need('v') }
  for (const address of session.nameServers) await session.admin.putKv(address, entry)
  session.line('create or update kv config to namespace success.')
}

async function deleteKvConfig(session: Session, flags: LegacyFlags): Promise<void> {
  const [namespace, key] = [flags.need('s'), flags.need('k')]
  for (const address of session.nameServers) await session.admin.deleteKv(address, namespace, key)
  session.line('delete kv config from namespace success.')
}

/** How much consumers read that has left the memory, and what is set for it. */
async function getColdDataFlowCtrInfo(session: Session, flags: LegacyFlags): Promise<void> {
  for (const address of await brokersOf(session, flags)) {
    const code = RequestCode.GET_COLD_DATA_FLOW_CTR_INFO
    const info = asObject(parseFastjson((await session.admin.ask(address, { code })).body), 'info')
    const runtime = textEntries(optionalObject(info, 'runtimeTable') ?? new Map()).map(
      ([group, value]) => {
        const { lastColdReadTimeMills, createTimeMills, ...facts } = Object.fromEntries(
          textMap(asObject(value, 'runtimeTable')),
        )
        const times = {
          lastColdReadTimeFormat: humanTime(Number(lastColdReadTimeMills)),
          createTimeFormat: humanTime(Number(createTimeMills)),
        }
        return [group, { ...facts, ...times }] as const
      },
    )
    session.line(` ============${flags.has('b') ? '' : 'Master: '}${address}============`)
    const configTable = textMap(optionalObject(info, 'configTable') ?? new Map())
    session.line(javaJson({ configTable, runtimeTable: new Map(runtime) }))
  }
}

function maintenance(
  name: string,
  description: string,
  task: Parameters<typeof maintain>[2],
): LegacyCommand {
  return {
    name,
    description,
    options: [BROKER, option('c', 'cluster', 'all brokers of a cluster')],
    run: async (session, flags) => {
      const brokers =
        flags.has('b') || flags.has('c')
          ? await brokersOf(session, flags)
          : (await session.leaders()).map(({ address }) => address)
      for (const address of brokers) await maintain(session.admin, address, task)
      session.line('success')
    },
  }
}

const BROKER_NAME: LegacyOption = option('b', 'brokerName', 'broker name', true)
const COLD_GROUP: LegacyOption = option('g', 'consumerGroup', 'consumer group', true)
const KEY: LegacyOption = option('k', 'key', 'key', true)
const VALUE: LegacyOption = option('v', 'value', 'value', true)

export const BROKER_COMMANDS: readonly LegacyCommand[] = [
  {
    name: 'clusterList',
    description: 'List cluster infos.',
    options: [
      flagOption('m', 'moreStats', 'more figures'),
      option('c', 'clusterName', 'which cluster'),
      option('i', 'interval', 'again every so many seconds'),
    ],
    run: (session, flags) => repeat(session, flags, () => listClusters(session, flags)),
  },
  {
    name: 'brokerStatus',
    description: 'Fetch broker runtime status data.',
    options: [BROKER, CLUSTER],
    run: brokerStatus,
  },
  {
    name: 'getBrokerConfig',
    description: 'Get broker config by cluster or special broker.',
    options: [BROKER, CLUSTER],
    run: getBrokerConfig,
  },
  {
    name: 'updateBrokerConfig',
    description: "Update broker's config.",
    options: [
      BROKER,
      CLUSTER,
      KEY,
      VALUE,
      option('a', 'updateAllBroker', 'as mqadmin; has no effect'),
    ],
    run: updateBrokerConfig,
  },
  {
    name: 'getColdDataFlowCtrInfo',
    description: 'Get cold data flow ctr info.',
    options: [BROKER, CLUSTER],
    run: getColdDataFlowCtrInfo,
  },
  eachBroker(
    {
      name: 'updateColdDataFlowCtrGroupConfig',
      description: 'Add or update cold data flow ctr group config.',
      options: [COLD_GROUP, option('v', 'threshold', 'bytes', true)],
    },
    async (session, broker, flags) => {
      const entry = [flags.need('g'), String(flags.needNumber('v'))] as const
      await session.admin.ask(broker, {
        code: RequestCode.UPDATE_COLD_DATA_FLOW_CTR_CONFIG,
        body: Buffer.from(formatJavaProperties([entry])),
      })
      return `updateColdDataFlowCtrGroupConfig success, ${broker}`
    },
  ),
  eachBroker(
    {
      name: 'removeColdDataFlowCtrGroupConfig',
      description: 'Remove consumer from cold ctr config.',
      options: [COLD_GROUP],
    },
    async (session, broker, flags) => {
      await session.admin.ask(broker, {
        code: RequestCode.REMOVE_COLD_DATA_FLOW_CTR_CONFIG,
        body: Buffer.from(flags.need('g')),
      })
      return `remove broker cold read threshold success, ${broker}`
    },
  ),
  eachBroker(
    {
      name: 'switchTimerEngine',
      description: 'Switch the engine of timer message in broker.',
      options: [option('e', 'engineType', 'F: the time wheel in files; R is refused', true)],
    },
    async (session, broker, flags) => {
      await session.admin.ask(broker, {
        code: RequestCode.SWITCH_TIMER_ENGINE,
        extFields: { E_T: flags.need('e') },
      })
      return `switchTimerEngine to ${flags.need('e')} success, ${broker}`
    },
  ),
  {
    name: 'getNamesrvConfig',
    description: 'Get configs of name server.',
    options: [],
    run: getNamesrvConfig,
  },
  {
    name: 'updateNamesrvConfig',
    description: 'Update configs of name server.',
    options: [KEY, VALUE],
    run: updateNamesrvConfig,
  },
  {
    name: 'wipeWritePerm',
    description: 'Wipe write perm of broker in all name servers.',
    options: [BROKER_NAME],
    run: (session, flags) => changeWritePerm(session, flags, 'wipe'),
  },
  {
    name: 'addWritePerm',
    description: 'Add write perm of broker in all name servers.',
    options: [BROKER_NAME],
    run: (session, flags) => changeWritePerm(session, flags, 'add'),
  },
  {
    name: 'updateKvConfig',
    description: 'Create or update KV config.',
    options: [option('s', 'namespace', 'namespace', true), KEY, VALUE],
    run: updateKvConfig,
  },
  {
    name: 'deleteKvConfig',
    description: 'Delete KV config.',
    options: [option('s', 'namespace', 'namespace', true), KEY],
    run: deleteKvConfig,
  },
  maintenance(
    'cleanExpiredCQ',
    'Clean expired ConsumeQueue on broker.',
    'cleanExpiredConsumeQueue',
  ),
  maintenance(
    'deleteExpiredCommitLog',
    'Delete expired CommitLog files.',
    'deleteExpiredCommitLog',
  ),
  maintenance('cleanUnusedTopic', 'Clean unused topic on broker.', 'cleanUnusedTopic'),
]
