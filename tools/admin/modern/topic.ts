/** `gantry topic`. */
import type { Command } from 'commander'
import { groupsOfTopic, topicConfigAt } from '../../../client/admin-questions.ts'
import { topicConfig } from '../../../remoting/bodies/topic-config.ts'
import { numberIn } from '../../bench-options.ts'
import { permText } from '../legacy/topics.ts'
import { acting, changingVerb, destroyingVerb, isAllowed, isMeant, show, verb } from '../modern.ts'
import type { CommonFlags } from '../modern.ts'
import { makeCommand } from '../program.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'

const SYSTEM =
  /^(?:TBW102|SELF_TEST_TOPIC|OFFSET_MOVED_EVENT|SCHEDULE_TOPIC_XXXX|BenchmarkTest|RMQ_SYS_.*|rmq_sys_.*|TRANS_CHECK_MAX_TIME_TOPIC|.*_REPLY_TOPIC)$/u
const DERIVED = /^(?:%RETRY%|%DLQ%)/u
const MAX_QUEUES = 1024
const TYPES = ['NORMAL', 'FIFO', 'DELAY', 'TRANSACTION'] as const

interface ListFlags extends CommonFlags {
  readonly all?: boolean
}

interface CreateFlags extends CommonFlags {
  readonly cluster?: string
  readonly queues: number
  readonly type: string
  readonly perm: number
}

interface DeleteFlags extends CommonFlags {
  readonly cluster?: string
}

/** Topics that users have made: what is not of the system, named like a broker or a cluster, or derived from a group. */
export async function userTopics(session: Session): Promise<readonly string[]> {
  const { brokers, clusters } = await session.clusterInfo()
  const all = await session.fromNameServer((address) => session.admin.topicList(address))
  return all
    .filter((topic) => !SYSTEM.test(topic) && !DERIVED.test(topic))
    .filter((topic) => !brokers.has(topic) && !clusters.has(topic))
    .toSorted()
}

async function list(session: Session, flags: ListFlags): Promise<void> {
  const names = new Set(await userTopics(session))
  const rows = new Map<string, { brokers: number; queues: number; perm: string; type: string }>()
  for (const { address } of await session.leaders()) {
    const { topics } = await session.admin.getAllTopicConfig(address)
    for (const [topic, config] of topics) {
      if (flags.all !== true && !names.has(topic)) continue
      const row = rows.get(topic) ?? { brokers: 0, queues: 0, perm: '', type: '' }
      row.brokers++
      row.queues += config.writeQueueNums
      row.perm = permText(config.perm)
      row.type = config.attributes.get('message.type') ?? 'NORMAL'
      rows.set(topic, row)
    }
  }
  const sorted = [...rows].toSorted(([left], [right]) => (left < right ? -1 : 1))
  show(session, flags, {
    columns: ['topic', 'type', 'brokers', 'queues', 'perm'],
    rows: sorted.map(([topic, row]) => ({ topic, ...row })),
  })
}

interface QueueRow {
  readonly broker: string
  readonly queue: number
  readonly messages: number
  readonly minOffset: number
  readonly maxOffset: number
  readonly last: string | null
}

async function describe(
  session: Session,
  flags: CommonFlags,
  [topic = '']: readonly string[],
): Promise<void> {
  const queues: QueueRow[] = []
  const groups = new Set<string>()
  for (const { address } of await session.leadersOf(topic)) {
    for (const group of await groupsOfTopic(session.admin, address, topic)) groups.add(group)
    for (const each of await session.admin.topicStats(address, topic)) {
      const { queue, minOffset, maxOffset, lastUpdateTimestamp } = each
      const last = lastUpdateTimestamp > 0 ? new Date(lastUpdateTimestamp).toISOString() : null
      const messages = maxOffset - minOffset
      queues.push({
        broker: queue.brokerName,
        queue: queue.queueId,
        messages,
        minOffset,
        maxOffset,
        last,
      })
    }
  }
  const placeOf = (row: QueueRow) => `${row.broker} ${String(row.queue).padStart(6, '0')}`
  const sorted = queues.toSorted((left, right) => (placeOf(left) < placeOf(right) ? -1 : 1))
  show(session, flags, {
    columns: ['broker', 'queue', 'messages', 'minOffset', 'maxOffset', 'last'],
    rows: sorted.map((row) => ({ ...row })),
    data: { topic, groups: [...groups].toSorted(), queues: sorted },
  })
  if (flags.output === 'table' && groups.size > 0) {
    session.line(`\nread by ${[...groups].toSorted().join(', ')}`)
  }
}

async function create(
  session: Session,
  flags: CreateFlags,
  [topic = '']: readonly string[],
): Promise<void> {
  const attributes = new Map(flags.type === 'NORMAL' ? [] : [['message.type', flags.type]])
  const config = topicConfig(topic, {
    readQueueNums: flags.queues,
    writeQueueNums: flags.queues,
    perm: flags.perm,
    attributes,
  })
  for (const { address, brokerName } of await session.leaders(flags.cluster ?? null)) {
    const known = await topicConfigAt(session.admin, address, topic)
    const what = `${known === null ? 'create' : 'change'} topic ${topic} on ${brokerName}`
    if (!isMeant(session, flags, what)) continue
    await session.admin.createTopic(address, config)
    session.options.warn(`${known === null ? 'created' : 'changed'} ${topic} on ${brokerName}`)
  }
}

async function remove(
  session: Session,
  flags: DeleteFlags,
  [topic = '']: readonly string[],
): Promise<void> {
  const leaders = await session.leadersOf(topic)
  let messages = 0
  for (const { address } of leaders) {
    for (const { minOffset, maxOffset } of await session.admin.topicStats(address, topic)) {
      messages += maxOffset - minOffset
    }
  }
  const where = `${leaders.length} broker groups, with ${messages} messages`
  if (!(await isAllowed(session, flags, `delete topic ${topic} from ${where}`))) return
  for (const { address } of leaders) await session.admin.deleteTopic(address, topic)
  for (const nameServer of session.nameServers) {
    await session.admin.deleteTopicRoute(nameServer, topic)
  }
  session.options.warn(`deleted ${topic}`)
}

export function topicCommand(): Command {
  const noun = makeCommand('topic', 'topics: list, describe, create, delete')
  noun.addCommand(
    acting<ListFlags>(
      verb('list', 'all topics').option('-a, --all', 'also those of the system and of groups'),
      list,
    ),
  )
  noun.addCommand(
    acting<CommonFlags>(verb('describe', 'queues and readers').argument('<topic>'), describe),
  )
  noun.addCommand(
    acting<CreateFlags>(
      changingVerb('create', 'make a topic on all broker groups, or change it')
        .argument('<topic>')
        .option('-c, --cluster <name>', 'of this cluster only')
        .option('-q, --queues <count>', 'on each broker group', numberIn(1, MAX_QUEUES), 8)
        .option('--type <type>', TYPES.join(', '), messageType, 'NORMAL')
        .option('--perm <bits>', '6: read and write, 4: read, 2: write', numberIn(0, 7), 6),
      create,
    ),
  )
  noun.addCommand(
    acting<DeleteFlags>(destroyingVerb('delete', 'with its messages').argument('<topic>'), remove),
  )
  return noun
}

function messageType(text: string): string {
  const type = TYPES.find((each) => each === text.toUpperCase())
  if (type === undefined) throw new AdminError('usage', `--type is none of ${TYPES.join(', ')}`)
  return type
}
