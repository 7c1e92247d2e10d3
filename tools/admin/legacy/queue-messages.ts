/** mqadmin's commands that read queues from one offset to another. */
import { pullOnce } from '../../../client/admin-questions.ts'
import { readQueues } from '../../../client/route.ts'
import type { RoutedQueue } from '../../../client/route.ts'
import { formatHostAddress } from '../../../common/host-address.ts'
import type { StoredMessage } from '../../../common/message.ts'
import { PropertyName, parseProperties, propertyOf } from '../../../common/properties.ts'
import { TOPIC, option, timeOf } from '../legacy-command.ts'
import type { LegacyCommand, LegacyFlags } from '../legacy-command.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'
import { bodyText } from './message-acts.ts'
import { PULL_MAX, TOOLS_GROUP, offsetIdOf, uniqueIdOf } from './messages.ts'

/** One line, as Java prints messages of which many are shown. */
function lineOf(message: StoredMessage, withBody: boolean, charset: string | null = null): string {
  const properties = parseProperties(message.properties)
  const shown = [...properties].map(([name, value]) => `${name}=${value}`).join(', ')
  const body = withBody ? bodyText(message, charset) : 'NOT PRINT BODY'
  return (
    `MSGID: ${uniqueIdOf(message)} MessageExt [queueId=${message.queueId}, storeSize=${message.size}, ` +
    `queueOffset=${message.queueOffset}, sysFlag=${message.sysFlag}, bornTimestamp=${message.bornTimestamp}, ` +
    `bornHost=/${formatHostAddress(message.bornHost)}, storeTimestamp=${message.storeTimestamp}, ` +
    `storeHost=/${formatHostAddress(message.storeHost)}, msgId=${offsetIdOf(message)}, ` +
    `commitLogOffset=${message.physicalOffset}, bodyCRC=${message.bodyCrc}, ` +
    `reconsumeTimes=${message.reconsumeTimes}, properties={${shown}}] BODY: ${body}`
  )
}

interface Reading {
  readonly topic: string
  readonly queue: RoutedQueue
  readonly from: number
  readonly to: number
  readonly expression: string
}

/** The messages of a part of a queue, in order; ends early when the caller stops asking. */
async function* readQueue(
  session: Session,
  { topic, queue, from, to, expression }: Reading,
): AsyncGenerator<StoredMessage, void> {
  let queueOffset = from
  while (queueOffset < to && !session.options.isInterrupted()) {
    const { messages, nextOffset } = await pullOnce(session.admin, queue.address, {
      ...{ consumerGroup: TOOLS_GROUP, topic, queueId: queue.queueId, queueOffset },
      ...{ maxMessages: PULL_MAX, expression },
    })
    for (const message of messages) if (message.queueOffset < to) yield message
    if (nextOffset <= queueOffset) return
    queueOffset = nextOffset
  }
}

/** The part of a queue between two times, or all of it. */
async function rangeOf(
  session: Session,
  queue: RoutedQueue,
  flags: LegacyFlags,
  names: { readonly begin: string; readonly end: string },
): Promise<{ readonly from: number; readonly to: number }> {
  const { admin } = session
  const begin = flags.text(names.begin)
  const end = flags.text(names.end)
  const at = (time: string) => admin.searchOffset(queue.address, queue, timeOf(time, session.now))
  const from = begin === null ? await admin.minOffset(queue.address, queue) : await at(begin)
  const to = end === null ? await admin.maxOffset(queue.address, queue) : await at(end)
  return { from, to }
}

async function printMsg(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('t')
  const withBody = flags.flag('d', true)
  const expression = flags.text('s') ?? '*'
  for (const queue of readQueues(topic, await session.route(flags.text('l') ?? topic))) {
    const { from, to } = await rangeOf(session, queue, flags, { begin: 'b', end: 'e' })
    const name = `MessageQueue [topic=${topic}, brokerName=${queue.brokerName}, queueId=${queue.queueId}]`
    session.line(`minOffset=${from}, maxOffset=${to}, ${name}`)
    for await (const message of readQueue(session, { topic, queue, from, to, expression })) {
      session.line(lineOf(message, withBody, flags.text('c')))
    }
    session.line('-'.repeat(56))
  }
}

async function printMsgByQueue(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('t')
  const expression = flags.text('s') ?? '*'
  const queue = await queueOf(session, topic, flags.need('a'), flags.number('i', 0))
  const { from, to } = await rangeOf(session, queue, flags, { begin: 'b', end: 'e' })
  const tags = new Map<string, number>()
  for await (const message of readQueue(session, { topic, queue, from, to, expression })) {
    if (flags.flag('p', false)) {
      session.line(lineOf(message, flags.flag('d', false), flags.text('c')))
    }
    const tag = propertyOf(message.properties, PropertyName.TAGS) ?? 'null'
    tags.set(tag, (tags.get(tag) ?? 0) + 1)
  }
  if (!flags.flag('f', false)) return
  for (const [tag, count] of [...tags].toSorted((left, right) => right[1] - left[1])) {
    session.line(`Tag: ${tag.padEnd(30)} Count: ${count}`)
  }
}

async function queueOf(
  session: Session,
  topic: string,
  brokerName: string,
  queueId: number,
): Promise<RoutedQueue> {
  const queue = readQueues(topic, await session.route(topic)).find(
    (each) => each.brokerName === brokerName && each.queueId === queueId,
  )
  if (queue === undefined) {
    throw new AdminError('notFound', `${topic} has no queue ${queueId} on ${brokerName}`)
  }
  return queue
}

/** The first messages of one queue, or of all. */
async function consumeMessage(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('t')
  const broker = flags.text('b')
  const wanted = flags.number('c', 128)
  const queues =
    broker !== null && flags.has('i')
      ? [await queueOf(session, topic, broker, flags.number('i', 0))]
      : readQueues(topic, await session.route(topic)).filter(
          ({ brokerName }) => broker === null || brokerName === broker,
        )
  for (const queue of queues) {
    const range = await rangeOf(session, queue, flags, { begin: 's', end: 'e' })
    const from = flags.number('o', range.from)
    let left = wanted
    for await (const message of readQueue(session, {
      ...{ topic, queue, from, to: range.to, expression: '*' },
    })) {
      if (left-- <= 0) break
      session.line(lineOf(message, true))
    }
  }
  session.line('Consume ok')
}

const TIMES = [
  option('b', 'beginTimestamp', 'now|milliseconds|yyyy-MM-dd#HH:mm:ss:SSS'),
  option('e', 'endTimestamp', 'now|milliseconds|yyyy-MM-dd#HH:mm:ss:SSS'),
]
const TAGS = option('s', 'subExpression', 'tags: TagA || TagB')
const CHARSET = option('c', 'charsetName', 'of the bodies (UTF-8)')
export const QUEUE_MESSAGE_COMMANDS: readonly LegacyCommand[] = [
  {
    name: 'printMsg',
    description: 'Print Message Detail.',
    options: [
      TOPIC,
      ...TIMES,
      TAGS,
      CHARSET,
      option('d', 'printBody', 'bodies too (true|false)'),
      option('l', 'lmqParentTopic', 'topic whose route is meant'),
    ],
    run: printMsg,
  },
  {
    name: 'printMsgByQueue',
    description: 'Print Message Detail by queueId.',
    options: [
      TOPIC,
      option('a', 'brokerName', 'broker name', true),
      option('i', 'queueId', 'queue id', true),
      ...TIMES,
      TAGS,
      CHARSET,
      option('p', 'print', 'print messages (true|false)'),
      option('d', 'printBody', 'bodies too (true|false)'),
      option('f', 'calculate', 'count by tag (true|false)'),
    ],
    run: printMsgByQueue,
  },
  {
    name: 'consumeMessage',
    description: 'Consume message.',
    options: [
      TOPIC,
      option('b', 'brokerName', 'broker name'),
      option('i', 'queueId', 'queue id'),
      option('o', 'offset', 'queue offset'),
      option('c', 'MessageNumber', 'at most so many of a queue (128)'),
      option('g', 'consumerGroup', 'as mqadmin; has no effect'),
      option('s', 'beginTimestamp', 'now|milliseconds|yyyy-MM-dd#HH:mm:ss:SSS'),
      option('e', 'endTimestamp', 'now|milliseconds|yyyy-MM-dd#HH:mm:ss:SSS'),
    ],
    run: consumeMessage,
  },
]
