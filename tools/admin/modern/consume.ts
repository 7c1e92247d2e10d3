/** `gantry message consume`, and the dead letters of a group: `gantry group dead-letters` and `gantry group resend`. */
import type { Command } from 'commander'
import {
  deadLetterTopic,
  originalTopic,
  resentMessage,
  retryTopic,
} from '../../../client/dead-letters.ts'
import { PullConsumer } from '../../../client/pull-consumer.ts'
import { readQueues } from '../../../client/route.ts'
import { silentLogger } from '../../../common/log.ts'
import type { StoredMessage } from '../../../common/message.ts'
import { RequestCode } from '../../../remoting/request-code.ts'
import { numberIn } from '../../bench-options.ts'
import { makeProducer, offsetIdOf, uniqueIdOf } from '../legacy/messages.ts'
import { acting, changingVerb, isMeant, show, verb } from '../modern.ts'
import type { CommonFlags } from '../modern.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'
import { recordOf, tailLine } from './message-text.ts'

const POLL_MS = 50
/** Straight into the dead letter queue (protocol: delayLevel of CONSUMER_SEND_MSG_BACK). */
const GIVE_UP = '-1'
/** Whose offsets in a dead letter queue tell what was sent again; a group that every broker has. */
const RESENDER = 'TOOLS_CONSUMER'
const SHOWN_MAX = 100

interface ConsumeFlags extends CommonFlags {
  readonly group: string
  readonly count?: number
  readonly reject?: boolean
}

interface CountFlags extends CommonFlags {
  readonly count?: number
}

interface Reading {
  readonly topics: readonly string[]
  readonly group: string
  readonly commit: boolean
  /** What is read at most. */
  readonly count: number
  readonly onMessage: (message: StoredMessage, brokerName: string) => Promise<void>
}

/** Message by message, so that exactly what was handled is committed. Resolves with how many. */
async function read(session: Session, reading: Reading): Promise<number> {
  const { topics, group, commit, count, onMessage } = reading
  const { timers } = session.options.runtime
  let begun = 0
  let done = 0
  let failure: { readonly error: unknown } | null = null
  const consumers = topics.map(
    (topic) =>
      new PullConsumer({
        ...{ client: session.client, routes: session.routes, timers, logger: silentLogger },
        ...{ consumerGroup: group, topic, from: 'first', commit, batchSize: 1 },
        onMessages: async (messages, queue) => {
          for (const message of messages) {
            // Whoever comes too late is not handled, and so not committed.
            if (begun >= count || failure !== null) throw new AdminError('failed', 'enough')
            begun++
            try {
              await onMessage(message, queue.brokerName)
            } catch (error) {
              failure = { error }
              throw error
            }
            done++
          }
        },
      }),
  )
  for (const consumer of consumers) await consumer.start()
  while (done < count && failure === null && !session.options.isInterrupted()) {
    await new Promise<void>((resolve) => timers.after(POLL_MS, resolve))
  }
  // Offsets are told to the brokers by this; pulls that they hold end with the connection.
  await Promise.all(consumers.map((consumer) => consumer.close()))
  if (failure !== null) throw asFailure(failure).error
  return done
}

/** The compiler cannot see that callbacks set it. */
function asFailure(failure: { readonly error: unknown }): { readonly error: unknown } {
  return failure
}

async function consume(
  session: Session,
  flags: ConsumeFlags,
  [topic = '']: readonly string[],
): Promise<void> {
  const { group } = flags
  await session.route(topic)
  const retry = retryTopic(group)
  const hasRetry = (await session.routes.get(retry)) !== null
  const what = flags.reject === true ? 'reject' : 'consume'
  if (!isMeant(session, flags, `${what} messages of ${topic} for ${group}`)) return
  await read(session, {
    topics: hasRetry ? [retry, topic] : [topic],
    ...{ group, commit: true, count: flags.count ?? Number.POSITIVE_INFINITY },
    onMessage: async (message, brokerName) => {
      if (flags.reject === true) await reject(session, message, { group, brokerName })
      session.options.print(tailLine(flags, message, brokerName))
    },
  })
}

/** As a consumer that gives a message up: the broker puts it into the group's dead letter queue. */
async function reject(
  session: Session,
  message: StoredMessage,
  { group, brokerName }: { readonly group: string; readonly brokerName: string },
): Promise<void> {
  const { address } = await session.leaderNamed(brokerName)
  await session.admin.ask(address, {
    code: RequestCode.CONSUMER_SEND_MSG_BACK,
    extFields: {
      group,
      offset: String(message.physicalOffset),
      delayLevel: GIVE_UP,
      originMsgId: offsetIdOf(message),
      originTopic: message.topic,
      maxReconsumeTimes: '16',
    },
  })
}

/** How many messages of a dead letter queue nobody has sent again; all of them when `isAll`. */
async function deadLetters(session: Session, group: string, isAll: boolean): Promise<number> {
  const topic = deadLetterTopic(group)
  const route = await session.routes.get(topic)
  if (route === null) return 0
  let count = 0
  for (const queue of readQueues(topic, route)) {
    const { address } = queue
    const min = await session.admin.minOffset(address, queue)
    const max = await session.admin.maxOffset(address, queue)
    const resent = isAll ? null : await session.admin.consumerOffset(address, queue, RESENDER)
    count += Math.max(0, max - Math.max(min, resent ?? min))
  }
  return count
}

async function list(
  session: Session,
  flags: CountFlags,
  [group = '']: readonly string[],
): Promise<void> {
  const all = await deadLetters(session, group, true)
  const open = await deadLetters(session, group, false)
  const rows: Record<string, unknown>[] = []
  await read(session, {
    topics: all === 0 ? [] : [deadLetterTopic(group)],
    ...{ group: RESENDER, commit: false, count: Math.min(all, flags.count ?? SHOWN_MAX) },
    onMessage: (message) => {
      const { keys, body, stored } = recordOf(message)
      rows.push({ id: uniqueIdOf(message), topic: originalTopic(message), stored, keys, body })
      return Promise.resolve()
    },
  })
  session.options.warn(`${all} dead letters of ${group}, ${open} of them not sent again`)
  show(session, flags, { columns: ['id', 'topic', 'stored', 'keys', 'body'], rows })
}

async function resend(
  session: Session,
  flags: CountFlags,
  [group = '']: readonly string[],
): Promise<void> {
  const open = await deadLetters(session, group, false)
  const count = Math.min(open, flags.count ?? open)
  if (!isMeant(session, flags, `send ${count} of ${open} dead letters to ${group} again`)) return
  const producer = makeProducer(session, 'gantry-group-resend')
  const rows: Record<string, unknown>[] = []
  await read(session, {
    topics: count === 0 ? [] : [deadLetterTopic(group)],
    ...{ group: RESENDER, commit: true, count },
    onMessage: async (message) => {
      const { messageId, status } = await producer.send(resentMessage(message, group))
      rows.push({ id: messageId, topic: originalTopic(message), status })
    },
  })
  session.options.warn(`sent ${rows.length} dead letters to ${group} again`)
  show(session, flags, { columns: ['id', 'topic', 'status'], rows })
}

const COUNT = numberIn(1, 1e9)

export function consumeCommand(): Command {
  return acting<ConsumeFlags>(
    changingVerb('consume', 'as a member of a group: show, and commit; until Ctrl-C')
      .argument('<topic>')
      .requiredOption('-g, --group <group>', 'in the name of this group')
      .option('--count <number>', 'end after so many', COUNT)
      .option('--reject', 'give each one up, into the dead letter queue of the group'),
    consume,
  )
}

export function deadLetterCommands(): readonly Command[] {
  return [
    acting<CountFlags>(
      verb('dead-letters', 'messages that the group has given up')
        .argument('<group>')
        .option('--count <number>', `show so many (${SHOWN_MAX})`, COUNT),
      list,
    ),
    acting<CountFlags>(
      changingVerb('resend', 'send dead letters to the group again, and to no other')
        .argument('<group>')
        .option('--count <number>', 'so many, oldest first; all when not given', COUNT),
      resend,
    ),
  ]
}
