/** mqadmin's commands about messages. */
import { messageByOffsetId, messagesByKey, pullOnce } from '../../../client/admin-questions.ts'
import { Producer } from '../../../client/producer.ts'
import { messageBody } from '../../../client/message-body.ts'
import { readQueues } from '../../../client/route.ts'
import type { RoutedQueue } from '../../../client/route.ts'
import { formatHostAddress } from '../../../common/host-address.ts'
import { encodeOffsetMessageId, UniqueIdGenerator } from '../../../common/message-id.ts'
import type { StoredMessage } from '../../../common/message.ts'
import { PropertyName, parseProperties, propertyOf } from '../../../common/properties.ts'
import { TOPIC, option, timeOf } from '../legacy-command.ts'
import type { LegacyCommand, LegacyFlags } from '../legacy-command.ts'
import { trackLines } from './message-tracks.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'
import { humanTime, javaLine } from '../table.ts'

const TOOLS_GROUP = 'TOOLS_CONSUMER'
const PULL_MAX = 32
const LOCAL_IP = Buffer.from([127, 0, 0, 1])

export function offsetIdOf(message: StoredMessage): string {
  return encodeOffsetMessageId(message.storeHost, message.physicalOffset)
}

export function uniqueIdOf(message: StoredMessage): string {
  return propertyOf(message.properties, PropertyName.UNIQ_KEY) ?? offsetIdOf(message)
}

export function makeProducer(session: Session, producerGroup: string): Producer {
  const { clock, random } = session.options.runtime
  const uniqueIds = new UniqueIdGenerator({ clock, random, ip: LOCAL_IP, pid: process.pid })
  const { client, routes } = session
  return new Producer({ client, routes, clock, producerGroup, uniqueIds })
}

/** As Java prints one message that was asked for. */
async function printMessage(session: Session, message: StoredMessage): Promise<void> {
  const properties = parseProperties(message.properties)
  const lines: readonly (readonly [string, string | number])[] = [
    ['OffsetID:', offsetIdOf(message)],
    ['Topic:', message.topic],
    ['Tags:', `[${properties.get('TAGS') ?? 'null'}]`],
    ['Keys:', `[${properties.get('KEYS') ?? 'null'}]`],
    ['Queue ID:', message.queueId],
    ['Queue Offset:', message.queueOffset],
    ['CommitLog Offset:', message.physicalOffset],
    ['Reconsume Times:', message.reconsumeTimes],
    ['Born Timestamp:', humanTime(message.bornTimestamp)],
    ['Store Timestamp:', humanTime(message.storeTimestamp)],
    ['Born Host:', formatHostAddress(message.bornHost)],
    ['Store Host:', formatHostAddress(message.storeHost)],
    ['System Flag:', message.sysFlag],
    ['Properties:', `{${[...properties].map(([name, value]) => `${name}=${value}`).join(', ')}}`],
    ['Message Body:', messageBody(message).toString()],
  ]
  for (const [name, value] of lines) session.line(`${name.padEnd(20)} ${value}`)
  session.line()
  for (const line of await trackLines(session, message)) session.line(line)
}

/** By an offset id, or by the unique id that the client gave. */
async function queryMsgById(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('t')
  for (const id of flags.need('i').split(',')) {
    const message = await messageById(session, topic, id.trim())
    if (message === null) throw new AdminError('notFound', `there is no message ${id}`)
    await printMessage(session, message)
  }
}

/** A unique id and an offset id look alike: the index is asked first. */
export async function messageById(
  session: Session,
  topic: string,
  id: string,
): Promise<StoredMessage | null> {
  for (const { address } of await session.leadersOf(topic)) {
    const query = { topic, key: id, maxMessages: PULL_MAX, isUniqueId: true }
    const range = { beginTimestamp: 0, endTimestamp: Number.MAX_SAFE_INTEGER }
    const found = await messagesByKey(session.admin, address, { ...query, ...range })
    const [message] = found.filter((each) => uniqueIdOf(each) === id)
    if (message !== undefined) return message
  }
  return messageByOffsetId(session.admin, id).catch(() => null)
}

async function queryMsgByKey(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('t')
  const key = flags.need('k')
  const found: StoredMessage[] = []
  for (const { address } of await session.leadersOf(topic)) {
    found.push(
      ...(await messagesByKey(session.admin, address, {
        topic,
        key,
        maxMessages: flags.number('m', 64),
        beginTimestamp: flags.number('b', 0),
        endTimestamp: flags.number('e', Number.MAX_SAFE_INTEGER),
        isUniqueId: false,
      })),
    )
  }
  if (found.length === 0) throw new AdminError('notFound', `no message of ${topic} has key ${key}`)
  const line = (id: string, queue: string | number, offset: string | number) =>
    session.line(`${id.padEnd(50)} ${String(queue).padStart(4)} ${String(offset).padStart(40)}`)
  line('#Message ID', '#QID', '#Offset')
  for (const message of found) line(uniqueIdOf(message), message.queueId, message.queueOffset)
}

async function queryMsgByOffset(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('t')
  const { address } = await session.leaderNamed(flags.need('b'))
  const queueId = flags.number('i', 0)
  const queueOffset = flags.number('o', 0)
  const { messages } = await pullOnce(session.admin, address, {
    ...{ consumerGroup: TOOLS_GROUP, topic, queueId, queueOffset, maxMessages: 1 },
  })
  const message = messages.find((each) => each.queueOffset === queueOffset)
  if (message === undefined) throw new AdminError('notFound', 'there is no message at this offset')
  await printMessage(session, message)
}

/** One line, as Java prints messages of which many are shown. */
function lineOf(message: StoredMessage, withBody: boolean): string {
  const properties = parseProperties(message.properties)
  const shown = [...properties].map(([name, value]) => `${name}=${value}`).join(', ')
  const body = withBody ? messageBody(message).toString() : 'NOT PRINT BODY'
  return (
    `MSGID: ${uniqueIdOf(message)} MessageExt [queueId=${message.queueId}, storeSize=${message.size}, ` +
    `queueOffset=${message.queueOffset}, sysFlag=${message.sysFlag}, bornTimestamp=${message.bornTimestamp}, ` +
    `bornHost=/${formatHostAddress(message.bornHost)}, storeTimestamp=${message.storeTimestamp}, ` +
    `storeHost=/${formatHostAddress(message.storeHost)}, msgId=${offsetIdOf(message)}, ` +
    `commitLogOffset=${message.physicalOffset}, bodyCRC=${message.bodyCrc}, ` +
    `reconsumeTimes=${message.reconsumeTimes}, properties={${shown}}] BODY: ${body}`
  )
}

export interface Reading {
  readonly topic: string
  readonly queue: RoutedQueue
  readonly from: number
  readonly to: number
  readonly expression: string
}

/** The messages of a part of a queue, in order; ends early when the caller stops asking. */
export async function* readQueue(
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
  for (const queue of readQueues(topic, await session.route(topic))) {
    const { from, to } = await rangeOf(session, queue, flags, { begin: 'b', end: 'e' })
    const name = `MessageQueue [topic=${topic}, brokerName=${queue.brokerName}, queueId=${queue.queueId}]`
    session.line(`minOffset=${from}, maxOffset=${to}, ${name}`)
    for await (const message of readQueue(session, { topic, queue, from, to, expression })) {
      session.line(lineOf(message, withBody))
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
    if (flags.flag('p', false)) session.line(lineOf(message, flags.flag('d', false)))
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

async function sendMessage(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('t')
  const broker = flags.text('b')
  if (flags.has('i') && broker === null) throw new AdminError('usage', '-i needs -b')
  const tags = flags.text('c')
  const keys = flags.text('k')
  const result = await makeProducer(session, 'TOOLS_PRODUCER').send(
    {
      topic,
      body: Buffer.from(flags.need('p')),
      ...(tags === null ? {} : { tags }),
      ...(keys === null ? {} : { keys: keys.split(' ') }),
    },
    broker === null ? {} : { queue: { brokerName: broker, queueId: flags.number('i', 0) } },
  )
  const widths = [32, 4, 20, 0]
  session.line(javaLine(widths, ['#Broker Name', '#QID', '#Send Result', '  #MsgId']))
  const { queue, status, messageId } = result
  session.line(javaLine(widths, [queue.brokerName, queue.queueId, status, `  ${messageId}`]))
}

const TIMES = [
  option('b', 'beginTimestamp', 'now|milliseconds|yyyy-MM-dd#HH:mm:ss:SSS'),
  option('e', 'endTimestamp', 'now|milliseconds|yyyy-MM-dd#HH:mm:ss:SSS'),
]
const TAGS = option('s', 'subExpression', 'tags: TagA || TagB')

export const MESSAGE_COMMANDS: readonly LegacyCommand[] = [
  {
    name: 'queryMsgById',
    description: 'Query Message by Id.',
    options: [TOPIC, option('i', 'msgId', 'message ids, separated by commas', true)],
    run: queryMsgById,
  },
  {
    name: 'queryMsgByUniqueKey',
    description: 'Query Message by Unique key.',
    options: [TOPIC, option('i', 'msgId', 'unique id', true)],
    run: queryMsgById,
  },
  {
    name: 'queryMsgByKey',
    description: 'Query Message by Key.',
    options: [
      TOPIC,
      option('k', 'msgKey', 'key', true),
      option('m', 'maxNum', 'at most so many (64)'),
      option('b', 'beginTimestamp', 'milliseconds since 1970'),
      option('e', 'endTimestamp', 'milliseconds since 1970'),
    ],
    run: queryMsgByKey,
  },
  {
    name: 'queryMsgByOffset',
    description: 'Query Message by offset.',
    options: [
      TOPIC,
      option('b', 'brokerName', 'broker name', true),
      option('i', 'queueId', 'queue id', true),
      option('o', 'offset', 'queue offset', true),
    ],
    run: queryMsgByOffset,
  },
  {
    name: 'printMsg',
    description: 'Print Message Detail.',
    options: [TOPIC, ...TIMES, TAGS, option('d', 'printBody', 'bodies too (true|false)')],
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
      option('p', 'print', 'print messages (true|false)'),
      option('d', 'printBody', 'bodies too (true|false)'),
      option('f', 'calculate', 'count by tag (true|false)'),
    ],
    run: printMsgByQueue,
  },
  {
    name: 'sendMessage',
    description: 'Send a message.',
    options: [
      TOPIC,
      option('p', 'body', 'the body as text', true),
      option('k', 'key', 'keys, separated by blanks'),
      option('c', 'tags', 'tags'),
      option('b', 'broker', 'to this broker'),
      option('i', 'qid', 'to this queue'),
    ],
    run: sendMessage,
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
