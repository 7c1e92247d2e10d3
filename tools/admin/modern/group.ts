/** `gantry group`. */
import type { Command } from 'commander'
import { consumerConnection, resetOffsets } from '../../../client/admin-questions.ts'
import type { QueueConsumeStats } from '../../../remoting/bodies/consume-stats.ts'
import { subscriptionGroupConfig } from '../../../remoting/bodies/subscription-group-config.ts'
import { groupOverview } from '../group-progress.ts'
import { timeOf } from '../legacy-command.ts'
import { acting, changingVerb, destroyingVerb, isAllowed, isMeant, show, verb } from '../modern.ts'
import type { CommonFlags } from '../modern.ts'
import { deadLetterCommands } from './consume.ts'
import { makeCommand } from '../program.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'
import type { Answer } from '../table.ts'
import { versionName } from '../../../remoting/version-name.ts'

const WATCH_MS = 2_000

interface LagFlags extends CommonFlags {
  readonly watch?: boolean
}

interface ResetFlags extends CommonFlags {
  readonly topic: string
  readonly to: string
}

interface DeleteFlags extends CommonFlags {
  readonly keepOffsets?: boolean
}

async function list(session: Session, flags: CommonFlags): Promise<void> {
  const rows = (await groupOverview(session)).map(({ name, version, ...rest }) => ({
    group: name,
    ...rest,
    version: version === null ? null : versionName(version),
  }))
  const columns = ['group', 'members', 'type', 'model', 'topics', 'tps', 'lag']
  show(session, flags, { columns, rows })
}

async function lag(
  session: Session,
  flags: LagFlags,
  [group = '']: readonly string[],
): Promise<void> {
  let before: { readonly at: number; readonly total: number } | null = null
  for (;;) {
    const queues = await queuesOf(session, group)
    const total = queues.reduce((sum, queue) => sum + behind(queue), 0)
    const rate: number | null =
      before === null ? null : ((before.total - total) * 1000) / (session.now - before.at)
    if (flags.watch === true && process.stdout.isTTY) session.options.print('\u001b[H\u001b[2J')
    show(session, flags, lagAnswer(session, group, queues))
    if (flags.output === 'table') session.line(`\n${verdict(total, rate)}`)
    before = { at: session.now, total }
    if (flags.watch !== true || session.options.isInterrupted()) return
    await session.pause(WATCH_MS)
    if (session.options.isInterrupted()) return
  }
}

/** In words: how many messages, and when they will have been read at the present pace. */
function verdict(total: number, rate: number | null): string {
  if (total === 0) return 'nothing is left to be read'
  const left = `${total} messages are left to be read`
  if (rate === null) return left
  if (rate <= 0) return `${left}, ${rate === 0 ? 'and it stands still' : 'and it becomes more'}`
  return `${left}, at this pace in ${Math.ceil(total / rate)} s`
}

async function queuesOf(session: Session, group: string): Promise<readonly QueueConsumeStats[]> {
  const queues: QueueConsumeStats[] = []
  for (const { address } of await session.leaders()) {
    queues.push(...(await session.admin.consumeStats(address, group)).queues)
  }
  if (queues.length > 0) return queues
  throw new AdminError('notFound', `the group ${group} has no offsets`)
}

function behind({ brokerOffset, consumerOffset }: QueueConsumeStats): number {
  return Math.max(0, brokerOffset - consumerOffset)
}

function lagAnswer(session: Session, group: string, queues: readonly QueueConsumeStats[]): Answer {
  const rows = queues
    .map((each) => ({
      topic: each.queue.topic,
      broker: each.queue.brokerName,
      queue: each.queue.queueId,
      committed: each.consumerOffset,
      end: each.brokerOffset,
      lag: behind(each),
      lastConsumedSecondsAgo:
        each.lastTimestamp > 0 ? Math.round((session.now - each.lastTimestamp) / 1000) : null,
    }))
    .toSorted((left, right) => right.lag - left.lag)
  const columns = ['topic', 'broker', 'queue', 'committed', 'end', 'lag', 'lastConsumedSecondsAgo']
  return {
    columns,
    rows,
    data: { group, lag: rows.reduce((sum, row) => sum + row.lag, 0), queues: rows },
  }
}

async function describe(
  session: Session,
  flags: CommonFlags,
  [group = '']: readonly string[],
): Promise<void> {
  for (const { address } of await session.leaders()) {
    const found = await consumerConnection(session.admin, address, group)
    if (found === null) continue
    const members = found.connections.map(({ version, ...client }) => ({
      ...client,
      version: versionName(version),
    }))
    const { consumeType, messageModel, consumeFromWhere } = found
    const subscriptions = found.subscriptions.map(({ topic, subString }) => ({ topic, subString }))
    show(session, flags, {
      columns: ['clientId', 'clientAddr', 'language', 'version'],
      rows: members,
      data: { group, consumeType, messageModel, consumeFromWhere, subscriptions, members },
    })
    if (flags.output === 'table') {
      const topics = subscriptions.map(({ topic, subString }) => `${topic} (${subString})`)
      session.line(`\n${consumeType}, ${messageModel}; subscribes to ${topics.join(', ')}`)
    }
    return
  }
  throw new AdminError('notFound', `nobody of the group ${group} is connected`)
}

async function reset(
  session: Session,
  flags: ResetFlags,
  [group = '']: readonly string[],
): Promise<void> {
  const { topic } = flags
  const timestamp =
    flags.to === 'end' ? -1 : flags.to === 'start' ? 0 : resetTime(flags.to, session.now)
  const leaders = await session.leadersOf(topic)
  const preview: Record<string, unknown>[] = []
  for (const { address } of leaders) {
    for (const each of (await session.admin.consumeStats(address, group, topic)).queues) {
      const { queue, consumerOffset, brokerOffset } = each
      const target =
        timestamp < 0 ? brokerOffset : await session.admin.searchOffset(address, queue, timestamp)
      const { brokerName, queueId } = queue
      const moves = target - consumerOffset
      preview.push({ broker: brokerName, queue: queueId, from: consumerOffset, to: target, moves })
    }
  }
  show(session, flags, { columns: ['broker', 'queue', 'from', 'to', 'moves'], rows: preview })
  const what = `reset ${group} in ${topic} to ${flags.to}`
  if (!(await isAllowed(session, flags, what))) return
  for (const { address } of leaders) {
    await resetOffsets(session.admin, address, { group, topic, timestamp })
  }
  session.options.warn(`${group} was reset in ${topic}`)
}

/** ISO 8601, or as mqadmin takes times. */
function resetTime(text: string, now: number): number {
  const iso = /^\d{4}-\d{2}-\d{2}T/u.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(iso) ? timeOf(text, now) : iso
}

async function remove(
  session: Session,
  flags: DeleteFlags,
  [group = '']: readonly string[],
): Promise<void> {
  const cleanOffset = flags.keepOffsets !== true
  const what = `delete group ${group}${cleanOffset ? ' with its offsets' : ''}`
  if (!(await isAllowed(session, flags, what))) return
  for (const { address } of await session.leaders()) {
    await session.admin.deleteGroup(address, group, { cleanOffset })
  }
  session.options.warn(`deleted ${group}`)
}

async function create(
  session: Session,
  flags: CommonFlags,
  [group = '']: readonly string[],
): Promise<void> {
  for (const { address, brokerName } of await session.leaders()) {
    if (!isMeant(session, flags, `create group ${group} on ${brokerName}`)) continue
    await session.admin.createGroup(address, subscriptionGroupConfig(group))
    session.options.warn(`created ${group} on ${brokerName}`)
  }
}

export function groupCommand(): Command {
  const noun = makeCommand(
    'group',
    'consumer groups: list, lag, describe, create, reset, delete, dead-letters, resend',
  )
  noun.addCommand(acting<CommonFlags>(verb('list', 'all groups, furthest behind first'), list))
  noun.addCommand(
    acting<LagFlags>(
      verb('lag', 'how far behind, queue by queue')
        .argument('<group>')
        .option('-w, --watch', 'again every two seconds'),
      lag,
    ),
  )
  noun.addCommand(
    acting<CommonFlags>(verb('describe', 'who is connected').argument('<group>'), describe),
  )
  noun.addCommand(
    acting<CommonFlags>(changingVerb('create', 'on all broker groups').argument('<group>'), create),
  )
  noun.addCommand(
    acting<ResetFlags>(
      destroyingVerb('reset', 'go on from another place; shows how far each queue moves')
        .argument('<group>')
        .requiredOption('-t, --topic <topic>', 'in this topic')
        .requiredOption('--to <place>', 'start, end, now, a time (ISO 8601 or milliseconds)'),
      reset,
    ),
  )
  noun.addCommand(
    acting<DeleteFlags>(
      destroyingVerb('delete', 'with its offsets')
        .argument('<group>')
        .option('--keep-offsets', 'leave its offsets'),
      remove,
    ),
  )
  for (const command of deadLetterCommands()) noun.addCommand(command)
  return noun
}
