/** Sends messages to the queues of their topics, in turn; what one broker does not take goes to another. */
import { messageOf } from '../common/errors.ts'
import { encodeBatchBody } from '../common/message-codec.ts'
import type { UniqueIdGenerator } from '../common/message-id.ts'
import type { Clock } from '../common/ports.ts'
import { PropertyName, encodeProperties, formatProperties } from '../common/properties.ts'
import type { MessageQueue } from '../remoting/bodies/message-queue.ts'
import type { RemotingClient } from '../remoting/client.ts'
import type { RemotingCommand, RequestContent } from '../remoting/command.ts'
import { RemotingError } from '../remoting/errors.ts'
import { requireInt, requireLong, requireString } from '../remoting/header-fields.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { ClientError, rejection } from './errors.ts'
import { writeQueues } from './route.ts'
import type { RouteCache, RoutedQueue } from './route.ts'

export const DEFAULT_SEND_TIMEOUT_MS = 3_000
export const DEFAULT_SEND_RETRIES = 2
/** Most queues that a topic gets which a broker makes by itself at its first message. */
const DEFAULT_TOPIC_QUEUE_NUMS = 4
const DEFAULT_TOPIC = 'TBW102'

/** Codes after which RocketMQ's producer tries another broker (protocol §3). */
const RETRY_CODES: ReadonlySet<number> = new Set([
  ResponseCode.TOPIC_NOT_EXIST,
  ResponseCode.SERVICE_NOT_AVAILABLE,
  ResponseCode.SYSTEM_ERROR,
  ResponseCode.SYSTEM_BUSY,
  ResponseCode.NO_PERMISSION,
  ResponseCode.NO_BUYER_ID,
  ResponseCode.NOT_IN_CURRENT_UNIT,
  ResponseCode.GO_AWAY,
])

const SEND_STATUS: ReadonlyMap<number, SendStatus> = new Map([
  [ResponseCode.SUCCESS, 'SEND_OK'],
  [ResponseCode.FLUSH_DISK_TIMEOUT, 'FLUSH_DISK_TIMEOUT'],
  [ResponseCode.SLAVE_NOT_AVAILABLE, 'SLAVE_NOT_AVAILABLE'],
  [ResponseCode.FLUSH_SLAVE_TIMEOUT, 'FLUSH_SLAVE_TIMEOUT'],
])

/** SEND_OK: stored as the broker's configuration demands. The others: stored, but not (yet) as safely. */
export type SendStatus =
  | 'SEND_OK'
  | 'FLUSH_DISK_TIMEOUT'
  | 'SLAVE_NOT_AVAILABLE'
  | 'FLUSH_SLAVE_TIMEOUT'

export interface OutgoingMessage {
  readonly topic: string
  readonly body: Buffer
  readonly tags?: string
  readonly keys?: readonly string[]
  readonly flag?: number
  readonly properties?: Readonly<Record<string, string>>
}

export interface SendResult {
  readonly status: SendStatus
  /** The unique id; those of a batch joined by commas. */
  readonly messageId: string
  readonly offsetMessageId: string
  readonly queue: MessageQueue
  /** Of the first message. */
  readonly queueOffset: number
  /** Brokers that were asked; 1 when the first took it. */
  readonly attempts: number
}

export interface ProducerOptions {
  /** Stays its owner's. */
  readonly client: RemotingClient
  readonly routes: RouteCache
  readonly clock: Clock
  readonly producerGroup: string
  readonly uniqueIds: UniqueIdGenerator
  /** For the whole of a send, its retries included. */
  readonly timeoutMs?: number
  readonly retries?: number
}

export interface SendOptions {
  /** This queue and no other; there is no retry elsewhere then. */
  readonly queue?: Pick<MessageQueue, 'brokerName' | 'queueId'>
}

interface Sending {
  readonly topic: string
  readonly messageId: string
  readonly isBatch: boolean
  readonly flag: number
  readonly properties: string
  readonly body: Buffer
}

export class Producer {
  readonly #options: ProducerOptions
  #turn: number

  constructor(options: ProducerOptions) {
    this.#options = options
    this.#turn = 0
  }

  /** Resolves when a broker has stored the message. Rejects with `ClientError` or `RemotingError` of the last attempt. */
  send(message: OutgoingMessage, options: SendOptions = {}): Promise<SendResult> {
    const messageId = this.#options.uniqueIds.next()
    return this.#send(
      {
        topic: message.topic,
        messageId,
        isBatch: false,
        flag: message.flag ?? 0,
        properties: formatProperties(propertiesOf(message, messageId)),
        body: message.body,
      },
      options,
    )
  }

  /** Sends messages of one topic as one request to one queue: all are stored, or none. */
  sendBatch(
    messages: readonly [OutgoingMessage, ...OutgoingMessage[]],
    options: SendOptions = {},
  ): Promise<SendResult> {
    const [{ topic }] = messages
    if (messages.some((message) => message.topic !== topic)) {
      throw new TypeError('the messages of a batch have one topic')
    }
    const ids = messages.map(() => this.#options.uniqueIds.next())
    const body = encodeBatchBody(
      messages.map((message, index) => ({
        flag: message.flag ?? 0,
        body: message.body,
        properties: encodeProperties(propertiesOf(message, ids[index] ?? '')),
      })),
    )
    const properties = formatProperties([[PropertyName.WAIT, 'true']])
    const sending = { topic, messageId: ids.join(','), isBatch: true, flag: 0, properties, body }
    return this.#send(sending, options)
  }

  async #send(sending: Sending, { queue }: SendOptions): Promise<SendResult> {
    const {
      clock,
      timeoutMs = DEFAULT_SEND_TIMEOUT_MS,
      retries = DEFAULT_SEND_RETRIES,
    } = this.#options
    const deadline = clock.monotonic() + timeoutMs
    const attemptsMax = queue === undefined ? retries + 1 : 1
    let avoid: string | null = null
    let failure: unknown = null
    for (let attempts = 1; attempts <= attemptsMax; attempts++) {
      const target = await this.#choose(sending.topic, avoid, queue)
      const leftMs = deadline - clock.monotonic()
      if (leftMs <= 0) break
      try {
        const answer = await this.#options.client.invoke(
          target.address,
          this.#request(sending, target),
          leftMs,
        )
        const status = SEND_STATUS.get(answer.code)
        if (status !== undefined) return resultOf(sending, target, { status, answer, attempts })
        failure = rejection(`sending to ${target.brokerName} at ${target.address}`, answer)
        if (!RETRY_CODES.has(answer.code)) throw failure
      } catch (error) {
        if (!(error instanceof RemotingError)) throw error
        failure = error
      }
      avoid = target.brokerName
      // The master may have moved: its present address is worth a question, but no failure of its own.
      await this.#options.routes.refresh(sending.topic).catch(() => null)
    }
    throw failure ?? new ClientError('noRoute', `no time was left to send to ${sending.topic}`)
  }

  /** The next queue in turn, of another broker than `avoid` if there is one. */
  async #choose(
    topic: string,
    avoid: string | null,
    wanted: SendOptions['queue'],
  ): Promise<RoutedQueue> {
    const all = await this.#queues(topic)
    const wantedOnes = all.filter(
      ({ brokerName, queueId }) =>
        wanted === undefined || (wanted.brokerName === brokerName && wanted.queueId === queueId),
    )
    const others = wantedOnes.filter(({ brokerName }) => brokerName !== avoid)
    const candidates = others.length > 0 ? others : wantedOnes
    const chosen = candidates[this.#turn++ % Math.max(candidates.length, 1)]
    if (chosen === undefined) {
      throw new ClientError('noRoute', `no broker takes messages for the topic ${topic}`)
    }
    return chosen
  }

  async #queues(topic: string): Promise<readonly RoutedQueue[]> {
    const route = await this.#options.routes.get(topic)
    if (route !== null) return writeQueues(topic, route)
    // A broker makes the topic after the default one at its first message, if it is configured so.
    const model = await this.#options.routes.get(DEFAULT_TOPIC)
    if (model === null) return []
    return writeQueues(topic, model).filter(({ queueId }) => queueId < DEFAULT_TOPIC_QUEUE_NUMS)
  }

  /** SEND_MESSAGE_V2 (310) or SEND_BATCH_MESSAGE (320); the letters are protocol §7's. */
  #request(sending: Sending, target: RoutedQueue): RequestContent {
    return {
      code: sending.isBatch ? RequestCode.SEND_BATCH_MESSAGE : RequestCode.SEND_MESSAGE_V2,
      extFields: {
        a: this.#options.producerGroup,
        b: sending.topic,
        c: DEFAULT_TOPIC,
        d: String(DEFAULT_TOPIC_QUEUE_NUMS),
        e: String(target.queueId),
        f: '0',
        g: String(this.#options.clock.now()),
        h: String(sending.flag),
        i: sending.properties,
        j: '0',
        k: 'false',
        m: String(sending.isBatch),
        n: target.brokerName,
      },
      body: sending.body,
    }
  }
}

/** Whether an error means that the very same send may succeed later: nobody was there, or a broker was too busy. */
export function isTransient(error: unknown): boolean {
  if (error instanceof RemotingError) return error.code !== 'malformed' && error.code !== 'tooLarge'
  if (!(error instanceof ClientError)) return false
  return error.code !== 'rejected' || RETRY_CODES.has(error.responseCode ?? ResponseCode.SUCCESS)
}

function propertiesOf(
  message: OutgoingMessage,
  messageId: string,
): readonly (readonly [string, string])[] {
  return [
    ...Object.entries(message.properties ?? {}),
    [PropertyName.TAGS, message.tags ?? ''],
    [PropertyName.KEYS, (message.keys ?? []).join(' ')],
    [PropertyName.UNIQ_KEY, messageId],
    [PropertyName.WAIT, 'true'],
  ]
}

function resultOf(
  sending: Sending,
  target: RoutedQueue,
  outcome: {
    readonly status: SendStatus
    readonly answer: RemotingCommand
    readonly attempts: number
  },
): SendResult {
  const { status, answer, attempts } = outcome
  const { extFields } = answer
  try {
    return {
      status,
      messageId: sending.messageId,
      offsetMessageId: requireString(extFields, 'msgId'),
      queue: {
        topic: sending.topic,
        brokerName: target.brokerName,
        queueId: requireInt(extFields, 'queueId'),
      },
      queueOffset: requireLong(extFields, 'queueOffset'),
      attempts,
    }
  } catch (error) {
    const problem = `${target.address} answered a send without its result: ${messageOf(error)}`
    throw new ClientError('badAnswer', problem, { cause: error })
  }
}
