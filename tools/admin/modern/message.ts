/** `gantry message`. */
import type { Command } from 'commander'
import { PullConsumer } from '../../../client/pull-consumer.ts'
import { messagesByKey } from '../../../client/admin-questions.ts'
import { silentLogger } from '../../../common/log.ts'
import type { StoredMessage } from '../../../common/message.ts'
import { numberIn } from '../../bench-options.ts'
import { makeProducer, messageById } from '../legacy/messages.ts'
import { acting, changingVerb, isMeant, show, verb } from '../modern.ts'
import type { CommonFlags } from '../modern.ts'
import { makeCommand } from '../program.ts'
import { consumeCommand } from './consume.ts'
import { recordOf, tailLine } from './message-text.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'

const TAIL_POLL_MS = 200
const KEYS_MAX = 64
/** A group that every broker has, so that looking leaves no group behind. */
const TOOLS_GROUP = 'TOOLS_CONSUMER'

interface GetFlags extends CommonFlags {
  readonly topic: string
  readonly key?: boolean
}

interface TailFlags extends CommonFlags {
  readonly from: 'first' | 'last'
  readonly tags?: string
  readonly count?: number
}

interface SendFlags extends CommonFlags {
  readonly tags?: string
  readonly keys?: string
  readonly property?: readonly string[]
}

async function get(session: Session, flags: GetFlags, [id = '']: readonly string[]): Promise<void> {
  const { topic } = flags
  const found: StoredMessage[] = []
  if (flags.key === true) {
    const range = { beginTimestamp: 0, endTimestamp: Number.MAX_SAFE_INTEGER }
    const query = { topic, key: id, maxMessages: KEYS_MAX, isUniqueId: false, ...range }
    for (const { address } of await session.leadersOf(topic)) {
      found.push(...(await messagesByKey(session.admin, address, query)))
    }
  } else {
    const message = await messageById(session, topic, id)
    if (message !== null) found.push(message)
  }
  if (found.length === 0) throw new AdminError('notFound', `${topic} has no message ${id}`)
  const rows = found.map((message) => ({ ...recordOf(message) }))
  const columns = ['id', 'queue', 'queueOffset', 'stored', 'body']
  show(session, flags, { columns, rows })
}

/** Messages as they come, a line each; with JSON one object a line. */
async function tail(
  session: Session,
  flags: TailFlags,
  [topic = '']: readonly string[],
): Promise<void> {
  await session.route(topic)
  const { timers } = session.options.runtime
  let left = flags.count ?? Number.POSITIVE_INFINITY
  const consumer = new PullConsumer({
    client: session.client,
    routes: session.routes,
    timers,
    logger: silentLogger,
    consumerGroup: TOOLS_GROUP,
    topic,
    ...(flags.tags === undefined ? {} : { expression: flags.tags }),
    from: flags.from,
    commit: false,
    onMessages: (messages, queue) => {
      for (const message of messages) {
        if (left-- <= 0) break
        session.options.print(tailLine(flags, message, queue.brokerName))
      }
      return Promise.resolve()
    },
  })
  await consumer.start()
  while (left > 0 && !session.options.isInterrupted()) {
    await new Promise<void>((resolve) => timers.after(TAIL_POLL_MS, resolve))
  }
  // Pulls that brokers hold end with their connection.
  await Promise.all([session.client.close(), consumer.close()])
}

async function send(
  session: Session,
  flags: SendFlags,
  [topic = '', given]: readonly string[],
): Promise<void> {
  const body = given === undefined || given === '-' ? await readInput() : Buffer.from(given)
  if (!isMeant(session, flags, `send ${body.length} bytes to ${topic}`)) return
  const properties = (flags.property ?? []).map((entry) => {
    const at = entry.indexOf('=')
    if (at < 1) throw new AdminError('usage', `--property ${entry} is not name=value`)
    return [entry.slice(0, at), entry.slice(at + 1)] as const
  })
  const result = await makeProducer(session, 'gantry-message-send').send({
    topic,
    body,
    ...(flags.tags === undefined ? {} : { tags: flags.tags }),
    ...(flags.keys === undefined ? {} : { keys: flags.keys.split(' ') }),
    ...(properties.length === 0 ? {} : { properties: Object.fromEntries(properties) }),
  })
  const { status, messageId, offsetMessageId, queue, queueOffset } = result
  const { brokerName, queueId } = queue
  const row = { id: messageId, status, broker: brokerName, queue: queueId, queueOffset }
  const columns = ['id', 'status', 'broker', 'queue', 'queueOffset']
  show(session, flags, { columns, rows: [row], data: { ...row, offsetId: offsetMessageId } })
}

async function readInput(): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

export function messageCommand(): Command {
  const noun = makeCommand('message', 'messages: get, tail, send, consume')
  noun.addCommand(
    acting<GetFlags>(
      verb('get', 'by its id, or by a key')
        .argument('<id>')
        .requiredOption('-t, --topic <topic>', 'of this topic')
        .option('-k, --key', 'the argument is a key'),
      get,
    ),
  )
  noun.addCommand(
    acting<TailFlags>(
      verb('tail', 'show messages as they come, until Ctrl-C')
        .argument('<topic>')
        .option('--from <where>', 'first or last', 'last')
        .option('--tags <expression>', 'TagA || TagB')
        .option('--count <number>', 'end after so many', numberIn(1, 1e9)),
      tail,
    ),
  )
  noun.addCommand(
    acting<SendFlags>(
      changingVerb('send', 'one message; its body from the argument, else from standard input')
        .argument('<topic>')
        .argument('[body]')
        .option('--tags <tag>', 'tag')
        .option('--keys <keys>', 'keys, separated by blanks')
        .option('--property <name=value...>', 'user properties'),
      send,
    ),
  )
  noun.addCommand(consumeCommand())
  return noun
}
