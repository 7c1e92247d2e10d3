/** mqadmin's commands about clients that are online, and about how far they have come. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { consumerConnection, producerConnections } from '../../../client/admin-questions.ts'
import { allProducers, consumerRunningInfo } from '../../../client/client-questions.ts'
import { messageOf } from '../../../common/errors.ts'
import { decodeBrokerConsumeStats } from '../../../remoting/bodies/broker-consume-stats.ts'
import type {
  ClientConnection,
  ConsumerConnectionView,
} from '../../../remoting/bodies/client-connections.ts'
import type { ConsumerRunningInfo } from '../../../remoting/bodies/consumer-running-info.ts'
import { RequestCode } from '../../../remoting/request-code.ts'
import { versionName } from '../../../remoting/version-name.ts'
import { BROKER, TOPIC, flagOption, option } from '../legacy-command.ts'
import type { LegacyCommand, LegacyFlags } from '../legacy-command.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'
import { byQueue } from '../group-progress.ts'
import { front, humanTime, javaLine } from '../table.ts'
import { isSubscriptionSame, runningInfoText, stuckQueues } from './running-info.ts'
import { monitorGroups } from './monitoring.ts'

const CLIENT_WIDTHS = [36, 22, 10, 0]

function printClients(session: Session, clients: readonly ClientConnection[]): void {
  session.line(javaLine(CLIENT_WIDTHS, ['#ClientId', '#ClientAddr', '#Language', '#Version']))
  for (const { clientId, clientAddr, language, version } of clients) {
    session.line(javaLine(CLIENT_WIDTHS, [clientId, clientAddr, language, versionName(version)]))
  }
}

/** The members of a group, and the broker that tells of them: that of `-b`, or the first that knows some. */
export async function membersOf(
  session: Session,
  group: string,
  broker: string | null,
): Promise<{ readonly address: string; readonly found: ConsumerConnectionView }> {
  const brokers =
    broker === null ? (await session.leaders()).map(({ address }) => address) : [broker]
  for (const address of brokers) {
    const found = await consumerConnection(session.admin, address, group)
    if (found !== null) return { address, found }
  }
  throw new AdminError('notFound', `the consumer group[${group}] not online`)
}

async function showConsumers(session: Session, flags: LegacyFlags): Promise<void> {
  const { found } = await membersOf(session, flags.need('g'), flags.text('b'))
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

async function producer(session: Session, flags: LegacyFlags): Promise<void> {
  for (const { group, producers } of await allProducers(session.admin, flags.need('b'))) {
    for (const { clientId, remoteIP, language, version, lastUpdateTimestamp } of producers) {
      const who = `clientId=${clientId},remoteIP=${remoteIP}, language=${language}`
      const what = `version=${version}, lastUpdateTimestamp=${lastUpdateTimestamp}`
      session.line(`producer group (${group}) instance : ${who}, ${what}`)
    }
  }
}

/** Of one member on the screen, or of each in a file of a folder that is called after the time, with a verdict on them all. */
async function consumerStatus(session: Session, flags: LegacyFlags): Promise<void> {
  const consumerGroup = flags.need('g')
  const { address, found } = await membersOf(session, consumerGroup, flags.text('b'))
  const ask = (clientId: string) =>
    consumerRunningInfo(session.admin, address, { consumerGroup, clientId }, flags.has('s'))
  const only = flags.text('i')
  if (only !== null) {
    session.options.print(runningInfoText(await ask(only)))
    return
  }
  const widths = [10, 40, 20, 0]
  const line = (cells: readonly (string | number)[]) =>
    session.line(cells.map((cell, index) => String(cell).padEnd(widths[index] ?? 0)).join(' '))
  line(['#Index', '#ClientId', '#Version', '#ConsumerRunningInfoFile'])
  const folder = String(session.now)
  const infos = new Map<string, ConsumerRunningInfo>()
  for (const { clientId, version } of found.connections) {
    try {
      infos.set(clientId, await ask(clientId))
    } catch (error) {
      session.options.warn(`${clientId}: ${messageOf(error)}`)
      continue
    }
    const path = join(folder, clientId.replaceAll(/[\\/]/gu, '_'))
    writeInfo(path, folder, infos.get(clientId))
    line([infos.size, clientId, versionName(version), path])
  }
  if (infos.size > 0) printVerdict(session, infos)
}

function writeInfo(path: string, folder: string, info: ConsumerRunningInfo | undefined): void {
  if (info === undefined) return
  try {
    mkdirSync(folder, { recursive: true })
    writeFileSync(path, runningInfoText(info))
  } catch (error) {
    throw new AdminError('failed', `${path} cannot be written`, error)
  }
}

function printVerdict(session: Session, infos: ReadonlyMap<string, ConsumerRunningInfo>): void {
  if (!isSubscriptionSame([...infos.values()], session.now)) {
    session.line('\n\nWARN: Different subscription in the same group of consumer!!!')
    return
  }
  session.line('\n\nSame subscription in the same group of consumer\n\nRebalance OK')
  for (const [clientId, info] of infos) {
    for (const text of stuckQueues(clientId, info, session.now)) session.line(text)
  }
}

const STATS_WIDTHS = [64, 64, 32, 4, 20, 20, 20, 0]
const STATS_HEAD = [
  ...['#Topic', '#Group', '#Broker Name', '#QID', '#Broker Offset', '#Consumer Offset'],
  ...['#Diff', '#LastTime'],
]

async function brokerConsumeStats(session: Session, flags: LegacyFlags): Promise<void> {
  const least = flags.number('l', 0)
  const { body } = await session.admin.ask(flags.need('b'), {
    code: RequestCode.GET_BROKER_CONSUME_STATS,
    extFields: { isOrder: String(flags.flag('o', false)) },
  })
  const { groups, totalDiff } = decodeBrokerConsumeStats(body)
  session.line(javaLine(STATS_WIDTHS, STATS_HEAD))
  for (const { group, topics } of groups) {
    for (const each of topics.flatMap(({ queues }) => queues.toSorted(byQueue))) {
      const { queue, brokerOffset, consumerOffset, lastTimestamp } = each
      const diff = brokerOffset - consumerOffset
      // As Java's tool: of queues without a time nothing is shown.
      if (diff < least || lastTimestamp <= 0) continue
      session.line(
        javaLine(STATS_WIDTHS, [
          ...[front(queue.topic, 64), group, front(queue.brokerName, 32), queue.queueId],
          ...[brokerOffset, consumerOffset, diff, humanTime(lastTimestamp).slice(0, 19)],
        ]),
      )
    }
  }
  session.line()
  session.line(`Diff Total: ${totalDiff}`)
}

export const CLIENT_COMMANDS: readonly LegacyCommand[] = [
  {
    name: 'consumerConnection',
    description: "Query consumer's socket connection, client version and subscription.",
    options: [option('g', 'consumerGroup', 'consumer group', true), BROKER],
    run: showConsumers,
  },
  {
    name: 'consumerStatus',
    description: "Query consumer's internal data structure.",
    options: [
      option('g', 'consumerGroup', 'consumer group', true),
      option('i', 'clientId', 'this member only, to standard output'),
      BROKER,
      flagOption('s', 'jstack', 'with the stacks of its threads'),
    ],
    run: consumerStatus,
  },
  {
    name: 'producerConnection',
    description: "Query producer's socket connection and client version.",
    options: [option('g', 'producerGroup', 'producer group', true), TOPIC],
    run: showProducers,
  },
  {
    name: 'producer',
    description: "Query producer's instances, connection, status, etc.",
    options: [option('b', 'broker', 'address of one broker', true)],
    run: producer,
  },
  {
    name: 'brokerConsumeStats',
    description: 'Fetch broker consume stats data.',
    options: [
      option('b', 'brokerAddr', 'address of one broker', true),
      option('o', 'order', 'ordered topics only (true|false)'),
      option('l', 'level', 'queues that are so far behind'),
      option('t', 'timeoutMillis', 'as mqadmin; has no effect'),
    ],
    run: brokerConsumeStats,
  },
  {
    name: 'startMonitoring',
    description: 'Start Monitoring: how far groups are behind and what is wrong, each minute.',
    options: [],
    run: monitorGroups,
  },
]
