/** mqadmin's commands about messages. */
import { messageByOffsetId, messagesByKey, pullOnce } from '../../../client/admin-questions.ts'
import { Producer } from '../../../client/producer.ts'
import { sentAgain } from '../../../client/dead-letters.ts'
import { formatHostAddress } from '../../../common/host-address.ts'
import { encodeOffsetMessageId, UniqueIdGenerator } from '../../../common/message-id.ts'
import type { StoredMessage } from '../../../common/message.ts'
import { PropertyName, parseProperties, propertyOf } from '../../../common/properties.ts'
import { ROUTE_OF, TOPIC, flagOption, listOf, option } from '../legacy-command.ts'
import type { LegacyCommand, LegacyFlags } from '../legacy-command.ts'
import { bodyText, handOver, sendResultText, sendTrace } from './message-acts.ts'
import { trackLines } from './message-tracks.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'
import { humanTime, javaLine } from '../table.ts'

export const TOOLS_GROUP = 'TOOLS_CONSUMER'
const SENDER = 'TOOLS_PRODUCER'
const HOUR_MS = 3_600_000
export const PULL_MAX = 32
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
async function printMessage(
  session: Session,
  message: StoredMessage,
  charset: string | null,
): Promise<void> {
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
    ['Message Body:', bodyText(message, charset)],
  ]
  for (const [name, value] of lines) session.line(`${name.padEnd(20)} ${value}`)
  session.line()
  for (const line of await trackLines(session, message)) session.line(line)
}

/** By an offset id, or by the unique id that the client gave. */
async function queryMsgById(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('t')
  for (const id of listOf(flags, 'i')) {
    const message = await messageById(session, topic, id, flags.text('c'))
    if (message === null) throw new AdminError('notFound', `there is no message ${id}`)
    if (await isHandedOver(session, flags, message)) continue
    if (flags.flag('s', false)) {
      const result = await makeProducer(session, 'ReSendMsgById').send(sentAgain(message))
      session.line(`prepare resend msg. originalMsgId=${id}${sendResultText(result)}`)
    } else await printMessage(session, message, flags.text('f'))
  }
}

/** To the consumer that `-g` and `-d` name. */
async function isHandedOver(
  session: Session,
  flags: LegacyFlags,
  message: StoredMessage,
): Promise<boolean> {
  const [consumerGroup, clientId] = [flags.text('g'), flags.text('d')]
  if (consumerGroup === null || clientId === null) return false
  const offsetId = offsetIdOf(message)
  await handOver(session, message, { consumerGroup, clientId, offsetId })
  return true
}

/** The oldest message with a unique id, or all of them. */
async function queryMsgByUniqueKey(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('t')
  const id = flags.need('i')
  const times = {
    beginTimestamp: flags.number('s', 0),
    endTimestamp: flags.number('e', Number.MAX_SAFE_INTEGER),
  }
  const found: StoredMessage[] = []
  for (const { address } of await session.leadersOf(flags.text('c') ?? topic)) {
    found.push(...(await messagesWithId(session, address, { topic, id, ...times })))
  }
  if (found.length === 0) throw new AdminError('notFound', `there is no message ${id}`)
  const sorted = found.toSorted((left, right) => left.storeTimestamp - right.storeTimestamp)
  for (const message of flags.has('a') ? sorted : sorted.slice(0, 1)) {
    if (await isHandedOver(session, flags, message)) continue
    await printMessage(session, message, null)
  }
}

async function messagesWithId(
  session: Session,
  broker: string,
  asked: {
    readonly topic: string
    readonly id: string
    readonly beginTimestamp: number
    readonly endTimestamp: number
  },
): Promise<readonly StoredMessage[]> {
  const { id, ...query } = asked
  const found = await messagesByKey(session.admin, broker, {
    ...{ ...query, key: id, maxMessages: PULL_MAX, isUniqueId: true },
  })
  return found.filter((each) => uniqueIdOf(each) === id)
}

/** A unique id and an offset id look alike: the index is asked first. */
export async function messageById(
  session: Session,
  topic: string,
  id: string,
  route: string | null = null,
): Promise<StoredMessage | null> {
  for (const { address } of await session.leadersOf(route ?? topic)) {
    const range = { beginTimestamp: 0, endTimestamp: Number.MAX_SAFE_INTEGER }
    const [message] = await messagesWithId(session, address, { topic, id, ...range })
    if (message !== undefined) return message
  }
  return messageByOffsetId(session.admin, id).catch(() => null)
}

async function queryMsgByKey(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('t')
  const key = flags.need('k')
  const keyType = flags.text('p')
  if (keyType !== null && keyType !== 'K' && keyType !== 'T') {
    throw new AdminError('usage', '-p is neither K for keys nor T for tags')
  }
  const found: StoredMessage[] = []
  for (const { address } of await session.leadersOf(flags.text('c') ?? topic)) {
    found.push(
      ...(await messagesByKey(session.admin, address, {
        topic,
        key,
        maxMessages: flags.number('m', 64),
        beginTimestamp: flags.number('b', 0),
        endTimestamp: flags.number('e', Number.MAX_SAFE_INTEGER),
        isUniqueId: false,
        isTag: keyType === 'T',
      })),
    )
  }
  if (found.length === 0) throw new AdminError('notFound', `no message of ${topic} has key ${key}`)
  const line = (id: string, queue: string | number, offset: string | number, indexKey = '') =>
    session.line(
      `${id.padEnd(50)} ${String(queue).padStart(4)} ${String(offset).padStart(40)} ${indexKey}`.trimEnd(),
    )
  line('#Message ID', '#QID', '#Offset', '#IndexKey')
  for (const message of found) {
    const { queueId, queueOffset, storeTimestamp, physicalOffset } = message
    const id = uniqueIdOf(message)
    const hour = storeTimestamp - (storeTimestamp % HOUR_MS)
    // As of the index in RocksDB, which a Java broker goes on from with `-l`.
    const place = [hour, topic, keyType, key, id, physicalOffset].join('@')
    line(id, queueId, queueOffset, keyType === null ? '' : place)
  }
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
  await printMessage(session, message, flags.text('f'))
}

async function sendMessage(session: Session, flags: LegacyFlags): Promise<void> {
  const topic = flags.need('t')
  const broker = flags.text('b')
  if (flags.has('i') && broker === null) throw new AdminError('usage', '-i needs -b')
  const tags = flags.text('c')
  const keys = flags.text('k')
  const producer = makeProducer(session, SENDER)
  const message = {
    topic,
    body: Buffer.from(flags.need('p')),
    ...(tags === null ? {} : { tags }),
    ...(keys === null ? {} : { keys: keys.split(' ') }),
  }
  const sentAt = session.now
  const result = await producer.send(
    message,
    broker === null ? {} : { queue: { brokerName: broker, queueId: flags.number('i', 0) } },
  )
  if (flags.flag('m', false)) {
    const costMs = session.now - sentAt
    const { address: storeHost } = await session.leaderNamed(result.queue.brokerName)
    const sent = { result, storeHost, producerGroup: SENDER, sentAt, costMs }
    await sendTrace(producer, message, sent)
  }
  const widths = [32, 4, 20, 0]
  session.line(javaLine(widths, ['#Broker Name', '#QID', '#Send Result', '  #MsgId']))
  const { queue, status, messageId } = result
  session.line(javaLine(widths, [queue.brokerName, queue.queueId, status, `  ${messageId}`]))
}

const CONSUMER = [
  option('g', 'consumerGroup', 'with -d: hand the message to a member of this group'),
  option('d', 'clientId', 'with -g: to this member'),
]
const BODY_FORMAT = option('f', 'bodyFormat', 'charset of the body (UTF-8)')

export const MESSAGE_COMMANDS: readonly LegacyCommand[] = [
  {
    name: 'queryMsgById',
    description: 'Query Message by Id.',
    options: [
      TOPIC,
      option('i', 'msgId', 'message ids, separated by commas', true),
      ROUTE_OF,
      ...CONSUMER,
      BODY_FORMAT,
      option('s', 'sendMessage', 'send it again (true|false)'),
      option('u', 'unitName', 'as mqadmin; has no effect'),
    ],
    run: queryMsgById,
  },
  {
    name: 'queryMsgByUniqueKey',
    description: 'Query Message by Unique key.',
    options: [
      TOPIC,
      option('i', 'msgId', 'unique id', true),
      ROUTE_OF,
      ...CONSUMER,
      flagOption('a', 'showAll', 'all messages that have it'),
      option('s', 'startTime', 'milliseconds since 1970'),
      option('e', 'endTime', 'milliseconds since 1970'),
    ],
    run: queryMsgByUniqueKey,
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
      ROUTE_OF,
      option('p', 'keyType', 'K: keys, T: tags'),
      option('l', 'lastKey', 'as mqadmin; has no effect'),
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
      BODY_FORMAT,
      option('r', 'routeTopic', 'as mqadmin; has no effect'),
    ],
    run: queryMsgByOffset,
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
      option('m', 'msgTraceEnable', 'with a trace (true|false)'),
    ],
    run: sendMessage,
  },
]
